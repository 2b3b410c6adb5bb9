//! What the loss of a member costs those who keep something in a store, or send
//! something through it.

use render::{DesiredBalanced, DesiredPart};

use super::chain::{Chain, Cost, ms, never};
use super::reach::{Scope, stands_on};
use super::{Fault, Until};

/// What those that are left cannot do.
fn minority(part: &DesiredPart) -> Cost {
    never(format!(
        "the members of {} that are left are no majority",
        part.resource
    ))
}

impl Chain<'_> {
    /// Members of the databases.
    pub fn databases(
        &self,
        fault: Fault,
        host: &str,
        part: &DesiredPart,
        scope: &Scope,
        asked: Option<&DesiredBalanced>,
    ) -> Vec<Cost> {
        let own = scope.sections.contains(&part.resource);
        if !own && !self.keeps(scope) {
            return Vec::new();
        }
        if part.hosts.len() == 1 {
            return vec![self.only(fault, part)];
        }
        if !self.keeps_majority(part, host) {
            return vec![minority(part)];
        }
        let mut out: Vec<Cost> = asked
            .and_then(|b| self.servers(fault, host, part, b))
            .into_iter()
            .collect();
        if own {
            return out;
        }
        let suspected = self.times.of("store_suspect") + self.times.of("store_view");
        let usual = if scope.writes { suspected } else { 0 };
        let worst = self.times.of("store_inactive").max(suspected);
        out.push(ms(
            usual,
            worst,
            "members of the database suspect the one that is silent (store_suspect + store_view, at worst store_inactive)",
        ));
        let retry = Until::Ms(self.times.of("database_retry"));
        for cost in &mut out {
            cost.worst = cost.worst + retry;
            cost.why.push_str("; services ask again (database_retry)");
        }
        out
    }

    /// Members of the brokers.
    pub fn brokers(&self, fault: Fault, host: &str, part: &DesiredPart, scope: &Scope) -> Option<Cost> {
        let speaks = |s: &String| stands_on(self.desired, s, |n| n.messages);
        if !scope.messages || !scope.services.iter().any(speaks) {
            return None;
        }
        let reconnect = self.times.of("broker_reconnect");
        let answer = self.times.of("rpc_answer");
        if part.hosts.len() == 1 {
            let mut only = self.only(fault, part);
            only.worst = only.worst + Until::Ms(self.times.of("broker_wait"));
            return Some(only);
        }
        if !self.keeps_majority(part, host) && fault != Fault::Killed {
            return Some(minority(part));
        }
        Some(match fault {
            Fault::Power => {
                // A heartbeat and a third is what the library takes for a host that is gone.
                let given_up = self.times.of("broker_heartbeat") * 4 / 3;
                ms(
                    given_up + reconnect,
                    answer,
                    "clients of this broker give it up (broker_heartbeat and a third + broker_reconnect); an answer that was lost is waited for (rpc_answer)",
                )
            }
            Fault::Killed => ms(
                reconnect + self.times.of("broker_leads"),
                answer,
                "clients take another broker, whose queues get other leaders (broker_reconnect + broker_leads); an answer that was lost is waited for (rpc_answer)",
            ),
            Fault::Frozen => {
                let given_up = self.times.of("broker_gone") + reconnect;
                ms(
                    given_up,
                    answer.max(given_up + self.times.of("broker_wait")),
                    "clients of this broker give it up (broker_gone + broker_reconnect); an answer that was lost is waited for (rpc_answer)",
                )
            }
        })
    }

    /// Members with a leader whom clients ask at any of them.
    pub fn leaders(&self, fault: Fault, host: &str, part: &DesiredPart, scope: &Scope) -> Option<Cost> {
        if !scope.writes {
            return None;
        }
        if part.hosts.len() == 1 {
            return Some(self.only(fault, part));
        }
        if !self.keeps_majority(part, host) {
            return Some(minority(part));
        }
        let probe = self.times.of("member_probe");
        let usual = if fault == Fault::Killed { 0 } else { probe };
        // Silence is asked about after one time, and believed after another.
        let worst = probe * 2;
        let why = format!(
            "a client of this {} gives it up for another (twice member_probe)",
            part.resource
        );
        Some(ms(usual, worst, why))
    }

    /// What may be forgotten, and is asked all the same.
    pub fn caches(&self, fault: Fault, part: &DesiredPart) -> Cost {
        let answer = self.times.of("cache_answer");
        let why = format!(
            "this {} is asked until it is given up (cache_answer, at first cache_hangs)",
            part.resource
        );
        match fault {
            Fault::Killed => ms(0, answer, why),
            Fault::Power | Fault::Frozen => ms(answer, self.times.of("cache_hangs"), why),
        }
    }
}
