//! The copy of the vault here, compared with the version that each host was written from.
//!
//! Hosts tell it before anything is saved or planned. A copy that is newer than the
//! hosts is fine: a run was cut off between the vault and the hosts.

use camino::Utf8Path;
use fleet::Sessions;
use names::HostName;
use tokio::task::JoinSet;
use vault::{Known, Vault, Version};
use wire::{Answer, Fact, NamedQuery, Observe, Op, Query, Reply};

use crate::failure::Failure;

/// Name of the answer.
const ANSWER: &str = "vault";

/// Hosts and the text of the version that each keeps; those without one are left out.
pub async fn known(sessions: &Sessions) -> Vec<(HostName, String)> {
    let mut tasks = JoinSet::new();
    for (host, session) in sessions {
        let Ok(session) = session else { continue };
        let (host, session) = (host.clone(), session.clone());
        let ask = Observe {
            queries: vec![NamedQuery {
                name: ANSWER.to_owned(),
                query: Query::Read(render::VERSION.to_owned()),
            }],
            ..Observe::default()
        };
        tasks.spawn(async move {
            let Ok(Reply::Facts(facts)) = session.call(Op::Observe(ask), None).await else {
                return None; // told by who observes it
            };
            match facts.answers.get(ANSWER) {
                Some(Fact::Known(Answer::Text(text))) => Some((host, text.clone())),
                _ => None,
            }
        });
    }
    let mut out: Vec<(HostName, String)> = tasks.join_all().await.into_iter().flatten().collect();
    out.sort();
    out
}

/// The newest version that this copy does not hold, with the host that knows it.
fn newest<'a>(vault: &Vault, known: &'a [(HostName, String)]) -> Option<(&'a str, Known, Version)> {
    let judged = known.iter().filter_map(|(host, text)| {
        let judged = vault.compare(text);
        match &judged {
            Known::Newer(version) | Known::Apart(version) => {
                let version = version.clone();
                Some((host.as_str(), judged, version))
            }
            Known::Ours | Known::Foreign => None,
        }
    });
    judged.max_by_key(|(_, _, version)| version.counter)
}

/// Refuses a copy that is older than the hosts, or that was changed apart from theirs.
pub fn refuse(vault: &Vault, path: &Utf8Path, known: &[(HostName, String)]) -> Result<(), Failure> {
    let Some((host, judged, theirs)) = newest(vault, known) else {
        return Ok(());
    };
    let by = match (theirs.by.as_str(), theirs.at) {
        ("", _) => String::new(),
        (by, None) => format!(", saved by {by}"),
        (by, Some(at)) => format!(", saved by {by} at {}", at.strftime("%Y-%m-%d %H:%M UTC")),
    };
    let (code, what) = match judged {
        Known::Apart(_) => ("vault::apart", "was changed apart from it"),
        _ => ("vault::older", "is older"),
    };
    let from = if theirs.by.is_empty() {
        "the machine or repository that has it".to_owned()
    } else {
        format!("{} or your repository", theirs.by)
    };
    Err(Failure::explained(
        code,
        &format!(
            "{host} has secrets of version {} of the vault{by}; `{path}` {what}, and would put its own over them",
            theirs.counter
        ),
        format!(
            "nothing was changed; bring the newest `vault.age` here from {from}; where every newer copy is \
             lost, `quorate apply --older-vault` replaces the hosts' secrets by those of this copy"
        ),
    ))
}

/// The same for a change; `pass`: the operator gives the newer secrets up.
pub fn accept(
    vault: &mut Vault,
    path: &Utf8Path,
    known: &[(HostName, String)],
    pass: bool,
) -> Result<(), Failure> {
    if !pass {
        return refuse(vault, path, known);
    }
    if let Some((_, _, theirs)) = newest(vault, known) {
        vault.pass(&theirs);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use vault::{DIGEST_KEY, ExposeSecret as _};

    use super::*;
    use crate::rotate::tests::empty;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    /// Copies of one vault that hold these secrets, each saved in turn.
    fn copy(values: &[&str]) -> (tempfile::TempDir, Vault) {
        let (dir, mut vault) = empty();
        for value in values {
            for (name, value) in [(DIGEST_KEY, "of all copies"), ("a/secret", value)] {
                vault
                    .import(name, value.to_owned().into(), Timestamp::UNIX_EPOCH)
                    .unwrap();
            }
            vault.save().unwrap();
        }
        (dir, vault)
    }

    #[track_caller]
    fn check(mine: &[&str], hosts: &[&[&str]], code: Option<&str>) {
        let (_dir, vault) = copy(mine);
        let known: Vec<(HostName, String)> = hosts
            .iter()
            .enumerate()
            .map(|(n, values)| (host(&format!("c{n}")), copy(values).1.version_text()))
            .collect();
        let got = refuse(&vault, "v".into(), &known);
        let said = match &got {
            Err(Failure::World { message, .. }) => message.clone(),
            _ => String::new(),
        };
        match code {
            None => assert!(got.is_ok(), "{said}"),
            Some(code) => assert!(said.contains(code), "{said}"),
        }
    }

    #[test]
    fn a_copy_that_is_older_or_apart_is_refused() {
        check(&["1", "2"], &[], None);
        check(&["1", "2"], &[&["1", "2"], &["1"]], None);
        check(&["1"], &[&["1"], &["1", "2"]], Some("vault::older"));
        check(&["1", "3"], &[&["1", "2"]], Some("vault::apart"));
        check(&["1", "3", "4"], &[&["1", "2"]], Some("vault::apart"));
    }

    #[test]
    fn a_run_that_was_cut_between_vault_and_hosts_goes_on() {
        check(&["1", "2", "3"], &[&["1"], &["1", "2"]], None);
    }

    #[test]
    fn what_no_copy_has_made_locks_nobody_out() {
        let (_dir, vault) = copy(&["1"]);
        let known = [(host("n1"), "0123 99 abcd - -".to_owned())];
        assert!(refuse(&vault, "v".into(), &known).is_ok());
    }

    #[test]
    fn newer_secrets_are_given_up_on_request() {
        let (_dir, mut vault) = copy(&["1"]);
        let known = [(host("c1"), copy(&["1", "2"]).1.version_text())];
        accept(&mut vault, "v".into(), &known, true).unwrap();
        vault.save().unwrap();
        assert_eq!(vault.version().counter, 3);
        assert!(refuse(&vault, "v".into(), &known).is_ok());
        assert_eq!(vault.get("a/secret").unwrap().expose_secret(), "1");
    }
}
