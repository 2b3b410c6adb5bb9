//! The way back of a host: power, its own clean-up, forced up, enabled, forgotten.
//!
//! Not for VMs: when a host is here, all of them are elsewhere or given up.

use wire::Fact;

use crate::decision::{Act, HostIs};
use crate::guard::Guard;
use crate::nova::{Compute, Migration, MigrationKind, Progress};
use crate::round::Round;
use crate::rows::{IntentRow, Phase};
use crate::seen::HostSeen;
use crate::suspect::is_ours;

impl<'a> Round<'a> {
    /// Next step of a host that may come back.
    pub(crate) fn bring_back(&mut self, row: &'a IntentRow) {
        let Some((host, _)) = self.host(&row.intent.host) else {
            return;
        };
        let Some(boot) = self.heard(host) else {
            self.wake(row, host);
            return;
        };
        let old = row.intent.boot.as_ref() == Some(boot);
        if old && self.on(Guard::OldBoot) {
            let why = format!("heard with boot {boot}, which was proved dead: its device was wrong");
            self.tell(&host.host, "lied", why.clone());
            self.advance(&row.intent, Phase::Refencing, why, row.intent.proof.clone());
            return;
        }
        let step = self.welcome(row, host);
        self.verdict(&host.host, HostIs::Recovering, step);
    }

    /// Power for a host that is not heard.
    fn wake(&mut self, row: &IntentRow, host: &HostSeen) {
        let name = &host.host;
        let waited = row.phase_ms;
        let limit = self.policy.boot_ms;
        match &host.power {
            Fact::Known(power) if !power.on => {
                self.act(Act::PowerOn { host: name.clone() });
                self.verdict(
                    name,
                    HostIs::Recovering,
                    "all its VMs are elsewhere or given up: powered on",
                );
            }
            Fact::Known(_) if waited > limit => {
                let why =
                    format!("powered on and not heard for {waited} ms, more than {limit} ms: cut off again");
                self.tell(name, "no boot", why.clone());
                self.advance(&row.intent, Phase::Refencing, why, row.intent.proof.clone());
            }
            Fact::Known(_) => {
                self.verdict(
                    name,
                    HostIs::Recovering,
                    format!("boots since {waited} ms of {limit} ms"),
                );
            }
            // A device is asked in turns, and answers nothing while it switches.
            Fact::Unknown(_) | Fact::Absent if waited <= limit => {
                let why = format!("its power is not read yet, since {waited} ms of {limit} ms");
                self.verdict(name, HostIs::Recovering, why);
            }
            Fact::Unknown(_) | Fact::Absent => {
                let why = "its power is unknown: a person has to bring it back".to_owned();
                self.tell(name, "no power", why.clone());
                self.verdict(name, HostIs::Recovering, why);
            }
        }
    }

    /// Steps of a host that is heard again; the words say what is waited for.
    fn welcome(&mut self, row: &IntentRow, host: &'a HostSeen) -> String {
        let (Fact::Known(compute), Fact::Known(migrations)) = (&host.compute, &self.seen.migrations) else {
            return "Nova's services or migrations are unknown".to_owned();
        };
        if host.storage_fenced == Fact::Known(true) {
            // Only now: guests of the boot that died could write again before.
            self.act(Act::AllowStorage {
                host: host.host.clone(),
            });
            return "the storage takes it again".to_owned();
        }
        let left = migrations.iter().filter(|m| leaves(m, host)).count();
        if left > 0 && self.on(Guard::Cleaned) {
            // Each start of nova-compute completes one record a VM.
            if self.may_restart(host) {
                self.act(Act::RestartCompute {
                    host: host.host.clone(),
                });
            }
            return format!("{left} evacuation records wait for its nova-compute to clean up");
        }
        let (name, service) = (host.host.clone(), compute.id.clone());
        if compute.forced_down {
            self.act(Act::ForceUp { host: name, service });
            return "cleaned up: forced up".to_owned();
        }
        if !compute.up {
            if self.may_restart(host) {
                self.act(Act::RestartCompute { host: name });
            }
            return format!(
                "its nova-compute is not up, last report {} ms ago",
                compute.report_ms
            );
        }
        if host.agent != Fact::Known(true) && self.on(Guard::AgentBeforeEnable) {
            return "its L2 agent is not known to be alive".to_owned();
        }
        let before = row.intent.disabled_before.clone();
        if !settled(compute, before.as_ref()) {
            self.act(Act::Enable {
                host: name,
                service,
                stays_disabled: before,
            });
            return "forced up: enabled".to_owned();
        }
        let why = format!("back after {} ms", row.opened_ms);
        self.tell(&host.host, "back", why.clone());
        self.act(Act::Forget {
            host: name,
            why: why.clone(),
        });
        why
    }

    /// Time for another restart of nova-compute has come.
    pub(crate) fn may_restart(&self, host: &HostSeen) -> bool {
        host.restarted_ms
            .is_none_or(|ms| ms > self.policy.compute_again_ms)
    }
}

/// The service is as it was before its host died.
fn settled(compute: &Compute, before: Option<&String>) -> bool {
    match before {
        None => compute.enabled,
        Some(reason) => {
            !compute.enabled && !is_ours(compute) && compute.reason.as_deref().unwrap_or_default() == reason
        }
    }
}

/// Evacuation from this host that its nova-compute has not completed.
fn leaves(migration: &Migration, host: &HostSeen) -> bool {
    let unfinished = matches!(migration.progress, Progress::Open | Progress::Done);
    migration.source == host.host && unfinished && migration.kind == MigrationKind::Evacuation
}
