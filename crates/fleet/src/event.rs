//! What happens during a run, as values: one stream, read by the console, the
//! journal and whoever asks for JSON. No secret is ever in an event.

use plan::StepId;
use serde::{Deserialize, Serialize};

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done; so many things are different now.
    Done {
        /// 0 when the world was already so.
        changed: u32,
    },
    /// It failed.
    Failed {
        /// What and why.
        message: String,
        /// A command's exit status.
        status: Option<i32>,
        /// The command.
        command: Option<String>,
        /// Its last 20 lines.
        tail: Vec<String>,
    },
    /// It only waited, and the run was ended by a failure or by the operator.
    GivenUp,
}

impl Outcome {
    /// A failure that no command tells more of.
    pub(crate) fn failed(message: String) -> Self {
        Self::Failed {
            message,
            status: None,
            command: None,
            tail: Vec::new(),
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    Began {
        /// RFC 3339.
        at: String,
        /// The verb.
        intent: String,
        /// Number of steps.
        steps: usize,
    },
    /// A step begins.
    Started {
        /// Milliseconds since the run began.
        ms: u64,
        /// Step.
        step: StepId,
        /// Host that does it.
        host: String,
        /// For people.
        title: String,
    },
    /// A line from a step under way.
    Progress {
        /// Milliseconds since the run began.
        ms: u64,
        /// Step.
        step: StepId,
        /// Host.
        host: String,
        /// The line.
        line: String,
    },
    /// A step has ended.
    Ended {
        /// Milliseconds since the run began.
        ms: u64,
        /// Step.
        step: StepId,
        /// Host.
        host: String,
        /// How long it took, milliseconds.
        took: u64,
        /// How.
        outcome: Outcome,
    },
    /// The run has ended.
    Finished {
        /// Milliseconds since the run began.
        ms: u64,
        /// Steps that changed something.
        changed: usize,
        /// Steps that failed.
        failed: usize,
        /// Steps not begun.
        left: usize,
    },
}
