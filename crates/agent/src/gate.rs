//! The host's gate to the cluster, as a process of its own: tells peers which fencings
//! found a member, and keeps this host out where it was fenced again and again. The rule
//! is [`pacemaker::gate`]'s; here it is asked and obeyed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use pacemaker::gate::{self, Fencing, Quorum, Watch};
use tokio::time::sleep;

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

async fn fencings() -> Option<Vec<Fencing>> {
    gate::history(&ask(&["stonith_admin", "--history=*", "--output-as=xml"]).await?).ok()
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
    joined: u32,
}

impl Gate {
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

    /// Tells the cluster of fencings that found a member.
    async fn tell(&mut self, history: &[Fencing], quorum: &Quorum) {
        let members: BTreeSet<&str> = quorum.members.values().map(String::as_str).collect();
        self.watch.look(history, &members);
        for (host, ends) in self.watch.counted(now()) {
            let ends: Vec<String> = ends.iter().map(ToString::to_string).collect();
            let (name, value) = (format!("quorate-fenced-{host}"), ends.join(","));
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
    async fn judge(&self, history: &[Fencing], quorum: &Quorum) {
        let Some(me) = quorum.name() else { return };
        let name = format!("quorate-fenced-{me}");
        let told = ask(&["attrd_updater", "--query", "--all", "--name", &name])
            .await
            .unwrap_or_default();
        let own = std::fs::read_to_string(RECORD).unwrap_or_default();
        let mut fenced = gate::told_by_peers(&told);
        fenced.extend(gate::found_alone(&own, me, history));
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

/// Runs for ever; `boot` names this boot in the host's record.
pub async fn guard(boot: &str) {
    let mut gate = Gate {
        boot: boot.to_owned(),
        ..Gate::default()
    };
    loop {
        sleep(EVERY).await;
        // Members after the history: see `Watch::look`.
        let history = fencings().await;
        let Some(quorum) = quorum().await else { continue };
        gate.remember(&quorum);
        if let Some(history) = &history {
            gate.tell(history, &quorum).await;
            if gate.joined > PATIENCE && quorum.quorate && !std::path::Path::new(JUDGED).exists() {
                gate.judge(history, &quorum).await;
            }
        } else if ask(&["systemctl", "is-active", "--quiet", OUT]).await.is_some()
            && !pacemaker::gate::enough(&quorum, others(quorum.me).await)
        {
            eprintln!("the others are no majority without this host: it is let in");
            let _ = ask(&["systemctl", "start", "pacemaker.service"]).await;
        }
    }
}
