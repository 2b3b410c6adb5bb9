//! The cluster manager: starting it, its configuration in two layers, and the
//! wait for everything to run where it should.

use names::HostName;
use pacemaker::{Cib, LiveCib, Resource, SECTIONS};
use render::DesiredHost;
use similar::TextDiff;
use wire::{CibSection, ClusterWant, Expect, FileWrite, Op, Own, Query, ResourceWant, UnitChange, Wait};

use crate::build::{Planner, step};
use crate::hosts::is_systemd;
use crate::votes::sees_all;
use crate::{Change, Effect, StepId, look};

/// How long the cluster may take to run everything, and an API to answer after that
/// began, in ms: two dozen services start on each host, on a busy machine some
/// seconds after each other.
pub(crate) const SETTLE_MS: u64 = 300_000;

impl Planner<'_> {
    /// The configuration of a cluster's first start, the same on all members.
    ///
    /// A fresh Pacemaker takes a complete file as it is, and then elects its
    /// controller after the `dc-deadtime` in it instead of the default's 20 s;
    /// configuring it afterwards would cost that wait and a transition more.
    /// `births`: stores that are born beside it, which it does not name yet.
    pub(crate) fn first_cib(&self, births: &[&str]) -> FileWrite {
        let mut layer = self.foundation_layer().only(&|id| !births.contains(&id));
        // A host that is late is not fenced: nobody has ever run anything that it could
        // hold, and an apply that was interrupted between two hosts would have one
        // switched off in the middle of a birth.
        layer
            .properties
            .insert("startup-fencing".to_owned(), "false".to_owned());
        FileWrite {
            path: look::CIB_FILE.to_owned(),
            content: layer.document(&self.desired.nodes).into(),
            owner: "hacluster".to_owned(),
            group: "haclient".to_owned(),
            mode: 0o600,
            directory: false,
            own: Own::File,
        }
    }

    /// What needs no schema, and what is in the cluster already; nothing that
    /// writes to databases which are about to be loaded.
    pub(crate) fn foundation_layer(&self) -> Cib {
        self.desired.cib.only(&|id| {
            !self.desired.gated.iter().any(|g| g == id) || (self.managed(id) && !self.restoring())
        })
    }

    /// The wait for every resource of a configuration to run where it should.
    pub(crate) fn settled(&self, cib: &Cib) -> Wait {
        let nodes = u32::try_from(self.desired.nodes.len()).unwrap_or(u32::MAX);
        let resources = cib
            .resources
            .iter()
            .filter_map(|r| {
                let id = r.primitive().id.clone();
                let banned = cib
                    .locations
                    .iter()
                    .filter(|l| l.resource == r.id() && l.score == "-INFINITY" && self.is_member(&l.node))
                    .count();
                let room = nodes.saturating_sub(u32::try_from(banned).unwrap_or(0));
                let (role, count) = match r {
                    // One that is left cannot run its own fence device.
                    pacemaker::Resource::Primitive(_) if room == 0 => return None,
                    pacemaker::Resource::Primitive(_) => ("Started", 1),
                    pacemaker::Resource::Clone(c) => (wanted_role(c), room),
                };
                Some(ResourceWant {
                    id,
                    role: role.to_owned(),
                    count,
                    node: String::new(),
                })
            })
            .collect();
        Wait {
            what: "the cluster runs everything where it should".to_owned(),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: nodes,
                resources,
                idle: false,
            }),
            timeout_ms: SETTLE_MS,
            every_ms: 300,
        }
    }

    /// The units with which a host comes to the cluster: systemd starts them, and nothing
    /// of them waits for more.
    pub(crate) fn starts_with(&self, wanted: &DesiredHost) -> Vec<UnitChange> {
        let units = wanted.units.iter();
        let units = units.filter(|u| is_systemd(u) && !u.gated && !self.moving.has(u));
        units
            .map(|u| UnitChange {
                unit: u.unit.clone(),
                enabled: Some(true),
                active: Some(true),
                ..UnitChange::default()
            })
            .collect()
    }

    /// Starts the cluster manager where it does not run, after some steps. Gives the step after which it is quorate.
    pub(crate) fn cluster(&mut self, before: &[StepId]) -> Option<StepId> {
        let nodes = self.nodes();
        let down: Vec<HostName> = nodes.iter().filter(|n| !self.clustered(n)).cloned().collect();
        if self.whole() && !self.votes.taken {
            return None;
        }
        self.starting = !down.is_empty();
        let mut prepared = self.prepared.clone();
        prepared.extend(before.iter().cloned());
        let mut after = if self.votes.taken {
            prepared.clone()
        } else {
            Vec::new()
        };
        for host in &down {
            let Some(wanted) = self.desired.hosts.get(host) else {
                continue;
            };
            let units = self.starts_with(wanted);
            let id = StepId::from(format!("start/{host}"));
            let names: Vec<&str> = units
                .iter()
                .map(|u| u.unit.trim_end_matches(".service"))
                .collect();
            let title = format!("start {} on {host}", names.join(", "));
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                title,
                "the cluster does not run there",
                vec![Op::Units(units)],
                prepared.clone(),
            );
            // One after the other: each is given a copy of what the others hold.
            if self.is_replaced(host) {
                // One that was away runs nothing before it is taken back.
                if !self.waits(host) {
                    s.ops.push(Op::Wait(self.arrives(host)));
                }
                s.effects = vec![Effect::Joins { host: host.clone() }];
                prepared = vec![id.clone()];
            }
            self.steps.push(s);
            after.push(id);
        }
        // One that was away is a member, and runs nothing before it is taken back.
        let online = nodes.iter().filter(|n| !self.waits(n)).count();
        let count = u32::try_from(online).unwrap_or(u32::MAX);
        let wait = Wait {
            what: format!("all {count} hosts are online in the cluster"),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: count,
                resources: Vec::new(),
                idle: false,
            }),
            timeout_ms: 120_000,
            every_ms: 300,
        };
        let mut waits = vec![Op::Wait(wait)];
        if self.votes.taken {
            waits.push(Op::Wait(crate::lost::quorum(&self.desired.lost)));
        }
        self.steps.push(step(
            "quorum".into(),
            nodes,
            "wait for the cluster to be whole".to_owned(),
            "nothing is configured before all members are there",
            waits,
            after,
        ));
        Some("quorum".into())
    }

    /// Whether the cluster runs on all members and each sees all others.
    ///
    /// Every member by itself: one that has not joined yet takes a configuration
    /// that the others then overwrite with theirs.
    pub(crate) fn whole(&self) -> bool {
        self.nodes()
            .iter()
            .all(|n| sees_all(self.desired, self.observed, n))
    }

    /// The CIB as a host that runs the cluster knows it.
    pub(crate) fn cib_now(&self) -> Option<&LiveCib> {
        self.nodes()
            .iter()
            .find_map(|n| self.facts(n).and_then(|f| f.cib.known()))
    }

    pub(crate) fn sections(&self, cib: &Cib) -> (Vec<CibSection>, Vec<Change>) {
        let now = self.cib_now();
        let mut sections = Vec::new();
        let mut changes = Vec::new();
        for name in SECTIONS {
            // Secrets stand in fencing devices: compared by digest, shown never.
            let want = cib.canonical(name);
            // What was repaired before is as it was made.
            let have = match &self.repaired {
                Some(layer) => Some(layer.canonical(name)),
                None => now.and_then(|c| c.section(name)).map(str::to_owned),
            };
            let same = have.as_deref().is_some_and(|have| self.same_section(&want, have));
            if same {
                continue;
            }
            let before = have.unwrap_or_default();
            let (old, new) = (
                hide_placeholders(&mask_secrets(&before, &want)),
                hide_placeholders(&want),
            );
            let diff = TextDiff::from_lines(old.as_str(), new.as_str())
                .unified_diff()
                .context_radius(0)
                .to_string();
            // Only a secret is another one.
            let diff = if diff.is_empty() {
                "‹secret› changed".to_owned()
            } else {
                diff
            };
            changes.push(Change {
                what: format!("cluster {name}"),
                glyph: if before.is_empty() { '+' } else { '~' },
                diff,
            });
            sections.push(CibSection {
                name: name.to_owned(),
                xml: cib.section(name),
            });
        }
        (sections, changes)
    }

    /// Line by line; a line with a secret is compared by digest.
    pub(crate) fn same_section(&self, want: &str, have: &str) -> bool {
        let (want, have): (Vec<&str>, Vec<&str>) = (want.lines().collect(), have.lines().collect());
        want.len() == have.len()
            && want.iter().zip(&have).all(|(w, h)| {
                if w.contains('\u{27e6}') {
                    (self.digest)(w.as_bytes()) == (self.digest)(h.as_bytes())
                } else {
                    w == h
                }
            })
    }

    /// What the cluster has already, as it should be: where it is not.
    fn repair(&self) -> Option<(Vec<CibSection>, Vec<Change>)> {
        self.cib_now()?;
        let (sections, changes) = self.sections(&self.managed_layer());
        (!sections.is_empty()).then_some((sections, changes))
    }

    /// Whether [`Self::cib_repair`] has something to do.
    pub(crate) fn repairs(&self) -> bool {
        self.repair().is_some()
    }

    /// Mends what the cluster has already.
    pub(crate) fn cib_repair(&mut self, quorum: Option<&StepId>) -> Option<StepId> {
        let (sections, changes) = self.repair()?;
        self.repaired = Some(self.managed_layer());
        let after = quorum.into_iter().cloned().collect();
        Some(self.cib_step("cib/repair", "what it has already", sections, changes, after))
    }

    /// The layer that needs no schema. On a cloud that has all layers it is
    /// left to the second.
    /// `born`: the steps after which stores that are born now may be named in it.
    pub(crate) fn cib_foundation(&mut self, quorum: Option<StepId>, born: &[StepId]) -> Option<StepId> {
        let layer = self.foundation_layer();
        if self.virgin {
            return quorum;
        }
        // Where every service is in the cluster already, drift is mended first:
        // a store that somebody stopped by its configuration would be waited for in vain.
        let (id, what) = if layer == self.desired.cib {
            ("cib/services", "everything")
        } else {
            ("cib/foundation", "what needs no schema")
        };
        let (sections, changes) = self.sections(&layer);
        if sections.is_empty() {
            return quorum;
        }
        let after = quorum.into_iter().chain(born.iter().cloned()).collect();
        let step = self.cib_step(id, what, sections, changes, after);
        if self.restoring() {
            // What is taken out of it for a restore is put back by the same plan.
            self.repaired = Some(layer);
        }
        Some(step)
    }

    pub(crate) fn cib_step(
        &mut self,
        id: &str,
        what: &str,
        sections: Vec<CibSection>,
        changes: Vec<Change>,
        mut after: Vec<StepId>,
    ) -> StepId {
        after.extend(self.prepared.iter().cloned());
        // One that is no member yet has none.
        let mut nodes = self.nodes();
        nodes.sort_by_key(|n| self.votes.coming.contains(n));
        let effects = if sections.iter().any(|s| s.name == "resources") {
            self.reconfigured()
        } else {
            Vec::new()
        };
        let mut s = step(
            id.into(),
            nodes,
            format!("configure the cluster: {what}"),
            "its configuration differs",
            vec![Op::Cib(sections)],
            after,
        );
        s.changes = changes;
        s.effects = effects;
        self.steps.push(s);
        id.into()
    }

    /// What the cluster restarts because its parameters are others.
    pub(crate) fn reconfigured(&self) -> Vec<Effect> {
        let Some(now) = self.cib_now() else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for primitive in self.desired.cib.resources.iter().map(Resource::primitive) {
            // A fence device runs nothing that anybody would miss, and what has another agent
            // is adopted.
            let other = primitive.is_fence_device() || self.renewed.contains(&primitive.id);
            let Some(params) = now.resource(&primitive.id).filter(|_| !other).map(|r| &r.params) else {
                continue;
            };
            let secret = |value: &String| value.contains('\u{27e6}');
            let same = primitive
                .params
                .iter()
                .all(|(k, v)| secret(v) || params.get(k) == Some(v))
                && params.keys().all(|k| primitive.params.contains_key(k));
            if same {
                continue;
            }
            let vips = self.desired.vips.iter().filter(|v| v.resource == primitive.id);
            let services: Vec<String> = vips.clone().map(|v| v.service.clone()).collect();
            let to = vips.map(|v| v.address.clone()).next();
            out.push(match (to, params.get("ip")) {
                (Some(to), Some(from)) if *from != to => Effect::Readdress {
                    resource: primitive.id.clone(),
                    services,
                    from: from.clone(),
                    to,
                },
                _ => Effect::Reconfigure {
                    resource: primitive.id.clone(),
                },
            });
        }
        out
    }

    /// Everything, once its services' scripts are done.
    pub(crate) fn cib_services(&mut self, scripts: &[StepId], foundation: Option<&StepId>) -> Option<StepId> {
        if foundation.is_some_and(|id| *id == "cib/services") {
            return foundation.cloned();
        }
        let cib = self.desired.cib.clone();
        let (sections, changes) = self.sections(&cib);
        if sections.is_empty() {
            return None;
        }
        let mut after = scripts.to_vec();
        after.extend(foundation.cloned());
        Some(self.cib_step("cib/services", "everything", sections, changes, after))
    }
}

/// Parts of the names of parameters that hold secrets.
const SECRET_NAMES: [&str; 7] = ["passw", "secret", "token", "key", "cred", "auth", "community"];

/// Values out of what the cluster has that may be secrets, but those that are wanted word
/// for word: all of fence devices, whoever made them, and of any resource those whose name
/// says so.
fn mask_secrets(have: &str, want: &str) -> String {
    let wanted: Vec<&str> = want.lines().map(str::trim).collect();
    let mut out = String::new();
    // The indent of the fence device whose lines are read.
    let mut device: Option<usize> = None;
    for line in have.lines() {
        let indent = line.len() - line.trim_start().len();
        device = device.filter(|of| indent > *of);
        let mut words = line.split_whitespace();
        if matches!(words.next(), Some("primitive" | "template")) && words.any(|w| w == "class=stonith") {
            device = Some(indent);
        }
        let name = line.split_whitespace().find_map(|w| w.strip_prefix("name="));
        let told = name.is_some_and(|name| {
            let name = name.to_lowercase();
            SECRET_NAMES.iter().any(|part| name.contains(part))
        });
        match line.find(" value=") {
            Some(at) if (device.is_some() || told) && !wanted.contains(&line.trim()) => {
                out.push_str(&line[..at]);
                out.push_str(" value=‹secret›");
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// A wanted line with a secret as [`mask_secrets`] shows what the cluster has.
fn hide_placeholders(want: &str) -> String {
    want.lines()
        .map(|l| match l.find("value=") {
            Some(at) if l.contains('\u{27e6}') => format!("{}value=‹secret›\n", &l[..at]),
            _ => format!("{l}\n"),
        })
        .collect()
}

/// The role in which instances of a clone serve, as `crm_mon` says it.
pub(crate) fn wanted_role(clone: &pacemaker::Clone) -> &'static str {
    let promotable = clone.meta.get("promotable").is_some_and(|v| v == "true");
    if promotable { "Promoted" } else { "Started" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section as the cluster has it, canonical.
    fn section(inner: &str) -> String {
        let text = format!("<cib><configuration><resources>{inner}</resources></configuration></cib>");
        let live = LiveCib::parse(text).unwrap();
        live.section("resources").unwrap().to_owned()
    }

    fn resource(id: &str, class: &str, pairs: &[(&str, &str)]) -> String {
        let pair = |(name, value): &(&str, &str)| {
            format!("<nvpair id=\"{id}-{name}\" name=\"{name}\" value=\"{value}\"/>")
        };
        let pairs: String = pairs.iter().map(pair).collect();
        format!(
            "<primitive id=\"{id}\" class=\"{class}\" type=\"x\"><instance_attributes id=\"{id}-a\">{pairs}\
             </instance_attributes></primitive>"
        )
    }

    #[test]
    fn no_secret_of_anybody_is_shown() {
        let hides = |inner: &str, want: &str, secrets: &[&str], shown: &[&str]| {
            let masked = mask_secrets(&section(inner), &section(want));
            for secret in secrets {
                assert!(!masked.contains(secret), "{secret} in {masked}");
            }
            for word in shown {
                assert!(masked.contains(word), "no {word} in {masked}");
            }
        };
        // Another's fence device, whatever it is called and however its password is.
        let ipmi = [
            ("username", "admin"),
            ("password", "hunter2"),
            ("passwd_script", "x y"),
            ("ip", "192.0.2.7"),
        ];
        let foreign = resource("ipmi-c1", "stonith", &ipmi);
        hides(
            &foreign,
            "",
            &["hunter2", "admin", "x y", "192.0.2.7"],
            &["id=ipmi-c1"],
        );
        // One with a line of its own in its value.
        let lines = resource("pdu", "stonith", &[("password", "one&#10;two=hunter2")]);
        hides(&lines, "", &["one", "hunter2"], &["id=pdu"]);
        // What stands after a device is no device's.
        let next = resource("zz-ip", "ocf", &[("ip", "192.0.2.9")]);
        hides(
            &format!("{foreign}{next}"),
            "",
            &["hunter2"],
            &["value=192.0.2.9"],
        );
        // A resource that is none, by the name of the parameter.
        let mysql = [("replication_passwd", "hunter2"), ("datadir", "/srv/db")];
        hides(
            &resource("db", "ocf", &mysql),
            "",
            &["hunter2"],
            &["value=/srv/db"],
        );
        // What is wanted word for word is known anyway.
        let wanted = resource("fence-c1", "stonith", &[("ip", "192.0.2.8")]);
        hides(&wanted, &wanted, &[], &["value=192.0.2.8"]);
    }
}
