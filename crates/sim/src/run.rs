//! Plans, made and done until one is empty.

use names::HostName;
use plan::{Intent, Plan, Refusal, StepId};
use wire::Op;

use crate::{Failure, World, digest};

/// Distribution of the clouds' hosts.
pub const DISTRIBUTION: &str = "debian-13";
/// Plans after which it is held that no end will come.
const PLANS: usize = 12;

/// Characters of an operation that are told.
const TOLD: usize = 160;

/// When a run stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does not.
    Never,
    /// The operator is killed after so many operations of this world.
    After(usize),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The last plan was empty, after so many that were not.
    Empty(usize),
    /// It was stopped.
    Stopped,
    /// A plan was refused.
    Refused(Vec<Refusal>),
    /// A step failed: its id and why.
    Failed(StepId, String),
    /// Plan after plan, and none was empty.
    Endless(String),
}

impl World {
    /// Observes and plans, as a run does.
    ///
    /// # Errors
    /// All reasons against it.
    pub fn plan(&self, intent: Intent) -> Result<Plan, Vec<Refusal>> {
        let observed = self.observe();
        let plan = plan::plan(&self.desired, &observed, intent, DISTRIBUTION, &digest);
        self.plans.set(self.plans.get() + 1);
        self.refused.set(self.refused.get() + usize::from(plan.is_err()));
        plan
    }

    /// Does the steps of a plan in their order, each on the first of its hosts that is up.
    pub(crate) fn follow(&mut self, plan: &Plan, end: Stop) -> Result<bool, (StepId, String)> {
        for step in &plan.steps {
            let up = |h: &&HostName| self.machines.get(*h).is_some_and(|m| m.up);
            let Some(host) = step.hosts.iter().find(up).cloned() else {
                return Err((step.id.clone(), "none of its hosts can be reached".to_owned()));
            };
            self.touched = false;
            for op in &step.ops {
                let done = self.follow_op(&step.id, &host, op, end);
                if !done.map_err(|why| (step.id.clone(), why))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Does an operation, or what is in it; false where the operator is killed before it.
    fn follow_op(&mut self, step: &str, host: &str, op: &Op, end: Stop) -> Result<bool, Failure> {
        if let Op::Unless { guards, ops } = op {
            if self.hold_all(host, guards) {
                return Ok(true);
            }
            for op in ops {
                if !self.follow_op(step, host, op, end)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if end == Stop::After(self.done) || self.happen() {
            // Work that a host does by itself goes on.
            if let Op::Run(command) = op {
                self.leave_running(host, command);
            }
            return Ok(false);
        }
        let done = self.perform(host, op);
        if let Some(told) = &mut self.told {
            let op: String = format!("{op:?}").chars().take(TOLD).collect();
            told.push(format!("{} {step} on {host}: {op}: {done:?}", self.done));
        }
        done.map(|()| true)
    }

    /// True if all hosts answer each other.
    pub(crate) fn is_calm(&self) -> bool {
        self.partition.side.is_empty() && self.machines.values().all(|m| !m.slow)
    }

    /// True if something is as only a fault makes it.
    fn is_disturbed(&self) -> bool {
        let mut all = self.machines.values();
        self.cluster.election
            || !self.partition.side.is_empty()
            || all.any(|m| m.slow || !m.up || !m.room || !m.hidden.is_empty())
    }

    /// Plans and does until a plan is empty.
    pub fn run(&mut self, intent: Intent, end: Stop) -> Ended {
        let mut last = None;
        let mut finished = None;
        for plans in 0..PLANS {
            self.tick += 1;
            self.look_for_absent();
            (self.planned, self.looked, self.looking) = (self.tick, self.tick, false);
            let plan = match self.plan(intent) {
                Ok(plan) => plan,
                Err(refusals) => return Ended::Refused(refusals),
            };
            if plan.is_empty() && !plan.barrier {
                return Ended::Empty(plans);
            }
            // Law 2, where nothing happened since, and nothing is in the way. Addresses come
            // home when their time has come.
            let comes_home = plan.steps.iter().all(|s| s.id.starts_with("home/"));
            if !comes_home && finished.is_some_and(|at| self.disturbed < at) && !self.is_disturbed() {
                let shown = plan::show(&plan, true);
                self.break_law(&format!("a plan of what was just applied is not empty:\n{shown}"));
            }
            let made = self.tick;
            let flaws = plan::lint(&plan, &self.desired.without(&self.absent));
            self.broken
                .extend(flaws.iter().map(|f| format!("{}: {}", f.step, f.what)));
            last = Some(plan.clone());
            match self.follow(&plan, end) {
                Ok(true) => finished = (!plan.barrier).then_some(made),
                Ok(false) => return Ended::Stopped,
                Err((step, why)) => return Ended::Failed(step, why),
            }
        }
        Ended::Endless(last.map_or_else(String::new, |plan| plan::show(&plan, true)))
    }
}
