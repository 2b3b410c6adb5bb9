//! The mends, the guards of each, and the test of `sim` that misses it.

/// A mend that is taken out.
pub struct Mutant {
    pub name: &'static str,
    /// File that is changed.
    pub file: &'static str,
    /// Guards, each with what stands there without it.
    pub edits: &'static [(&'static str, &'static str)],
    /// Package, target and name of the test that misses it.
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
            "a_host_that_is_fenced_again_and_again_is_kept_out",
        ),
        law: "is kept out, and the others are no majority",
    },
];
