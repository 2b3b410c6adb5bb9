//! What the loss of those costs who do what an API has taken on: workers, what runs
//! once, hosts that do what they are told, and servers that keep replicas.

use render::{DesiredPart, Watched};

use super::Fault;
use super::chain::{Chain, Cost, ms};
use super::reach::Scope;

impl Chain<'_> {
    /// Workers of which any takes what is to be done.
    pub fn workers(&self, fault: Fault, part: &DesiredPart) -> Cost {
        if part.hosts.len() == 1 {
            return self.only(fault, part);
        }
        let name = &part.resource;
        let answer = self.times.of("rpc_answer");
        let gone = self.times.of("broker_gone");
        match fault {
            Fault::Power => {
                let why = format!(
                    "what this {name} was given goes to another when the broker gives it up (broker_gone); an answer is waited for (rpc_answer)"
                );
                ms(gone, answer.max(gone), why)
            }
            Fault::Frozen => {
                let said = if matches!(part.watched, Watched::Connected(_)) {
                    "it is ended (broker_silent + worker_look)"
                } else {
                    "the broker gives it up (broker_gone)"
                };
                let why = format!(
                    "what this {name} was given goes to another when {said}; an answer is waited for (rpc_answer)"
                );
                ms(self.times.silent(part), answer.max(gone), why)
            }
            Fault::Killed => {
                let why = format!(
                    "what this {name} had taken is not answered (rpc_answer); another takes what comes"
                );
                ms(0, answer, why)
            }
        }
    }

    /// What runs once only. Where it runs is the cluster's choice, so it is counted as if
    /// it ran on the host.
    pub fn single(&self, fault: Fault, host: &str, part: &DesiredPart) -> Cost {
        if part.hosts.len() == 1 || fault != Fault::Power {
            return self.alone(fault, part, "where it runs here, runs nowhere else");
        }
        if let Some(stays) = self.stays(fault, host) {
            return stays;
        }
        let name = &part.resource;
        let requires = self.times.primitive(name).and_then(|p| p.meta.get("requires"));
        let fenced = requires.is_some_and(|r| r == "fencing");
        let (fence, slow, said) = if fenced {
            (self.times.of("fence"), self.times.of("fence_slow"), " + fence")
        } else {
            (0, 0, "")
        };
        let gone = self.times.of("membership") + self.times.of("decide");
        ms(
            gone + fence + self.times.of("start"),
            (gone + slow + self.times.of("start_slow")).max(self.times.of("rpc_answer")),
            format!("{name}, where it runs here, is started elsewhere (membership{said} + decide + start)"),
        )
    }

    /// Hosts that do what the control plane says.
    pub fn executors(&self, fault: Fault, part: &DesiredPart) -> Cost {
        if part.hosts.len() == 1 {
            return self.only(fault, part);
        }
        let why = format!(
            "work is given to this {} until it is missed (executor_missed)",
            part.resource
        );
        ms(0, self.times.of("executor_missed"), why)
    }

    /// Servers that keep replicas of what another has too.
    ///
    /// A write may reach one of those that are left alone, until they have told each other.
    pub fn replicas(&self, fault: Fault, part: &DesiredPart, scope: &Scope) -> Cost {
        if part.hosts.len() == 1 {
            return self.only(fault, part);
        }
        let name = &part.resource;
        let (connect, answer) = (self.times.of("replica_connect"), self.times.of("replica_answer"));
        match fault {
            Fault::Power => {
                let (agree, said) = if scope.writes {
                    let said = ", and those that are left tell each other (replica_agree)";
                    (self.times.of("replica_agree"), said)
                } else {
                    (0, "")
                };
                let why = format!("another {name} is asked (replica_connect, at worst replica_answer){said}");
                ms(connect, answer + agree, why)
            }
            Fault::Killed => ms(0, connect, format!("another {name} is asked (replica_connect)")),
            Fault::Frozen => {
                let why = format!("this {name} takes connections and does not answer (replica_answer)");
                ms(answer, answer, why)
            }
        }
    }
}
