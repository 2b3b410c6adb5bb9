//! Members that come to a cluster and leave it. Part of the tests of laws.

use std::fmt::Write as _;

use super::*;

/// The cloud of an example with so many controllers.
pub fn of(controllers: &[u8]) -> Desired {
    let text = compare::read("examples/one-controller.yaml");
    let one = "  c1: { role: controller, address: 198.18.1.11 }\n";
    assert!(text.contains(one));
    let line = |n: &u8| format!("  c{n}: {{ role: controller, address: 198.18.1.1{n} }}\n");
    let text = text.replace(one, &controllers.iter().map(line).collect::<String>());
    let model = examples::model_of("one-controller", &text, &[]);
    world::known_by(examples::desired_of(&model))
}

/// Hosts of a cloud that was applied, and beside them empty machines of another.
pub fn beside(there: &Desired, wanted: &Desired) -> Observed {
    let mut out = world::all(there, world::applied);
    for host in wanted.hosts.keys() {
        out.entry(host.clone())
            .or_insert_with(|| Ok(world::bare(wanted, host)));
    }
    out
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

/// What a host is told of votes: the file that a plan writes there.
fn votes(plan: &Plan, host: &str) -> Vec<String> {
    let steps = plan.steps.iter().filter(|s| s.hosts == [world::host(host)]);
    let files = steps.flat_map(|s| &s.ops).filter_map(|op| match op {
        Op::Files(files) => Some(files),
        _ => None,
    });
    let conf = files.flatten().find(|f| f.path == "/etc/corosync/corosync.conf");
    let Some(conf) = conf else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&conf.content).into_owned();
    let nodes = text.split("node {").skip(1).filter(|n| n.contains("nodeid"));
    let word = |node: &str, key: &str| {
        let line = node
            .lines()
            .find_map(|l| l.trim().strip_prefix(key).map(str::to_owned));
        line.unwrap_or_default()
    };
    nodes
        .map(|node| format!("{}{}", word(node, "name: "), word(node, "quorum_votes:")))
        .collect()
}

/// Corosync of a host runs with these votes.
fn runs_with(observed: &mut Observed, hosts: &[&str], names: &[(&str, u32)]) {
    for host in hosts {
        let facts = observed.get_mut(*host).unwrap().as_mut().unwrap();
        let Some(Fact::Known(Answer::Ran { stdout, .. })) = facts.answers.get_mut("corosync/running") else {
            panic!("{host} does not run it")
        };
        let numbers: BTreeMap<String, String> = stdout
            .lines()
            .filter_map(|l| {
                let (key, name) = l.split_once(".name (str) = ")?;
                Some((name.to_owned(), key.to_owned()))
            })
            .collect();
        for (name, votes) in names {
            let number = &numbers[*name];
            writeln!(stdout, "{number}.quorum_votes (u32) = {votes}").unwrap();
        }
    }
}

#[test]
fn members_come_without_votes_and_one_after_the_other() {
    let (one, three) = (of(&[1]), of(&[1, 2, 3]));
    let plan = make(&three, &beside(&one, &three), Intent::Converge).unwrap();
    hold(&three, &plan);
    assert!(plan.barrier && plan.members);
    assert_eq!(
        ids(&plan),
        [
            "prepare/c1",
            "prepare/c2",
            "prepare/c3",
            "corosync/reload",
            "corosync/loaded/c1",
            "cib/newcomers",
            "join/c2",
            "join/c3"
        ]
    );
    // By themselves those that have votes are a majority of all that will.
    for host in ["c1", "c2", "c3"] {
        assert_eq!(votes(&plan, host), ["c1 3", "c2 0", "c3 0"], "{host}");
    }
    // Nothing of what runs is restarted or fenced for it.
    let cib = plan.steps.iter().find(|s| s.id == "cib/newcomers").unwrap();
    assert!(cib.effects.is_empty());
    let five = of(&[1, 2, 3, 4, 5]);
    let plan = make(&five, &beside(&three, &five), Intent::Converge).unwrap();
    hold(&five, &plan);
    assert_eq!(votes(&plan, "c1"), ["c1", "c2", "c3", "c4 0", "c5 0"]);
}

#[test]
fn votes_are_given_when_all_have_come() {
    let three = of(&[1, 2, 3]);
    let mut observed = world::all(&three, world::applied);
    let hosts = ["c1", "c2", "c3"];
    let before = observed.clone();
    runs_with(&mut observed, &hosts, &[("c1", 3), ("c2", 0), ("c3", 0)]);
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    hold(&three, &plan);
    assert!(plan.barrier, "{}", plan::show(&plan, true));
    assert_eq!(votes(&plan, "c1"), ["c1 3", "c2", "c3"]);
    let (joined, reload): (Vec<&str>, Vec<&str>) = ids(&plan)
        .into_iter()
        .filter(|id| id.starts_with("joined/") || *id == "corosync/reload")
        .partition(|id| id.starts_with("joined/"));
    assert!(!joined.is_empty() && reload.len() == 1);
    // And the weight is taken back.
    let mut observed = before;
    runs_with(&mut observed, &hosts, &[("c1", 3)]);
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    hold(&three, &plan);
    let loads: Vec<&str> = ids(&plan);
    assert!(loads.contains(&"corosync/reload"), "{loads:?}");
}

#[test]
fn members_leave_without_votes() {
    let (three, five) = (of(&[1, 2, 3]), of(&[1, 2, 3, 4, 5]));
    let mut observed = world::all(&five, world::applied);
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    assert!(plan.barrier && plan.members);
    for host in ["c1", "c4"] {
        let mut found = votes(&plan, host);
        found.sort();
        assert_eq!(found, ["c1", "c2", "c3", "c4 0", "c5 0"], "{host}");
    }
    let ids = |plan: &Plan| plan.steps.iter().map(|s| s.id.clone()).collect::<Vec<_>>();
    let found = ids(&plan);
    let at = |id: &str| {
        found
            .iter()
            .position(|i| i == id)
            .unwrap_or_else(|| panic!("{id} not in {found:?}"))
    };
    assert!(at("standby/c4") < at("standby/c5") && at("standby/c5") < at("corosync/reload"));
    assert!(at("drain/c4/c1") < at("standby/c4"));
    // Then what they have is stopped, and nothing else happens.
    runs_with(
        &mut observed,
        &["c1", "c2", "c3", "c4", "c5"],
        &[("c4", 0), ("c5", 0)],
    );
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    assert!(plan.barrier);
    let found = ids(&plan);
    assert!(
        found.contains(&"depart/c4".into()) && found.contains(&"depart/c5".into()),
        "{found:?}"
    );
    assert!(!found.contains(&"standby/c4".into()), "{found:?}");
}

/// One that was started meanwhile runs with the new file; the others, and who leaves, do not.
#[test]
fn who_leaves_is_emptied_until_all_count_it_no_more() {
    let (five, three) = (of(&[1, 2, 3, 4, 5]), of(&[1, 2, 3]));
    let mut observed = world::all(&five, world::applied);
    runs_with(&mut observed, &["c1"], &[("c4", 0), ("c5", 0)]);
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    let ids = ids(&plan);
    assert!(
        ids.contains(&"uncount/c4") && ids.contains(&"uncount/c5"),
        "{ids:?}"
    );
    assert!(!ids.iter().any(|id| id.starts_with("depart/")), "{ids:?}");
}

/// The disks of a host that left hold no secret of the cloud: files with one are removed,
/// and those that made it a member.
#[test]
fn who_has_left_keeps_no_secret() {
    let (five, three) = (of(&[1, 2, 3, 4, 5]), of(&[1, 2, 3]));
    let mut observed = world::all(&five, world::applied);
    runs_with(
        &mut observed,
        &["c1", "c2", "c3", "c4", "c5"],
        &[("c4", 0), ("c5", 0)],
    );
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    let step = plan.steps.iter().find(|s| s.id == "depart/c5").unwrap();
    let [Op::Units(units), Op::Remove(files), ..] = step.ops.as_slice() else {
        panic!("{:?}", step.ops);
    };
    // Units that run have secrets in memory, and go first.
    assert!(units.iter().any(|u| u.active == Some(false)), "{units:?}");
    let own = &five.hosts["c5"].files;
    let secret = own.iter().filter(|f| {
        let text = String::from_utf8_lossy(&f.write.content);
        text.contains('\u{27e6}') && f.write.own == wire::Own::File
    });
    let secret: Vec<&String> = secret.map(|f| &f.write.path).collect();
    assert!(secret.len() >= 5, "{secret:?}");
    for path in secret {
        assert!(files.contains(path), "{path} stays: {files:?}");
    }
    for path in ["/etc/corosync/corosync.conf", "/etc/corosync/authkey"] {
        assert!(files.iter().any(|f| f == path), "{path} stays: {files:?}");
    }
    // Nothing that others need is lost: it is told what to make anew.
    let told = plan.explain.join("\n");
    assert!(
        told.contains("c5 had secrets") && told.contains("quorate rotate"),
        "{told}"
    );
    assert!(!plan.steps.iter().any(|s| s.id == "depart/c1"), "{told}");
}

/// An empty machine under the name of a member joins like one that comes, after a backup.
#[test]
fn an_empty_machine_takes_a_lost_ones_name() {
    let three = of(&[1, 2, 3]);
    let mut observed = world::all(&three, world::applied);
    observed.insert(world::host("c2"), Ok(world::bare(&three, "c2")));
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    hold(&three, &plan);
    assert!(plan.members && !plan.barrier, "{}", plan::show(&plan, true));
    let start = plan.steps.iter().find(|s| s.id == "start/c2").unwrap();
    assert!(matches!(start.effects.as_slice(), [Effect::Joins { host }] if host == "c2"));
    assert!(
        votes(&plan, "c2") == ["c1", "c2", "c3"],
        "its vote was never taken away"
    );
}

#[test]
fn what_would_cost_the_majority_is_refused() {
    let check = |there: &[u8], wanted: &[u8], code: &str| {
        let (there, wanted) = (of(there), of(wanted));
        let refusals = make(&wanted, &beside(&there, &wanted), Intent::Converge).unwrap_err();
        let codes: Vec<&str> = refusals.iter().map(|r| r.code).collect();
        assert!(codes.contains(&code), "{codes:?}");
    };
    check(&[1, 2, 3], &[1], "members::too-many-leave");
    check(&[1, 2, 3], &[1, 2, 4], "members::both-ways");
    let (three, five) = (of(&[1, 2, 3]), of(&[1, 2, 3, 4, 5]));
    let mut observed = world::all(&five, world::applied);
    observed.insert(world::host("c5"), Err("no answer".to_owned()));
    let refusals = make(&three, &observed, Intent::Converge).unwrap_err();
    assert!(
        refusals.iter().any(|r| r.code == "members::out-of-reach"),
        "{refusals:?}"
    );
}

/// A host that left the file while all was down is asked what it holds, and nobody begins
/// behind it or without knowing.
#[test]
fn who_left_the_file_is_asked_before_a_store_begins() {
    let (three, five) = (of(&[1, 2, 3]), of(&[1, 2, 3, 4, 5]));
    let asked = plan::observe(&three, "c5", [7; 32], true);
    for name in ["galera/status", "galera/directories", "galera/position"] {
        assert!(
            asked.queries.iter().any(|q| q.name == name),
            "{name} is not asked"
        );
    }
    let down = |c5: Result<i64, &str>| {
        let mut observed = world::all(&five, world::applied);
        for (host, facts) in &mut observed {
            let seqno = match c5 {
                Err(why) if host == "c5" => {
                    *facts = Err(why.to_owned());
                    continue;
                }
                Ok(at) if host == "c5" => at,
                _ => 7,
            };
            let facts = facts.as_mut().unwrap();
            facts.cluster = Fact::Absent;
            facts.cib = Fact::Absent;
            facts.answers.insert("galera/status".to_owned(), Fact::Absent);
            let state = format!("uuid: 11111111-2222-3333-4444-555555555555\nseqno: {seqno}\n");
            facts
                .answers
                .insert("galera/grastate".to_owned(), Fact::Known(Answer::Text(state)));
        }
        let made = make(&three, &observed, Intent::Recover);
        made.err()
            .into_iter()
            .flatten()
            .map(|r| r.code)
            .collect::<Vec<_>>()
    };
    assert!(
        down(Ok(9)).contains(&"store::newer-elsewhere"),
        "{:?}",
        down(Ok(9))
    );
    let unseen = down(Err("c5: no route to host"));
    assert!(unseen.contains(&"store::member-unknown"), "{unseen:?}");
    let behind = down(Ok(6));
    assert!(!behind.iter().any(|c| c.starts_with("store::")), "{behind:?}");
}

/// A changed host is taken out first; others run by then and take its requests.
#[test]
fn instances_that_wait_for_nothing_start_before_a_host_is_changed() {
    let desired = world::known_by(examples::example("core").1);
    let mut observed = world::all(&desired, world::applied);
    let of = |host: &str| {
        let units = desired.hosts[host].units.iter();
        let gated = units.filter(|u| u.gated);
        gated
            .map(|u| (u.unit.clone(), u.resource.clone()))
            .collect::<Vec<_>>()
    };
    assert!(!of("c1").is_empty());
    for host in ["c2", "c3"] {
        let facts = observed.get_mut(host).unwrap().as_mut().unwrap();
        for (unit, _) in of(host) {
            let Some(Fact::Known(fact)) = facts.units.get_mut(&unit) else {
                panic!("{unit}")
            };
            "inactive".clone_into(&mut fact.active);
            "disabled".clone_into(&mut fact.file);
        }
    }
    let (_, resource) = &of("c1")[0];
    let file = desired.hosts["c1"]
        .files
        .iter()
        .find(|f| f.restart.iter().any(|r| r.resource() == Some(resource)));
    let path = &file.unwrap().write.path;
    let facts = observed.get_mut("c1").unwrap().as_mut().unwrap();
    let Some(Fact::Known(fact)) = facts.files.get_mut(path) else {
        panic!("{path}")
    };
    "another".clone_into(&mut fact.digest);
    let plan = make(&desired, &observed, Intent::Converge).unwrap();
    hold(&desired, &plan);
    let at = |id: &str| plan.steps.iter().position(|s| s.id == id);
    let gate = at("gate/c1").unwrap();
    for id in ["serve/c2", "serve/c3"] {
        assert!(at(id).is_some_and(|at| at < gate), "{:?}", ids(&plan));
        assert!(plan.steps[gate].after.iter().any(|a| a == id), "{id}");
    }
}

/// A host beside the cluster gets units that systemd knows once they are there.
#[test]
fn a_plan_that_leaves_units_to_the_next_one_says_so() {
    let desired = world::known_by(examples::example("with-compute").1);
    let plan = make(&desired, &world::all(&desired, world::applied), Intent::Converge).unwrap();
    assert!(!plan.barrier);
    let mut observed = world::all(&desired, world::applied);
    let mut bare = world::bare(&desired, "n1");
    for unit in bare.units.values_mut() {
        *unit = Fact::Absent;
    }
    observed.insert(world::host("n1"), Ok(bare));
    let plan = make(&desired, &observed, Intent::Converge).unwrap();
    assert_eq!(ids(&plan).first(), Some(&"prepare/n1"));
    assert!(plan.barrier);
}
