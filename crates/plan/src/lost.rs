//! Members that the operator gives up in a recovery: the cluster keeps a mark of each, by
//! which its stores are set aside should it return (`catalog/infra/pacemaker/given-up`).

use wire::{Command, Op};

use crate::build::{Planner, step};

/// Attribute of each node that holds the marks: `HOST@TIME`, with spaces between. What a
/// host's store holds from before that time is given up.
pub(crate) const MARK: &str = "quorate-given-up";

/// The step that marks the lost.
const STEP: &str = "lost/mark";

impl Planner<'_> {
    /// The step before which no store may begin, where there is one.
    pub(crate) fn marked(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.steps
            .iter()
            .any(|s| s.id == STEP)
            .then_some(STEP)
            .into_iter()
    }

    /// Marks the lost in the cluster, before any store begins without them.
    pub(crate) fn mark_lost(&mut self, quorum: Option<&str>) {
        let lost = &self.desired.lost;
        if lost.is_empty() {
            return;
        }
        // By the clock that is ahead: what the lost ones hold is from before all of them.
        let clocks = self.observed.values().flatten().map(|f| f.clock);
        let now = clocks.max().unwrap_or_default();
        let marks: Vec<String> = lost.iter().map(|host| format!("{host}@{now}")).collect();
        // On each node: a later change of members takes one at a time.
        let script = format!(
            "set -e; for n in {nodes}; do \
             old=$(crm_attribute --node \"$n\" --name {MARK} --lifetime forever --query --quiet 2>/dev/null || true); \
             crm_attribute --node \"$n\" --name {MARK} --lifetime forever --update \"$old {marks}\"; done",
            nodes = self.nodes().join(" "),
            marks = marks.join(" "),
        );
        let run = Op::Run(Command::new(
            "quorate-given-up".to_owned(),
            &["sh", "-c", &script],
            60_000,
        ));
        let nodes = self.nodes();
        let mut after = self.prepared.clone();
        after.extend(quorum.map(str::to_owned));
        self.steps.push(step(
            STEP.to_owned(),
            nodes,
            format!(
                "mark {} as given up: its stores are set aside should it return",
                lost.join(" and ")
            ),
            "the operator gives it up",
            vec![run],
            after,
        ));
        self.prepared.push(STEP.to_owned());
    }
}
