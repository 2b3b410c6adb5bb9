//! The audit on one VM of each kind.

use wire::Fact;

use super::seens::{quiet, server};
use crate::*;

/// Reasons against the protection of the VM `v`, in a cloud that `change` made otherwise.
fn check(change: impl Fn(&mut Vec<Server>, &mut Seen), expect: &[WhyNot]) {
    let mut seen = quiet(3);
    let mut vms = vec![server("v", "n1")];
    change(&mut vms, &mut seen);
    let audited = audit(&vms, &seen.hosts);
    let own = audited.iter().find(|a| a.vm == "v".into()).unwrap();
    assert_eq!(own.why_not, expect);
}

#[test]
fn each_kind_of_vm_is_told_apart() {
    check(|_, _| (), &[]);
    for why in [
        WhyNot::LocalDisk,
        WhyNot::Vtpm,
        WhyNot::Passthrough,
        WhyNot::Shares,
        WhyNot::NotAsked,
    ] {
        check(
            |vms, _| vms[0].unprotected.push(why.clone()),
            std::slice::from_ref(&why),
        );
    }
    check(|vms, _| vms[0].zone = Some("z".into()), &[WhyNot::NoSecondHost]);
    let zones = |vms: &mut Vec<Server>, seen: &mut Seen| {
        vms[0].zone = Some("z".into());
        seen.at(2).zone = Some("z".into());
    };
    check(zones, &[]);
}

#[test]
fn room_is_asked_for_all_vms_of_a_host() {
    let room = |mb: u64| {
        move |_: &mut Vec<Server>, seen: &mut Seen| {
            for host in &mut seen.hosts {
                host.room = Fact::Known(Room {
                    ram_mb: mb,
                    vcpus: 16,
                });
            }
        }
    };
    check(room(512), &[]);
    check(room(511), &[WhyNot::NoRoom]);
    let with = |others: usize| {
        move |vms: &mut Vec<Server>, seen: &mut Seen| {
            room(512)(vms, seen);
            vms.extend((0..others).map(|n| Server {
                priority: 1,
                ..server(&format!("w{n}"), "n1")
            }));
        }
    };
    check(with(1), &[]);
    check(with(2), &[WhyNot::NoRoom]);
}

#[test]
fn hosts_that_take_no_vms_are_no_room() {
    let spoilt: [fn(&mut HostSeen); 5] = [
        |host| host.agent = Fact::Known(false),
        |host| host.agent = Fact::Unknown("503".to_owned()),
        |host| host.room = Fact::Unknown("503".to_owned()),
        |host| host.service().enabled = false,
        |host| host.service().up = false,
    ];
    for spoil in spoilt {
        let both = |_: &mut Vec<Server>, seen: &mut Seen| {
            spoil(seen.at(2));
            spoil(seen.at(3));
        };
        check(both, &[WhyNot::NoRoom]);
    }
}

#[test]
fn peers_are_kept_apart() {
    let peers = |hosts: &'static [&'static str]| {
        move |vms: &mut Vec<Server>, _: &mut Seen| {
            let hosts = hosts.iter().map(|host| (*host).into()).collect();
            vms[0].apart = Some(Apart {
                group: "g".into(),
                hosts,
            });
        }
    };
    check(peers(&["n2"]), &[]);
    check(peers(&["n2", "n3"]), &[WhyNot::NoRoom]);
}
