//! Captured with Pacemaker 3.0.0 on Debian 13, 2026-11-21: `three.xml` from
//! three quiet nodes (resources renamed), `busy.xml` from one node on which
//! `broken` has no unit, `slow2` takes its time to start and `slow` was taken
//! out of the configuration while it ran.

use super::*;

const THREE: &str = include_str!("three.xml");
const BUSY: &str = include_str!("busy.xml");

fn resource(id: &str, role: &str, count: u32, node: &str) -> ResourceWant {
    ResourceWant {
        id: id.into(),
        role: role.to_owned(),
        count,
        node: node.to_owned(),
    }
}

fn check(xml: &str, online: u32, resources: Vec<ResourceWant>, idle: bool, expect: Result<(), &str>) {
    let want = ClusterWant {
        online,
        resources,
        idle,
    };
    assert_eq!(
        satisfied(&Monitor::parse(xml).unwrap(), &want),
        expect.map_err(str::to_owned)
    );
}

#[test]
fn all_is_well() {
    let resources = vec![
        resource("store", "Promoted", 3, ""),
        resource("haproxy", "Started", 3, "c2"),
        resource("vip-api", "Started", 1, "c1"),
    ];
    check(THREE, 3, resources, true, Ok(()));
}

#[test]
fn what_is_missing_is_said() {
    check(
        THREE,
        4,
        vec![],
        false,
        Err("3 of 4 nodes are online (no other is known)"),
    );
    let standby = THREE.replacen("standby=\"false\"", "standby=\"true\"", 1);
    check(
        &standby,
        3,
        vec![],
        false,
        Err("2 of 3 nodes are online (c1 is standby)"),
    );
    let off = THREE.replacen("online=\"true\"", "online=\"false\"", 2);
    check(
        &off,
        3,
        vec![],
        false,
        Err("1 of 3 nodes are online (c1 is offline, c2 is offline)"),
    );
    check(&off, 1, vec![], false, Ok(()));

    check(
        THREE,
        0,
        vec![resource("gone", "Started", 1, "")],
        false,
        Err("gone is not in the cluster"),
    );
    let unpromoted = THREE.replacen("role=\"Promoted\"", "role=\"Unpromoted\"", 1);
    let want = || vec![resource("store", "Promoted", 3, "")];
    check(
        &unpromoted,
        0,
        want(),
        false,
        Err("store is Promoted on 2 of 3 nodes (c2, c3)"),
    );
    let want = vec![resource("vip-api", "Started", 1, "c3")];
    check(
        THREE,
        0,
        want,
        false,
        Err("vip-api is not Started on c3 but on c1"),
    );
}

#[test]
fn a_busy_cluster_is_not_idle() {
    let busy = "broken_start_0 failed on a1: systemd unit nope not found; \
                slow is no longer wanted and still runs; \
                slow2 is Starting; \
                start of slow2 is under way on a1";
    check(BUSY, 1, vec![], true, Err(busy));
    check(BUSY, 1, vec![], false, Ok(()));
    let slow = vec![resource("slow2", "Started", 1, "")];
    check(
        BUSY,
        1,
        slow,
        false,
        Err("slow2 is Started on 0 of 1 nodes (Starting)"),
    );
    // An orphan is not what was asked for, whatever its role.
    check(
        BUSY,
        1,
        vec![resource("slow", "Started", 1, "")],
        false,
        Err("slow is Started on 0 of 1 nodes (Started)"),
    );
}

#[test]
fn copies_of_a_unique_clone_count_by_node() {
    let numbered = THREE.replace("<resource id=\"haproxy\"", "<resource id=\"haproxy:1\"");
    check(
        &numbered,
        3,
        vec![resource("haproxy", "Started", 3, "")],
        false,
        Ok(()),
    );
}
