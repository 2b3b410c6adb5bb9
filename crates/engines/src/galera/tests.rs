use super::*;

fn store() -> Store {
    Store {
        engine: "galera".to_owned(),
        resource: "galera".into(),
        members: ["c1", "c2", "c3"].map(crate::host).to_vec(),
        options: [("datadir", "/var/lib/mysql"), ("os-user", "mysql")]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        ..Store::default()
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

/// A folder with these folders in it.
fn folders(names: &[&str]) -> Fact<Answer> {
    Fact::Known(Answer::Listing(wire::Listing {
        folders: names.iter().map(|n| (*n).to_owned()).collect(),
        others: Vec::new(),
    }))
}

fn virgin() -> Facts {
    facts(vec![
        ("status", Fact::Absent),
        ("grastate", Fact::Absent),
        ("directories", folders(&["mysql", "performance_schema", "sys"])),
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
        ("directories", folders(&["mysql", "quorate", "keystone"])),
    ];
    if let Some(position) = position {
        answers.push(("position", ran(position)));
    }
    facts(answers)
}

/// What the engine says of three members.
fn check(members: [Option<&Facts>; 3], intent: Intent, expect: &str) {
    check_beside(members, &[], intent, expect);
}

/// The same where hosts were members before.
fn check_beside(
    members: [Option<&Facts>; 3],
    former: &[(&str, Option<&Facts>)],
    intent: Intent,
    expect: &str,
) {
    let store = store();
    let mut seen: Seen<'_> = store.members.iter().cloned().zip(members).collect();
    seen.extend(former.iter().map(|(host, facts)| (crate::host(host), *facts)));
    let former: Vec<HostName> = former.iter().map(|(host, _)| crate::host(host)).collect();
    let got = match stage(&store, &former, &seen, intent) {
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
    managed.cluster = Fact::Known(crate::running("galera"));
    check(
        [Some(&a), Some(&b), Some(&managed)],
        Intent::Recover,
        "galera: cluster u; c1 at 7, c2 at 9, c3 at 8; c2 begins, since nobody is ahead of it\n\
         c2: let c2 begin at u:9\nc1: let the cluster start galera again",
    );
}

#[test]
fn a_server_that_is_starting_is_waited_for() {
    let (a, b) = (down("u", -1, Some("runs")), down("u", 9, None));
    check(
        [Some(&a), Some(&b), Some(&b)],
        Intent::Recover,
        "galera: the cluster manager is starting it",
    );
}

/// A server that is asked for its position is none: taken for one, the choice of a recovery
/// was not made, and nobody began.
#[test]
fn who_is_asked_for_a_position_does_not_run() {
    let dir = tempfile::tempdir().unwrap();
    // Names of processes have 15 characters at most, and no other test has this one.
    let binary = dir.path().join(format!("db{}", std::process::id()));
    std::fs::copy("/bin/sh", &binary).unwrap();
    let mut store = store();
    let path = binary.display().to_string();
    store.options.insert("binary".to_owned(), path);
    let runs = || {
        let status = std::process::Command::new("sh")
            .args(["-c", &runs(&store)])
            .status();
        status.unwrap().success()
    };
    let start = |words: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command
            .args(words)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    assert!(!runs());
    let mut server = start(&["-c", "read line", "--datadir=x"]);
    assert!(runs());
    server.kill().unwrap();
    server.wait().unwrap();
    let begin = std::time::Instant::now();
    let mut asked = start(&["-c", "sleep 1; exit 0", "--wsrep-recover"]);
    let reaped = std::thread::spawn(move || asked.wait());
    assert!(!runs() && begin.elapsed().as_millis() >= 900, "it is waited for");
    assert!(reaped.join().unwrap().unwrap().success());
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
    foreign.answers.insert(
        "galera/directories".to_owned(),
        folders(&["mysql", "sys", "wordpress"]),
    );
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
            members: members.iter().map(|h| crate::host(h)).collect(),
            ..store()
        };
        let seen: Seen<'_> = store.members.iter().map(|m| (m.clone(), Some(&v))).collect();
        let stage = stage(&store, &[], &seen, Intent::Converge).unwrap();
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
            let member = d.member.map_or_else(String::new, |m| m.to_string());
            let have = d.have.unwrap_or_default();
            format!("{member}: {}: {have}, not {}", d.held.what, d.held.want)
        });
        assert_eq!(told.collect::<Vec<_>>(), expect);
    };
    check(Some("3"), &["c1: weight of c1: 3, not 1"]);
    check(Some("1"), &[]);
    check(None, &[]);
}

/// A folder that cannot be listed may hold anything: it is neither empty nor somebody's.
#[test]
fn a_folder_that_cannot_be_listed_is_not_empty() {
    let broken = |why: &str| {
        let mut facts = virgin();
        let unknown = Fact::Unknown(why.to_owned());
        facts.answers.insert("galera/directories".to_owned(), unknown);
        facts
    };
    let (v, d) = (virgin(), down("u", 9, None));
    let c3 = broken("cannot list /var/lib/mysql: Input/output error");
    for intent in [Intent::Converge, Intent::Recover] {
        for other in [&v, &d] {
            check(
                [Some(other), Some(other), Some(&c3)],
                intent,
                "store::member-unknown: galera: no primary component, and it cannot be seen what these members \
                 hold: c3 (its data directory cannot be seen: cannot list /var/lib/mysql: Input/output error)",
            );
        }
    }
    // The answer of another question is none to this one.
    let mut ended = virgin();
    ended.answers.insert("galera/directories".to_owned(), ran(""));
    check(
        [Some(&v), Some(&v), Some(&ended)],
        Intent::Converge,
        "store::member-unknown: galera: no primary component, and it cannot be seen what these members hold: c3 \
         (its data directory cannot be seen: its folder was not listed)",
    );
    // Before the package is there, there is no folder.
    let mut absent = virgin();
    absent
        .answers
        .insert("galera/directories".to_owned(), Fact::Absent);
    check(
        [Some(&absent), Some(&absent), Some(&absent)],
        Intent::Converge,
        "galera: no member ever held anything; c1 begins, the others join it one by one\n\
         c1: start galera on c1 alone\nc2: start galera on c2 alone\nc3: start galera on c3 alone\n\
         c2: let galera on c2 join\nc3: let galera on c3 join",
    );
}

/// A server that told nothing, since it could not be run, is not one that is starting.
#[test]
fn a_position_that_is_not_told_is_unknown() {
    let (a, b) = (down("u", -1, Some("")), down("u", 9, None));
    check(
        [Some(&a), Some(&b), Some(&b)],
        Intent::Recover,
        "store::position-unknown: c1: the position of galera cannot be read: its server told nothing",
    );
}

/// Hosts that left the cloud file are asked: nobody begins behind one of them.
#[test]
fn nobody_begins_behind_one_that_left() {
    let (six, seven, nine) = (down("u", 6, None), down("u", 7, None), down("u", 9, None));
    let v = virgin();
    let begins = "galera: cluster u; c1 at 7, c2 at 7, c3 at 7; c3 begins, since nobody is ahead of it\n\
                  c3: let c3 begin at u:7";
    let said = |holds: &str, begin: &str| {
        format!(
            "galera: c4 was a member, the cloud file names it no more, and it {holds}; the members would begin {begin}"
        )
    };
    let recover = |c4: Option<&Facts>, expect: &str| {
        let members = [Some(&seven); 3];
        check_beside(members, &[("c4", c4)], Intent::Recover, expect);
    };
    for behind in [&v, &six, &seven] {
        recover(Some(behind), begins);
    }
    recover(
        Some(&nine),
        &format!("store::newer-elsewhere: {}", said("is at 9", "at 7")),
    );
    recover(
        None,
        &format!(
            "store::member-unknown: {}",
            said("cannot be seen: the host could not be asked", "at 7")
        ),
    );
    recover(
        Some(&down("u", -1, Some("2026-11-21 [ERROR] no space"))),
        &format!(
            "store::position-unknown: {}",
            said(
                "holds data, and its position cannot be read: 2026-11-21 [ERROR] no space",
                "at 7"
            )
        ),
    );
    recover(
        Some(&down("w", 1, None)),
        &format!(
            "store::uuids-differ: {}",
            said("is at 1 of another history, w", "at 7")
        ),
    );
    // Nor is an empty one born beside it.
    check_beside(
        [Some(&v); 3],
        &[("c4", Some(&six))],
        Intent::Converge,
        &format!("store::newer-elsewhere: {}", said("is at 6", "with nothing")),
    );
}

const NOBODY: &str = "position 00000000-0000-0000-0000-000000000000:-1\n";

/// A member that was cut while it was given a copy has no history of its own.
#[test]
fn one_that_was_cut_in_its_copy_is_not_the_newest() {
    let (cut, d) = (down(NIL, -1, Some(NOBODY)), down("u", 9, None));
    let part = |folders: &[&str], position: &str| {
        let mut part = down(NIL, -1, Some(position));
        let listing = wire::Listing {
            folders: folders.iter().map(|n| (*n).to_owned()).collect(),
            others: vec!["grastate.dat".to_owned(), COPIES.to_owned()],
        };
        let found = Fact::Known(Answer::Listing(listing));
        part.answers.insert("galera/directories".to_owned(), found);
        part
    };
    // A part of a copy tells nothing, or the position of whom it was copied from; none of ours
    // may be in it yet.
    let (little, most) = (
        part(&["mysql"], ""),
        part(&["mysql", "quorate", "keystone"], "position u:10\n"),
    );
    for cut in [&cut, &little, &most] {
        check(
            [Some(cut), Some(&d), Some(&down("u", 8, None))],
            Intent::Recover,
            "galera: cluster u; c1 at -1, c2 at 9, c3 at 8; c2 begins, since nobody is ahead of it\n\
             c2: let c2 begin at u:9",
        );
    }
    // It begins nothing, also where nobody else holds anything.
    let v = virgin();
    check(
        [Some(&cut), Some(&v), Some(&v)],
        Intent::Recover,
        "store::no-position: galera: no member has a position",
    );
}

/// Plan where c1 is given up.
fn without_c1(c2: Option<&Facts>, c3: Option<&Facts>, managed: bool) -> Result<Stage, Refusal> {
    let store = Store {
        members: ["c2", "c3"].map(crate::host).to_vec(),
        lost: vec![crate::host("c1")],
        ..store()
    };
    let mut all: Vec<Option<Facts>> = vec![c2.cloned(), c3.cloned()];
    for facts in all.iter_mut().flatten().filter(|_| managed) {
        facts.cluster = Fact::Known(crate::running("galera"));
    }
    let seen: Seen<'_> = store
        .members
        .iter()
        .cloned()
        .zip(all.iter().map(Option::as_ref))
        .collect();
    stage(&store, &[], &seen, Intent::Recover)
}

#[test]
fn a_member_that_is_given_up_is_not_waited_for_and_cannot_lead_on() {
    let (nine, eight) = (down("u", 9, None), down("u", 8, None));
    let stage = without_c1(Some(&nine), Some(&eight), true).unwrap();
    let titles: Vec<&str> = stage.before.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(
        titles,
        ["let c2 begin at u:9", "let the cluster start galera again"]
    );
    assert!(
        stage
            .explain
            .iter()
            .any(|l| l.contains("only c1 held") && l.contains("after position 9"))
    );
    // Another history: the lost one neither leads it on nor joins it by events alone.
    let wire::Op::Run(run) = &stage.before[0].ops[0] else {
        panic!("{:?}", stage.before[0].ops)
    };
    let script = run.argv.join(" ");
    assert!(
        script.contains("random/uuid") && !script.contains("uuid:    u"),
        "{script}"
    );
    // Nobody is waited for who is not there.
    assert!(
        stage.ready[0].what.contains("all 2 members"),
        "{}",
        stage.ready[0].what
    );
}

#[test]
fn who_may_be_newer_is_given_up_by_name_only() {
    let nine = down("u", 9, None);
    let refused = without_c1(Some(&nine), None, true).unwrap_err();
    assert_eq!(refused.code, "store::member-unknown");
    let unreadable = down("u", -1, Some("[ERROR] it is broken\n"));
    let refused = without_c1(Some(&nine), Some(&unreadable), true).unwrap_err();
    assert_eq!(refused.code, "store::position-unknown");
}

#[test]
fn the_cluster_knows_who_is_given_up_before_anybody_begins() {
    let nine = down("u", 9, None);
    let stage = without_c1(Some(&nine), Some(&nine), false).unwrap();
    assert!(stage.barrier && stage.before.is_empty(), "{stage:?}");
}
