//! What becomes of hash rings in a plan: read from the hosts, followed by the next,
//! the same on all hosts, and refused where replicas would be lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hashring::Ring;
use plan::{Observed, Plan, Refusal};
use render::Desired;
use wire::{Answer, Fact, Op};

const PATH: &str = "/etc/swift/object.ring.gz";

/// A cloud with storage hosts of these numbers; `settings` are those of the service.
fn cloud(storage: &[u8], settings: &str) -> Desired {
    let controllers = (1..=3).map(|n| format!("  c{n}: {{ role: controller, address: 198.18.0.1{n} }}\n"));
    let stores = storage
        .iter()
        .map(|n| format!("  s{n}: {{ role: storage, address: 198.18.0.2{n} }}\n"));
    let hosts: String = controllers.chain(stores).collect();
    let text = format!(
        "cloud: apart\nrelease: \"2025.1\"\nhosts:\n{hosts}vips: {{ pool: 198.18.0.100-198.18.0.119 }}\n\
         services: [keystone, swift]\nsettings: {{ swift: {{ workers: 1{settings} }} }}\n"
    );
    world::known_by(examples::desired_of(&examples::model_of("apart", &text, &[])))
}

/// Hosts on which `before` was applied and that are asked what `after` wants to know.
fn then(before: &Desired, after: &Desired) -> Observed {
    let old = world::all(before, world::applied);
    let mut out = Observed::new();
    for host in after.hosts.keys() {
        let made = match old.get(host) {
            Some(facts) => facts.clone(),
            None => Ok(world::bare(after, host)),
        };
        out.insert(host.clone(), made);
    }
    out
}

/// The rings that a plan writes, with their hosts; all of one content.
fn written(plan: &Plan) -> (Vec<names::HostName>, Option<Ring>) {
    let mut hosts = Vec::new();
    let mut found: Vec<Vec<u8>> = Vec::new();
    for step in &plan.steps {
        let files = step.ops.iter().filter_map(|op| match op {
            Op::Files(files) => Some(files),
            _ => None,
        });
        for file in files.flatten().filter(|f| f.path == PATH) {
            hosts.extend(step.hosts.iter().cloned());
            found.push(file.content.to_vec());
        }
    }
    found.dedup();
    assert!(found.len() <= 1, "two hosts get other rings");
    (hosts, found.first().map(|file| Ring::decode(file).unwrap()))
}

fn code(result: Result<Plan, Vec<Refusal>>) -> Vec<&'static str> {
    let mut codes: Vec<&str> = result.unwrap_err().iter().map(|r| r.code).collect();
    codes.dedup();
    codes
}

#[test]
fn a_ring_that_is_as_it_should_be_stays() {
    let four = cloud(&[1, 2, 3, 4], "");
    let all = world::all(&four, world::applied);
    assert_eq!(world::plan(&four, &all).unwrap().steps, []);
}

#[test]
fn all_hosts_get_the_ring_that_follows() {
    let (three, four) = (cloud(&[1, 2, 3], ""), cloud(&[1, 2, 3, 4], ""));
    let made = world::plan(&four, &then(&three, &four)).unwrap();
    let (hosts, ring) = written(&made);
    assert_eq!(hosts, ["c1", "c2", "c3", "s1", "s2", "s3", "s4"]);
    let ring = ring.unwrap();
    assert_eq!(ring.version, 2);
    assert_eq!(ring.loads(), [3072; 4]);
}

#[test]
fn a_host_that_has_another_ring_gets_that_of_the_others() {
    let four = cloud(&[1, 2, 3, 4], "");
    let mut all = world::all(&four, world::applied);
    let facts = all["s2"].as_mut().unwrap();
    facts.files.insert(PATH.to_owned(), Fact::Absent);
    let (hosts, ring) = written(&world::plan(&four, &all).unwrap());
    assert_eq!((hosts, ring.unwrap().version), (vec![world::host("s2")], 1));
}

#[test]
fn what_is_still_to_move_waits_and_is_told() {
    let (three, four) = (cloud(&[1, 2, 3], ""), cloud(&[1, 2, 3, 4], ""));
    let five = cloud(&[1, 2, 3, 4, 5], "");
    let made = world::plan(&four, &then(&three, &four)).unwrap();
    let (_, ring) = written(&made);
    let bytes = ring.unwrap().encode().unwrap();
    // The host that came was applied with the others; its ring is the one that followed.
    let have = |desired: &Desired, file: &[u8]| {
        let mut all = world::all(desired, world::applied);
        for facts in all.values_mut().flatten() {
            for (path, fact) in &mut facts.files {
                if let (true, Fact::Known(known)) = (path.ends_with(".ring.gz"), fact) {
                    known.digest = world::digest(file);
                }
            }
            for (name, answer) in &mut facts.answers {
                if name.starts_with("ring/") {
                    *answer = Fact::Known(Answer::Ran {
                        status: 0,
                        stdout: BASE64_STANDARD.encode(file),
                        stderr: String::new(),
                    });
                }
            }
        }
        all
    };
    let seen = have(&four, &bytes);
    // Ports differ between the rings of one service: this one alone is compared.
    let (hosts, _) = written(&world::plan(&four, &seen).unwrap());
    assert_eq!(hosts, [] as [&str; 0]);
    let mut seen = have(&five, &bytes);
    let (_, known) = written(&world::plan(&five, &seen).unwrap());
    let bytes = known.unwrap().encode().unwrap();
    seen = have(&five, &bytes);
    let told = world::plan(&five, &seen).unwrap();
    assert_eq!(written(&told).0, Vec::<String>::new());
    assert!(
        told.explain
            .iter()
            .any(|e| e.contains("replicas are still to move")),
        "{:?}",
        told.explain
    );
    world::later(&mut seen, 3 * 3600);
    assert_eq!(written(&world::plan(&five, &seen).unwrap()).0.len(), 8);
}

#[test]
fn what_would_lose_replicas_is_refused() {
    let four = cloud(&[1, 2, 3, 4], "");
    let check = |after: &Desired, expect: &[&str]| {
        assert_eq!(code(world::plan(after, &then(&four, after))), expect);
    };
    check(&cloud(&[1, 2, 5], ""), &["ring::loses-replicas"]);
    check(&cloud(&[1, 2, 3, 4], ", part_power: 10"), &["ring::other-parts"]);
    let mut all = world::all(&four, world::applied);
    let answers = &mut all["s3"].as_mut().unwrap().answers;
    answers.insert(
        format!("ring/{PATH}"),
        Fact::Unknown("no such program".to_owned()),
    );
    assert_eq!(code(world::plan(&four, &all)), ["ring::unreadable"]);
}
