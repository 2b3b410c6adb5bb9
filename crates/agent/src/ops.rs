//! From a request to what does it. Not for how anything is done: one arm, one
//! module.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::OnceCell;
use wire::{Op, OpError, Reply};

use crate::{
    audit, balance, cib, files, http, lock, observe, packages, pieces, prober, query, run, session::Progress,
    socket, sql, sysctl, systemd::Systemd, units, wait,
};

/// What lives as long as the session.
#[derive(Default)]
pub(crate) struct Session {
    systemd: OnceCell<Systemd>,
    lock: Mutex<Option<lock::Lock>>,
    prober: prober::Slot,
    /// Whether systemd has read its unit files since we last changed any.
    units_read: AtomicBool,
}

impl Session {
    /// The connection to systemd, made when first needed.
    pub(crate) async fn systemd(&self) -> Result<&Systemd, OpError> {
        self.systemd.get_or_try_init(Systemd::connect).await
    }

    /// Says that unit files may be different from what systemd has read.
    pub(crate) fn unit_files_changed(&self) {
        self.units_read.store(false, Ordering::SeqCst);
    }

    /// Says that systemd has read the unit files; whether it had before. It
    /// has not when the session begins: one before may have died in between.
    pub(crate) fn unit_files_read(&self) -> bool {
        self.units_read.swap(true, Ordering::SeqCst)
    }
}

/// Does one request. Boxed, since requests nest.
pub(crate) fn perform<'a>(
    session: &'a Session,
    op: Op,
    progress: &'a Progress,
) -> BoxFuture<'a, Result<Reply, OpError>> {
    async move {
        let changed = match op {
            Op::Observe(observe) => {
                return Ok(Reply::Facts(Box::new(observe::observe(session, observe).await)));
            }
            Op::Ask(query) => return Ok(Reply::Answer(query::ask(&query).await)),
            Op::Lock { owner } => lock::take(&session.lock, &owner)?,
            Op::Files(files) => {
                session.unit_files_changed();
                blocking(move || files::write(&files)).await?
            }
            Op::Remove(paths) => {
                session.unit_files_changed();
                blocking(move || files::remove(&paths)).await?
            }
            Op::Packages(names) => {
                session.unit_files_changed();
                packages::install(session, &names, progress).await?
            }
            Op::Upgrade => {
                session.unit_files_changed();
                packages::upgrade(session, progress).await?
            }
            Op::Units(changes) => units::change(session, &changes, progress).await?,
            Op::Sysctls(wanted) => sysctl::write(&wanted, progress)?,
            Op::Run(command) => {
                session.unit_files_changed();
                run::run(session, &command, None, progress).await?
            }
            Op::Sql(statements) => sql::execute(&statements).await?,
            Op::Http(request) => http::change(&request).await?,
            Op::Cib(sections) => cib::replace(&sections, progress).await?,
            Op::Tell { path, lines } => socket::tell(&path, &lines).await?,
            Op::Balance(wanted) => balance::set(&wanted, progress).await?,
            Op::Probe(all) => prober::begin(&session.prober, &all).await?,
            Op::Seen => return Ok(Reply::Seen(prober::end(&session.prober).await)),
            Op::Walk(journeys) => {
                let walked = probe::Traveller::default().walk_all(&journeys).await;
                return Ok(Reply::Walked(walked));
            }
            Op::Wait(wait) => wait::wait(&wait, progress).await?,
            Op::Unless { guards, ops } => unless(session, &guards, ops, progress).await?,
            Op::Audit(line) => audit::append(&line)?,
            Op::Sum(path) => return Ok(Reply::Sum(blocking(move || Ok(pieces::sum(&path))).await?)),
            Op::Take { path, offset, length } => {
                return Ok(Reply::Piece(
                    blocking(move || pieces::take(&path, offset, length)).await?,
                ));
            }
            Op::Put { path, offset, bytes } => blocking(move || pieces::put(&path, offset, &bytes)).await?,
        };
        Ok(Reply::Changed(changed))
    }
    .boxed()
}

async fn unless(
    session: &Session,
    guards: &[(wire::Query, wire::Expect)],
    ops: Vec<Op>,
    progress: &Progress,
) -> Result<u32, OpError> {
    let answers = futures::future::join_all(guards.iter().map(|(query, _)| query::ask(query))).await;
    // Without a guard there is nothing that says "done already".
    let done = !guards.is_empty()
        && answers
            .iter()
            .zip(guards)
            .all(|(answer, (_, expect))| wire::holds(answer, expect).is_ok());
    if done {
        return Ok(0);
    }
    let mut changed = 0;
    for op in ops {
        if let Reply::Changed(count) = perform(session, op, progress).await? {
            changed += count;
        }
    }
    Ok(changed)
}

/// Work on the file system, off the threads that keep the session alive.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpError> + Send + 'static,
) -> Result<T, OpError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(OpError::new("the agent has a bug here: it panicked")))
}

#[cfg(test)]
mod tests {
    use wire::{Expect, Query};

    use super::*;

    #[tokio::test]
    async fn unless_sums_and_skips() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_string_lossy().into_owned();
        std::fs::write(&path, "ready").unwrap();
        let guard = |text: &str| (Query::Read(path.clone()), Expect::Contains(text.to_owned()));
        let remove = || {
            vec![
                Op::Remove(vec![path.clone()]),
                Op::Unless {
                    guards: vec![],
                    ops: vec![],
                },
            ]
        };
        let session = Session::default();
        let skipped = Op::Unless {
            guards: vec![guard("ready")],
            ops: remove(),
        };
        assert_eq!(
            perform(&session, skipped, &Progress::silent()).await,
            Ok(Reply::Changed(0))
        );
        let done = Op::Unless {
            guards: vec![guard("ready"), guard("never")],
            ops: remove(),
        };
        assert_eq!(
            perform(&session, done, &Progress::silent()).await,
            Ok(Reply::Changed(1))
        );
    }
}
