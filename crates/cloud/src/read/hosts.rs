//! `hosts` and `ssh`: what each host is, where it is, and how it is reached.
//!
//! A host that can only be read in part is kept as far as it goes, so that the
//! rest of it is judged too.

use diagnostic::did_you_mean;
use indexmap::IndexMap;

use super::{address, named, reachable};
use crate::keys;
use crate::tree::{Entry, Fields, Node, Spanned, Walker};
use crate::types::{Domain, Host, Role, Ssh};
use names::{HostName, NetworkName};

/// The hosts as far as they could be read.
pub(super) struct Hosts {
    pub(super) hosts: Vec<Host>,
    /// Whether no host and no role is missing from them.
    pub(super) roles_known: bool,
}

/// What holds for hosts that say nothing else.
pub(super) struct SshDefaults {
    user: String,
    port: u16,
    config: Option<Spanned<String>>,
}

pub(super) fn ssh_defaults(w: &mut Walker, node: Option<&Node>) -> SshDefaults {
    let mut ssh = SshDefaults {
        user: "root".to_owned(),
        port: 22,
        config: None,
    };
    if let Some(fields) = node.and_then(|n| w.keys(n, "`ssh`", &keys::SSH)) {
        if let Some(user) = user(w, &fields) {
            ssh.user = user;
        }
        if let Some(port) = port(w, &fields) {
            ssh.port = port;
        }
        ssh.config = fields.get("config").and_then(|n| w.text(n, "`config`"));
    }
    ssh
}

fn user(w: &mut Walker, fields: &Fields<'_>) -> Option<String> {
    let user = w.text(fields.get("user")?, "`user`")?;
    // What useradd takes by default, and dots and capitals for directory users;
    // a leading dash would be an option of ssh.
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
    if user.value.starts_with('-') || !user.value.chars().all(fits) {
        let message = format!("the SSH user cannot be `{user}`");
        let finding = w.error("ssh::bad-user", &user.span, message, "not a user's name");
        w.push(finding.help("use letters, digits, `_`, `-`, `.` and `@`"));
        return None;
    }
    Some(user.value)
}

fn port(w: &mut Walker, fields: &Fields<'_>) -> Option<u16> {
    let port = w.integer(fields.get("port")?, "`port`", i64::MIN..=i64::MAX)?;
    match u16::try_from(port.value) {
        Ok(number) if number > 0 => Some(number),
        _ => {
            let message = format!("the SSH port cannot be {port}");
            let finding = w.error("ssh::bad-port", &port.span, message, "not a port");
            w.push(finding.help("a port is from 1 to 65535"));
            None
        }
    }
}

pub(super) fn read(w: &mut Walker, node: Option<&Node>, ssh: &SshDefaults) -> Hosts {
    let entries = node.and_then(|n| w.map(n, "`hosts`")).unwrap_or_default();
    if let Some(node) = node
        && entries.is_empty()
        && node.describe() == "a map"
    {
        w.push(w.error(
            "file::missing-key",
            &node.span,
            "the cloud file needs hosts",
            "there are none here",
        ));
    }
    let mut read = Hosts {
        hosts: Vec::with_capacity(entries.len()),
        roles_known: !entries.is_empty(),
    };
    for entry in entries {
        match host(w, entry, ssh) {
            Some(host) => {
                read.roles_known &= !host.roles.is_empty();
                read.hosts.push(host);
            }
            None => read.roles_known = false,
        }
    }
    read
}

fn host(w: &mut Walker, entry: &Entry, ssh: &SshDefaults) -> Option<Host> {
    let what = format!("host `{}`", entry.key);
    let name = named(
        w,
        "host::bad-name",
        "a host's name",
        entry.key.clone(),
        HostName::new(&entry.key.value),
    );
    let fields = w.keys(&entry.value, what, &keys::HOST)?;
    let roles = w
        .require(&fields, "role")
        .map(|n| Spanned::new(roles(w, n), n.span.clone()));
    let main = w
        .require(&fields, "address")
        .and_then(|n| address(w, n, "`address`"));
    let mut addresses = IndexMap::new();
    let ssh = host_ssh(
        w,
        fields.get("ssh"),
        ssh,
        main.as_ref().map(|a| a.value.to_string()),
    );
    if let Some(main) = main {
        addresses.insert(NetworkName::management(), main);
    }
    if let Some(node) = fields.get("addresses") {
        further_addresses(w, node, &mut addresses);
    }
    let domains = fields.get("domain").map(|n| domains(w, n)).unwrap_or_default();
    Some(Host {
        name: name?,
        roles: roles.unwrap_or_else(|| Spanned::new(Vec::new(), fields.span.clone())),
        addresses,
        domains,
        away: fields.get("away").and_then(|n| w.text(n, "`away`")),
        power: Vec::new(), // filled in by `power`, which needs all hosts
        ssh,
    })
}

/// Empty if one of them is not known: better no judgement on roles than a wrong one.
fn roles(w: &mut Walker, node: &Node) -> Vec<Role> {
    let mut roles = Vec::new();
    let mut known = true;
    for role in w.texts(node, "`role`") {
        if role.value == "controller" {
            roles.extend(Role::CONTROLLER);
        } else if let Some((_, one)) = Role::WORDS.iter().find(|(word, _)| *word == role.value) {
            roles.push(*one);
        } else {
            known = false;
            let words = || Role::WORDS.iter().map(|(word, _)| *word).chain(["controller"]);
            let help = did_you_mean(&role.value, words()).map_or_else(
                || {
                    format!(
                        "roles are {}",
                        words().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no role `{role}`");
            w.push(
                w.error("host::unknown-role", &role.span, message, "not a role")
                    .help(help),
            );
        }
    }
    roles.sort();
    roles.dedup();
    if known { roles } else { Vec::new() }
}

fn further_addresses(
    w: &mut Walker,
    node: &Node,
    addresses: &mut IndexMap<NetworkName, Spanned<std::net::IpAddr>>,
) {
    for entry in w.map(node, "`addresses`").unwrap_or_default() {
        if entry.key.value == NetworkName::MANAGEMENT {
            let message = "the address in `management` is given by `address`";
            let finding = w.error("host::unknown-network", &entry.key.span, message, "not here");
            w.push(finding.help("move it to the host's `address`"));
            continue;
        }
        let made = NetworkName::new(&entry.key.value);
        let name = named(
            w,
            "network::bad-name",
            "a network's name",
            entry.key.clone(),
            made,
        );
        let value = address(w, &entry.value, &format!("the address in `{}`", entry.key));
        if let (Some(name), Some(value)) = (name, value) {
            addresses.insert(name.value, value);
        }
    }
}

fn domains(w: &mut Walker, node: &Node) -> IndexMap<Domain, Spanned<String>> {
    let Some(fields) = w.keys(node, "`domain`", &keys::DOMAIN) else {
        return IndexMap::new();
    };
    let mut domains = IndexMap::new();
    for (word, domain) in Domain::WORDS {
        if let Some(value) = fields.get(word).and_then(|n| w.text(n, &format!("`{word}`"))) {
            domains.insert(*domain, value);
        }
    }
    domains
}

fn host_ssh(w: &mut Walker, node: Option<&Node>, defaults: &SshDefaults, main: Option<String>) -> Ssh {
    let mut ssh = Ssh {
        user: defaults.user.clone(),
        port: defaults.port,
        address: main.unwrap_or_default(),
        config: defaults.config.clone(),
    };
    let Some(fields) = node.and_then(|n| w.keys(n, "a host's `ssh`", &keys::HOST_SSH)) else {
        return ssh;
    };
    if let Some(user) = user(w, &fields) {
        ssh.user = user;
    }
    if let Some(port) = port(w, &fields) {
        ssh.port = port;
    }
    if let Some(to) = fields.get("address").and_then(|n| w.text(n, "`address`")) {
        if reachable(&to.value) {
            ssh.address = to.value;
        } else {
            let message = format!("`{to}` is neither a name nor an address");
            let finding = w.error(
                "ssh::bad-address",
                &to.span,
                message,
                "ssh cannot connect to this",
            );
            w.push(finding.help("write a host name or an address; user and port have keys of their own"));
        }
    }
    ssh
}
