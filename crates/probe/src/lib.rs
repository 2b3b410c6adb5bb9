//! Seen from outside: outages of an API, acknowledged writes, and the checker of both.
//!
//! A [`Prober`] asks a set of [`Probe`]s from the outside, each at its own
//! interval, and records what came back in a [`History`]. The [`Report`] judges
//! from the history alone, so a history saved today can be judged again by a
//! stricter bar tomorrow. Writers number every write; what was acknowledged and
//! is not found by [`read_back`] afterwards is lost, and a lost write fails
//! every bar.
//!
//! What it is not for: it changes nothing it measures except the table or queue
//! its writers own, it breaks nothing (the drills do), and it knows no service
//! by name: URLs, statuses, bodies and addresses are data.
//!
//! Three properties that polling a command line does not have:
//!
//! - **Requests that ask do not wait for each other.** A request is sent at
//!   each tick even while earlier ones hang, so a recovery is seen at the next
//!   tick and not when the oldest request gives up. Writers are one at a time,
//!   as an acknowledgement is of one write.
//! - **A hang is not up.** Gaps are measured between completions and the
//!   slowest good answer is reported beside them.
//! - **It is bounded.** A prober is load: [`Limits`] are required.
//!
//! ```no_run
//! # async fn drill(probes: Vec<probe::Probe>) -> Result<(), probe::Error> {
//! use std::time::Duration;
//! let limits = probe::Limits { duration: Duration::from_secs(60), requests: 20_000 };
//! let handle = probe::Prober::start(probes.clone(), limits).await?;
//! handle.mark("cut c1");
//! let history = handle.stop().await;
//! let read = probe::read_back_all(&probes, &history, Duration::from_secs(30)).await?;
//! println!("{}", probe::Report::of(&history, &read, &probe::View::default()));
//! # Ok(()) }
//! ```

#[cfg(feature = "publish")]
mod amqp;
#[cfg(not(feature = "publish"))]
#[path = "amqp/left_out.rs"]
mod amqp;
mod checker;
mod client;
mod cpu;
mod error;
mod greeting;
mod history;
mod http;
mod journey;
mod prober;
mod probes;
mod read;
mod renewing;
mod report;
mod sql;

pub use checker::{Gap, View, Writes, gaps, writes};
pub use error::{Error, Result};
pub use history::{Ended, History, Mark, Outcome, Record, Subject};
pub use journey::Traveller;
pub use prober::{Handle, Limits, Prober};
pub use probes::{
    Connection, Greeting, Http, Kind, Label, Probe, Publish, Renewing, Retry, Secret, SqlWrite,
};
pub use read::{ReadBack, cleanup, read_back, read_back_all};
pub use report::{Bar, Failure, ProbeReport, Report};
