//! From an intent to the proof of death.
//!
//! Not for the choice whom to fence: that is `suspect` and `brake`.

use wire::Fact;

use crate::decision::{Act, HostIs};
use crate::guard::Guard;
use crate::ids::BootId;
use crate::round::Round;
use crate::rows::{Intent, IntentRow, Phase, Proof};
use crate::seen::{Echo, HostSeen};
use crate::suspect::Watch;

impl<'a> Round<'a> {
    /// Next step of a host that is to be cut off.
    pub(crate) fn fence(&mut self, row: &'a IntentRow) {
        let intent = &row.intent;
        let Some((host, watch)) = self.host(&intent.host) else {
            return;
        };
        let watch = watch.clone();
        let wanted = intent.phase == Phase::Refencing || self.wants_fence(host, &watch).is_some();
        let heard = self.heard(host).cloned();
        if !wanted && self.on(Guard::Cancel) {
            self.spare(row, host, heard.as_ref(), &watch);
            return;
        }
        if let Some((_, why)) = self.storage_gone().filter(|_| intent.phase == Phase::Fencing) {
            self.verdict(&intent.host, HostIs::Recovering, why);
            return;
        }
        match self.proof(row, host) {
            Ok(proof) => {
                let why = format!("proved dead after {} ms: {}", row.phase_ms, in_words(&proof));
                self.advance(intent, Phase::Evacuating, why, Some(proof));
            }
            Err(why) if self.disputed(row, host, &watch) => {
                let why = format!("{why}; most observers do not hear it: waits until they agree");
                self.verdict(&intent.host, HostIs::Recovering, why);
            }
            Err(why) => self.cut(intent, host, why),
        }
    }

    /// End of an intent whose host lives, or a wait where that is not known.
    fn spare(&mut self, row: &IntentRow, host: &HostSeen, heard: Option<&BootId>, watch: &Watch) {
        let name = &row.intent.host;
        let judged = matches!(watch, Watch::Well | Watch::Partial(_));
        if !judged || heard.is_none() {
            let why = format!("no longer silent by all signs ({watch:?}); waits for heartbeats or silence");
            self.verdict(name, HostIs::Recovering, why);
            return;
        }
        if is_off(host) && row.phase_ms < self.policy.in_flight_ms {
            let why = "its device says off, its heartbeats say alive: waits for one of them";
            self.verdict(name, HostIs::Recovering, why);
            return;
        }
        if host.storage_fenced == Fact::Known(true) {
            self.act(Act::AllowStorage { host: name.clone() });
            self.verdict(
                name,
                HostIs::Recovering,
                "heard again: the storage takes it again",
            );
            return;
        }
        let why = format!("heard again {} ms after it was to be fenced", row.phase_ms);
        self.tell(name, "spared", why.clone());
        self.act(Act::Forget {
            host: name.clone(),
            why,
        });
    }

    /// Few observers hear the host and most do not: those may be about to lose their trust.
    fn disputed(&self, row: &IntentRow, host: &HostSeen, watch: &Watch) -> bool {
        let young = row.phase_ms < self.policy.fence_ms && row.intent.phase == Phase::Fencing;
        let silent = matches!(watch, Watch::Silent(_));
        young && silent && self.on(Guard::Disputed) && self.sign_of_life(host).is_some()
    }

    /// Power off and the storage's refusal, side by side.
    fn cut(&mut self, intent: &Intent, host: &HostSeen, why: String) {
        let name = &intent.host;
        if let Some((_, why)) = self.kdump(host).filter(|_| intent.phase == Phase::Fencing) {
            self.verdict(name, HostIs::Recovering, why);
            return;
        }
        if host.storage_fenced != Fact::Known(true) && host.storage_fenced != Fact::Absent {
            self.act(Act::FenceStorage { host: name.clone() });
        }
        // A host that is off by our command and yet heard is lied about: off once more.
        self.act(Act::PowerOff {
            host: name.clone(),
            boot: intent.boot.clone(),
        });
        self.verdict(name, HostIs::Recovering, why);
    }

    /// Proof that the guests of this boot have ended, or the reason why there is none.
    fn proof(&self, row: &IntentRow, host: &HostSeen) -> Result<Proof, String> {
        let intent = &row.intent;
        if let Some(sign) = self.sign_of_life(host) {
            return Err(format!("not proved dead: {sign}"));
        }
        let person = self.confirmed(&intent.host, intent.boot.as_ref());
        if person && intent.phase == Phase::Fencing {
            return Ok(Proof::Person);
        }
        if !self.on(Guard::Proof) {
            return Ok(Proof::Storage);
        }
        if let Some(proof) = self.power_off(intent, host) {
            return Ok(proof);
        }
        if let Some(dog) = host.watchdog.filter(|dog| dog.armed) {
            let over = dog.timeout_ms + self.policy.watchdog_margin_ms;
            if silence(host) > over && row.phase_ms > over {
                return Ok(Proof::Watchdog);
            }
        }
        let alone = self.policy.storage_alone.contains(&intent.host);
        if alone && host.storage_fenced == Fact::Known(true) {
            return Ok(Proof::Storage);
        }
        Err(match &host.power {
            Fact::Known(power) if power.on => format!("{} reads its power as on", power.device),
            Fact::Known(power) => format!("{} reads off, from before our command", power.device),
            Fact::Absent => "it has no fence device".to_owned(),
            Fact::Unknown(why) => format!("its power is unknown: {why}"),
        })
    }

    fn power_off(&self, intent: &Intent, host: &HostSeen) -> Option<Proof> {
        let Fact::Known(power) = &host.power else {
            return None;
        };
        let ours = power.after_off.is_some_and(|epoch| epoch >= intent.epoch);
        let counts = !power.on && (ours || !self.on(Guard::ReadAfterCommand));
        counts.then(|| Proof::PowerOff {
            device: power.device.clone(),
        })
    }

    /// Sign that the host runs, whatever was proved.
    pub(crate) fn sign_of_life(&self, host: &HostSeen) -> Option<String> {
        if !self.on(Guard::StillSilent) {
            return None;
        }
        if let Some(boot) = self.heard(host) {
            return Some(format!("its heartbeats are heard, boot {boot}"));
        }
        let answers = host.paths.iter().any(|path| path.echo == Echo::Answers);
        answers.then(|| "its kernel answers".to_owned())
    }
}

/// Power is known to be off.
fn is_off(host: &HostSeen) -> bool {
    matches!(&host.power, Fact::Known(power) if !power.on)
}

fn silence(host: &HostSeen) -> u64 {
    host.paths
        .iter()
        .filter_map(|path| path.age_ms)
        .min()
        .unwrap_or(0)
}

fn in_words(proof: &Proof) -> String {
    match proof {
        Proof::PowerOff { device } => format!("{device} reads power off after our command"),
        Proof::Watchdog => "the time of its armed watchdog is over".to_owned(),
        Proof::Storage => {
            "the storage refuses it, which the file takes for enough; guests may run".to_owned()
        }
        Proof::Person => "a person confirmed it".to_owned(),
    }
}
