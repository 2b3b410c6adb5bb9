//! The cloud of `bench eight`: its file, fresh hosts for it, and the three ways to make
//! it of them. What is measured of it, and against which bar, is the parent's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::watch::watched;
use super::super::{Bench, chain, of_ansible};
use crate::shell::{Error, program, root, run_quietly};

const NAME: &str = "bench-eight";
/// Hosts with a vote.
pub const CONTROLLERS: [&str; 3] = ["c1", "c2", "c3"];

/// The cure that the other two ways have as well.
const CURES: &str = "rpc-reply-poll";

/// The ranges of the example, and those that the bench has in their place.
const RANGES: [(&str, &str); 2] = [("198.18.0.", "198.18.77."), ("198.18.1.", "198.18.78.")];

/// The cloud, and the folder beside its file for what is made of it.
pub struct Eight {
    /// Its file and its lab.
    pub bench: Bench,
}

impl Eight {
    /// Of a binary.
    pub fn new(quorate: PathBuf) -> Result<Self, Error> {
        let cloud = root().join("target/bench/eight/cloud.yaml");
        let folder = cloud.with_file_name("");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self {
            bench: Bench {
                quorate,
                cloud,
                name: NAME,
            },
        })
    }

    /// Writes the cloud file: the example's with these services, of a name and in ranges of
    /// its own, so that the lab and the secrets of the example are left alone.
    pub fn describe(&self, services: &str) -> Result<(), Error> {
        let example = root().join("examples/eight-services.yaml");
        let mut text = fs::read_to_string(&example).map_err(at(&example))?;
        for (of_example, here) in RANGES {
            text = text.replace(of_example, here);
        }
        let lines = text.lines().map(|line| match line.split_once(": ") {
            Some(("cloud", _)) => format!("cloud: {NAME}\n"),
            Some(("cures", _)) => format!("cures: [{CURES}]\n"),
            Some(("services", _)) => format!("services: [{services}]\n"),
            _ => format!("{line}\n"),
        });
        fs::write(&self.bench.cloud, lines.collect::<String>()).map_err(at(&self.bench.cloud))
    }

    /// Runs a script on a host, past its network; what it prints.
    pub fn shell(&self, host: &str, script: &str) -> Result<String, Error> {
        let mut command = program(&self.bench.quorate);
        said(command.args(["lab", "shell", NAME, host, "sh", "-c", script]))
    }

    /// Hosts that have never been touched, for these services, and with packages of others.
    pub fn fresh(&self, services: &str, with: &[&str]) -> Result<(), Error> {
        self.describe(services)?;
        self.bench.down()?;
        let mut words = vec!["lab", "up"];
        words.extend(with.iter().flat_map(|package| ["--with", package]));
        run_quietly(&mut self.bench.verb(&words)).map(|_| ())
    }

    /// Makes it by `quorate apply`.
    pub fn apply(&self) -> Result<Duration, Error> {
        let mut command = self.bench.verb(&["apply", "--yes"]);
        Ok(watched(&mut command, &self.bench.log("apply"))?.took)
    }

    /// The rendered files with the vault's secrets in them, as an operator without
    /// quorate would have them at hand: not measured.
    fn prepared(&self) -> Result<PathBuf, Error> {
        let [rendered, prepared] = ["rendered", "prepared"].map(|f| self.bench.cloud.with_file_name(f));
        for folder in [&rendered, &prepared] {
            let _ = fs::remove_dir_all(folder);
        }
        run_quietly(self.bench.verb(&["render"]).arg("--to").arg(&rendered))?;
        let python = of_ansible("python")?;
        // By which a vault is read.
        if run_quietly(program(&python).args(["-c", "import pyrage"])).is_err() {
            run_quietly(program(of_ansible("pip")?).args(["install", "--quiet", "pyrage"]))?;
        }
        let mut prepare = program(&python);
        prepare.arg(root().join("benches/playbook/prepare.py"));
        run_quietly(prepare.args([&rendered, &self.bench.state(), &prepared]))?;
        Ok(prepared)
    }

    /// Makes it by the commands that nobody could avoid.
    pub fn chain(&self) -> Result<Duration, Error> {
        let prepared = self.prepared()?;
        let script = root().join("benches/chain-eight.sh");
        chain(&script, &[self.bench.state().join("ssh_config"), prepared])
    }

    /// Makes it by Ansible.
    pub fn playbook(&self) -> Result<Duration, Error> {
        let prepared = self.prepared()?;
        let folder = root().join("benches/playbook");
        // Connections of an earlier run lead to hosts that are gone.
        let connections = std::env::temp_dir().join("quorate-bench-eight");
        let _ = fs::remove_dir_all(&connections);
        let mut command = program(of_ansible("ansible-playbook")?);
        let config = self.bench.state().join("ssh_config");
        command
            .env("ANSIBLE_CONFIG", folder.join("ansible.cfg"))
            .env("ANSIBLE_SSH_COMMON_ARGS", format!("-F {}", config.display()))
            .env("ANSIBLE_SSH_CONTROL_PATH_DIR", &connections)
            .arg("--inventory")
            .arg(folder.join("hosts.yml"))
            .arg("--extra-vars")
            .arg(format!("@{}", prepared.join("vars.json").display()))
            .arg(folder.join("site.yml"));
        let took = watched(&mut command, &self.bench.log("playbook"))?.took;
        let _ = fs::remove_dir_all(&connections);
        Ok(took)
    }

    /// What `apply` would still do after another way: whether that did the same work.
    pub fn left_to_do(&self) -> Result<String, Error> {
        let plan = said(&mut self.bench.verb(&["plan", "--brief"]))?;
        let log = self.bench.log("left-to-do");
        fs::write(&log, &plan).map_err(at(&log))?;
        Ok(if plan.contains("nothing to do") {
            "nothing to do".to_owned()
        } else {
            format!("{} lines, in {}", plan.lines().count(), log.display())
        })
    }
}

/// What a program prints; what it says to people is in the error if it fails.
fn said(command: &mut Command) -> Result<String, Error> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(why) => return Err(Error::Start { command: name, why }),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Said(format!(
        "`{name}` failed ({})\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |why| Error::Said(format!("{path}: {why}"))
}
