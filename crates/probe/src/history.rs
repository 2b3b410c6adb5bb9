//! What happened: every request with its times and outcome, and the marks
//! between them.
//!
//! A history holds facts only; gaps, percentiles and losses are judged from it
//! elsewhere. Times are nanoseconds of the monotonic clock since the prober
//! started, so a step of the wall clock moves nothing. Stored as JSON lines: one
//! `start`, then records and marks by time, then one `stop`.

use std::{
    io::{BufRead, Write},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Label, Probe, Result};

/// One request of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The probe's name.
    pub probe: Arc<str>,
    /// Counts a probe's requests from 1. For a writer it is the id written.
    pub seq: u64,
    /// When it was sent, in nanoseconds since the start.
    pub start_ns: u64,
    /// When its outcome was known, in nanoseconds since the start.
    pub end_ns: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A good answer; of a writer, an acknowledgement.
    Ok,
    /// A good answer over a second connection, the first having failed.
    Retried,
    /// No good answer, and why. A write may have happened all the same.
    Failed(String),
    /// Not sent: too many earlier requests of the probe were still unanswered.
    Skipped,
}

impl Outcome {
    /// Whether there was a good answer.
    pub fn good(&self) -> bool {
        matches!(self, Self::Ok | Self::Retried)
    }
}

/// A moment worth naming, such as the start of an attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Nanoseconds since the start.
    pub at_ns: u64,
    /// What happened then.
    pub text: String,
}

/// A probe as far as a judge must know it: no address, no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The probe's name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: Label,
    /// Its interval in nanoseconds.
    pub every_ns: u64,
    /// Its timeout in nanoseconds.
    pub timeout_ns: u64,
}

/// Why a prober ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Its time was over.
    Duration,
    /// Its requests were used up.
    Requests,
    /// It still runs: this is a snapshot.
    Running,
}

/// All that a prober saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The wall clock at the start in nanoseconds since 1970. It also tells the
    /// writes of this run from those of others.
    pub run: u64,
    /// What was asked.
    pub subjects: Vec<Subject>,
    /// Every request, by the time its outcome was known.
    pub records: Vec<Record>,
    /// The marks, by time.
    pub marks: Vec<Mark>,
    /// When the last request was sent or could have been, in nanoseconds since
    /// the start. Answers may come later, by a timeout at most.
    pub stopped_ns: u64,
    /// CPU time of the prober's whole process meanwhile, in nanoseconds.
    pub cpu_ns: u64,
    /// Why it ended.
    pub ended: Ended,
}

impl Subject {
    /// The subject of a probe.
    pub fn of(probe: &Probe) -> Self {
        Self {
            name: probe.name.as_str().into(),
            kind: probe.kind.label(),
            every_ns: nanos(probe.every),
            timeout_ns: nanos(probe.timeout),
        }
    }
}

/// One line of a stored history.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Start {
        run: u64,
        subjects: Vec<Subject>,
    },
    Record(Record),
    Mark(Mark),
    Stop {
        stopped_ns: u64,
        cpu_ns: u64,
        ended: Ended,
    },
}

impl History {
    /// Writes the history as JSON lines.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the writer fails.
    pub fn write(&self, mut to: impl Write) -> Result<()> {
        let mut line = |line: &Line| -> Result<()> {
            serde_json::to_writer(&mut to, line).map_err(std::io::Error::from)?;
            Ok(to.write_all(b"\n")?)
        };
        line(&Line::Start {
            run: self.run,
            subjects: self.subjects.clone(),
        })?;
        let mut marks = self.marks.iter().peekable();
        for record in &self.records {
            while let Some(mark) = marks.next_if(|mark| mark.at_ns <= record.end_ns) {
                line(&Line::Mark(mark.clone()))?;
            }
            line(&Line::Record(record.clone()))?;
        }
        for mark in marks {
            line(&Line::Mark(mark.clone()))?;
        }
        line(&Line::Stop {
            stopped_ns: self.stopped_ns,
            cpu_ns: self.cpu_ns,
            ended: self.ended,
        })
    }

    /// Reads a history written by [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`Error::Line`] for a line that is none, [`Error::Torn`] when the first
    /// or last line is missing, [`Error::Io`] when the reader fails.
    pub fn read(from: impl BufRead) -> Result<Self> {
        let (mut start, mut stop) = (None, None);
        let (mut records, mut marks) = (Vec::new(), Vec::new());
        for (index, text) in from.lines().enumerate() {
            let line = serde_json::from_str(&text?).map_err(|source| Error::Line {
                line: index + 1,
                source,
            })?;
            match line {
                Line::Start { run, subjects } => start = Some((run, subjects)),
                Line::Record(record) => records.push(record),
                Line::Mark(mark) => marks.push(mark),
                Line::Stop {
                    stopped_ns,
                    cpu_ns,
                    ended,
                } => stop = Some((stopped_ns, cpu_ns, ended)),
            }
        }
        let (run, subjects) = start.ok_or(Error::Torn("start"))?;
        let (stopped_ns, cpu_ns, ended) = stop.ok_or(Error::Torn("stop"))?;
        Ok(Self {
            run,
            subjects,
            records,
            marks,
            stopped_ns,
            cpu_ns,
            ended,
        })
    }

    /// When the first mark with this text was made, in nanoseconds since the start.
    pub fn marked(&self, text: &str) -> Option<u64> {
        self.marks
            .iter()
            .find(|mark| mark.text == text)
            .map(|mark| mark.at_ns)
    }

    /// The records of one probe.
    pub fn of<'a>(&'a self, probe: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| &*record.probe == probe)
    }

    /// The prober's CPU share while it ran, as a fraction of one core: an upper
    /// bound, as it is measured for the whole process.
    #[expect(clippy::cast_precision_loss, reason = "a share to three digits")]
    pub fn cpu_share(&self) -> f64 {
        self.cpu_ns as f64 / self.stopped_ns.max(1) as f64
    }
}

/// A duration in whole nanoseconds, at most 584 years of them.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Ended, History, Mark, Outcome, Record, Subject};
    use crate::{Error, Label};

    fn sample() -> History {
        let record = |seq, outcome| Record {
            probe: "api".into(),
            seq,
            start_ns: seq * 10,
            end_ns: seq * 10 + 5,
            outcome,
        };
        History {
            run: 1_795_000_000_000_000_001,
            subjects: vec![Subject {
                name: "api".into(),
                kind: Label::Http,
                every_ns: 10,
                timeout_ns: 100,
            }],
            records: vec![
                record(1, Outcome::Ok),
                record(2, Outcome::Failed("status 503".into())),
                record(3, Outcome::Skipped),
            ],
            marks: vec![
                Mark {
                    at_ns: 12,
                    text: "cut".into(),
                },
                Mark {
                    at_ns: 99,
                    text: "on".into(),
                },
            ],
            stopped_ns: 100,
            cpu_ns: 25,
            ended: Ended::Stopped,
        }
    }

    #[test]
    fn a_history_survives_its_file() {
        let mut file = Vec::new();
        sample().write(&mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        assert_eq!(text.lines().count(), 7);
        assert_eq!(
            text.lines().nth(3).unwrap(),
            r#"{"record":{"probe":"api","seq":2,"start_ns":20,"end_ns":25,"outcome":{"failed":"status 503"}}}"#
        );
        let read = History::read(text.as_bytes()).unwrap();
        assert_eq!(read, sample());
        assert_eq!(read.marked("on"), Some(99));
        assert!((read.cpu_share() - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_torn_history_is_refused() {
        let mut file = Vec::new();
        sample().write(&mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        let torn = text.lines().take(5).collect::<Vec<_>>().join("\n");
        assert!(matches!(History::read(torn.as_bytes()), Err(Error::Torn("stop"))));
        assert!(matches!(
            History::read(&b"{}\n"[..]),
            Err(Error::Line { line: 1, .. })
        ));
    }
}
