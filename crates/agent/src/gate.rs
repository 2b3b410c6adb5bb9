//! The host's gate to the cluster, as a process of its own: tells peers which fencings
//! found a member, and keeps this host out where it was fenced again and again. The rule
//! is [`pacemaker::gate`]'s; here it is asked and obeyed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use pacemaker::gate::{self, Heard, Quorum, Watch};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{MissedTickBehavior, interval};

use crate::process::run;

/// This host's record of its boots.
const RECORD: &str = "/var/lib/quorate/boots";
/// Made once this boot has been judged: whoever is let in by hand stays in.
const JUDGED: &str = "/run/quorate/gate-judged";
/// Active while the host is kept out; it and Pacemaker end each other.
const OUT: &str = "quorate-kept-out.service";
const EVERY: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(5);
/// Looks after the joining before it is judged: attributes of peers arrive a moment later.
const PATIENCE: u32 = 5;

/// A tool's words; none where it fails.
async fn ask(argv: &[&str]) -> Option<String> {
    let ran = run(argv, None, LIMIT).await.ok()?;
    (ran.status == 0).then_some(ran.stdout)
}

async fn quorum() -> Option<Quorum> {
    // Its exit status tells whether there is quorum; its words tell more.
    let ran = run(&["corosync-quorumtool", "-s"], None, LIMIT).await.ok()?;
    Quorum::parse(&ran.stdout)
}

async fn others(me: u32) -> usize {
    ask(&["corosync-cpgtool"])
        .await
        .map_or(0, |groups| gate::taking_part(&groups, me))
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Adds a line to the record, on the disk before it is back.
fn record(word: &str, boot: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(RECORD)?;
    writeln!(file, "{word} {boot} {}", now())?;
    file.sync_data()
}

/// The process's memory.
#[derive(Default)]
struct Gate {
    boot: String,
    watch: Watch,
    /// Attributes as this host told them last.
    told: BTreeMap<String, String>,
    alone: bool,
    /// The membership in which this host was judged; the first one seen, after that.
    ring: Option<String>,
    /// Looks that found quorum.
    joined: u32,
    looks: u32,
}

impl Gate {
    /// Looks at the members, and at this host's own place among them.
    async fn look(&mut self) {
        let Some(quorum) = quorum().await else { return };
        self.looks = self.looks.wrapping_add(1);
        self.remember(&quorum);
        self.tell().await;
        let judged = std::path::Path::new(JUDGED).exists();
        // Attributes are asked of a Pacemaker that runs.
        if !judged && self.joined > PATIENCE && quorum.quorate && others(quorum.me).await > 0 {
            self.judge(&quorum).await;
            self.ring = Some(quorum.ring);
        } else if judged {
            self.stay_out(&quorum).await;
        }
    }

    /// Lets a host in that is kept out, where the others need it.
    async fn stay_out(&mut self, quorum: &Quorum) {
        let ring = self.ring.get_or_insert_with(|| quorum.ring.clone());
        let changed = *ring != quorum.ring;
        let soon = self.looks.is_multiple_of(5);
        if !changed && !soon {
            return;
        }
        if ask(&["systemctl", "is-active", "--quiet", OUT]).await.is_none() {
            // Not out, or nobody to say so: that is asked a few times.
            if soon {
                self.ring = Some(quorum.ring.clone());
            }
        } else if !gate::may_stay_out(ring, quorum, others(quorum.me).await) {
            eprintln!("others came or went, or are no majority without this host: it is let in");
            let _ = ask(&["systemctl", "start", "pacemaker.service"]).await;
        }
    }

    /// Writes down that all peers are lost, and that they are back.
    fn remember(&mut self, quorum: &Quorum) {
        if self.joined > 0 && self.alone == quorum.quorate {
            self.alone = !quorum.quorate;
            let word = if self.alone { "alone" } else { "back" };
            if let Err(error) = record(word, &self.boot) {
                eprintln!("cannot write {RECORD}: {error}");
            }
        }
        self.joined = if quorum.quorate {
            self.joined.saturating_add(1)
        } else {
            self.joined
        };
    }

    /// A line of the fencer's log. Members are looked at after it: see `Watch::asked`.
    async fn hear(&mut self, line: &str) {
        match gate::heard(line) {
            Some(Heard::Asked(host)) => {
                let members = quorum().await.map(|q| q.members).unwrap_or_default();
                self.watch.asked(&host, members.values().any(|m| *m == host));
            }
            Some(Heard::Ended(host)) => self.watch.ended(&host, now()),
            None => {}
        }
    }

    /// Tells the cluster of fencings.
    async fn tell(&mut self) {
        for (name, value) in self.watch.attributes(now()) {
            if self.told.get(&name) != Some(&value)
                && ask(&["attrd_updater", "--name", &name, "--update", &value])
                    .await
                    .is_some()
            {
                self.told.insert(name, value);
            }
        }
    }

    /// The judgement of this boot, once.
    async fn judge(&self, quorum: &Quorum) {
        let Some(me) = quorum.name() else { return };
        let told = async |what: &str| {
            let name = gate::attribute(what, me);
            let told = ask(&["attrd_updater", "--query", "--all", "--name", &name]).await;
            gate::told_by_peers(&told.unwrap_or_default())
        };
        let own = std::fs::read_to_string(RECORD).unwrap_or_default();
        let mut fenced: BTreeSet<i64> = told(gate::COUNTED).await;
        fenced.extend(gate::found_alone(&own, &told(gate::ENDED).await));
        let others = others(quorum.me).await;
        let out = gate::stays_out(&fenced, now(), quorum, others);
        let _ = std::fs::create_dir_all("/run/quorate").and_then(|()| std::fs::write(JUDGED, ""));
        if out {
            eprintln!(
                "fenced while it ran {} times in {} minutes: this host stays out of the cluster; \
                 `systemctl start pacemaker` lets it in",
                fenced.len(),
                gate::WINDOW / 60
            );
            let _ = ask(&["systemctl", "start", OUT]).await;
        }
    }
}

/// The fencer's log from now on.
fn log() -> std::io::Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let words = [
        "--follow",
        "--lines=0",
        "--output=cat",
        "--unit=pacemaker.service",
    ];
    let mut child = Command::new("journalctl")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let out = child
        .stdout
        .take()
        .ok_or_else(|| std::io::Error::other("no pipe"))?;
    Ok((child, BufReader::new(out).lines()))
}

/// Runs for ever; `boot` names this boot in the host's record.
///
/// # Errors
/// When the journal cannot be followed, or ends.
pub async fn guard(boot: &str) -> std::io::Result<()> {
    let mut gate = Gate {
        boot: boot.to_owned(),
        ..Gate::default()
    };
    let (_child, mut lines) = log()?;
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else {
                    return Err(std::io::Error::other("journalctl ended"));
                };
                gate.hear(&line).await;
            }
            _ = tick.tick() => gate.look().await,
        }
    }
}
