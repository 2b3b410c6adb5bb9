//! From the tree to a [`Cloud`]: key by key, never stopping at a wrong one.
//!
//! Here one key is judged by itself; what concerns several keys is in `check`.

mod hosts;
mod networks;
mod power;
mod text;
mod upkeep;
mod values;

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};
use indexmap::IndexMap;

use crate::tree::{self, Fields, Node, Spanned, Walker};
use crate::types::{Architecture, Distribution, Keyed, Profile, Timeouts, VipPool, VipSource, Vips};
use crate::{Cloud, check, keys};
use names::{BadName, CloudName, ServiceName};

pub use text::{FILE_MOST, too_large};

/// See [`crate::parse`].
pub(crate) fn cloud(source: &Arc<Source>) -> (Option<Cloud>, Vec<Diagnostic>) {
    if source.text.len() > FILE_MOST {
        return (None, vec![too_large(&source.name)]);
    }
    let mut walker = Walker::new(source);
    let cloud = tree::load(&mut walker).and_then(|root| {
        text::check(&mut walker, &root);
        read(&mut walker, &root)
    });
    (cloud, walker.finish())
}

fn read(w: &mut Walker, root: &Node) -> Option<Cloud> {
    let once = w.errors() == 0; // no key was given twice
    let top = w.keys(root, "the cloud file", &keys::CLOUD)?;
    let name = w
        .require(&top, "cloud")
        .and_then(|n| w.text(n, "`cloud`"))
        .and_then(|text| {
            let made = CloudName::new(&text.value);
            named(w, "cloud::bad-name", "the cloud's name", text, made)
        });
    let release = w.require(&top, "release").and_then(|n| w.text(n, "`release`"));
    let architecture = choice(
        w,
        &top,
        "architecture",
        "architecture::unknown",
        Architecture::WORDS,
    );
    let distribution = choice(
        w,
        &top,
        "distribution",
        "distribution::unknown",
        Distribution::WORDS,
    );
    let profile = choice(w, &top, "profile", "profile::unknown", Profile::WORDS);
    let region = match top.get("region") {
        Some(node) => region(w, node),
        None => Some(Spanned::new("RegionOne".to_owned(), root.span.clone())),
    };
    let architecture = architecture.unwrap_or(Architecture::Full);
    let ssh = hosts::ssh_defaults(w, top.get("ssh"));
    let node = w.require(&top, "hosts");
    let read = hosts::read(w, node, &ssh);
    let networks = networks::read(w, top.get("networks"), &read.hosts);
    let vips = w.require(&top, "vips").and_then(|node| vips(w, node));
    let services = w.require(&top, "services").map(|node| services(w, node));
    let time_servers = time_servers(w, top.get("time"));
    let timeouts = timeouts(w, top.get("timeouts"));
    let upkeep = upkeep::read(w, top.get("upkeep"));
    let settings = values::settings(w, top.get("settings"));
    let config = values::overrides(w, top.get("config"));
    let cures = top
        .get("cures")
        .map_or_else(Vec::new, |node| w.texts(node, "a cure"));
    let shared_files = top
        .get("shared-files")
        .map_or_else(Vec::new, |node| w.texts(node, "a file"));
    let mut hosts = read.hosts;
    let fencing = power::read(w, &top, &mut hosts, networks.as_deref(), architecture);
    let complete = w.errors() == 0; // what follows judges, it does not read
    check::votes(w, &hosts, once && read.roles_known);
    check::addresses(w, &hosts, networks.as_deref().unwrap_or_default());
    if let (Some(networks), Some(vips)) = (&networks, &vips) {
        check::vips(w, &hosts, networks, vips);
    }
    if hosts.is_empty() {
        return None;
    }
    Some(Cloud {
        name: name?,
        release: release?,
        architecture,
        profile: profile.unwrap_or(Profile::Steady),
        distribution: distribution.unwrap_or(Distribution::Debian13),
        region: region?,
        hosts,
        networks: networks?,
        vips: vips?,
        services: services?,
        fencing,
        time_servers,
        timeouts,
        upkeep,
        settings,
        config,
        shared_files,
        cures,
        complete,
    })
}

/// A word out of a few, if the key is given.
fn choice<T: Copy>(
    w: &mut Walker,
    top: &Fields<'_>,
    key: &str,
    code: &'static str,
    words: &[(&str, T)],
) -> Option<T> {
    top.get(key)
        .and_then(|node| w.choice(node, &format!("`{key}`"), code, words))
        .map(|c| c.value)
}

/// The region's name: it stands in files of all services, in SQL and in what a shell reads.
fn region(w: &mut Walker, node: &Node) -> Option<Spanned<String>> {
    let text = w.text(node, "`region`")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let good = text.value.len() <= 255
        && text.value.chars().all(letters)
        && text.value.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !good {
        let message = format!("the region cannot be called `{text}`");
        let finding = w.error("region::bad-name", &text.span, message, "not a name");
        w.push(finding.help("begin with a letter or digit; use letters, digits, `_`, `-` and `.`"));
        return None;
    }
    Some(text)
}

/// A checked name, or the finding of what is wrong with it.
fn named<T>(
    w: &mut Walker,
    code: &'static str,
    what: &str,
    text: Spanned<String>,
    made: Result<T, BadName>,
) -> Option<Spanned<T>> {
    match made {
        Ok(name) => Some(Spanned::new(name, text.span)),
        Err(bad) => {
            let message = format!("{what} cannot be `{}`", text.value);
            w.push(w.error(code, &text.span, message, bad.label).help(bad.help));
            None
        }
    }
}

/// An IP address of either family.
fn address(w: &mut Walker, node: &Node, what: &str) -> Option<Spanned<IpAddr>> {
    let text = w.text(node, what)?;
    if let Ok(address) = text.value.parse::<IpAddr>() {
        return Some(Spanned::new(address, text.span));
    }
    let help = if text.value.contains('/') {
        "write the address without its prefix length; that belongs to `networks`"
    } else if text.value.parse::<std::net::SocketAddr>().is_ok() {
        "write the address without a port"
    } else {
        "write an IPv4 or IPv6 address; names are not looked up"
    };
    let message = format!("{what} must be an IP address");
    w.push(
        w.error("address::bad", &text.span, message, "not an address")
            .help(help),
    );
    None
}

/// A network name, a host name with a domain, or an address: what NTP and SSH take.
fn reachable(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

fn services(w: &mut Walker, node: &Node) -> Vec<Spanned<ServiceName>> {
    let mut services: Vec<Spanned<ServiceName>> = Vec::new();
    for item in w.list(node, "`services`").unwrap_or_default() {
        let Some(text) = w.text(item, "a service") else {
            continue;
        };
        let made = ServiceName::new(&text.value);
        let Some(name) = named(w, "service::bad-name", "a service's name", text, made) else {
            continue;
        };
        if let Some(first) = services.iter().find(|s| s.value == name.value) {
            let message = format!("the service `{name}` is listed twice");
            let finding = w.error("service::duplicate", &name.span, message, "listed again here");
            w.push(
                finding
                    .also(first.span.clone(), "first listed here")
                    .help("remove one of them"),
            );
        } else {
            services.push(name);
        }
    }
    services
}

fn time_servers(w: &mut Walker, node: Option<&Node>) -> Vec<Spanned<String>> {
    let Some(fields) = node.and_then(|n| w.keys(n, "`time`", &keys::TIME)) else {
        return Vec::new();
    };
    let servers = fields
        .get("servers")
        .map(|n| w.texts(n, "a time server"))
        .unwrap_or_default();
    for server in servers.iter().filter(|s| !reachable(&s.value)) {
        let message = format!("the time server `{server}` is neither a name nor an address");
        let finding = w.error("time::bad-server", &server.span, message, "not a server");
        w.push(finding.help("write a host name such as `ntp.example.org`, or an address"));
    }
    if let Some(first) = servers.first()
        && servers.len() < 3
    {
        let (message, label) = if servers.len() == 1 {
            (
                "one time server: when it is wrong, so is every host",
                "the only one",
            )
        } else {
            (
                "two time servers: when they differ, nobody knows which one is wrong",
                "one of two",
            )
        };
        let finding = w
            .error("time::few-servers", &first.span, message, label)
            .warning();
        // RFC 8633, section 3.2.
        w.push(
            finding.help(
                "name four, so that one may be wrong and one away; or none: then the hosts keep together",
            ),
        );
    }
    servers
}

/// A whole number from one on, if the key is given.
fn count<T: TryFrom<i64>>(w: &mut Walker, fields: &Fields<'_>, key: &str, most: i64) -> Option<T> {
    let number = w.integer(fields.get(key)?, &format!("`{key}`"), 1..=most)?;
    T::try_from(number.value).ok()
}

fn timeouts(w: &mut Walker, node: Option<&Node>) -> Timeouts {
    let mut out = Timeouts::default();
    if let Some(fields) = node.and_then(|n| w.keys(n, "`timeouts`", &keys::TIMEOUTS))
        && let Some(node) = fields.get("home-after")
        && let Some(seconds) = w.integer(node, "`home-after` (seconds)", 0..=keys::DAY)
    {
        out.home_after = u32::try_from(seconds.value).unwrap_or(out.home_after);
    }
    out
}

fn vips(w: &mut Walker, node: &Node) -> Option<Vips> {
    let fields = w.keys(node, "`vips`", &keys::VIPS)?;
    let pins = fields.get("pins").map(|n| pins(w, n)).unwrap_or_default();
    let pool = fields.get("pool");
    let source = match (pool, fields.entry("shared")) {
        (None, None) => {
            let finding = w.error(
                "file::missing-key",
                &fields.span,
                "`vips` needs `pool` or `shared`",
                "neither is here",
            );
            w.push(
                finding
                    .help("`pool: FIRST-LAST` gives each service an address, `shared: ADDRESS` one to all"),
            );
            None
        }
        (Some(pool), Some(shared)) => {
            let message = "`vips` takes `pool` or `shared`, not both";
            let finding = w.error(
                "vip::pool-and-shared",
                &shared.key.span,
                message,
                "one address for all",
            );
            w.push(
                finding
                    .also(pool.span.clone(), "one address a service")
                    .help("remove one of them"),
            );
            None
        }
        (Some(pool), None) => w
            .text(pool, "`pool`")
            .and_then(|text| self::pool(w, &text))
            .map(VipSource::Pool),
        (None, Some(shared)) => address(w, &shared.value, "`shared`").map(VipSource::Shared),
    };
    Some(Vips {
        source: source?,
        pins,
    })
}

fn pins(w: &mut Walker, node: &Node) -> IndexMap<ServiceName, Keyed<IpAddr>> {
    let mut pins = IndexMap::new();
    for entry in w.map(node, "`pins`").unwrap_or_default() {
        let made = ServiceName::new(&entry.key.value);
        let name = named(
            w,
            "service::bad-name",
            "a service's name",
            entry.key.clone(),
            made,
        );
        let value = address(w, &entry.value, &format!("the address of `{}`", entry.key));
        if let (Some(name), Some(value)) = (name, value) {
            pins.insert(
                name.value,
                Keyed {
                    key: entry.key.span.clone(),
                    value,
                },
            );
        }
    }
    pins
}

/// `FIRST-LAST`.
fn pool(w: &mut Walker, text: &Spanned<String>) -> Option<Spanned<VipPool>> {
    let (label, help) = match split_pool(&text.value) {
        Ok(pool) => return Some(Spanned::new(pool, text.span.clone())),
        Err(bad) => bad,
    };
    w.push(bad_pool(w, &text.span, &label).help(help));
    None
}

fn bad_pool(w: &Walker, span: &Range<usize>, label: &str) -> Diagnostic {
    w.error(
        "vip::bad-pool",
        span,
        "the pool of virtual addresses is not a range",
        label,
    )
}

fn split_pool(text: &str) -> Result<VipPool, (String, String)> {
    let shape = || "write `FIRST-LAST`, such as `198.51.100.100-198.51.100.119`".to_owned();
    let Some((first, last)) = text.split_once('-') else {
        return Err(("not two addresses with a dash".to_owned(), shape()));
    };
    let end = |part: &str| {
        let part = part.trim();
        part.parse::<IpAddr>()
            .map_err(|_| (format!("`{part}` is not an address"), shape()))
    };
    let (first, last) = (end(first)?, end(last)?);
    if first.is_ipv4() != last.is_ipv4() {
        return Err((
            "IPv4 and IPv6 mixed".to_owned(),
            "take both ends from one family".to_owned(),
        ));
    }
    if first > last {
        return Err((
            "its end is before its start".to_owned(),
            format!("write `{last}-{first}`"),
        ));
    }
    Ok(VipPool { first, last })
}
