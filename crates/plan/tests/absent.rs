//! Plans without a host: one that is away by the cloud file, and one that is given
//! up in a recovery. And who is taken for gone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use plan::{Effect, Intent, Observed, Plan, Refusal};
use render::{Desired, IDENTITY};
use wire::{Answer, Fact, Op};

const HOST: &str = "  c1: { role: controller, address: 198.18.0.11 }\n";
const GONE: &str = "c1: cannot connect";

/// The example's cloud, in which c1 is away by the file; with other lines in place of some.
fn cloud(replaced: &[(&str, &str)]) -> Desired {
    let away = HOST.replace(" }", ", away: its board is dead }");
    let mut text = compare::read("examples/with-placement.yaml");
    for (from, to) in [&[(HOST, away.as_str())][..], replaced].concat() {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let model = examples::model_of("with-placement", &text, &[]);
    world::known_by(examples::desired_of(&model))
}

/// A cloud that runs and of which one member is not there.
fn lacking(desired: &Desired, host: &str) -> Observed {
    let mut out = world::all(desired, world::applied);
    out.insert(world::host(host), Err(GONE.to_owned()));
    for facts in out.values_mut().flatten() {
        if let Fact::Known(seen) = &mut facts.cluster {
            let node = seen.nodes.iter_mut().find(|n| n.name == host);
            node.unwrap().online = false;
        }
    }
    out
}

fn make(desired: &Desired, observed: &Observed, intent: Intent) -> Result<Plan, Vec<Refusal>> {
    plan::plan(desired, observed, intent, world::DISTRIBUTION, &world::digest)
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

/// A file of a host is not as it should be.
fn drift(observed: &mut Observed, host: &str, path: &str) {
    let facts = observed.get_mut(host).unwrap().as_mut().unwrap();
    let Some(Fact::Known(file)) = facts.files.get_mut(path) else {
        panic!("{host} has no {path}")
    };
    "another".clone_into(&mut file.digest);
}

fn codes(refused: &[Refusal]) -> Vec<&str> {
    refused.iter().map(|r| r.code).collect()
}

#[test]
fn a_cloud_without_one_that_is_away_is_as_it_should_be() {
    let desired = cloud(&[]);
    let plan = make(&desired, &lacking(&desired, "c1"), Intent::Converge).unwrap();
    assert!(plan.is_empty(), "{}", plan::show(&plan, true));
    assert_eq!(plan.explain, ["c1 is away by the cloud file: its board is dead"]);
    // One that nobody said is away is waited for.
    let refused = make(&desired, &lacking(&desired, "c2"), Intent::Converge).unwrap_err();
    assert_eq!(codes(&refused), ["host::unreachable"]);
    // It is told of when it is back.
    let plan = make(&desired, &world::all(&desired, world::applied), Intent::Converge).unwrap();
    assert!(plan.is_empty(), "{}", plan::show(&plan, true));
    assert!(plan.explain[0].contains("take `away` out"), "{:?}", plan.explain);
}

/// A host that the cluster hears is not away, whatever the file says.
#[test]
fn one_that_the_cluster_hears_is_not_away() {
    let desired = cloud(&[]);
    let mut observed = world::all(&desired, world::applied);
    observed.insert(world::host("c1"), Err(GONE.to_owned()));
    let refused = make(&desired, &observed, Intent::Converge).unwrap_err();
    assert_eq!(codes(&refused), ["host::unreachable"]);
}

#[test]
fn what_restarts_nothing_reaches_the_others_after_the_absent_is_held() {
    let desired = cloud(&[]);
    let mut observed = lacking(&desired, "c1");
    drift(&mut observed, "c2", "/etc/hosts");
    let plan = make(&desired, &observed, Intent::Converge).unwrap();
    assert_eq!(ids(&plan), ["away/c1", "prepare/c2"]);
    assert_eq!(plan.steps[1].after, ["away/c1"]);
    assert!(plan.steps.iter().all(|s| !s.hosts.contains(&world::host("c1"))));
}

/// The law: nothing that has but two instances left is restarted, and no store or voter.
#[test]
fn what_would_take_more_away_is_told_and_waits() {
    let desired = cloud(&[]);
    let files = desired.hosts["c2"].files.iter();
    let files: Vec<_> = files
        .filter(|f| !f.restart.is_empty() && !f.write.directory)
        .collect();
    assert!(files.len() > 10);
    for file in files {
        let path = file.write.path.as_str();
        let mut observed = lacking(&desired, "c1");
        drift(&mut observed, "c2", path);
        let plan = match make(&desired, &observed, Intent::Converge) {
            Ok(plan) => plan,
            Err(refused) => {
                assert_eq!(codes(&refused), ["host::away"], "{path}");
                continue;
            }
        };
        let restarts = plan.steps.iter().flat_map(|s| &s.effects);
        let restarts = restarts.filter(|e| matches!(e, Effect::Restart { .. } | Effect::Standby { .. }));
        assert_eq!(restarts.count(), 0, "{path}: {}", plan::show(&plan, true));
        assert!(
            plan.explain
                .iter()
                .any(|l| l.contains(path) && l.contains("waits until c1 is back")),
            "{path}: {:?}",
            plan.explain
        );
    }
}

#[test]
fn a_service_does_not_leave_beside_one_that_is_away() {
    let both = cloud(&[]);
    let one = cloud(&[("services: [keystone, placement]", "services: [keystone]")]);
    let refused = make(&one, &lacking(&both, "c1"), Intent::Converge).unwrap_err();
    assert_eq!(codes(&refused), ["host::away"]);
}

/// Changes made meanwhile are written to the one that returns, and only then it serves.
#[test]
fn one_that_returns_is_brought_up_to_date_first() {
    let desired = cloud(&[]);
    let mut observed = world::all(&desired, world::applied);
    drift(&mut observed, "c1", "/etc/hosts");
    let set =
        |name: &str, value: &str| format!("<nvpair id=\"c1-{name}\" name=\"{name}\" value=\"{value}\"/>");
    let (_, id) = desired.nodes.iter().find(|(n, _)| n == "c1").unwrap();
    let from = format!("<node id=\"{id}\" uname=\"c1\"/>");
    let to = format!(
        "<node id=\"{id}\" uname=\"c1\"><instance_attributes id=\"nodes-{id}\">{}{}</instance_attributes></node>",
        set("standby", "on"),
        set("quorate-away", "true")
    );
    for facts in observed.values_mut().flatten() {
        world::reconfigure(facts, |cib| {
            assert!(cib.contains(&from), "{cib}");
            cib.replace(&from, &to)
        });
        if let Fact::Known(seen) = &mut facts.cluster {
            let node = seen.nodes.iter_mut().find(|n| n.name == "c1");
            node.unwrap().standby = true;
        }
    }
    let plan = make(&desired, &observed, Intent::Converge).unwrap();
    assert!(plan.barrier);
    assert_eq!(ids(&plan), ["prepare/c1", "back/c1"]);
    assert_eq!(plan.steps[1].after, ["prepare/c1"]);
}

/// All was cut; c2 and c3 are back, and their stores wait for c1.
fn after_an_outage(desired: &Desired) -> Observed {
    let mut observed = lacking(desired, "c1");
    for (facts, seqno) in observed.values_mut().flatten().zip([9, 8]) {
        let holds = |folders: &[&str]| {
            Fact::Known(Answer::Listing(wire::Listing {
                folders: folders.iter().map(|f| (*f).to_owned()).collect(),
                others: Vec::new(),
            }))
        };
        let grastate = format!("version: 2.1\nuuid:    u\nseqno:   {seqno}\nsafe_to_bootstrap: 0\n");
        let answers = [
            ("galera/status", Fact::Absent),
            ("galera/grastate", Fact::Known(Answer::Text(grastate))),
            ("galera/directories", holds(&["mysql", "quorate"])),
            ("rabbitmq/nodes", Fact::Absent),
        ];
        facts
            .answers
            .extend(answers.map(|(name, answer)| (name.to_owned(), answer)));
    }
    observed
}

#[test]
fn a_recovery_without_a_host_marks_it_first_and_asks_nothing_of_it() {
    let whole = cloud(&[]);
    let observed = after_an_outage(&whole);
    // One that is away is not given up by it: its position is not known.
    let refused = make(&whole, &observed, Intent::Recover).unwrap_err();
    assert_eq!(codes(&refused), ["store::member-unknown"]);
    let desired = whole.given_up(&[world::host("c1")]);
    let plan = make(&desired, &observed, Intent::Recover).unwrap();
    let all = ids(&plan);
    let at = |id: &str| {
        let found = all.iter().position(|i| *i == id);
        found.unwrap_or_else(|| panic!("no {id} in {all:?}"))
    };
    let mark = &plan.steps[at("lost/mark")];
    let Op::Run(run) = &mark.ops[0] else {
        panic!("{mark:?}")
    };
    assert!(
        run.argv.join(" ").contains(&format!("c1@{}", world::LAST)),
        "{run:?}"
    );
    for id in [
        "store/galera/choose",
        "store/galera/try-again",
        "store/rabbitmq/begin-alone",
    ] {
        assert!(at("lost/mark") < at(id));
        assert!(plan.steps[at(id)].after.contains(&"lost/mark".into()), "{id}");
    }
    assert!(plan.steps.iter().all(|s| !s.hosts.contains(&world::host("c1"))));
    // It is to be replaced under its name: the cluster does not forget it.
    assert!(!all.contains(&"forget/c1"), "{all:?}");
}

/// All was cut; c3 is back, and has no quorum.
fn one_is_left(desired: &Desired) -> Observed {
    let mut observed = after_an_outage(desired);
    let c2 = observed.get_mut("c2").unwrap();
    *c2 = Err("c2 does not answer".to_owned());
    let c3 = observed.get_mut("c3").unwrap().as_mut().unwrap();
    if let Fact::Known(cluster) = &mut c3.cluster {
        cluster.quorate = false;
    }
    c3.answers.remove("corosync/quorum");
    observed
}

/// Two of three are lost: those left get quorum by the operator's word, are told who is given
/// up, and begin nothing before there is proof that the lost are off.
#[test]
fn a_recovery_without_a_majority_takes_quorum_first() {
    let whole = cloud(&[]);
    let observed = one_is_left(&whole);
    assert!(plan::quorate(&observed).is_none());
    let refused = make(&whole, &observed, Intent::Recover).unwrap_err();
    assert!(codes(&refused).contains(&"host::unreachable"), "{refused:?}");
    let desired = whole.given_up(&["c1", "c2"].map(world::host));
    let plan = make(&desired, &observed, Intent::Recover).unwrap();
    let all = ids(&plan);
    let at = |id: &str| {
        let found = all.iter().position(|i| *i == id);
        found.unwrap_or_else(|| panic!("no {id} in {all:?}"))
    };
    let files = plan.steps[at("prepare/c3")].ops.iter().find_map(|op| match op {
        Op::Files(files) => files.iter().find(|f| f.path == "/etc/corosync/corosync.conf"),
        _ => None,
    });
    let conf = String::from_utf8(files.unwrap().content.to_vec()).unwrap();
    for (host, votes) in [("c1", 0), ("c2", 0), ("c3", 3)] {
        let line = format!("name: {host}\n        quorum_votes: {votes}\n");
        assert!(conf.contains(&line), "{conf}");
    }
    let order = [
        "prepare/c3",
        "corosync/reload",
        "quorum",
        "lost/mark",
        "lost/proven",
        "store/rabbitmq/begin-alone",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{all:?}");
    for id in ["store/rabbitmq/begin-alone", "store/galera/choose"] {
        let after = &plan.steps[at(id)].after;
        assert!(after.contains(&"lost/proven".into()), "{id} {after:?}");
    }
    assert!(plan.steps.iter().all(|s| s.hosts == ["c3"]));
    // Databases are asked what they hold before anything is made in them.
    assert!(plan.barrier && !all.contains(&"settle"), "{all:?}");
    let mut observed = observed;
    let serves = lacking(&whole, "c1")["c3"].as_ref().unwrap().answers.clone();
    let answers = &mut observed.get_mut("c3").unwrap().as_mut().unwrap().answers;
    answers.insert("galera/status".to_owned(), serves["galera/status"].clone());
    let plan = make(&desired, &observed, Intent::Recover).unwrap();
    let settle = plan.steps.iter().find(|s| s.id == "settle").unwrap();
    // Its own fence device runs nowhere, and is not waited for.
    let settled = format!("{:?}", settle.ops);
    assert!(
        settled.contains("fence-c1-1") && !settled.contains("fence-c3-1"),
        "{settled}"
    );
}

/// A store with a majority of its own goes on with the members that are left.
#[test]
fn what_most_members_of_are_lost_is_told_to_go_on() {
    let text = compare::read("examples/eight-services.yaml");
    let model = examples::model_of("eight-services", &text, &[]);
    let whole = world::known_by(examples::desired_of(&model));
    let plan = |lost: &[&str], answer: Option<i32>| {
        let mut observed = if lost.contains(&"c2") {
            one_is_left(&whole)
        } else {
            after_an_outage(&whole)
        };
        let c3 = observed.get_mut("c3").unwrap().as_mut().unwrap();
        for name in ["nb", "sb"] {
            if let Some(status) = answer {
                let ran = Answer::Ran {
                    status,
                    stdout: String::new(),
                    stderr: String::new(),
                };
                c3.answers
                    .insert(format!("left-alone/ovn/{name}"), Fact::Known(ran));
            }
        }
        let lost: Vec<_> = lost.iter().map(|h| world::host(h)).collect();
        make(&whole.given_up(&lost), &observed, Intent::Recover).unwrap()
    };
    let check = |lost: &[&str], answer: Option<i32>, told: &[&str]| {
        let plan = plan(lost, answer);
        let steps = plan.steps.iter().filter(|s| s.id.starts_with("left-alone/"));
        let ids: Vec<&str> = steps.clone().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, told, "{lost:?} {answer:?}");
        for step in steps {
            assert!(step.after.contains(&"lost/proven".into()), "{step:?}");
        }
    };
    let both = ["left-alone/ovn/nb/c3", "left-alone/ovn/sb/c3"];
    check(&["c1", "c2"], Some(1), &both);
    // Unknown is not done: the command looks for itself.
    check(&["c1", "c2"], None, &both);
    check(&["c1", "c2"], Some(0), &[]);
    check(&["c1"], Some(1), &[]);
}

/// A host that a beside-the-cluster host invents, or that has the address of a named one,
/// is nobody's to log in to.
#[test]
fn who_is_gone_is_told_by_members_and_has_an_address_of_its_own() {
    let text = compare::read("examples/with-compute.yaml");
    let model = examples::model_of("with-compute", &text, &[]);
    let desired = world::known_by(examples::desired_of(&model));
    let member = desired.nodes[0].0.clone();
    let beside = desired
        .hosts
        .keys()
        .find(|h| !desired.is_member(h))
        .unwrap()
        .clone();
    let check = |by: &str, address: &str, gone: &[&str]| {
        let mut observed = world::all(&desired, world::applied);
        let facts = observed.get_mut(by).unwrap().as_mut().unwrap();
        let Some(Fact::Known(file)) = facts.files.get_mut(IDENTITY) else {
            panic!("{by} has no account")
        };
        let text = file.text.as_mut().unwrap();
        let told = format!("\"hosts\": [{{\"name\": \"zz\", \"address\": \"{address}\", \"roles\": []}},");
        assert!(text.contains("\"hosts\": ["));
        *text = text.replace("\"hosts\": [", &told);
        let found = plan::gone(&desired, &observed);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, gone, "{by} {address}");
    };
    let own = model.cloud.hosts[1].addresses[0].value.to_string();
    check(&member, "198.18.0.99", &["zz"]);
    check(&beside, "198.18.0.99", &[]);
    check(&member, &own, &[]);
}

/// An API whose store is down does not answer before that is back, and that is foretold.
#[test]
fn what_a_recovery_costs_is_foretold() {
    let desired = cloud(&[]).given_up(&[world::host("c1")]);
    let observed = after_an_outage(&cloud(&[]));
    let plan = make(&desired, &observed, Intent::Recover).unwrap();
    for outage in plan::outage(&plan, &desired, &plan::Measures::new()) {
        assert!(
            outage.usual_ms >= 28_000 && outage.worst_ms >= 97_000,
            "{outage:?}"
        );
    }
}

/// That an API is started says nothing of one that stands still: each other one answers
/// before a host is taken out.
#[test]
fn who_is_left_answers_before_a_host_is_taken_out() {
    let desired = cloud(&[]);
    let mut observed = world::all(&desired, world::applied);
    drift(&mut observed, "c1", "/etc/keystone/keystone.conf");
    let plan = make(&desired, &observed, Intent::Converge).unwrap();
    let gate = plan.steps.iter().find(|s| s.id == "gate/c1").unwrap();
    let waits = gate.ops.iter().filter_map(|op| match op {
        Op::Wait(wait) => Some(wait.what.as_str()),
        _ => None,
    });
    let asked: Vec<&str> = waits
        .filter(|what| what.starts_with("keystone-api serves"))
        .collect();
    assert_eq!(asked, ["keystone-api serves on c2", "keystone-api serves on c3"]);
}

/// At a balancer that does not tell whom it sends to, another may be out already.
#[test]
fn nobody_is_taken_out_beside_a_balancer_that_does_not_tell() {
    let desired = cloud(&[]);
    let mut observed = world::all(&desired, world::applied);
    drift(&mut observed, "c1", "/etc/keystone/keystone.conf");
    let silent = Fact::Unknown("no answer within 5 s".to_owned());
    let facts = observed.get_mut("c3").unwrap().as_mut().unwrap();
    facts.answers.insert("balancer/running".to_owned(), silent);
    let refused = make(&desired, &observed, Intent::Converge).unwrap_err();
    let [refusal] = refused.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.code, "balancer::unknown");
    for part in ["c3", "c1", "no answer within 5 s"] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
    // Steps that take nobody out are done, and then it is looked at again.
    drift(&mut observed, "c2", "/etc/haproxy/hosts.list");
    let plan = make(&desired, &observed, Intent::Converge).unwrap();
    assert!(plan.barrier && !plan.is_empty());
    assert!(plan.explain.contains(&refusal.message), "{:?}", plan.explain);
    let drains = |s: &&plan::Step| s.id.starts_with("drain/");
    assert_eq!(plan.steps.iter().find(drains).map(|s| &s.id), None);
}
