//! Power of hosts as this machine can switch and read it: by the stock fence agent of the
//! cloud file's `power:`, where it is installed here, or by the lab that runs here.
//!
//! A cloud that is off has no host that could do it. An agent takes its options as lines on
//! standard input, so no secret stands in a process list.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use cloud::{PowerDevice, PowerOption};
use fleet::Fill;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::project::Project;

/// Time that a fence agent may take.
const LIMIT: Duration = Duration::from_mins(2);
/// Exit status of a fence agent whose plug is off, by the agents' common interface.
const OFF: i32 = 2;

/// An action of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    On,
    Status,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Status => "status",
        }
    }
}

/// Options of a device as an agent reads them, a line each.
fn options(device: &PowerDevice, host: &str, fill: &Fill) -> Result<String, String> {
    let mut out = String::new();
    for (key, option) in &device.options {
        let value = match &option.value.value {
            PowerOption::Text(text) => text.clone(),
            PowerOption::Secret(name) => fill(&render::secret(name))?,
            PowerOption::File(path) => fill(&render::secret(&format!("file/{path}")))?,
        };
        match key.as_str() {
            // Pacemaker's own word for the plug of each host.
            "pcmk_host_map" => {
                let pairs = value
                    .split([';', ' ', '\t'])
                    .filter_map(|pair| pair.split_once(':'));
                for (_, plug) in pairs.filter(|(name, _)| *name == host) {
                    let _ = writeln!(out, "port={plug}");
                }
            }
            _ if key.starts_with("pcmk_") => {}
            _ => {
                let _ = writeln!(out, "{key}={value}");
            }
        }
    }
    Ok(out)
}

/// Runs an agent. Gives its exit status and the last line of its words.
async fn run(agent: &str, input: &str) -> Result<(Option<i32>, String), String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let child = Command::new(agent)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("{agent} is not installed on this machine"));
        }
        Err(error) => return Err(format!("{agent}: {error}")),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let ended = ended.map_err(|_| format!("{agent} took more than {} s", LIMIT.as_secs()))?;
    let ended = ended.map_err(|error| format!("{agent}: {error}"))?;
    let words = String::from_utf8_lossy(&ended.stderr);
    let last = words.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default();
    Ok((ended.status.code(), last.trim().to_owned()))
}

/// The name of the lab of this machine in which a cloud's hosts are.
fn lab_of(project: &Project) -> Option<lab::LabSummary> {
    let labs = lab::list().ok()?;
    let name = project.model.cloud.name.value.as_str();
    let state = project.state.canonicalize_utf8().ok()?;
    labs.into_iter()
        .find(|l| l.name == name && l.state.canonicalize_utf8().ok().as_ref() == Some(&state))
}

/// The power of one host, with everything that is needed to switch it.
#[derive(Debug)]
pub struct Plug {
    host: String,
    /// Levels of agents, each with its options; all of one level act together.
    levels: Vec<Vec<(String, String)>>,
    lab: Option<lab::LabSummary>,
}

impl Plug {
    /// That of a host of the cloud file.
    ///
    /// # Errors
    /// When a secret of its device is not in the vault.
    pub fn of(project: &Project, host: &str, fill: &Fill) -> Result<Self, String> {
        let hosts = project.model.cloud.hosts.iter();
        let levels = hosts.filter(|h| h.name.as_str() == host).flat_map(|h| &h.power);
        let mut out = Self {
            host: host.to_owned(),
            levels: Vec::new(),
            lab: lab_of(project),
        };
        for level in levels {
            let devices = level.devices.iter();
            let agents = devices.map(|d| Ok((d.agent.value.clone(), options(d, host, fill)?)));
            out.levels.push(agents.collect::<Result<_, String>>()?);
        }
        Ok(out)
    }

    /// Switches it on.
    ///
    /// # Errors
    /// Why this machine cannot.
    pub async fn switch_on(self) -> Result<(), String> {
        self.act(Action::On).await.map(|_| ())
    }

    /// True if it is on, read back from its device.
    ///
    /// # Errors
    /// Why this machine cannot tell.
    pub async fn power(self) -> Result<bool, String> {
        self.act(Action::Status).await
    }

    /// Does an action at all devices of the first level that can; `true`: the power is on.
    async fn act(self, action: Action) -> Result<bool, String> {
        let mut why = Vec::new();
        for level in self.levels.iter().filter(|l| !l.is_empty()) {
            match at_level(level, action).await {
                Ok(on) => return Ok(on),
                Err(fault) => why.push(fault),
            }
        }
        if let Some(lab) = self.lab {
            return in_lab(lab, &self.host, action).await;
        }
        if why.is_empty() {
            why.push(format!("the cloud file names no `power:` of {}", self.host));
        }
        why.dedup();
        Err(why.join("; "))
    }
}

/// Does an action at all devices of a level. Where one of them has power, so has the host.
async fn at_level(level: &[(String, String)], action: Action) -> Result<bool, String> {
    let mut on = false;
    for (agent, options) in level {
        let (status, said) = run(agent, &format!("action={}\n{options}", action.as_str())).await?;
        match status {
            Some(0) => on = true,
            Some(OFF) if action == Action::Status => {}
            _ => return Err(format!("{agent}: {said}")),
        }
    }
    Ok(on)
}

/// The same with the power of a lab's host.
async fn in_lab(lab: lab::LabSummary, host: &str, action: Action) -> Result<bool, String> {
    if action == Action::Status {
        let found = lab.hosts.iter().find(|h| h.name == host);
        return found
            .map(|h| h.power == lab::Power::On)
            .ok_or_else(|| format!("the lab has no host {host}"));
    }
    let (name, host) = (lab.name, host.to_owned());
    let done = tokio::task::spawn_blocking(move || lab::on(&name, &host)).await;
    done.map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program in the place of a fence agent: it keeps its input and ends as it is told.
    fn agent(folder: &std::path::Path, name: &str, status: i32) -> String {
        let path = folder.join(name);
        let script = format!(
            "#!/bin/sh\ncat > {}/{name}.in\necho 'its reason' >&2\nexit {status}\n",
            folder.display()
        );
        fs_err::write(&path, script).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn plug(levels: Vec<Vec<(String, String)>>) -> Plug {
        Plug {
            host: "c1".to_owned(),
            levels,
            lab: None,
        }
    }

    #[tokio::test]
    async fn the_power_is_what_the_device_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let options = "ip=192.0.2.1\npassword=hush\n".to_owned();
        for (status, expect) in [(0, Some(true)), (2, Some(false)), (1, None)] {
            let name = agent(folder.path(), &format!("fence_{status}"), status);
            let read = plug(vec![vec![(name.clone(), options.clone())]]).power().await;
            assert_eq!(read.clone().ok(), expect, "{read:?}");
            let said = fs_err::read_to_string(format!("{name}.in")).unwrap();
            assert_eq!(said, "action=status\nip=192.0.2.1\npassword=hush\n");
            if expect.is_none() {
                assert!(read.unwrap_err().contains("its reason"));
            }
        }
        // An agent that says "off" to the word "on" has not done it.
        let name = agent(folder.path(), "fence_2", 2);
        assert!(plug(vec![vec![(name, options)]]).switch_on().await.is_err());
    }

    #[tokio::test]
    async fn a_level_that_cannot_is_followed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let gone = ("fence_nowhere".to_owned(), String::new());
        let good = (agent(folder.path(), "fence_good", 0), String::new());
        let dead = (agent(folder.path(), "fence_dead", 1), String::new());
        let done = |levels| plug(levels).switch_on();
        assert_eq!(done(vec![vec![gone.clone()], vec![good.clone()]]).await, Ok(()));
        // Both of a level that acts together.
        assert!(done(vec![vec![good, dead]]).await.is_err());
        let why = done(vec![vec![gone]]).await.unwrap_err();
        assert!(
            why.contains("fence_nowhere is not installed on this machine"),
            "{why}"
        );
        assert!(done(Vec::new()).await.unwrap_err().contains("no `power:` of c1"));
    }
}
