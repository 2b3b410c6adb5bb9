//! Members that the operator gives up in a recovery: the cluster keeps a mark of each, by
//! which its stores are set aside should it return (`catalog/infra/pacemaker/given-up`).

use names::HostName;
use render::{Desired, DesiredScript};
use wire::{Command, Expect, NamedQuery, Op, Query, Wait};

use crate::StepId;
use crate::build::{Planner, step};

/// Attribute of each node that holds the marks: `HOST@TIME`, with spaces between. What a
/// host's store holds from before that time is given up.
pub(crate) const MARK: &str = "quorate-given-up";

/// Time that a fence device may take to prove that a host is off, in milliseconds.
const PROVEN_MS: u64 = 120_000;

/// The step that marks the lost.
const STEP: &str = "lost/mark";

/// The step that waits for the proof that they are off.
const PROVEN: &str = "lost/proven";

impl Planner<'_> {
    /// The steps before which no store may begin, where there are any.
    pub(crate) fn marked(&self) -> impl Iterator<Item = &'static str> + use<> {
        let there = |id: &&str| self.steps.iter().any(|s| s.id == *id);
        [STEP, PROVEN]
            .into_iter()
            .filter(there)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Commands due where most of a role's hosts are lost: no host that is left says that
    /// they are done.
    pub(crate) fn left_alone(&self) -> Vec<DesiredScript> {
        if self.desired.lost.is_empty() {
            return Vec::new();
        }
        let done = |script: &&DesiredScript| {
            script.hosts.iter().any(|host| {
                let fact = self.facts(host).and_then(|f| f.answers.get(&answer(script)));
                let mut expected = script.guards.iter().map(|(_, expect)| expect);
                fact.is_some_and(|fact| expected.all(|expect| wire::holds(fact, expect).is_ok()))
            })
        };
        let all = self.desired.left_alone.iter();
        all.filter(|script| !done(script)).cloned().collect()
    }

    /// Has the hosts that are left go on without the lost, one after the other.
    pub(crate) fn stand_alone(&mut self, scripts: Vec<DesiredScript>) {
        for script in scripts {
            let mut after = self.prepared.clone();
            for host in &script.hosts {
                let id = StepId::from(format!("left-alone/{}/{}/{host}", script.service, script.name));
                self.steps.push(step(
                    id.clone(),
                    vec![host.clone()],
                    format!(
                        "have {} {} go on with what {host} holds",
                        script.service, script.name
                    ),
                    "the lost were most of its members",
                    vec![script.op.clone()],
                    after,
                ));
                after = vec![id];
            }
        }
    }

    /// Marks the lost in the cluster, before any store begins without them.
    pub(crate) fn mark_lost(&mut self, quorum: Option<&StepId>) {
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
        let proven = proven(lost);
        let mut after = self.prepared.clone();
        after.extend(quorum.cloned());
        self.steps.push(step(
            STEP.into(),
            nodes,
            format!(
                "mark {} as given up: its stores are set aside should it return",
                lost.join(" and ")
            ),
            "the operator gives it up",
            vec![run],
            after,
        ));
        self.prepared.push(STEP.into());
        let fences = self.desired.cib.properties.get("stonith-enabled");
        if fences.is_none_or(|v| v != "true") {
            return;
        }
        let wait = format!("wait: {}", proven.what);
        self.steps.push(step(
            PROVEN.into(),
            self.nodes(),
            wait,
            "what they alone may run is started elsewhere",
            vec![Op::Wait(proven)],
            vec![STEP.into()],
        ));
        self.prepared.push(PROVEN.into());
    }
}

fn answer(script: &DesiredScript) -> String {
    format!("left-alone/{}/{}", script.service, script.name)
}

/// Asks a host that is left whether it serves without the lost.
pub(crate) fn queries(desired: &Desired, host: &str) -> Vec<NamedQuery> {
    let here = |script: &&DesiredScript| script.hosts.iter().any(|h| h == host);
    let scripts = desired.left_alone.iter().filter(here);
    let asked = scripts.flat_map(|script| {
        let queries = script.guards.iter().map(|(query, _)| query.clone());
        queries.map(|query| NamedQuery {
            name: answer(script),
            query,
        })
    });
    asked.collect()
}

/// The wait for those that are left to have quorum, where the lost were a majority.
pub(crate) fn quorum(lost: &[HostName]) -> Wait {
    let script = "corosync-quorumtool -s | grep -q '^Quorate: *Yes'";
    Wait {
        what: format!("the cluster has quorum without {}", lost.join(" and ")),
        query: Query::Run {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout_ms: 10_000,
        },
        expect: Expect::Exit(0),
        timeout_ms: 60_000,
        every_ms: 300,
    }
}

/// The wait until the cluster has no doubt about any of the lost: its devices proved that they
/// are off, or the operator did.
fn proven(lost: &[HostName]) -> Wait {
    let pends = lost
        .iter()
        .map(|host| format!("-e 'node name=\"{host}\"[^>]* unclean=\"true\"'"));
    let script = format!(
        "xml=$(crm_mon -1 --output-as=xml) && ! printf '%s' \"$xml\" | grep -q {}",
        pends.collect::<Vec<_>>().join(" ")
    );
    Wait {
        what: format!(
            "the cluster has proof that {} is off (where the fence device is dead too: `quorate host \
             confirm-dead HOST`, then say this again)",
            lost.join(" and ")
        ),
        query: Query::Run {
            argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            timeout_ms: 20_000,
        },
        expect: Expect::Exit(0),
        timeout_ms: PROVEN_MS,
        every_ms: 500,
    }
}
