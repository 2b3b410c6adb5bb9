//! What is planned on a cloud that runs: addresses that come home, and a
//! Corosync that loads what its file says. Part of the tests of laws.

use super::*;

/// After a failover addresses stay, are told of, and come home when all has
/// been whole for long enough: one after the other.
#[test]
fn addresses_come_home_when_all_was_whole_for_long() {
    for (cloud, desired) in CLOUDS.iter().filter(|(_, d)| d.nodes.len() > 1) {
        let mut observed = world::all(desired, world::applied);
        let mut resources: Vec<(&str, &str)> = Vec::new();
        for vip in &desired.vips {
            if !resources.iter().any(|(r, _)| *r == vip.resource) {
                resources.push((&vip.resource, vip.home.as_deref().unwrap()));
            }
        }
        for (resource, home) in &resources {
            let other = desired.nodes.iter().rev().find(|(n, _)| n != home).unwrap();
            world::put(desired, &mut observed, resource, &other.0);
        }
        for (seconds, so_far) in [(0, "so far 0 s"), (299, "so far 299 s"), (-3600, "so far 0 s")] {
            let mut then = observed.clone();
            world::later(&mut then, seconds);
            let plan = make(desired, &then, Intent::Converge).unwrap();
            assert!(plan.is_empty(), "{cloud}:\n{}", plan::show(&plan, true));
            assert_eq!(plan.explain.len(), 1);
            for part in ["away from home", "after 300 s of `redundant`", so_far] {
                assert!(plan.explain[0].contains(part), "{cloud}: {}", plan.explain[0]);
            }
        }
        world::later(&mut observed, 300);
        let plan = make(desired, &observed, Intent::Converge).unwrap();
        hold(desired, &plan);
        let moves: Vec<(&str, &str)> = plan.steps.iter().filter_map(moved).collect();
        assert_eq!(moves, resources, "{cloud}");
        assert!(plan.explain.is_empty(), "{cloud}: {:?}", plan.explain);
        assert_eq!(
            make(desired, &observed, Intent::Recover).unwrap(),
            Plan {
                intent: "recover".to_owned(),
                ..Plan::default()
            }
        );
        // Once there, nothing is left to do.
        for (resource, home) in &resources {
            world::put(desired, &mut observed, resource, home);
        }
        assert!(
            make(desired, &observed, Intent::Converge).unwrap().is_empty(),
            "{cloud}"
        );
    }
}

/// Unknown is never taken for long enough, and what is not whole does not count.
#[test]
fn addresses_stay_while_anything_is_not_whole_or_not_known() {
    let (_, desired) = &CLOUDS[0];
    let mut observed = world::all(desired, world::applied);
    world::put(desired, &mut observed, "vip-keystone", "c3");
    world::later(&mut observed, 3600);
    assert_eq!(make(desired, &observed, Intent::Converge).unwrap().steps.len(), 1);
    let stays = |what: &str, spoil: &dyn Fn(&mut wire::Facts)| {
        let mut observed = observed.clone();
        spoil(observed["c1"].as_mut().unwrap());
        let plan = make(desired, &observed, Intent::Converge).unwrap();
        assert!(
            plan.steps.iter().all(|s| moved(s).is_none()),
            "{what}: {}",
            plan::show(&plan, false)
        );
        let told = plan.explain.iter().filter(|l| l.contains("away from home"));
        assert_eq!(told.count(), 1, "{what}: {:?}", plan.explain);
    };
    let cib = |facts: &mut wire::Facts, from: &str, to: &str| {
        assert!(facts.cib.known().is_some());
        world::reconfigure(facts, |cib| {
            assert!(cib.contains(from));
            cib.replacen(from, to, 1)
        });
    };
    let last = world::LAST.to_string();
    stays("a clock that was put back", &|f| f.clock = 0);
    stays("a CIB that does not tell", &|f| {
        f.cib = Fact::Unknown("timed out".to_owned());
    });
    stays("joins are not told", &|f| {
        cib(f, &format!("in_ccm=\"{last}\""), "in_ccm=\"true\"");
    });
    stays("one joined just now", &|f| {
        cib(f, &last, &(world::LAST + 3599).to_string());
    });
    stays("a member of a store is gone", &|f| {
        f.answers.insert("galera/status".to_owned(), Fact::Absent);
    });
    stays("the configuration differs", &|f| {
        cib(f, "score=\"100\"", "score=\"INFINITY\"");
    });
    stays("a file is to be changed under a service", &|f| {
        let path = "/etc/haproxy/tls/host.pem";
        let Some(Fact::Known(file)) = f.files.get_mut(path) else {
            panic!()
        };
        file.digest = "0".repeat(32);
    });
}

fn corosync(facts: &mut wire::Facts, change: impl Fn(&str) -> String) {
    let Some(Fact::Known(Answer::Ran { stdout, .. })) = facts.answers.get_mut("corosync/running") else {
        panic!()
    };
    let before = stdout.clone();
    *stdout = change(stdout);
    assert_ne!(*stdout, before);
}

/// A file that is right and not in force is drift: all members load it, and
/// each is waited for.
#[test]
fn what_corosync_runs_with_is_compared() {
    for (cloud, desired) in CLOUDS.iter() {
        let spoilt: [&dyn Fn(&str) -> String; 3] = [
            &|t| {
                t.replace(
                    "runtime.config.totem.token (u32) = ",
                    "runtime.config.totem.token (u32) = 7",
                )
            },
            &|t| t.replace("knet_ping_timeout (u32) = ", "knet_ping_timeout (u32) = 7"),
            &|t| format!("{t}config.reload_error_message (str) = Failed to set knet ping timers(2)\n"),
        ];
        for spoil in spoilt {
            let mut observed = world::all(desired, world::applied);
            let last = desired.nodes.last().unwrap().0.clone();
            corosync(observed[&last].as_mut().unwrap(), spoil);
            let plan = make(desired, &observed, Intent::Converge).unwrap();
            hold(desired, &plan);
            let ids: Vec<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
            assert_eq!(
                ids,
                ["corosync/reload", &format!("corosync/loaded/{last}")],
                "{cloud}"
            );
            assert!(plan.steps[0].changes.len() == 1 && plan.steps[0].hosts.len() == desired.nodes.len());
        }
    }
}

/// All members have the new file before any is told to load it.
#[test]
fn corosync_loads_when_all_have_the_file() {
    for (cloud, desired) in CLOUDS.iter() {
        let mut observed = world::all(desired, world::applied);
        for (node, _) in &desired.nodes {
            let facts = observed[node].as_mut().unwrap();
            let Some(Fact::Known(file)) = facts.files.get_mut("/etc/corosync/corosync.conf") else {
                panic!()
            };
            file.digest = "0".repeat(32);
            corosync(facts, |t| {
                t.replace("totem.token (u32) = ", "totem.token (u32) = 7")
            });
        }
        let plan = make(desired, &observed, Intent::Converge).unwrap();
        hold(desired, &plan);
        let reload = plan.steps.iter().find(|s| s.id == "corosync/reload").unwrap();
        for (node, _) in &desired.nodes {
            assert!(
                reload.after.contains(&format!("prepare/{node}").into()),
                "{cloud}"
            );
            assert!(
                plan.steps
                    .iter()
                    .any(|s| s.id == format!("corosync/loaded/{node}")),
                "{cloud}"
            );
        }
    }
}

/// What a reload passes over is told, never ignored; what cannot be seen is
/// no reason to load anything.
#[test]
fn what_corosync_cannot_change_is_refused() {
    let (_, desired) = &CLOUDS[0];
    for (now, key) in [
        ("transport (str) = ", "totem.transport"),
        ("node.1.ring0_addr (str) = ", "nodelist.c2.ring0_addr"),
        ("quorum.provider (str) = ", "quorum.provider"),
    ] {
        let mut observed = world::all(desired, world::applied);
        corosync(observed["c2"].as_mut().unwrap(), |t| {
            t.replace(now, &format!("{now}x"))
        });
        let refusals = make(desired, &observed, Intent::Converge).unwrap_err();
        let codes: Vec<&str> = refusals.iter().map(|r| r.code).collect();
        assert_eq!(codes, ["corosync::not-by-reload"], "{key}");
        assert!(refusals[0].message.contains(key) && refusals[0].cure.contains("quorate recover"));
    }
    for fact in [Fact::Absent, Fact::Unknown("timed out".to_owned())] {
        let mut observed = world::all(desired, world::applied);
        observed["c2"]
            .as_mut()
            .unwrap()
            .answers
            .insert("corosync/running".to_owned(), fact);
        assert!(make(desired, &observed, Intent::Converge).unwrap().is_empty());
    }
}

/// A run that died in the middle of a move leaves its preference raised: drift.
#[test]
fn a_raised_preference_is_taken_back() {
    for (cloud, desired) in CLOUDS.iter() {
        let mut observed = world::all(desired, world::applied);
        for facts in observed.values_mut().flatten() {
            world::reconfigure(facts, |cib| {
                cib.replacen("score=\"100\"", "score=\"INFINITY\"", 1)
            });
        }
        let plan = make(desired, &observed, Intent::Converge).unwrap();
        hold(desired, &plan);
        let changes: Vec<&str> = plan
            .steps
            .iter()
            .flat_map(|s| &s.changes)
            .map(|c| c.what.as_str())
            .collect();
        assert_eq!(changes, ["cluster constraints"], "{cloud}");
    }
}
