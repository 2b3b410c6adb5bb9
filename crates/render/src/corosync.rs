//! Corosync's configuration as values, from which its file is made: the planner compares
//! them with what runs, and gives members other votes while some come or leave.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use diagnostic::Diagnostic;
use model::Model;
use names::HostName;
use serde::Serialize;

use crate::DesiredFile;
use crate::context::secret;

/// The service of the catalogue that has its file, settings and secrets.
const SERVICE: &str = "corosync";
/// Its file.
const CONF: &str = "/etc/corosync/corosync.conf";

/// Keys with their values, in the file's order.
pub type Keys = Vec<(String, String)>;

/// Sections of the file that are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Corosync {
    /// `totem`, without its interfaces.
    pub totem: Keys,
    /// `quorum`.
    pub quorum: Keys,
    /// `nodelist`.
    pub nodes: Vec<CorosyncNode>,
}

/// A member in the nodelist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CorosyncNode {
    /// Name.
    pub name: HostName,
    /// Its other keys.
    pub keys: Keys,
}

impl CorosyncNode {
    /// The same with so many votes; a member has one where the file does not say.
    #[must_use]
    pub fn with_votes(mut self, votes: u32) -> Self {
        self.keys.retain(|(key, _)| key != "quorum_votes");
        self.keys
            .insert(0, ("quorum_votes".to_owned(), votes.to_string()));
        self
    }
}

impl Corosync {
    /// All keys, flat as Corosync keeps them: `totem.token`, `nodelist.node.0.name`.
    pub fn flat(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let mut add = |place: &str, keys: &Keys| {
            let flat = keys
                .iter()
                .map(|(key, value)| (format!("{place}.{key}"), value.clone()));
            out.extend(flat);
        };
        add("totem", &self.totem);
        add("quorum", &self.quorum);
        for (number, node) in self.nodes.iter().enumerate() {
            let place = format!("nodelist.node.{number}");
            add(&place, &vec![("name".to_owned(), node.name.to_string())]);
            add(&place, &node.keys);
        }
        out
    }

    /// The nodelist as it stands in the file.
    pub fn nodelist(&self) -> String {
        let mut out = "nodelist {\n".to_owned();
        for node in &self.nodes {
            // A String never refuses to be written to.
            let _ = writeln!(out, "    node {{\n        name: {}", node.name);
            for (key, value) in &node.keys {
                let _ = writeln!(out, "        {key}: {value}");
            }
            out.push_str("    }\n");
        }
        out + "}\n"
    }
}

/// Keys of pairs, without those that have no value.
fn keys<const N: usize>(pairs: [(&str, Option<&str>); N]) -> Keys {
    let there = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
    there
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The configuration of a cloud's cluster.
pub(crate) fn of(model: &Model, nodes: &[(HostName, u32)]) -> Corosync {
    let placed = model.services.get(SERVICE);
    let setting = |key: &str| placed.and_then(|p| p.settings.get(key)).map(String::as_str);
    let cluster = format!(
        "{}-{}",
        model.cloud.name,
        secret(&format!("{SERVICE}/cluster-id"))
    );
    let links: Vec<_> = model.cloud.links().collect();
    let node = |(name, id): &(HostName, u32)| {
        let addresses = model.host(name).into_iter().flat_map(|host| {
            links
                .iter()
                .filter_map(|network| host.address_in(network.name.as_str()))
        });
        let rings = addresses
            .enumerate()
            .map(|(ring, address)| (format!("ring{ring}_addr"), address.to_string()));
        CorosyncNode {
            name: name.clone(),
            keys: std::iter::once(("nodeid".to_owned(), id.to_string()))
                .chain(rings)
                .collect(),
        }
    };
    Corosync {
        totem: keys([
            ("version", Some("2")),
            ("cluster_name", Some(&cluster)),
            ("transport", Some("knet")),
            ("crypto_cipher", Some("aes256")),
            ("crypto_hash", Some("sha256")),
            ("keyfile", Some("/etc/corosync/authkey")),
            ("token", setting("token")),
            // With one the token in force would depend on the number of members.
            ("token_coefficient", Some("0")),
            ("consensus", setting("consensus")),
            ("link_mode", (links.len() > 1).then_some("passive")),
        ]),
        // How many votes are expected follows from the nodelist, so that a reload cannot
        // change one without the other.
        quorum: keys([("provider", Some("corosync_votequorum"))]),
        nodes: nodes.iter().map(node).collect(),
    }
}

/// A finding where a template that was laid over ours writes members by itself: they would
/// come to a cluster with votes before they serve.
pub(crate) fn own_members<'f>(
    model: &Model,
    corosync: &Corosync,
    files: impl Iterator<Item = &'f DesiredFile>,
) -> Option<Diagnostic> {
    let conf = files.into_iter().find(|f| f.write.path == CONF)?;
    let text = String::from_utf8_lossy(&conf.write.content);
    if text.contains(&corosync.nodelist()) {
        return None;
    }
    let service = &model.services.get(SERVICE)?.service;
    let template = service.files.iter().find(|f| f.to.value == CONF)?;
    let source = model
        .catalog
        .source(&model.catalog.path(service, &template.from.value));
    let first = source.text.lines().next().map_or(0, str::len);
    let message = format!("the template of {CONF} does not hold the members as they are planned");
    let finding = Diagnostic::error("catalog::template", &source, 0..first, message, "in this file");
    Some(finding.help("write them as `{{ corosync.nodelist }}`"))
}
