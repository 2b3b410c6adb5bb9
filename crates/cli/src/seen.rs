//! Looking at all hosts at once.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use fleet::{Binary, CallError, ConnectError, Fill, Session, Sessions, Target};
use indexmap::IndexMap;
use names::HostName;
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
/// those that there are none to yet. Their addresses stand in no file of the operator's:
/// unless `yes`, it is asked before anybody logs in there.
pub async fn connect_gone(
    project: &Project,
    sessions: &Sessions,
    observed: &plan::Observed,
    yes: bool,
) -> Result<Sessions, Failure> {
    let mut targets: Vec<Target> = Vec::new();
    let mut out = Sessions::default();
    for (name, address) in plan::gone(&project.desired, observed) {
        if sessions.contains_key(&name) {
            continue;
        }
        let Some(target) = project.target_of(&name, &address) else {
            continue;
        };
        // A name is looked up in a configuration of the operator's own.
        if target.destination == name || yes || asked(&name, &address)? {
            targets.push(target);
        } else {
            let refused = not_asked(&name, &address);
            out.insert(name, Err(refused));
        }
    }
    if targets.is_empty() {
        return Ok(out);
    }
    for (name, session) in fleet::connect(targets, binary()?).await {
        let session = session.and_then(|session| {
            is_itself(&name, &session.hello.hostname)?;
            Ok(session)
        });
        out.insert(name, session);
    }
    Ok(out)
}

/// True if the operator wants to log in to a host that only the hosts know.
fn asked(name: &str, address: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    say::errln!(
        "the hosts tell of {name} at {address}, which the cloud file does not name: log in there to see what it runs?"
    );
    crate::commands::apply::ask()
}

fn not_asked(name: &HostName, address: &str) -> ConnectError {
    ConnectError {
        host: name.clone(),
        message: format!("nobody logged in to {address}, an address that only the hosts tell"),
        cure: format!("`quorate host remove {name}` says that you mean it"),
    }
}

/// A machine that has another name is not what the hosts told of: nothing is done there.
fn is_itself(name: &HostName, hostname: &str) -> Result<(), ConnectError> {
    if hostname.split('.').next() == Some(name.as_str()) {
        return Ok(());
    }
    Err(ConnectError {
        host: name.clone(),
        message: format!("the machine at its address says that its name is `{hostname}`"),
        cure: format!("nothing was touched there; is {name} gone, and its address another's now?"),
    })
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
    let mut found: BTreeMap<HostName, Result<Facts, String>> = BTreeMap::new();
    let mut looks = plan::Looks::new(&project.desired, key, deep);
    for (host, session) in sessions {
        let mut op = Op::Observe(looks.at(host));
        op.fill(&|t: &str| fill(t))
            .map_err(|e| Failure::world(e, "run `quorate apply`, which makes what is missing"))?;
        match session {
            Ok(session) => {
                let (session, host): (Arc<Session>, HostName) = (Arc::clone(session), host.clone());
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
    let order: IndexMap<HostName, Result<Facts, String>> = sessions
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that a host had may be another machine's since it left.
    #[test]
    fn a_machine_of_another_name_is_not_touched() {
        let name = HostName::new("c5").unwrap();
        for hostname in ["c5", "c5.example.org"] {
            assert_eq!(is_itself(&name, hostname), Ok(()), "{hostname}");
        }
        for hostname in ["c50", "c5-new.example.org", "db1", "", "example.c5"] {
            let error = is_itself(&name, hostname).unwrap_err();
            assert_eq!(error.host, "c5");
            assert!(
                error.message.contains(&format!("`{hostname}`")),
                "{}",
                error.message
            );
            assert!(error.cure.contains("nothing was touched there"), "{}", error.cure);
        }
    }
}
