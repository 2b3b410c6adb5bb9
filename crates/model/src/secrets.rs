//! Which secrets this cloud wants. Made by the vault; here they have names only.

use std::net::IpAddr;

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
    /// The cloud's own certificate authority, and which authorities are trusted.
    Ca,
    /// A certificate of that authority.
    Leaf {
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

impl Model {
    /// The secrets that data in databases depend on: those of services that keep
    /// one. Keys open what is stored, a first password stands there as a hash. A
    /// cloud that gets another's databases needs these with them; all others
    /// (the cloud's id, certificates, passwords of databases and brokers) are its own.
    pub fn secrets_of_data(&self) -> Vec<String> {
        let keeping = self.services.iter().filter(|(_, p)| p.service.database.is_some());
        keeping
            .flat_map(|(service, p)| {
                p.service
                    .secrets
                    .keys()
                    .map(move |name| format!("{service}/{name}"))
            })
            .collect()
    }

    /// All secrets of this cloud, in a fixed order.
    pub fn secrets(&self) -> Vec<SecretNeed> {
        let need = |name: &str, kind| SecretNeed {
            name: name.to_owned(),
            kind,
        };
        let mut out = vec![need("cloud/id", SecretKind::Uuid), need("tls/ca", SecretKind::Ca)];
        let mut vips: Vec<IpAddr> = self.vips.values().map(|v| v.address).collect();
        vips.sort_unstable();
        vips.dedup();
        // Any balancer may hold any virtual address, so all share what proves them. It
        // is apart from what proves a host: a service more or less is the balancers'
        // affair, and no store restarts for it.
        out.push(SecretNeed {
            name: "vips/tls".to_owned(),
            kind: SecretKind::Leaf {
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
                    common_name: name.to_string(),
                    names: vec![name.to_string(), "localhost".to_owned()],
                    addresses,
                },
            });
        }
        for (service, placed) in &self.services {
            for (name, spec) in &placed.service.secrets {
                let kind = match spec.kind.as_str() {
                    "key" => SecretKind::Key(spec.size),
                    "hex" => SecretKind::Hex(spec.size),
                    "bytes" => SecretKind::Bytes(spec.size),
                    _ => SecretKind::Password(spec.size),
                };
                out.push(SecretNeed {
                    name: format!("{service}/{name}"),
                    kind,
                });
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
