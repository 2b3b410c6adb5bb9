//! Problems by kind: each has the verdict that a cloud with it can have at best,
//! words for people, and the next command.
//!
//! A snapshot's verdict is the worst of its problems' verdicts; what several of them mean
//! together is told by the losses that are left.

use names::{HostName, ResourceId};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::Verdict;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No host could be asked.
    Unseen,
    /// No partition that was seen has quorum.
    NoQuorum,
    /// Members are online, and the cluster has no controller at this moment.
    Electing,
    /// An operator's order holds the whole cluster: `maintenance-mode`, `stop-all-resources`.
    Held {
        /// Property.
        name: String,
        /// Ids of the property sets that say so.
        sets: Vec<String>,
        /// A member, to say the cure on.
        on: String,
    },
    /// A member is in Pacemaker's maintenance.
    NodeHeld {
        /// The member.
        host: String,
    },
    /// Fencing is off although the cloud file asks for it.
    Unfenced {
        /// Property sets that switch it off.
        sets: Vec<String>,
    },
    /// A cluster property is in force with another value than planned.
    Property {
        /// Its name.
        name: String,
        /// Value in force; empty where there is none.
        have: String,
        /// Value wanted.
        want: String,
    },
    /// The cluster does not act on a resource.
    Unmanaged {
        /// Resource id.
        resource: ResourceId,
        /// Hosts on which it is so; empty where it runs nowhere.
        hosts: Vec<String>,
    },
    /// A fence device is not usable.
    FenceDevice {
        /// Resource id.
        device: ResourceId,
        /// The host that it cuts off; empty where no level names one.
        target: String,
        /// A level of other devices can cut it off as well.
        another: bool,
    },
    /// A member is not online.
    Away {
        /// The member.
        host: HostName,
        /// Its state, see [`crate::Host::state`].
        state: String,
        /// More for people.
        detail: String,
    },
    /// A host beside the cluster is not as it should be.
    Beside {
        /// The host.
        host: HostName,
        /// `impaired` or `unreachable`.
        state: String,
        /// More for people.
        detail: String,
    },
    /// A unit of systemd does not run on a member.
    Idle {
        /// The member.
        host: HostName,
        /// The unit and its state.
        what: String,
    },
    /// The cluster counts a unit as running, and systemd has stopped it.
    Stopped {
        /// The member.
        host: HostName,
        /// Name with suffix.
        unit: String,
        /// systemd's word: `inactive` or `failed`.
        state: String,
        /// Resource id.
        resource: ResourceId,
    },
    /// Several hosts have one virtual address.
    AddressTwice {
        /// The address.
        address: String,
        /// Its service.
        service: String,
        /// Hosts that have it.
        holders: Vec<HostName>,
        /// Commands that take it from those that the cluster does not run it on.
        cures: Vec<String>,
    },
    /// No host that was asked has a virtual address.
    AddressMissing {
        /// The address.
        address: String,
        /// Its service.
        service: String,
        /// Members that could not be asked.
        unseen: Vec<HostName>,
    },
    /// A member of a store does not serve.
    Member {
        /// Resource id of the store.
        store: ResourceId,
        /// Host.
        host: HostName,
        /// The engine's word.
        state: String,
        /// More for people.
        detail: String,
    },
    /// No member of a store serves.
    StoreDown {
        /// Resource id.
        store: ResourceId,
    },
    /// An API does not answer at its address.
    ApiSilent {
        /// Service or component.
        service: String,
        /// URL.
        url: String,
        /// How it answered instead.
        detail: String,
    },
    /// A journey of users does not come to a good end.
    JourneyFails {
        /// Service.
        service: String,
        /// `read`, `write` or `action`.
        kind: String,
        /// Why.
        why: String,
    },
    /// A resource runs less often than it should.
    Lacking {
        /// Resource id, how often it runs and how often it should, as a clause.
        what: String,
    },
    /// The cluster waits for an operator over a resource.
    Blocked {
        /// Resource id.
        resource: ResourceId,
        /// A member, to say the cure on.
        on: String,
    },
    /// A member of a broker takes nothing from anybody, and so do the others.
    Alarm {
        /// Resource id.
        store: ResourceId,
        /// Host of the member that raised it.
        host: String,
        /// The resource it is short of.
        of: String,
        /// The cure.
        cure: String,
        /// Services of the cloud speak by messages.
        needed: bool,
    },
    /// Queues have just a majority, and lose it with a member.
    Queues {
        /// Resource id.
        store: ResourceId,
        /// Host of that member.
        host: HostName,
        /// How many queues.
        queues: usize,
        /// One of them.
        first: String,
    },
    /// Queues have no leader.
    Leaderless {
        /// Resource id.
        store: ResourceId,
        /// How many queues.
        queues: usize,
        /// One of them.
        first: String,
    },
    /// A member counts more than one in a majority.
    Weight {
        /// Resource id.
        store: ResourceId,
        /// Host of the member.
        host: HostName,
        /// How much it counts.
        weight: u32,
    },
    /// A part of a service tells of itself that something is wrong.
    Told {
        /// Hosts that tell it.
        hosts: Vec<HostName>,
        /// The fault, as a clause.
        what: String,
        /// The next command.
        cure: String,
    },
    /// A disk is nearly full.
    Disk {
        /// Host.
        host: HostName,
        /// Mount point.
        mount: String,
        /// Free bytes.
        free: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A clock is apart from those of most members.
    Clock {
        /// Host.
        host: HostName,
        /// Seconds ahead; behind where negative.
        seconds: i64,
    },
    /// Work that recurs was not done for twice its time.
    Overdue {
        /// The work and since when, as a clause.
        what: String,
    },
    /// A certificate ends soon.
    Ends {
        /// Which.
        what: String,
        /// Date.
        on: String,
        /// Days until then; negative where it has ended.
        days: i64,
    },
    /// Members do not hear each other in a network.
    Link {
        /// Which of them, where.
        what: String,
    },
}

/// A store stops writing with less than this many bytes.
const FULL: u64 = 256 << 20;
/// Seconds from which on a token of another host is one of the future.
const REFUSED: i64 = 60;

impl Problem {
    /// Its kind as one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::NoQuorum => "no-quorum",
            Self::Electing => "electing",
            Self::Held { .. } => "held",
            Self::NodeHeld { .. } => "node-held",
            Self::Unfenced { .. } => "unfenced",
            Self::Property { .. } => "property",
            Self::Unmanaged { .. } => "unmanaged",
            Self::FenceDevice { .. } => "fence-device",
            Self::Away { .. } => "away",
            Self::Beside { .. } => "beside",
            Self::Idle { .. } => "idle",
            Self::Stopped { .. } => "stopped",
            Self::AddressTwice { .. } => "address-twice",
            Self::AddressMissing { .. } => "address-missing",
            Self::Member { .. } => "member",
            Self::StoreDown { .. } => "store-down",
            Self::ApiSilent { .. } => "api-silent",
            Self::JourneyFails { .. } => "journey-fails",
            Self::Lacking { .. } => "lacking",
            Self::Blocked { .. } => "blocked",
            Self::Alarm { .. } => "alarm",
            Self::Queues { .. } => "queues",
            Self::Leaderless { .. } => "leaderless",
            Self::Weight { .. } => "weight",
            Self::Told { .. } => "told",
            Self::Disk { .. } => "disk",
            Self::Clock { .. } => "clock",
            Self::Overdue { .. } => "overdue",
            Self::Ends { .. } => "ends",
            Self::Link { .. } => "link",
        }
    }

    /// True if the loss of a host has it for a while, or until the host is back.
    pub(crate) fn may_follow(&self) -> bool {
        matches!(
            self,
            Self::Queues { .. }
                | Self::FenceDevice { .. }
                | Self::AddressMissing { .. }
                | Self::Electing
                | Self::Member { .. }
                | Self::Lacking { .. }
                | Self::Told { .. }
        )
    }

    /// The verdict of a cloud in which nothing else is wrong.
    pub fn verdict(&self) -> Verdict {
        match self {
            // Where a member could not be asked, it may have the address.
            Self::AddressMissing { unseen, .. } if unseen.is_empty() => Verdict::Down,
            // Nothing can be written: the members there are about to stop.
            Self::Disk { free, .. } if *free < FULL => Verdict::Exposed,
            // Tokens made there are refused elsewhere, or have ended.
            Self::Clock { seconds, .. } if seconds.abs() >= REFUSED => Verdict::Exposed,
            Self::Ends { days, .. } if *days < 0 => Verdict::Exposed,
            Self::Property { name, .. } if name == "no-quorum-policy" => Verdict::Exposed,
            Self::Unseen
            | Self::NoQuorum
            | Self::StoreDown { .. }
            | Self::ApiSilent { .. }
            | Self::JourneyFails { .. }
            // Whoever sends something waits until it is over.
            | Self::Alarm { needed: true, .. }
            | Self::Leaderless { .. } => Verdict::Down,
            // A failure is not answered: what it takes stays away.
            Self::AddressMissing { .. }
            | Self::Electing
            | Self::Held { .. }
            | Self::NodeHeld { .. }
            | Self::Unfenced { .. }
            | Self::FenceDevice { another: false, .. }
            // Clients reach the one or the other, as their neighbour tables have it.
            | Self::AddressTwice { .. }
            | Self::Alarm { .. }
            | Self::Queues { .. }
            | Self::Weight { .. } => Verdict::Exposed,
            Self::Property { .. }
            | Self::Unmanaged { .. }
            | Self::FenceDevice { .. }
            | Self::Away { .. }
            | Self::Beside { .. }
            | Self::Idle { .. }
            | Self::Stopped { .. }
            | Self::Member { .. }
            | Self::Lacking { .. }
            | Self::Blocked { .. }
            | Self::Told { .. }
            | Self::Disk { .. }
            | Self::Clock { .. }
            | Self::Overdue { .. }
            | Self::Ends { .. }
            | Self::Link { .. } => Verdict::Degraded,
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Problem", 4)?;
        out.serialize_field("kind", self.kind())?;
        out.serialize_field("verdict", &self.verdict())?;
        out.serialize_field("text", &self.text())?;
        out.serialize_field("next", &self.next())?;
        out.end()
    }
}
