//! `quorate host confirm-dead`: the operator's word in place of a fence device that is dead
//! itself. It is asked for while fencing of the host pends, and holds for that death alone.
//!
//! The word is given to Pacemaker at once and is kept nowhere, so it cannot be used again:
//! a host that returns is a member like any other, and its next death needs another word.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use pacemaker::Monitor;
use plan::Observed;
use wire::{Command, Op};

use super::recover::typed;
use crate::args::{ApplyArgs, ConfirmArgs};
use crate::failure::Failure;
use crate::heard;
use crate::project::Project;
use crate::runner::Runner;
use crate::say;

/// Time that Pacemaker may take to act on the word.
const ACTS: Duration = Duration::from_secs(30);

/// True if fencing of a host pends, as a partition with quorum sees it.
fn pends(observed: &Observed, host: &str) -> Result<(), Failure> {
    let Some(monitor) = plan::quorate(observed) else {
        return Err(Failure::explained(
            "host::no-cluster",
            "no host tells of a cluster that is quorate, and one without quorum fences nobody",
            "`quorate status` shows what is left; `quorate recover` brings it back",
        ));
    };
    if unclean(&monitor, host) {
        return Ok(());
    }
    Err(Failure::explained(
        "host::not-pending",
        &format!("no fencing of {host} pends: the cluster does not hold it for alive and out of control"),
        "nothing is to be confirmed; a word given in advance would hold for a death that nobody has looked at",
    ))
}

fn unclean(monitor: &Monitor, host: &str) -> bool {
    monitor.nodes.iter().any(|n| n.name == host && n.unclean)
}

/// Refuses where any path hears the host.
async fn silent(run: &Runner, host: &str) -> Result<(), Failure> {
    let heard = heard::paths(&run.project, &run.sessions, host).await;
    if heard.is_empty() {
        return Ok(());
    }
    Err(Failure::explained(
        "host::heard",
        &format!(
            "{host} may be alive, and nothing was confirmed:\n  {}\n",
            heard.join("\n  ")
        ),
        "cut its power by hand and look again; as long as a path cannot be tried, it is not silent",
    ))
}

/// The option that stands for the name typed at a terminal.
fn in_place_of_typing(host: &str) -> String {
    format!("--typed {host}")
}

/// Runs it.
pub async fn run(args: &ConfirmArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let host = args.host.as_str();
    let project = Project::open(&args.file, catalog)?;
    if !project.desired.is_member(host) {
        return Err(project.no_host(host));
    }
    let apply = ApplyArgs::of(&args.file, false);
    let mut run = Runner::open(project, &apply, "host confirm-dead").await?;
    let observed = run.observe(false).await?;
    pends(&observed, host)?;
    silent(&run, host).await?;
    say::errln!(
        "the cluster waits for the proof that {host} is off, and no fence device gives it. With your word it starts \
         elsewhere what {host} alone may run: volumes, addresses, whatever has one holder. If {host} is alive all \
         the same, both write, and what they write to is destroyed. Stand before it: its power must be off, its \
         cables pulled or its disks out. The word holds for this death alone."
    );
    let meant = match &args.typed {
        Some(name) => name == host,
        None => typed(host, &in_place_of_typing(host))?,
    };
    if !meant {
        return Err(Failure::world(
            format!("nothing was confirmed: that is not `{host}`"),
            "",
        ));
    }
    // Void at the first sign of life, also while the name was typed.
    pends(&run.observe(false).await?, host)?;
    silent(&run, host).await?;
    give_word(&run, host).await?;
    let begin = Instant::now();
    loop {
        let observed = run.observe(false).await?;
        if plan::quorate(&observed).is_some_and(|m| !unclean(&m, host)) {
            break;
        }
        if begin.elapsed() > ACTS {
            return Err(Failure::world(
                format!("Pacemaker was told, and still waits for {host} to be fenced"),
                "`crm_mon` and `stonith_admin --history=*` on a member say why",
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    say::outln!("host confirm-dead {host}: the cluster goes on without it");
    Ok(ExitCode::SUCCESS)
}

/// Tells Pacemaker, by the first member that can be reached.
async fn give_word(run: &Runner, host: &str) -> Result<(), Failure> {
    run.audit(&format!("confirms that {host} is dead")).await;
    let members = run.project.desired.nodes.iter().filter(|(name, _)| name != host);
    let mut sessions = members.filter_map(|(name, _)| Some((name, run.sessions.get(name)?.as_ref().ok()?)));
    let Some((by, session)) = sessions.next() else {
        return Err(Failure::world("no member could be told", "`quorate status`"));
    };
    // Of its own name each time: a command's result is kept under its name and would be
    // taken for that of another death.
    let unit = format!("quorate-confirm-{host}-{}", uuid::Uuid::now_v7().simple());
    let word = format!("--confirm={host}");
    let op = Op::Run(Command::new(unit, &["stonith_admin", &word], 30_000));
    session
        .call(op, None)
        .await
        .map_err(|error| super::backup::failed(by, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(quorum: bool, unclean: bool) -> Observed {
        let xml = format!(
            "<pacemaker-result><summary><current_dc present=\"true\" name=\"c2\" with_quorum=\"{quorum}\"/></summary><nodes>\
             <node name=\"c1\" id=\"1\" online=\"false\" standby=\"false\" maintenance=\"false\" pending=\"false\" \
             unclean=\"{unclean}\"/></nodes></pacemaker-result>"
        );
        let facts = serde_json::json!({
            "hostname": "c2", "boot_id": "", "os": "Absent", "clock": 0, "memory_kib": 0, "disk_free": {}, "disk_size": {},
            "addresses": [], "listeners": [], "files": {}, "units": {}, "packages": {}, "sysctls": {},
            "answers": {}, "cluster": {"Known": pacemaker::Monitor::parse(&xml).unwrap()}, "cib": "Absent"
        });
        let facts: wire::Facts = serde_json::from_value(facts).unwrap();
        [(names::HostName::new("c2").unwrap(), Ok(facts))]
            .into_iter()
            .collect()
    }

    #[test]
    fn the_option_named_without_a_terminal_is_one_of_the_verb() {
        use clap::Parser as _;
        let option = in_place_of_typing("c1");
        let words = ["quorate", "host", "confirm-dead", "c1"];
        let words = words.into_iter().chain(option.split(' '));
        let args = crate::args::Args::try_parse_from(words);
        assert!(args.is_ok(), "{option}: {args:?}");
        let Failure::World { hints, .. } = crate::commands::recover::no_terminal("c1", &option) else {
            unreachable!();
        };
        assert!(hints[0].contains(&option), "{hints:?}");
    }

    #[test]
    fn a_word_is_taken_only_while_fencing_pends() {
        let check = |quorum: bool, unclean: bool, code: Option<&str>| {
            let said = match pends(&seen(quorum, unclean), "c1") {
                Err(Failure::World { message, .. }) => message,
                _ => String::new(),
            };
            match code {
                None => assert_eq!(said, ""),
                Some(code) => assert!(said.contains(code), "{said}"),
            }
        };
        check(true, true, None);
        check(true, false, Some("host::not-pending"));
        check(false, true, Some("host::no-cluster"));
    }
}
