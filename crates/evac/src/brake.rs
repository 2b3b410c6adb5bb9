//! Brakes: which of the hosts that look dead may be fenced now.
//!
//! Not for hosts that have an intent already: what was begun is finished.

use std::collections::BTreeMap;

use wire::Fact;

use crate::decision::{Act, Brake, BrakeVerdict, HostIs};
use crate::guard::Guard;
use crate::ids::{BootId, HostId, Name};
use crate::round::Round;
use crate::rows::{Intent, Phase};
use crate::seen::HostSeen;
use crate::suspect::{Watch, is_ours};

/// Host that is to be fenced, with the reason.
struct Candidate<'a> {
    host: &'a HostSeen,
    boot: Option<BootId>,
    why: String,
}

impl Round<'_> {
    /// Opens intents for hosts that look dead, as far as brakes allow.
    pub(crate) fn open(&mut self) {
        let mut candidates = Vec::new();
        let watches = std::mem::take(&mut self.watches);
        for (host, watch) in self.seen.hosts.iter().zip(&watches) {
            let quiet = *watch == Watch::Well && matches!(&host.compute, Fact::Known(c) if c.enabled);
            if quiet || self.intent(&host.host).is_some() {
                continue;
            }
            match self.wants_fence(host, watch) {
                Some(why) => candidates.push(Candidate {
                    host,
                    boot: last_boot(host),
                    why,
                }),
                None => self.ailing(host, watch),
            }
        }
        self.watches = watches;
        if candidates.is_empty() {
            return;
        }
        let held = self.brakes(&candidates);
        for candidate in candidates {
            let own = self.own_brake(&candidate);
            self.look(&candidate.host.host);
            match held.as_ref().or(own.as_ref()) {
                Some(why) => {
                    let why = format!("{}; held: {why}", candidate.why);
                    self.tell(&candidate.host.host, "held", why.clone());
                    self.verdict(&candidate.host.host, HostIs::Held, why);
                }
                None => self.begin(candidate),
            }
        }
    }

    fn begin(&mut self, candidate: Candidate<'_>) {
        let Fact::Known(compute) = &candidate.host.compute else {
            let why = format!("{}; Nova does not say which service it has", candidate.why);
            self.verdict(&candidate.host.host, HostIs::Held, why);
            return;
        };
        let before =
            (!compute.enabled && !is_ours(compute)).then(|| compute.reason.clone().unwrap_or_default());
        self.verdict(&candidate.host.host, HostIs::Recovering, candidate.why.clone());
        self.act(Act::Write(Intent {
            host: candidate.host.host.clone(),
            boot: candidate.boot,
            epoch: self.epoch,
            phase: Phase::Fencing,
            why: candidate.why,
            proof: None,
            disabled_before: before,
        }));
    }

    /// Reason that holds all candidates, from brakes over many hosts.
    fn brakes(&mut self, candidates: &[Candidate<'_>]) -> Option<String> {
        let mut hold = None;
        let mut pulled = self.counting(candidates);
        let released = self.store.released_ms.is_some_and(|left| left > 0);
        let always = [self.storage_gone(), self.unwell()];
        for (brake, why) in always.into_iter().flatten() {
            self.pull(brake, false, &why, &mut hold);
        }
        pulled.sort();
        for (brake, why) in pulled {
            self.pull(brake, released, &why, &mut hold);
        }
        hold
    }

    fn pull(&mut self, brake: Brake, released: bool, why: &str, hold: &mut Option<String>) {
        if !released && hold.is_none() {
            *hold = Some(why.to_owned());
        }
        let why = why.to_owned();
        self.out.brakes.push(BrakeVerdict { brake, released, why });
    }

    /// Brakes that count hosts; a person can release them.
    fn counting(&self, candidates: &[Candidate<'_>]) -> Vec<(Brake, String)> {
        let mut lost: Vec<&HostId> = candidates.iter().map(|c| &c.host.host).collect();
        let begun = self.store.intents.iter().map(|row| &row.intent);
        lost.extend(begun.filter(|i| i.phase != Phase::Returning).map(|i| &i.host));
        let all = self.seen.hosts.len() as u64;
        let count = lost.len() as u64;
        let mut out = Vec::new();
        if self.on(Guard::Fraction) && count * 100 > self.policy.hosts_percent * all {
            let limit = self.policy.hosts_percent;
            out.push((
                Brake::Fraction,
                format!("{count} of {all} hosts are lost, more than {limit} %"),
            ));
        }
        if self.on(Guard::Rack) {
            let racks = self.domains(&lost, |host| host.rack.as_slice());
            out.extend(racks.map(|why| (Brake::Rack, format!("rack {why}"))));
        }
        if self.on(Guard::Aggregate) {
            let aggregates = self.domains(&lost, |host| &host.aggregates);
            out.extend(aggregates.map(|why| (Brake::Aggregate, format!("aggregate {why}"))));
        }
        let window = self
            .store
            .opened_ms
            .iter()
            .filter(|age| **age < self.policy.rate_ms);
        let rate = window.count() as u64 + candidates.len() as u64;
        if self.on(Guard::Rate) && rate > self.policy.rate_hosts {
            let (limit, ms) = (self.policy.rate_hosts, self.policy.rate_ms);
            out.push((
                Brake::Rate,
                format!("{rate} hosts within {ms} ms, more than {limit}"),
            ));
        }
        out.extend(self.cliff(all).map(|why| (Brake::Cliff, why)));
        out
    }

    /// First domain of which too many hosts are lost, in words.
    fn domains(&self, lost: &[&HostId], of: impl Fn(&HostSeen) -> &[Name]) -> Option<String> {
        let mut counts: BTreeMap<&Name, (u64, u64)> = BTreeMap::new();
        for host in &self.seen.hosts {
            let is_lost = lost.contains(&&host.host);
            for name in of(host) {
                let count = counts.entry(name).or_default();
                count.0 += u64::from(is_lost);
                count.1 += 1;
            }
        }
        let limit = self.policy.domain_percent;
        let over = |(gone, all): &(u64, u64)| *gone > 1 && gone * 100 > limit * all;
        let (name, (gone, all)) = counts.into_iter().find(|(_, count)| over(count))?;
        Some(format!(
            "{name}: {gone} of {all} hosts are lost, more than {limit} %"
        ))
    }

    /// Silence of many hosts that began at one moment.
    fn cliff(&self, all: u64) -> Option<String> {
        let ages = self.watches.iter().filter_map(|watch| match watch {
            Watch::Silent(silence) | Watch::Hung(silence) => Some(*silence),
            _ => None,
        });
        let mut ages: Vec<u64> = ages.collect();
        ages.sort_unstable();
        let window = self.policy.cliff_ms;
        let within = |(at, first): (usize, &u64)| {
            let rest = ages.get(at..).unwrap_or_default();
            rest.iter().take_while(|age| **age - first <= window).count() as u64
        };
        let most = ages.iter().enumerate().map(within).max().unwrap_or(0);
        let limit = self.policy.cliff_percent;
        let over = most > 2 && most * 100 >= limit * all;
        (over && self.on(Guard::Cliff)).then(|| {
            format!("{most} of {all} hosts fell silent within {window} ms, {limit} % or more: the network is asked first")
        })
    }

    /// Storage that is gone for many hosts: nobody is fenced for it.
    pub(crate) fn storage_gone(&self) -> Option<(Brake, String)> {
        // Last words of hosts that are gone for long are not about the storage of now.
        let recent = self.policy.unheard_ms;
        let hangs = |host: &&HostSeen| {
            host.says
                .as_ref()
                .is_some_and(|says| says.storage_hangs && says.age_ms <= recent)
        };
        let count = self.seen.hosts.iter().filter(hangs).count() as u64;
        let all = self.seen.hosts.len() as u64;
        let limit = self.policy.storage_percent;
        let gone = count > 1 && count * 100 >= limit * all && self.on(Guard::StorageGone);
        gone.then(|| {
            let why = format!("instance storage hangs on {count} of {all} hosts, {limit} % or more");
            (Brake::StorageGone, why)
        })
    }

    /// Trouble of the control plane that an evacuation would run into.
    pub(crate) fn unwell(&self) -> Option<(Brake, String)> {
        if !self.on(Guard::ControlWell) {
            return None;
        }
        let control = &self.seen.control;
        let limit = self.policy.slow_ms;
        let why = match (&control.answer_ms, &control.scheduler, &control.conductor) {
            (Fact::Known(ms), _, _) if *ms > limit => {
                format!("Nova's API took {ms} ms, more than {limit} ms")
            }
            (Fact::Known(_), Fact::Known(true), Fact::Known(true)) => return None,
            (Fact::Unknown(why), _, _) => format!("Nova's API is unknown: {why}"),
            (Fact::Absent, _, _) => "Nova's API does not answer".to_owned(),
            (_, Fact::Known(true), _) => "no conductor of Nova is known to be up".to_owned(),
            _ => "no scheduler of Nova is known to be up".to_owned(),
        };
        Some((Brake::Unwell, why))
    }

    /// Reason that holds this host alone.
    fn own_brake(&mut self, candidate: &Candidate<'_>) -> Option<String> {
        let host = candidate.host;
        let person = self.confirmed(&host.host, candidate.boot.as_ref());
        let (brake, why) = self.unproved(host, person).or_else(|| self.kdump(host))?;
        let of = format!("{}: {why}", host.host);
        self.pull(brake, false, &of, &mut None);
        Some(why)
    }

    /// A person confirmed the death of this boot.
    pub(crate) fn confirmed(&self, host: &HostId, boot: Option<&BootId>) -> bool {
        let mut all = self.store.confirmed.iter();
        all.any(|c| c.host == *host && (c.boot.as_ref() == boot || !self.on(Guard::ThisBoot)))
    }

    fn unproved(&self, host: &HostSeen, person: bool) -> Option<(Brake, String)> {
        if person || !self.on(Guard::Proved) {
            return None;
        }
        let limit = self.policy.proof_ms;
        let why = match &host.proved_ms {
            Fact::Known(age) if *age <= limit => return None,
            Fact::Known(age) => format!("its fence device was proved {age} ms ago, more than {limit} ms"),
            Fact::Absent => "its fence device was never proved".to_owned(),
            Fact::Unknown(why) => format!("the proof of its fence device is unknown: {why}"),
        };
        Some((Brake::Unproved, why))
    }

    /// Kernel dump of which the host told last, while its time lasts.
    pub(crate) fn kdump(&self, host: &HostSeen) -> Option<(Brake, String)> {
        let says = host.says.as_ref().filter(|says| says.kdump)?;
        let limit = self.policy.kdump_ms;
        let waits = says.age_ms < limit && self.on(Guard::Kdump);
        waits.then(|| {
            let why = format!("it writes a kernel dump since {} ms of {limit} ms", says.age_ms);
            (Brake::Kdump, why)
        })
    }
}

/// Boot id in the youngest heartbeat.
fn last_boot(host: &HostSeen) -> Option<BootId> {
    let heard = host.paths.iter().filter(|path| path.age_ms.is_some());
    let youngest = heard
        .min_by_key(|path| path.age_ms)
        .and_then(|path| path.boot.clone());
    youngest.or_else(|| host.says.as_ref().map(|says| says.boot.clone()))
}
