//! How a verb fails: what the operator did wrong (2), or what the world did (1).

use std::process::ExitCode;

use crate::say;

/// A failure, told on standard error.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong; nothing was touched.
    Input(String),
    /// The same, as findings that are drawn already.
    Found(String),
    /// It failed.
    World {
        /// What, a sentence without a full stop.
        message: String,
        /// What cures it.
        hints: Vec<String>,
    },
}

impl Failure {
    /// A failure of the world with a cure.
    pub fn world(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::World {
            message: message.into(),
            hints: vec![hint.into()],
        }
    }

    /// Wrong input, each reason with its code, and the cure of all.
    pub fn input(reasons: &[(&str, String)], hint: &str) -> Self {
        let lines = reasons.iter().map(|(code, why)| format!("error: {why} [{code}]"));
        let lines: Vec<String> = lines.collect();
        Self::Input(format!("{}\n\nhint: {hint}", lines.join("\n")))
    }

    /// A failure of the world that `quorate explain` knows.
    pub fn explained(code: &str, message: &str, hint: impl Into<String>) -> Self {
        Self::world(format!("{message} [{code}]"), hint)
    }

    /// Its text, without cures.
    pub fn into_text(self) -> String {
        match self {
            Self::Input(text) | Self::Found(text) => text,
            Self::World { message, .. } => message,
        }
    }

    /// Prints it and gives the exit status.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Input(text) => {
                say::errln!("{}", text.trim_end());
                ExitCode::from(2)
            }
            Self::Found(findings) => {
                say::drawn(&findings);
                ExitCode::from(2)
            }
            Self::World { message, hints } => {
                say::errln!("error: {message}");
                for hint in hints.iter().filter(|h| !h.is_empty()) {
                    say::errln!("\nhint: {hint}");
                }
                ExitCode::from(1)
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::World {
            message: error.to_string(),
            hints: Vec::new(),
        }
    }
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        let hints = error.cure().into_iter().collect();
        Self::World {
            message: error.to_string(),
            hints,
        }
    }
}

impl From<backup::Error> for Failure {
    /// A backup that cannot be believed is wrong input: nothing was touched.
    fn from(error: backup::Error) -> Self {
        let code = match &error {
            backup::Error::Damaged { .. } => "backup::damaged",
            backup::Error::Format { .. } => "backup::another-format",
            backup::Error::Key(vault::Error::NotForUs { .. }) => "backup::not-for-us",
            _ => {
                return Self::World {
                    hints: error.cure().into_iter().collect(),
                    message: error.to_string(),
                };
            }
        };
        Self::input(&[(code, error.to_string())], &error.cure().unwrap_or_default())
    }
}

impl From<lab::LabError> for Failure {
    fn from(error: lab::LabError) -> Self {
        Self::World {
            message: error.to_string(),
            hints: Vec::new(),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::World {
            message: format!("cannot write JSON: {error}"),
            hints: Vec::new(),
        }
    }
}
