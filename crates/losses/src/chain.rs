//! The reasons why a fault costs something, by the kinds of the components that it takes:
//! each is a rule of its own, with the numbers of the budget that it is made of.

use std::collections::HashMap;

use names::HostName;
use render::{Desired, DesiredBalanced, DesiredPart, Kind};

use super::reach::{Scope, is_worker, stands_on};
use super::times::Times;
use super::{Fault, Left, Until};

/// One reason.
#[derive(Clone, Debug)]
pub struct Cost {
    pub usual: Until,
    pub worst: Until,
    pub why: String,
}

fn cost(usual: Until, worst: Until, why: impl Into<String>) -> Cost {
    let why = why.into();
    Cost { usual, worst, why }
}

pub fn ms(usual: u64, worst: u64, why: impl Into<String>) -> Cost {
    cost(Until::Ms(usual), Until::Ms(worst.max(usual)), why)
}

pub fn never(why: impl Into<String>) -> Cost {
    cost(Until::Repaired, Until::Repaired, why)
}

/// Until when the longest of several takes, usually and at worst: layers wait beside each
/// other.
pub fn longest(costs: &[Cost]) -> (Until, Until) {
    let usual = costs.iter().map(|c| c.usual).max();
    let worst = costs.iter().map(|c| c.worst).max();
    (usual.unwrap_or(Until::NOW), worst.unwrap_or(Until::NOW))
}

pub struct Chain<'a> {
    /// The cloud without what does not serve.
    pub desired: &'a Desired,
    pub times: Times<'a>,
    /// The whole cloud: majorities are of all members.
    designed: &'a Desired,
    left: &'a Left,
    /// The components of each host.
    on: HashMap<&'a str, Vec<&'a DesiredPart>>,
}

impl<'a> Chain<'a> {
    pub fn new(desired: &'a Desired, designed: &'a Desired, left: &'a Left) -> Self {
        let times = Times::new(desired);
        let mut on: HashMap<&str, Vec<&DesiredPart>> = HashMap::new();
        for part in &desired.parts {
            for host in &part.hosts {
                on.entry(host).or_default().push(part);
            }
        }
        Self {
            desired,
            times,
            designed,
            left,
            on,
        }
    }

    /// True if the cluster has quorum without a member more.
    fn keeps_quorum(&self, lost: &str) -> bool {
        let members: Vec<&str> = self.designed.nodes.iter().map(|(n, _)| n.as_str()).collect();
        self.left.keeps_majority("", &members, lost)
    }

    /// True if a component has its majority without a member more.
    pub fn keeps_majority(&self, part: &DesiredPart, lost: &str) -> bool {
        let designed = self.designed.parts.iter().find(|p| p.resource == part.resource);
        let hosts = designed.map_or(part.hosts.as_slice(), |p| p.hosts.as_slice());
        let members: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        self.left.keeps_majority(&part.resource, &members, lost)
    }

    /// Why what stood on a host that is lost stays away.
    pub fn stays(&self, fault: Fault, host: &str) -> Option<Cost> {
        let why = self.left.stays(host).filter(|_| fault == Fault::Power);
        why.map(never)
    }

    /// All reasons why a fault of a host, or of a component on it, costs a target
    /// something: the longest at worst, then the others, the usually longest first.
    pub fn costs(&self, fault: Fault, host: &str, part: Option<&DesiredPart>, scope: &Scope) -> Vec<Cost> {
        // Who is no member any more is switched off, or else could be a second holder.
        if let Some(part) = part.filter(|p| leaves(p, fault) && self.desired.nodes.len() > 1) {
            let cut = self.costs(Fault::Power, host, None, scope);
            if cut.is_empty() {
                return cut;
            }
            let (usual, worst) = longest(&cut);
            let why = format!(
                "without {} the host is out of the cluster and switched off, as if its power were cut",
                part.resource
            );
            return vec![cost(usual, worst, why)];
        }
        let mut out = Vec::new();
        if fault == Fault::Power && self.desired.is_member(host) && !self.keeps_quorum(host) {
            out.push(never(
                "the hosts that are left are no majority of the cluster, which runs nothing",
            ));
        } else {
            self.address(fault, host, part, scope, &mut out);
            let all = self.on.get(host).into_iter().flatten();
            for p in all.filter(|p| part.is_none_or(|own| own.resource == p.resource)) {
                self.part(fault, host, p, scope, &mut out);
            }
        }
        out.retain(|c| c.worst > Until::NOW);
        out.sort_by(|a, b| b.worst.cmp(&a.worst).then(b.usual.cmp(&a.usual)));
        if let Some((_, others)) = out.split_first_mut() {
            others.sort_by_key(|c| std::cmp::Reverse(c.usual));
        }
        out
    }

    fn part(&self, fault: Fault, host: &str, part: &DesiredPart, scope: &Scope, out: &mut Vec<Cost>) {
        let section = |resource: &str| self.desired.balanced.iter().find(|b| b.resource == resource);
        if part.resource == self.desired.sql_resource {
            let asked = section(&part.resource);
            out.extend(self.databases(fault, host, part, scope, asked));
        } else if self.is_store(part) {
            out.extend(self.brokers(fault, host, part, scope));
        } else if scope.sections.contains(&part.resource) {
            out.extend(section(&part.resource).and_then(|b| self.servers(fault, host, part, b)));
        }
        // Who answers for another component is out as that is.
        let told = (self.desired.parts.iter()).find(|p| {
            p.service == part.service
                && p.resource != part.resource
                && p.asked
                    .as_ref()
                    .and_then(|a| a.port)
                    .is_some_and(|port| part.ports.contains(&port))
        });
        if let Some(told) = told {
            let sql = told.resource == self.desired.sql_resource;
            let touched = (sql && self.keeps(scope)) || scope.sections.contains(&told.resource);
            let asked = section(&told.resource).filter(|_| touched && fault != Fault::Power);
            out.extend(asked.and_then(|b| self.servers(fault, host, told, b)));
        }
        let works = scope.services.contains(&part.service);
        let speaks = || stands_on(self.desired, &part.service, |n| n.messages);
        if works && scope.messages && is_worker(part) && (part.kind == Kind::Singleton || speaks()) {
            out.push(match part.kind {
                Kind::Singleton => self.single(fault, host, part),
                _ => self.workers(fault, part),
            });
        }
        if works && scope.executed && super::is_executor(part) {
            out.push(self.executors(fault, part));
        }
        let replicas = || stands_on(self.desired, &part.service, |n| n.replicas);
        if works && part.kind == Kind::PerHost && !part.ports.is_empty() && replicas() {
            out.push(self.replicas(fault, part, scope));
        }
        if part.asked.is_none() && self.needed(&part.service, scope) {
            match part.kind {
                Kind::Clustered if !self.is_store(part) => out.extend(self.leaders(fault, host, part, scope)),
                Kind::Stateless if !part.ports.is_empty() => out.push(self.caches(fault, part)),
                _ => {}
            }
        }
    }

    fn is_store(&self, part: &DesiredPart) -> bool {
        self.desired.stores.iter().any(|s| s.resource == part.resource)
    }

    /// Whether a service that works for it needs another.
    fn needed(&self, service: &str, scope: &Scope) -> bool {
        let needs = |s: &String| stands_on(self.desired, s, |n| n.services.iter().any(|n| n == service));
        scope.services.iter().any(needs)
    }

    /// Whether a service that works for it keeps a database.
    pub fn keeps(&self, scope: &Scope) -> bool {
        let database = |s: &String| stands_on(self.desired, s, |n| n.database);
        scope.services.iter().any(database)
    }

    /// What is down on its only host: there is no other.
    pub fn only(&self, fault: Fault, part: &DesiredPart) -> Cost {
        self.alone(fault, part, "is on this host alone")
    }

    /// The same, said by a clause of one's own.
    pub fn alone(&self, fault: Fault, part: &DesiredPart, how: &str) -> Cost {
        let name = &part.resource;
        match fault {
            Fault::Power => never(format!("{name} {how}")),
            Fault::Killed => {
                let (usual, worst) = self.times.again(part);
                cost(usual, worst, format!("{name} {how}, and is started again"))
            }
            Fault::Frozen => {
                let (usual, worst, seen) = self.times.noticed(part);
                cost(usual, worst, format!("{name} {how}; {seen}"))
            }
        }
    }

    /// The addresses of what is asked: the move of those that stand on the host.
    fn address(
        &self,
        fault: Fault,
        host: &str,
        part: Option<&DesiredPart>,
        scope: &Scope,
        out: &mut Vec<Cost>,
    ) {
        let keeps = self.keeps(scope);
        let passed = |b: &&DesiredBalanced| {
            scope.sections.contains(&b.resource) || (keeps && b.resource == self.desired.sql_resource)
        };
        let services: Vec<&String> = (self.desired.balanced.iter())
            .filter(passed)
            .map(|b| &b.service)
            .collect();
        if services.is_empty() {
            return;
        }
        let Some(found) = self.move_of(fault, host, part) else {
            return;
        };
        if (self.desired.vips.iter())
            .any(|v| v.home.as_deref() == Some(host) && services.contains(&&v.service))
        {
            out.push(found);
        } else {
            out.push(Cost {
                usual: Until::NOW,
                why: format!("where an address has not come home: {}", found.why),
                ..found
            });
        }
    }

    /// What an address costs that stands on the host.
    fn move_of(&self, fault: Fault, host: &str, part: Option<&DesiredPart>) -> Option<Cost> {
        let balancer = (self.on.get(host).into_iter().flatten())
            .find(|p| p.balances)
            .filter(|p| part.is_none_or(|own| own.resource == p.resource))?;
        if balancer.hosts.len() == 1 {
            return Some(self.only(fault, balancer));
        }
        if let Some(stays) = self.stays(fault, host) {
            return Some(stays);
        }
        Some(match fault {
            Fault::Power => {
                let gone = self.times.of("membership") + self.times.of("decide");
                let usual = gone + self.times.of("address_start");
                let worst = self.times.asked_again(gone + self.times.of("address_slow"));
                ms(
                    usual,
                    worst,
                    "the address moves (membership + decide + address_start); a client that asked before asks again (connect_again)",
                )
            }
            Fault::Killed => {
                let (usual, worst) = self.times.again(balancer);
                cost(
                    usual,
                    worst,
                    format!(
                        "the address waits for {}, which is started again",
                        balancer.resource
                    ),
                )
            }
            Fault::Frozen => {
                let (usual, worst, seen) = self.times.noticed(balancer);
                cost(
                    usual,
                    worst,
                    format!("the address stays with {}: {seen}", balancer.resource),
                )
            }
        })
    }

    /// Instances behind the balancers.
    pub fn servers(
        &self,
        fault: Fault,
        host: &str,
        part: &DesiredPart,
        on: &DesiredBalanced,
    ) -> Option<Cost> {
        if !on.members.iter().any(|m| m == host) {
            return None;
        }
        if on.members.len() == 1 {
            return Some(self.only(fault, part));
        }
        let asked = part.asked.as_ref()?;
        let checks = self.times.checks(asked);
        let name = &on.resource;
        let all_there = asked.single_writer;
        Some(match fault {
            Fault::Power => {
                let usual = if all_there {
                    checks.silent_usual()
                } else {
                    self.times.of("connect")
                };
                let why =
                    format!("balancers try another {name} (connect), and take this one out (server_out)");
                ms(usual, checks.silent(), why)
            }
            Fault::Killed => {
                let usual = if all_there { checks.refused() } else { 0 };
                let why =
                    format!("balancers are refused by {name}, and take it out (check_every + check_suspect)");
                ms(usual, checks.refused(), why)
            }
            Fault::Frozen if asked.answers => {
                let why = format!("{name} answers no question of balancers, which take it out (server_out)");
                ms(checks.silent_usual(), checks.silent(), why)
            }
            Fault::Frozen => {
                let (usual, worst, seen) = self.times.noticed(part);
                cost(
                    usual,
                    worst,
                    format!("whom balancers send to this {name} waits: {seen}"),
                )
            }
        })
    }
}

/// Whether a host is no member of the cluster without a component.
fn leaves(part: &DesiredPart, fault: Fault) -> bool {
    match part.resource.as_str() {
        "corosync" => true,
        // The cluster still hears Corosync of one that stands still.
        "pacemaker" => fault == Fault::Killed,
        _ => false,
    }
}
