//! A plan that was kept: what was shown, to be done later and nothing else.
//!
//! A step is done if what it stands on is still so and the cloud file would have
//! it done in the same way; else it is refused, and so are those that go after
//! it. The others stand. It holds references to secrets and no secret.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use plan::{Digest, Observed, Plan};
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
    pub step: String,
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
        let mut out = self.plan.clone();
        out.steps.clear();
        let mut refused: Vec<Refused> = Vec::new();
        let mut why: BTreeMap<&str, String> = BTreeMap::new();
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
        let turns: BTreeSet<&str> = why.keys().filter_map(|id| plan::turn(id)).collect();
        for step in &self.plan.steps {
            let only_waits = step.ops.iter().all(|op| matches!(op, Op::Wait(_)));
            let turn = plan::turn(&step.id);
            let mut needed = step.after.iter().filter(|a| plan::needs(&step.id, a));
            let before = needed.find(|a| why.contains_key(a.as_str()));
            let reason = match why.get(step.id.as_str()) {
                Some(reason) => reason.clone(),
                None if turn.is_some_and(|host| turns.contains(host)) => {
                    "its host's turn is not done".to_owned()
                }
                None => match before {
                    Some(before) if !only_waits => format!("it goes after {before}"),
                    _ => {
                        if fresh.steps.iter().any(|s| s.id == step.id) {
                            out.steps.push(step.clone());
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
        (out, refused)
    }
}
