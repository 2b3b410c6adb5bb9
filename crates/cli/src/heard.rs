//! Paths by which a host that is held dead is still heard: ssh, the membership of the
//! cluster, and a ping at each of its addresses from every other member. And the time at
//! which the others had it last.

use std::net::IpAddr;

use fleet::Sessions;
use names::HostName;
use tokio::task::JoinSet;
use wire::{Answer, Fact, Facts, NamedQuery, Observe, Op, Query, Reply};

use crate::project::Project;

/// A host's addresses in all networks of the cloud file.
fn addresses(project: &Project, host: &str) -> Vec<IpAddr> {
    let hosts = project.model.cloud.hosts.iter();
    let found = hosts.filter(|h| h.name.as_str() == host);
    found
        .flat_map(|h| h.addresses.values().map(|a| a.value))
        .collect()
}

fn run(name: String, argv: &[&str]) -> NamedQuery {
    NamedQuery {
        name,
        query: Query::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            timeout_ms: 20_000,
        },
    }
}

/// Asks every member that can be reached, but `host` itself.
async fn ask(
    project: &Project,
    sessions: &Sessions,
    host: &str,
    queries: &[NamedQuery],
) -> Vec<(HostName, Option<Facts>)> {
    let mut tasks = JoinSet::new();
    for (other, _) in project.desired.nodes.iter().filter(|(name, _)| name != host) {
        let Some(Ok(session)) = sessions.get(other) else {
            continue;
        };
        let (other, session) = (other.clone(), session.clone());
        let op = Op::Observe(Observe {
            cluster: true,
            queries: queries.to_vec(),
            ..Observe::default()
        });
        tasks.spawn(async move {
            match session.call(op, None).await {
                Ok(Reply::Facts(facts)) => (other, Some(*facts)),
                _ => (other, None),
            }
        });
    }
    let mut out = tasks.join_all().await;
    out.sort_by(|(one, _), (other, _)| one.cmp(other));
    out
}

/// One member's account of a host: a reason for each path by which it hears it, or cannot
/// say that it does not.
fn told(by: &str, facts: Option<&Facts>, host: &str, addresses: &[IpAddr]) -> Vec<String> {
    let Some(facts) = facts else {
        return vec![format!("{by} could not be asked whether it hears {host}")];
    };
    let mut out = Vec::new();
    match &facts.cluster {
        Fact::Known(monitor) => {
            let mut nodes = monitor.nodes.iter();
            if nodes.any(|n| n.name == host && (n.online || n.pending)) {
                out.push(format!("{host} is in the membership that {by} sees"));
            }
        }
        // Alone it hears nobody.
        Fact::Absent => {}
        Fact::Unknown(why) => out.push(format!("{by} does not tell who is in its membership: {why}")),
    }
    for address in addresses {
        match facts.answers.get(&format!("ping/{address}")) {
            Some(Fact::Known(Answer::Ran { status: 0, .. })) => {
                out.push(format!("{host} answers {by} at {address}"));
            }
            // By ping's manual: no answer.
            Some(Fact::Known(Answer::Ran { status: 1, .. })) => {}
            Some(Fact::Known(Answer::Ran { stderr, .. })) => {
                out.push(format!("{by} cannot ping {address}: {}", stderr.trim()));
            }
            _ => out.push(format!("{by} cannot ping {address}")),
        }
    }
    out
}

/// All paths by which a host is heard, a sentence each; a path that cannot be tried counts.
pub async fn paths(project: &Project, sessions: &Sessions, host: &str) -> Vec<String> {
    let mut out = Vec::new();
    if matches!(sessions.get(host), Some(Ok(_))) {
        out.push(format!("{host} answers over ssh"));
    }
    let addresses = addresses(project, host);
    let pings: Vec<NamedQuery> = addresses
        .iter()
        .map(|a| {
            let at = a.to_string();
            run(
                format!("ping/{at}"),
                &["ping", "-n", "-q", "-c", "2", "-i", "0.3", "-W", "1", &at],
            )
        })
        .collect();
    let asked = ask(project, sessions, host, &pings).await;
    if asked.is_empty() {
        out.push(format!("no member could be asked whether it hears {host}"));
    }
    for (by, facts) in asked {
        out.extend(told(&by, facts.as_ref(), host, &addresses));
    }
    out
}

/// The last membership with a node in Corosync's log, and the first one after it without:
/// their times.
fn membership(log: &str, node: u32) -> Option<(String, Option<String>)> {
    let mut last: Option<(String, Option<String>)> = None;
    for line in log.lines() {
        let Some((before, members)) = line.split_once("Members[") else {
            continue;
        };
        let Some((_, members)) = members.split_once(": ") else {
            continue;
        };
        let time = before.split_whitespace().next().unwrap_or_default().to_owned();
        let has = members.split_whitespace().any(|id| id.parse() == Ok(node));
        match &mut last {
            _ if has => last = Some((time, None)),
            Some((_, left @ None)) => *left = Some(time),
            _ => {}
        }
    }
    last
}

/// When each member had the host in its membership last, a sentence each.
/// `node` is its id in Corosync.
pub async fn last(project: &Project, sessions: &Sessions, host: &str, node: u32) -> Vec<String> {
    // Without `--grep`, which gives the newest first, and not of all boots.
    let log = "journalctl --identifier=corosync --output=short-iso --no-pager --quiet | \
               grep -F '[QUORUM] Members[' | tail -n 2000";
    let words = ["sh", "-c", log];
    let asked = ask(project, sessions, host, &[run("members".to_owned(), &words)]).await;
    let tells = asked.into_iter().map(|(by, facts)| {
        let answer = facts.as_ref().and_then(|f| f.answers.get("members"));
        let log = match answer {
            Some(Fact::Known(Answer::Ran { stdout, .. })) => stdout.as_str(),
            _ => "",
        };
        match membership(log, node) {
            None => format!("{by} does not know when it heard {host} last"),
            Some((at, None)) => format!("{by} has {host} in its membership since {at}"),
            Some((at, Some(left))) => {
                format!("{by} had {host} in a membership of {at}, and not any more at {left}")
            }
        }
    });
    tells.collect()
}

#[cfg(test)]
mod tests {
    use pacemaker::Monitor;
    use std::collections::BTreeMap;

    use super::*;

    fn facts(cluster: Fact<Monitor>, ping: Option<i32>) -> Facts {
        let answers = ping.map(|status| {
            let ran = Answer::Ran {
                status,
                stdout: String::new(),
                stderr: "no such program".to_owned(),
            };
            ("ping/192.0.2.1".to_owned(), Fact::Known(ran))
        });
        Facts {
            hostname: "c2".to_owned(),
            boot_id: String::new(),
            os: Fact::Absent,
            clock: 0,
            memory_kib: 0,
            disk_free: BTreeMap::new(),
            disk_size: BTreeMap::new(),
            addresses: Vec::new(),
            listeners: Vec::new(),
            files: BTreeMap::new(),
            units: BTreeMap::new(),
            packages: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            answers: answers.into_iter().collect(),
            cluster,
            cib: Fact::Absent,
        }
    }

    #[track_caller]
    fn check(facts: Option<&Facts>, says: &[&str]) {
        let address = "192.0.2.1".parse().unwrap();
        let told = told("c2", facts, "c1", &[address]);
        assert_eq!(told.len(), says.len(), "{told:?}");
        for (told, says) in told.iter().zip(says) {
            assert!(told.contains(says), "{told}");
        }
    }

    fn sees(c1: &str) -> Fact<Monitor> {
        let xml = format!(
            "<pacemaker-result><summary><current_dc present=\"true\" with_quorum=\"true\"/></summary><nodes>\
             <node name=\"c1\" id=\"1\" {c1} unclean=\"false\" standby=\"false\" maintenance=\"false\"/></nodes>\
             </pacemaker-result>"
        );
        Fact::Known(Monitor::parse(&xml).unwrap())
    }

    #[test]
    fn a_host_is_silent_only_where_each_path_says_so() {
        let off = "online=\"false\" pending=\"false\"";
        check(Some(&facts(sees(off), Some(1))), &[]);
        check(Some(&facts(Fact::Absent, Some(1))), &[]);
        check(Some(&facts(sees(off), Some(0))), &["c1 answers c2 at 192.0.2.1"]);
        check(
            Some(&facts(sees("online=\"true\" pending=\"false\""), Some(1))),
            &["in the membership"],
        );
        check(
            Some(&facts(sees("online=\"false\" pending=\"true\""), Some(1))),
            &["in the membership"],
        );
        // What cannot be tried is not silence.
        check(Some(&facts(sees(off), Some(127))), &["cannot ping"]);
        check(Some(&facts(sees(off), None)), &["cannot ping"]);
        check(
            Some(&facts(Fact::Unknown("slow".to_owned()), Some(1))),
            &["does not tell"],
        );
        check(None, &["could not be asked"]);
    }

    #[test]
    fn the_last_membership_is_read_from_the_log() {
        let line = |at: &str, ids: &str| format!("{at} c2 corosync[9]:   [QUORUM] Members[2]: {ids}\n");
        let log = [line("t1", "1 2 3"), line("t2", "2 3"), line("t3", "2")].concat();
        assert_eq!(
            membership(&log, 1),
            Some(("t1".to_owned(), Some("t2".to_owned())))
        );
        assert_eq!(membership(&log, 2), Some(("t3".to_owned(), None)));
        assert_eq!(membership(&log, 12), None);
    }
}
