//! What Corosync runs with, and loading what its file says.
//!
//! A file on the disk changes nothing: Corosync reads it when it is told to, on
//! all members at once. Three things were seen of 3.1.9 on lab hosts, and are
//! why it is told twice and why its memory is compared and not its file:
//! - The timers of the links are made from the token that was loaded before:
//!   they follow at the second reload only.
//! - A token that knet cannot time is in memory as if it were in force; only
//!   the second reload fails, and at the next boot Corosync does not start.
//! - A key that cannot change (`transport`) is passed over, with exit status 0.

use std::collections::{BTreeMap, BTreeSet};

use names::HostName;
use render::{Corosync, CorosyncNode, Desired};
use wire::{Answer, Command, Expect, Fact, Facts, NamedQuery, Op, Query, Wait};

use crate::build::{Planner, step};
use crate::votes::Votes;
use crate::{Change, StepId};

/// Its file.
pub(crate) const CONF: &str = "/etc/corosync/corosync.conf";
/// The name of the answer that holds what it runs with.
const RUNNING: &str = "corosync/running";
/// Set while the last reload was refused.
const REFUSED: &str = "config.reload_error_message";
/// What Corosync passes over at a reload. Source: `remove_ro_entries` in its
/// `exec/cfg.c`.
const FIXED: [&str; 7] = [
    "totem.version",
    "totem.transport",
    "totem.ip_version",
    "totem.netmtu",
    "totem.threads",
    "totem.link_mode",
    "quorum.provider",
];

type Keys = BTreeMap<String, String>;

/// What to ask a member.
pub(crate) fn query() -> NamedQuery {
    let argv = [
        "corosync-cmapctl",
        "totem.",
        "runtime.config.totem.",
        "nodelist.",
        "quorum.",
        "config.",
    ];
    NamedQuery {
        name: RUNNING.to_owned(),
        query: Query::Run {
            argv: argv.map(str::to_owned).to_vec(),
            timeout_ms: 10_000,
        },
    }
}

/// Keys of the file that are not compared: the cluster's name is judged elsewhere, and the
/// key's place is not told.
const NOT_COMPARED: [&str; 2] = ["totem.cluster_name", "totem.keyfile"];

/// What `corosync-cmapctl` prints: `totem.token (u32) = 1000`.
fn running(facts: &Facts) -> Option<Keys> {
    let Some(Fact::Known(Answer::Ran {
        status: 0, stdout, ..
    })) = facts.answers.get(RUNNING)
    else {
        return None;
    };
    let pairs = stdout.lines().filter_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        let key = key.split(' ').next()?;
        Some((key.to_owned(), value.trim().to_owned()))
    });
    Some(pairs.collect())
}

/// The members by name, each with its keys: in a file and in memory they are numbered,
/// and one more or less renumbers the others.
fn members(keys: &Keys) -> BTreeMap<String, Keys> {
    let mut numbered: BTreeMap<&str, Keys> = BTreeMap::new();
    for (key, value) in keys {
        let place = key.strip_prefix("nodelist.node.").and_then(|k| k.split_once('.'));
        if let Some((number, key)) = place {
            let member = numbered.entry(number).or_default();
            member.insert(key.to_owned(), value.clone());
        }
    }
    let named = |mut keys: Keys| Some((keys.remove("name")?, keys));
    numbered.into_values().filter_map(named).collect()
}

/// A member as one runs with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its votes.
    pub(crate) votes: u32,
    name: HostName,
    keys: Keys,
}

impl Member {
    /// Its part of the file.
    pub(crate) fn node(&self) -> CorosyncNode {
        CorosyncNode {
            name: self.name.clone(),
            keys: self.keys.clone().into_iter().collect(),
        }
    }
}

/// The members of a cluster by name, as a host runs with them. None where one cannot be a
/// host of any cloud.
pub(crate) fn running_members(facts: &Facts) -> Option<BTreeMap<HostName, Member>> {
    let member = |(name, keys): (String, Keys)| {
        let votes = keys
            .get("quorum_votes")
            .map_or(Some(1), |votes| votes.parse().ok())?;
        let name = HostName::new(&name).ok()?;
        Some((name.clone(), Member { votes, name, keys }))
    };
    members(&running(facts)?).into_iter().map(member).collect()
}

/// One key that runs otherwise than it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    /// A member's stand under its name.
    pub(crate) key: String,
    /// Empty when it is not set.
    pub(crate) now: String,
    pub(crate) want: String,
    /// A reload cannot mend it.
    pub(crate) fixed: bool,
    /// What tells that it is loaded: a key in memory and its value, none for no such key.
    loaded: (String, String),
}

/// What differs of the members. One's address or id is fixed: moving it under way is not
/// built, and would cut the wire. Its votes, and who is one, are not.
fn of_members(want: &Keys, now: &Keys) -> Vec<Drift> {
    let (wanted, there) = (members(want), members(now));
    let number = |name: &str| {
        let mut all = want.iter().filter(|(_, value)| *value == name);
        all.find_map(|(key, _)| key.strip_suffix(".name"))
            .unwrap_or_default()
    };
    let mut out = Vec::new();
    for name in wanted
        .keys()
        .chain(there.keys().filter(|n| !wanted.contains_key(*n)))
    {
        match (wanted.get(name), there.get(name)) {
            (Some(want), Some(now)) => {
                let keys: BTreeSet<&String> = want.keys().chain(now.keys()).collect();
                for key in keys.into_iter().filter(|k| want.get(*k) != now.get(*k)) {
                    let value = |keys: &Keys| keys.get(key).cloned().unwrap_or_default();
                    out.push(Drift {
                        key: format!("nodelist.{name}.{key}"),
                        now: value(now),
                        want: value(want),
                        fixed: key != "quorum_votes",
                        loaded: (format!("{}.{key}", number(name)), value(want)),
                    });
                }
            }
            (Some(_), None) => out.push(Drift {
                key: format!("nodelist.{name}"),
                now: String::new(),
                want: "a member".to_owned(),
                fixed: false,
                loaded: (format!("{}.name", number(name)), name.clone()),
            }),
            _ => out.push(Drift {
                key: format!("nodelist.{name}"),
                now: "a member".to_owned(),
                want: String::new(),
                fixed: false,
                loaded: (format!("nodelist.node.{}.name", wanted.len()), String::new()),
            }),
        }
    }
    out
}

/// What should be in memory: the keys as written, and what follows from them.
fn wanted(conf: &Corosync, now: &Keys) -> Keys {
    let mut out = conf.flat();
    out.retain(|key, _| !NOT_COMPARED.contains(&key.as_str()));
    // With a coefficient the token in force depends on the number of members.
    if out.get("totem.token_coefficient").is_some_and(|c| c == "0")
        && let Some(token) = out.get("totem.token").cloned()
    {
        // Corosync's own: a link is lost after two pongs, half a token each.
        if let Ok(token) = token.parse::<u64>() {
            let timers = now.keys().filter(|k| {
                k.starts_with("runtime.config.totem.interface.") && k.ends_with(".knet_ping_timeout")
            });
            for timer in timers {
                out.insert(timer.clone(), (token / 2).to_string());
            }
        }
        out.insert("runtime.config.totem.token".to_owned(), token);
    }
    if let Some(consensus) = out.get("totem.consensus").cloned() {
        out.insert("runtime.config.totem.consensus".to_owned(), consensus);
    }
    out
}

/// Keys that run otherwise than written, where that can be seen. None of a host that has no such
/// file by the cloud file and is not about to lose its vote.
pub(crate) fn drift(desired: &Desired, votes: &Votes, host: &str, facts: &Facts) -> Vec<Drift> {
    let files = desired.hosts.get(host).map(|h| h.files.as_slice());
    let has = files.is_some_and(|all| all.iter().any(|f| f.write.path == CONF));
    let has = has || votes.to_uncount().any(|leaver| *leaver == *host);
    let Some(now) = running(facts).filter(|_| has) else {
        return Vec::new();
    };
    let want = wanted(&votes.conf(&desired.corosync), &now);
    let mut out = of_members(&want, &now);
    let others = want.into_iter().filter(|(key, _)| !key.starts_with("nodelist."));
    out.extend(
        others
            .filter(|(key, want)| now.get(key).map_or("", String::as_str) != want)
            .map(|(key, want)| Drift {
                now: now.get(&key).cloned().unwrap_or_default(),
                fixed: FIXED.iter().any(|f| key.starts_with(f)),
                loaded: (key.clone(), want.clone()),
                key,
                want,
            }),
    );
    if let Some(why) = now.get(REFUSED).filter(|w| !w.is_empty()) {
        out.push(Drift {
            key: REFUSED.to_owned(),
            now: why.clone(),
            want: String::new(),
            fixed: false,
            loaded: (REFUSED.to_owned(), String::new()),
        });
    }
    out
}

impl Planner<'_> {
    /// Loads the file on all running members, once all have it, and waits until
    /// each runs with it. `rewritten`: some running member gets another file.
    pub(crate) fn reload(&mut self, rewritten: bool) {
        let members: Vec<HostName> = self.nodes().into_iter().filter(|n| self.clustered(n)).collect();
        // One that leaves and was away may have begun with a file from before all others loaded
        // theirs: they run with what is written then, and it alone does not.
        let asked = members.iter().chain(self.votes.to_uncount());
        let drifts: Vec<(HostName, Vec<Drift>)> = asked
            .filter_map(|n| Some((n.clone(), drift(self.desired, &self.votes, n, self.facts(n)?))))
            .collect();
        let same = drifts.iter().all(|(_, d)| d.is_empty());
        if members.is_empty() || (same && !rewritten) {
            return;
        }
        // The first may still fail over what was loaded before; the second tells
        // of what is written now, in few words: the reasons are in the log.
        let script = "corosync-cfgtool -R; corosync-cfgtool -R || \
                      { journalctl --unit corosync --boot --priority err --since=-5s --lines 6 --output cat --no-pager; exit 1; }";
        let command = Command::new(
            "quorate-corosync-reload".to_owned(),
            &["sh", "-c", script],
            60_000,
        );
        let mut s = step(
            "corosync/reload".into(),
            members.clone(),
            "have all members load corosync.conf".to_owned(),
            if same {
                "it is another"
            } else {
                "they run with other values"
            },
            vec![Op::Run(command)],
            self.prepared.clone(),
        );
        let mut by_key: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (host, drifts) in &drifts {
            let derived = |d: &Drift| {
                drifts
                    .iter()
                    .any(|o| o.key == format!("runtime.config.{}", d.key))
            };
            for d in drifts.iter().filter(|d| !derived(d)) {
                let what = format!("{}: {} → {}", d.key, or_none(&d.now), or_none(&d.want));
                by_key.entry(what).or_default().push(host);
            }
        }
        s.changes = by_key
            .into_iter()
            .map(|(what, hosts)| Change {
                what: format!("{what} on {}", hosts.join(", ")),
                glyph: '~',
                diff: String::new(),
            })
            .collect();
        let mut done = vec![s.id.clone()];
        self.steps.push(s);
        for (host, drifts) in drifts {
            let waits: Vec<Op> = drifts.iter().map(|d| Op::Wait(loaded(d))).collect();
            if waits.is_empty() {
                continue;
            }
            let id = StepId::from(format!("corosync/loaded/{host}"));
            self.steps.push(step(
                id.clone(),
                vec![host.clone()],
                format!("wait: Corosync on {host} runs with what its file says"),
                "it was loaded",
                waits,
                vec!["corosync/reload".into()],
            ));
            done.push(id);
        }
        self.prepared.extend(done);
    }
}

fn or_none(value: &str) -> &str {
    if value.is_empty() { "none" } else { value }
}

/// The wait for one key to be in memory as it is written.
fn loaded(drift: &Drift) -> Wait {
    let (key, want) = &drift.loaded;
    let (what, expect) = if want.is_empty() {
        (format!("{key} is cleared"), Expect::Exit(1))
    } else {
        // The type stands between: `KEY (u32) = VALUE`.
        (
            format!("{key} is {want}"),
            Expect::LineEnds(format!(") = {want}")),
        )
    };
    Wait {
        what,
        query: Query::Run {
            argv: ["corosync-cmapctl", "-g", key].map(str::to_owned).to_vec(),
            timeout_ms: 5_000,
        },
        expect,
        timeout_ms: 15_000,
        every_ms: 200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(token: &str, coefficient: &str) -> Corosync {
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let totem = [
            ("cluster_name", "x"),
            ("token", token),
            ("token_coefficient", coefficient),
            ("consensus", "600"),
        ];
        Corosync {
            totem: totem.map(pair).to_vec(),
            ..Corosync::default()
        }
    }

    /// The whole value is compared: 500 is not seen in 5000.
    #[test]
    fn what_is_loaded_is_the_whole_value() {
        let drift = Drift {
            key: "totem.token".to_owned(),
            now: "5000".to_owned(),
            want: "500".to_owned(),
            fixed: false,
            loaded: ("totem.token".to_owned(), "500".to_owned()),
        };
        let wait = loaded(&drift);
        let holds = |value: &str| {
            let answer = Answer::Ran {
                status: 0,
                stdout: format!("totem.token (u32) = {value}\n"),
                stderr: String::new(),
            };
            wire::holds(&Fact::Known(answer), &wait.expect).is_ok()
        };
        assert!(holds("500"));
        assert!(!holds("5000") && !holds("1500"));
    }

    #[test]
    fn what_follows_from_the_token_is_wanted_too() {
        let timer = "runtime.config.totem.interface.0.knet_ping_timeout";
        let now = Keys::from([(timer.to_owned(), "500".to_owned())]);
        let want = wanted(&conf("500", "0"), &now);
        assert_eq!(want[timer], "250");
        assert!(!want.contains_key("totem.cluster_name"));
        assert_eq!(want["runtime.config.totem.token"], "500");
        assert_eq!(want["runtime.config.totem.consensus"], "600");
        let with = conf("500", "650");
        assert!(!wanted(&with, &now).contains_key("runtime.config.totem.token"));
    }
}
