//! `cargo xtask bench`: what it costs, each number beside its goal, and beside a
//! yardstick where there is one.
//!
//! A yardstick is another way to the same end, measured in the same session on
//! the same hosts: for `apply`, the longest chain of commands that cannot be
//! avoided, by plain ssh (`benches/chain.sh`); for `plan`, Ansible's fact
//! gathering (`ansible -m setup`). What could not be measured is said with its
//! reason, and is the only thing that makes the chore fail: a missed goal is
//! said and no more. No number is printed that was not measured.

mod eight;
mod heartbeats;
mod journal;
mod scale;
mod sim;
mod table;
mod truth;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use self::table::{Row, Runs, print};
use self::watch::{Cost, machine, watched};
use crate::dist;
use crate::shell::{self, Error, build, cargo, program, root, run_quietly};
use crate::system;

/// The cloud that is measured, and its lab.
const NAME: &str = "bench";
/// Its addresses, and those of the example that it is made of: another lab of
/// the example may be up.
const RANGES: (&str, &str) = ("198.18.0.", "198.18.30.");

const BINARY_MB: u64 = 30;
const CHECK: Duration = Duration::from_millis(50);
const APPLY: Duration = Duration::from_mins(1);
const APPLY_BY_CHAIN: f64 = 1.3;
const PLAN: Duration = Duration::from_secs(2);
const FASTER_THAN_ANSIBLE: f64 = 5.0;
/// Other work on the machine above this is said, in per cent.
const QUIET: u64 = 10;

/// What is measured besides.
#[derive(clap::Subcommand)]
enum What {
    /// What plans foretell beside what their changes cost; fails where they are wrong
    Truth(truth::Args),
    /// A cloud with all services: apply, plan and memory, beside a playbook and a chain
    Eight(eight::Args),
    /// Verbs on clouds of 3 + 100 to 3 + 3,000 hosts: time and memory
    Scale(scale::Args),
    /// Plans performed a second in a world of values, faults among them
    Sim(sim::Args),
    /// One observer of 3 to 1,000 VM hosts: processor, memory, datagrams lost
    Heartbeats(heartbeats::Args),
}

/// What and how often to measure.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// How often `apply` and its yardstick are run, each time on fresh hosts
    #[arg(long, default_value_t = 3, value_name = "N")]
    applies: usize,
    /// How often `check`, `plan` and its yardstick are run
    #[arg(long, default_value_t = 11, value_name = "N")]
    repeat: usize,
    /// How often the power of an address's holder is cut, in each profile (with the
    /// build of the tests)
    #[arg(long, default_value_t = 0, value_name = "N")]
    cuts: usize,
    /// Leaves out what needs a lab
    #[arg(long)]
    no_lab: bool,
    /// Measures this binary instead of building the release
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs everything that can be run here and prints the table.
pub fn run(args: &Args) -> Result<(), Error> {
    match &args.what {
        Some(What::Truth(args)) => return truth::run(args),
        Some(What::Eight(args)) => return eight::run(args),
        Some(What::Scale(args)) => return scale::run(args),
        Some(What::Sim(args)) => return sim::run(args),
        Some(What::Heartbeats(args)) => return heartbeats::run(args),
        None => {}
    }
    let bench = Bench::new(given_or_built(args.binary.as_deref())?)?;
    tell_machine();
    let size = dist::size(&bench.quorate)?;
    let what = if args.binary.is_some() {
        "binary, as given"
    } else {
        "binary, release"
    };
    let check = Bench::repeat(args.repeat, || bench.verb(&["check"]))?;
    let mut rows = vec![
        Row::size(what, size, dist::megabytes(size), BINARY_MB),
        Row::time("check", &check, CHECK),
    ];
    rows.extend(scale::rows(None)?);
    let done = if args.no_lab {
        println!("apply and plan: left out, as asked");
        Ok(())
    } else if let Some(why) = system::no_lab() {
        Err(Error::Said(format!("apply and plan: not measured: {why}")))
    } else {
        bench.on_lab(args, &mut rows)
    };
    // What was measured before something failed is told all the same.
    print(&rows);
    done?;
    if args.cuts > 0 && !args.no_lab {
        power_cuts(args.cuts)?;
    }
    Ok(())
}

/// The binary that is measured: the one that was named, or a release that is built now.
fn given_or_built(binary: Option<&Path>) -> Result<PathBuf, Error> {
    match binary {
        // Programs are run in the repository's root, which need not be here.
        Some(path) => fs::canonicalize(path).map_err(|e| Error::Said(format!("{}: {e}", path.display()))),
        None => build(true),
    }
}

/// Says what else the machine has to do: a number holds for a quiet one.
fn tell_machine() {
    let (busy, cpus) = machine();
    println!("machine: {cpus} CPUs, {busy} % busy with other things");
    if busy > QUIET {
        println!("machine: not quiet: what is measured now holds for a busy machine only");
    }
}

/// The story that measures power cuts, which prints a table of its own.
fn power_cuts(rounds: usize) -> Result<(), Error> {
    let mut story = cargo();
    story
        .args([
            "test",
            "--workspace",
            "--test",
            "lab",
            "--",
            "--ignored",
            "--nocapture",
        ])
        .arg("long_power_cuts_measured")
        .env("QUORATE_CUTS", rounds.to_string());
    shell::run(&mut story).map(drop)
}

/// A chain by hand, and its table of parts. The time is its own: what it does
/// afterwards to prove its work does not count.
fn chain(script: &Path, args: &[PathBuf]) -> Result<Duration, Error> {
    let start = |why| Error::Start {
        command: script.display().to_string(),
        why,
    };
    let output = program(script)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(start)?;
    print!("{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(Error::Failed {
            command: script.display().to_string(),
            status: output.status,
        });
    }
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim()
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Error::Said(format!("{} told no time: `{}`", script.display(), said.trim())))
}

/// A program of Ansible's own environment, which is made where it is absent.
fn of_ansible(name: &str) -> Result<PathBuf, Error> {
    let programs = root().join("target/ansible/bin");
    if !programs.join("ansible").exists() {
        run_quietly(program("python3").args(["-m", "venv", "target/ansible"]))?;
        run_quietly(program(programs.join("pip")).args(["install", "--quiet", "ansible-core"]))?;
    }
    Ok(programs.join(name))
}

/// What all measurements of a cloud share.
struct Bench {
    quorate: PathBuf,
    /// The cloud file, of a name and in a range of its own, so that the lab and the
    /// secrets of the example are left alone.
    cloud: PathBuf,
    /// The cloud's name.
    name: &'static str,
}

impl Bench {
    fn new(quorate: PathBuf) -> Result<Self, Error> {
        let cloud = root().join("target/bench/three-controllers.yaml");
        let example = root().join("examples/three-controllers.yaml");
        let failed = |e: std::io::Error| Error::Said(format!("cannot write {}: {e}", cloud.display()));
        let text = fs::read_to_string(example).map_err(failed)?;
        let text = text
            .replacen("cloud: demo", &format!("cloud: {NAME}"), 1)
            .replace(RANGES.0, RANGES.1);
        fs::create_dir_all(cloud.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        fs::write(&cloud, text).map_err(failed)?;
        Ok(Self {
            quorate,
            cloud,
            name: NAME,
        })
    }

    fn verb(&self, words: &[&str]) -> Command {
        let mut command = program(&self.quorate);
        command.args(words).arg(&self.cloud);
        command
    }

    /// Where a program's words go.
    fn log(&self, name: &str) -> PathBuf {
        self.cloud.with_file_name(format!("{name}.log"))
    }

    fn repeat(times: usize, make: impl Fn() -> Command) -> Result<Runs, Error> {
        (0..times)
            .map(|_| run_quietly(&mut make()))
            .collect::<Result<_, _>>()
            .map(Runs)
    }

    fn state(&self) -> PathBuf {
        self.cloud.with_file_name(".quorate").join(self.name)
    }

    /// Hosts that have never been touched.
    fn fresh(&self) -> Result<Duration, Error> {
        self.down()?;
        run_quietly(&mut self.verb(&["lab", "up"]))
    }

    fn down(&self) -> Result<(), Error> {
        run_quietly(program(&self.quorate).args(["lab", "down", self.name]))?;
        // New hosts get new secrets: what was kept belongs to a cloud that is gone.
        let _ = fs::remove_dir_all(self.state());
        Ok(())
    }

    fn on_lab(&self, args: &Args, rows: &mut Vec<Row>) -> Result<(), Error> {
        let done = self.measure(args, rows);
        let down = self.down();
        done.and(down)
    }

    fn measure(&self, args: &Args, rows: &mut Vec<Row>) -> Result<(), Error> {
        // The first brings the image too, which is built once and not measured.
        println!("lab: first hosts");
        self.fresh()?;
        let (mut ups, mut chains, mut applies) = (Runs::default(), Runs::default(), Runs::default());
        let mut cost = Cost::default();
        for round in 1..=args.applies {
            println!("round {round} of {}: the chain by hand", args.applies);
            self.fresh()?;
            let script = root().join("benches/chain.sh");
            chains.0.push(chain(&script, &[self.state().join("ssh_config")])?);
            println!("round {round} of {}: apply", args.applies);
            ups.0.push(self.fresh()?);
            let log = self.log("apply");
            let run = watched(&mut self.verb(&["apply", "--yes"]), &log)?;
            applies.0.push(run.took);
            cost = run;
            journal::print_steps(&self.state().join("runs"));
        }
        rows.push(Row::plain("lab up, image there", ups.tell()));
        rows.push(Row::time("apply, fresh hosts", &applies, APPLY));
        let ratio = applies.ratio(&chains);
        rows.push(
            Row::at_most("apply : chain", ratio, APPLY_BY_CHAIN)
                .beside(format!("chain of commands by ssh: {}", chains.tell())),
        );
        rows.push(Row::plain("apply, its process, last round", cost.tell()));

        println!("plan, {} times", args.repeat);
        let plans = Self::repeat(args.repeat, || self.verb(&["plan", "--detailed-exitcode"]))?;
        rows.push(Row::time("plan, nothing to do", &plans, PLAN));
        println!("ansible -m setup, {} times", args.repeat);
        let ansible = self.ansible(args.repeat);
        let (runs, told) = match &ansible {
            Ok((plain, tuned)) => (
                plain.clone(),
                format!("{}; tuned: {}", plain.tell(), tuned.tell()),
            ),
            Err(_) => (Runs::default(), "not measured, see below".to_owned()),
        };
        rows.push(
            Row::at_least("ansible : plan", runs.ratio(&plans), FASTER_THAN_ANSIBLE)
                .beside(format!("ansible -m setup: {told}")),
        );
        let cost = watched(
            &mut self.verb(&["plan", "--detailed-exitcode"]),
            &self.log("plan"),
        )?;
        rows.push(Row::plain("plan, its own process", cost.tell()));
        ansible.map(|_| ())
    }

    /// Ansible asking the same hosts for their facts: as it comes, which keeps
    /// connections open between its runs (`plan` makes new ones), and tuned: one
    /// exchange a task (pipelining) and no search for the hosts' Python.
    fn ansible(&self, times: usize) -> Result<(Runs, Runs), Error> {
        let ansible = of_ansible("ansible")?;
        let config = self.state().join("ssh_config");
        let text =
            fs::read_to_string(&config).map_err(|e| Error::Said(format!("{}: {e}", config.display())))?;
        let hosts: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("Host "))
            .collect();
        // Its defaults, and nobody's own settings.
        let settings = self.cloud.with_file_name("ansible.cfg");
        fs::write(&settings, "[defaults]\n")
            .map_err(|e| Error::Said(format!("{}: {e}", settings.display())))?;
        let plain = || {
            let mut command = program(&ansible);
            command
                .env("ANSIBLE_CONFIG", &settings)
                .env("ANSIBLE_SSH_COMMON_ARGS", format!("-F {}", config.display()))
                .args(["all", "-m", "setup", "-i", &format!("{},", hosts.join(","))]);
            command
        };
        let tuned = || {
            let mut command = plain();
            command
                .env("ANSIBLE_PIPELINING", "True")
                .env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3");
            command
        };
        run_quietly(&mut plain())?; // opens the connections
        Ok((Self::repeat(times, plain)?, Self::repeat(times, tuned)?))
    }
}
