//! Draws that find something: for each guard the first seed that misses it, and seeds that
//! once found a fault of the decider.
//!
//! A change of the world or of its draws moves the seeds: `long_each_guard_is_missed` prints
//! this list anew.

use super::runs::of;
use crate::guard::{GUARDS, Guard, Guards};

/// Guards, each with the first seed that misses it, and the law that is then broken.
#[rustfmt::skip]
const FOUND: [(Guard, u64); 45] = [
    (Guard::EveryNetwork, 27), // n3 is healthy and fenced
    (Guard::Majority, 33), // n3 is healthy and fenced
    (Guard::FreshTables, 10796), // n3 is healthy and fenced
    (Guard::HearsSomebody, 15), // n3 is healthy and fenced
    (Guard::KernelSilent, 175), // n1 is healthy and fenced
    (Guard::SecondWitness, 37), // n1 is healthy and fenced
    (Guard::SelfDoubt, 30), // an engine acts in a round that was late
    (Guard::Quorum, 392), // an engine without quorum acts
    (Guard::Epoch, 12), // an engine of epoch Some(2) acts in Some(3)
    (Guard::Paused, 7), // a paused engine acts
    (Guard::Cancel, 32), // n2 is healthy and fenced
    (Guard::Fraction, 0), // 2 of 3 hosts are to be fenced
    (Guard::Rack, 541), // 2 of 2 hosts of a rack are to be fenced
    (Guard::Aggregate, 282), // 2 of 2 hosts of an aggregate are to be fenced
    (Guard::Rate, 75), // 1 hosts were fenced, and 1 more
    (Guard::Cliff, 61), // 3 of 4 hosts fell silent together, and one is to be fenced
    (Guard::ControlWell, 8), // fencing begins while the control plane is unwell
    (Guard::StorageGone, 591), // n2 is fenced for a storage that is gone
    (Guard::Kdump, 14), // n3 is fenced while it writes its dump
    (Guard::Proved, 28), // n3 is fenced and was never proved
    (Guard::Proof, 5), // vm6 runs on n4 and is evacuated
    (Guard::ReadAfterCommand, 8), // power off counts without our command
    (Guard::StillSilent, 1849), // stuck: n1 has an intent: Evacuating
    (Guard::ThisBoot, 388), // vm0 runs on n1 and is evacuated
    (Guard::ProofHolds, 14716), // vm0 runs on n2 and is evacuated
    (Guard::MarkedDown, 0), // vm5 is evacuated before Nova knows that its host is down
    (Guard::MigrationsRead, 1632), // two evacuations of vm3 in flight
    (Guard::OncePerEpoch, 54), // stuck: n2 has an intent: Evacuating
    (Guard::InFlight, 17), // two evacuations of vm2 in flight
    (Guard::NoneOpen, 2), // two evacuations of vm4 in flight
    (Guard::MigratingStays, 6244), // vm2 was migrating and is sent elsewhere
    (Guard::Protected, 7), // vm7 is not protected and is evacuated
    (Guard::TargetLives, 1237), // vm8 is sent to n1, which is dead
    (Guard::TargetAgent, 6), // vm0 is sent to n3, which has no L2 agent
    (Guard::TargetRoom, 64), // vm3 is sent to n1, which has no room
    (Guard::TargetApart, 2), // vm0 comes to a host with another of its group
    (Guard::Priority, 0), // a VM of lower priority is sent first
    (Guard::Stages, 7), // vm3 is sent before Some("vm2") of its group
    (Guard::AtOnce, 19), // 3 evacuations are under way
    (Guard::AllPlaced, 0), // n2 returns while vm1 is on it
    (Guard::Cleaned, 0), // forced up before it cleaned up
    (Guard::AgentBeforeEnable, 0), // enabled without an L2 agent
    (Guard::OldBoot, 332), // 2 copies of vm1 run
    (Guard::RestartKnown, 529), // 2 copies of vm2 run
    (Guard::Disputed, 2123), // n2 is healthy and fenced
];

/// Seeds that once found a fault of the decider: rooms held by attempts that failed, rows of
/// one epoch from two hosts, records that stay open for ever, hosts that few observers hear.
const ONCE: [u64; 16] = [
    11, 48, 426, 2_123, 5_257, 7_875, 23_901, 31_145, 31_931, 49_505, 79_775, 140_215, 152_203, 318_582,
    347_554, 902_343,
];

#[test]
fn each_guard_is_missed() {
    let listed: Vec<Guard> = FOUND.iter().map(|(guard, _)| *guard).collect();
    assert_eq!(listed, GUARDS);
    for (guard, seed) in FOUND {
        assert_ne!(
            of(seed, Guards::without(guard)),
            None,
            "nothing misses {guard:?} in run {seed}"
        );
        assert_eq!(of(seed, Guards::ALL), None, "run {seed}");
    }
}

#[test]
fn draws_that_found_a_fault_are_kept() {
    for seed in ONCE {
        assert_eq!(of(seed, Guards::ALL), None, "run {seed}");
    }
}
