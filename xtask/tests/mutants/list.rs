//! The mends, the guards of each, and the test of `sim` that misses it.

/// A mend that is taken out.
pub struct Mutant {
    pub name: &'static str,
    /// File that is changed.
    pub file: &'static str,
    /// Guards, each with what stands there without it.
    pub edits: &'static [(&'static str, &'static str)],
    /// Package, target (`lib` for its own tests) and name of the test that misses it.
    pub test: (&'static str, &'static str, &'static str),
    /// Words of the law that is broken then.
    pub law: &'static str,
}

const RESTORE: (&str, &str, &str) = ("sim", "performs", "a_backup_is_loaded_while_nobody_writes");

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "silence of a database member says none, to the script",
        file: "catalog/infra/ovn/member",
        edits: &[(
            "in (\"none\", \"joining\")",
            "in (\"none\", \"joining\", \"unknown\")",
        )],
        test: ("catalog", "scripts", "ovn_members_found_one_database"),
        law: "AssertionError",
    },
    Mutant {
        name: "quorum is what the controller says",
        file: "crates/plan/src/quorum.rs",
        edits: &[
            ("facts.answers.get(QUORUM)", "facts.answers.get(\"\")"),
            (
                "Fact::Unknown(\"votequorum does not answer, and no controller is elected\".to_owned())",
                "Fact::Absent",
            ),
        ],
        test: ("sim", "faults", "an_election_hides_nobody"),
        law: "members of one cluster count the votes of",
    },
    Mutant {
        name: "a host is drained before the others are known to be whole",
        file: "crates/plan/src/roll.rs",
        edits: &[("            before.extend(self.gate(host, &before));\n", "")],
        test: ("sim", "faults", "whatever_happens_in_core"),
        law: "it does not go after gate/",
    },
    Mutant {
        name: "a backup is loaded while services write",
        file: "crates/plan/src/restore.rs",
        edits: &[
            ("        after.extend(self.stop_writers(&after));\n", ""),
            (
                "        after.extend(self.nobody_connected(&restore, &after));\n",
                "",
            ),
            ("            ops.push(Op::Wait(self.nobody_writes()));\n", ""),
        ],
        test: RESTORE,
        law: "a backup is loaded while services write",
    },
    Mutant {
        name: "databases are dropped before their load",
        file: "crates/engines/src/galera/copy.rs",
        edits: &[
            ("{{ echo '{drop}'; gzip", "{{ gzip"),
            (
                "        Op::Run(run),\n",
                "        Op::Sql(sql(store, &[&drop])),\n        Op::Run(run),\n",
            ),
        ],
        test: RESTORE,
        law: "a database is dropped under its own load",
    },
    Mutant {
        name: "a host stays out although the others are no majority",
        file: "crates/pacemaker/src/gate.rs",
        edits: &[(
            "    others >= quorum.majority()\n",
            "    others < usize::MAX || quorum.quorate\n",
        )],
        test: (
            "sim",
            "sides",
            "a_host_stays_in_beside_one_whose_pacemaker_is_stopped",
        ),
        law: "is kept out, and the others are no majority",
    },
    Mutant {
        name: "a host stays out although the others began anew",
        file: "crates/pacemaker/src/gate.rs",
        edits: &[(
            "    quorum.ring == ring && enough(",
            "    (quorum.ring == ring || quorum.quorate) && enough(",
        )],
        test: ("sim", "sides", "who_is_out_is_let_in_by_those_that_begin_anew"),
        law: "all starts wait for c2, whose Pacemaker does not run",
    },
    Mutant {
        name: "a broker's folder that cannot be listed is empty",
        file: "crates/engines/src/rabbitmq.rs",
        edits: &[(
            "        Fact::Unknown(_) => false,\n",
            "        Fact::Unknown(_) => true,\n",
        )],
        test: (
            "sim",
            "silence",
            "a_broker_whose_folder_cannot_be_listed_is_not_forgotten",
        ),
        law: "c2 is forgotten by the brokers, and has what it had",
    },
    Mutant {
        name: "a database's folder that cannot be listed is empty",
        file: "crates/engines/src/galera.rs",
        edits: &[(
            "        Fact::Unknown(why) => Err(why),\n",
            "        Fact::Unknown(_) => Ok(Vec::new()),\n",
        )],
        test: (
            "sim",
            "silence",
            "databases_whose_folders_cannot_be_listed_may_be_the_newest",
        ),
        law: "the databases serve at",
    },
    Mutant {
        name: "silence of a database member says none, to the world's own rule",
        file: "crates/sim/src/ovn.rs",
        edits: &[("all(|k| *k == Known::None)", "all(|k| *k != Known::Some)")],
        test: (
            "sim",
            "silence",
            "a_database_is_not_founded_beside_silent_members",
        ),
        law: "has 2 databases, founded by",
    },
    Mutant {
        name: "brokers that told nobody are not looked at again",
        file: "crates/engines/src/rabbitmq.rs",
        edits: &[("    out.again = again;\n", "")],
        // Since gates ask for a majority of all that brokers count, no draw comes by it any more.
        test: (
            "engines",
            "lib",
            "rabbitmq::tests::where_nobody_tells_it_is_asked_again",
        ),
        law: "left == right",
    },
    Mutant {
        name: "databases that told nothing are not looked at again",
        file: "crates/engines/src/galera.rs",
        edits: &[("    out.again = true;\n", "")],
        test: ("sim", "performs", "half_a_restore_is_found_after_an_outage"),
        law: "half a restore was not found",
    },
    Mutant {
        name: "whatever restarts is changed beside a member that is away",
        file: "crates/plan/src/away.rs",
        edits: &[(
            ".filter(|reader| self.must_stay(&rolling.host, reader))",
            ".filter(|reader| rolling.host.is_empty() && self.must_stay(&rolling.host, reader))",
        )],
        test: (
            "sim",
            "performs",
            "beside_one_that_is_away_nothing_is_stopped_that_is_missed",
        ),
        law: "is away",
    },
    Mutant {
        name: "members of a database of its own are changed beside one that is away",
        file: "crates/plan/src/away.rs",
        edits: &[(
            "matches!(p.kind, Kind::Clustered | Kind::Promotable)",
            "p.resource.is_empty() && p.kind == Kind::Clustered",
        )],
        test: (
            "sim",
            "performs",
            "beside_one_that_is_away_no_database_of_its_own_is_stopped",
        ),
        law: "is away",
    },
];
