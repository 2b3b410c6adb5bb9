//! Many power cuts of whoever holds a virtual address, and what each part of the
//! failover took: a measurement, printed as tables, that also must lose nothing.
//!
//! Ten rounds a profile; `cargo xtask bench --cuts N` asks for as many as it wants
//! through `QUORATE_CUTS`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use lab::{Actor, EventKind};

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::survives::one_cut;
use crate::writers::Seen;

/// By the service whose address the host had, and by what was measured.
type Times = BTreeMap<(&'static str, &'static str), Vec<Duration>>;

const SEEN: [&str; 4] = ["get", "token", "sql", "publish"];
const PARTS: [&str; 4] = ["membership", "fenced", "address", "power on"];

/// How many rounds are asked for.
fn rounds() -> usize {
    let asked = std::env::var("QUORATE_CUTS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(10)
}

#[test]
#[ignore = "lab"]
fn long_power_cuts_measured() {
    let rounds = rounds();
    let mut tables = String::new();
    for profile in ["steady", "fast"] {
        let cloud = Cloud::new("st-power", 24);
        cloud.describe(&format!("profile: {profile}\n"));
        cloud.up();
        cloud.apply();
        cloud.until_redundant(Duration::from_secs(30));
        let mut times: Times = BTreeMap::new();
        for round in 0..rounds {
            // Who asks the API and who writes rows do so by different addresses.
            let service = ["keystone", "galera"][round % 2];
            let host = holder(&cloud, service);
            let (seen, parts) = measured(&cloud, &host, service);
            for probe in SEEN {
                times
                    .entry((service, probe))
                    .or_default()
                    .push(seen.longest(probe));
            }
            for (part, took) in PARTS.into_iter().zip(parts) {
                times.entry((service, part)).or_default().push(took);
            }
            let row: Vec<String> = SEEN
                .iter()
                .chain(&PARTS)
                .map(|what| format!("{what} {:.2}", times[&(service, *what)][round / 2].as_secs_f64()))
                .collect();
            tell(&format!(
                "{profile} {round}: cut {host}, which has {service}: {} s",
                row.join(", ")
            ));
        }
        tables.push_str(&table(profile, &mut times));
        cloud.down();
    }
    tell(&tables);
}

/// Median and worst of everything, in seconds, by whose address's holder was cut.
fn table(profile: &str, times: &mut Times) -> String {
    let mut out = format!(
        "profile {profile}: longest time without a good answer, then seconds from the cut (median, worst)\n"
    );
    for ((service, what), all) in times {
        all.sort();
        let (median, worst) = (all[all.len() / 2], all[all.len() - 1]);
        let (median, worst) = (median.as_secs_f64(), worst.as_secs_f64());
        writeln!(
            out,
            "  holder of {service:<9} {what:<12} {median:>6.2} {worst:>6.2}  n={}",
            all.len()
        )
        .unwrap();
    }
    out
}

/// The host that holds a service's address.
fn holder(cloud: &Cloud, service: &str) -> String {
    until("a holder of the address", Duration::from_secs(20), || {
        let status = cloud.status()?;
        let vips = status["vips"].as_array().cloned().unwrap_or_default();
        let vip = vips.iter().find(|v| v["service"] == service);
        let host = vip.and_then(|v| v["host"].as_str()).map(str::to_owned);
        host.ok_or_else(|| format!("{status:#}"))
    })
}

/// One cut, and when what followed it was: the survivors' new membership, the
/// fence as the cluster tells it, the address elsewhere, power again by the BMC.
fn measured(cloud: &Cloud, host: &str, service: &str) -> (Seen, [Duration; 4]) {
    let before = lab::events(&cloud.name).unwrap().len();
    let seen = one_cut(cloud, host);
    let events = lab::events(&cloud.name).unwrap().split_off(before);
    let event = |kind: EventKind, by: Actor| {
        let found = events
            .iter()
            .find(|e| e.host == host && e.event == kind && e.by == by);
        let event = found.unwrap_or_else(|| panic!("no {kind:?} by {by:?} in {events:#?}"));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
        let at = event.at.as_millisecond() as f64 / 1000.0;
        at
    };
    let cut = event(EventKind::Cut, Actor::Operator);
    let lines: Vec<(f64, String)> = HOSTS
        .iter()
        .filter(|h| **h != host)
        .flat_map(|h| journal(cloud, h, cut))
        .collect();
    let first = |words: &[&str]| {
        let hits = lines
            .iter()
            .filter(|(_, text)| words.iter().all(|w| text.contains(w)));
        let first = hits.map(|(at, _)| *at).min_by(f64::total_cmp);
        first.unwrap_or_else(|| panic!("no line with {words:?} in {lines:#?}"))
    };
    let started = format!("Result of start operation for vip-{service} on ");
    let moments = [
        first(&["[TOTEM ]", "A new membership"]),
        first(&["was terminated (", host]),
        first(&[&started, ": OK"]),
        event(EventKind::On, Actor::Bmc),
    ];
    let since = |at: f64| Duration::from_secs_f64((at - cut).max(0.0));
    (seen, moments.map(since))
}

/// What a host's cluster said since a moment, in seconds since 1970.
fn journal(cloud: &Cloud, host: &str, since: f64) -> Vec<(f64, String)> {
    let script = format!(
        "journalctl --quiet --no-pager --output=short-unix --since=@{} --unit=corosync --unit=pacemaker",
        since.floor()
    );
    let said = cloud.shell(host, &script).good();
    let line = |line: &str| {
        let (at, text) = line.split_once(' ')?;
        Some((at.parse().ok()?, text.to_owned()))
    };
    let lines = said.out.lines().filter_map(line);
    lines.filter(|(at, _)| *at >= since).collect()
}
