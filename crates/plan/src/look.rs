//! What to ask of a host so that a plan can be made: nothing more, in one round trip.

use std::collections::HashMap;

use engines::Store;
use render::{Desired, DesiredFile};
use wire::{HttpGet, NamedQuery, Observe, Own, Query};

use crate::{balancer, corosync, depart, instances, lost, quorum, records, restore, rings, shared};

/// Pacemaker's configuration on the disk.
pub(crate) const CIB_FILE: &str = "/var/lib/pacemaker/cib/cib.xml";

/// The name of an API's answer.
pub(crate) fn api(name: &str) -> String {
    format!("api/{name}")
}

/// The name of a database's answer.
pub(crate) fn database(service: &str) -> String {
    format!("database/{service}")
}

/// The name of a script's answer; guards are numbered.
pub(crate) fn script(service: &str, name: &str, index: usize) -> String {
    format!("script/{service}/{name}/{index}")
}

/// The name of the answer of an instance that systemd runs.
pub(crate) fn instance(resource: &str) -> String {
    format!("instance/{resource}")
}

/// What to observe on `host`. `deep` asks stores that are down what they hold,
/// which costs seconds.
pub fn observe(desired: &Desired, host: &str, key: [u8; 32], deep: bool) -> Observe {
    Looks::new(desired, key, deep).at(host)
}

/// Questions to one host after the other. Content that many hosts have is digested once.
pub struct Looks<'a> {
    desired: &'a Desired,
    key: [u8; 32],
    deep: bool,
    digests: HashMap<usize, String>,
}

impl<'a> Looks<'a> {
    /// For hosts of this cloud; see [`observe`].
    pub fn new(desired: &'a Desired, key: [u8; 32], deep: bool) -> Self {
        let digests = HashMap::new();
        Self {
            desired,
            key,
            deep,
            digests,
        }
    }

    /// The questions to a host.
    pub fn at(&mut self, host: &str) -> Observe {
        let mut out = asked(self.desired, host, self.key, self.deep);
        let files = self.desired.hosts.get(host).into_iter().flat_map(|h| &h.files);
        for file in files.filter(|f| is_told(f) && f.identity.is_empty()) {
            let content = &file.write.content;
            let digest = self.digests.entry(content.address());
            let digest = digest.or_insert_with(|| wire::digest(&self.key, content));
            out.same.insert(file.write.path.clone(), digest.clone());
        }
        out
    }
}

/// True if a host tells the file's text, where it is not as it should be.
fn is_told(file: &DesiredFile) -> bool {
    !file.secret && !file.write.directory && file.ring.is_none() && file.write.own == Own::File
}

fn asked(desired: &Desired, host: &str, key: [u8; 32], deep: bool) -> Observe {
    if !desired.hosts.contains_key(host) {
        return Observe {
            key,
            ..depart::observe(desired, deep)
        };
    }
    let mut out = Observe {
        key,
        cluster: true,
        ..Observe::default()
    };
    out.mounts = ["/", "/var"].map(str::to_owned).to_vec();
    if let Some(wanted) = desired.hosts.get(host) {
        out.packages.clone_from(&wanted.packages);
        out.sysctls = wanted.sysctls.keys().cloned().collect();
        out.units = wanted
            .units
            .iter()
            .map(|u| u.unit.clone())
            .chain(wanted.mask.iter().cloned())
            .collect();
        out.files.extend(wanted.absent.iter().cloned());
        out.queries.extend(instances::queries(&wanted.units));
        for cure in &wanted.cures {
            out.files.push(cure.file.write.path.clone());
            out.packages.push(cure.package.clone());
            out.queries.push(cure.query());
        }
        for file in &wanted.files {
            out.files.push(file.write.path.clone());
            if file.ring.is_some() {
                out.queries.push(rings::query(&file.write.path));
                continue;
            }
            if let Own::Keys { wanted, absent } = &file.write.own {
                let asked = shared::asked(wanted, absent);
                out.keys.insert(file.write.path.clone(), asked);
                continue;
            }
            if is_told(file) {
                out.texts.push(file.write.path.clone());
            }
            if file.secret && !file.write.directory {
                out.lines.push(file.write.path.clone());
            }
            if !file.identity.is_empty() && file.secret {
                out.texts.push(file.write.path.clone());
            }
        }
    }
    if desired.is_member(host) {
        out.files.push(CIB_FILE.to_owned());
        out.queries.extend([corosync::query(), quorum::query()]);
        if !desired.links.is_empty() {
            out.queries.push(NamedQuery {
                name: pacemaker::LINKS.to_owned(),
                query: Query::Run {
                    argv: pacemaker::ASK_LINKS.map(str::to_owned).to_vec(),
                    timeout_ms: 5000,
                },
            });
        }
    }
    if balancer::is_on(desired, host) {
        out.queries.extend(balancer::queries());
    }
    for store in stores_on(desired, host) {
        out.queries.extend(engines::queries(store, deep));
    }
    if desired.sql_hosts.iter().any(|h| h == host) {
        for db in &desired.databases {
            out.queries.push(NamedQuery {
                name: database(&db.service),
                query: db.query.clone(),
            });
        }
        for s in &desired.scripts {
            for (i, (query, _)) in s.guards.iter().enumerate() {
                out.queries.push(NamedQuery {
                    name: script(&s.service, &s.name, i),
                    query: query.clone(),
                });
            }
        }
    }
    out.queries.extend(records::queries(desired, host));
    let told = desired
        .faults
        .iter()
        .filter(|f| f.hosts.iter().any(|h| h == host));
    out.queries.extend(told.map(|faults| NamedQuery {
        name: faults.answer.clone(),
        query: faults.query.clone(),
    }));
    if !desired.lost.is_empty() {
        out.queries.extend(lost::queries(desired, host));
    }
    out.queries.extend(restore::queries(desired, host));
    // One answer tells how an address is, and thousands of hosts would ask at the same time.
    for wanted in desired.apis.iter().filter(|_| desired.is_member(host)) {
        out.queries.push(NamedQuery {
            name: api(&wanted.name),
            query: api_query(&wanted.check),
        });
    }
    out
}

/// Asks an API through its virtual address, trusting the cloud's own authority only.
pub(crate) fn api_query(url: &str) -> Query {
    Query::Http(HttpGet {
        method: "GET".to_owned(),
        url: url.to_owned(),
        ca: Some(render::secret("tls/trust.crt")),
        auth: None,
        headers: Vec::new(),
        body: None,
    })
}

/// Stores that have a member on `host`.
pub(crate) fn stores_on<'a>(desired: &'a Desired, host: &str) -> impl Iterator<Item = &'a Store> {
    let host = host.to_owned();
    desired
        .stores
        .iter()
        .filter(move |s| s.members.iter().any(|m| *m == host))
}
