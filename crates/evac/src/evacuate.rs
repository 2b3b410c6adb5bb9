//! Evacuation of hosts that are proved dead: which VM is sent now, which waits, which is left.
//!
//! Not for the choice of targets: that is `target`.

use std::collections::BTreeMap;

use wire::Fact;

use crate::decision::{Act, BrakeVerdict, HostIs, VmStep, VmVerdict};
use crate::guard::Guard;
use crate::ids::{HostId, Name, VmId};
use crate::nova::{Migration, Server, VmState};
use crate::round::{OURS, Round};
use crate::rows::{IntentRow, Phase, Proof, Sent, SentRow};
use crate::seen::HostSeen;
use crate::target::Placing;
use crate::vm::{Next, Traces};

/// VM that can be sent now.
pub(crate) struct Ready<'a> {
    pub server: &'a Server,
    /// Highest number of its migrations so far.
    pub after: u64,
    /// Only host that it may be sent to.
    pub only: Option<HostId>,
    pub row: &'a IntentRow,
}

/// Work of one round over all dead hosts.
#[derive(Default)]
struct Work<'a> {
    ready: Vec<Ready<'a>>,
    /// Hosts whose VMs may be sent now.
    may_send: Vec<&'a HostId>,
    raise: Option<String>,
    /// Restart groups with members that are not back.
    pending: Vec<(&'a Name, u32)>,
    /// VMs whose evacuation is under way.
    under_way: Vec<&'a VmId>,
}

impl<'a> Round<'a> {
    /// Next steps of all hosts that are proved dead.
    pub(crate) fn evacuate(&mut self, dead: &[&'a IntentRow]) {
        if dead.is_empty() {
            return;
        }
        let migrations: &'a [Migration] = match &self.seen.migrations {
            Fact::Known(migrations) => migrations,
            Fact::Absent | Fact::Unknown(_) if !self.on(Guard::MigrationsRead) => &[],
            Fact::Absent | Fact::Unknown(_) => {
                let why = "Nova's migrations are unknown: nothing is sent";
                for row in dead {
                    self.verdict(&row.intent.host, HostIs::Recovering, why);
                }
                return;
            }
        };
        let traces = Traces::new(migrations, &self.store.sent);
        let mut work = Work::default();
        for row in dead {
            self.judge_host(row, &traces, &mut work);
        }
        // Those of hosts that are fenced again are under way as well.
        let stuck = self.policy.stuck_ms;
        let going = traces
            .all_open()
            .filter(|m| m.age_ms <= stuck && !self.target_died(m));
        let going = going.map(|m| &m.vm);
        work.under_way.extend(going);
        work.under_way.sort_unstable();
        work.under_way.dedup();
        for row in dead {
            self.dead_host(row, &traces, &mut work);
        }
        self.send(work);
    }

    /// Steps of all VMs of one host.
    fn judge_host(&mut self, row: &'a IntentRow, traces: &Traces<'a>, work: &mut Work<'a>) {
        let Some((host, _)) = self.host(&row.intent.host) else {
            return;
        };
        if let Fact::Known(servers) = &host.servers {
            for server in servers {
                let next = self.next(row, server, traces);
                self.judge(row, server, next, work);
            }
            self.gone(row, servers, traces, work);
        }
    }

    /// VMs that were on their way to this host when it died, and have no other host yet.
    fn awaited(&self, host: &HostId, traces: &Traces<'a>) -> usize {
        let waits = |vm: &VmId| {
            self.out
                .vms
                .iter()
                .any(|v| v.vm == *vm && v.step == VmStep::Waits)
        };
        traces
            .all_open()
            .filter(|m| m.dest.as_ref() == Some(host) && waits(&m.vm))
            .count()
    }

    /// Next step of one host, after those of all VMs.
    fn dead_host(&mut self, row: &'a IntentRow, traces: &Traces<'a>, work: &mut Work<'a>) {
        let Some((host, _)) = self.host(&row.intent.host) else {
            return;
        };
        let name = &row.intent.host;
        if host.servers.known().is_none() {
            self.mark_down(host, &row.intent.why);
            self.verdict(name, HostIs::Recovering, "its servers are unknown");
            return;
        }
        let steps = || self.out.vms.iter().filter(|v| v.host == *name);
        let waiting = steps().filter(|v| v.step == VmStep::Waits).count();
        let left = waiting + self.awaited(name, traces);
        let stuck = self.policy.stuck_ms;
        let going = |m: &&Migration| m.age_ms <= stuck && !self.target_died(m);
        let open = traces
            .all_open()
            .filter(|m| m.source == *name)
            .filter(going)
            .count();
        if (left == 0 && open == 0) || !self.on(Guard::AllPlaced) {
            let count = steps().count();
            let given_up = steps().filter(|v| v.step == VmStep::GivenUp).count();
            let why = format!("of {count} VMs {given_up} are given up, all others are elsewhere");
            self.advance(&row.intent, Phase::Returning, why, row.intent.proof.clone());
            return;
        }
        if let Some(why) = self.proof_broken(row, host) {
            self.tell(name, "alive", why.clone());
            self.advance(&row.intent, Phase::Refencing, why, row.intent.proof.clone());
            return;
        }
        self.verdict(
            name,
            HostIs::Recovering,
            format!("{left} VMs are not elsewhere yet"),
        );
        if self.mark_down(host, &row.intent.why) && self.on(Guard::MarkedDown) {
            return;
        }
        if let Some((brake, why)) = self.unwell() {
            self.out.brakes.push(BrakeVerdict {
                brake,
                released: false,
                why,
            });
            return;
        }
        work.may_send.push(name);
    }

    /// Sign that the proof no longer holds.
    fn proof_broken(&self, row: &IntentRow, host: &HostSeen) -> Option<String> {
        if !self.on(Guard::ProofHolds) {
            return None;
        }
        if let Some(sign) = self.sign_of_life(host) {
            return Some(format!("came back before its VMs were elsewhere: {sign}"));
        }
        let by_power = matches!(row.intent.proof, Some(Proof::PowerOff { .. }));
        match &host.power {
            Fact::Known(power) if power.on && by_power => Some(format!(
                "came back before its VMs were elsewhere: {} reads on",
                power.device
            )),
            _ => None,
        }
    }

    /// Tells Nova that the host is down; true while Nova does not know it.
    fn mark_down(&mut self, host: &HostSeen, why: &str) -> bool {
        let Fact::Known(compute) = &host.compute else {
            return true;
        };
        let knows = compute.forced_down && !compute.enabled && !compute.up;
        if !knows {
            self.act(Act::MarkDown {
                host: host.host.clone(),
                service: compute.id.clone(),
                reason: format!("{OURS}{why}"),
            });
        }
        !knows
    }

    fn judge(&mut self, row: &'a IntentRow, server: &'a Server, next: Next, work: &mut Work<'a>) {
        let (step, why) = match next {
            Next::Send { after, only } => {
                work.ready.push(Ready {
                    server,
                    after,
                    only,
                    row,
                });
                (VmStep::Waits, "ready to be sent".to_owned())
            }
            Next::Raise(why) => {
                work.raise.get_or_insert_with(|| format!("{}: {why}", server.vm));
                (VmStep::Waits, why)
            }
            Next::UnderWay(why) => {
                work.under_way.push(&server.vm);
                (VmStep::Waits, why)
            }
            Next::Wait(why) => (VmStep::Waits, why),
            Next::GiveUp(why) => {
                self.tell(
                    &server.host,
                    server.vm.as_str(),
                    format!("VM {} is left: {why}", server.vm),
                );
                (VmStep::GivenUp, why)
            }
        };
        if let (VmStep::Waits, Some(stage)) = (step, &server.stage) {
            work.pending.push((&stage.group, stage.order));
        }
        self.vm(&server.vm, &row.intent.host, step, why);
    }

    /// VMs that have a row and are no longer in the host's list.
    fn gone(&mut self, row: &IntentRow, servers: &[Server], traces: &Traces<'a>, work: &mut Work<'a>) {
        let host = &row.intent.host;
        let listed = |vm: &VmId| servers.iter().any(|server| server.vm == *vm);
        let mut last: BTreeMap<&VmId, &SentRow> = BTreeMap::new();
        for sent in traces.sent_from(host).filter(|sent| !listed(&sent.sent.vm)) {
            last.insert(&sent.sent.vm, sent);
        }
        for vm in last.into_keys() {
            let followed = self.seen.followed.iter().find(|f| f.vm == *vm);
            let server = followed.map(|f| &f.server);
            if let Some(Fact::Known(server)) = server
                && let Some(stage) = &server.stage
                && (server.host == *host || traces.open(vm).next().is_some())
            {
                work.pending.push((&stage.group, stage.order));
            }
            let (step, why) = match server {
                Some(Fact::Absent) => (VmStep::Elsewhere, "deleted".to_owned()),
                Some(Fact::Known(server)) if server.host == *host => (
                    VmStep::Waits,
                    "Nova has it on this host and does not list it".to_owned(),
                ),
                Some(Fact::Known(server)) => match traces.open(vm).find(|m| !self.target_died(m)) {
                    Some(open) => {
                        work.under_way.push(&open.vm);
                        (
                            VmStep::Waits,
                            format!("on {}, evacuation {} is open", server.host, open.id),
                        )
                    }
                    None if server.state == VmState::Error => {
                        let why = format!("in ERROR on {}", server.host);
                        self.tell(host, vm.as_str(), format!("VM {vm} is {why}"));
                        (VmStep::GivenUp, why)
                    }
                    None => (VmStep::Elsewhere, format!("on {}", server.host)),
                },
                Some(Fact::Unknown(why)) => (VmStep::Waits, format!("unknown: {why}")),
                None => (VmStep::Waits, "not asked for yet".to_owned()),
            };
            self.vm(vm, host, step, why);
        }
    }

    fn vm(&mut self, vm: &VmId, host: &HostId, step: VmStep, why: String) {
        let (vm, host) = (vm.clone(), host.clone());
        self.out.vms.push(VmVerdict { vm, host, step, why });
    }

    /// Target of an evacuation is itself proved dead since.
    pub(crate) fn target_died(&self, migration: &Migration) -> bool {
        let dest = migration.dest.as_ref().filter(|dest| **dest != migration.source);
        let row = dest.and_then(|dest| self.intent(dest));
        row.is_some_and(|row| {
            let proved = matches!(row.intent.phase, Phase::Evacuating | Phase::Returning);
            proved && row.opened_ms <= migration.age_ms
        })
    }

    /// Evacuations that may begin now, best first.
    fn send(&mut self, mut work: Work<'a>) {
        if self.on(Guard::Priority) {
            let key = |ready: &Ready<'_>| {
                let order = ready.server.stage.as_ref().map_or(0, |stage| stage.order);
                (std::cmp::Reverse(ready.server.priority), order)
            };
            work.ready
                .sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.server.vm.cmp(&b.server.vm)));
        }
        let may_send = work.may_send;
        work.ready
            .retain(|ready| may_send.contains(&&ready.row.intent.host));
        let limit = self.at_once();
        let mut placing = Placing::new(self, &work.under_way);
        let mut under_way = work.under_way.len() as u64;
        for ready in work.ready {
            let (vm, host) = (&ready.server.vm, &ready.row.intent.host);
            if under_way >= limit && self.on(Guard::AtOnce) {
                let why = format!("{under_way} evacuations are under way, of {limit}");
                self.say(vm, host, VmStep::Waits, why);
                continue;
            }
            if let Some(why) = self.earlier(ready.server, &work.pending) {
                self.say(vm, host, VmStep::Waits, why);
                continue;
            }
            match placing.choose(self, &ready) {
                Some(target) => {
                    under_way += 1;
                    self.say(vm, host, VmStep::Sent, format!("to {target}"));
                    self.act(Act::Evacuate(Sent {
                        vm: vm.clone(),
                        epoch: self.epoch,
                        host: host.clone(),
                        target,
                        after: ready.after,
                    }));
                }
                None => self.roomless(&ready),
            }
        }
        if let Some(why) = work.raise {
            self.act(Act::Claim {
                above: self.epoch,
                why,
            });
        }
    }

    /// A VM without a target waits; `vm::next` gives it up when its time is over.
    fn roomless(&mut self, ready: &Ready<'_>) {
        let (vm, host) = (&ready.server.vm, &ready.row.intent.host);
        let limit = self.policy.room_ms;
        let why = match &ready.only {
            Some(only) => format!("was moving to {only}, which cannot take it now"),
            None => format!(
                "no live host with an L2 agent has room, for {} ms of {limit} ms",
                ready.row.phase_ms
            ),
        };
        self.say(vm, host, VmStep::Waits, why);
    }

    /// Changes the verdict that was made of the VM before.
    fn say(&mut self, vm: &VmId, host: &HostId, step: VmStep, why: String) {
        let mut all = self.out.vms.iter_mut();
        if let Some(verdict) = all.find(|v| v.vm == *vm && v.host == *host) {
            verdict.step = step;
            verdict.why = why;
        }
    }

    /// Member of the VM's restart group that comes first and is not back.
    fn earlier(&self, server: &Server, pending: &[(&Name, u32)]) -> Option<String> {
        let stage = server.stage.as_ref().filter(|_| self.on(Guard::Stages))?;
        let first = pending
            .iter()
            .filter(|(group, _)| **group == stage.group)
            .map(|(_, order)| *order)
            .min()?;
        (first < stage.order).then(|| {
            format!(
                "restart group {}: order {first} is not back, this is {}",
                stage.group, stage.order
            )
        })
    }

    /// Evacuations that may be under way at once: fewer while the API is slow.
    fn at_once(&self) -> u64 {
        let most = self.policy.at_once;
        let Fact::Known(answer) = self.seen.control.answer_ms else {
            return 1;
        };
        let slow = self.policy.slow_ms;
        if answer * 4 <= slow {
            most
        } else if answer * 2 <= slow {
            (most / 2).max(1)
        } else {
            (most / 4).max(1)
        }
    }
}
