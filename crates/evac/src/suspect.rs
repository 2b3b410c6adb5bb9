//! Judgement of a host's paths: heard, partly silent, silent, or not to be judged.
//!
//! Not for what follows from it: a silent host is held by brakes and fenced elsewhere.

use wire::Fact;

use crate::decision::{Act, HostIs};
use crate::guard::Guard;
use crate::ids::{BootId, Name};
use crate::nova::Compute;
use crate::policy::Response;
use crate::round::{OURS, Round};
use crate::seen::{Echo, HostSeen, ObserverSeen, PathSeen};

/// Judgement of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Heard on every network.
    Well,
    /// Not to be judged, with the reason.
    Unjudged(String),
    /// Silent on these networks, heard on others.
    Partial(Vec<Name>),
    /// Silent on every network; its kernel answers.
    Hung(u64),
    /// Silent on every network and to every probe, for so many ms.
    Silent(u64),
}

/// One observer's word on one path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Heard,
    Silent,
    Unknown,
}

impl Round<'_> {
    /// Judgements of all hosts, in their order.
    pub(crate) fn watch_all(&self) -> Vec<Watch> {
        let limit = self.policy.suspect_ms;
        let well = |host: &HostSeen| {
            let heard = |path: &PathSeen| path.age_ms.is_some_and(|age| age <= limit);
            !host.paths.is_empty() && host.paths.iter().all(heard)
        };
        let hosts = &self.seen.hosts;
        let mut trusted = None;
        let judged = hosts.iter().map(|host| {
            if well(host) {
                return Watch::Well;
            }
            self.watch(host, trusted.get_or_insert_with(|| self.trusted()))
        });
        judged.collect()
    }

    /// Observers whose silence means something.
    fn trusted(&self) -> Vec<&ObserverSeen> {
        let limit = self.policy.suspect_ms;
        let hears = |observer: &ObserverSeen| {
            let mut paths = self.seen.hosts.iter().flat_map(|host| &host.paths);
            paths.any(|path| {
                path.observer == observer.controller && silence(path, observer).is_some_and(|ms| ms <= limit)
            })
        };
        let fresh = |observer: &ObserverSeen| {
            let age = observer.age_ms.unwrap_or(u64::MAX);
            age <= self.policy.observer_ms || (!self.on(Guard::FreshTables) && observer.age_ms.is_some())
        };
        let all = self.seen.observers.iter();
        all.filter(|o| fresh(o) && (!self.on(Guard::HearsSomebody) || hears(o)))
            .collect()
    }

    fn watch(&self, host: &HostSeen, trusted: &[&ObserverSeen]) -> Watch {
        let needed = self.seen.observers.len() / 2 + 1;
        if trusted.len() < needed {
            let all = self.seen.observers.len();
            let few = trusted.len();
            return Watch::Unjudged(format!("{few} of {all} observers are fresh and hear hosts"));
        }
        let mut networks: Vec<&Name> = host.paths.iter().map(|path| &path.network).collect();
        networks.sort_unstable();
        networks.dedup();
        if networks.is_empty() {
            return Watch::Unjudged("no observer listens for it".to_owned());
        }
        let (mut lost, mut unknown) = (Vec::new(), 0);
        for network in &networks {
            match self.network(host, network, trusted) {
                Word::Heard => {}
                Word::Silent => lost.push((*network).clone()),
                Word::Unknown => unknown += 1,
            }
        }
        if unknown == networks.len() {
            return Watch::Unjudged("no heartbeat was ever heard".to_owned());
        }
        let every = lost.len() == networks.len();
        if every || (!lost.is_empty() && !self.on(Guard::EveryNetwork)) {
            return self.silent(host, trusted);
        }
        if lost.is_empty() {
            Watch::Well
        } else {
            Watch::Partial(lost)
        }
    }

    /// Word of most trusted observers on one network.
    fn network(&self, host: &HostSeen, network: &Name, trusted: &[&ObserverSeen]) -> Word {
        let (mut silent, mut heard) = (0, 0);
        for path in host.paths.iter().filter(|path| path.network == *network) {
            let observer = trusted.iter().find(|o| o.controller == path.observer);
            match observer.map(|o| self.word(host, path, o)) {
                Some(Word::Heard) => heard += 1,
                Some(Word::Silent) => silent += 1,
                Some(Word::Unknown) | None => {}
            }
        }
        let most = silent * 2 > trusted.len() || (silent > 0 && !self.on(Guard::Majority));
        match (most, heard) {
            (true, _) => Word::Silent,
            (false, 0) => Word::Unknown,
            (false, _) => Word::Heard,
        }
    }

    fn word(&self, host: &HostSeen, path: &PathSeen, observer: &ObserverSeen) -> Word {
        match silence(path, observer) {
            Some(age) if age <= self.policy.suspect_ms => Word::Heard,
            Some(_) => Word::Silent,
            // A host that died before all observers began was never heard: Nova and the
            // probes have to say the same.
            None => {
                let down = matches!(&host.compute, Fact::Known(compute) if !compute.up);
                let long = observer.running_ms > self.policy.unheard_ms;
                if down && long && path.echo == Echo::Silent {
                    Word::Silent
                } else {
                    Word::Unknown
                }
            }
        }
    }

    fn silent(&self, host: &HostSeen, trusted: &[&ObserverSeen]) -> Watch {
        let of = |path: &PathSeen| trusted.iter().find(|o| o.controller == path.observer);
        let paths = || host.paths.iter().filter(|path| of(path).is_some());
        let ages = paths().filter_map(|path| silence(path, of(path)?));
        let youngest = ages.filter(|age| *age > self.policy.suspect_ms).min();
        let silence = youngest.unwrap_or(self.policy.unheard_ms);
        let probed = |o: &&&ObserverSeen| {
            paths().any(|path| path.observer == o.controller && path.echo == Echo::Silent)
        };
        let answers = paths().any(|path| path.echo == Echo::Answers);
        let probed = trusted.iter().filter(probed).count();
        if !self.on(Guard::KernelSilent) {
            return Watch::Silent(silence);
        }
        if answers {
            return Watch::Hung(silence);
        }
        if probed * 2 <= trusted.len() && self.on(Guard::Majority) {
            let all = trusted.len();
            return Watch::Unjudged(format!(
                "silent for {silence} ms; {probed} of {all} observers have probed its kernel"
            ));
        }
        Watch::Silent(silence)
    }

    /// Boot id in the youngest heartbeat that is not silent yet, from any fresh observer.
    pub(crate) fn heard<'h>(&self, host: &'h HostSeen) -> Option<&'h BootId> {
        let fresh = |path: &&PathSeen| {
            let mut observers = self.seen.observers.iter();
            let observer = observers.find(|o| o.controller == path.observer);
            let age = observer.and_then(|o| o.age_ms).unwrap_or(u64::MAX);
            let silence = observer.and_then(|o| silence(path, o)).unwrap_or(u64::MAX);
            age <= self.policy.observer_ms && silence <= self.policy.suspect_ms
        };
        let heard = host.paths.iter().filter(fresh);
        heard
            .min_by_key(|path| path.age_ms)
            .and_then(|path| path.boot.as_ref())
    }

    /// Reason to fence the host for what its paths say; none where it is not to be.
    pub(crate) fn wants_fence(&self, host: &HostSeen, watch: &Watch) -> Option<String> {
        match watch {
            Watch::Silent(silence) if *silence >= self.policy.fence_ms => Some(format!(
                "silent on every network for {silence} ms, its kernel too"
            )),
            Watch::Partial(lost) if self.response(lost) == Response::Fence => {
                let witness = self.witness(host)?;
                Some(format!(
                    "lost {}, for which the file says fence; {witness}",
                    list(lost)
                ))
            }
            _ => None,
        }
    }

    /// Sign of another kind that a host which is still heard does its guests no good.
    fn witness(&self, host: &HostSeen) -> Option<&'static str> {
        if !self.on(Guard::SecondWitness) {
            return Some("no other witness is asked for");
        }
        let says = host.says.as_ref()?;
        // Where nobody else says that the storage works, it may be gone for all.
        let well = |other: &HostSeen| {
            let words = other
                .says
                .as_ref()
                .filter(|words| words.age_ms <= self.policy.suspect_ms);
            other.host != host.host && words.is_some_and(|words| !words.storage_hangs)
        };
        if says.storage_hangs && self.seen.hosts.iter().any(well) {
            return Some("it says that its storage hangs, others say that theirs works");
        }
        // A nova-compute that merely died is restarted.
        let down = matches!(&host.compute, Fact::Known(compute) if !compute.up);
        (down && !says.compute_dead && !says.storage_hangs).then_some("Nova takes it for down")
    }

    fn response(&self, lost: &[Name]) -> Response {
        let same = |names: &[Name]| names.len() == lost.len() && lost.iter().all(|n| names.contains(n));
        let rule = self.policy.losses.iter().find(|loss| same(&loss.lost));
        rule.map_or(self.policy.other_losses, |loss| loss.then)
    }

    /// Verdict and milder responses for a host that is not fenced.
    pub(crate) fn ailing(&mut self, host: &HostSeen, watch: &Watch) {
        match watch {
            Watch::Well => self.heal(host),
            Watch::Unjudged(why) => self.verdict(&host.host, HostIs::Unjudged, why.clone()),
            Watch::Silent(silence) => {
                self.look(&host.host);
                let limit = self.policy.fence_ms;
                let why = format!("silent for {silence} ms of {limit} ms");
                self.verdict(&host.host, HostIs::Suspected, why);
            }
            Watch::Hung(silence) => {
                let why = format!("no heartbeat for {silence} ms, but its kernel answers");
                self.tell(&host.host, "hung", why.clone());
                self.verdict(&host.host, HostIs::Ailing, why);
            }
            Watch::Partial(lost) => self.partial(host, lost),
        }
    }

    fn partial(&mut self, host: &HostSeen, lost: &[Name]) {
        let why = format!("silent on {}, heard on other networks", list(lost));
        let response = self.response(lost);
        if response != Response::Nothing {
            self.tell(&host.host, "paths", why.clone());
        }
        if let (Response::Disable, Fact::Known(compute)) = (response, &host.compute)
            && compute.enabled
        {
            self.act(Act::Disable {
                host: host.host.clone(),
                service: compute.id.clone(),
                reason: format!("{OURS}{why}"),
            });
        }
        self.verdict(&host.host, HostIs::Ailing, why);
    }

    /// End of our own disabling once all networks are heard again.
    fn heal(&mut self, host: &HostSeen) {
        if let Fact::Known(compute) = &host.compute
            && is_ours(compute)
            && !compute.enabled
            && !compute.forced_down
            && (host.agent == Fact::Known(true) || !self.on(Guard::AgentBeforeEnable))
        {
            self.act(Act::Enable {
                host: host.host.clone(),
                service: compute.id.clone(),
                stays_disabled: None,
            });
        }
    }
}

/// Silence of a path as far as its observer saw it: the age of its table is not silence.
fn silence(path: &PathSeen, observer: &ObserverSeen) -> Option<u64> {
    let age = path.age_ms?;
    Some(age.saturating_sub(observer.age_ms.unwrap_or(0)))
}

/// The reason in Nova's record was written by the engine.
pub(crate) fn is_ours(compute: &Compute) -> bool {
    compute
        .reason
        .as_ref()
        .is_some_and(|reason| reason.starts_with(OURS))
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}
