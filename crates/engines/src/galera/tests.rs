use super::*;

fn store() -> Store {
    Store {
        engine: "galera".to_owned(),
        resource: "galera".to_owned(),
        members: ["c1", "c2", "c3"].map(str::to_owned).to_vec(),
        options: [("datadir", "/var/lib/mysql"), ("os-user", "mysql")]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        definitions: String::new(),
    }
}

fn facts(answers: Vec<(&str, Fact<Answer>)>) -> Facts {
    let mut facts = crate::silent();
    let named = answers.into_iter().map(|(k, v)| (format!("galera/{k}"), v));
    facts.answers = named.collect();
    facts
}

fn ran(stdout: &str) -> Fact<Answer> {
    Fact::Known(Answer::Ran {
        status: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    })
}

fn virgin() -> Facts {
    facts(vec![
        ("status", Fact::Absent),
        ("grastate", Fact::Absent),
        ("directories", ran("mysql\nperformance_schema\nsys\n")),
    ])
}

fn down(uuid: &str, seqno: i64, position: Option<&str>) -> Facts {
    let mut answers = vec![
        ("status", Fact::Absent),
        (
            "grastate",
            Fact::Known(Answer::Text(format!(
                "# GALERA saved state\nversion: 2.1\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: 0\n"
            ))),
        ),
        ("directories", ran("mysql\nquorate\nkeystone\n")),
    ];
    if let Some(position) = position {
        answers.push(("position", ran(position)));
    }
    facts(answers)
}

/// What the engine says of three members.
fn check(members: [Option<&Facts>; 3], intent: Intent, expect: &str) {
    let store = store();
    let seen: Seen<'_> = store.members.iter().cloned().zip(members).collect();
    let got = match stage(&store, &seen, intent) {
        Ok(stage) => {
            let mut lines = stage.explain.clone();
            lines.extend(stage.before.iter().map(|s| format!("{}: {}", s.host, s.title)));
            if stage.barrier {
                lines.push("then look again".to_owned());
            }
            lines.join("\n")
        }
        Err(refusal) => format!("{}: {}", refusal.code, refusal.message),
    };
    assert_eq!(got, expect);
}

#[test]
fn absent_everywhere_is_a_birth() {
    let v = virgin();
    check(
        [Some(&v), Some(&v), Some(&v)],
        Intent::Converge,
        "galera: no member ever held anything; c1 begins, the others join it one by one\n\
         c1: start galera on c1 alone\nc2: start galera on c2 alone\nc3: start galera on c3 alone\n\
         c2: let galera on c2 join\nc3: let galera on c3 join",
    );
}

#[test]
fn a_member_that_cannot_be_seen_stops_everything() {
    let d = down("a-b", 10, None);
    check(
        [Some(&d), Some(&d), None],
        Intent::Recover,
        "store::member-unknown: galera: no primary component, and it cannot be seen what these members hold: c3 (the host could not be asked)",
    );
}

#[test]
fn the_highest_position_begins() {
    let (a, b, c) = (
        down("u", -1, Some("position u:7")),
        down("u", 9, None),
        down("u", -1, Some("position u:8")),
    );
    check(
        [Some(&a), Some(&b), Some(&c)],
        Intent::Recover,
        "galera: cluster u; c1 at 7, c2 at 9, c3 at 8; c2 begins, since nobody is ahead of it\n\
         c2: let c2 begin at u:9",
    );
    // A cluster manager that has given up is told to try again.
    let mut managed = c;
    managed.crm_mon = Fact::Known("<resource id=\"galera\"/>".to_owned());
    check(
        [Some(&a), Some(&b), Some(&managed)],
        Intent::Recover,
        "galera: cluster u; c1 at 7, c2 at 9, c3 at 8; c2 begins, since nobody is ahead of it\n\
         c2: let c2 begin at u:9\nc1: let the cluster start galera again",
    );
}

#[test]
fn a_server_that_is_starting_is_waited_for() {
    let (a, b) = (down("u", -1, Some("")), down("u", 9, None));
    check(
        [Some(&a), Some(&b), Some(&b)],
        Intent::Recover,
        "galera: the cluster manager is starting it",
    );
}

#[test]
fn two_clusters_are_refused() {
    let (a, b) = (down("u", 7, None), down("w", 9, None));
    check(
        [Some(&a), Some(&b), Some(&a)],
        Intent::Recover,
        "store::uuids-differ: c1 belongs to cluster u, c2 to w: these are not members of one cluster",
    );
}

#[test]
fn broken_aria_logs_are_repaired_and_asked_again() {
    let a = down("u", 7, None);
    let b = down("u", -1, Some("2026-11-21 [ERROR] mariadbd: Aria recovery failed"));
    check(
        [Some(&a), Some(&b), Some(&a)],
        Intent::Recover,
        "galera: a position could not be read and may be the highest; it is repaired and asked again\n\
         c2: set aside Aria's broken logs (2026-11-21 [ERROR] mariadbd: Aria recovery failed)\nthen look again",
    );
}

#[test]
fn somebody_elses_databases_are_never_touched() {
    let mut foreign = virgin();
    foreign
        .answers
        .insert("galera/directories".to_owned(), ran("mysql\nsys\nwordpress\n"));
    let v = virgin();
    check(
        [Some(&v), Some(&foreign), Some(&v)],
        Intent::Converge,
        "store::foreign: c2: the data directory of galera holds somebody's databases: wordpress",
    );
}

#[test]
fn the_first_counts_more_until_all_is_made() {
    let v = virgin();
    let last = |members: &[&str]| -> Vec<String> {
        let store = Store {
            members: members.iter().map(|m| (*m).to_owned()).collect(),
            ..store()
        };
        let seen: Seen<'_> = store.members.iter().map(|m| (m.clone(), Some(&v))).collect();
        let stage = stage(&store, &seen, Intent::Converge).unwrap();
        stage
            .last
            .iter()
            .map(|s| format!("{}: {}", s.host, s.title))
            .collect()
    };
    assert_eq!(
        last(&["c1", "c2", "c3"]),
        ["c1: let c1 count as much as the other members of galera"]
    );
    assert_eq!(last(&["c1"]), Vec::<String>::new());
}

#[test]
fn a_weight_that_was_left_is_taken_back() {
    let weighs = |weight: Option<&str>| {
        facts(vec![(
            "weight",
            Fact::Known(Answer::Rows(vec![vec![weight.map(str::to_owned)]])),
        )])
    };
    let check = |weight: Option<&str>, expect: &[&str]| {
        let (store, c1, others) = (store(), weighs(weight), weighs(Some("1")));
        let members = [Some(&c1), Some(&others), None];
        let seen: Seen<'_> = store.members.iter().cloned().zip(members).collect();
        let told = differs(&store, &seen).into_iter().map(|d| {
            let [member, have] = [d.member, d.have].map(Option::unwrap_or_default);
            format!("{member}: {}: {have}, not {}", d.held.what, d.held.want)
        });
        assert_eq!(told.collect::<Vec<_>>(), expect);
    };
    check(Some("3"), &["c1: weight of c1: 3, not 1"]);
    check(Some("1"), &[]);
    check(None, &[]);
}
