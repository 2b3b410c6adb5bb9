//! What HAProxy runs with against what its file says: servers and frontends that
//! somebody stopped at its admin socket, weights and addresses that were set
//! there, and a process that read another file than the one that lies there.
//!
//! What the socket can put back is put back there, one command a thing, and no
//! connection is touched. Only where the process has other backends than its file,
//! or is older than it, the file is loaded again, which loses no connection either.
//! Source of the columns and bits: HAProxy 3.0 Management Guide, `show servers
//! state` and `show stat`; tried on 3.0.11.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use names::HostName;
use render::BalancerSection;
use wire::{Answer, Fact, Facts, NamedQuery, Op, Query, ServerState, UnitChange};

use engines::Refusal;

use crate::build::{Planner, step};
use crate::refuse::refuse;
use crate::roll::Rolling;
use crate::{Change, StepId};

/// What it reads.
pub(crate) const CONF: &str = "/etc/haproxy/haproxy.cfg";
use render::BALANCER_SOCKET as SOCKET;
const UNIT: &str = "haproxy.service";
const RUNNING: &str = "balancer/running";
const WRITTEN: &str = "balancer/written";

/// Of a server's administrative state: set by hand to maintenance, or to drain.
const FORCED_MAINTENANCE: u32 = 0x01;
const FORCED_DRAIN: u32 = 0x08;
/// Of a check's state.
const CHECK_CONFIGURED: u32 = 0x02;
const CHECK_ENABLED: u32 = 0x04;

/// What to ask on a host with a balancer: one line at its socket, and when its file was written.
pub(crate) fn queries() -> [NamedQuery; 2] {
    [
        NamedQuery {
            name: RUNNING.to_owned(),
            query: Query::Socket {
                path: SOCKET.to_owned(),
                // 1: frontends alone.
                line: "show info;show stat -1 1 -1;show servers state".to_owned(),
            },
        },
        NamedQuery {
            name: WRITTEN.to_owned(),
            query: Query::Run {
                // The change of the inode: a file that is moved into place keeps its older time.
                argv: ["stat", "-c", "%Z", CONF].map(str::to_owned).to_vec(),
                timeout_ms: 5_000,
            },
        },
    ]
}

/// A server, as a file or a process has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Server {
    address: String,
    port: String,
    admin: u32,
    weight: String,
    initial: String,
    check: u32,
}

/// A file or a process: frontends with their status, servers by backend and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Balancer {
    frontends: BTreeMap<String, String>,
    servers: BTreeMap<(String, String), Server>,
    /// Seconds since the epoch.
    started: Option<i64>,
}

/// The file, as it was made.
fn written(sections: &[BalancerSection]) -> Balancer {
    let mut out = Balancer::default();
    for section in sections {
        if section.listens {
            out.frontends.insert(section.name.clone(), "OPEN".to_owned());
        }
        for (name, (address, port)) in &section.servers {
            let server = Server {
                address: address.to_string(),
                port: port.to_string(),
                ..Server::default()
            };
            out.servers
                .insert((section.name.clone(), name.to_string()), server);
        }
    }
    out
}

/// What a process said of itself; nothing where the answer is not whole.
fn running(text: &str) -> Option<Balancer> {
    let mut out = Balancer::default();
    let mut columns: Vec<&str> = Vec::new();
    let (mut frontends, mut servers) = (false, false);
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("Start_time_sec: ") {
            out.started = value.trim().parse().ok();
        } else if let Some(header) = line.strip_prefix("# ") {
            let comma = header.starts_with("pxname,");
            frontends |= comma;
            servers |= header.starts_with("be_id ");
            columns = header.split([',', ' ']).collect();
        } else if frontends && !line.is_empty() {
            let row: BTreeMap<&str, &str> = columns.iter().copied().zip(line.split([',', ' '])).collect();
            let word = |key: &str| row.get(key).copied().unwrap_or_default().to_owned();
            let number = |key: &str| row.get(key).and_then(|w| w.parse().ok()).unwrap_or_default();
            if row.get("svname") == Some(&"FRONTEND") {
                out.frontends.insert(word("pxname"), word("status"));
            } else if row.contains_key("srv_admin_state") {
                out.servers.insert(
                    (word("be_name"), word("srv_name")),
                    Server {
                        address: word("srv_addr"),
                        port: word("srv_port"),
                        admin: number("srv_admin_state"),
                        weight: word("srv_uweight"),
                        initial: word("srv_iweight"),
                        check: number("srv_check_state"),
                    },
                );
            }
        }
    }
    (frontends && servers && out.started.is_some()).then_some(out)
}

/// What differs on one host, and what puts it back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Drift {
    changes: Vec<Change>,
    /// Commands at the socket.
    lines: Vec<String>,
    /// Why the file has to be loaded again.
    reload: bool,
}

impl Drift {
    /// Notes a difference and the commands that put it back; without any, the file is loaded again.
    fn add(&mut self, glyph: char, what: &str, have: &str, want: &str, lines: Vec<String>) {
        self.changes.push(Change {
            what: format!("balancer: {what}"),
            glyph,
            diff: format!("-{have}\n+{want}\n"),
        });
        self.reload |= lines.is_empty();
        self.lines.extend(lines);
    }
}

fn same_address(a: &str, b: &str) -> bool {
    match (a.parse::<IpAddr>(), b.parse::<IpAddr>()) {
        (Ok(a), Ok(b)) => a == b,
        // A name: what it means is not ours to say.
        _ => true,
    }
}

/// A process that runs against the file that lies there; `at`: when that was written.
fn compare(file: &Balancer, process: &Balancer, at: Option<i64>) -> Drift {
    let mut out = Drift::default();
    for (name, want) in &file.frontends {
        match process.frontends.get(name).map(String::as_str) {
            Some(status) if status == want => {}
            Some("PAUSED") => out.add(
                '~',
                &format!("frontend {name}"),
                "paused by hand",
                "open",
                vec![format!("enable frontend {name}")],
            ),
            _ => out.add('+', &format!("frontend {name}"), "not there", "open", vec![]),
        }
    }
    for ((backend, name), want) in &file.servers {
        let (place, title) = (format!("{backend}/{name}"), format!("server {backend}/{name}"));
        let Some(now) = process.servers.get(&(backend.clone(), name.clone())) else {
            out.add('+', &title, "not there", "ready", vec![]);
            continue;
        };
        if now.admin & (FORCED_MAINTENANCE | FORCED_DRAIN) != 0 {
            let have = if now.admin & FORCED_MAINTENANCE != 0 {
                "in maintenance by hand"
            } else {
                "drained by hand"
            };
            // A drained server is checked all the while; what is known of one in maintenance is old.
            let unseen = now.admin & FORCED_MAINTENANCE != 0 && now.check & CHECK_CONFIGURED != 0;
            let lines = if unseen {
                wire::let_in(&place).to_vec()
            } else {
                vec![ServerState::Ready.command(&place)]
            };
            out.add('~', &title, have, "ready", lines);
        }
        if now.weight != now.initial {
            let line = format!("set server {place} weight {}", now.initial);
            let (have, initial) = (
                format!("weight {}", now.weight),
                format!("weight {}", now.initial),
            );
            out.add('~', &title, &have, &initial, vec![line]);
        }
        if now.check & CHECK_CONFIGURED != 0 && now.check & CHECK_ENABLED == 0 {
            let line = format!("enable health {place}");
            out.add('~', &title, "not checked, by hand", "checked", vec![line]);
        }
        if !same_address(&want.address, &now.address) || want.port != now.port {
            let line = format!("set server {place} addr {} port {}", want.address, want.port);
            let (have, wanted) = (
                format!("at {} port {}", now.address, now.port),
                format!("at {} port {}", want.address, want.port),
            );
            out.add('~', &title, &have, &wanted, vec![line]);
        }
    }
    for (backend, name) in process.servers.keys() {
        if !file.servers.contains_key(&(backend.clone(), name.clone())) {
            let title = format!("server {backend}/{name}");
            out.add('-', &title, "there", "not in the file", vec![]);
        }
    }
    for name in process.frontends.keys() {
        if !file.frontends.contains_key(name) {
            out.add(
                '-',
                &format!("frontend {name}"),
                "there",
                "not in the file",
                vec![],
            );
        }
    }
    if let (Some(started), Some(at)) = (process.started, at)
        && started < at
        && out.changes.is_empty()
    {
        let what = "the running process";
        out.add(
            '~',
            what,
            "started before its file was written",
            "of this file",
            vec![],
        );
    }
    out
}

impl Planner<'_> {
    /// Puts back what balancers run with, host by host. A host whose file is written in this
    /// plan loads it anyway, in its turn: who is out there until then would be out beside
    /// those that are changed before, and is let in now.
    pub(crate) fn balancers(&mut self, rolling: &[Rolling]) {
        let mut before: Option<StepId> = None;
        let file = written(&self.desired.sections);
        for (host, wanted) in &self.desired.hosts {
            if !wanted.files.iter().any(|f| f.write.path == CONF) {
                continue;
            }
            let rewritten = rolling.iter().any(|r| r.host == *host && r.writes(CONF));
            let Some(facts) = self.facts(host) else {
                continue;
            };
            let found = if rewritten {
                by_hand(facts)
            } else {
                drift(&file, facts)
            };
            let Some(drift) = found else {
                continue;
            };
            let op = if drift.reload {
                Op::Units(vec![UnitChange {
                    unit: UNIT.to_owned(),
                    reload: true,
                    ..UnitChange::default()
                }])
            } else {
                Op::Tell {
                    path: SOCKET.to_owned(),
                    lines: drift.lines,
                }
            };
            let id = StepId::from(format!("balancer/{host}"));
            let title = if drift.reload {
                format!("let the balancer of {host} load its file again")
            } else {
                format!("put back what the balancer of {host} runs with")
            };
            let mut after = self.prepared.clone();
            after.extend(before);
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                title,
                "it was changed while it ran",
                vec![op],
                after,
            );
            s.changes = drift.changes;
            self.steps.push(s);
            before = Some(id);
        }
        self.prepared.extend(before);
    }
}

/// Changes made by hand to a balancer that is about to load another file.
fn by_hand(facts: &Facts) -> Option<Drift> {
    let Some(Fact::Known(Answer::Text(text))) = facts.answers.get(RUNNING) else {
        return None;
    };
    let process = running(text)?;
    let found = compare(&process, &process, None);
    (!found.changes.is_empty()).then_some(found)
}

impl Planner<'_> {
    /// Work left to be done host by host, without that which takes a host out beside a
    /// balancer that does not tell whom it sends to: there others may be out already. Gives
    /// the reasons too.
    pub(crate) fn beside_known_balancers(&self, mut all: Vec<Rolling>) -> (Vec<Rolling>, Vec<Refusal>) {
        let unseen = self.desired.balancers.iter().filter_map(|host| {
            match self.facts(host)?.answers.get(RUNNING)? {
                Fact::Unknown(why) => Some((host, why.as_str())),
                Fact::Known(_) | Fact::Absent => None,
            }
        });
        let unseen: Vec<(&HostName, &str)> = unseen.collect();
        let mut held: Vec<HostName> = Vec::new();
        for rolling in &mut all {
            let resources = rolling.restarts.resources();
            if !unseen.is_empty() && !self.servers(&rolling.host, &resources).is_empty() {
                held.push(rolling.host.clone());
                rolling.restarts = crate::roll::Files::default();
            }
        }
        all.retain(|rolling| !rolling.is_empty());
        let reasons = unseen.iter().filter(|_| !held.is_empty()).map(|(host, why)| {
            refuse(
                "balancer::unknown",
                format!(
                    "the balancer of {host} does not tell whom it sends to, so nobody is taken out there ({}): {why}",
                    held.join(", ")
                ),
                "haproxy must answer at its socket there; then run this again",
            )
        });
        let reasons = reasons.collect();
        (all, reasons)
    }
}

/// What differs on a host; nothing where its balancer does not run or cannot be asked.
fn drift(file: &Balancer, facts: &Facts) -> Option<Drift> {
    let Some(Fact::Known(Answer::Text(text))) = facts.answers.get(RUNNING) else {
        return None;
    };
    let at = match facts.answers.get(WRITTEN) {
        Some(Fact::Known(Answer::Ran {
            status: 0, stdout, ..
        })) => stdout.trim().parse().ok(),
        _ => None,
    };
    let found = compare(file, &running(text)?, at);
    (!found.changes.is_empty()).then_some(found)
}

/// Servers of the balancer that runs on a host, by backend and name, where it tells them.
pub(crate) fn servers(facts: &Facts) -> Option<BTreeSet<(String, String)>> {
    let Some(Fact::Known(Answer::Text(text))) = facts.answers.get(RUNNING) else {
        return None;
    };
    Some(running(text)?.servers.into_keys().collect())
}

/// Whether a host has a balancer of ours.
pub(crate) fn is_on(desired: &render::Desired, host: &str) -> bool {
    let wanted = desired.hosts.get(host);
    wanted.is_some_and(|h| h.files.iter().any(|f| f.write.path == CONF))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Balancer {
        let at = |name: &str, address: &str| (HostName::new(name).unwrap(), (address.parse().unwrap(), 80));
        written(&[BalancerSection {
            name: "api".to_owned(),
            listens: true,
            servers: [at("c1", "10.0.0.1"), at("c2", "fd00::2")].into_iter().collect(),
        }])
    }

    fn said(more: &[(&str, &str)]) -> String {
        let mut text = "Name: HAProxy\nStart_time_sec: 1000\n\n# pxname,svname,qcur,status,weight\n\
            api,FRONTEND,,OPEN,\n\n1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
            srv_iweight srv_check_state srv_port\n2 api 1 c1 10.0.0.1 2 0 1 1 6 80\n2 api 2 c2 fd00:0::2 0 0 1 1 6 80\n\n"
            .to_owned();
        for (from, to) in more {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        text
    }

    #[track_caller]
    fn check(more: &[(&str, &str)], at: i64, lines: &[&str], diffs: &[&str], reload: bool) {
        let found = compare(&file(), &running(&said(more)).unwrap(), Some(at));
        assert_eq!(
            (found.lines.as_slice(), found.reload),
            (
                lines
                    .iter()
                    .map(|l| (*l).to_owned())
                    .collect::<Vec<_>>()
                    .as_slice(),
                reload
            )
        );
        let told: Vec<String> = found
            .changes
            .iter()
            .map(|c| format!("{} {}: {}", c.glyph, c.what, c.diff.trim().replace('\n', " ")))
            .collect();
        assert_eq!(told, diffs);
    }

    #[test]
    fn what_was_set_by_hand_is_put_back_by_hand() {
        check(&[], 1000, &[], &[], false);
        check(
            &[("10.0.0.1 2 0", "10.0.0.1 0 1")],
            1000,
            &[
                "set server api/c1 state drain",
                "set server api/c1 health down",
                "set server api/c1 state ready",
            ],
            &["~ balancer: server api/c1: -in maintenance by hand +ready"],
            false,
        );
        check(
            &[("10.0.0.1 2 0 1 1 6", "10.0.0.1 0 1 1 1 0")],
            1000,
            &["set server api/c1 state ready"],
            &["~ balancer: server api/c1: -in maintenance by hand +ready"],
            false,
        );
        check(
            &[("fd00:0::2 0 0 1", "fd00::2 0 8 5")],
            1000,
            &["set server api/c2 state ready", "set server api/c2 weight 1"],
            &[
                "~ balancer: server api/c2: -drained by hand +ready",
                "~ balancer: server api/c2: -weight 5 +weight 1",
            ],
            false,
        );
        check(
            &[("1 1 6 80", "1 1 2 81")],
            1000,
            &["enable health api/c1", "set server api/c1 addr 10.0.0.1 port 80"],
            &[
                "~ balancer: server api/c1: -not checked, by hand +checked",
                "~ balancer: server api/c1: -at 10.0.0.1 port 81 +at 10.0.0.1 port 80",
            ],
            false,
        );
        check(
            &[("OPEN", "PAUSED")],
            1000,
            &["enable frontend api"],
            &["~ balancer: frontend api: -paused by hand +open"],
            false,
        );
        // Down by its check, or in a maintenance of its own file's: not by hand.
        check(&[("10.0.0.1 2 0", "10.0.0.1 0 0")], 1000, &[], &[], false);
    }

    #[test]
    fn what_the_socket_cannot_mend_is_loaded_again() {
        check(
            &[("api,FRONTEND,,OPEN,\n", "")],
            1000,
            &[],
            &["+ balancer: frontend api: -not there +open"],
            true,
        );
        check(
            &[("2 api 1 c1", "2 api 1 c9")],
            1000,
            &[],
            &[
                "+ balancer: server api/c1: -not there +ready",
                "- balancer: server api/c9: -there +not in the file",
            ],
            true,
        );
        check(
            &[],
            1001,
            &[],
            &["~ balancer: the running process: -started before its file was written +of this file"],
            true,
        );
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(running("Unknown command\n"), None);
        assert_eq!(running(&said(&[("# be_id", "be_id")])), None);
        assert_eq!(running(&said(&[("Start_time_sec: 1000", "")])), None);
    }
}
