//! The hands of instance HA: a daemon on each controller that observes, asks the decider,
//! writes down what it decided, does it, and observes again; and what people ask of it. Not
//! for deciding anything: that is the crate `evac`.
//!
//! Nothing is remembered that a takeover could lose: rows in the store say what was begun.
//! To be stopped and to be killed is one and the same.

mod clock;
pub mod commands;
pub mod config;
mod engine;
#[cfg(test)]
#[path = "../../openstack/tests/support/mod.rs"]
#[expect(dead_code, reason = "tests of the client use the rest")]
mod fake;
mod fencer;
mod hands;
mod journal;
mod metrics;
mod process;
mod quorum;
mod seen;
pub mod store;
mod tell;

pub use config::Config;
pub use engine::run;
pub use journal::lines;
pub use store::SqlStore;

/// Why the engine or a command ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be meant.
    #[error("{0}")]
    Config(String),
    /// Rows could not be read or written.
    #[error("the engine's database: {0}")]
    Store(#[from] store::StoreError),
    /// The cloud's APIs did not do what was asked.
    #[error("{0}")]
    Api(#[from] openstack::Error),
    /// A request was not carried out; the reason and its cure.
    #[error("{0}")]
    Refused(String),
    /// Another engine decides now.
    #[error("{0}")]
    StoodDown(String),
}
