//! Pacemaker's scheduler: what runs where by the configuration. What is to run does so at
//! once, and so does what is to stop. Not for who is a member (`cluster`).

use std::collections::{BTreeMap, BTreeSet};

use crate::World;
use crate::cluster::{Config, Configured};

/// Nodes by resource.
type Places = BTreeMap<String, BTreeSet<String>>;

impl World {
    /// Runs what the configuration has, where it may run.
    pub(crate) fn schedule(&mut self) {
        let ruling = self.ruling().into_iter();
        let usable: Vec<String> = ruling.filter(|h| !self.cluster.standby.contains(h)).collect();
        let pends = !self.pending().is_empty();
        let config = std::mem::take(&mut self.cluster.config);
        let mut next = Places::new();
        let clones_first = config.resources.iter().filter(|r| r.clone);
        for resource in clones_first.chain(config.resources.iter().filter(|r| !r.clone)) {
            let on = if resource.managed {
                self.placed(&config, resource, &usable, &next)
            } else {
                self.found(resource)
            };
            let mut on = self.kept(resource, on);
            if pends {
                on.retain(|host| self.cluster.runs(&resource.id, host));
            }
            if !on.is_empty() && !resource.stonith {
                self.cluster.remembered.insert(resource.id.clone());
            }
            next.insert(resource.id.clone(), on);
        }
        let before = std::mem::take(&mut self.cluster.running);
        for resource in config.resources.iter().filter(|r| r.managed) {
            let was = before.get(&resource.id).cloned().unwrap_or_default();
            for host in was.difference(&next[&resource.id]) {
                self.set_unit(host, &resource.id, false);
            }
            for host in &next[&resource.id] {
                self.set_unit(host, &resource.id, true);
            }
        }
        self.orphans(&config, &before, &mut next);
        if next != before {
            self.cluster.last_event = self.clock;
        }
        self.cluster.running = next;
        self.cluster.config = config;
    }

    /// The same with hosts that have not noticed yet that they lost quorum, and without what a
    /// host may still run whose power cannot be cut.
    fn kept(&self, resource: &Configured, mut on: BTreeSet<String>) -> BTreeSet<String> {
        let before = self.cluster.running.get(&resource.id);
        let before = before.into_iter().flatten();
        if !resource.clone && !self.partition.feared.is_empty() {
            on.retain(|h| before.clone().any(|b| b == h));
        }
        let unaware = before.filter(|h| self.partition.unaware.contains(*h) && self.machines[h.as_str()].up);
        on.extend(unaware.cloned());
        on
    }

    /// Nodes on which a resource is to run that the cluster rules.
    fn placed(
        &self,
        config: &Config,
        resource: &Configured,
        usable: &[String],
        next: &Places,
    ) -> BTreeSet<String> {
        let allowed = self.allowed(config, resource, usable);
        if resource.clone {
            return allowed.cloned().collect();
        }
        let now = self.cluster.running.get(&resource.id);
        let likes = |h: &&String| {
            let stays = i64::from(now.is_some_and(|on| on.contains(*h))) * 1000;
            let mut sum = stays;
            for (of, node, score) in &config.locations {
                if *of == resource.whole && node == *h {
                    sum += score;
                }
            }
            sum
        };
        let allowed = allowed.filter(|h| !resource.address || self.balances(h, next));
        allowed.max_by_key(likes).cloned().into_iter().collect()
    }

    /// Members on which a resource runs that the cluster does not rule.
    fn found(&self, resource: &Configured) -> BTreeSet<String> {
        let members = self.cluster.members.iter();
        members
            .filter(|h| self.has_instance(h, &resource.id))
            .cloned()
            .collect()
    }

    /// True if an instance's process is there, whoever started it.
    pub(crate) fn has_instance(&self, host: &str, resource: &str) -> bool {
        if self.is_sql(resource) {
            return self.databases.members.get(host).is_some_and(|m| m.running);
        }
        match self.units.get(resource) {
            Some(unit) => self.is_active(host, unit),
            None => self.cluster.runs(resource, host),
        }
    }

    /// Starts or stops the unit by which a host runs a resource.
    fn set_unit(&mut self, host: &str, resource: &str, active: bool) {
        let Some(unit) = self.units.get(resource) else {
            return;
        };
        if let Some(machine) = self.machines.get_mut(host).filter(|m| m.up)
            && machine.units.get(unit).is_some_and(|u| u.active) != active
        {
            machine.units.entry(unit.clone()).or_default().active = active;
        }
    }

    /// Nodes on which a resource may run.
    fn allowed<'u>(
        &'u self,
        config: &'u Config,
        resource: &'u Configured,
        usable: &'u [String],
    ) -> impl Iterator<Item = &'u String> {
        let banned = |h: &String| {
            let mut bans = self.cluster.bans.iter();
            let mut all = config.locations.iter();
            bans.any(|(r, n)| *r == resource.whole && n == h)
                || all.any(|(r, n, s)| *r == resource.whole && n == h && *s <= -1_000_000)
        };
        usable.iter().filter(move |h| !resource.stopped && !banned(h))
    }

    /// True if all balancers of the configuration run on a node.
    fn balances(&self, host: &str, next: &Places) -> bool {
        let mut parts = self.desired.parts.iter().filter(|p| p.balances);
        parts.all(|p| next.get(p.resource.as_str()).is_none_or(|on| on.contains(host)))
    }

    /// Resources that members remember and the configuration no longer has are stopped, or
    /// kept where the configuration says so.
    fn orphans(&mut self, config: &Config, before: &Places, next: &mut Places) {
        if self.cluster.members.is_empty() {
            return;
        }
        let remembered = self.cluster.remembered.iter();
        let orphans: Vec<String> = remembered.filter(|id| !next.contains_key(*id)).cloned().collect();
        for id in orphans {
            let hosts = before.get(&id).cloned().unwrap_or_default();
            if config.keeps_orphans {
                next.insert(id, hosts);
                continue;
            }
            // A unit given to systemd is not to be stopped by a member that remembers it.
            if self.desired.elsewhere.iter().any(|r| r.primitive().id == id) {
                self.broken.push(format!(
                    "after {} operations {id} is stopped as an orphan",
                    self.done
                ));
            }
            for host in hosts {
                self.set_unit(&host, &id, false);
            }
            self.cluster.remembered.remove(&id);
        }
    }
}
