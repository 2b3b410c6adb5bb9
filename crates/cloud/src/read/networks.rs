//! `networks`, or the one network that follows from the hosts' addresses.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::named;
use crate::keys;
use crate::tree::{Entry, Node, Spanned, Walker};
use crate::types::{Host, Network, NetworkUse};
use names::NetworkName;

/// The networks, management first. `None` if that one is not known.
pub(super) fn read(w: &mut Walker, node: Option<&Node>, hosts: &[Host]) -> Option<Vec<Network>> {
    let Some(node) = node else {
        return derived(w, hosts).map(|n| vec![n]);
    };
    let entries = w.map(node, "`networks`")?;
    let mut networks: Vec<Network> = entries.iter().filter_map(|e| network(w, e)).collect();
    // What hosts name is compared with the keys, also of networks that are wrong otherwise.
    let names: Vec<&str> = entries.iter().map(|e| e.key.value.as_str()).collect();
    unknown_networks(w, hosts, &names);
    if !names.contains(&NetworkName::MANAGEMENT) {
        let finding = w.error(
            "file::missing-key",
            &node.span,
            "`networks` needs `management`",
            "it is not here",
        );
        w.push(finding.help("name the network that holds each host's `address` `management`"));
    }
    let at = networks
        .iter()
        .position(|n| n.name.as_str() == NetworkName::MANAGEMENT)?;
    networks[..=at].rotate_right(1);
    Some(networks)
}

fn network(w: &mut Walker, entry: &Entry) -> Option<Network> {
    let made = NetworkName::new(&entry.key.value);
    let name = named(
        w,
        "network::bad-name",
        "a network's name",
        entry.key.clone(),
        made,
    );
    let fields = w.keys(&entry.value, format!("network `{}`", entry.key), &keys::NETWORK)?;
    let cidr = w.require(&fields, "cidr").and_then(|n| cidr(w, n));
    let uses = fields.get("use").map(Node::one_or_list).unwrap_or_default();
    let uses = uses
        .into_iter()
        .filter_map(|n| w.choice(n, "a network's `use`", "network::unknown-use", NetworkUse::WORDS))
        .map(|u| u.value)
        .collect();
    Some(Network {
        name: name?,
        cidr: cidr?,
        uses,
    })
}

fn cidr(w: &mut Walker, node: &Node) -> Option<Spanned<IpNet>> {
    let text = w.text(node, "`cidr`")?;
    let (label, help) = match text.value.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => return Some(Spanned::new(net, text.span)),
        Ok(net) => (
            "an address within a network".to_owned(),
            format!("the network is `{}`", net.trunc()),
        ),
        Err(_) => (
            "not a network".to_owned(),
            "write the network's address and prefix length, such as `198.51.100.0/24`".to_owned(),
        ),
    };
    let message = format!("`{text}` is not a network in CIDR notation");
    w.push(
        w.error("network::bad-cidr", &text.span, message, label)
            .help(help),
    );
    None
}

/// The /24 or /64 that holds every host.
fn derived(w: &mut Walker, hosts: &[Host]) -> Option<Network> {
    unknown_networks(w, hosts, &[NetworkName::MANAGEMENT]);
    let mut addresses = hosts
        .iter()
        .filter_map(|h| h.addresses.get(NetworkName::MANAGEMENT));
    let first = addresses.next()?;
    let net = around(first.value)?;
    if let Some(stray) = addresses.find(|a| !net.contains(&a.value)) {
        let message = "the hosts' addresses do not tell the network";
        let label = format!("not in {net}");
        let finding = w.error("network::not-stated", &stray.span, message, label);
        let finding = finding.also(first.span.clone(), format!("this would make it {net}"));
        w.push(finding.help("state it: `networks: { management: { cidr: … } }`"));
        return None;
    }
    Some(Network {
        name: Spanned::new(NetworkName::management(), first.span.clone()),
        cidr: Spanned::new(net, first.span.clone()),
        uses: Vec::new(),
    })
}

fn around(address: IpAddr) -> Option<IpNet> {
    match address {
        IpAddr::V4(v4) => Ipv4Net::new(v4, 24).ok().map(|n| IpNet::V4(n.trunc())),
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64).ok().map(|n| IpNet::V6(n.trunc())),
    }
}

fn unknown_networks(w: &mut Walker, hosts: &[Host], known: &[&str]) {
    for host in hosts {
        for (name, address) in &host.addresses {
            // Every host's own address is in `management`; that one is missed only once.
            if name.as_str() == NetworkName::MANAGEMENT || known.contains(&name.as_str()) {
                continue;
            }
            let message = format!(
                "host `{}` has an address in the network `{name}`, which there is not",
                host.name
            );
            let help = diagnostic::did_you_mean(name.as_str(), known.iter().copied()).map_or_else(
                || format!("add `{name}: {{ cidr: … }}` to `networks`"),
                |near| format!("did you mean `{near}`?"),
            );
            w.push(
                w.error(
                    "host::unknown-network",
                    &address.span,
                    message,
                    "in no known network",
                )
                .help(help),
            );
        }
    }
}
