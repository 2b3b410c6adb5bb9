//! `cargo xtask bench`: what it costs, each number beside its yardstick.
//!
//! A yardstick is another way to the same end, measured in the same session on
//! the same hosts: for `apply`, the longest chain of commands that cannot be
//! avoided, by plain ssh (`benches/chain.sh`, when it is there); for `plan`,
//! Ansible's fact gathering (`ansible -m setup`). What could not be measured is
//! said with its reason; no number is printed that was not measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::dist;
use crate::shell::{Error, build, program, root, run_quietly};
use crate::system;

/// The cloud that is measured, and its lab.
const NAME: &str = "bench";

/// What and how often to measure.
#[derive(clap::Args)]
pub struct Args {
    /// How often `apply` is run, each time on fresh hosts
    #[arg(long, default_value_t = 3, value_name = "N")]
    applies: usize,
    /// How often `check` and `plan` are run
    #[arg(long, default_value_t = 11, value_name = "N")]
    repeat: usize,
    /// Leaves out what needs a lab
    #[arg(long)]
    no_lab: bool,
}

/// One line of the table.
struct Row {
    what: &'static str,
    measured: String,
    yardstick: String,
}

/// Several runs of the same thing.
#[derive(Clone, Default)]
struct Runs(Vec<Duration>);

impl Runs {
    fn median(&self) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// The median, and between what all lie.
    fn tell(&self) -> String {
        let (Some(median), Some(low), Some(high)) = (self.median(), self.0.iter().min(), self.0.iter().max())
        else {
            return "not measured".to_owned();
        };
        format!(
            "{} ({}…{}, n={})",
            short(median),
            short(*low),
            short(*high),
            self.0.len()
        )
    }
}

/// Milliseconds below a second, seconds above.
fn short(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{:.1} ms", took.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", took.as_secs_f64())
    }
}

/// Runs everything that can be run here and prints the table.
pub fn run(args: &Args) -> Result<(), Error> {
    let quorate = build(true)?;
    let bench = Bench::new(quorate)?;
    let mut rows = vec![Row {
        what: "binary, release",
        measured: dist::megabytes(dist::size(&bench.quorate)?),
        yardstick: String::new(),
    }];
    let check = Bench::repeat(args.repeat, || bench.verb(&["check"]))?;
    rows.push(Row {
        what: "check",
        measured: check.tell(),
        yardstick: String::new(),
    });
    let why_not = if args.no_lab {
        Some("left out, as asked".to_owned())
    } else {
        system::no_lab()
    };
    match why_not {
        Some(why) => println!("apply and plan: not measured: {why}"),
        None => rows.extend(bench.on_lab(args)?),
    }
    print(&rows);
    Ok(())
}

fn print(rows: &[Row]) {
    println!();
    println!(
        "{:<28} {:<36} yardstick, same session",
        "what", "median (least…most)"
    );
    for row in rows {
        println!("{:<28} {:<36} {}", row.what, row.measured, row.yardstick);
    }
}

/// What all measurements share.
struct Bench {
    quorate: PathBuf,
    /// The cloud file: the example under another name, so that the
    /// demonstration's lab and secrets are left alone.
    cloud: PathBuf,
}

impl Bench {
    fn new(quorate: PathBuf) -> Result<Self, Error> {
        let cloud = root().join("target/bench/three-controllers.yaml");
        let example = root().join("examples/three-controllers.yaml");
        let failed = |e: std::io::Error| Error::Said(format!("cannot write {}: {e}", cloud.display()));
        let text = fs::read_to_string(example).map_err(failed)?;
        fs::create_dir_all(cloud.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        fs::write(&cloud, text.replacen("cloud: demo", &format!("cloud: {NAME}"), 1)).map_err(failed)?;
        Ok(Self { quorate, cloud })
    }

    fn verb(&self, words: &[&str]) -> Command {
        let mut command = program(&self.quorate);
        command.args(words).arg(&self.cloud);
        command
    }

    fn repeat(times: usize, make: impl Fn() -> Command) -> Result<Runs, Error> {
        (0..times)
            .map(|_| run_quietly(&mut make()))
            .collect::<Result<_, _>>()
            .map(Runs)
    }

    fn state(&self) -> PathBuf {
        self.cloud.with_file_name(".quorate").join(NAME)
    }

    /// Hosts that have never been touched.
    fn fresh(&self) -> Result<Duration, Error> {
        self.down()?;
        run_quietly(&mut self.verb(&["lab", "up"]))
    }

    fn down(&self) -> Result<(), Error> {
        run_quietly(program(&self.quorate).args(["lab", "down", NAME]))?;
        // New hosts get new secrets: what was kept belongs to a cloud that is gone.
        let _ = fs::remove_dir_all(self.state());
        Ok(())
    }

    fn on_lab(&self, args: &Args) -> Result<Vec<Row>, Error> {
        let done = self.measure(args);
        self.down()?;
        done
    }

    fn measure(&self, args: &Args) -> Result<Vec<Row>, Error> {
        let chain_script = root().join("benches/chain.sh");
        let (mut ups, mut chains, mut applies) = (Runs::default(), Runs::default(), Runs::default());
        // The first brings the image too, which is built once and not measured.
        println!("lab: first hosts");
        self.fresh()?;
        for round in 1..=args.applies {
            if chain_script.exists() {
                println!("round {round} of {}: the chain by hand", args.applies);
                self.fresh()?;
                let mut chain = program(&chain_script);
                chain.arg(self.state().join("ssh_config"));
                chains.0.push(run_quietly(&mut chain)?);
            }
            println!("round {round} of {}: apply", args.applies);
            ups.0.push(self.fresh()?);
            applies.0.push(run_quietly(&mut self.verb(&["apply", "--yes"]))?);
        }
        println!("plan, {} times", args.repeat);
        let plans = Self::repeat(args.repeat, || self.verb(&["plan"]))?;
        println!("ansible -m setup, {} times", args.repeat);
        let ansible = self
            .ansible(args.repeat)
            .unwrap_or_else(|e| format!("not measured: {e}"));
        let chain = if chain_script.exists() {
            let ratio = applies
                .median()
                .zip(chains.median())
                .map(|(a, c)| a.as_secs_f64() / c.as_secs_f64());
            let ratio = ratio.map(|r| format!(", ratio {r:.2}")).unwrap_or_default();
            format!("chain of commands by ssh: {}{ratio}", chains.tell())
        } else {
            "not measured: benches/chain.sh is not there".to_owned()
        };
        Ok(vec![
            Row {
                what: "lab up, image there",
                measured: ups.tell(),
                yardstick: String::new(),
            },
            Row {
                what: "apply, fresh hosts",
                measured: applies.tell(),
                yardstick: chain,
            },
            Row {
                what: "plan, nothing to do",
                measured: plans.tell(),
                yardstick: ansible,
            },
        ])
    }

    /// Ansible asking the same hosts for their facts, with connections kept
    /// open between its runs, as its users have it.
    fn ansible(&self, times: usize) -> Result<String, Error> {
        let venv = root().join("target/ansible");
        let ansible = venv.join("bin/ansible");
        if !ansible.exists() {
            run_quietly(program("python3").args(["-m", "venv"]).arg(&venv))?;
            run_quietly(program(venv.join("bin/pip")).args(["install", "--quiet", "ansible-core"]))?;
        }
        let config = self.state().join("ssh_config");
        let text =
            fs::read_to_string(&config).map_err(|e| Error::Said(format!("{}: {e}", config.display())))?;
        let hosts: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("Host "))
            .collect();
        let ask = || {
            let mut command = program(&ansible);
            command
                .env(
                    "ANSIBLE_SSH_ARGS",
                    format!(
                        "-F {} -o ControlMaster=auto -o ControlPersist=60s",
                        config.display()
                    ),
                )
                .args(["all", "-m", "setup", "-i", &format!("{},", hosts.join(","))]);
            command
        };
        run_quietly(&mut ask())?; // opens the connections
        let runs = Self::repeat(times, ask)?;
        Ok(format!("ansible -m setup: {}", runs.tell()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_tell_their_median_and_ends() {
        let runs = Runs([30, 1000, 20].map(Duration::from_millis).to_vec());
        assert_eq!(runs.tell(), "30.0 ms (20.0 ms…1.00 s, n=3)");
        assert_eq!(Runs::default().tell(), "not measured");
    }
}
