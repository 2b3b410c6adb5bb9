//! One VM of a dead host: may it be sent, must it wait, is it left.
//!
//! Not for order and targets: a VM that may be sent still waits for its turn.

use std::collections::BTreeMap;

use crate::guard::Guard;
use crate::ids::{HostId, VmId};
use crate::nova::{Migration, MigrationKind, Progress, Server, VmState, WhyNot};
use crate::round::Round;
use crate::rows::{Answer, IntentRow, SentRow};

/// Task of a VM while Nova rebuilds it.
const REBUILDING: &str = "rebuilding";

/// Next step of one VM.
pub(crate) enum Next {
    /// It may be sent; its highest migration, and the only host allowed.
    Send { after: u64, only: Option<HostId> },
    /// It may be sent again, in a new epoch.
    Raise(String),
    /// Its evacuation is under way, or may be.
    UnderWay(String),
    /// Something else is waited for.
    Wait(String),
    /// It is left.
    GiveUp(String),
}

/// Migrations and rows by VM.
pub(crate) struct Traces<'a> {
    migrations: BTreeMap<&'a VmId, Vec<&'a Migration>>,
    sent: BTreeMap<&'a VmId, Vec<&'a SentRow>>,
}

impl<'a> Traces<'a> {
    pub(crate) fn new(migrations: &'a [Migration], sent: &'a [SentRow]) -> Self {
        let mut traces = Self {
            migrations: BTreeMap::new(),
            sent: BTreeMap::new(),
        };
        for migration in migrations {
            traces
                .migrations
                .entry(&migration.vm)
                .or_default()
                .push(migration);
        }
        for row in sent {
            traces.sent.entry(&row.sent.vm).or_default().push(row);
        }
        for rows in traces.sent.values_mut() {
            rows.sort_by_key(|row| row.sent.epoch);
        }
        traces
    }

    fn of(&self, vm: &VmId) -> impl Iterator<Item = &'a Migration> + use<'a, '_> {
        self.migrations.get(vm).into_iter().flatten().copied()
    }

    /// Evacuations of the VM that are open, and that no later one has overtaken.
    pub(crate) fn open(&self, vm: &VmId) -> impl Iterator<Item = &'a Migration> + use<'a, '_> {
        let own = self.migrations.get(vm).map_or(&[][..], Vec::as_slice);
        open_of(own)
    }

    /// All evacuations that are open, and that no later one of the same VM has overtaken.
    pub(crate) fn all_open(&self) -> impl Iterator<Item = &'a Migration> + use<'a, '_> {
        self.migrations.values().flat_map(|own| open_of(own))
    }

    /// Other host from which the VM was sent in this epoch already.
    fn sent_in(&self, vm: &VmId, epoch: u64, host: &HostId) -> Option<&'a HostId> {
        let mut rows = self.sent.get(vm).into_iter().flatten();
        let other = rows.find(|row| row.sent.epoch >= epoch && row.sent.host != *host)?;
        Some(&other.sent.host)
    }

    fn rows(&self, vm: &VmId, host: &HostId) -> Vec<&'a SentRow> {
        let rows = self.sent.get(vm).into_iter().flatten();
        rows.filter(|row| row.sent.host == *host).copied().collect()
    }

    /// Rows of evacuations from the host.
    pub(crate) fn sent_from<'h>(
        &'h self,
        host: &'h HostId,
    ) -> impl Iterator<Item = &'a SentRow> + use<'a, 'h> {
        let all = self.sent.values().flatten().copied();
        all.filter(move |row| row.sent.host == *host)
    }
}

/// A record can stay open for ever when its target died: one that came later and ended well
/// shows that it is over.
fn open_of<'a, 's>(own: &'s [&'a Migration]) -> impl Iterator<Item = &'a Migration> + use<'a, 's> {
    let evacuations = || {
        own.iter()
            .copied()
            .filter(|m| m.kind == MigrationKind::Evacuation)
    };
    let ended = evacuations().filter(|m| matches!(m.progress, Progress::Done | Progress::Completed));
    let last = ended.map(|m| m.id).max().unwrap_or(0);
    evacuations().filter(move |m| m.progress == Progress::Open && m.id > last)
}

impl<'a> Round<'a> {
    /// Next step of a VM that Nova has on a dead host.
    pub(crate) fn next(&self, row: &IntentRow, server: &Server, traces: &Traces<'a>) -> Next {
        if let Some(why) = self.never(server) {
            return Next::GiveUp(why);
        }
        if let Some(open) = traces.open(&server.vm).find(|m| !self.target_died(m))
            && self.on(Guard::NoneOpen)
        {
            let dest = open.dest.as_ref().map_or("a host not chosen yet", HostId::as_str);
            let why = format!("evacuation {} to {dest} is open for {} ms", open.id, open.age_ms);
            if open.age_ms > self.policy.stuck_ms {
                return Next::GiveUp(format!("{why}: a person has to look"));
            }
            return Next::UnderWay(why);
        }
        let after = traces.of(&server.vm).map(|m| m.id).max().unwrap_or(0);
        let rows = traces.rows(&server.vm, &row.intent.host);
        if let Some(from) = traces.sent_in(&server.vm, self.epoch, &row.intent.host) {
            return Next::Raise(format!(
                "sent in this epoch from {from} before: once more in a new one"
            ));
        }
        let Some(last) = rows.last().filter(|_| self.on(Guard::OncePerEpoch)) else {
            return self.first(row, server, traces, after);
        };
        let failed = match self.outcome(last, traces) {
            Ok(failed) => failed,
            Err(next) => return next,
        };
        let count = rows.len() as u64;
        if count >= self.policy.tries {
            return Next::GiveUp(format!("{failed}; tried {count} times"));
        }
        if last.sent.epoch >= self.epoch {
            return Next::Raise(format!("{failed}; once more in a new epoch"));
        }
        self.send_now(row, server, traces, after)
    }

    /// Reason for which the VM is not evacuated whatever happens.
    fn never(&self, server: &Server) -> Option<String> {
        if !self.on(Guard::Protected) {
            return None;
        }
        if !server.unprotected.is_empty() {
            let reasons: Vec<String> = server.unprotected.iter().map(WhyNot::in_words).collect();
            return Some(format!("not protected: {}", reasons.join(", ")));
        }
        match &server.state {
            VmState::Active | VmState::Stopped | VmState::Error => None,
            VmState::Resized => {
                Some("a resize waits for its confirmation: Nova does not evacuate it".to_owned())
            }
            VmState::Other(word) => Some(format!("Nova does not evacuate a VM that is {word}")),
        }
    }

    /// Failure of what was sent last, or the step while it has not failed.
    fn outcome(&self, last: &SentRow, traces: &Traces<'a>) -> Result<String, Next> {
        let sent = &last.sent;
        let own = traces
            .of(&sent.vm)
            .filter(|m| m.id > sent.after && m.kind == MigrationKind::Evacuation);
        let newest = own.max_by_key(|m| m.id);
        if let Some(newest) = newest {
            return match newest.progress {
                Progress::Failed => Ok(format!("evacuation {} failed", newest.id)),
                Progress::Open => Ok(format!("evacuation {}: its target died", newest.id)),
                Progress::Done | Progress::Completed if newest.age_ms > self.policy.stuck_ms => Err(
                    Next::GiveUp(format!("evacuation {} is over, and it is still here", newest.id)),
                ),
                Progress::Done | Progress::Completed => Err(Next::UnderWay(format!(
                    "evacuation {} is over, and Nova moves it",
                    newest.id
                ))),
            };
        }
        if let Answer::Refused(why) = &last.answer {
            return Ok(format!("refused: {why}"));
        }
        let (age, limit) = (last.age_ms, self.policy.in_flight_ms);
        if age < limit && self.on(Guard::InFlight) {
            return Err(Next::UnderWay(format!(
                "sent {age} ms ago in epoch {}, no migration to be seen; may arrive until {limit} ms",
                sent.epoch
            )));
        }
        Ok(format!("no migration to be seen {age} ms after it was sent"))
    }

    fn first(&self, row: &IntentRow, server: &Server, traces: &Traces<'a>, after: u64) -> Next {
        let fresh = row.phase_ms < self.policy.in_flight_ms;
        if server.task.as_deref() == Some(REBUILDING) && fresh && self.on(Guard::NoneOpen) {
            return Next::Wait("Nova says that it is rebuilt, and no migration is to be seen".to_owned());
        }
        self.send_now(row, server, traces, after)
    }

    fn send_now(&self, row: &IntentRow, server: &Server, traces: &Traces<'a>, after: u64) -> Next {
        let only = self.only(row, server, traces);
        if only.is_none() && row.phase_ms > self.policy.room_ms && !self.has_room(server) {
            return Next::GiveUp(format!(
                "no host had room for it within {} ms",
                self.policy.room_ms
            ));
        }
        if only.is_some() && row.phase_ms > self.policy.stuck_ms {
            let why =
                "was moving when its host died, and its destination cannot take it: a person has to look";
            return Next::GiveUp(why.to_owned());
        }
        Next::Send { after, only }
    }

    /// Destination of a migration under way: the guest may run there already, and a second
    /// one cannot begin on the same host.
    fn only(&self, row: &IntentRow, server: &Server, traces: &Traces<'a>) -> Option<HostId> {
        if !self.on(Guard::MigratingStays) {
            return None;
        }
        let mut moves = traces.of(&server.vm).filter(|m| {
            m.kind != MigrationKind::Evacuation && m.progress == Progress::Open && m.source == row.intent.host
        });
        let dest = moves.find(|m| !self.target_died(m)).and_then(|m| m.dest.clone());
        dest.filter(|dest| *dest != row.intent.host)
    }
}

impl WhyNot {
    /// The reason for people.
    pub fn in_words(&self) -> String {
        match self {
            Self::LocalDisk => "its disk lies on its host alone".to_owned(),
            Self::Vtpm => "it has a virtual TPM".to_owned(),
            Self::Passthrough => "it has a device of its host".to_owned(),
            Self::Shares => "it has shares".to_owned(),
            Self::NotAsked => "protection is not asked for".to_owned(),
            Self::NoRoom => "no other host has room for it".to_owned(),
            Self::NoSecondHost => "its zone has no second host".to_owned(),
            Self::Unseen(why) => format!("not known to be safe: {why}"),
        }
    }
}
