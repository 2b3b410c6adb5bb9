//! One run of a verb that changes something: its locks, its journal, its prober,
//! and the hosts looked at as often as it wants. What is done is a plan's choice.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use engines::Intent;
use fleet::{CallError, Fill, Sessions, Stop, Summary};
use plan::{Measures, Observed, Plan};
use tokio::sync::watch;
use wire::Op;

use crate::args::ApplyArgs;
use crate::commands::plan::{make, refused};
use crate::failure::Failure;
use crate::project::Project;
use crate::say;
use crate::watch::Watch;
use crate::{seen, steps, versions};

/// How long reasons against a plan are looked at again that may be gone by themselves: a server of
/// the databases is started or stopped within it, and a controller elected.
const PASSES: Duration = Duration::from_secs(20);

/// Takes every reachable host's lock; the first that is held ends it.
pub async fn lock(sessions: &Sessions, owner: &str) -> Result<(), Failure> {
    for (host, session) in sessions {
        let Ok(session) = session else { continue };
        match session
            .call(
                Op::Lock {
                    owner: owner.to_owned(),
                },
                None,
            )
            .await
        {
            Ok(_) => {}
            Err(CallError::Failed(error)) => {
                let by = error.held_by.clone().unwrap_or_else(|| error.to_string());
                return Err(Failure::world(
                    format!("{host} is being changed by another run: {}", by.trim()),
                    "wait for it to end; its lock goes with its connection",
                ));
            }
            Err(CallError::Lost) => {
                return Err(Failure::world(
                    format!("{host}: the connection was lost"),
                    "run it again",
                ));
            }
        }
    }
    Ok(())
}

/// The operator: `user@machine`.
pub fn author() -> String {
    let user = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "root".to_owned());
    let machine = nix::unistd::gethostname()
        .map(|h| h.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!("{user}@{machine}")
}

/// The operator, for locks and audit lines.
pub fn whoami(verb: &str, id: &str) -> String {
    format!("{} {verb} run {id}", author())
}

/// Adds a line to the audit log of every host that can be reached.
pub async fn audit(sessions: &Sessions, line: &str) {
    for session in sessions.values().flatten() {
        // A host that lost its connection has a failed step to tell of it.
        let _ = session.call(Op::Audit(line.to_owned()), None).await;
    }
}

/// A run under way.
pub struct Runner {
    /// The cloud.
    pub project: Project,
    /// Sessions with its hosts; their locks are ours.
    pub sessions: Sessions,
    /// Fills secrets.
    pub fill: Fill,
    /// Key of the digests by which contents are compared.
    pub key: [u8; 32],
    /// Steps that changed something so far.
    pub changed: usize,
    /// Hosts that the cloud file does not name are logged in to without being asked.
    yes: bool,
    /// The vault was made now: a refusal takes it back.
    made: bool,
    verb: &'static str,
    id: String,
    who: String,
    parallel: usize,
    stages: usize,
    stop: watch::Receiver<Stop>,
    watch: Option<Watch>,
    measures: Measures,
}

impl Runner {
    /// Connects to all hosts and takes their locks.
    pub async fn open(project: Project, args: &ApplyArgs, verb: &'static str) -> Result<Self, Failure> {
        let id = uuid::Uuid::now_v7().to_string();
        let sessions = seen::connect(&project).await?;
        let who = whoami(verb, &id);
        lock(&sessions, &who).await?;
        // Before anything is saved: an older copy that was changed would pass for a newer one.
        let known = versions::known(&sessions).await;
        let path = project.vault_path();
        let (vault, made) = project.vault_for_change(args.seed, |vault| {
            versions::accept(vault, &path, &known, args.older_vault)
        })?;
        let (fill, vault) = seen::filler(vault);
        let key = vault.digest_key()?;
        Ok(Self {
            measures: crate::watch::measures(&project.state),
            project,
            sessions,
            fill,
            key,
            changed: 0,
            made,
            yes: args.yes || verb == "host remove",
            verb,
            id,
            who,
            parallel: args.parallel,
            stages: 0,
            stop: steps::interrupts(),
            watch: None,
        })
    }

    /// Changes the vault, whole or not at all, and sends what it holds then from now on.
    pub fn change_vault(
        &mut self,
        change: impl FnOnce(&mut vault::Vault) -> Result<(), vault::Error>,
    ) -> Result<(), Failure> {
        self.project.change_vault(change)?;
        let (fill, vault) = seen::filler(self.project.vault_as_saved()?);
        self.key = vault.digest_key()?;
        self.fill = fill;
        Ok(())
    }

    /// A new session with a host that was restarted, and its lock.
    pub async fn reconnect(&mut self, host: &str) -> Result<(), Failure> {
        let target = self.project.targets().into_iter().find(|t| t.name == host);
        let connected = fleet::connect(target.into_iter().collect(), seen::binary()?).await;
        for session in connected.values() {
            if let Err(error) = session {
                return Err(Failure::world(error.to_string(), error.cure.clone()));
            }
        }
        lock(&connected, &self.who).await?;
        self.sessions.extend(connected);
        Ok(())
    }

    /// Looks at all hosts, also at those that the cloud file does not name any more.
    pub async fn observe(&mut self, deep: bool) -> Result<Observed, Failure> {
        let look = async |sessions: &Sessions| {
            seen::observe(&self.project, sessions, &self.fill, self.key, deep).await
        };
        let observed = look(&self.sessions).await?;
        let gone = seen::connect_gone(&self.project, &self.sessions, &observed, self.yes).await?;
        if gone.is_empty() {
            return Ok(observed);
        }
        lock(&gone, &self.who).await?;
        self.sessions.extend(gone);
        look(&self.sessions).await
    }

    /// Looks and plans; `deep`: also at what stores hold that are down.
    pub async fn look(&mut self, deep: bool, intent: Intent) -> Result<(Observed, Plan), Failure> {
        let observed = self.observe(deep).await?;
        self.plan_anew(observed, deep, intent).await
    }

    /// Plans from what was seen. Where all reasons against it may be gone within seconds it is
    /// looked at again for a while: somebody with a cloud that is down should not have to.
    pub async fn plan_anew(
        &mut self,
        mut observed: Observed,
        deep: bool,
        intent: Intent,
    ) -> Result<(Observed, Plan), Failure> {
        let end = Instant::now() + PASSES;
        let mut told = false;
        loop {
            let reasons = match make(&self.project, &observed, intent, &self.fill, self.key) {
                Ok(Ok(plan)) => return Ok((observed, plan)),
                Ok(Err(reasons)) => reasons,
                Err(failure) => return self.fails(failure),
            };
            let stopped = *self.stop.borrow() != Stop::No;
            if stopped || Instant::now() > end || !reasons.iter().all(engines::Refusal::passes) {
                return self.fails(refused(&reasons));
            }
            if !told {
                for reason in &reasons {
                    say::errln!("{}: looking again for {} s", reason.message, PASSES.as_secs());
                }
                told = true;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            observed = self.observe(deep).await?;
        }
    }

    /// Plans from what was seen.
    pub fn plan(&self, observed: &Observed, intent: Intent) -> Result<Plan, Failure> {
        make(&self.project, observed, intent, &self.fill, self.key)
            .and_then(|made| made.map_err(|reasons| refused(&reasons)))
            .or_else(|failure| self.fails(failure))
    }

    /// Nothing was changed: no vault was made either.
    fn fails<T>(&self, failure: Failure) -> Result<T, Failure> {
        if self.made && self.stages == 0 {
            self.project.forget_vault()?;
        }
        Err(failure)
    }

    /// Puts into a plan what it will cost.
    pub fn foretell(&self, plan: &mut Plan) {
        plan.outages = plan::outage(plan, &self.project.desired, &self.measures);
    }

    /// Adds a line, with who this is, to the audit log of every host.
    pub async fn audit(&self, line: &str) {
        audit(&self.sessions, &format!("{}: {line}", self.who)).await;
    }

    /// Who runs this, as hosts are told.
    pub fn who(&self) -> &str {
        &self.who
    }

    fn again(&self) -> String {
        format!(
            "mend it and run `quorate {}` again: it goes on from what is there",
            self.verb
        )
    }

    /// Does a plan. What it asks of those who use the cloud is watched from the
    /// first on.
    ///
    /// # Errors
    /// When steps failed, or the operator stopped it.
    pub async fn stage(&mut self, plan: &Plan, observed: &Observed) -> Result<(), Failure> {
        for line in &plan.explain {
            say::errln!("{line}");
        }
        let stage = self.stages;
        self.stages += 1;
        self.audit(&format!("stage {stage}, {} steps", plan.steps.len()))
            .await;
        match &mut self.watch {
            Some(watch) => watch.also(plan),
            None => {
                self.watch = Watch::begin(plan, &self.project, &self.sessions, observed, &self.fill).await;
            }
        }
        let journal = if stage == 0 {
            self.id.clone()
        } else {
            format!("{}.{stage}", self.id)
        };
        let summary: Summary = steps::run(
            plan,
            &self.sessions,
            &self.fill,
            &self.project.state,
            &journal,
            self.parallel,
            self.stop.clone(),
        )
        .await?;
        self.changed += summary.changed;
        self.audit(&format!(
            "stage {stage} ended, {} changed, {} failed",
            summary.changed, summary.failed
        ))
        .await;
        if summary.failed > 0 {
            self.seen().await;
            return Err(Failure::world(
                format!("{} steps failed, {} were not begun", summary.failed, summary.left),
                self.again(),
            ));
        }
        if *self.stop.borrow() == Stop::AfterStepsInFlight {
            self.seen().await;
            return Err(Failure::world(
                "stopped",
                format!("run `quorate {}` again: it goes on from what is there", self.verb),
            ));
        }
        Ok(())
    }

    /// A host is about to go down: it tells what it saw so far. Gives whether it watched.
    pub async fn blind(&mut self, host: &str) -> bool {
        match &mut self.watch {
            Some(watch) => watch.leave(host, &self.sessions).await,
            None => false,
        }
    }

    /// A host is back, and watches again.
    pub async fn sighted(&mut self, host: &str) {
        if let Some(watch) = &mut self.watch {
            watch.join(host, &self.sessions, &self.fill).await;
        }
    }

    /// Ends the prober: tells what was foretold and what was seen, and keeps it.
    pub async fn seen(&mut self) {
        if let Some(watch) = self.watch.take() {
            let state: &Utf8Path = &self.project.state;
            watch
                .end(
                    &self.sessions,
                    &self.project.desired,
                    state,
                    &self.id,
                    &mut self.measures,
                )
                .await;
        }
    }
}
