//! Tests of the decider on single observations: boundaries, the whole path, the journal.
//!
//! Not for worlds that go on: those are in `sim`.

mod audit;
mod bench;
mod path;
pub mod seens;
