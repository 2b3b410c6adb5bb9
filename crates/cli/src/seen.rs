//! Looking at all hosts at once.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use fleet::{Binary, CallError, Fill, Session, Sessions, Target};
use indexmap::IndexMap;
use tokio::task::JoinSet;
use vault::Vault;
use wire::{Facts, Op, Reply};

use crate::failure::Failure;
use crate::project::Project;
use crate::say;

/// The program as it is pushed.
pub fn binary() -> Result<Arc<Binary>, Failure> {
    let path = camino::Utf8PathBuf::from_path_buf(std::env::current_exe()?).map_err(|p| {
        Failure::world(
            format!("the path of this program is not UTF-8: {}", p.display()),
            "",
        )
    })?;
    let cache = std::env::var("XDG_CACHE_HOME").map_or_else(
        |_| {
            let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
            camino::Utf8PathBuf::from(home).join(".cache")
        },
        camino::Utf8PathBuf::from,
    );
    Ok(Arc::new(Binary::load(&path, &cache.join("quorate"))?))
}

/// Sessions to all hosts.
pub async fn connect(project: &Project) -> Result<Sessions, Failure> {
    Ok(fleet::connect(project.targets(), binary()?).await)
}

/// Fills secrets from a vault that stays open for the run.
pub fn filler(vault: Vault) -> (Fill, Arc<Vault>) {
    let vault = Arc::new(vault);
    let shared = Arc::clone(&vault);
    let fill: Fill = Arc::new(move |text: &str| {
        // Most texts hold none, and a search is cheaper than a copy with care.
        if text.contains('\u{27e6}') {
            shared.fill(text).map_err(|e| e.to_string())
        } else {
            Ok(text.to_owned())
        }
    });
    (fill, vault)
}

/// Sessions to hosts that others were told of and the cloud file does not name any more:
/// those that there are none to yet.
pub async fn connect_gone(
    project: &Project,
    sessions: &Sessions,
    observed: &plan::Observed,
) -> Result<Sessions, Failure> {
    let gone = plan::gone(&project.desired, observed).into_iter();
    let targets: Vec<Target> = gone
        .filter(|(name, _)| !sessions.contains_key(name))
        .filter_map(|(name, address)| project.target_of(&name, &address))
        .collect();
    if targets.is_empty() {
        return Ok(Sessions::default());
    }
    Ok(fleet::connect(targets, binary()?).await)
}

/// Finds everything that must not be shown: what the vault knows, and the
/// passwords that the cloud file gives in plain words to power devices.
pub fn scrubber(project: &Project, vault: &Vault) -> Result<vault::Scrubber, Failure> {
    Ok(vault.scrubber(&project.plain_passwords())?)
}

/// Observes every host at the same time.
pub async fn observe(
    project: &Project,
    sessions: &Sessions,
    fill: &Fill,
    key: [u8; 32],
    deep: bool,
) -> Result<plan::Observed, Failure> {
    let mut tasks = JoinSet::new();
    let mut found: BTreeMap<String, Result<Facts, String>> = BTreeMap::new();
    for (host, session) in sessions {
        let mut op = Op::Observe(plan::observe(&project.desired, host, key, deep));
        op.fill(&|t: &str| fill(t))
            .map_err(|e| Failure::world(e, "run `quorate apply`, which makes what is missing"))?;
        match session {
            Ok(session) => {
                let (session, host): (Arc<Session>, String) = (Arc::clone(session), host.clone());
                tasks.spawn(async move {
                    let reply = session.call(op, None).await;
                    let facts = match reply {
                        Ok(Reply::Facts(facts)) => Ok(*facts),
                        Ok(_) => Err(format!("{host}: the agent answered something else")),
                        Err(CallError::Failed(error)) => Err(format!("{host}: {error}")),
                        Err(CallError::Lost) => Err(format!("{host}: the connection was lost")),
                    };
                    (host, facts)
                });
            }
            Err(error) => {
                found.insert(host.clone(), Err(format!("{error}; {}", error.cure)));
            }
        }
    }
    while let Some(joined) = tasks.join_next().await {
        if let Ok((host, facts)) = joined {
            found.insert(host, facts);
        }
    }
    let order: IndexMap<String, Result<Facts, String>> = sessions
        .keys()
        .filter_map(|h| found.remove(h).map(|f| (h.clone(), f)))
        .collect();
    Ok(order)
}

/// Warns of hosts that could not be asked, a reason each; the exit status then.
pub fn warn(unseen: &[String]) -> ExitCode {
    for why in unseen {
        say::errln!("warning: {why}");
    }
    ExitCode::from(u8::from(!unseen.is_empty()))
}
