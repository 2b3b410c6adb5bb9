//! Targets: which live host takes a VM.
//!
//! Not for Nova's own placement: it checks the named host again, and may refuse.

use std::collections::BTreeMap;

use wire::Fact;

use crate::evacuate::Ready;
use crate::guard::Guard;
use crate::ids::{HostId, Name, VmId};
use crate::nova::Server;
use crate::round::Round;
use crate::seen::HostSeen;
use crate::suspect::Watch;

/// Room that is left on each target in this round.
pub(crate) struct Placing<'a> {
    targets: Vec<Target<'a>>,
}

struct Target<'a> {
    host: &'a HostSeen,
    ram_mb: u64,
    vcpus: u64,
    /// Evacuations to it that are under way or begin in this round.
    coming: u64,
    /// Server groups of the VMs that are coming.
    groups: Vec<&'a Name>,
}

impl<'a> Placing<'a> {
    pub(crate) fn new(round: &Round<'a>, under_way: &[&VmId]) -> Self {
        let hosts = round.seen.hosts.iter().zip(&round.watches);
        let usable = hosts.filter(|(host, watch)| round.usable(host, watch));
        let mut targets: Vec<Target<'a>> = usable.filter_map(|(host, _)| target(host)).collect();
        // Rows of attempts that failed take no room.
        let mut last = BTreeMap::new();
        for row in round
            .store
            .sent
            .iter()
            .filter(|row| under_way.contains(&&row.sent.vm))
        {
            let newest = last.entry(&row.sent.vm).or_insert(row);
            if newest.sent.epoch < row.sent.epoch {
                *newest = row;
            }
        }
        for row in last.into_values() {
            let Some(target) = targets.iter_mut().find(|t| t.host.host == row.sent.target) else {
                continue;
            };
            let Some(server) = coming(round, &row.sent.vm, &row.sent.host) else {
                continue;
            };
            target.take(server);
        }
        Self { targets }
    }

    /// Host with the most room that may take the VM; its room is taken.
    pub(crate) fn choose(&mut self, round: &Round<'a>, ready: &Ready<'a>) -> Option<HostId> {
        let server = ready.server;
        let limit = round.policy.per_target;
        let mut best: Option<&mut Target<'a>> = None;
        for target in &mut self.targets {
            let allowed = ready.only.as_ref().is_none_or(|only| target.host.host == *only);
            let free = target.coming < limit || !round.on(Guard::AtOnce);
            let fits = ready.only.is_some() || target.fits(round, server);
            let better = best.as_ref().is_none_or(|best| target.ram_mb > best.ram_mb);
            if allowed && free && fits && better {
                best = Some(target);
            }
        }
        let best = best?;
        best.take(server);
        Some(best.host.host.clone())
    }
}

/// VM of a row, as long as Nova still has it on the host that died.
fn coming<'a>(round: &Round<'a>, vm: &VmId, from: &HostId) -> Option<&'a Server> {
    let followed = round.seen.followed.iter().find(|f| f.vm == *vm)?;
    followed.server.known().filter(|server| server.host == *from)
}

fn target(host: &HostSeen) -> Option<Target<'_>> {
    let Fact::Known(room) = &host.room else {
        return None;
    };
    Some(Target {
        host,
        ram_mb: room.ram_mb,
        vcpus: room.vcpus,
        coming: 0,
        groups: Vec::new(),
    })
}

impl<'a> Target<'a> {
    fn take(&mut self, server: &'a Server) {
        self.ram_mb = self.ram_mb.saturating_sub(server.ram_mb);
        self.vcpus = self.vcpus.saturating_sub(server.vcpus);
        self.coming += 1;
        self.groups
            .extend(server.apart.as_ref().map(|apart| &apart.group));
    }

    fn fits(&self, round: &Round<'a>, server: &Server) -> bool {
        let room = self.ram_mb >= server.ram_mb && self.vcpus >= server.vcpus;
        let zone = server.zone.is_none() || server.zone == self.host.zone;
        let apart = server.apart.as_ref().is_none_or(|apart| {
            !apart.hosts.contains(&self.host.host) && !self.groups.contains(&&apart.group)
        });
        zone && (room || !round.on(Guard::TargetRoom)) && (apart || !round.on(Guard::TargetApart))
    }
}

impl Round<'_> {
    /// The host can take VMs now.
    fn usable(&self, host: &HostSeen, watch: &Watch) -> bool {
        let lives = *watch == Watch::Well && self.intent(&host.host).is_none();
        let takes = matches!(&host.compute, Fact::Known(c) if c.up && c.enabled && !c.forced_down);
        let agent = host.agent == Fact::Known(true);
        (lives || !self.on(Guard::TargetLives)) && takes && (agent || !self.on(Guard::TargetAgent))
    }

    /// Some host could take the VM if nothing else were under way.
    pub(crate) fn has_room(&self, server: &Server) -> bool {
        let hosts = self.seen.hosts.iter().zip(&self.watches);
        let mut targets = hosts
            .filter(|(host, watch)| self.usable(host, watch))
            .filter_map(|(host, _)| target(host));
        targets.any(|target| target.fits(self, server))
    }
}
