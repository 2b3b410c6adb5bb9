//! `quorate support`: what somebody who helps must see, of all hosts, in one
//! archive. Of a host that cannot be asked it says so. Every secret is taken out
//! here, on the operator's machine, before anything is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use fleet::Session;
use jiff::Timestamp;
use render::DesiredHost;
use tokio::task::JoinSet;
use vault::Scrubber;
use wire::{Answer, Fact, Op, Query, Reply};

use super::audit;
use crate::args::SupportArgs;
use crate::failure::Failure;
use crate::project::Project;
use crate::say;
use crate::seen;

/// Of a journal at most that many lines, the newest: an agent's answer is bounded.
const LINES: &str = "60000";
/// A program that takes longer hangs; what the others say is not lost with it.
const PATIENCE_MS: u64 = 40_000;

/// Programs of the system itself; services have theirs in the catalogue.
const SYSTEM: [(&str, &[&str]); 12] = [
    ("addresses.txt", &["ip", "-brief", "address"]),
    ("routes.txt", &["ip", "route", "show", "table", "all"]),
    ("listening.txt", &["ss", "-tlnp"]),
    ("disks.txt", &["df", "-h"]),
    ("memory.txt", &["free", "-m"]),
    (
        "processes.txt",
        &["ps", "-eo", "pid,ppid,stat,etimes,rss,pcpu,comm"],
    ),
    ("uptime.txt", &["uptime"]),
    (
        "units.txt",
        &["systemctl", "list-units", "--all", "--no-pager", "--plain"],
    ),
    ("clock.txt", &["timedatectl", "--no-pager"]),
    ("debs.txt", &["dpkg-query", "-W"]),
    ("rpms.txt", &["rpm", "-qa"]),
    ("model.json", &["cat", "/var/lib/quorate/model.json"]),
];

/// The window that is wanted.
struct Window {
    since: Timestamp,
    until: Timestamp,
}

/// Files by their path in the archive.
type Files = BTreeMap<String, Vec<u8>>;

/// What to run on a host, by the file that gets what it says.
fn wanted(desired: Option<&DesiredHost>, window: &Window) -> Vec<(String, Vec<String>)> {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let journal = |more: &[String]| {
        let mut argv = words(&[
            "journalctl",
            "--no-pager",
            "--output=short-iso-precise",
            "--lines",
            LINES,
        ]);
        argv.push(format!("--since=@{}", window.since.as_second()));
        // Whole seconds: the one that is under way belongs to it.
        argv.push(format!("--until=@{}", window.until.as_second() + 1));
        argv.extend(more.iter().cloned());
        argv
    };
    let mut out: Vec<(String, Vec<String>)> = SYSTEM
        .iter()
        .map(|(file, argv)| (format!("system/{file}"), words(argv)))
        .collect();
    let mut units = words(&["--unit=quorate-*", "--unit=systemd-logind.service"]);
    let own = desired.iter().flat_map(|d| &d.units);
    units.extend(own.map(|u| format!("--unit={}", u.unit)));
    out.push(("journal.txt".to_owned(), journal(&units)));
    out.push(("kernel.txt".to_owned(), journal(&words(&["--dmesg"]))));
    out.push((
        "problems.txt".to_owned(),
        journal(&words(&["--priority=warning"])),
    ));
    let looks = desired.iter().flat_map(|d| &d.support);
    out.extend(looks.map(|(file, argv)| (file.clone(), argv.clone())));
    out
}

/// What a program said, for people: its errors behind its output.
fn told(answer: Fact<Answer>) -> Option<Vec<u8>> {
    let text = match answer {
        Fact::Known(Answer::Ran {
            status,
            stdout,
            stderr,
        }) => {
            let mut text = stdout;
            if !stderr.trim().is_empty() {
                let _ = write!(text, "\n--- standard error\n{stderr}");
            }
            if status != 0 {
                let _ = write!(text, "\n--- exit status {status}\n");
            }
            text
        }
        Fact::Unknown(why) => format!("--- {why}\n"),
        // A program that is not installed has nothing to say.
        Fact::Absent | Fact::Known(_) => return None,
    };
    Some(text.into_bytes())
}

/// Everything of one host.
async fn host(session: Arc<Session>, wanted: Vec<(String, Vec<String>)>, window: Window) -> Files {
    let mut files = Files::new();
    // One after the other: a host in trouble must not be troubled more.
    for (file, argv) in wanted {
        let query = Query::Run {
            argv,
            timeout_ms: PATIENCE_MS,
        };
        let content = match session.call(Op::Ask(query), None).await {
            Ok(Reply::Answer(answer)) => told(answer),
            Ok(_) => None,
            Err(error) => Some(format!("--- {error}\n").into_bytes()),
        };
        files.extend(content.map(|c| (format!("{}/{file}", session.host), c)));
    }
    if let Ok(Reply::Answer(Fact::Known(Answer::Ran { stdout, .. }))) =
        session.call(Op::Ask(audit::query()), None).await
    {
        let (since, until) = (audit::stamp(window.since), audit::stamp(window.until));
        let lines = audit::lines(&stdout, &since, &until);
        let text: String = lines.flat_map(|(at, what)| [at, " ", what, "\n"]).collect();
        files.insert(format!("{}/audit.log", session.host), text.into_bytes());
    }
    files
}

/// The runs that were begun in the window, as this machine saw them.
fn runs(project: &Project, window: &Window, files: &mut Files) {
    let entries = fs_err::read_dir(project.state.join("runs"));
    for run in entries.into_iter().flatten().flatten() {
        let Ok(path) = Utf8PathBuf::from_path_buf(run.path()) else {
            continue;
        };
        let changed = fs_err::metadata(path.join("events.jsonl")).and_then(|m| m.modified());
        let changed = changed.ok().and_then(|at| Timestamp::try_from(at).ok());
        if changed.is_none_or(|at| at < window.since || at > window.until) {
            continue;
        }
        for name in ["plan.json", "events.jsonl"] {
            if let (Ok(content), Some(run)) = (fs_err::read(path.join(name)), path.file_name()) {
                files.insert(format!("runs/{run}/{name}"), content);
            }
        }
    }
}

/// Writes the archive beside its place and renames it, scrubbed file by file.
fn write(path: &Utf8Path, files: &Files, scrubber: &Scrubber) -> Result<u64, Failure> {
    let folder = path.parent().filter(|f| !f.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    let root = path.file_name().unwrap_or("support");
    let root = root.split('.').next().unwrap_or("support");
    let file = tempfile::Builder::new().prefix(".support-").tempfile_in(folder)?; // mode 0600
    let packed = flate2::write::GzEncoder::new(std::io::BufWriter::new(file), flate2::Compression::default());
    let mut tar = tar::Builder::new(packed);
    for (name, content) in files {
        let content = scrubber.scrub(content);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(Timestamp::now().as_second()).unwrap_or_default());
        tar.append_data(&mut header, format!("{root}/{name}"), content.as_slice())?;
    }
    let mut out = tar.into_inner()?.finish()?;
    out.flush()?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    let size = file.as_file().metadata()?.len();
    file.persist_noclobber(path).map_err(|e| e.error)?;
    Ok(size)
}

/// Runs it. A host that cannot be asked is told, and the exit status is 1.
pub async fn run(args: &SupportArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    let now = Timestamp::now();
    let until = args.until.as_ref().map_or(now, |u| u.0);
    let since = args.since.0;
    if since >= until {
        return Err(Failure::Input(format!(
            "error: `--since` {since} is not before `--until` {until}\n\nhint: turn them round"
        )));
    }
    if args.output.exists() {
        return Err(Failure::Input(format!(
            "error: `{}` is there already\n\nhint: name another file with `-o`",
            args.output
        )));
    }
    let vault = project.vault_as_saved()?;
    let scrubber = seen::scrubber(&project, &vault)?;
    let (fill, vault) = seen::filler(vault);
    let sessions = seen::connect(&project).await?;
    let mut files = Files::new();
    let mut unseen = Vec::new();
    let mut tasks = JoinSet::new();
    for (name, session) in &sessions {
        match session {
            Ok(session) => {
                let window = Window { since, until };
                let wanted = wanted(project.desired.hosts.get(name), &window);
                tasks.spawn(host(Arc::clone(session), wanted, window));
            }
            Err(error) => {
                unseen.push(format!("{error}; {}", error.cure));
                files.insert(
                    format!("{name}/UNREACHABLE.txt"),
                    format!("{error}\n").into_bytes(),
                );
            }
        }
    }
    // What the planner sees is seen before the hosts have been kept busy by questions.
    let observed = seen::observe(&project, &sessions, &fill, vault.digest_key()?, false).await?;
    for (name, facts) in &observed {
        if let Ok(facts) = facts {
            files.insert(format!("{name}/facts.json"), serde_json::to_vec_pretty(facts)?);
        }
    }
    while let Some(found) = tasks.join_next().await {
        files.extend(found.map_err(std::io::Error::other)?);
    }
    let snapshot = status::snapshot(
        project.model.cloud.name.value.as_str(),
        &project.desired,
        project.no_fencing(),
        &observed,
    );
    files.insert("status.json".to_owned(), serde_json::to_vec_pretty(&snapshot)?);
    files.insert("cloud.yaml".to_owned(), fs_err::read(&project.file)?);
    runs(&project, &Window { since, until }, &mut files);
    let mut readme = format!(
        "quorate {} on {}: {} from {since} to {until}\n\n\
         Journals and audit lines are of that time; files of logs are the last of them, whatever their time;\n\
         states are those of {now}. Secrets are replaced by {}.\n",
        env!("CARGO_PKG_VERSION"),
        project.model.cloud.distribution.as_str(),
        project.model.cloud.name.value,
        vault::HIDDEN,
    );
    for why in &unseen {
        let _ = writeln!(readme, "\nNot asked: {why}");
    }
    files.insert("README.txt".to_owned(), readme.into_bytes());
    let size = write(&args.output, &files, &scrubber)?;
    say::outln!(
        "{}: {} files of {} hosts, {} KiB, without secrets",
        args.output,
        files.len(),
        sessions.len() - unseen.len(),
        size.div_ceil(1024)
    );
    Ok(seen::warn(&unseen))
}
