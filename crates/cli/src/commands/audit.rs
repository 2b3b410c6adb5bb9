//! `quorate audit`: who changed the hosts, when and from where, by the hosts' own
//! logs: it does not matter whose machine it was done from.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use fleet::Sessions;
use indexmap::IndexMap;
use names::HostName;
use serde::Serialize;
use wire::{AUDIT_LOG, Answer, Fact, Op, Query, Reply};

use crate::args::{AuditArgs, Output};
use crate::failure::Failure;
use crate::project::Project;
use crate::say;
use crate::seen;

/// A line, and the hosts that have it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    /// When the first of them wrote it.
    at: String,
    /// What was said.
    what: String,
    hosts: Vec<HostName>,
}

/// How to read a host's log, the older part of it first.
pub fn query() -> Query {
    let script = format!("cat {AUDIT_LOG}.1 {AUDIT_LOG} 2>/dev/null || true");
    Query::Run {
        argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        timeout_ms: 20_000,
    }
}

/// The lines of a log from `since` on. Times are of one width, so they compare as text.
pub fn lines<'a>(log: &'a str, since: &'a str, until: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs = log.lines().filter_map(|line| line.split_once(' '));
    pairs.filter(move |(at, _)| *at >= since && *at <= until)
}

/// The same words on several hosts are one line; in the order of their times.
fn together(logs: &IndexMap<HostName, String>, since: &str) -> Vec<Line> {
    let mut found: IndexMap<&str, Line> = IndexMap::new();
    for (host, log) in logs {
        for (at, what) in lines(log, since, "9") {
            let line = found.entry(what).or_insert_with(|| Line {
                at: at.to_owned(),
                what: what.to_owned(),
                hosts: Vec::new(),
            });
            line.at = line.at.as_str().min(at).to_owned();
            if !line.hosts.contains(host) {
                line.hosts.push(host.clone());
            }
        }
    }
    let mut out: Vec<Line> = found.into_values().collect();
    out.sort_by(|a, b| a.at.cmp(&b.at));
    out
}

/// As the hosts' logs write it.
pub fn stamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn read(sessions: &Sessions) -> (IndexMap<HostName, String>, Vec<String>) {
    let (mut logs, mut unseen) = (IndexMap::new(), Vec::new());
    for (host, session) in sessions {
        let reply = match session {
            Ok(session) => session
                .call(Op::Ask(query()), None)
                .await
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.message.clone()),
        };
        match reply {
            Ok(Reply::Answer(Fact::Known(Answer::Ran { stdout, .. }))) => {
                logs.insert(host.clone(), stdout);
            }
            Ok(Reply::Answer(Fact::Unknown(why))) | Err(why) => unseen.push(format!("{host}: {why}")),
            Ok(_) => unseen.push(format!("{host}: it does not say")),
        }
    }
    (logs, unseen)
}

/// Runs it. A host that cannot be asked is told, and the exit status is 1.
pub async fn run(args: &AuditArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.shown.file, catalog)?;
    let sessions = seen::connect(&project).await?;
    let (logs, unseen) = read(&sessions).await;
    let since = args.since.as_ref().map(|s| stamp(s.0)).unwrap_or_default();
    let all = together(&logs, &since);
    match args.shown.output {
        Output::Json => say::outln!("{}", serde_json::to_string_pretty(&all)?),
        Output::Text => {
            for line in all {
                say::outln!("{}  {}  [{}]", line.at, line.what, line.hosts.join(" "));
            }
        }
    }
    Ok(seen::warn(&unseen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    #[test]
    fn lines_of_several_hosts_are_one() {
        let logs = IndexMap::from([
            (
                host("c1"),
                "2026-01-01T00:00:00Z old\n2026-01-02T00:00:02Z a b\n2026-01-02T00:00:03Z mine\n".to_owned(),
            ),
            (host("c2"), "2026-01-02T00:00:01Z a b\n".to_owned()),
        ]);
        let line = |at: &str, what: &str, hosts: &[&str]| Line {
            at: at.to_owned(),
            what: what.to_owned(),
            hosts: hosts.iter().map(|h| host(h)).collect(),
        };
        assert_eq!(
            together(&logs, "2026-01-02T00:00:00Z"),
            [
                line("2026-01-02T00:00:01Z", "a b", &["c1", "c2"]),
                line("2026-01-02T00:00:03Z", "mine", &["c1"]),
            ]
        );
    }
}
