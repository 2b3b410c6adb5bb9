//! What a plan is not made over: hosts that cannot be seen, that are not what
//! the cloud file says, or that belong to somebody else. All reasons at once.

use engines::Refusal;
use names::HostName;
use render::Desired;
use wire::{Fact, Facts};

use crate::votes::Votes;
use crate::{Observed, corosync, restore, votes};

/// Below this many free bytes nothing is begun: a full disk in the middle of an
/// installation is the worst of places. Packages and logs of one service take less.
const ROOM: u64 = 1 << 30;

pub(crate) fn refuse(code: &'static str, message: String, cure: impl Into<String>) -> Refusal {
    Refusal {
        code,
        message,
        cure: cure.into(),
    }
}

/// All reasons against acting on these hosts.
pub fn reasons(desired: &Desired, observed: &Observed, distribution: &str) -> Vec<Refusal> {
    let votes = Votes::of(desired, observed);
    let mut out = votes::reasons(desired, &votes, observed);
    for host in desired.hosts.keys() {
        match observed.get(host) {
            Some(Ok(facts)) => host_reasons(desired, &votes, host, facts, distribution, &mut out),
            // A member stays one while it is away: the others serve without it.
            Some(Err(why)) if desired.is_member(host) => out.push(refuse(
                "host::unreachable",
                why.clone(),
                format!(
                    "the cloud serves without {host}, but is not changed without it: switch it on, wait \
                     until `quorate status` shows it online, then run this again; where that takes long, write \
                     `away: REASON` for {host} into the cloud file; after an outage of all, where it never \
                     comes back: `quorate recover --without {host}`"
                ),
            )),
            // Of many hosts beside the cluster one is always away: see [`left_out`].
            Some(Err(_)) => {}
            None => out.push(refuse(
                "host::unreachable",
                format!("{host} was not asked"),
                "run it again",
            )),
        }
    }
    out.extend(unseen_configuration(desired, observed));
    out
}

/// Reasons where the cluster runs and no member tells its configuration: taken for empty, all
/// of it would be put in anew, and gates would wait for nothing.
fn unseen_configuration(desired: &Desired, observed: &Observed) -> Vec<Refusal> {
    let members = desired
        .nodes
        .iter()
        .filter_map(|(host, _)| Some((host, observed.get(host)?.as_ref().ok()?)));
    let running: Vec<(&HostName, &Facts)> = members.filter(|(_, f)| f.cluster.known().is_some()).collect();
    if running.iter().any(|(_, facts)| facts.cib.known().is_some()) {
        return Vec::new();
    }
    let why = running.into_iter().filter_map(|(host, facts)| match &facts.cib {
        Fact::Unknown(why) => Some((host, why)),
        Fact::Known(_) | Fact::Absent => None,
    });
    why.map(|(host, why)| {
        refuse(
            "host::cluster-unknown",
            format!("{host}: the cluster runs there, and its configuration cannot be seen: {why}"),
            "is it overloaded? `cibadmin --query` must answer there",
        )
    })
    .collect()
}

/// Hosts beside the cluster that cannot be seen, a sentence each: nothing is planned
/// for them, and what they lack they get when they are there again.
pub fn left_out(desired: &Desired, observed: &Observed) -> Vec<String> {
    let beside = desired.hosts.keys().filter(|h| !desired.is_member(h));
    beside
        .filter_map(|host| {
            let why = observed.get(host)?.as_ref().err()?;
            Some(format!(
                "{host} is left out ({why}): run this again when it is back, or take it out of the cloud file"
            ))
        })
        .collect()
}

/// Hosts that were taken out of service: everything would be waited for in vain.
pub fn out_of_service(desired: &Desired, observed: &Observed) -> Vec<Refusal> {
    // One that leaves is out of service on purpose, and one that was away until it has what
    // came meanwhile.
    let waiting = crate::away::waiting(observed);
    let drained = crate::maintain::drained(observed)
        .into_iter()
        .filter(|h| desired.is_member(h) && !waiting.contains(h));
    let told = drained.map(|host| {
        refuse(
            "host::drained",
            format!("{host} was taken out of service, and the cloud is not changed without it"),
            format!("`quorate host resume {host}`, then run this again"),
        )
    });
    told.collect()
}

fn host_reasons(
    desired: &Desired,
    votes: &Votes,
    host: &str,
    facts: &Facts,
    distribution: &str,
    out: &mut Vec<Refusal>,
) {
    if facts.hostname.split('.').next() != Some(host) {
        out.push(refuse(
            "host::another-name",
            format!("{host} says that its name is `{}`", facts.hostname),
            format!("is the address right? if it is, run `hostnamectl hostname {host}` there"),
        ));
    }
    if let Fact::Known(os) = &facts.os {
        let found = format!("{}-{}", os.id, os.version);
        if found != distribution {
            out.push(refuse(
                "host::wrong-distribution",
                format!("{host} runs {found}, the cloud file says {distribution}"),
                "install the right release, or set `distribution`",
            ));
        }
    }
    for (mount, free) in &facts.disk_free {
        if *free < ROOM {
            out.push(refuse(
                "host::disk-full",
                format!(
                    "{host} has {} MiB free on {mount}; at least {} MiB are wanted",
                    free >> 20,
                    ROOM >> 20
                ),
                "make room there first",
            ));
        }
    }
    out.extend(restore::refusal(desired, host, facts));
    let Some(wanted) = desired.hosts.get(host) else {
        return;
    };
    // Unknown is never taken for absent: what runs there could be stopped by mistake.
    if desired.nodes.iter().any(|(n, _)| n == host)
        && let Fact::Unknown(why) = &facts.cluster
    {
        out.push(refuse(
            "host::cluster-unknown",
            format!("{host}: it cannot be seen whether the cluster runs there: {why}"),
            "is it overloaded? `crm_mon` must answer there",
        ));
    }
    for (path, fact) in &facts.files {
        if let Fact::Unknown(why) = fact {
            out.push(refuse(
                "host::file-unknown",
                format!("{host}: {path} cannot be seen: {why}"),
                "it is not written over unseen; mend the file system there first",
            ));
        }
    }
    for (package, fact) in &facts.packages {
        if let Fact::Unknown(why) = fact {
            out.push(refuse(
                "host::package-unknown",
                format!("{host}: it cannot be seen whether {package} is installed: {why}"),
                "the package manager must answer there",
            ));
        }
    }
    for drift in corosync::drift(desired, votes, host, facts) {
        if !drift.fixed {
            continue;
        }
        let or_none = |value: &str| {
            if value.is_empty() {
                "nothing".to_owned()
            } else {
                format!("`{value}`")
            }
        };
        out.push(refuse(
            "corosync::not-by-reload",
            format!(
                "{host}: Corosync runs with {} = {} and should with {}, which does not change while it runs",
                drift.key,
                or_none(&drift.now),
                or_none(&drift.want)
            ),
            "take the change back; or stop the whole cluster (`systemctl stop pacemaker corosync` on every \
             member) and run `quorate recover`, which starts it with the new file",
        ));
    }
    let mut ours = false;
    for file in wanted.files.iter().filter(|f| !f.identity.is_empty()) {
        if let Some(Fact::Known(found)) = facts.files.get(&file.write.path)
            && let Some(text) = &found.text
            // What the package brings names nobody, until somebody runs a cluster by it.
            && (!packaged(text) || matches!(facts.cluster, Fact::Known(_)))
        {
            ours = text.contains(&file.identity);
            if !ours {
                out.push(refuse(
                    "host::another-cluster",
                    format!(
                        "{host} is a member of another cluster: {} does not say `{}`",
                        file.write.path, file.identity
                    ),
                    "nothing was touched; take it out of that cluster first, or take another host",
                ));
                return;
            }
        }
    }
    // On a host that is this cloud's, the listeners are its own.
    if ours {
        return;
    }
    for (port, service, unit) in &wanted.ports {
        // A distribution's unit that is to be replaced may run; it will be stopped.
        if matches!(facts.units.get(unit), Some(Fact::Known(u)) if u.active == "active") {
            continue;
        }
        if let Some(found) = facts.listeners.iter().find(|l| l.port == *port) {
            let who = if found.process.is_empty() {
                "somebody"
            } else {
                &found.process
            };
            out.push(refuse(
                "host::port-taken",
                format!(
                    "{host}: port {port}, wanted by {service}, is taken by `{who}` on {}",
                    found.address
                ),
                format!("stop `{who}` there, or take another host"),
            ));
        }
    }
}

/// True for the example that Debian's package installs, as far as it says something: one
/// member, at an address that no other host reaches.
fn packaged(text: &str) -> bool {
    const SAYS: [&str; 8] = [
        "totem {",
        "cluster_name: debian",
        "provider: corosync_votequorum",
        "nodelist {",
        "node {",
        "name: node1",
        "nodeid: 1",
        "ring0_addr: 127.0.0.1",
    ];
    // Of the rest only how it logs, and that nothing is encrypted.
    const MAY_SAY: [&str; 14] = [
        "version: 2",
        "crypto_cipher: none",
        "crypto_hash: none",
        "logging {",
        "fileline: off",
        "to_stderr: yes",
        "to_logfile: yes",
        "logfile: /var/log/corosync/corosync.log",
        "to_syslog: yes",
        "debug: off",
        "logger_subsys {",
        "subsys: QUORUM",
        "quorum {",
        "}",
    ];
    let lines = || {
        text.lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
    };
    SAYS.iter().all(|word| lines().filter(|l| l == word).count() == 1)
        && lines().all(|l| SAYS.contains(&l) || MAY_SAY.contains(&l))
}
