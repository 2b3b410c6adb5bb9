//! A law of its own: while a member is away by the cloud file, nothing is stopped or restarted
//! that may not be missed as well.

use std::collections::BTreeSet;

use names::HostName;
use render::Kind;

use crate::World;
use crate::cluster::UNITS;

impl World {
    /// A plan is made: hosts that are away by the cloud file and cannot be reached are so to it,
    /// whenever they come back.
    pub(crate) fn look_for_absent(&mut self) {
        let away = self.desired.away.keys();
        let absent = away.filter(|host| self.machines.get(*host).is_some_and(|m| !m.up));
        self.absent = absent.cloned().collect();
    }

    /// True for members that know each other: one of a store, a broker or a database of its own.
    fn are_members(&self, resource: &str) -> bool {
        let mut parts = self.desired.parts.iter();
        parts.any(|p| p.resource == resource && matches!(p.kind, Kind::Clustered | Kind::Promotable))
    }

    /// An operation of a plan stops these instances of a resource, of which so many ran.
    pub(crate) fn may_be_missed(&self, resource: &str, stopped: &[&HostName], ran: usize) -> Option<String> {
        let absent = &self.absent;
        // Of what happens meanwhile the plan knows nothing.
        if self.disturbed >= self.planned
            || absent.is_empty()
            || stopped.is_empty()
            || (ran > 2 && !self.are_members(resource))
        {
            return None;
        }
        Some(format!(
            "{resource} is stopped on {stopped:?} while {absent:?} is away"
        ))
    }

    /// An operation stops or restarts a unit on a host.
    pub(crate) fn unit_stops(&mut self, host: &str, unit: &str) {
        let Some((host, wanted)) = self.desired.hosts.get_key_value(host) else {
            return;
        };
        let known = wanted.units.iter().find(|u| u.unit == unit);
        let voter = UNITS.contains(&unit) && self.desired.is_member(host);
        let Some(known) = known.filter(|_| voter || self.is_active(host, unit)) else {
            return;
        };
        let hosts = self.desired.hosts.iter();
        let has = hosts.filter(|(_, wanted)| wanted.units.iter().any(|u| u.unit == unit));
        let ran: BTreeSet<&HostName> = has.map(|(h, _)| h).filter(|h| self.is_active(h, unit)).collect();
        let name = if known.resource.is_empty() {
            unit
        } else {
            &known.resource
        };
        let ran = if voter { 0 } else { ran.len() };
        if let Some(what) = self.may_be_missed(name, &[host], ran) {
            self.break_law(&what);
        }
    }
}
