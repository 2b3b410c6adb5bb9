//! `quorate power`: a whole site off in order, and on again until it is redundant.
//!
//! Off is a plan that is shown and asked about. On needs no host that runs: this machine
//! switches them on, waits for them, and recovers what does not come by itself.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use engines::Intent;
use fleet::Fill;
use names::HostName;
use plan::SiteOff;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::apply::{agreed, ask, converge};
use super::plan::refused;
use super::status::{Walk, look};
use crate::args::{ApplyArgs, PowerRun, PowerVerb};
use crate::failure::Failure;
use crate::power::Plug;
use crate::project::Project;
use crate::runner::Runner;
use crate::{machines, say, seen};

/// Time until every host that was told to go down has gone.
const GOES: Duration = Duration::from_mins(5);
/// A server's firmware takes its time.
const BOOT: Duration = Duration::from_mins(15);
/// Time that hosts beside the cluster get after the cloud serves again.
const BESIDE: Duration = Duration::from_mins(5);
/// Time from the end of the recovery to a cloud with nothing wrong.
const WELL: Duration = Duration::from_mins(5);
/// Pause between two looks.
const TICK: Duration = Duration::from_secs(2);

/// Facts of a switching off that are of use when it is switched on again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Time, RFC 3339.
    at: String,
    /// Member that stopped last, with the newest data.
    last: Option<HostName>,
    /// Machines of users that were shut down, by host.
    machines: BTreeMap<HostName, Vec<String>>,
}

impl Record {
    fn path(state: &Utf8Path) -> Utf8PathBuf {
        state.join("power.json")
    }

    /// That of the last time, if this machine has one.
    fn read(state: &Utf8Path) -> Option<Self> {
        serde_json::from_slice(&fs_err::read(Self::path(state)).ok()?).ok()
    }

    fn write(&self, state: &Utf8Path) -> Result<(), Failure> {
        Ok(fs_err::write(
            Self::path(state),
            serde_json::to_vec_pretty(self)?,
        )?)
    }

    /// Sentences for people.
    fn told(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(last) = &self.last {
            out.push(format!(
                "switched off at {}; {last} stopped last and has the newest data",
                self.at
            ));
        }
        for (host, names) in self.machines.iter().filter(|(_, names)| !names.is_empty()) {
            out.push(format!(
                "machines that ran on {host} and stay off until their owners start them: {}",
                names.join(", ")
            ));
        }
        out
    }
}

/// Runs it.
pub async fn run(verb: &PowerVerb, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    match verb {
        PowerVerb::Off(args) => off(args, catalog).await,
        PowerVerb::On(args) => Box::pin(on(args, catalog)).await,
    }
}

/// True if a host has power, as its device tells this machine.
async fn is_on(run: &Runner, host: &str) -> Result<bool, String> {
    Plug::of(&run.project, host, &run.fill)?.power().await
}

/// Hosts that cannot be reached and have no power, as their devices tell.
async fn without_power(run: &Runner) -> Vec<HostName> {
    let mut out = Vec::new();
    for (host, session) in &run.sessions {
        if session.is_err() && is_on(run, host).await == Ok(false) {
            out.push(host.clone());
        }
    }
    out
}

async fn off(args: &PowerRun, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let begin = Instant::now();
    let project = Project::open(&args.file, catalog)?;
    let mut run = Runner::open(project, &ApplyArgs::of(&args.file, args.yes), "power off").await?;
    let gone = without_power(&run).await;
    if !gone.is_empty() {
        say::errln!("{} has no power already", gone.join(", "));
        run.project.desired = run.project.desired.without(&gone);
    }
    let observed = run.observe(false).await?;
    let machines = machines::ask(&run.project.desired, &run.sessions).await;
    let SiteOff { plan, last } =
        plan::switch_off(&run.project.desired, &observed, &machines).map_err(|r| refused(&r))?;
    if !agreed(&plan, args.yes)? {
        return Ok(ExitCode::from(1));
    }
    let record = Record {
        at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        last,
        machines: (machines.into_iter())
            .filter_map(|(host, names)| Some((host, names.ok()?)))
            .collect(),
    };
    record.write(&run.project.state)?;
    run.audit("switches the site off").await;
    run.stage(&plan, &observed).await?;
    until_gone(&run).await?;
    for line in proofs(&run).await {
        say::errln!("{line}");
    }
    let last = record.last.map_or_else(String::new, |host| {
        format!("; {host} stopped last and has the newest data")
    });
    say::outln!(
        "{}: off in {:.1} s{last}; `quorate power on` brings it back",
        run.project.model.cloud.name.value,
        begin.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// Waits for the connections to all hosts to end.
async fn until_gone(run: &Runner) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        let there = run.sessions.iter().filter(|(host, session)| {
            run.project.desired.hosts.contains_key(*host) && session.as_ref().is_ok_and(|s| s.alive())
        });
        let there: Vec<&str> = there.map(|(host, _)| host.as_str()).collect();
        if there.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > GOES {
            return Err(Failure::world(
                format!(
                    "{} was told to switch itself off, and still answers after {} s",
                    there.join(", "),
                    GOES.as_secs()
                ),
                "look at its console; what it ran has stopped, so its power may be cut",
            ));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The power of each host as its device tells it once it should be off, a sentence each where
/// it is not known to be.
async fn proofs(run: &Runner) -> Vec<String> {
    let mut out = Vec::new();
    for host in run.project.desired.hosts.keys() {
        let begin = Instant::now();
        loop {
            match is_on(run, host).await {
                Ok(false) => break,
                Ok(true) if begin.elapsed() < Duration::from_mins(1) => tokio::time::sleep(TICK).await,
                Ok(true) => {
                    out.push(format!(
                        "{host} still has power, as its device tells: look at its console"
                    ));
                    break;
                }
                Err(why) => {
                    out.push(format!("{host} is gone; its power could not be read back: {why}"));
                    break;
                }
            }
        }
    }
    out
}

/// Switches hosts on, all at once. Gives a sentence for each that this machine cannot.
async fn switch_on(project: &Project, fill: &Fill, hosts: &[HostName]) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for host in hosts {
        let plug = Plug::of(project, host, fill);
        let host = host.clone();
        tasks.spawn(async move {
            let done = match plug {
                Ok(plug) => plug.switch_on().await,
                Err(why) => Err(why),
            };
            done.err()
                .map(|why| format!("switch {host} on by hand, since this machine cannot: {why}"))
        });
    }
    let mut out: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    out.sort();
    out
}

/// Waits until hosts answer over ssh. Gives those that do not.
async fn until_answer(
    project: &Project,
    mut hosts: Vec<HostName>,
    limit: Duration,
) -> Result<Vec<HostName>, Failure> {
    let begin = Instant::now();
    let binary = seen::binary()?;
    while !hosts.is_empty() {
        let targets = project.targets().into_iter().filter(|t| hosts.contains(&t.name));
        let sessions = fleet::connect(targets.collect(), binary.clone()).await;
        hosts.retain(|host| !matches!(sessions.get(host), Some(Ok(_))));
        if begin.elapsed() > limit {
            break;
        }
        if !hosts.is_empty() {
            tokio::time::sleep(TICK).await;
        }
    }
    Ok(hosts)
}

async fn on(args: &PowerRun, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let begin = Instant::now();
    let project = Project::open(&args.file, catalog)?;
    let (fill, _vault) = seen::filler(project.vault()?);
    let sessions = seen::connect(&project).await?;
    let silent = |host: &&HostName| !matches!(sessions.get(*host), Some(Ok(_)));
    let wanted = project.desired.hosts.keys().filter(silent);
    let wanted = wanted.filter(|host| !project.desired.away.contains_key(*host));
    let (members, others): (Vec<HostName>, Vec<HostName>) =
        wanted.cloned().partition(|host| project.desired.is_member(host));
    drop(sessions);
    let record = Record::read(&project.state);
    for line in record.iter().flat_map(Record::told) {
        say::errln!("{line}");
    }
    if !members.is_empty() || !others.is_empty() {
        let all = [members.clone(), others.clone()].concat();
        say::errln!(
            "{} are switched on; then stores and services are recovered",
            all.join(", ")
        );
        if !args.yes && !ask()? {
            return Ok(ExitCode::from(1));
        }
    }
    for hosts in [&members, &others] {
        for line in switch_on(&project, &fill, hosts).await {
            say::errln!("{line}");
        }
    }
    let missing = until_answer(&project, members, BOOT).await?;
    if !missing.is_empty() {
        return Err(Failure::world(
            format!(
                "{} do not answer over ssh {} min after they were switched on",
                missing.join(", "),
                BOOT.as_secs() / 60
            ),
            "look at their consoles, then run this again; where one never comes back: `quorate recover --without HOST`",
        ));
    }
    let apply = ApplyArgs::of(&args.file, true);
    let mut run = Runner::open(project, &apply, "power on").await?;
    converge(&mut run, &apply, Intent::Recover, &[]).await?;
    let project = run.project;
    drop(run.sessions);
    for host in until_answer(&project, others, BESIDE).await? {
        say::errln!("warning: {host} does not answer over ssh yet");
    }
    let verdict = until_well(&project).await?;
    let path = Record::path(&project.state);
    if path.exists() {
        fs_err::remove_file(path)?;
    }
    say::outln!(
        "{}: on, {} changes in {:.1} s; {verdict}",
        project.model.cloud.name.value,
        run.changed,
        begin.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// Looks until nothing is wrong any more; a cloud of one controller is never `redundant`.
async fn until_well(project: &Project) -> Result<String, Failure> {
    let begin = Instant::now();
    loop {
        let snapshot = look(project, Walk::Reads).await?;
        if snapshot.problems.is_empty() {
            return Ok(snapshot.verdict.as_str().to_owned());
        }
        if begin.elapsed() > WELL {
            return Err(Failure::world(
                format!(
                    "after {} min the cloud is still {}: {}",
                    WELL.as_secs() / 60,
                    snapshot.verdict.as_str(),
                    snapshot.reason
                ),
                snapshot.next,
            ));
        }
        tokio::time::sleep(TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    #[test]
    fn a_record_tells_the_newest_data_and_the_machines() {
        let folder = tempfile::tempdir().unwrap();
        let state = Utf8Path::from_path(folder.path()).unwrap();
        let record = Record {
            at: "2026-11-21T16:00:00Z".to_owned(),
            last: Some(host("c1")),
            machines: [
                (host("n1"), vec!["instance-1".to_owned()]),
                (host("n2"), Vec::new()),
            ]
            .into_iter()
            .collect(),
        };
        assert_eq!(Record::read(state), None);
        assert!(record.write(state).is_ok());
        assert_eq!(Record::read(state).as_ref(), Some(&record));
        let told = record.told();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].contains("c1 stopped last") && told[1].contains("n1") && told[1].contains("instance-1")
        );
    }
}
