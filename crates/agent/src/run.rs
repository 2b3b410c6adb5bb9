//! Commands that change something, each as a transient unit of systemd named
//! by its step and what it runs: it goes on when the operator's side goes away, and the next
//! session finds it and waits. Not for programs that only look (`process`).

mod place;

use std::{fs, path::Path, time::Duration};

use futures::StreamExt as _;
use wire::{Command, OpError};
use zbus::{Variant, fdo::PropertiesProxy};

use crate::{
    ops::Session,
    process::{PATH, tail},
    session::Progress,
    systemd::{Properties, Systemd, Why, journal},
};
use place::{DIRECTORY, Place, tell, tell_rest};

/// How often new output is told, and the unit looked at should a signal be lost.
const LOOK: Duration = Duration::from_millis(500);

/// Runs a command to its end, or waits for the one that is running under the
/// name. `afterwards` is a shell line that systemd runs as root when the unit
/// ends, however it ends and whether or not we are still there.
pub(crate) async fn run(
    session: &Session,
    command: &Command,
    afterwards: Option<&str>,
    progress: &Progress,
) -> Result<u32, OpError> {
    let systemd = session.systemd().await?;
    let name = named(command);
    let unit = format!("{name}.service");
    let shown = command.argv.join(" ");
    let place = Place::new(&name);
    let failed = |message: String| OpError {
        command: Some(shown.clone()),
        ..OpError::new(message)
    };
    let on_bus = |error: zbus::Error| failed(format!("cannot run `{shown}` as {unit}: {}", Why(&error)));

    if !command
        .unit
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-')
        || command.unit.is_empty()
    {
        return Err(failed(format!("`{}` cannot be the name of a unit", command.unit)));
    }
    // The same step of another run may do something else: it is not ours that ends then,
    // and both at once is what neither was made for.
    for other in running(systemd, &command.unit).await.map_err(on_bus)? {
        if other != name {
            ended(systemd, &other, progress).await.map_err(on_bus)?;
        }
    }
    let before = systemd.unit(&unit).await.map_err(on_bus)?;
    if is_running(&before) && is_kept(systemd, &unit).await.map_err(on_bus)? {
        progress.say(format!("{unit} is already running: waiting for it"));
    } else {
        let before = systemd.unit(&unit).await.map_err(on_bus)?;
        if before.text("ActiveState") == "failed" {
            systemd.manager.reset_failed_unit(&unit).await.map_err(on_bus)?;
        }
        let program = find(&command.argv).map_err(&failed)?;
        place
            .prepare(command)
            .map_err(|error| failed(format!("cannot write to {DIRECTORY}: {error}")))?;
        let started = start(systemd, &unit, &program, command, &place, afterwards, progress).await;
        place.forget();
        started.map_err(on_bus)?;
    }
    wait(systemd, &unit, &place.log, progress).await.map_err(on_bus)?;
    let ended = systemd.service(&unit).await.map_err(on_bus)?;
    let _ = systemd.unit_call(&unit, "Unref").await;

    let end = End {
        result: ended.text("Result"),
        code: ended.number("ExecMainCode"),
        status: ended.number("ExecMainStatus"),
    };
    let Err(why) = end.judge(Duration::from_millis(command.timeout_ms)) else {
        return Ok(1);
    };
    let log = fs::read(&place.log).unwrap_or_default();
    let mut tail = tail(&String::from_utf8_lossy(&log));
    if tail.is_empty() {
        // What systemd has to say of it.
        tail = journal(&unit).await;
    }
    Err(OpError {
        status: Some(if end.code == EXITED { end.status } else { -1 }),
        tail,
        ..failed(format!("`{shown}` {why}"))
    })
}

/// Waits for the end, whatever it is, of all that runs under a step's name.
pub(crate) async fn settle(session: &Session, step: &str, progress: &Progress) -> Result<(), OpError> {
    let systemd = session.systemd().await?;
    let all = async {
        for name in running(systemd, step).await? {
            ended(systemd, &name, progress).await?;
        }
        Ok(())
    };
    all.await
        .map_err(|error: zbus::Error| OpError::new(format!("cannot wait for {step}: {}", Why(&error))))
}

/// The key of the digest in a unit's name, which is no secret.
const KEY: [u8; 32] = *b"quorate: the name of a command's";

/// The name of a command's unit, without suffix: its step, and a digest of what is run and
/// as whom. What runs under another name of the step is not this command.
fn named(command: &Command) -> String {
    let mut text = format!("{}\0{}\0", command.user, command.cwd);
    for word in &command.argv {
        text.push_str(word);
        text.push('\0');
    }
    let digest = wire::digest(&KEY, text.as_bytes());
    format!("{}_{}", command.unit, digest.get(..8).unwrap_or(&digest))
}

/// The names, without suffix, of the units of a step that run.
async fn running(systemd: &Systemd, step: &str) -> zbus::Result<Vec<String>> {
    let states = ["active", "activating", "deactivating"];
    let all = systemd.named_like(&states, &format!("{step}_*.service")).await?;
    let names = all.iter().filter_map(|unit| unit.strip_suffix(".service"));
    Ok(names.map(str::to_owned).collect())
}

/// Waits for the end of a unit by its name without suffix.
async fn ended(systemd: &Systemd, name: &str, progress: &Progress) -> zbus::Result<()> {
    let unit = format!("{name}.service");
    progress.say(format!("{unit} is running: waiting for its end"));
    wait(systemd, &unit, &Place::new(name).log, progress).await
}

fn is_running(unit: &Properties) -> bool {
    matches!(
        unit.text("ActiveState").as_str(),
        "active" | "activating" | "deactivating"
    )
}

/// True when systemd keeps a running unit in memory until its end was read; false when it
/// ended, and was forgotten, right before.
async fn is_kept(systemd: &Systemd, unit: &str) -> zbus::Result<bool> {
    if systemd.unit_call(unit, "Ref").await.is_err() {
        return Ok(false);
    }
    Ok(is_running(&systemd.unit(unit).await?) || systemd.service(unit).await?.number("ExecMainCode") != 0)
}

/// `CLD_EXITED` of `waitid(2)`: the program ended by itself, with a status.
const EXITED: i32 = 1;

/// The end of a unit's main process, in systemd's words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    /// `Result`.
    result: String,
    /// `ExecMainCode`, zero where no process of the unit is known to have ended.
    code: i32,
    /// `ExecMainStatus`: an exit status, or a signal's number.
    status: i32,
}

impl End {
    /// Done is what ended by itself with status 0, and nothing else: systemd calls also an
    /// end by SIGTERM, SIGHUP, SIGINT and SIGPIPE a success (`SuccessExitStatus=`).
    fn judge(&self, limit: Duration) -> Result<(), String> {
        match (self.result.as_str(), self.code, self.status) {
            ("success", EXITED, 0) => Ok(()),
            ("timeout", ..) => Err(format!("did not end within {} s", limit.as_secs_f64())),
            ("oom-kill", ..) => Err("was killed for want of memory".to_owned()),
            (_, EXITED, status) => Err(ended_with(status)),
            (_, 0, _) => Err("has ended, and systemd does not know how".to_owned()),
            (result, _, signal) => Err(format!("was ended by signal {signal} ({result})")),
        }
    }
}

/// systemd's own statuses for what it could not do before the program
/// (systemd.exec(5)); a program of its own seldom uses them.
fn ended_with(status: i32) -> String {
    match status {
        200 => "could not run: its working directory is not there".to_owned(),
        203 => "could not run: it cannot be executed".to_owned(),
        216 => "could not run: its group is not there".to_owned(),
        217 => "could not run: its user is not there".to_owned(),
        other => format!("ended with status {other}"),
    }
}

/// The program's path: systemd before 250 wants an absolute one.
fn find(argv: &[String]) -> Result<String, String> {
    let program = argv.first().ok_or("there is no program to run")?;
    if program.contains('/') {
        return Ok(program.clone());
    }
    PATH.split(':')
        .map(|directory| format!("{directory}/{program}"))
        .find(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file()))
        .ok_or_else(|| format!("cannot run `{program}`: it is not installed"))
}

/// Starts the unit; when this is done the program has been executed, so it
/// has read its environment and opened its input.
async fn start(
    systemd: &Systemd,
    unit: &str,
    program: &str,
    command: &Command,
    place: &Place,
    afterwards: Option<&str>,
    progress: &Progress,
) -> zbus::Result<()> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let or = |text: &str, default: &str| {
        if text.is_empty() {
            default.to_owned()
        } else {
            text.to_owned()
        }
    };
    // Our arguments are the program's, `$` and all.
    let line = vec![(
        program.to_owned(),
        command.argv.clone(),
        vec!["no-env-expand".to_owned()],
    )];
    let mut properties: Vec<(&str, Variant<'_>)> = vec![
        ("Description", Variant::new(format!("quorate: {}", command.unit))),
        ("Type", Variant::new("exec")),
        ("ExecStartEx", Variant::new(line)),
        // Said also for root: systemd then sets HOME and its like.
        ("User", Variant::new(or(&command.user, "root"))),
        ("WorkingDirectory", Variant::new(or(&command.cwd, "/"))),
        (
            "Environment",
            Variant::new(vec![format!("PATH={PATH}"), "LANG=C.UTF-8".to_owned()]),
        ),
        // It may be missing (`true`): what is done afterwards is done without it,
        // when it has been taken away, and would not be done at all otherwise.
        (
            "EnvironmentFiles",
            Variant::new(vec![(path(&place.environment), true)]),
        ),
        ("StandardOutputFileToAppend", Variant::new(path(&place.log))),
        ("StandardErrorFileToAppend", Variant::new(path(&place.log))),
        (
            "RuntimeMaxUSec",
            Variant::new(command.timeout_ms.saturating_mul(1000)),
        ),
        ("TimeoutStopUSec", Variant::new(10_000_000_u64)),
        // Kept in memory until we have read how it ended; without us it goes by itself.
        ("AddRef", Variant::new(true)),
    ];
    if command.stdin.is_some() {
        properties.push(("StandardInputFile", Variant::new(path(&place.input))));
    }
    if let Some(script) = afterwards {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let flags = vec![
            "ignore-failure".to_owned(),
            "privileged".to_owned(),
            "no-env-expand".to_owned(),
        ];
        properties.push((
            "ExecStopPostEx",
            Variant::new(vec![("/bin/sh".to_owned(), argv, flags)]),
        ));
    }
    let manager = &systemd.manager;
    let mut tries = 0;
    loop {
        let job = manager.start_transient_unit(unit, "fail", &properties, &[]);
        match systemd
            .await_job(job, || progress.say(format!("waiting for {unit} to start")))
            .await
        {
            // What came before is not yet out of systemd's memory.
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".UnitExists") && tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
            // Whether it could be executed is in the unit's result.
            Ok(_) => return Ok(()),
        }
    }
}

/// Waits until the unit has ended, telling what it says meanwhile.
async fn wait(systemd: &Systemd, unit: &str, log: &Path, progress: &Progress) -> zbus::Result<()> {
    let path = systemd.manager.load_unit(unit).await?;
    let properties = PropertiesProxy::builder(systemd.bus())
        .destination("org.freedesktop.systemd1")
        .path(path)
        .build()
        .await?;
    let mut changes = properties.receive_properties_changed().await?;
    let mut told = 0;
    let mut look = tokio::time::interval(LOOK);
    loop {
        let now = systemd.unit(unit).await?;
        if matches!(now.text("ActiveState").as_str(), "inactive" | "failed") {
            told = tell(log, told, progress);
            tell_rest(log, told, progress);
            return Ok(());
        }
        tokio::select! {
            _ = changes.next() => {}
            _ = look.tick() => told = tell(log, told, progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_named_by_what_it_runs() {
        let command = |argv: &[&str]| Command::new("quorate-stop-galera".to_owned(), argv, 1000);
        let ban = command(&["crm_resource", "--ban", "--resource", "galera-clone"]);
        let stop = command(&["crm_resource", "--meta", "--resource", "galera-clone"]);
        assert_ne!(named(&ban), named(&stop));
        assert_eq!(named(&ban), named(&ban.clone()));
        assert_ne!(named(&command(&["a", "b c"])), named(&command(&["a", "b", "c"])));
        let other = Command {
            user: "mysql".to_owned(),
            ..ban.clone()
        };
        assert_ne!(named(&ban), named(&other));
        let name = named(&ban);
        let digest = name.strip_prefix("quorate-stop-galera_").unwrap();
        assert!(
            digest.len() == 8 && digest.chars().all(|c| c.is_ascii_hexdigit()),
            "{name}"
        );
        // How long it may take says nothing of what it does.
        let longer = Command {
            timeout_ms: 2000,
            ..ban.clone()
        };
        assert_eq!(named(&ban), named(&longer));
    }

    #[test]
    fn done_is_exit_status_0_alone() {
        let judge = |result: &str, code: i32, status: i32| {
            let result = result.to_owned();
            End { result, code, status }.judge(Duration::from_secs(2))
        };
        assert_eq!(judge("success", EXITED, 0), Ok(()));
        let no = |result: &str, code: i32, status: i32, why: &str| {
            assert_eq!(judge(result, code, status), Err(why.to_owned()));
        };
        // `systemctl stop` of a running unit, as read on a lab host.
        no("success", 2, 15, "was ended by signal 15 (success)");
        for signal in [1, 2, 13] {
            no(
                "success",
                2,
                signal,
                &format!("was ended by signal {signal} (success)"),
            );
        }
        // Forgotten by systemd before it was read.
        no("success", 0, 0, "has ended, and systemd does not know how");
        no("signal", 2, 9, "was ended by signal 9 (signal)");
        no("exit-code", EXITED, 1, "ended with status 1");
        no("exit-code", EXITED, 203, "could not run: it cannot be executed");
        no("timeout", 2, 15, "did not end within 2 s");
        no("oom-kill", 2, 9, "was killed for want of memory");
        // A status that a unit's file calls a success is none.
        no("success", EXITED, 3, "ended with status 3");
    }

    #[test]
    fn programs_are_found() {
        assert!(find(&["sh".to_owned()]).unwrap().ends_with("/sh"));
        assert_eq!(find(&["/x/y".to_owned()]), Ok("/x/y".to_owned()));
        let error = find(&["no-such-program".to_owned()]).unwrap_err();
        assert_eq!(error, "cannot run `no-such-program`: it is not installed");
    }
}
