//! Facts of hosts, as the agent tells them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pacemaker::{LiveCib, Monitor};
use plan::Observed;
use render::UnitRun;
use wire::{Address, Fact, Facts, FileFact, KeyFact, NamedQuery, Observe, OsRelease, Query, Stat, UnitFact};

use crate::{File, Sense, World, digest, filled};

/// The reason why a host tells nothing.
const UNSEEN: &str = "Input/output error";

/// A fact that only a host in the cluster has.
fn of_cluster<T>(told: Option<T>, hidden: bool) -> Fact<T> {
    match told {
        Some(_) if hidden => Fact::Unknown(UNSEEN.to_owned()),
        Some(told) => Fact::Known(told),
        None => Fact::Absent,
    }
}

impl World {
    /// Facts of all hosts, those among them that the cloud file does not name any more.
    pub fn observe(&self) -> Observed {
        let hosts = self.machines.iter();
        // All members have the same.
        let cib = self.cib(&self.cluster.sections);
        // But one that was cut off and has no quorum has what it had then.
        let old = self.cluster.old.as_ref().and_then(|old| self.cib(old));
        hosts
            .map(|(host, machine)| {
                let told = if machine.up {
                    let of_old = self.cluster.old.is_some() && !self.is_quorate(host);
                    let cib = if of_old { &old } else { &cib };
                    Ok(self.facts(host, &self.asks[host], cib.as_ref()))
                } else {
                    Err(format!("{host}: no route to host"))
                };
                (host.clone(), told)
            })
            .collect()
    }

    fn facts(&self, host: &str, ask: &Observe, cib: Option<&LiveCib>) -> Facts {
        let machine = &self.machines[host];
        let hides = |sense: Sense| machine.hidden.contains(&sense);
        let unseen = || UNSEEN.to_owned();
        let file = |path: &String| {
            let fact = match machine.files.get(path) {
                _ if hides(Sense::Files) => Fact::Unknown(unseen()),
                Some(file) => Fact::Known(told(path, file, ask)),
                None => Fact::Absent,
            };
            (path.clone(), fact)
        };
        let answer = |q: &NamedQuery| {
            let lists = matches!(q.query, Query::List(_));
            if hides(Sense::Answers) || (lists && hides(Sense::Data)) {
                Fact::Unknown(unseen())
            } else {
                self.named(host, &q.name, &q.query)
            }
        };
        Facts {
            hostname: host.to_owned(),
            boot_id: machine.boots.to_string(),
            os: Fact::Known(OsRelease {
                id: "debian".to_owned(),
                version: "13".to_owned(),
            }),
            clock: self.clock,
            memory_kib: 8 << 20,
            disk_free: BTreeMap::from([("/".to_owned(), if machine.room { 100 << 30 } else { 0 })]),
            disk_size: BTreeMap::from([("/".to_owned(), 200 << 30)]),
            addresses: self.addresses(host),
            listeners: Vec::new(),
            files: ask.files.iter().chain(&ask.texts).map(file).collect(),
            units: ask
                .units
                .iter()
                .map(|u| (u.clone(), self.unit(host, u)))
                .collect(),
            packages: (ask.packages.iter())
                .map(|p| {
                    let there = machine.packages.contains(p);
                    (
                        p.clone(),
                        if there {
                            Fact::Known("1.0".to_owned())
                        } else {
                            Fact::Absent
                        },
                    )
                })
                .collect(),
            sysctls: (ask.sysctls.iter())
                .map(|k| {
                    let value = machine.sysctls.get(k).cloned().unwrap_or_else(|| "0".to_owned());
                    (k.clone(), Fact::Known(value))
                })
                .collect(),
            answers: (ask.queries.iter())
                .map(|q| (q.name.clone(), answer(q)))
                .collect(),
            cluster: of_cluster(self.monitor(host), hides(Sense::Cluster)),
            cib: of_cluster(
                cib.filter(|_| self.cluster.members.contains(host)).cloned(),
                hides(Sense::Cluster),
            ),
        }
    }

    fn addresses(&self, host: &str) -> Vec<Address> {
        let mut held: Vec<&str> = (self.desired.vips.iter())
            .filter(|v| self.cluster.holder(&v.resource) == Some(host))
            .map(|v| v.address.as_str())
            .collect();
        held.dedup();
        let address = |address: &str| Address {
            interface: "eth0".to_owned(),
            address: address.to_owned(),
            prefix: 24,
        };
        held.into_iter().map(address).collect()
    }

    /// A unit as systemd tells of it.
    fn unit(&self, host: &str, name: &str) -> Fact<UnitFact> {
        let machine = &self.machines[host];
        let unit = machine.units.get(name).copied().unwrap_or_default();
        let wanted = self.desired.hosts.get(host).into_iter().flat_map(|h| &h.units);
        let wanted = wanted.into_iter().find(|u| u.unit == name);
        let run = wanted.map(|u| u.run);
        let resource = wanted.map_or("", |u| u.resource.as_str());
        let sql = self
            .sql()
            .is_some_and(|s| s.options.get("unit").is_some_and(|u| u == name));
        let born = sql && self.databases.members.get(host).is_some_and(|m| m.running);
        let active = unit.active || born;
        let known = machine.packages.len() + machine.files.len() > 0;
        let (load, file) = match () {
            () if unit.masked => ("masked", "masked"),
            () if !known => return Fact::Absent,
            () if unit.enabled => ("loaded", "enabled"),
            () if run == Some(UnitRun::Cluster) => ("loaded", "static"),
            () if run == Some(UnitRun::Systemd) && !resource.is_empty() && !machine.is_told(name) => {
                ("loaded", "static")
            }
            () => ("loaded", "disabled"),
        };
        Fact::Known(UnitFact {
            load: load.to_owned(),
            active: if active { "active" } else { "inactive" }.to_owned(),
            file: file.to_owned(),
            pid: 0,
            restarts: 0,
            since: 0,
        })
    }

    /// The cluster as `crm_mon` on a host has it; none if the cluster does not run there.
    pub(crate) fn monitor(&self, host: &str) -> Option<Monitor> {
        if !self.cluster.members.contains(host) {
            return None;
        }
        let quorate = self.is_quorate(host);
        let mut out = String::from("<pacemaker-result><summary>");
        if self.cluster.election {
            out.push_str("<current_dc present=\"false\"/>");
        } else {
            let _ = write!(
                out,
                "<current_dc present=\"true\" name=\"x\" with_quorum=\"{quorate}\"/>"
            );
        }
        out.push_str("</summary><nodes>");
        let pending = self.pending();
        for node in &self.cluster.known {
            // A member without a controller tells of all nodes that they are away.
            let unclean = self.cluster.election;
            let online = self.cluster.members.contains(node) && self.reach(host, node) && !unclean;
            let (standby, pends) = (self.cluster.standby.contains(node), pending.contains(node));
            let _ = write!(
                out,
                "<node name=\"{node}\" id=\"1\" online=\"{online}\" pending=\"{pends}\" unclean=\"{unclean}\" \
                 standby=\"{standby}\"/>"
            );
        }
        out.push_str("</nodes><resources>");
        for (id, nodes) in &self.cluster.running {
            let known = self.cluster.config.resources.iter().find(|r| r.id == *id);
            let managed = known.is_none_or(|r| r.managed);
            for node in nodes
                .iter()
                .filter(|n| self.reach(host, n) && self.seems_to_run(n, id))
            {
                let role = match known.is_some_and(|r| r.promotable) {
                    true if self.serves_sql(node) => "Promoted",
                    true => "Unpromoted",
                    false => "Started",
                };
                let _ = write!(
                    out,
                    "<resource id=\"{id}\" role=\"{role}\" active=\"true\" orphaned=\"{}\" managed=\"{managed}\" \
                     failed=\"false\" blocked=\"false\"><node name=\"{node}\"/></resource>",
                    known.is_none()
                );
            }
        }
        out.push_str("</resources></pacemaker-result>");
        Monitor::parse(&out).ok()
    }

    /// True if the cluster's monitors find an instance: one that stands still fails them.
    fn seems_to_run(&self, node: &str, resource: &str) -> bool {
        let instance = self.units.contains_key(resource) && !self.is_broker(resource);
        !(instance && self.machines.get(node).is_some_and(|m| m.slow))
    }

    /// The CIB as members of the cluster have it.
    fn cib(&self, sections: &BTreeMap<String, String>) -> Option<LiveCib> {
        if !self.cluster.is_configured() {
            return None;
        }
        let mut sections: String = sections.values().map(String::as_str).collect();
        for (whole, node) in &self.cluster.bans {
            let ban = format!(
                "<rsc_location id=\"cli-ban-{whole}-on-{node}\" rsc=\"{whole}\" role=\"Started\" node=\"{node}\" \
                 score=\"-INFINITY\"/></constraints>"
            );
            sections = sections.replace("</constraints>", &ban);
        }
        sections.push_str("<nodes>");
        for (node, name) in &self.cluster.marks {
            let _ = write!(
                sections,
                "<node uname=\"{node}\"><instance_attributes><nvpair name=\"{name}\" value=\"true\"/>\
                 </instance_attributes></node>"
            );
        }
        sections.push_str("</nodes>");
        let event = self.cluster.last_event;
        let mut status = String::new();
        for id in &self.cluster.remembered {
            let _ = write!(status, "<lrm_resource id=\"{id}\"/>");
        }
        for (node, id) in &self.desired.nodes {
            let _ = write!(
                status,
                "<node_state id=\"{id}\" uname=\"{node}\" in_ccm=\"{event}\" crmd=\"{event}\" join=\"member\" \
                 expected=\"member\"/>"
            );
        }
        let text = format!("<cib><configuration>{sections}</configuration><status>{status}</status></cib>");
        LiveCib::parse(filled(&text)).ok().map(LiveCib::without_text)
    }
}

/// The fact of a file.
fn told(path: &String, file: &File, ask: &Observe) -> FileFact {
    let text = std::str::from_utf8(&file.content).ok();
    let same = ask.same.get(path) == Some(&file.digest);
    let lines = ask.lines.contains(path) && !same;
    let asked = ask.keys.get(path).into_iter().flatten();
    let found = ask
        .keys
        .get(path)
        .map(|_| ini::keys(text.unwrap_or_default()))
        .unwrap_or_default();
    let keys = asked.map(|asked| KeyFact {
        section: asked.section.clone(),
        name: asked.name.clone(),
        values: (ini::values(&found, &asked.section, &asked.name).iter())
            .map(|v| digest(v.as_bytes()))
            .collect(),
        text: None,
    });
    FileFact {
        digest: file.digest.clone(),
        size: file.content.len() as u64,
        stat: Stat {
            owner: file.owner.clone(),
            group: file.group.clone(),
            mode: file.mode,
        },
        link: None,
        lines: if lines {
            crate::ask::lines(text.unwrap_or_default())
        } else {
            Vec::new()
        },
        text: text.filter(|_| ask.texts.contains(path) && !same).map(filled),
        keys: keys.filter(|k| !k.values.is_empty()).collect(),
    }
}
