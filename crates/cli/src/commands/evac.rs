//! `quorate evac`: asks the engine that has VMs come up elsewhere, on the controllers. What it
//! knows lies there; the operator's machine has nothing of it.

use std::process::ExitCode;

use fleet::Session;
use names::HostName;
use wire::{Answer, Command, Fact, Op, Query, Reply};

use crate::args::{EvacArgs, EvacVerb};
use crate::failure::Failure;
use crate::project::Project;
use crate::{runner, say, seen};

/// Program that stays on controllers.
const PROGRAM: &str = "/usr/lib/quorate/quorate";
/// Time for an answer, in milliseconds.
const ANSWER: u64 = 60_000;
/// Time for a word that changes something, in milliseconds: a host that is cut and given its
/// power back starts anew.
const CHANGE: u64 = 1_800_000;

/// Words of the command on a controller, and what the verb changes.
fn words(verb: &EvacVerb) -> (Vec<String>, Option<String>) {
    let of = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<String>>();
    let change = |all: &[&str]| (of(all), Some(format!("evac {}", all.join(" "))));
    match verb {
        EvacVerb::Audit => (of(&["audit"]), None),
        EvacVerb::Rehearse => (of(&["rehearse"]), None),
        EvacVerb::History { last } => (of(&["history", "--last", &last.to_string()]), None),
        EvacVerb::Show { id } => (of(&["show", &id.to_string()]), None),
        EvacVerb::Explain { host } => (of(&["explain", host]), None),
        EvacVerb::Release { minutes } => change(&["release", "--minutes", &minutes.to_string()]),
        EvacVerb::Pause => change(&["pause"]),
        EvacVerb::Resume => change(&["resume"]),
        EvacVerb::ConfirmDead { host } => change(&["confirm-dead", host]),
        EvacVerb::Prove { host, off: false } => change(&["prove", host]),
        EvacVerb::Prove { host, off: true } => change(&["prove", host, "--off"]),
    }
}

/// Runs it. A journal is its controller's own, so the story of a host is asked of all.
pub async fn run(args: &EvacArgs, catalog: &[camino::Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    let sessions = seen::connect(&project).await?;
    let members = (project.desired.nodes.iter())
        .filter_map(|(host, _)| Some((host, sessions.get(host)?.as_ref().ok()?)));
    let (verb, change) = words(&args.verb);
    let mut words = vec![PROGRAM.to_owned(), "agent".to_owned(), "evac".to_owned()];
    words.extend(["--by".to_owned(), runner::author()]);
    words.extend(verb);
    let all = matches!(args.verb, EvacVerb::Explain { .. });
    let mut why = None;
    let mut answered = false;
    for (host, session) in members {
        let done = match &change {
            Some(line) => {
                runner::audit(&sessions, line).await;
                say_to(session, &words).await
            }
            None => ask(session, &words).await,
        };
        match done {
            Ok(text) if all && text.is_empty() => answered = true,
            Ok(text) => {
                if all {
                    say::outln!("{host}:");
                }
                say::out!("{text}");
                answered = true;
            }
            Err(error) => why = Some((host, error)),
        }
        if !all && answered || change.is_some() {
            break;
        }
    }
    match why {
        Some((host, why)) if !answered => Err(refused(host, &why)),
        None if !answered => Err(Failure::world("no controller can be reached", "`quorate status`")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn refused(host: &HostName, why: &str) -> Failure {
    // The program is there, and says itself what would help.
    let hint = if why.contains("No such file") || why.contains("cannot run") {
        "a cloud has an engine if its file names `evac` among the services, and was applied since"
    } else {
        ""
    };
    Failure::world(format!("{host}: {why}"), hint)
}

/// Asks for what is known.
async fn ask(session: &Session, argv: &[String]) -> Result<String, String> {
    let query = Query::Run {
        argv: argv.to_vec(),
        timeout_ms: ANSWER,
    };
    match session.call(Op::Ask(query), None).await {
        Ok(Reply::Answer(Fact::Known(Answer::Ran {
            status: 0, stdout, ..
        }))) => Ok(stdout),
        Ok(Reply::Answer(Fact::Known(Answer::Ran { stderr, .. }))) => Err(stderr.trim().to_owned()),
        Ok(Reply::Answer(Fact::Unknown(why))) => Err(why),
        Ok(_) => Err("it does not say".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Has something changed; its lines are told as they come.
async fn say_to(session: &Session, argv: &[String]) -> Result<String, String> {
    // Of its own name each time: a command's result is kept under its name.
    let unit = format!("quorate-evac-{}", uuid::Uuid::now_v7().simple());
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let call = session.call(Op::Run(Command::new(unit, &words, CHANGE)), Some(sender));
    tokio::pin!(call);
    loop {
        tokio::select! {
            Some(line) = lines.recv() => say::outln!("{line}"),
            done = &mut call => {
                while let Ok(line) = lines.try_recv() {
                    say::outln!("{line}");
                }
                return done.map(|_| String::new()).map_err(|error| error.to_string());
            }
        }
    }
}
