//! A plan that was kept: what was shown, to be done later and nothing else.
//!
//! A step is done if what it stands on is still so and the cloud file would have
//! it done in the same way; else it is refused, and so are those that go after
//! it. The others stand. It holds references to secrets and no secret.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use plan::{Digest, Observed, Plan, StepId};
use serde::{Deserialize, Serialize};
use wire::Op;

use crate::failure::Failure;
use crate::project::Project;

/// Raised whenever the file changes its shape.
const FORMAT: u32 = 1;

/// The file.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    /// [`FORMAT`]; also what such a file is known by.
    quorate_plan: u32,
    /// When it was made, RFC 3339.
    made: String,
    /// The cloud's name.
    cloud: String,
    /// A keyed digest of the cloud's id: another cloud has another.
    id: String,
    /// The cloud file, from the root.
    pub file: Utf8PathBuf,
    plan: Plan,
    /// What each step does, in the plan's order.
    ops: Vec<Vec<Op>>,
    /// What each step stands on, in the plan's order.
    relied: Vec<BTreeMap<String, String>>,
}

/// Why a step is not done.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The step.
    pub step: StepId,
    /// The reason.
    pub why: String,
}

/// A keyed digest of the cloud's id.
fn id(digest: Digest<'_>) -> String {
    digest(render::secret("cloud/id").as_bytes())
}

impl Saved {
    /// What was planned for a project.
    pub fn new(
        project: &Project,
        plan: &Plan,
        observed: &Observed,
        digest: Digest<'_>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            quorate_plan: FORMAT,
            made: jiff::Timestamp::now().to_string(),
            cloud: project.model.cloud.name.value.to_string(),
            id: id(digest),
            file: project.file.canonicalize_utf8()?,
            ops: plan.steps.iter().map(|s| s.ops.clone()).collect(),
            relied: plan
                .steps
                .iter()
                .map(|s| plan::relied(s, observed, digest))
                .collect(),
            plan: plan.clone(),
        })
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, to: &Utf8Path) -> Result<(), Failure> {
        let beside = Utf8PathBuf::from(format!("{to}.new"));
        fs_err::write(&beside, serde_json::to_string(self)?)?;
        Ok(fs_err::rename(&beside, to)?)
    }

    /// Reads a file, if it is a plan: `None` for anything else, such as a cloud file.
    ///
    /// # Errors
    /// When it is one and cannot be used.
    pub fn read(file: &Utf8Path) -> Result<Option<Self>, Failure> {
        let Ok(text) = fs_err::read_to_string(file) else {
            return Ok(None); // told by who reads the cloud file
        };
        if !text.starts_with("{\"quorate_plan\"") {
            return Ok(None);
        }
        let wrong = |why: String| {
            Failure::Input(format!(
                "error: `{file}` is a plan that cannot be used: {why}\n\nhint: make it again: `quorate plan --out {file}`"
            ))
        };
        let mut saved: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if saved.quorate_plan != FORMAT {
            return Err(wrong(format!(
                "its format is {}, this program's is {FORMAT}",
                saved.quorate_plan
            )));
        }
        if saved.ops.len() != saved.plan.steps.len() || saved.relied.len() != saved.plan.steps.len() {
            return Err(wrong("it is cut".to_owned()));
        }
        for (step, ops) in saved.plan.steps.iter_mut().zip(&saved.ops) {
            step.ops.clone_from(ops);
        }
        Ok(Some(saved))
    }

    /// Whether it is for this cloud.
    ///
    /// # Errors
    /// When it is for another.
    pub fn belongs(&self, project: &Project, digest: Digest<'_>) -> Result<(), Failure> {
        let name = project.model.cloud.name.value.to_string();
        if self.cloud == name && self.id == id(digest) {
            return Ok(());
        }
        Err(Failure::Input(format!(
            "error: this plan is for another cloud: it was made for `{}` at {}, and `{}` is `{name}` with other secrets or another name\n\nhint: make it again with `quorate plan --out`",
            self.cloud, self.made, self.file
        )))
    }

    /// What of it may be done, beside a plan made now; and what may not.
    pub fn stands(&self, fresh: &Plan, observed: &Observed, digest: Digest<'_>) -> (Plan, Vec<Refused>) {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        let mut refused: Vec<Refused> = Vec::new();
        let mut why: BTreeMap<&StepId, String> = BTreeMap::new();
        for (step, relied) in self.plan.steps.iter().zip(&self.relied) {
            let Some(now) = fresh.steps.iter().find(|s| s.id == step.id) else {
                continue; // somebody did it meanwhile, or an earlier run of this plan
            };
            let facts = plan::relied(now, observed, digest);
            let changed: Vec<&str> = relied
                .iter()
                .filter(|(what, value)| facts.get(*what) != Some(value))
                .map(|(what, _)| what.as_str())
                .collect();
            if !changed.is_empty() {
                why.insert(&step.id, format!("{} is not as it was", changed.join(", ")));
            } else if now.ops != step.ops || now.hosts != step.hosts {
                let other = "the cloud file, its catalogue or the hosts would have something else done now";
                why.insert(&step.id, other.to_owned());
            }
        }
        let turns: BTreeSet<&str> = why.keys().filter_map(|id| id.turn()).collect();
        for step in &self.plan.steps {
            let only_waits = step.ops.iter().all(|op| matches!(op, Op::Wait(_)));
            let turn = step.id.turn();
            let mut needed = step.after.iter().filter(|a| step.id.needs(a));
            let before = needed.find(|a| why.contains_key(a));
            let reason = match why.get(&step.id) {
                Some(reason) => reason.clone(),
                None if turn.is_some_and(|host| turns.contains(host)) => {
                    "its host's turn is not done".to_owned()
                }
                None => match before {
                    Some(before) if !only_waits => format!("it goes after {before}"),
                    _ => {
                        if fresh.steps.iter().any(|s| s.id == step.id) {
                            kept.insert(&step.id);
                        }
                        continue;
                    }
                },
            };
            why.insert(&step.id, reason.clone());
            refused.push(Refused {
                step: step.id.clone(),
                why: reason,
            });
        }
        let mut out = self.plan.clone();
        out.steps = plan::only(&self.plan.steps, &|s| kept.contains(s.id.as_str()));
        (out, refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use names::HostName;
    use plan::Step;
    use wire::{Expect, Query, Wait};

    fn name(host: &str) -> HostName {
        HostName::new(host).unwrap()
    }

    fn step(id: &str, after: &[&str]) -> Step {
        let host = id.rsplit('/').next().unwrap_or_default();
        Step {
            id: id.into(),
            hosts: vec![name(host)],
            title: id.to_owned(),
            why: "a test".to_owned(),
            changes: Vec::new(),
            effects: Vec::new(),
            after: after.iter().map(|a| (*a).into()).collect(),
            ops: vec![Op::Remove(vec![format!("/etc/{id}")])],
        }
    }

    /// Three turns one after the other, a step beside them, and one that goes after it.
    fn made() -> Plan {
        let mut gate = step("gate/c2", &["change/c1"]);
        gate.ops = vec![Op::Wait(Wait {
            what: "all serve".to_owned(),
            query: Query::Cluster,
            expect: Expect::Open,
            timeout_ms: 1,
            every_ms: 1,
        })];
        let steps = vec![
            step("prepare/c1", &[]),
            step("database/c1", &["prepare/c1"]),
            step("change/c1", &[]),
            gate,
            step("change/c2", &["gate/c2"]),
            step("change/c3", &["change/c2"]),
        ];
        Plan {
            steps,
            ..Plan::default()
        }
    }

    /// Every host has a file at each of these paths.
    fn seen(paths: &[&str]) -> Observed {
        let facts = serde_json::json!({
            "hostname": "", "boot_id": "", "os": "Absent", "clock": 0, "memory_kib": 0, "disk_free": {},
            "disk_size": {}, "addresses": [], "listeners": [], "files": {}, "units": {}, "packages": {},
            "sysctls": {}, "answers": {}, "cluster": "Absent", "cib": "Absent"
        });
        let mut facts: wire::Facts = serde_json::from_value(facts).unwrap();
        let file = wire::FileFact {
            digest: "0".repeat(32),
            stat: wire::Stat {
                owner: "root".to_owned(),
                group: "root".to_owned(),
                mode: 0o644,
            },
            size: 0,
            link: None,
            lines: Vec::new(),
            text: None,
            keys: Vec::new(),
        };
        let there = |path: &&str| (format!("/etc/{path}"), wire::Fact::Known(file.clone()));
        facts.files = paths.iter().map(there).collect();
        ["c1", "c2", "c3"].map(|h| (name(h), Ok(facts.clone()))).into()
    }

    fn digest(content: &[u8]) -> String {
        wire::digest(&[7; 32], content)
    }

    const FILES: [&str; 5] = ["prepare/c1", "database/c1", "change/c1", "change/c2", "change/c3"];

    fn saved(plan: &Plan) -> Saved {
        let observed = seen(&FILES);
        Saved {
            quorate_plan: FORMAT,
            made: String::new(),
            cloud: "demo".to_owned(),
            id: String::new(),
            file: Utf8PathBuf::new(),
            ops: plan.steps.iter().map(|s| s.ops.clone()).collect(),
            relied: (plan.steps.iter())
                .map(|s| plan::relied(s, &observed, &digest))
                .collect(),
            plan: plan.clone(),
        }
    }

    /// Steps that may be done, and why others may not, beside the plan of this moment.
    #[track_caller]
    fn check(fresh: &Plan, files: &[&str], done: &[&str], refused: &[(&str, &str)]) -> Plan {
        let (stands, no) = saved(&made()).stands(fresh, &seen(files), &digest);
        let ids: Vec<&str> = stands.steps.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, done);
        let no: Vec<(&str, &str)> = no.iter().map(|r| (r.step.as_str(), r.why.as_str())).collect();
        assert_eq!(no, refused);
        // Each edge leads to a step of it.
        for step in &stands.steps {
            assert!(step.after.iter().all(|a| ids.contains(&a.as_str())), "{step:?}");
        }
        stands
    }

    const ALL: [&str; 6] = [
        "prepare/c1",
        "database/c1",
        "change/c1",
        "gate/c2",
        "change/c2",
        "change/c3",
    ];

    #[test]
    fn a_kept_plan_stands_while_all_is_as_it_was() {
        let stands = check(&made(), &FILES, &ALL, &[]);
        assert_eq!(stands, made());
    }

    /// A step that somebody did meanwhile is left out, and its order stays.
    #[test]
    fn a_step_that_was_done_meanwhile_is_left_out() {
        let mut fresh = made();
        fresh.steps.retain(|s| !s.id.ends_with("/c2"));
        let stands = check(
            &fresh,
            &FILES,
            &["prepare/c1", "database/c1", "change/c1", "change/c3"],
            &[],
        );
        // Two hosts are not changed at once since the one between them is done.
        assert_eq!(stands.steps[3].after, ["change/c1"]);
    }

    /// A step that stands on something else now is refused with all that need it.
    #[test]
    fn a_step_whose_ground_has_changed_is_refused_with_those_after_it() {
        let files: Vec<&str> = FILES.into_iter().filter(|f| *f != "prepare/c1").collect();
        check(
            &made(),
            &files,
            &ALL[2..],
            &[
                ("prepare/c1", "c1:/etc/prepare/c1 is not as it was"),
                ("database/c1", "it goes after prepare/c1"),
            ],
        );
    }

    /// Of a host's turn all or nothing is done, its gate too; the next host's stands.
    #[test]
    fn a_turn_is_refused_whole() {
        let mut fresh = made();
        fresh.steps[4].ops = vec![Op::Remove(vec!["/etc/other".to_owned()])];
        let other = "the cloud file, its catalogue or the hosts would have something else done now";
        // It stands on another file, too.
        let lacks = "c2:/etc/change/c2 is not as it was";
        let stands = check(
            &fresh,
            &FILES,
            &["prepare/c1", "database/c1", "change/c1", "change/c3"],
            &[("gate/c2", "its host's turn is not done"), ("change/c2", lacks)],
        );
        assert_eq!(stands.steps[3].after, ["change/c1"]);
        // The same files, and something else done with them.
        let mut fresh = made();
        fresh.steps[5].hosts.push(name("c1"));
        check(&fresh, &FILES, &ALL[..5], &[("change/c3", other)]);
    }
}
