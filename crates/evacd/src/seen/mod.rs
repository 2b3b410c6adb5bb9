//! Observation: sources asked side by side, each with its limit, put together into
//! one value for the decider. Not for judging it.
//!
//! Sources that may be slow are asked by tasks of their own and remembered with the moment at
//! which the asking began; what is too old is unknown again.

mod asked;
mod hosts;
mod index;
mod latest;
mod moves;
mod nova;
mod observers;
mod power;
mod protect;

pub(crate) use asked::Wishes;
pub(crate) use hosts::{Memory, Sources, drained, protected, put_together};
pub(crate) use latest::Latest;
pub(crate) use nova::{Detail, Overview, Survey, detail, overview, survey, watch as watch_nova};
pub(crate) use power::Powers;
