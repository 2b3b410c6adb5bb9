//! What losses cost: the pages of two examples, and the rules behind them.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use plan::{Fault, Loss, Of, Until, losses, losses_page};
use wire::JourneyKind;

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

#[test]
fn the_page_is_as_foretold() {
    let mut page = String::from(
        "# What a loss costs\n\n\
         <!-- Generated from the examples: QUORATE_BLESS=1 cargo test -p plan --test losses -->\n\n\
         Before anything is lost: until when what a user begins after a fault comes to a good end \
         again, usually and at worst, and why. It is worked out from the kinds of the components and \
         the [budget of times](budget.md), whose names stand in brackets. Layers wait beside each \
         other, so the longest counts; that a journey takes time by itself comes on top. Of what runs \
         on one host only, usual is what a fault on that host costs. Two reasons are shown: \
         the longest at worst, and the longest that is usual. What is in no table costs \
         nobody anything: what works in the background, and of what there is more.\n\n\
         Not foretold: what was begun before the fault, two faults at once, a whole network, and \
         what is outside of the cloud.\n\n\
         A name in back-ticks is an address that takes requests; the others are journeys, what users \
         do. `quorate render cloud.yaml --to FOLDER` writes the same of your cloud into \
         `FOLDER/losses.md`, and each case by itself into `FOLDER/losses.json`.\n",
    );
    for name in ["three-controllers", "eight-services"] {
        let (_, desired) = examples::example(name);
        let tables = losses_page(&losses(&desired)).replace("\n## ", "\n### ");
        let _ = write!(page, "\n## [{name}](../../examples/{name}.yaml)\n{tables}");
    }
    compare::text("docs/concepts/losses.md", &page);
}

fn journey(service: &str, kind: JourneyKind) -> (String, Of) {
    (service.to_owned(), Of::Journey(kind))
}

fn endpoint(service: &str, resource: &str) -> (String, Of) {
    (service.to_owned(), Of::Endpoint(resource.into()))
}

fn of(all: &[Loss], fault: Fault, host: &str, component: &str, target: &(String, Of)) -> (Until, Until) {
    let mut found = all
        .iter()
        .filter(|l| (l.fault, l.host.as_str(), l.component.as_str()) == (fault, host, component));
    let found = found.find(|l| (&l.service, &l.of) == (&target.0, &target.1));
    found.map_or((Until::NOW, Until::NOW), |l| (l.usual, l.worst))
}

const fn ms(ms: u64) -> Until {
    Until::Ms(ms)
}

#[test]
fn each_kind_costs_what_its_chain_says() {
    use Fault::{Frozen, Killed, Power};
    let (_, desired) = examples::example("eight-services");
    let all = losses(&desired);
    let check = |fault, host, component, target: (String, Of), usual, worst| {
        let is = of(&all, fault, host, component, &target);
        assert_eq!(is, (usual, worst), "{fault:?} {host} {component} {target:?}");
    };
    let mut homes = desired.vips.iter();
    let home = &homes
        .find(|v| v.service == "keystone")
        .unwrap()
        .home
        .clone()
        .unwrap();
    let mut others = desired.vips.iter().filter_map(|v| v.home.as_ref());
    let away = others.find(|h| *h != home).unwrap();
    let identity = endpoint("keystone", "keystone-api");
    let write = journey("keystone", JourneyKind::Write);
    let volume = journey("cinder", JourneyKind::Action);
    let machine = journey("nova", JourneyKind::Action);
    // The address: where it stands, and where it may.
    check(Power, home, "", identity.clone(), ms(3550), ms(15_000));
    check(Power, away, "", identity.clone(), ms(500), ms(15_000));
    check(Killed, home, "haproxy", identity.clone(), ms(5500), ms(32_000));
    check(Frozen, home, "haproxy", identity.clone(), ms(9500), ms(38_000));
    // Behind it.
    check(Killed, "c1", "keystone-api", identity.clone(), ms(0), ms(1250));
    check(Frozen, "c1", "keystone-api", identity.clone(), ms(2350), ms(2850));
    check(
        Frozen,
        "c1",
        "nova-novncproxy",
        endpoint("nova", "nova-novncproxy"),
        ms(2350),
        ms(2850),
    );
    check(
        Frozen,
        "c1",
        "swift-proxy",
        endpoint("swift", "swift-proxy"),
        ms(4750),
        ms(5250),
    );
    // The stores, of which an API's own process knows nothing.
    check(Frozen, "c1", "galera", write.clone(), ms(2500), ms(5000));
    check(
        Frozen,
        "c1",
        "galera",
        journey("keystone", JourneyKind::Read),
        ms(2050),
        ms(5000),
    );
    check(Frozen, "c1", "galera", identity.clone(), ms(0), ms(0));
    check(Frozen, "c1", "rabbitmq", write.clone(), ms(0), ms(0));
    check(Killed, "c1", "rabbitmq", volume.clone(), ms(3100), ms(45_000));
    check(Frozen, "c1", "rabbitmq", volume.clone(), ms(22_200), ms(45_000));
    check(Frozen, "c1", "memcached", write, ms(500), ms(4000));
    // Workers, what runs once, and what does the work.
    check(
        Killed,
        "c1",
        "cinder-scheduler",
        volume.clone(),
        ms(0),
        ms(45_000),
    );
    check(
        Frozen,
        "c1",
        "cinder-scheduler",
        volume.clone(),
        ms(8000),
        ms(45_000),
    );
    check(
        Killed,
        "n1",
        "nova-compute",
        machine.clone(),
        ms(6000),
        ms(31_000),
    );
    check(Power, "n1", "", machine, Until::Repaired, Until::Repaired);
    check(Power, "n1", "", volume, ms(0), ms(0));
    // Who is out of the cluster is switched off.
    check(Frozen, home, "corosync", identity.clone(), ms(3550), ms(15_000));
    check(Frozen, home, "pacemaker", identity.clone(), ms(0), ms(0));
    check(Killed, "c1", "chrony", identity, ms(0), ms(0));
}

#[test]
fn what_runs_once_is_fenced_first() {
    let desired = examples::desired_of(&examples::model_of(
        "apart",
        examples::APART,
        &[(
            "openstack/lonely/service.yaml",
            "name: lonely\nneeds: [keystone, rabbitmq]\nbroker: { user: lonely }\ncomponents:\n  \
             api: { kind: stateless, runs-on: api, unit: lonely-api.service, endpoint: { port: 9999, check: / } }\n  \
             volume: { kind: singleton, runs-on: api, unit: lonely.service, after: [keystone, galera] }\n\
             journeys: { action: [{ ask: GET / }] }\n",
        )],
    ));
    let all = losses(&desired);
    let action = journey("lonely", JourneyKind::Action);
    let is = |fault, host| of(&all, fault, host, "", &action);
    // 2.2 s of membership, 1 s to decide, 5 s to fence, 5 s to start; 60 and 30 at worst.
    assert_eq!(is(Fault::Power, "lb1"), (ms(13_200), ms(93_200)));
    let row = all
        .iter()
        .find(|l| l.host == "lb1" && l.component.is_empty() && l.of == action.1);
    assert!(row.unwrap().why.first().unwrap().contains("fence"));
    // Up to 1 s until the cluster is told, half of it usually, and 5 s to start; at worst
    // all of it, 1 s and 30 s.
    let is = |fault| of(&all, fault, "lb1", "lonely-volume", &action);
    assert_eq!(is(Fault::Killed), (ms(5_500), ms(32_000)));
    assert_eq!(is(Fault::Frozen), (Until::Repaired, Until::Repaired));
}

#[test]
fn worst_is_never_less_than_usual_and_has_its_reasons() {
    for (name, desired) in examples::clouds() {
        for loss in losses(&desired) {
            assert!(loss.usual <= loss.worst, "{name}: {loss:?}");
            assert!(
                !loss.why.is_empty() && loss.why.iter().all(|w| !w.is_empty()),
                "{name}: {loss:?}"
            );
        }
    }
}

/// Of each cloud: an address neither pays for a host that has neither it nor a balancer,
/// nor does a journey for one that has nothing of what it stands on.
#[test]
fn what_a_host_does_not_run_costs_nobody_anything() {
    for (name, desired) in examples::clouds() {
        for loss in losses(&desired).iter().filter(|l| l.fault == Fault::Power) {
            let Of::Endpoint(resource) = &loss.of else {
                continue;
            };
            let behind = desired.balanced.iter().find(|b| b.resource == *resource).unwrap();
            let has = behind.members.contains(&loss.host) || desired.balancers.contains(&loss.host);
            assert!(has, "{name}: {loss:?}");
        }
    }
}

#[test]
fn what_is_alone_is_repaired_by_somebody() {
    let (_, desired) = examples::example("one-controller");
    let all = losses(&desired);
    let cuts: Vec<&Loss> = all.iter().filter(|l| l.fault == Fault::Power).collect();
    assert_eq!(cuts.len(), desired.balanced.len() + desired.journeys.len());
    for cut in cuts {
        assert_eq!(
            (cut.usual, cut.worst),
            (Until::Repaired, Until::Repaired),
            "{cut:?}"
        );
    }
    let killed = of(
        &all,
        Fault::Killed,
        "c1",
        "keystone-api",
        &endpoint("keystone", "keystone-api"),
    );
    assert_eq!(killed, (ms(5_500), ms(32_000)));
}

/// Names of the budget that the chains read.
fn read() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for file in ["chain", "stores", "times", "work"] {
        let text = compare::read(&format!("crates/losses/src/{file}.rs"));
        let code = text.split("#[cfg(test)]").next().unwrap();
        for before in [".of(\"", ", \"check_"] {
            let kept = before
                .trim_start_matches([',', ' ', '.'])
                .trim_start_matches("of(");
            let kept = kept.trim_start_matches('"');
            let mut rest = code.split(before);
            rest.next();
            out.extend(rest.map(|r| format!("{kept}{}", r.split('"').next().unwrap())));
        }
    }
    out
}

#[test]
fn every_number_that_is_read_is_in_the_budget() {
    let (_, desired) = examples::example("three-controllers");
    let read = read();
    let there = desired.budget.0.iter().map(|n| n.name.clone()).collect();
    assert!(read.len() > 20, "{read:?}");
    let missing: Vec<&String> = read.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
