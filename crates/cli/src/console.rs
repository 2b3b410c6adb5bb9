//! A run's events for people: a line when a step ends, on a terminal also what
//! is under way. Data goes to standard output, this does not.

use std::io::IsTerminal as _;

use fleet::{Event, Outcome};
use plan::StepId;

use crate::say;

/// Prints events as they come.
#[derive(Debug, Default)]
pub struct Console {
    under_way: Vec<StepId>,
    terminal: bool,
}

fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

impl Console {
    /// For this process' standard error.
    pub fn new() -> Self {
        Self {
            under_way: Vec::new(),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn line(&self, text: &str) {
        if self.terminal {
            say::over(text);
            self.status();
        } else {
            say::errln!("{text}");
        }
    }

    fn status(&self) {
        if self.terminal && !self.under_way.is_empty() {
            let names: String = self.under_way.join(", ").chars().take(90).collect();
            say::under_way(&format!("… {names}"));
        }
    }

    /// One event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Began { .. } => {}
            Event::Started { step, .. } => {
                self.under_way.push(step.clone());
                self.status();
            }
            Event::Progress { step, host, line, ms } => {
                self.line(&format!("{:>7}  {host}  {step}: {line}", seconds(*ms)));
            }
            Event::Ended {
                step,
                host,
                took,
                outcome,
                ms,
            } => {
                self.under_way.retain(|s| s != step);
                match outcome {
                    Outcome::Done { changed } => {
                        let what = if *changed == 0 {
                            "unchanged".to_owned()
                        } else {
                            format!("{changed} changed")
                        };
                        self.line(&format!(
                            "{:>7}  {host}  {step}: done in {} ({what})",
                            seconds(*ms),
                            seconds(*took)
                        ));
                    }
                    Outcome::GivenUp => self.line(&format!(
                        "{:>7}  {host}  {step}: given up after {}",
                        seconds(*ms),
                        seconds(*took)
                    )),
                    Outcome::Failed {
                        message,
                        status,
                        command,
                        tail,
                    } => {
                        self.line(&format!(
                            "{:>7}  {host}  {step}: FAILED after {}: {message}",
                            seconds(*ms),
                            seconds(*took)
                        ));
                        if let Some(command) = command {
                            self.line(&format!("         command: {command}"));
                        }
                        if let Some(status) = status {
                            self.line(&format!("         exit status: {status}"));
                        }
                        for line in tail {
                            self.line(&format!("         | {line}"));
                        }
                    }
                }
            }
            Event::Finished {
                ms,
                changed,
                failed,
                left,
            } => {
                self.under_way.clear();
                let mut text = format!("{:>7}  {changed} steps changed something", seconds(*ms));
                if *failed > 0 || *left > 0 {
                    text = format!("{text}, {failed} failed, {left} not begun");
                }
                self.line(&text);
            }
        }
    }
}
