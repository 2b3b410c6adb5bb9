//! Changes of files that packages brought: asked for and undone host by host, and
//! never made in a file that is not known.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use plan::{Effect, Observed, Plan};
use render::Desired;
use wire::{Answer, Fact, Op, Own};

/// A cure of a file that one service's programs read.
const CURE: [(&str, &str); 1] = [(
    "cures/slow.yaml",
    "summary: it is slow\nevidence: it was measured\npackage: lib\nfile: /usr/lib/lib.py\n\
     change: { from: sleep(1), to: sleep(0) }\n\
     versions: { '1.0': { before: BEFORE, after: AFTER } }\nrestart: { heat: [engine, api] }\n",
)];
const BEFORE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const AFTER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const OTHER: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

fn cloud(services: &str, cures: &str) -> Desired {
    let text = format!(
        "cloud: demo\nrelease: \"2025.1\"\nhosts:\n  c1: {{ role: controller, address: 198.18.0.11 }}\n  \
         c2: {{ role: controller, address: 198.18.0.12 }}\n  c3: {{ role: controller, address: 198.18.0.13 }}\n\
         vips: {{ pool: 198.18.0.100-198.18.0.119 }}\nservices: [{services}]\ncures: [{cures}]\n"
    );
    let words = CURE[0].1.replace("BEFORE", BEFORE).replace("AFTER", AFTER);
    let model = examples::model_of("demo", &text, &[(CURE[0].0, words.as_str())]);
    world::known_by(examples::desired_of(&model))
}

/// A cloud in which all is as it should be, but for the file, which has these digests.
fn seen(desired: &Desired, digests: [&str; 3]) -> Observed {
    let mut out = world::all(desired, world::applied);
    for (facts, digest) in out.values_mut().zip(digests) {
        let facts = facts.as_mut().unwrap();
        let ran = Answer::Ran {
            status: 0,
            stdout: format!("{digest}  /usr/lib/lib.py\n"),
            stderr: String::new(),
        };
        facts.answers.insert("cure/slow".to_owned(), Fact::Known(ran));
        facts
            .packages
            .insert("lib".to_owned(), Fact::Known("1.0-3".to_owned()));
    }
    out
}

fn plan(desired: &Desired, observed: &Observed) -> Plan {
    world::plan(desired, observed).unwrap()
}

/// Hosts whose file a plan changes, in order, with the text that goes.
fn changed(plan: &Plan) -> Vec<(names::HostName, String)> {
    let mut out = Vec::new();
    for step in &plan.steps {
        let files = step.ops.iter().filter_map(|op| match op {
            Op::Files(files) => Some(files),
            _ => None,
        });
        for file in files.flatten() {
            if let Own::Edit(edit) = &file.own {
                out.push((step.hosts[0].clone(), edit.from.clone()));
            }
        }
    }
    out
}

#[test]
fn what_is_asked_for_is_done_and_what_is_not_is_undone() {
    let check = |cures: &str, digests: [&str; 3], expect: &[&str], from: &str| {
        let desired = cloud("keystone, heat", cures);
        let made = plan(&desired, &seen(&desired, digests));
        let found = changed(&made);
        let found: Vec<(&str, &str)> = found.iter().map(|(h, f)| (h.as_str(), f.as_str())).collect();
        let expect: Vec<(&str, &str)> = expect.iter().map(|h| (*h, from)).collect();
        assert_eq!(found, expect, "{cures} {digests:?}");
        made
    };
    check("slow", [AFTER; 3], &[], "");
    check("", [BEFORE; 3], &[], "");
    // Whoever changed it otherwise keeps it.
    check("", [OTHER; 3], &[], "");
    check("", [AFTER, BEFORE, AFTER], &["c1", "c3"], "sleep(0)");
    let made = check("slow", [BEFORE, BEFORE, AFTER], &["c1", "c2"], "sleep(1)");
    // Who reads it is restarted, one host after the other.
    let turn = |host: &str| {
        made.steps
            .iter()
            .find(|s| s.id == format!("change/{host}"))
            .unwrap()
    };
    for host in ["c1", "c2"] {
        let restarted: Vec<&str> = turn(host)
            .effects
            .iter()
            .filter_map(|e| match e {
                Effect::Restart { resource, .. } => Some(resource.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(restarted, ["heat-engine", "heat-api"]);
        assert_eq!(
            turn(host).changes[0].diff,
            "-sleep(1)\n+sleep(0)\n",
            "{}",
            plan::show(&made, true)
        );
    }
    let drain = made.steps.iter().find(|s| s.id == "drain/c2/c1").unwrap();
    assert!(
        drain
            .after
            .iter()
            .any(|a| a.ends_with("c1") || a.contains("/c1/"))
    );
}

#[test]
fn a_file_that_is_not_known_is_told_and_left() {
    let desired = cloud("keystone, heat", "slow");
    let made = plan(&desired, &seen(&desired, [AFTER, OTHER, AFTER]));
    assert!(made.is_empty(), "{}", plan::show(&made, true));
    let told: Vec<&String> = made.explain.iter().filter(|e| e.contains("slow")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("c2: /usr/lib/lib.py is none of the files"),
        "{told:?}"
    );
    assert!(told[0].contains("lib 1.0-3"), "{told:?}");
}

#[test]
fn on_a_new_host_it_is_done_where_the_package_comes() {
    let desired = cloud("keystone, heat", "slow");
    let bare = world::all(&desired, world::bare);
    let hosts: Vec<_> = changed(&plan(&desired, &bare))
        .into_iter()
        .map(|(host, _)| host)
        .collect();
    assert_eq!(hosts, ["c1", "c2", "c3"]);
    // And where nothing reads it, nobody looks.
    let other = cloud("keystone", "");
    let mut cures = other.hosts.values().flat_map(|h| &h.cures);
    assert!(cures.all(|c| c.name != "slow"));
}
