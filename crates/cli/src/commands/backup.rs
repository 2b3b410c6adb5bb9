//! `quorate backup`: what a cloud cannot be made again without, in one file.
//!
//! The databases are read at one moment on a member that the services do not
//! write to. The keys in use are those of the vault, or there is no backup. The
//! file is read back before it counts.

use std::process::ExitCode;

use backup::{CIB, CLOUD_FILE, Content, DATABASES, FORMAT, Manifest, Part, Position, Source, VAULT};
use camino::{Utf8Path, Utf8PathBuf};
use fleet::pieces::{self, PIECES, Pieces};
use fleet::{CallError, Fill, Session, Sessions};
use plan::Observed;
use serde::Serialize;
use tokio::sync::mpsc;
use vault::{ExposeSecret as _, Vault};
use wire::{Answer, Fact, FileSum, Observe, Op, Query, Reply};

use super::plan::digester;
use crate::args::{BackupArgs, BackupMake, BackupVerb, Output, Shown};
use crate::failure::Failure;
use crate::place::Place;
use crate::project::Project;
use crate::runner::{Runner, audit, lock, whoami};
use crate::{say, seen, versions};

/// Where a member writes its databases, for root alone.
const DUMP: &str = "/var/lib/quorate/backup/databases.sql.gz";

/// A call that failed, with the host that it failed on.
pub fn failed(host: &str, error: CallError) -> Failure {
    match error {
        CallError::Failed(error) => {
            let said = std::iter::once(format!("{host}: {error}"));
            let tail = error.tail.iter().map(|line| format!("  | {line}"));
            let lines: Vec<String> = said.chain(tail).collect();
            Failure::world(lines.join("\n"), "mend it and run it again")
        }
        CallError::Lost => Failure::world(format!("{host}: the connection was lost"), "run it again"),
    }
}

/// When the newest backup was begun.
pub async fn newest(project: &Project) -> Result<Option<jiff::Timestamp>, Failure> {
    let kept = Place::of(project, None)?.list().await?;
    Ok(kept.iter().filter_map(backup::Kept::begun).max())
}

/// Runs it.
pub async fn run(args: BackupArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    match args.verb {
        Some(BackupVerb::List { shown, to }) => list(&shown, to.as_deref(), catalog).await,
        None => make(&args.make, catalog).await,
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    path: &'a Utf8Path,
    at: &'a str,
    size: u64,
}

async fn list(shown: &Shown, to: Option<&str>, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&shown.file, catalog)?;
    let kept = Place::of(&project, to)?.list().await?;
    let listed: Vec<Listed<'_>> = kept
        .iter()
        .map(|k| Listed {
            path: &k.path,
            at: &k.at,
            size: k.size,
        })
        .collect();
    match shown.output {
        Output::Json => say::outln!("{}", serde_json::to_string_pretty(&listed)?),
        Output::Text => {
            for one in listed {
                say::outln!("{}  {:>8} KiB  {}", one.at, one.size.div_ceil(1024), one.path);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Files with secrets that are not on a host as the vault would have them: what is
/// saved must be what is in use.
fn keys_differ(project: &Project, observed: &Observed, fill: &Fill, key: &[u8; 32]) -> Vec<String> {
    let digest = digester(fill, *key);
    let mut out = Vec::new();
    for (host, desired) in &project.desired.hosts {
        let Some(Ok(facts)) = observed.get(host) else {
            continue;
        };
        for file in desired.files.iter().filter(|f| f.secret && !f.once) {
            let found = facts.files.get(&file.write.path).and_then(Fact::known);
            if !found.is_some_and(|now| plan::is_as_wanted(&file.write, now, &digest)) {
                out.push(format!("{host}: {}", file.write.path));
            }
        }
    }
    out
}

async fn asked(session: &Session, query: Query) -> Result<Answer, Failure> {
    match session.call(Op::Ask(query), None).await {
        Ok(Reply::Answer(Fact::Known(answer))) => Ok(answer),
        Ok(Reply::Answer(Fact::Unknown(why))) => {
            Err(Failure::world(format!("{}: {why}", session.host), "run it again"))
        }
        Ok(_) => Err(Failure::world(
            format!("{}: the store does not answer", session.host),
            "`quorate status` shows its members",
        )),
        Err(error) => Err(failed(&session.host, error)),
    }
}

/// The healthy member with the fewest clients: the one that is not the writer.
async fn quietest<'a>(
    project: &Project,
    sessions: &'a Sessions,
    observed: &Observed,
    clients: &Query,
) -> Result<&'a Session, Failure> {
    let seen = engines::seen(observed);
    let store = project.desired.sql_store();
    let members = store.map(|s| engines::members(s, &seen)).unwrap_or_default();
    let mut found: Option<(u64, &Session)> = None;
    for member in members.iter().filter(|m| m.healthy) {
        let Some(Ok(session)) = sessions.get(&member.host) else {
            continue;
        };
        let Answer::Rows(rows) = asked(session, clients.clone()).await? else {
            continue;
        };
        let count = rows.first().and_then(|r| r.first()?.as_ref()?.parse().ok());
        let Some(count) = count else { continue };
        if found.is_none_or(|(least, _)| count < least) {
            found = Some((count, session));
        }
    }
    found.map(|(_, session)| session).ok_or_else(|| {
        let states: Vec<String> = members
            .iter()
            .map(|m| format!("{} {}", m.host, m.state))
            .collect();
        Failure::world(
            format!("no member of the store can be read: {}", states.join(", ")),
            "`quorate recover` brings it back",
        )
    })
}

/// The databases of one moment, as they lie on a member.
struct Dumped<'a> {
    session: &'a Session,
    position: Position,
    sum: FileSum,
}

async fn dump<'a>(
    project: &Project,
    sessions: &'a Sessions,
    observed: &Observed,
    databases: &[String],
) -> Result<Option<Dumped<'a>>, Failure> {
    let Some(store) = project.desired.sql_store() else {
        return Ok(None);
    };
    let (Some(copies), Some(run)) = (engines::copies(store), engines::dump(store, databases, DUMP)) else {
        return Ok(None);
    };
    let session = quietest(project, sessions, observed, &copies.clients).await?;
    let host = &session.host;
    let position = async || {
        let answer = asked(session, copies.position.clone()).await?;
        engines::position(&answer).ok_or_else(|| {
            Failure::world(
                format!("{host}: the store does not say where it is"),
                "`quorate status` shows its members",
            )
        })
    };
    let (uuid, from) = position().await?;
    say::errln!("{host}: reading {} at {uuid}:{from}", databases.join(", "));
    session
        .call(Op::Run(run), None)
        .await
        .map_err(|e| failed(host, e))?;
    let (_, to) = position().await?;
    let sum = pieces::sum(session, DUMP).await.map_err(|e| failed(host, e))?;
    let sum = sum.ok_or_else(|| Failure::world(format!("{host}: {DUMP} is not there"), "run it again"))?;
    Ok(Some(Dumped {
        session,
        position: Position { uuid, from, to },
        sum,
    }))
}

fn generation(project: &Project) -> String {
    let files = project.desired.hosts.values().flat_map(|h| &h.files);
    files
        .filter(|f| f.write.path.ends_with("/model.json"))
        .find_map(|f| {
            let model: serde_json::Value = serde_json::from_slice(&f.write.content).ok()?;
            Some(model.get("generation")?.as_str()?.to_owned())
        })
        .unwrap_or_default()
}

/// Makes one.
pub async fn make(args: &BackupMake, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let begin = std::time::Instant::now();
    let project = Project::open(&args.file, catalog)?;
    let vault = project.vault_as_saved()?;
    let place = Place::of(&project, args.to.as_deref())?;
    // One that cannot be kept there is not made first.
    place.list().await?;
    let sessions = seen::connect(&project).await?;
    let id = uuid::Uuid::now_v7().to_string();
    let who = whoami("backup", &id);
    // Not beside an apply: a schema would change under the copy, keys between file and vault.
    lock(&sessions, &who).await?;
    versions::refuse(&vault, &project.vault_path(), &versions::known(&sessions).await)?;
    let (fill, vault) = seen::filler(vault);
    let key = vault.digest_key()?;
    let observed = seen::observe(&project, &sessions, &fill, key, false).await?;
    let differ = keys_differ(&project, &observed, &fill, &key);
    if !differ.is_empty() {
        return Err(Failure::explained(
            "backup::keys-differ",
            &format!(
                "the keys in use are not those of the vault, which would be saved:\n  {}\n",
                differ.join("\n  ")
            ),
            "`quorate plan` shows what differs; `quorate apply` puts the vault's there",
        ));
    }
    save(&project, &sessions, &observed, &who, &place, begin).await?;
    if let Some(keep) = args.keep {
        for old in place.prune(usize::from(keep)).await? {
            say::outln!("{}: removed", old.path);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes one before the members of a cluster change, by a run that has the hosts' locks.
/// What of the keys differs is in that run's plan.
pub async fn before_members(run: &Runner, observed: &Observed) -> Result<(), Failure> {
    let begin = std::time::Instant::now();
    let place = Place::of(&run.project, None)?;
    place.list().await?;
    save(&run.project, &run.sessions, observed, run.who(), &place, begin).await
}

/// The text of the cluster's configuration, of the first host that tells it.
async fn configuration(sessions: &Sessions, observed: &Observed) -> Result<String, Failure> {
    for (host, facts) in observed {
        let tells = matches!(facts, Ok(facts) if facts.cib.known().is_some());
        let Some(Ok(session)) = sessions.get(host).filter(|_| tells) else {
            continue;
        };
        let ask = Observe {
            cluster: true,
            cib_text: true,
            ..Observe::default()
        };
        if let Ok(Reply::Facts(facts)) = session.call(Op::Observe(ask), None).await
            && let Some(text) = facts.cib.known().and_then(|cib| cib.text())
        {
            return Ok(text.to_owned());
        }
    }
    Err(Failure::world(
        "the cluster's configuration cannot be seen on any host",
        "`quorate status` shows the hosts",
    ))
}

/// Writes one, sends it where it belongs, and tells of it.
async fn save(
    project: &Project,
    sessions: &Sessions,
    observed: &Observed,
    who: &str,
    place: &Place,
    begin: std::time::Instant,
) -> Result<(), Failure> {
    let vault = project.vault_as_saved()?;
    let recipients = vault.recipients().to_vec();
    let at = jiff::Timestamp::now();
    let path = place.writes().file(at)?;
    audit(sessions, &format!("{who}: to {path}")).await;
    let databases: Vec<String> = project
        .desired
        .databases
        .iter()
        .flat_map(|d| d.names.clone())
        .collect();
    let configuration = configuration(sessions, observed).await?;
    let dumped = if databases.is_empty() {
        None
    } else {
        dump(project, sessions, observed, &databases).await?
    };
    let written = write(
        project,
        &vault,
        configuration,
        databases,
        at,
        &path,
        &recipients,
        dumped.as_ref(),
    )
    .await;
    if let Some(dumped) = &dumped {
        // Password hashes do not stay about, whatever became of the backup.
        let _ = dumped.session.call(Op::Remove(vec![DUMP.to_owned()]), None).await;
    }
    let manifest = written?;
    let from = match &manifest.position {
        Some(p) => format!(", databases of {} at {}:{}", manifest.member, p.uuid, p.from),
        None => String::new(),
    };
    say::outln!("{path}: whole, in {:.1} s{from}", begin.elapsed().as_secs_f64());
    for sent in place.send().await? {
        say::outln!("{sent}: sent");
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "all that a backup is made of, used once"
)]
async fn write(
    project: &Project,
    vault: &Vault,
    configuration: String,
    databases: Vec<String>,
    at: jiff::Timestamp,
    path: &Utf8Path,
    recipients: &[String],
    dumped: Option<&Dumped<'_>>,
) -> Result<Manifest, Failure> {
    let cloud = &project.model.cloud;
    let mut parts = Vec::new();
    let mut sources = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| {
        parts.push(Part::of(name, &bytes));
        sources.push(Source::Bytes(bytes));
    };
    add(CLOUD_FILE, fs_err::read(&project.file)?);
    add(VAULT, fs_err::read(project.vault_path())?);
    add(CIB, configuration.into_bytes());
    let (pieces, waiting) = mpsc::channel(PIECES);
    if let Some(dumped) = dumped {
        parts.push(Part {
            name: DATABASES.to_owned(),
            size: dumped.sum.size,
            blake3: dumped.sum.blake3.clone(),
        });
        sources.push(Source::Stream(Box::new(Pieces::new(waiting))));
    }
    let manifest = Manifest {
        format: FORMAT,
        quorate: env!("CARGO_PKG_VERSION").to_owned(),
        cloud: cloud.name.value.as_str().to_owned(),
        id: vault
            .get("cloud/id")
            .map(|s| s.expose_secret().to_owned())
            .unwrap_or_default(),
        generation: generation(project),
        release: cloud.release.value.clone(),
        distribution: cloud.distribution.as_str().to_owned(),
        region: cloud.region.value.clone(),
        at,
        member: dumped.map(|d| d.session.host.to_string()).unwrap_or_default(),
        position: dumped.map(|d| d.position.clone()),
        databases,
        parts,
    };
    let identity = vault::identities(&project.state);
    let (path, recipients) = (path.to_owned(), recipients.to_vec());
    let writer = tokio::task::spawn_blocking(move || -> Result<Manifest, backup::Error> {
        backup::write(&path, &recipients, Content { manifest, sources })?;
        // A backup that cannot be read is found out now, not when it is needed.
        backup::verify(&path, &identity)
    });
    let fetched = match dumped {
        Some(dumped) => pieces::fetch(dumped.session, DUMP, pieces)
            .await
            .map_err(|e| failed(&dumped.session.host, e)),
        None => Ok(()),
    };
    let written = writer.await.map_err(std::io::Error::other)?;
    fetched?;
    Ok(written?)
}
