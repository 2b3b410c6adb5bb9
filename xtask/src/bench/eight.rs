//! `cargo xtask bench eight`: what a cloud with all services costs on lab hosts, each
//! number beside its bar, and beside two other ways to the same end.
//!
//! The cloud is that of the story of eight services: three controllers and a host that
//! runs VMs, in two networks. The other ways, each on fresh hosts in the same session:
//! the same cloud by Ansible (`benches/playbook`), and the commands that nobody could
//! avoid, by plain ssh (`benches/chain-eight.sh`). Both are given the files that
//! `quorate render` writes, with the vault's secrets in them, before their clock begins.
//!
//! A bar that is missed is said and no more. What could not be measured is said with
//! its reason, does not keep the rest from being measured, and fails the chore.

mod cloud;
mod seen;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::cloud::{CONTROLLERS, Eight};
use self::seen::{Asked, asked};
use super::table::{Row, Runs, print};
use super::{Bench, given_or_built, journal, tell_machine};
use crate::dist::megabytes;
use crate::shell::Error;
use crate::system;

const APPLY: Duration = Duration::from_mins(2);
const APPLY_BY_CHAIN: f64 = 1.3;
const PLAN: Duration = Duration::from_secs(3);
const STATUS: Duration = Duration::from_secs(2);
const MEMORY_MB: u64 = 2500;
const FASTER_THAN_PLAYBOOK: f64 = 3.0;
/// Requests of others that may fail while a service is added.
const FAILED: u64 = 0;

/// The last is the one that is added to the others: at another place it would take the
/// address of those behind it.
const ALL: &str = "keystone, placement, swift, glance, nova, neutron, cinder, horizon, heat";
const WITHOUT_LAST: &str = "keystone, placement, swift, glance, nova, neutron, cinder, horizon";
/// Packages of the one that is added; the others' are in the hosts' image by themselves.
const OF_LAST: [&str; 4] = ["heat-api", "heat-api-cfn", "heat-engine", "python3-heatclient"];
/// What its resources begin with: their requests are its own.
const LAST: &str = "heat-";

/// Prints the KiB of all processes of a host: pages that several have count once.
const PSS: &str = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ { k += $2 } END { print k }'";

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// `apply` on fresh hosts
    Apply,
    /// A plan that finds nothing to do (applies first)
    Plan,
    /// `status` of a cloud that is whole (applies first)
    Status,
    /// The memory of each controller (applies first)
    Memory,
    /// The chain of commands that nobody could avoid, on fresh hosts
    Chain,
    /// The same cloud by Ansible, on fresh hosts
    Playbook,
    /// Heat added to a running cloud of the others
    Heat,
}

/// What and how often to measure.
#[derive(clap::Args)]
pub struct Args {
    /// Only this; may be said again. Ratios want both of their parts
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Part>,
    /// How often what wants fresh hosts is measured
    #[arg(long, default_value_t = 1, value_name = "N")]
    rounds: usize,
    /// How often `plan` and `status` are run
    #[arg(long, default_value_t = 11, value_name = "N")]
    repeat: usize,
    /// Measures this binary instead of building the release
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Leaves the last lab as it is
    #[arg(long)]
    keep: bool,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Whether a cloud that was applied is wanted.
    fn wants_applied(&self) -> bool {
        [Part::Apply, Part::Plan, Part::Status, Part::Memory]
            .into_iter()
            .any(|part| self.wants(part))
    }
}

/// What was measured so far.
#[derive(Default)]
struct Found {
    applies: Runs,
    chains: Runs,
    playbooks: Runs,
    rows: Vec<Row>,
    /// What could not be measured.
    missing: Vec<String>,
}

impl Found {
    /// What a part gave, or why it gave nothing.
    fn take<T>(&mut self, what: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let told = format!("{what}: not measured: {error}");
                println!("{told}");
                self.missing.push(told);
                None
            }
        }
    }

    /// The times beside their bars, and beside each other where both are there.
    fn judge(&mut self, args: &Args) {
        let Self {
            applies,
            chains,
            playbooks,
            rows,
            ..
        } = self;
        if args.wants_applied() {
            rows.push(Row::time("apply, fresh hosts", applies, APPLY));
        }
        if args.wants(Part::Chain) {
            let row = Row::at_most("apply : chain", applies.ratio(chains), APPLY_BY_CHAIN);
            rows.push(row.beside(format!("chain of commands by ssh: {}", chains.tell())));
        }
        if args.wants(Part::Playbook) {
            let row = Row::at_least("playbook : apply", playbooks.ratio(applies), FASTER_THAN_PLAYBOOK);
            rows.push(row.beside(format!("ansible-playbook: {}", playbooks.tell())));
        }
    }
}

/// Measures what is wanted and prints the table.
pub fn run(args: &Args) -> Result<(), Error> {
    if let Some(why) = system::no_lab() {
        return Err(Error::Said(format!("not measured: {why}")));
    }
    let eight = Eight::new(given_or_built(args.binary.as_deref())?)?;
    tell_machine();
    let mut found = Found::default();
    eight.measure(args, &mut found);
    let down = if args.keep { Ok(()) } else { eight.bench.down() };
    // What was measured before something failed is told all the same.
    print(&found.rows);
    down?;
    if found.missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Said(found.missing.join("\n")))
    }
}

impl Eight {
    fn measure(&self, args: &Args, found: &mut Found) {
        for round in 1..=args.rounds {
            let of = format!("round {round} of {}", args.rounds);
            if args.wants_applied() {
                println!("{of}: apply");
                let took = self.fresh(ALL, &[]).and_then(|()| self.apply());
                if let Some(took) = found.take("apply", took) {
                    found.applies.0.push(took);
                    journal::print_steps(&self.bench.state().join("runs"));
                    if round == args.rounds {
                        self.applied(args, found);
                    }
                }
            }
            if args.wants(Part::Chain) {
                println!("{of}: the chain by hand");
                let took = self.fresh(ALL, &[]).and_then(|()| self.chain());
                let took = found.take("chain", took);
                found.chains.0.extend(took);
            }
            if args.wants(Part::Playbook) {
                println!("{of}: the playbook");
                let took = self.fresh(ALL, &[]).and_then(|()| self.playbook());
                if let Some(took) = found.take("playbook", took) {
                    found.playbooks.0.push(took);
                    let left = found.take("plan after the playbook", self.left_to_do());
                    let row = left.map(|told| Row::plain("plan after the playbook", told));
                    found.rows.extend(row);
                }
            }
        }
        found.judge(args);
        if args.wants(Part::Heat) {
            println!("heat, added to the others");
            let row = found.take("heat, added", self.add_last());
            found.rows.extend(row);
        }
    }

    /// What is asked of a cloud that was applied just now.
    fn applied(&self, args: &Args, found: &mut Found) {
        if args.wants(Part::Memory) {
            let row = found.take("memory", self.memory());
            found.rows.extend(row);
        }
        if args.wants(Part::Plan) {
            println!("plan, {} times", args.repeat);
            let plans = Bench::repeat(args.repeat, || self.bench.verb(&["plan", "--detailed-exitcode"]));
            if let Some(plans) = found.take("plan", plans) {
                found.rows.push(Row::time("plan, nothing to do", &plans, PLAN));
            }
        }
        if args.wants(Part::Status) {
            println!("status, {} times", args.repeat);
            let said = Bench::repeat(args.repeat, || self.bench.verb(&["status"]));
            if let Some(said) = found.take("status", said) {
                found.rows.push(Row::time("status, redundant", &said, STATUS));
            }
        }
    }

    /// The memory of the controller that has most. All hosts of a lab have one kernel and
    /// one image: a program's pages that three of them map count for a third in each, so
    /// a controller of metal takes more by what its programs' files are.
    fn memory(&self) -> Result<Row, Error> {
        let mut most = 0;
        let mut all = Vec::new();
        for host in CONTROLLERS {
            let told = self.shell(host, PSS)?;
            let kib: u64 = told
                .trim()
                .parse()
                .map_err(|_| Error::Said(format!("{host} told no memory: `{}`", told.trim())))?;
            most = most.max(kib * 1024);
            all.push(format!("{host} {}", megabytes(kib * 1024)));
        }
        let row = Row::size("a controller's memory, PSS", most, megabytes(most), MEMORY_MB);
        Ok(row.beside(all.join(", ")))
    }

    /// Adds the last service and reads what the run saw of the others meanwhile.
    fn add_last(&self) -> Result<Row, Error> {
        self.fresh(WITHOUT_LAST, &OF_LAST)?;
        self.apply()?;
        let runs = self.bench.state().join("runs");
        let known = folders(&runs);
        self.describe(ALL)?;
        let took = self.apply()?;
        let told: Vec<Asked> = folders(&runs)
            .difference(&known)
            .flat_map(|run| asked(&fs::read_to_string(run.join("outage.json")).unwrap_or_default()))
            .filter(|one| !one.resource.starts_with(LAST))
            .collect();
        if told.is_empty() {
            return Err(Error::Said(
                "the run tells nothing of what the others answered".to_owned(),
            ));
        }
        for one in &told {
            println!("{}", one.tell());
        }
        if let Some(one) = told.iter().find(|one| one.ok + one.failed == 0) {
            return Err(Error::Said(format!("{} was not asked", one.resource)));
        }
        let (failed, all) = told
            .iter()
            .fold((0, 0), |(f, a), one| (f + one.failed, a + one.ok + one.failed));
        let row = Row::count("heat added, others' failed", failed, FAILED);
        Ok(row.beside(format!(
            "of {all} requests to {} others, {:.1} s",
            told.len(),
            took.as_secs_f64()
        )))
    }
}

fn folders(of: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_service_is_the_one_that_is_added() {
        assert_eq!(ALL, format!("{WITHOUT_LAST}, {}", LAST.trim_end_matches('-')));
    }
}
