//! `power` and `fencing`: how each host's power is cut, or why it is not.
//!
//! Which agents there are is the catalogue's matter, and what options they take their own.

mod device;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::keys;
use crate::tree::{Entry, Fields, Kind, Node, Spanned, Walker, quoted};
use crate::types::{Architecture, Fencing, Host, Keyed, Network, PowerDevice, PowerLevel, PowerOption};
use names::NetworkName;

use device::devices;

/// A level and the hosts that it is for; none named: all.
struct Level {
    level: PowerLevel,
    hosts: Vec<Spanned<String>>,
}

/// Gives each host its levels and says whether fencing is done.
pub(super) fn read(
    w: &mut Walker,
    top: &Fields<'_>,
    hosts: &mut [Host],
    networks: Option<&[Network]>,
    architecture: Architecture,
) -> Fencing {
    let before = w.errors();
    let mut given = false;
    if let Some(node) = top.get("power") {
        given = true;
        let levels: Vec<Level> = node
            .one_or_list()
            .into_iter()
            .filter_map(|n| level(w, n, true))
            .collect();
        unknown_hosts(w, &levels, hosts);
        for level in &levels {
            same_for_all(w, level, hosts);
        }
        // By the level's place: a level may be for one of a thousand hosts.
        let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, name) in (levels.iter().enumerate()).flat_map(|(at, l)| l.hosts.iter().map(move |h| (at, h)))
        {
            named.entry(&name.value).or_default().push(at);
        }
        let for_all: Vec<usize> = (0..levels.len())
            .filter(|at| levels[*at].hosts.is_empty())
            .collect();
        for host in &mut *hosts {
            let own = named.get(host.name.as_str()).map_or(&[][..], Vec::as_slice);
            let mine: BTreeSet<usize> = for_all.iter().chain(own).copied().collect();
            host.power = mine
                .into_iter()
                .map(|at| filled(&levels[at].level, host))
                .collect();
        }
    }
    let host_entries = top.get("hosts").map(|n| &n.kind);
    if let Some(Kind::Map(entries)) = host_entries {
        let places: HashMap<String, usize> = (hosts.iter().enumerate())
            .map(|(at, h)| (h.name.as_str().to_owned(), at))
            .collect();
        for entry in entries {
            let host = places.get(&entry.key.value).and_then(|at| hosts.get_mut(*at));
            given |= own_levels(w, entry, host);
        }
    }
    feeds_apart(w, hosts);
    match top.entry("fencing") {
        Some(entry) => return fencing(w, entry, given),
        None if !given && all_in_lab(hosts) => {
            lab_power(hosts, networks);
            return Fencing::Power;
        }
        None => {}
    }
    // A level that could not be read is no reason to say that there is none.
    if w.errors() == before {
        missing(w, hosts, architecture);
    }
    Fencing::Power
}

/// A host's own `power` replaces the cloud's.
fn own_levels(w: &mut Walker, entry: &Entry, host: Option<&mut Host>) -> bool {
    let Some(node) = entry.value.get("power").filter(|n| !n.is_null()) else {
        return false;
    };
    let levels: Vec<Level> = node
        .one_or_list()
        .into_iter()
        .filter_map(|n| level(w, n, false))
        .collect();
    if let Some(host) = host {
        host.power = levels.iter().map(|l| filled(&l.level, host)).collect();
    }
    true
}

fn level(w: &mut Walker, node: &Node, for_hosts: bool) -> Option<Level> {
    let known = if for_hosts {
        &keys::POWER
    } else {
        &keys::HOST_POWER
    };
    let fields = w.keys(node, "`power`", known)?;
    let devices = devices(w, &fields);
    let hosts = fields
        .get("hosts")
        .map(|n| w.texts(n, "`hosts`"))
        .unwrap_or_default();
    Some(Level {
        level: PowerLevel { devices: devices? },
        hosts,
    })
}

/// Agents of a management board, which is part of the one host that it switches.
const OF_ONE_HOST: [&str; 8] = [
    "fence_ipmilan",
    "fence_redfish",
    "fence_idrac",
    "fence_drac5",
    "fence_ilo",
    "fence_ilo3",
    "fence_ilo4",
    "fence_ilo5",
];

/// A board that would be asked for several hosts switches one of them only,
/// whichever was meant.
fn same_for_all(w: &mut Walker, level: &Level, hosts: &[Host]) {
    let for_hosts = if level.hosts.is_empty() {
        hosts.iter().filter(|h| h.is_controller()).count()
    } else {
        level.hosts.len()
    };
    for device in &level.level.devices {
        let agent = &device.agent;
        let differs = device.options.values().any(|o| {
            let (PowerOption::Text(text) | PowerOption::File(text) | PowerOption::Secret(text)) =
                &o.value.value;
            text.contains('{') // a wrong placeholder is said elsewhere
        });
        if for_hosts > 1 && !differs && OF_ONE_HOST.contains(&agent.value.as_str()) {
            let message = format!("one `{agent}` is to switch {for_hosts} hosts");
            let label = "the same board for all: another host than the dead one is switched off";
            let finding = w.error("power::same-for-all", &agent.span, message, label);
            w.push(finding.help("tell them apart: `ip: \"bmc-{host}\"`, or `power` in each host"));
        }
    }
}

/// Agents of outlets: one of them switches one feed, and a host may have two.
const OUTLETS: [&str; 17] = [
    "fence_apc",
    "fence_apc_snmp",
    "fence_cdu",
    "fence_cyberpower_ssh",
    "fence_eaton_snmp",
    "fence_eaton_ssh",
    "fence_emerson",
    "fence_eps",
    "fence_ipdu",
    "fence_lindypdu",
    "fence_netio",
    "fence_powerman",
    "fence_raritan",
    "fence_raritan_px3",
    "fence_rcd_serial",
    "fence_tripplite_snmp",
    "fence_wti",
];

/// Outlets as levels of their own: the first that succeeds is taken for proof, and the
/// other feed keeps the host alive.
fn feeds_apart(w: &mut Walker, hosts: &[Host]) {
    let mut said: Vec<Range<usize>> = Vec::new();
    for host in hosts {
        let alone = host.power.iter().filter_map(|l| match l.devices.as_slice() {
            [one] if OUTLETS.contains(&one.agent.value.as_str()) => Some(&one.agent),
            _ => None,
        });
        let alone: Vec<&Spanned<String>> = alone.collect();
        let [first, second, ..] = alone.as_slice() else {
            continue;
        };
        if said.contains(&first.span) {
            continue; // levels of all hosts are said once
        }
        said.push(first.span.clone());
        let message = format!("two outlets of `{}` are levels of their own", host.name);
        let label = "success here is taken for the host's death";
        let finding = w.error("power::feeds-apart", &first.span, message, label);
        let finding = finding.also(second.span.clone(), "this feed then keeps it alive");
        w.push(
            finding
                .help(
                    "where both feed the host write one level, `together: [ … , … ]`: then all must succeed",
                )
                .warning(),
        );
    }
}

fn filled(level: &PowerLevel, host: &Host) -> PowerLevel {
    let address = host
        .address_in(NetworkName::MANAGEMENT)
        .map(|a| a.to_string())
        .unwrap_or_default();
    let fill = |text: &str| {
        text.replace("{host}", host.name.as_str())
            .replace("{address}", &address)
    };
    let mut level = level.clone();
    for option in level.devices.iter_mut().flat_map(|d| d.options.values_mut()) {
        let (PowerOption::Text(text) | PowerOption::File(text) | PowerOption::Secret(text)) =
            &mut option.value.value;
        *text = fill(text);
    }
    level
}

fn unknown_hosts(w: &mut Walker, levels: &[Level], hosts: &[Host]) {
    let known: HashSet<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
    for name in levels.iter().flat_map(|l| &l.hosts) {
        if known.contains(name.value.as_str()) {
            continue;
        }
        let names = || hosts.iter().map(|h| h.name.as_str());
        let help = diagnostic::did_you_mean(&name.value, names()).map_or_else(
            || format!("hosts are {}", quoted(names())),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("`power` is for the host `{name}`, which there is not");
        w.push(
            w.error(
                "power::unknown-host",
                &name.span,
                message,
                "not a host of this cloud",
            )
            .help(help),
        );
    }
}

/// `fencing: { none: "reason" }`.
fn fencing(w: &mut Walker, entry: &Entry, power_given: bool) -> Fencing {
    let node = &entry.value;
    let without = |w: &mut Walker, span: &Range<usize>| {
        let message = "fencing is switched off without a reason";
        let finding = w.error("fencing::none-without-reason", span, message, "why?");
        w.push(finding.help("say why, it is shown wherever it matters: `fencing: { none: \"reason\" }`"));
    };
    let off = Fencing::None {
        reason: Spanned::new(String::new(), node.span.clone()),
    };
    if let Kind::Scalar(scalar) = &node.kind
        && matches!(scalar.text.as_str(), "none" | "false" | "off" | "no")
    {
        without(w, &node.span);
        return off;
    }
    let Some(fields) = w.keys(node, "`fencing`", &keys::FENCING) else {
        return off;
    };
    let reason = match node.get("none") {
        Some(reason) if !reason.is_null() => match w.text(reason, "the reason") {
            Some(text) if text.value.trim().is_empty() => None,
            Some(text) => Some(text),
            None => return off,
        },
        _ => None,
    };
    let Some(reason) = reason else {
        without(w, &fields.span);
        return off;
    };
    if power_given {
        let message = "`power` is given and fencing is switched off";
        let finding = w.error(
            "fencing::none-with-power",
            &entry.key.span,
            message,
            "switched off here",
        );
        w.push(finding.help("remove `fencing` to fence, or `power` not to"));
    }
    Fencing::None { reason }
}

/// RFC 2544 and RFC 5180: for benchmarks only, so that nothing but a lab has them.
fn in_lab(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 198 && v4.octets()[1] & 0xfe == 18,
        IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 2, 0],
    }
}

fn all_in_lab(hosts: &[Host]) -> bool {
    let mut addresses = hosts.iter().flat_map(|h| h.addresses.values()).peekable();
    addresses.peek().is_some() && addresses.all(|a| in_lab(a.value))
}

/// The lab's simulated BMC answers at the first address of its network.
fn lab_power(hosts: &mut [Host], networks: Option<&[Network]>) {
    let bmc = networks
        .and_then(<[Network]>::first)
        .and_then(|n| first_address(n.cidr.value));
    let Some(bmc) = bmc else {
        return; // that the network could not be read is said already
    };
    for host in hosts {
        let span = host.name.span.clone();
        let text = |text: &str| PowerOption::Text(text.to_owned());
        let options = [
            ("ip", PowerOption::Text(in_url(bmc))),
            ("ipport", text("8443")),
            ("username", text("quorate")),
            ("password", PowerOption::Secret("lab/bmc-password".to_owned())),
            (
                "systems_uri",
                PowerOption::Text(format!("/redfish/v1/Systems/{}", host.name)),
            ),
            ("ssl", text("1")),
            ("ssl_insecure", text("1")),
        ];
        let options = options.into_iter().map(|(key, value)| {
            (
                key.to_owned(),
                Keyed {
                    key: span.clone(),
                    value: Spanned::new(value, span.clone()),
                },
            )
        });
        let agent = Spanned::new("fence_redfish".to_owned(), span.clone());
        let options = options.collect();
        host.power = vec![PowerLevel {
            devices: vec![PowerDevice { agent, options }],
        }];
    }
}

/// The agent puts it into a URL as it is.
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn first_address(net: IpNet) -> Option<IpAddr> {
    net.hosts().find(|a| *a != net.network())
}

/// Controllers that nobody can stop.
fn missing(w: &mut Walker, hosts: &[Host], architecture: Architecture) {
    let controllers: Vec<&Host> = hosts.iter().filter(|h| h.is_controller()).collect();
    // Without Pacemaker nothing is promoted elsewhere, and a lone controller has no peer
    // to take its work over.
    if architecture == Architecture::Keepalived || controllers.len() < 2 {
        return;
    }
    let bare: Vec<&&Host> = controllers
        .iter()
        .filter(|h| h.power.is_empty() && !h.addresses.is_empty())
        .collect();
    let Some((first, rest)) = bare.split_first() else {
        return;
    };
    let message = if rest.is_empty() {
        format!("nothing can cut the power of `{}`", first.name)
    } else {
        format!("nothing can cut the power of {} controllers", bare.len())
    };
    let mut finding = w.error(
        "fencing::missing",
        &first.name.span,
        message,
        "no `power` for this host",
    );
    for host in rest {
        finding = finding.also(host.name.span.clone(), "nor for this");
    }
    w.push(finding.help(
        "a silent host must be known dead before its work is taken over: give `power`, for all hosts or in each, \
         or accept the risk with `fencing: { none: \"reason\" }`",
    ));
}
