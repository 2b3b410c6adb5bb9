//! Everything that one host is asked at once. What blocks is on threads, what
//! waits is awaited together, so the whole takes as long as its longest part.
//! Not for judging what was seen.

use tokio::task::spawn_blocking;
use wire::{Fact, Facts, Observe};

use crate::{files, host, network, ops::Session, pacemaker, packages, query, sysctl, units};

/// Looks; what cannot be seen is unknown with its reason, never an error.
pub(crate) async fn observe(session: &Session, asked: Observe) -> Facts {
    let Observe {
        key,
        files,
        texts,
        lines,
        same,
        keys,
        units,
        packages,
        sysctls,
        mounts,
        queries,
        cluster,
        cib_text,
    } = asked;
    // First of all: hosts are asked together, and their clocks are compared.
    let clock = host::clock();
    let seen_files =
        spawn_blocking(move || files::differing(files::facts(&key, &files, &texts, &lines, &keys), &same));
    let listeners = spawn_blocking(network::listeners);
    let kernel = spawn_blocking(move || {
        (
            sysctl::facts(&sysctls),
            (host::disk_free(&mounts), host::disk_size(&mounts)),
            network::addresses(),
        )
    });
    let answers = futures::future::join_all(queries.iter().map(|named| query::ask(&named.query)));
    let pacemaker = async {
        if cluster {
            tokio::join!(pacemaker::cluster(), pacemaker::cib(cib_text))
        } else {
            let unasked = || "it was not asked for".to_owned();
            (Fact::Unknown(unasked()), Fact::Unknown(unasked()))
        }
    };
    let (files, listeners, kernel, units, packages, answers, (seen, cib)) = tokio::join!(
        seen_files,
        listeners,
        kernel,
        units::facts(session, &units),
        packages::facts(&packages),
        answers,
        pacemaker,
    );
    let (sysctls, (disk_free, disk_size), addresses) = kernel.unwrap_or_default();
    Facts {
        hostname: host::hostname(),
        boot_id: host::boot_id(),
        os: host::os(),
        clock,
        memory_kib: host::memory_kib(),
        disk_free,
        disk_size,
        addresses,
        listeners: listeners.unwrap_or_default(),
        files: files.unwrap_or_default(),
        units,
        packages,
        sysctls,
        answers: queries.into_iter().map(|named| named.name).zip(answers).collect(),
        cluster: seen,
        cib,
    }
}

#[cfg(test)]
mod tests {
    use wire::{NamedQuery, Query};

    use super::*;

    #[tokio::test]
    async fn any_host_answers() {
        let asked = Observe {
            files: vec!["/etc/passwd".to_owned(), "/nonexistent".to_owned()],
            mounts: vec!["/".to_owned()],
            queries: vec![NamedQuery {
                name: "q".to_owned(),
                query: Query::Read("/nonexistent".to_owned()),
            }],
            ..Observe::default()
        };
        let facts = observe(&Session::default(), asked).await;
        assert_eq!(
            facts.files["/etc/passwd"].known().map(|f| f.stat.owner.as_str()),
            Some("root")
        );
        assert!(facts.files["/nonexistent"].is_absent());
        assert!(facts.answers["q"].is_absent());
        assert!(matches!(facts.cluster, Fact::Unknown(_)));
        assert!(facts.disk_free["/"] > 0 && !facts.addresses.is_empty() && !facts.hostname.is_empty());
    }
}
