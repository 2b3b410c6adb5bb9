//! VM hosts worked on, by performing plans: emptied before, open afterwards, no VM lost, and
//! gone on from wherever the operator was killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "support/clouds.rs"]
mod clouds;
#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use clouds::{good, name, said};
use plan::{Intent, Upkeep};
use sim::{Ended, Guests, Stop, World};

/// Three controllers and two VM hosts, applied, with VMs on both.
fn world() -> World {
    let text = compare::read("examples/with-compute.yaml");
    let n1 = "  n1: { role: compute,";
    assert!(text.contains(n1));
    let n2 = "  n2: { role: compute, address: 198.18.0.22, addresses: { tunnels: 198.19.0.22 } }\n";
    let model = examples::model_of("with-compute", &text.replace(n1, &format!("{n2}{n1}")), &[]);
    let mut world = World::bare(&sim::known_by(examples::desired_of(&model)));
    let ended = world.run(Intent::Converge, Stop::Never);
    good(&world, &ended, "made");
    for (host, vms) in [("n1", 3), ("n2", 1)] {
        world.guests.insert(name(host), Guests { open: true, vms });
    }
    world
}

/// The VM hosts are as expected: open or not, and their VMs.
#[track_caller]
fn check(world: &World, ended: &Ended, expect: [(bool, u32); 2], what: &str) {
    good(world, ended, what);
    let found = ["n1", "n2"].map(|h| (world.guests[h].open, world.guests[h].vms));
    assert_eq!(found, expect, "{what}");
}

#[test]
fn a_vm_host_is_empty_while_it_is_worked_on() {
    for upkeep in [Upkeep::Reboot, Upkeep::Update] {
        let mut world = world();
        let boots = world.machines["n1"].boots;
        let ended = world.keep_up("n1", upkeep, Stop::Never);
        check(&world, &ended, [(true, 0), (true, 4)], &format!("{upkeep:?}"));
        let anew = u32::from(upkeep == Upkeep::Reboot);
        assert_eq!(world.machines["n1"].boots, boots + anew);
        // The next of a group: its VMs find the first open again.
        let ended = world.keep_up("n2", upkeep, Stop::Never);
        check(
            &world,
            &ended,
            [(true, 4), (true, 0)],
            &format!("{upkeep:?} of both"),
        );
    }
    let mut world = world();
    let ended = world.keep_up("n1", Upkeep::Drain, Stop::Never);
    check(&world, &ended, [(false, 0), (true, 4)], "drained");
    let ended = world.resume("n1", Stop::Never);
    check(&world, &ended, [(true, 0), (true, 4)], "resumed");
}

/// Whoever was killed says it again.
#[test]
fn a_killed_operator_leaves_nothing_that_is_not_gone_on_from() {
    for upkeep in [Upkeep::Drain, Upkeep::Reboot, Upkeep::Update] {
        let begin = world();
        let mut whole = begin.clone();
        let ended = whole.keep_up("n1", upkeep, Stop::Never);
        good(&whole, &ended, "whole");
        assert!(whole.done > begin.done);
        for most in begin.done..whole.done {
            let mut world = begin.clone();
            let killed = world.keep_up("n1", upkeep, Stop::After(most));
            assert_eq!(killed, Ended::Stopped, "{upkeep:?} killed at {most}");
            let ended = world.keep_up("n1", upkeep, Stop::Never);
            let open = upkeep != Upkeep::Drain;
            let what = format!("{upkeep:?} killed at {most}");
            check(&world, &ended, [(open, 0), (true, 4)], &what);
        }
    }
}

/// VMs that cannot go end it before anything is done to their host.
#[test]
fn a_host_whose_vms_stay_is_not_touched() {
    let mut world = world();
    let ended = world.keep_up("n2", Upkeep::Drain, Stop::Never);
    check(&world, &ended, [(true, 4), (false, 0)], "drained");
    let boots = world.machines["n1"].boots;
    let ended = world.keep_up("n1", Upkeep::Reboot, Stop::Never);
    let Ended::Failed(step, why) = &ended else {
        panic!("{}", said(&ended))
    };
    assert_eq!(*step, "empty/nova/n1");
    assert!(why.contains("4 VMs of n1 cannot be moved"), "{why}");
    assert_eq!(world.machines["n1"].boots, boots);
    assert_eq!(world.broken, Vec::<String>::new());
    // Once the other is open again, the same said again does it.
    let ended = world.resume("n2", Stop::Never);
    check(&world, &ended, [(false, 4), (true, 0)], "resumed");
    let ended = world.keep_up("n1", Upkeep::Reboot, Stop::Never);
    check(&world, &ended, [(true, 0), (true, 4)], "said again");
}
