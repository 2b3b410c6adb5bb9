//! `cargo xtask bench truth`: what plans foretell beside what is measured.
//!
//! One running cloud, some twenty changes, each done several times. Every change
//! is foretold by the plan and watched by the prober of the run that does it;
//! both are read from the run's journal. A row fails where
//! - something was without an answer for longer than the worst foretold and a
//!   quarter of a second,
//! - the worst foretold is more than a second and more than twice the 95th
//!   percentile of what was measured: a foretelling that is always right says
//!   nothing,
//! - it was foretold that nobody is without an answer, and requests failed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::shell::{Error, build, program, root, run_quietly};
use crate::system;

const NAME: &str = "truth";
const NETWORK: &str = "198.18.31";
/// A measurement is not finer than that, in ms.
const GRAIN_MS: u64 = 250;
/// A worst case below it is always allowed, in ms.
const SECOND_MS: u64 = 1000;

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    /// How often the whole list of changes is done
    #[arg(long, default_value_t = 2, value_name = "N")]
    rounds: usize,
    /// Only changes whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Measures this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Leaves the cloud as it is at the end
    #[arg(long)]
    keep: bool,
}

/// How a change is made.
enum Act {
    /// The cloud file with this in it, then `apply`.
    File(Text),
    /// A verb; `FILE` stands for the cloud file.
    Verb(&'static [&'static str]),
    /// A script on a host, then a verb.
    After(&'static str, &'static str, &'static [&'static str]),
}

/// What of the cloud file is not the default.
#[derive(Clone, Default)]
struct Text {
    services: Option<&'static str>,
    vips: Option<&'static str>,
    more: &'static str,
}

/// A change: done, and undone, so that the next finds the cloud as it was.
struct Change {
    name: &'static str,
    acts: Vec<Act>,
}

fn more(more: &'static str) -> Act {
    Act::File(Text {
        more,
        ..Text::default()
    })
}

fn toggled(name: &'static str, text: &'static str) -> Change {
    Change {
        name,
        acts: vec![more(text), Act::File(Text::default())],
    }
}

fn once(name: &'static str, acts: Vec<Act>) -> Change {
    Change { name, acts }
}

/// A package of a higher version that nobody needs, in a source of the host's own.
const NEWER: &str = "set -e; d=/var/lib/quorate-truth; mkdir -p $d/p/DEBIAN; cd $d; n=$(date +%s); \
    printf 'Package: quorate-truth\\nVersion: %s\\nArchitecture: all\\nMaintainer: nobody <nobody@localhost>\\nDescription: nothing\\n' $n > p/DEBIAN/control; \
    rm -f *.deb; dpkg-deb -q -b p quorate-truth_$n.deb >/dev/null; \
    if ! dpkg -s quorate-truth >/dev/null 2>&1; then dpkg -i quorate-truth_$n.deb >/dev/null; n=$((n+1)); \
    sed -i \"s/^Version:.*/Version: $n/\" p/DEBIAN/control; rm -f *.deb; dpkg-deb -q -b p quorate-truth_$n.deb >/dev/null; fi; \
    { printf 'Package: quorate-truth\\nVersion: %s\\nArchitecture: all\\nMaintainer: nobody <nobody@localhost>\\nDescription: nothing\\nFilename: ./quorate-truth_%s.deb\\n' $n $(ls *.deb | sed 's/.*_//;s/.deb//'); \
    printf 'Size: %s\\nSHA256: %s\\n' $(stat -c %s *.deb) $(sha256sum *.deb | cut -d' ' -f1); } > Packages; \
    mkdir -p /etc/apt/sources.list.d; for f in /etc/apt/sources.list /etc/apt/sources.list.d/*; do case $f in *quorate-truth*) ;; *) [ -e $f ] && mv $f /root/ || true ;; esac; done; \
    echo \"deb [trusted=yes] file:$d ./\" > /etc/apt/sources.list.d/quorate-truth.list";

fn changes() -> Vec<Change> {
    let with = |services| {
        Act::File(Text {
            services: Some(services),
            ..Text::default()
        })
    };
    let at = |vips| {
        Act::File(Text {
            vips: Some(vips),
            ..Text::default()
        })
    };
    vec![
        toggled(
            "a key of Keystone",
            "config: { /etc/keystone/keystone.conf: { token: { expiration: \"7200\" } } }\n",
        ),
        toggled(
            "Keystone's processes",
            "settings: { keystone: { processes: \"3\" } }\n",
        ),
        toggled(
            "timeouts of HAProxy",
            "settings: { haproxy: { server-timeout: \"90\" } }\n",
        ),
        toggled(
            "connections of HAProxy",
            "settings: { haproxy: { connections: \"9000\" } }\n",
        ),
        toggled(
            "connections of Galera",
            "settings: { galera: { max-connections: \"2100\" } }\n",
        ),
        toggled(
            "a key of Galera",
            "config: { /etc/mysql/mariadb.conf.d/99-quorate.cnf: { mariadbd: { table_open_cache: \"3000\" } } }\n",
        ),
        toggled("memory of RabbitMQ", "settings: { rabbitmq: { memory: 3GB } }\n"),
        toggled(
            "memory of memcached",
            "settings: { memcached: { megabytes: \"300\" } }\n",
        ),
        toggled(
            "the token of Corosync",
            "settings: { corosync: { token: \"1500\", consensus: \"1800\" } }\n",
        ),
        toggled("the time servers", "time: { servers: [198.18.31.1] }\n"),
        toggled(
            "several at once",
            "settings: { keystone: { threads: \"5\" }, haproxy: { server-timeout: \"70\" }, memcached: { megabytes: \"280\" } }\n",
        ),
        once(
            "a service and its address added",
            vec![with("[keystone, placement]")],
        ),
        once("a service and its address removed", vec![with("[keystone]")]),
        once(
            "an address moved",
            vec![
                at("{ pool: NETWORK.100-NETWORK.119, pins: { keystone: NETWORK.110 } }"),
                at("{ pool: NETWORK.100-NETWORK.119 }"),
            ],
        ),
        once(
            "a controller drained",
            vec![Act::Verb(&["host", "drain", "c2", "--yes", "-f", "FILE"])],
        ),
        once(
            "a controller resumed",
            vec![Act::Verb(&["host", "resume", "c2", "--yes", "-f", "FILE"])],
        ),
        once(
            "a controller rebooted",
            vec![Act::Verb(&["host", "reboot", "c3", "--yes", "-f", "FILE"])],
        ),
        once(
            "addresses come home",
            vec![more("timeouts: { home-after: 1 }\n"), Act::File(Text::default())],
        ),
        once(
            "packages updated",
            vec![Act::After(
                "c1",
                NEWER,
                &["host", "update", "c1", "--yes", "-f", "FILE"],
            )],
        ),
        once(
            "certificates renewed",
            vec![Act::Verb(&["rotate", "certificates", "FILE", "--yes"])],
        ),
        once(
            "the authority renewed",
            vec![Act::Verb(&["rotate", "authority", "FILE", "--yes"])],
        ),
        once(
            "keys of tokens turned",
            vec![Act::Verb(&["rotate", "keys", "FILE", "--yes"])],
        ),
        once("architecture to core", vec![more("architecture: core\n")]),
        once("architecture to full", vec![Act::File(Text::default())]),
    ]
}

/// What one run foretold and saw of one thing behind an address.
struct Seen {
    usual: u64,
    worst: u64,
    measured: u64,
    failed: u64,
    reasons: String,
}

/// A row: a change and one thing behind an address, over all rounds.
struct Row {
    change: &'static str,
    resource: String,
    seen: Vec<Seen>,
}

impl Row {
    fn faults(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut measured: Vec<u64> = self.seen.iter().map(|s| s.measured).collect();
        measured.sort_unstable();
        // Of so few the 95th percentile is the longest.
        let p95 = measured.last().copied().unwrap_or_default();
        for seen in &self.seen {
            if seen.measured > seen.worst + GRAIN_MS {
                out.push(format!("{} ms are more than {}", seen.measured, seen.worst));
            }
            if seen.usual == 0 && seen.failed > 0 {
                out.push(format!("{} requests failed: {}", seen.failed, seen.reasons));
            }
        }
        // What was foretold last knew what was measured before.
        if let Some(last) = self.seen.last().filter(|l| l.worst > SECOND_MS.max(2 * p95)) {
            out.push(format!("{} ms foretold are more than twice {p95}", last.worst));
        }
        out
    }
}

struct Truth {
    quorate: PathBuf,
    file: PathBuf,
}

impl Truth {
    fn write(&self, text: &Text) -> Result<(), Error> {
        let pool = "{ pool: NETWORK.100-NETWORK.119 }";
        let mut out = format!("cloud: {NAME}\nrelease: \"2025.1\"\nhosts:\n");
        for n in 1..=3 {
            let _ = writeln!(out, "  c{n}: {{ role: controller, address: {NETWORK}.1{n} }}");
        }
        let _ = write!(
            out,
            "vips: {}\nservices: {}\n{}",
            text.vips.unwrap_or(pool),
            text.services.unwrap_or("[keystone]"),
            text.more
        );
        let failed = |e: std::io::Error| Error::Said(format!("{}: {e}", self.file.display()));
        fs::write(&self.file, out.replace("NETWORK", NETWORK)).map_err(failed)
    }

    fn say(&self, words: &[&str]) -> Result<Duration, Error> {
        let file = self.file.display().to_string();
        let mut command: Command = program(&self.quorate);
        command.args(words.iter().map(|w| if *w == "FILE" { file.as_str() } else { w }));
        run_quietly(&mut command)
    }

    fn act(&self, act: &Act) -> Result<Duration, Error> {
        match act {
            Act::File(text) => {
                self.write(text)?;
                self.say(&["apply", "--yes", "FILE"])
            }
            Act::Verb(words) => self.say(words),
            Act::After(host, script, words) => {
                self.say(&["lab", "shell", NAME, host, "sh", "-c", script])?;
                self.say(words)
            }
        }
    }

    fn runs(&self) -> PathBuf {
        self.file.with_file_name(".quorate").join(NAME).join("runs")
    }

    /// What runs that are not yet known told.
    fn told(&self, known: &mut Vec<PathBuf>) -> Vec<(String, Seen)> {
        let mut all: Vec<PathBuf> = fs::read_dir(self.runs())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| !known.contains(path))
            .collect();
        all.sort();
        known.extend(all.iter().cloned());
        all.iter()
            .flat_map(|run| read(&run.join("outage.json")))
            .collect()
    }
}

fn read(path: &Path) -> Vec<(String, Seen)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
    all.iter()
        .filter_map(|one| {
            let number = |key: &str| one.get(key).and_then(Value::as_u64);
            Some((
                one.get("resource")?.as_str()?.to_owned(),
                Seen {
                    usual: number("usual_ms")?,
                    worst: number("worst_ms")?,
                    measured: number("measured_ms")?,
                    failed: number("failed")?,
                    reasons: one.get("reasons").map(Value::to_string).unwrap_or_default(),
                },
            ))
        })
        .collect()
}

/// Makes the cloud, does the changes, prints the table.
pub fn run(args: &Args) -> Result<(), Error> {
    if let Some(why) = system::no_lab() {
        return Err(Error::Said(format!("not measured: {why}")));
    }
    let quorate = match &args.binary {
        Some(path) => fs::canonicalize(path).map_err(|e| Error::Said(format!("{}: {e}", path.display())))?,
        None => build(false)?,
    };
    let truth = Truth {
        quorate,
        file: root().join("target/bench/truth/cloud.yaml"),
    };
    let folder = truth.file.with_file_name("");
    fs::create_dir_all(&folder).map_err(|e| Error::Said(format!("{}: {e}", folder.display())))?;
    let down = || {
        let done = truth.say(&["lab", "down", NAME]).map(|_| ());
        let _ = fs::remove_dir_all(folder.join(".quorate"));
        done
    };
    down()?;
    let done = measure(args, &truth);
    if !args.keep {
        down()?;
    }
    done
}

fn measure(args: &Args, truth: &Truth) -> Result<(), Error> {
    truth.write(&Text::default())?;
    truth.say(&["lab", "up", "FILE"])?;
    truth.say(&["apply", "--yes", "FILE"])?;
    let mut known = Vec::new();
    truth.told(&mut known);
    let mut rows: Vec<Row> = Vec::new();
    let mut broken = Vec::new();
    let mut done = 0;
    for round in 1..=args.rounds {
        for change in changes() {
            if args.only.as_ref().is_some_and(|only| !change.name.contains(only)) {
                continue;
            }
            done += usize::from(round == 1);
            for act in &change.acts {
                let took = match truth.act(act) {
                    Ok(took) => took,
                    Err(error) => {
                        println!("round {round}: {}: {error}", change.name);
                        broken.push(change.name);
                        // The next begins with the cloud as it should be.
                        truth.act(&Act::File(Text::default()))?;
                        break;
                    }
                };
                println!("round {round}: {}: {:.1} s", change.name, took.as_secs_f64());
                for (resource, seen) in truth.told(&mut known) {
                    match rows
                        .iter_mut()
                        .find(|r| r.change == change.name && r.resource == resource)
                    {
                        Some(row) => row.seen.push(seen),
                        None => rows.push(Row {
                            change: change.name,
                            resource,
                            seen: vec![seen],
                        }),
                    }
                }
            }
        }
    }
    print(&rows);
    let failed = rows.iter().filter(|r| !r.faults().is_empty()).count();
    println!("{done} changes, {} rows, {failed} rows fail", rows.len());
    if failed > 0 || !broken.is_empty() {
        let broken = if broken.is_empty() {
            String::new()
        } else {
            format!("; not done: {}", broken.join(", "))
        };
        return Err(Error::Said(format!("{failed} rows fail{broken}")));
    }
    Ok(())
}

fn print(rows: &[Row]) {
    println!(
        "{:<36} {:<16} {:>9} {:>9} {:>24} {:>7}",
        "change", "asked", "usual ms", "worst ms", "measured ms", "failed"
    );
    for row in rows {
        let Some(last) = row.seen.last() else { continue };
        let measured: Vec<String> = row.seen.iter().map(|s| s.measured.to_string()).collect();
        let failed: u64 = row.seen.iter().map(|s| s.failed).sum();
        println!(
            "{:<36} {:<16} {:>9} {:>9} {:>24} {failed:>7}",
            row.change,
            row.resource,
            last.usual,
            last.worst,
            measured.join(" ")
        );
        for fault in row.faults() {
            println!("    FAILS: {fault}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fails_where_the_foretelling_is_wrong() {
        let check = |seen: &[(u64, u64, u64, u64)], expect: usize| {
            let row = Row {
                change: "x",
                resource: "api".to_owned(),
                seen: seen
                    .iter()
                    .map(|&(usual, worst, measured, failed)| Seen {
                        usual,
                        worst,
                        measured,
                        failed,
                        reasons: String::new(),
                    })
                    .collect(),
            };
            assert_eq!(row.faults().len(), expect, "{seen:?}: {:?}", row.faults());
        };
        check(&[(0, 500, 750, 0)], 0);
        check(&[(0, 500, 751, 0)], 1);
        check(&[(0, 500, 10, 1)], 1);
        check(&[(350, 1000, 300, 4)], 0);
        check(&[(350, 1001, 300, 4)], 1);
        check(&[(900, 3000, 1000, 4), (900, 2000, 1000, 4)], 0);
    }
}
