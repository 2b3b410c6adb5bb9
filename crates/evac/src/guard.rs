//! Names of the rules that keep the engine safe, each of which a test can take out.
//!
//! Not for options: the product has all guards, always.

/// One rule that keeps an act from being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// Silence counts on every network together.
    EveryNetwork,
    /// Silence counts when most trusted observers see it.
    Majority,
    /// Old tables of observers do not count.
    FreshTables,
    /// An observer that hears no host at all does not count.
    HearsSomebody,
    /// A kernel that answers is not dead.
    KernelSilent,
    /// A partial loss needs a witness of another kind before it fences.
    SecondWitness,
    /// A late round, or a young engine, decides nothing.
    SelfDoubt,
    /// Without quorum nothing is done.
    Quorum,
    /// Only the holder of the epoch acts.
    Epoch,
    /// A paused engine does nothing.
    Paused,
    /// Heartbeats that come again end an intent to fence.
    Cancel,
    /// The share of all hosts is bounded.
    Fraction,
    /// The share of a rack is bounded.
    Rack,
    /// The share of an aggregate is bounded.
    Aggregate,
    /// The number within a window is bounded.
    Rate,
    /// Silence of many at one moment is the observers' fault.
    Cliff,
    /// An unwell control plane is waited for.
    ControlWell,
    /// A storage that is gone for many fences no host.
    StorageGone,
    /// A kernel dump is waited for.
    Kdump,
    /// A host whose fence device is not proved is not touched.
    Proved,
    /// No evacuation without proof of death.
    Proof,
    /// Power counts as off when it was read after our command.
    ReadAfterCommand,
    /// A host that is heard is not dead, whatever its device says.
    StillSilent,
    /// A person's word holds for one boot.
    ThisBoot,
    /// The proof is looked at again before each evacuation.
    ProofHolds,
    /// Nova knows that the host is down before a VM is evacuated.
    MarkedDown,
    /// Unknown migrations are waited for.
    MigrationsRead,
    /// No second evacuation in one epoch.
    OncePerEpoch,
    /// A request that may be on its way is waited for.
    InFlight,
    /// No evacuation while another is open.
    NoneOpen,
    /// A VM that was migrating goes to its destination only.
    MigratingStays,
    /// A VM that Nova will not or must not evacuate is left.
    Protected,
    /// Targets live.
    TargetLives,
    /// Targets have a live L2 agent.
    TargetAgent,
    /// Targets have room.
    TargetRoom,
    /// Targets keep VMs apart.
    TargetApart,
    /// Higher priorities go first.
    Priority,
    /// Restart groups keep their order.
    Stages,
    /// Evacuations under way are bounded.
    AtOnce,
    /// No power before all VMs are elsewhere or given up.
    AllPlaced,
    /// A host is forced up only after its own nova-compute has cleaned up.
    Cleaned,
    /// A host gets VMs only when its L2 agent lives.
    AgentBeforeEnable,
    /// A returned host that is heard with the boot that died is cut off again.
    OldBoot,
    /// A VM is started again only where no migration of it is open.
    RestartKnown,
    /// A host that few observers hear is given time before it is cut off.
    Disputed,
}

/// All guards, for the test that takes each out.
#[cfg(test)]
pub(crate) const GUARDS: [Guard; 45] = [
    Guard::EveryNetwork,
    Guard::Majority,
    Guard::FreshTables,
    Guard::HearsSomebody,
    Guard::KernelSilent,
    Guard::SecondWitness,
    Guard::SelfDoubt,
    Guard::Quorum,
    Guard::Epoch,
    Guard::Paused,
    Guard::Cancel,
    Guard::Fraction,
    Guard::Rack,
    Guard::Aggregate,
    Guard::Rate,
    Guard::Cliff,
    Guard::ControlWell,
    Guard::StorageGone,
    Guard::Kdump,
    Guard::Proved,
    Guard::Proof,
    Guard::ReadAfterCommand,
    Guard::StillSilent,
    Guard::ThisBoot,
    Guard::ProofHolds,
    Guard::MarkedDown,
    Guard::MigrationsRead,
    Guard::OncePerEpoch,
    Guard::InFlight,
    Guard::NoneOpen,
    Guard::MigratingStays,
    Guard::Protected,
    Guard::TargetLives,
    Guard::TargetAgent,
    Guard::TargetRoom,
    Guard::TargetApart,
    Guard::Priority,
    Guard::Stages,
    Guard::AtOnce,
    Guard::AllPlaced,
    Guard::Cleaned,
    Guard::AgentBeforeEnable,
    Guard::OldBoot,
    Guard::RestartKnown,
    Guard::Disputed,
];

/// The guards that hold in a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards {
    #[cfg(test)]
    out: Option<Guard>,
}

impl Guards {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        #[cfg(test)]
        out: None,
    };

    /// All but one.
    #[cfg(test)]
    pub(crate) const fn without(guard: Guard) -> Self {
        Self { out: Some(guard) }
    }

    /// The guard holds; in the product each does.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, reason = "only tests take a guard out")
    )]
    pub(crate) fn on(self, guard: Guard) -> bool {
        #[cfg(test)]
        return self.out != Some(guard);
        #[cfg(not(test))]
        {
            let _ = guard;
            true
        }
    }
}
