//! Boundaries of what a VM asks for, and of why it is not protected.

use openstack::{Flavor, Image, Volume};

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn known(text: &str) -> Fact<String> {
    Fact::Known(text.to_owned())
}

/// A VM that boots from a volume and asks for nothing.
fn vm() -> openstack::Server {
    openstack::Server {
        id: "vm".to_owned(),
        name: known("web"),
        project: known("p"),
        host: known("n1"),
        hypervisor: known("n1"),
        status: known("ACTIVE"),
        vm_state: known("active"),
        task_state: Fact::Absent,
        power_state: Fact::Known(1),
        locked: Fact::Known(false),
        tags: Fact::Known(Vec::new()),
        metadata: Fact::Known(BTreeMap::new()),
        flavor: Flavor {
            name: known("tiny"),
            vcpus: Fact::Known(1),
            ram_mib: Fact::Known(64),
            disk_gib: Fact::Known(1),
            ephemeral_gib: Fact::Known(0),
            extra_specs: Fact::Known(BTreeMap::new()),
        },
        image: Fact::Absent,
        volumes: Fact::Known(vec![Volume { id: "v".to_owned() }]),
        zone: known("nova"),
        asked_zone: Fact::Absent,
        created: Fact::Absent,
        groups: Fact::Absent,
    }
}

fn image(properties: &[(&str, &str)]) -> Fact<Image> {
    Fact::Known(Image {
        id: "i".to_owned(),
        properties: Fact::Known(map(properties)),
    })
}

#[test]
fn reasons_against_protection() {
    fn check(shared: bool, change: fn(&mut openstack::Server), expect: &[WhyNot]) {
        let mut vm = vm();
        change(&mut vm);
        let asked = Asked {
            shared_instances: shared,
            ..Asked::default()
        };
        assert_eq!(server(&vm, &asked).unprotected, expect);
    }
    check(false, |_| {}, &[]);
    check(false, |vm| vm.image = image(&[]), &[WhyNot::LocalDisk]);
    check(true, |vm| vm.image = image(&[]), &[]);
    check(
        false,
        |vm| vm.flavor.ephemeral_gib = Fact::Known(1),
        &[WhyNot::LocalDisk],
    );
    check(true, |vm| vm.flavor.ephemeral_gib = Fact::Known(1), &[]);
    check(
        false,
        |vm| vm.image = Fact::Unknown("no `image`".to_owned()),
        &[WhyNot::Unseen("no `image`".to_owned())],
    );
    check(
        true,
        |vm| vm.flavor.extra_specs = Fact::Unknown(String::new()),
        &[WhyNot::Unseen("its flavor's extra specs are unknown".to_owned())],
    );
    check(
        true,
        |vm| vm.flavor.extra_specs = Fact::Known(map(&[("hw:tpm_version", "2.0")])),
        &[WhyNot::Vtpm],
    );
    check(
        true,
        |vm| vm.image = image(&[("hw_tpm_version", "2.0")]),
        &[WhyNot::Vtpm],
    );
    for key in [
        "pci_passthrough:alias",
        "accel:device_profile",
        "resources:VGPU",
        "resources1:VGPU",
    ] {
        let mut vm = vm();
        vm.flavor.extra_specs = Fact::Known(map(&[(key, "1")]));
        let asked = Asked {
            shared_instances: true,
            ..Asked::default()
        };
        assert_eq!(server(&vm, &asked).unprotected, [WhyNot::Passthrough], "{key}");
    }
    check(
        true,
        |vm| vm.flavor.extra_specs = Fact::Known(map(&[("resources:VCPU", "1")])),
        &[],
    );
    check(
        true,
        |vm| vm.tags = Fact::Known(vec!["quorate:evacuate=false".to_owned()]),
        &[WhyNot::NotAsked],
    );
    check(
        true,
        |vm| vm.metadata = Fact::Known(map(&[("quorate:evacuate", "True")])),
        &[],
    );
}

#[test]
fn what_is_nearer_to_the_vm_counts() {
    let aggregates = [Aggregate {
        name: "a".to_owned(),
        zone: Fact::Absent,
        hosts: Fact::Known(vec!["n1".to_owned()]),
        metadata: Fact::Known(map(&[("quorate:priority", "1")])),
    }];
    let asked = Asked {
        aggregates: &aggregates,
        ..Asked::default()
    };
    let mut one = vm();
    let mut check = |change: &dyn Fn(&mut openstack::Server), expect: i32| {
        change(&mut one);
        assert_eq!(server(&one, &asked).priority, expect);
    };
    check(&|_| {}, 1);
    check(&|vm| vm.image = image(&[("quorate:priority", "2")]), 2);
    check(
        &|vm| vm.flavor.extra_specs = Fact::Known(map(&[("quorate:priority", "3")])),
        3,
    );
    check(
        &|vm| vm.tags = Fact::Known(vec!["quorate:priority=4".to_owned()]),
        4,
    );
    check(
        &|vm| vm.metadata = Fact::Known(map(&[("quorate:priority", "5")])),
        5,
    );
    check(
        &|vm| vm.metadata = Fact::Known(map(&[("quorate:priority", "high")])),
        0,
    );
    one.host = known("n2");
    one.metadata = Fact::Absent;
    one.tags = Fact::Absent;
    one.flavor.extra_specs = Fact::Known(BTreeMap::new());
    one.image = Fact::Absent;
    assert_eq!(server(&one, &asked).priority, 0);
}

#[test]
fn a_zone_binds_a_vm_that_asked_for_it() {
    let check = |asked: Fact<String>, expect: Option<&str>| {
        let vm = openstack::Server {
            asked_zone: asked,
            ..vm()
        };
        assert_eq!(
            server(&vm, &Asked::default())
                .zone
                .map(|z| z.to_string())
                .as_deref(),
            expect
        );
    };
    check(Fact::Absent, None);
    check(known("east"), Some("east"));
    check(Fact::Unknown("an older API".to_owned()), Some("nova"));
}

#[test]
fn vms_are_kept_apart_by_strict_groups_only() {
    let group = |id: &str, policy: &str| ServerGroup {
        id: id.to_owned(),
        policy: known(policy),
        members: Fact::Known(["vm", "b", "c", "gone"].map(str::to_owned).into()),
    };
    let places = map(&[("vm", "n1"), ("b", "n2"), ("c", "n2")]);
    let check = |groups: &[ServerGroup], expect: Option<Apart>| {
        let asked = Asked {
            groups,
            places: Some(&places),
            ..Asked::default()
        };
        assert_eq!(server(&vm(), &asked).apart, expect);
    };
    let apart = Apart {
        group: Name::from("g"),
        hosts: vec![HostId::from("n2")],
    };
    check(
        &[group("s", "soft-anti-affinity"), group("g", "anti-affinity")],
        Some(apart),
    );
    check(&[group("s", "soft-anti-affinity"), group("t", "affinity")], None);
    check(&[], None);
}

#[test]
fn a_state_that_is_not_known_is_not_evacuated() {
    let mut vm = vm();
    vm.vm_state = Fact::Unknown("partial".to_owned());
    vm.task_state = Fact::Unknown("partial".to_owned());
    vm.power_state = Fact::Known(3);
    let seen = server(&vm, &Asked::default());
    assert_eq!(seen.state, VmState::Other("unknown".to_owned()));
    assert_eq!(seen.task.as_deref(), Some("unknown"));
    assert_eq!(seen.power, GuestPower::Unknown);
}
