//! What concerns several places of the file at once: addresses that meet,
//! networks that overlap, votes that can tie. It only reads; what needs the
//! catalogue is not judged here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::tree::Walker;
use crate::types::{Domain, Host, Network, NetworkUse, Role, VipSource, Vips};
use names::NetworkName;

/// Every host's addresses: once each, in its network, in each link's network.
pub(crate) fn addresses(w: &mut Walker, hosts: &[Host], networks: &[Network]) {
    let mut seen: HashMap<IpAddr, (&Host, Range<usize>)> = HashMap::new();
    for host in hosts {
        for (name, address) in &host.addresses {
            if let Some((other, span)) = seen.get(&address.value) {
                let message = if other.name == host.name {
                    format!("host `{}` has the address {address} in two networks", host.name)
                } else {
                    format!(
                        "hosts `{}` and `{}` have the same address {address}",
                        other.name, host.name
                    )
                };
                let finding = w.error(
                    "host::duplicate-address",
                    &address.span,
                    message,
                    "used again here",
                );
                w.push(
                    finding
                        .also(span.clone(), "first used here")
                        .help("give each its own address"),
                );
            } else {
                seen.insert(address.value, (host, address.span.clone()));
            }
            if let Some(network) = networks.iter().find(|n| n.name.value == *name)
                && let Some(why) = misfit(network.cidr.value, address.value)
            {
                let message = format!(
                    "the address of `{}` is not one of the network `{name}`",
                    host.name
                );
                let finding = w.error("host::address-outside-network", &address.span, message, why);
                let finding = finding.also(network.cidr.span.clone(), "the network");
                w.push(finding.help("correct the address or the network's `cidr`"));
            }
        }
        for link in networks
            .iter()
            .skip(1)
            .filter(|n| n.uses.contains(&NetworkUse::Corosync))
        {
            if host.is_controller() && !host.addresses.contains_key(link.name.as_str()) {
                let message = format!("host `{}` has no address in `{}`", host.name, link.name);
                let finding = w.error(
                    "host::missing-address",
                    &host.name.span,
                    message,
                    "needs one more address",
                );
                let finding = finding.also(link.name.span.clone(), "the cluster talks over this network too");
                w.push(finding.help(format!("add `addresses: {{ {}: … }}` to the host", link.name)));
            }
        }
    }
    for (i, one) in networks.iter().enumerate() {
        for other in &networks[..i] {
            let (a, b) = (one.cidr.value, other.cidr.value);
            if a.contains(&b) || b.contains(&a) {
                let message = format!("the networks `{}` and `{}` overlap", other.name, one.name);
                let finding = w.error(
                    "network::overlap",
                    &one.cidr.span,
                    message,
                    "shares addresses with the other",
                );
                w.push(
                    finding
                        .also(other.cidr.span.clone(), "the other")
                        .help("networks must be apart"),
                );
            }
        }
    }
}

/// Why an address cannot be used in a network.
fn misfit(net: IpNet, address: IpAddr) -> Option<String> {
    if !net.contains(&address) {
        return Some(format!("not in {net}"));
    }
    // In point-to-point networks (RFC 3021, RFC 6164) both addresses are hosts'.
    if net.max_prefix_len() - net.prefix_len() < 2 {
        return None;
    }
    if address == net.network() {
        return Some(format!("the address of {net} itself"));
    }
    (net.addr().is_ipv4() && address == net.broadcast()).then(|| format!("the broadcast address of {net}"))
}

/// Virtual addresses: of no host, each once, in the management network.
pub(crate) fn vips(w: &mut Walker, hosts: &[Host], networks: &[Network], vips: &Vips) {
    let host_of = |address: IpAddr| {
        hosts.iter().find_map(|h| {
            h.addresses
                .values()
                .find(|a| a.value == address)
                .map(|a| (h, a.span.clone()))
        })
    };
    let management = networks
        .iter()
        .find(|n| n.name.as_str() == NetworkName::MANAGEMENT);
    let mut singles: Vec<(String, IpAddr, Range<usize>)> = Vec::new();
    match &vips.source {
        VipSource::Shared(shared) => {
            singles.push((
                "the shared virtual address".to_owned(),
                shared.value,
                shared.span.clone(),
            ));
        }
        VipSource::Pool(pool) => {
            let within = |a: &&crate::Spanned<IpAddr>| pool.contains(a.value);
            for (host, address) in hosts
                .iter()
                .filter_map(|h| h.addresses.values().find(within).map(|a| (h, a)))
            {
                let message = format!(
                    "the pool of virtual addresses holds the address of `{}`",
                    host.name
                );
                let finding = w.error("vip::pool-contains-host", &pool.span, message, "the pool");
                let finding = finding.also(address.span.clone(), "the host's address");
                w.push(finding.help("take a range without hosts"));
            }
            if let Some(network) = management {
                let ends = [pool.first, pool.last];
                if let Some(why) = ends
                    .into_iter()
                    .find_map(|end| misfit(network.cidr.value, end).map(|w| (end, w)))
                {
                    outside(
                        w,
                        &pool.span,
                        &format!("the pool's end {}", why.0),
                        why.1,
                        network,
                    );
                }
            }
        }
    }
    for (service, pin) in &vips.pins {
        singles.push((
            format!("the virtual address of `{service}`"),
            pin.value.value,
            pin.value.span.clone(),
        ));
    }
    for (i, (what, address, span)) in singles.iter().enumerate() {
        if let Some((host, at)) = host_of(*address) {
            let message = format!("{what} is the address of the host `{}`", host.name);
            let finding = w.error("vip::equals-host", span, message, "a virtual address");
            w.push(
                finding
                    .also(at, "the host's own")
                    .help("take an address that no host has"),
            );
        }
        if let Some((_, _, first)) = singles[..i].iter().find(|(_, a, _)| a == address) {
            let message = format!("{what} is taken already");
            let finding = w.error("vip::duplicate", span, message, "used again here");
            w.push(
                finding
                    .also(first.clone(), "first used here")
                    .help("take another address, or remove the pin"),
            );
        }
        if let Some(network) = management
            && let Some(why) = misfit(network.cidr.value, *address)
        {
            outside(w, span, what, why, network);
        }
    }
}

fn outside(w: &mut Walker, span: &Range<usize>, what: &str, why: String, network: &Network) {
    let message = format!("{what} is not one of the management network");
    let finding = w.error("vip::outside-network", span, message, why);
    let finding = finding.also(
        network.cidr.span.clone(),
        format!("makes the network {}", network.cidr),
    );
    w.push(finding.help("virtual addresses move between the hosts of one network: take a free one of it"));
}

/// Votes: an odd number, and not all in one place.
pub(crate) fn votes(w: &mut Walker, hosts: &[Host], roles_known: bool) {
    if !roles_known {
        return; // counting some of them would only mislead
    }
    let voters: Vec<&Host> = hosts
        .iter()
        .filter(|h| h.is_controller() || h.has(Role::Arbitrator))
        .collect();
    let stores: Vec<&Host> = hosts
        .iter()
        .filter(|h| h.has(Role::Database) || h.has(Role::Arbitrator))
        .collect();
    let (what, tied) = if even(&voters) {
        ("controllers", voters.clone())
    } else if even(&stores) && stores.iter().any(|h| h.has(Role::Database)) {
        ("database hosts", stores)
    } else {
        ("", Vec::new())
    };
    too_many(w, &voters);
    nobody(w, hosts);
    if let Some((last, rest)) = tied.split_last() {
        let arbiters = tied
            .iter()
            .filter(|h| h.has(Role::Arbitrator) && !h.is_controller())
            .count();
        let (message, help) = if arbiters == 0 {
            (
                format!(
                    "{} {what} can split into halves of which neither has a majority",
                    tied.len()
                ),
                "add one more, or a host with `role: arbitrator`, which only votes",
            )
        } else {
            (
                format!(
                    "{} {what} with {arbiters} of `role: arbitrator` make an even number of votes",
                    tied.len() - arbiters
                ),
                "an odd number of controllers needs no arbitrator: remove it",
            )
        };
        let mut finding = w.error(
            "quorum::even-controllers",
            &last.name.span,
            message,
            "makes the number even",
        );
        for host in rest {
            finding = finding.also(host.name.span.clone(), "votes too");
        }
        w.push(finding.help(help));
    }
    for (_, domain) in Domain::WORDS {
        one_place(w, &voters, *domain);
    }
    if voters.len() > 1 {
        single_hosts(w, hosts);
    }
}

/// Nodes with a vote that Corosync is made and tested for ("Corosync's 16 node limit",
/// Pacemaker Remote, chapter 1).
const VOTES: usize = 16;

fn too_many(w: &mut Walker, voters: &[&Host]) {
    let Some(first) = voters.get(VOTES) else { return };
    let message = format!(
        "{} hosts have a vote, and Corosync is made for {VOTES}",
        voters.len()
    );
    let label = "one more than that";
    let finding = w.error("quorum::too-many", &first.name.span, message, label);
    w.push(finding.help(
        "three or five vote; more capacity is hosts with the role `network`, `storage` or `compute` alone, \
         which have no vote",
    ));
}

/// Roles without which no cloud works, each with what stands there.
const NEEDED: [(Role, &str); 5] = [
    (Role::Database, "what services keep"),
    (Role::Messaging, "what services say to each other"),
    (Role::Cache, "the tokens that were checked"),
    (Role::Balancer, "the virtual addresses"),
    (Role::Api, "the services' interfaces"),
];

/// Work that no host is for.
fn nobody(w: &mut Walker, hosts: &[Host]) {
    let Some(first) = hosts.first() else { return };
    for (role, what) in NEEDED {
        if hosts.iter().any(|h| h.has(role)) {
            continue;
        }
        let message = format!("no host has the role `{role}`: {what} would be nowhere");
        let label = format!("neither this host nor another has `{role}`");
        let finding = w.error("role::nobody", &first.roles.span, message, label);
        w.push(finding.help(format!(
            "give three hosts the role `{role}`, or `controller`, which has it"
        )));
    }
}

/// Work that no other host takes over. What a lost cache forgets is found again,
/// and agents of networks are made to be lost.
fn single_hosts(w: &mut Walker, hosts: &[Host]) {
    for role in [Role::Database, Role::Messaging, Role::Balancer, Role::Api] {
        let mut with = hosts.iter().filter(|h| h.has(role));
        if let (Some(only), None) = (with.next(), with.next()) {
            let message = format!("`{}` alone has the role `{role}`", only.name);
            let label = "when this host is lost, so is that";
            let finding = w.error("role::single-host", &only.roles.span, message, label);
            w.push(
                finding
                    .help(format!("give more hosts the role `{role}`"))
                    .warning(),
            );
        }
    }
}

fn even(hosts: &[&Host]) -> bool {
    hosts.len() >= 2 && hosts.len().is_multiple_of(2)
}

/// Whether one failure of a domain takes the majority away.
fn one_place(w: &mut Walker, voters: &[&Host], domain: Domain) {
    let placed: Vec<_> = voters.iter().filter_map(|h| h.domains.get(&domain)).collect();
    if voters.len() < 2 || placed.is_empty() {
        return;
    }
    let majority = voters.len() / 2 + 1;
    for (i, place) in placed.iter().enumerate() {
        if placed[..i].iter().any(|p| p.value == place.value) {
            continue;
        }
        let here: Vec<_> = placed.iter().filter(|p| p.value == place.value).collect();
        if voters.len() - here.len() >= majority {
            continue;
        }
        let finding = if here.len() == voters.len() {
            let message = format!("every controller is in the same {domain} `{place}`");
            let help = format!("spread them, or leave `{domain}` out where there is only one");
            w.error("quorum::one-domain", &place.span, message, "this one")
                .help(help)
        } else {
            let message = format!(
                "when {domain} `{place}` fails, {} of {} votes are lost",
                here.len(),
                voters.len()
            );
            let help = format!(
                "no {domain} should hold half of the votes: three of them, or an arbitrator elsewhere"
            );
            w.error("quorum::single-domain", &place.span, message, "too many are here")
                .help(help)
                .warning()
        };
        let others = here.iter().skip(1);
        w.push(others.fold(finding, |f, other| f.also(other.span.clone(), "as is this")));
    }
}
