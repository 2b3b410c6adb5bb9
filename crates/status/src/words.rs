//! Problems in words: what is wrong, and the next command.

use crate::Problem;

/// For people who do it by hand on a host.
fn on(host: &str, command: &str) -> String {
    format!("on {host}: `{command}`")
}

/// Detail of a state in brackets; nothing for an empty one.
fn tail(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    }
}

fn listed<N: std::borrow::Borrow<str>>(names: &[N]) -> String {
    names.join(", ")
}

const THEN: &str = "then `quorate status`";

impl Problem {
    /// The fault, a sentence without a full stop.
    pub fn text(&self) -> String {
        match self {
            Self::Unseen => "no host could be asked".to_owned(),
            Self::NoQuorum => "the cluster has no quorum".to_owned(),
            Self::Electing => {
                "the cluster elects its controller, and acts on nothing until it has one".to_owned()
            }
            Self::Held { name, .. } => held(name),
            Self::NodeHeld { host } => {
                format!("{host} is in maintenance: what fails there is neither started again nor elsewhere")
            }
            Self::Unfenced { sets } => format!(
                "fencing is off: `stonith-enabled` is false in {}, so nothing of a lost host can be started elsewhere with proof",
                listed(sets)
            ),
            Self::Property { name, have, want } if have.is_empty() => {
                format!("the cluster's `{name}` is not set and should be `{want}`")
            }
            Self::Property { name, have, want } => {
                format!("the cluster's `{name}` is `{have}` and should be `{want}`")
            }
            Self::Unmanaged { resource, hosts } if hosts.is_empty() => {
                format!("{resource} is unmanaged: the cluster does not start it")
            }
            Self::Unmanaged { resource, hosts } => format!(
                "{resource} is unmanaged on {}: the cluster does not start it again when it fails",
                listed(hosts)
            ),
            Self::FenceDevice {
                device,
                target,
                another,
            } => fence_device(device, target, *another),
            Self::Away { host, state, detail } | Self::Beside { host, state, detail } => {
                format!("{host} is {state}{}", tail(detail))
            }
            Self::Idle { host, what } => format!("{what} on {host}"),
            Self::Stopped {
                host,
                unit,
                state,
                resource,
            } => format!(
                "{unit} on {host} is {state}, and the cluster has not seen yet that {resource} does not run"
            ),
            Self::AddressTwice {
                address,
                service,
                holders,
                ..
            } => format!(
                "{address} of {service} is held by {} at the same time: the cluster is split, or a host was not fenced",
                holders.join(" and ")
            ),
            Self::AddressMissing {
                address,
                service,
                unseen,
            } if unseen.is_empty() => {
                format!("nobody holds {address} of {service}")
            }
            Self::AddressMissing {
                address,
                service,
                unseen,
            } => format!(
                "nobody who could be asked holds {address} of {service}; {} could not be",
                listed(unseen)
            ),
            Self::Member {
                store,
                host,
                state,
                detail,
            } => {
                format!("{store} on {host} is {state}{}", tail(detail))
            }
            Self::StoreDown { store } => format!("no member of {store} serves"),
            Self::ApiSilent { service, url, detail } => {
                format!("{service} does not answer at {url}: {detail}")
            }
            Self::JourneyFails { service, kind, why } => {
                format!("the {kind} journey of {service} fails: {why}")
            }
            Self::Lacking { what } | Self::Link { what } | Self::Overdue { what } => what.clone(),
            Self::Alarm { store, host, of, .. } => format!(
                "{store} on {host} has an alarm of {of}: no member of it takes what is sent, and whoever sends waits"
            ),
            Self::Queues {
                store,
                host,
                queues,
                first,
            } => {
                format!("{queues} queues of {store} lose their majority with {host}, such as {first}")
            }
            Self::Leaderless { store, queues, first } => {
                format!("{queues} queues of {store} have no leader, such as {first}")
            }
            Self::Told { hosts, what, .. } => format!("{what} (told by {})", listed(hosts)),
            Self::Weight { store, host, weight } => format!(
                "{store} on {host} counts {weight} times: were {host} lost, the other members might be no majority"
            ),
            Self::Disk {
                host,
                mount,
                free,
                size,
            } => disk(host, mount, *free, *size),
            Self::Clock { host, seconds } => clock(host, *seconds),
            Self::Ends { what, on, days } if *days < 0 => format!("{what} ended on {on}"),
            Self::Ends { what, on, days } => format!("{what} ends on {on}, in {days} days"),
            Self::Blocked { resource, .. } => {
                format!("{resource} is blocked: the cluster waits for an operator")
            }
        }
    }

    /// The cure, or what to look at.
    pub fn next(&self) -> String {
        match self {
            // What cannot be seen may well be working; nothing is to be done over it.
            Self::Unseen => "quorate ssh".to_owned(),
            Self::NoQuorum | Self::StoreDown { .. } | Self::ApiSilent { .. } => "quorate recover".to_owned(),
            Self::Electing => "wait some seconds, then `quorate status`".to_owned(),
            Self::Held { name, sets, on: host } => released(name, sets, host),
            Self::NodeHeld { host } => on(
                host,
                &format!("crm_attribute --type nodes --node {host} --name maintenance --delete"),
            ),
            Self::Unfenced { .. } | Self::Property { .. } | Self::Unmanaged { .. } | Self::Weight { .. } => {
                "quorate apply".to_owned()
            }
            Self::Alarm { cure, .. } | Self::Told { cure, .. } => cure.clone(),
            Self::Queues { store, .. } | Self::Leaderless { store, .. } => {
                format!("wait until all members of {store} serve, {THEN}; if it stays so: `quorate support`")
            }
            Self::Disk { host, mount, .. } => {
                format!(
                    "make room there; {}",
                    on(host, &format!("du -xhd 3 {mount} | sort -h | tail"))
                )
            }
            Self::Clock { host, .. } => on(host, "chronyc makestep"),
            Self::Overdue { .. } | Self::Ends { .. } => "quorate upkeep".to_owned(),

            Self::FenceDevice { device, target, .. } => format!(
                "give the BMC of {target} its power, network and password, then on another host: `crm_resource --cleanup --resource {device}`"
            ),
            Self::Away { host, state, .. } => rejoin(host, state),
            Self::AddressTwice { cures, holders, .. } => {
                if cures.is_empty() {
                    format!(
                        "find out which of {} should have it: `quorate ssh`, `crm_mon -1`",
                        holders.join(" and ")
                    )
                } else {
                    cures.join("; ")
                }
            }
            Self::Member { store, host, .. } => {
                format!("wait for {store} on {host}, {THEN}; if it stays so: `quorate apply`")
            }
            Self::JourneyFails { .. } => "quorate support".to_owned(),
            Self::Blocked { resource, on: host } => {
                format!(
                    "look why, mend it, then {}",
                    on(host, &format!("crm_resource --cleanup --resource {resource}"))
                )
            }
            Self::Stopped { host, resource, .. } => {
                let look = format!("crm_resource --refresh --resource {resource}");
                format!("{}, which starts it again; {THEN}", on(host, &look))
            }
            Self::Beside { .. } | Self::Idle { .. } | Self::AddressMissing { .. } | Self::Lacking { .. } => {
                "quorate plan".to_owned()
            }
            // No plan mends a cable.
            Self::Link { .. } => "look at the cables, ports and addresses of that network".to_owned(),
        }
    }
}

fn held(name: &str) -> String {
    let so = match name {
        "maintenance-mode" => "the cluster is in maintenance mode",
        "stop-all-resources" => "the cluster was told to stop all resources",
        _ => "an operator's order holds the cluster",
    };
    format!("{so} (`{name}`): it starts, stops and moves nothing that fails or is lost")
}

fn released(name: &str, sets: &[String], host: &str) -> String {
    let one = |set: &str| format!("crm_attribute --type crm_config{set} --name {name} --delete");
    let commands: Vec<String> = match sets {
        [] => vec![one("")],
        all => all.iter().map(|set| one(&format!(" --set-name {set}"))).collect(),
    };
    on(host, &commands.join(" && "))
}

fn fence_device(device: &str, target: &str, another: bool) -> String {
    if another {
        format!("the fence device {device} of {target} cannot be used; another level can cut {target} off")
    } else {
        format!(
            "the fence device {device} cannot be used: were {target} lost, nothing of it could be started elsewhere"
        )
    }
}

fn rejoin(host: &str, state: &str) -> String {
    match state {
        "kept-out" => on(host, "systemctl start pacemaker") + ", " + THEN,
        "standby" => format!("`quorate host resume {host}`, {THEN}"),
        "unreachable" | "offline" | "unclean" => {
            format!("switch {host} on, if fencing does not; it joins by itself, {THEN}")
        }
        "pending" => format!("wait for the cluster on {host}, {THEN}; if it stays so: `quorate apply`"),
        _ => "quorate apply".to_owned(),
    }
}

fn disk(host: &str, mount: &str, free: u64, size: u64) -> String {
    let share = (free.saturating_mul(100)).checked_div(size);
    let share = share.map(|s| format!(" ({s} %)")).unwrap_or_default();
    format!("{host} has {} MiB{share} free on {mount}", free >> 20)
}

fn clock(host: &str, seconds: i64) -> String {
    let how = if seconds > 0 { "ahead of" } else { "behind" };
    format!(
        "the clock of {host} is {} s {how} those of the others",
        seconds.abs()
    )
}
