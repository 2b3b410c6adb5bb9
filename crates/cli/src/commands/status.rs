//! `quorate status`: the cloud as it is, and how much more can be lost.

use std::io::IsTerminal as _;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use fleet::{Fill, Sessions};
use futures::future::{Either, select};
use status::{Group, Problem, Snapshot, Verdict};
use wire::{Journey, JourneyKind, Op, Reply, Walked};

use super::backup::failed;
use crate::args::{Output, StatusArgs, View};
use crate::failure::Failure;
use crate::project::Project;
use crate::{due, say, seen, view};

fn text(snapshot: &Snapshot) -> String {
    let mut lines = vec![format!(
        "{}: {} ({})",
        snapshot.cloud,
        snapshot.verdict.as_str(),
        snapshot.reason
    )];
    if !snapshot.next.is_empty() {
        lines.push(format!("next: {}", snapshot.next));
    }
    lines.extend(snapshot.remarks.iter().map(|r| format!("note: {r}")));
    lines.push(String::new());
    for m in &snapshot.members {
        let vips: Vec<String> = snapshot
            .vips
            .iter()
            .filter(|v| v.host.as_deref() == Some(m.host.as_str()))
            .map(|v| {
                let away = if v.is_away() {
                    format!(" (away from {})", v.home.as_deref().unwrap_or_default())
                } else {
                    String::new()
                };
                format!("{}{away}", v.address)
            })
            .collect();
        lines.push(format!("  {:<12} {:<12} {}", m.host, m.state, vips.join(" ")));
    }
    lines.push(String::new());
    for link in &snapshot.links {
        let silent: Vec<String> = link.silent.iter().map(|(a, b)| format!("{a} and {b}")).collect();
        let how = if silent.is_empty() {
            "connected".to_owned()
        } else {
            format!("silent between {}", silent.join(", "))
        };
        lines.push(format!("  {:<12} link {how}", link.network));
    }
    if !snapshot.beside.is_empty() {
        let hosts: Vec<String> = (snapshot.beside.iter())
            .map(|h| format!("{} {}", h.host, h.state))
            .collect();
        lines.push(format!("  {:<12} {}", "beside", hosts.join(", ")));
    }
    for store in &snapshot.stores {
        let members: Vec<String> = store
            .members
            .iter()
            .map(|m| format!("{} {}", m.host, m.state))
            .collect();
        lines.push(format!("  {:<12} {}", store.name, members.join(", ")));
    }
    for api in &snapshot.apis {
        let on = if api.instances.is_empty() {
            String::new()
        } else {
            format!(" (on {})", api.instances.join(", "))
        };
        lines.push(format!("  {:<12} {} {}{on}", api.service, api.url, api.detail));
    }
    if !snapshot.bears.is_empty() {
        lines.push(format!("  {:<12} {}", "bears", bears(snapshot)));
    }
    lines.extend(snapshot.groups.iter().map(group));
    if !snapshot.journeys.is_empty() {
        lines.push(String::new());
    }
    for walked in &snapshot.journeys {
        let how = match walked.failed {
            None => format!("{:.1} s", Duration::from_millis(walked.took_ms).as_secs_f64()),
            Some(_) => "fails".to_owned(),
        };
        lines.push(format!(
            "  {:<12} {:<6} {how}",
            walked.service,
            walked.kind.as_str()
        ));
    }
    if !snapshot.problems.is_empty() {
        lines.push(String::new());
        // Each cure once; that of the whole stands above.
        let mut told = vec![snapshot.next.clone()];
        for problem in &snapshot.problems {
            lines.push(format!("  - {}", problem.text()));
            let next = problem.next();
            if !told.contains(&next) {
                lines.push(format!("      next: {next}"));
                told.push(next);
            }
        }
    }
    lines.join("\n")
}

/// The line of a group of hosts.
fn group(group: &Group) -> String {
    let ends = if group.moves {
        ""
    } else {
        "; VMs end with their host"
    };
    format!(
        "  {:<12} {} of {} hosts can be lost{ends}",
        group.name, group.losses, group.hosts
    )
}

/// How many more losses each thing bears, those that bear the same together.
fn bears(snapshot: &Snapshot) -> String {
    let mut by: std::collections::BTreeMap<u32, Vec<String>> = std::collections::BTreeMap::new();
    for one in &snapshot.bears {
        let name = match one.what {
            "queues" => format!("queues of {}", one.name),
            _ => one.name.clone(),
        };
        by.entry(one.losses).or_default().push(name);
    }
    let words = by
        .into_iter()
        .map(|(losses, names)| format!("{losses} more: {}", names.join(", ")));
    words.collect::<Vec<String>>().join("; ")
}

/// Which journeys are walked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Those that read: a token, and an answer that needs the stores.
    Reads,
    /// All.
    All,
}

/// Time limit of the journeys that read.
const READS: Duration = Duration::from_secs(15);
/// Pause before a journey that failed is walked once more.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks once. A cloud that is down by then is walked only if all journeys are asked for.
pub async fn look(project: &Project, walk: Walk) -> Result<Snapshot, Failure> {
    let (fill, vault) = seen::filler(project.vault()?);
    let sessions = seen::connect(project).await?;
    let key = vault.digest_key()?;
    let looking = async {
        let (observed, due) =
            tokio::join!(seen::observe(project, &sessions, &fill, key, false), due(project));
        let name = project.model.cloud.name.value.as_str();
        let (problems, remarks) = due;
        let snapshot = status::snapshot(name, &project.desired, project.no_fencing(), &observed?);
        Ok::<_, Failure>(snapshot.with_due(problems, remarks))
    };
    if walk == Walk::All {
        let snapshot = looking.await?;
        let journeys = project.desired.journeys.clone();
        return Ok(snapshot.walked(walked(journeys, &sessions, &fill).await?));
    }
    // Hosts are asked and tokens tried at the same time: neither needs the other's answers.
    let (snapshot, read) = meanwhile(looking, reads(project, &sessions, &fill), enough).await;
    let snapshot = snapshot?;
    Ok(match read {
        Some((failed, remarks)) => snapshot.walked(failed).with_due(Vec::new(), remarks),
        None => snapshot,
    })
}

/// True if no journey has to be walked to know how the cloud is.
fn enough(seen: &Result<Snapshot, Failure>) -> bool {
    seen.as_ref().map_or(true, |s| s.verdict == Verdict::Down)
}

/// Outcomes of two things done at the same time. Where the first has ended and is enough,
/// the second is given up and has none.
async fn meanwhile<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
    enough: impl Fn(&A) -> bool,
) -> (A, Option<B>) {
    match select(pin!(first), pin!(second)).await {
        Either::Left((seen, _)) if enough(&seen) => (seen, None),
        Either::Left((seen, second)) => (seen, Some(second.await)),
        Either::Right((done, first)) => {
            let seen = first.await;
            let done = Some(done).filter(|_| !enough(&seen));
            (seen, done)
        }
    }
}

/// The journeys that read and failed twice, and a remark of each that failed once.
///
/// A single bad answer can be of a server that was ending at that moment, which is over
/// before anybody has read of it. Who asks again sees the difference.
async fn reads(project: &Project, sessions: &Sessions, fill: &Fill) -> (Vec<Walked>, Vec<String>) {
    let all = project.desired.journeys.iter();
    let journeys: Vec<Journey> = all.filter(|j| j.kind == JourneyKind::Read).cloned().collect();
    let asked = tokio::time::timeout(READS, failing(journeys, sessions, fill)).await;
    let why = match asked {
        Ok(Ok((twice, once))) => {
            let remarks = once.into_iter().filter_map(|w| {
                let why = w.failed?;
                Some(format!("the read journey of {} failed once: {why}", w.service))
            });
            return (twice, remarks.collect());
        }
        Ok(Err(failure)) => failure.into_text(),
        Err(_) => format!("there was no answer within {} s", READS.as_secs()),
    };
    // Not seen is neither good nor bad.
    let remark = format!("it was not seen whether tokens are taken: {why}");
    (Vec::new(), vec![remark])
}

/// Journeys that failed two walks in a row, and those that failed the first alone.
async fn failing(
    journeys: Vec<Journey>,
    sessions: &Sessions,
    fill: &Fill,
) -> Result<(Vec<Walked>, Vec<Walked>), Failure> {
    let bad = |all: Vec<Walked>| all.into_iter().filter(|w| w.failed.is_some());
    let first: Vec<Walked> = bad(walked(journeys.clone(), sessions, fill).await?).collect();
    if first.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    tokio::time::sleep(AGAIN).await;
    let failed = |j: &Journey| first.iter().any(|w| w.service == j.service && w.kind == j.kind);
    let again = journeys.into_iter().filter(failed).collect();
    let second: Vec<Walked> = bad(walked(again, sessions, fill).await?).collect();
    let cured = |w: &Walked| !second.iter().any(|s| s.service == w.service && s.kind == w.kind);
    let once = first.iter().filter(|w| cured(w)).cloned().collect();
    Ok((second, once))
}

/// Work that is due by the vault and the backups as they are kept; nothing of a cloud that was
/// never applied from here.
async fn due(project: &Project) -> (Vec<Problem>, Vec<String>) {
    let Ok(vault) = project.vault_as_saved() else {
        return (Vec::new(), Vec::new());
    };
    let newest = tokio::time::timeout(Duration::from_secs(1), super::backup::newest(project)).await;
    let upkeep = &project.model.cloud.upkeep;
    let now = jiff::Timestamp::now();
    let last = match &newest {
        Ok(Ok(last)) => *last,
        // Where backups lie is out of reach: what is not seen is not late.
        _ => Some(now),
    };
    let (problems, mut remarks) = due::told(&vault, &project.model.rings(), upkeep, last, now);
    if !matches!(newest, Ok(Ok(_))) {
        remarks.push("it was not seen when the last backup was made: `quorate backup list`".to_owned());
    }
    (problems, remarks)
}

/// Has the first host that can be asked walk journeys: what they need is behind virtual
/// addresses, which are the same from everywhere.
async fn walked(journeys: Vec<Journey>, sessions: &Sessions, fill: &Fill) -> Result<Vec<Walked>, Failure> {
    let nobody = || Failure::world("no host could be asked to walk the journeys", "quorate ssh");
    let mut answering = sessions
        .iter()
        .filter_map(|(host, s)| Some((host, s.as_ref().ok()?)));
    let (host, session) = answering.next().ok_or_else(nobody)?;
    let mut op = Op::Walk(journeys);
    op.fill(&|text: &str| fill(text))
        .map_err(|e| Failure::world(e, "run `quorate apply`, which makes what is missing"))?;
    match session.call(op, None).await {
        Ok(Reply::Walked(walked)) => Ok(walked),
        Ok(_) => Err(Failure::world("the agent answered something else", "")),
        Err(error) => Err(failed(host, error)),
    }
}

/// The verdict as a check of Nagios, Icinga or Sensu: a line with performance data, and the
/// exit status 0, 1, 2 or, where nothing could be seen, 3.
fn check(snapshot: &Snapshot) -> (String, u8) {
    let (word, code) = match snapshot.verdict {
        _ if snapshot.problems.contains(&Problem::Unseen) => ("UNKNOWN", 3),
        Verdict::Redundant => ("OK", 0),
        Verdict::Degraded => ("WARNING", 1),
        Verdict::Exposed | Verdict::Down => ("CRITICAL", 2),
    };
    let online = snapshot.members.iter().filter(|m| m.state == "online").count();
    let answering = snapshot.apis.iter().filter(|a| a.ok).count();
    let mut data = vec![
        format!("problems={}", snapshot.problems.len()),
        format!("members={online};;;0;{}", snapshot.members.len()),
        format!("apis={answering};;;0;{}", snapshot.apis.len()),
    ];
    for store in &snapshot.stores {
        let healthy = store.members.iter().filter(|m| m.healthy).count();
        data.push(format!("{}={healthy};;;0;{}", store.name, store.members.len()));
    }
    let line = line(
        word,
        &format!(
            "{} {}: {}",
            snapshot.cloud,
            snapshot.verdict.as_str(),
            snapshot.reason
        ),
    );
    (format!("{line} | {}", data.join(" ")), code)
}

/// The same of a look that failed: nothing is known then.
fn checked(found: Result<Snapshot, Failure>) -> (String, u8) {
    match found {
        Ok(snapshot) => check(&snapshot),
        Err(failure) => (line("UNKNOWN", &failure.into_text()), 3),
    }
}

/// One line: a bar begins the performance data, and a break the long text.
fn line(word: &str, text: &str) -> String {
    let text = text.replace('|', "/");
    format!(
        "QUORATE {word} - {}",
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    )
}

/// Looks at the cloud of a file.
async fn opened(args: &StatusArgs, catalog: &[Utf8PathBuf], walk: Walk) -> Result<Snapshot, Failure> {
    let project = Project::open(&args.shown.file, catalog)?;
    look(&project, walk).await
}

/// A look in the form that was asked for, and its verdict.
async fn shown(args: &StatusArgs, catalog: &[Utf8PathBuf], walk: Walk) -> Result<(Verdict, String), Failure> {
    if args.view == Some(View::Pacemaker) && args.shown.output == Output::Text {
        let project = Project::open(&args.shown.file, catalog)?;
        return view::pacemaker(&project).await;
    }
    let snapshot = opened(args, catalog, walk).await?;
    let text = match args.shown.output {
        Output::Json => serde_json::to_string_pretty(&snapshot)?,
        Output::Text => text(&snapshot),
    };
    Ok((snapshot.verdict, text))
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Looks again and again, until it is interrupted. On a terminal the last look is drawn over.
async fn follow(args: &StatusArgs, catalog: &[Utf8PathBuf], walk: Walk) -> Result<ExitCode, Failure> {
    loop {
        // Opened anew: the cloud file may have been changed.
        let found = shown(args, catalog, walk).await;
        if std::io::stdout().is_terminal() {
            // Home, and all below it is cleared.
            say::clear();
        }
        if args.shown.output == Output::Text {
            say::outln!("{}\n", jiff::Zoned::now().strftime("%H:%M:%S"));
        }
        match found {
            Ok((_, text)) => say::outln!("{text}"),
            Err(failure) => {
                failure.report();
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs it. The exit status is that of the question, not of the verdict, but for `down`: 1;
/// that of a check is the verdict's.
pub async fn run(args: &StatusArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let walk = if args.journeys { Walk::All } else { Walk::Reads };
    if args.watch {
        return follow(args, catalog, walk).await;
    }
    if args.check {
        let (line, code) = checked(opened(args, catalog, walk).await);
        say::outln!("{line}");
        return Ok(ExitCode::from(code));
    }
    let (verdict, text) = shown(args, catalog, walk).await?;
    say::outln!("{text}");
    Ok(if verdict == Verdict::Down {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::Barrier;
    use tokio::time::timeout;

    use super::*;
    use names::HostName;
    use status::{Api, Host, Store};

    #[tokio::test]
    async fn reads_do_not_wait_for_the_look() {
        let met = Barrier::new(2);
        let (looking, reading) = (met.wait(), met.wait());
        let both = timeout(Duration::from_secs(5), meanwhile(looking, reading, |_| false)).await;
        assert!(
            matches!(both, Ok((_, Some(_)))),
            "one was begun after the other's end"
        );
    }

    #[tokio::test]
    async fn a_cloud_that_is_down_is_not_waited_for() {
        let never = meanwhile(ready("down"), pending::<()>(), |_| true);
        assert_eq!(
            timeout(Duration::from_secs(5), never).await,
            Ok(("down", None)),
            "it waited for an answer of a cloud that is down"
        );
        let late = async { tokio::task::yield_now().await };
        let read = meanwhile(late, ready(()), |()| true).await;
        assert_eq!(read, ((), None), "an answer of a cloud that is down was told");
    }

    /// A cloud of one member and a store with one of two members, with this wrong.
    fn snapshot(verdict: Verdict, problems: Vec<Problem>) -> Snapshot {
        let member = |host: &str, healthy: bool| engines::Member {
            host: HostName::new(host).unwrap(),
            state: "Synced".to_owned(),
            healthy,
            detail: String::new(),
        };
        Snapshot {
            verdict,
            reason: "a | bar\nand a break".to_owned(),
            next: String::new(),
            cloud: "demo".to_owned(),
            members: vec![Host {
                host: HostName::new("c1").unwrap(),
                state: "online".to_owned(),
                detail: String::new(),
            }],
            beside: Vec::new(),
            vips: Vec::new(),
            links: Vec::new(),
            stores: vec![Store {
                name: "database".into(),
                engine: "sql".to_owned(),
                members: vec![member("c1", true), member("c2", false)],
            }],
            apis: vec![Api {
                service: "identity".to_owned(),
                url: "https://198.18.0.100".to_owned(),
                ok: false,
                detail: "status 503".to_owned(),
                instances: Vec::new(),
            }],
            journeys: Vec::new(),
            bears: Vec::new(),
            groups: Vec::new(),
            fatal: Vec::new(),
            problems,
            remarks: Vec::new(),
        }
    }

    #[test]
    fn the_whole_is_told_in_a_few_lines() {
        let mut told = snapshot(Verdict::Degraded, vec![Problem::Electing]);
        let rows = |api: &str| {
            let problem = Problem::Electing;
            format!(
                "demo: degraded (a | bar\nand a break)\n\n  c1           online       \n\n  database     c1 Synced, c2 \
                 Synced\n  identity     https://198.18.0.100 status 503{api}\n\n  - {}\n      next: {}",
                problem.text(),
                problem.next()
            )
        };
        assert_eq!(text(&told), rows(""));
        told.apis[0].instances = vec!["c1".to_owned(), "c2".to_owned()];
        assert_eq!(text(&told), rows(" (on c1, c2)"));
    }

    #[test]
    fn a_group_tells_its_losses_on_a_line() {
        let check = |name, losses, moves, expect: &str| {
            let hosts = 3;
            let one = Group {
                name,
                hosts,
                losses,
                moves,
            };
            assert_eq!(group(&one), expect);
        };
        check("databases", 1, true, "  databases    1 of 3 hosts can be lost");
        check(
            "VM hosts",
            2,
            false,
            "  VM hosts     2 of 3 hosts can be lost; VMs end with their host",
        );
    }

    #[test]
    fn a_verdict_is_a_status_of_monitoring() {
        let data = "database=1;;;0;2";
        let check = |verdict, problems: Vec<Problem>, word: &str, code: u8| {
            let count = problems.len();
            let (line, status) = checked(Ok(snapshot(verdict, problems)));
            assert_eq!(status, code, "{line}");
            let word = format!(
                "QUORATE {word} - demo {}: a / bar and a break | ",
                verdict.as_str()
            );
            let data = format!("problems={count} members=1;;;0;1 apis=0;;;0;1 {data}");
            assert_eq!(line, word + &data);
        };
        check(Verdict::Redundant, Vec::new(), "OK", 0);
        check(Verdict::Degraded, vec![Problem::Electing], "WARNING", 1);
        check(Verdict::Exposed, vec![Problem::Electing], "CRITICAL", 2);
        check(Verdict::Down, vec![Problem::NoQuorum], "CRITICAL", 2);
        // Seen by nobody is not down.
        check(Verdict::Down, vec![Problem::Unseen], "UNKNOWN", 3);
    }

    /// A check that cannot look says so on its one line, and never passes for good.
    #[test]
    fn a_look_that_fails_is_unknown() {
        let failures = [
            Failure::world("the vault\nis locked | now", "unlock it"),
            Failure::Input("the vault\nis locked | now".to_owned()),
            Failure::Found("the vault\nis locked | now".to_owned()),
        ];
        for failure in failures {
            let (line, status) = checked(Err(failure));
            assert_eq!(
                (line.as_str(), status),
                ("QUORATE UNKNOWN - the vault is locked / now", 3)
            );
        }
    }
}
