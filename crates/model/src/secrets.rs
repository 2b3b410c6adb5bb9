//! Which secrets this cloud wants. Made by the vault; here they have names only.

use std::net::IpAddr;

use catalog::{SecretForm, SecretSpec};
use names::HostName;

use crate::Model;

/// What kind of secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// Letters and digits, so that no file format needs escapes.
    Password(usize),
    /// Random bytes in URL-safe base64, as Fernet keys are.
    Key(usize),
    /// Random bytes in hex.
    Hex(usize),
    /// Random bytes in plain base64.
    Bytes(usize),
    /// A UUID.
    Uuid,
    /// A certificate authority: the cloud's own, or one of a service's.
    Ca,
    /// A certificate.
    Leaf {
        /// Name of the authority that signs it.
        ca: String,
        /// Subject.
        common_name: String,
        /// DNS names.
        names: Vec<String>,
        /// Addresses.
        addresses: Vec<IpAddr>,
    },
}

/// A secret that must be in the vault before anything is sent to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNeed {
    /// Its name; a leaf is stored as `NAME.crt` and `NAME.key`.
    pub name: String,
    /// Its kind.
    pub kind: SecretKind,
}

/// The cloud's own authority.
const CA: &str = "tls/ca";

/// True of what another cloud with the same data takes over: no certificates, and no keys
/// of hosts.
fn is_kept(spec: &SecretSpec) -> bool {
    let certified = matches!(spec.form, SecretForm::Authority | SecretForm::Certificate { .. });
    spec.each.is_none() && !certified
}

/// The kind of a service's secret, for one host or for none.
fn kind(service: &str, spec: &SecretSpec, host: Option<(&HostName, &[IpAddr])>) -> SecretKind {
    match &spec.form {
        SecretForm::Password(size) => SecretKind::Password(*size),
        SecretForm::Key(size) => SecretKind::Key(*size),
        SecretForm::Hex(size) => SecretKind::Hex(*size),
        SecretForm::Bytes(size) => SecretKind::Bytes(*size),
        SecretForm::Authority => SecretKind::Ca,
        SecretForm::Certificate { of } => SecretKind::Leaf {
            ca: format!("{service}/{}", of.value),
            common_name: host.map_or_else(|| service.to_owned(), |(name, _)| name.to_string()),
            names: host.iter().map(|(name, _)| name.to_string()).collect(),
            addresses: host.map(|(_, addresses)| addresses.to_vec()).unwrap_or_default(),
        },
    }
}

impl Model {
    /// The secrets that data in databases depend on: those of services that keep
    /// one. Keys open what is stored, a first password stands there as a hash. A
    /// cloud that gets another's databases needs these with them; all others
    /// (the cloud's id, certificates, passwords of databases and brokers) are its own.
    pub fn secrets_of_data(&self) -> Vec<String> {
        let keeping = self.services.iter().filter(|(_, p)| p.service.database.is_some());
        keeping
            .flat_map(|(service, p)| {
                let kept = p.service.secrets.iter().filter(|(_, spec)| is_kept(spec));
                kept.map(move |(name, _)| format!("{service}/{name}"))
            })
            .collect()
    }

    /// All secrets of this cloud, in a fixed order.
    pub fn secrets(&self) -> Vec<SecretNeed> {
        let need = |name: &str, kind| SecretNeed {
            name: name.to_owned(),
            kind,
        };
        let mut out = vec![need("cloud/id", SecretKind::Uuid), need(CA, SecretKind::Ca)];
        let mut vips: Vec<IpAddr> = self.vips.values().map(|v| v.address).collect();
        vips.sort_unstable();
        vips.dedup();
        // Any balancer may hold any virtual address, so all share what proves them. It
        // is apart from what proves a host: a service more or less is the balancers'
        // affair, and no store restarts for it.
        out.push(SecretNeed {
            name: "vips/tls".to_owned(),
            kind: SecretKind::Leaf {
                ca: CA.to_owned(),
                common_name: self.cloud.name.value.as_str().to_owned(),
                names: Vec::new(),
                addresses: vips,
            },
        });
        let served = self.served();
        for host in &self.cloud.hosts {
            let name = &host.name.value;
            let mut addresses: Vec<IpAddr> = host.addresses.values().map(|a| a.value).collect();
            // Where the balancer passes TLS through, the member itself proves the address.
            let passed = served
                .iter()
                .filter(|s| !s.endpoint.tls && s.members.contains(name));
            addresses.extend(passed.map(|s| s.vip));
            out.push(SecretNeed {
                name: format!("tls/{name}"),
                kind: SecretKind::Leaf {
                    ca: CA.to_owned(),
                    common_name: name.to_string(),
                    names: vec![name.to_string(), "localhost".to_owned()],
                    addresses,
                },
            });
        }
        for (service, placed) in &self.services {
            for (name, spec) in &placed.service.secrets {
                let name = format!("{service}/{name}");
                match &spec.each {
                    None => out.push(need(&name, kind(service, spec, None))),
                    Some(role) => {
                        for host in self.hosts_of(role) {
                            let addresses: Vec<IpAddr> = host.addresses.values().map(|a| a.value).collect();
                            let host = &host.name.value;
                            let kind = kind(service, spec, Some((host, &addresses)));
                            out.push(need(&format!("{name}/{host}"), kind));
                        }
                    }
                }
            }
            if placed.service.database.is_some() {
                out.push(need(&format!("{service}/database"), SecretKind::Password(32)));
            }
            if placed.service.broker.is_some() {
                out.push(need(&format!("{service}/broker"), SecretKind::Password(32)));
            }
        }
        out
    }

    /// Rings of keys, each as the vault's names in the order in which they turn.
    pub fn rings(&self) -> Vec<Vec<String>> {
        self.services
            .iter()
            .flat_map(|(name, placed)| {
                let rings = placed.service.rings.values();
                rings.map(move |keys| keys.iter().map(|k| format!("{name}/{}", k.value)).collect())
            })
            .collect()
    }
}
