//! Pacemaker's vocabulary: the CIB as typed values, the live CIB, `crm_mon` and the state
//! of Corosync's links read back.
//!
//! The CIB is built as values and written as XML here; it is applied by the
//! agent through `cibadmin`, never by editing files. This crate decides
//! nothing about placement and may do no I/O.

mod cib;
mod element;
pub mod gate;
mod links;
mod live;
mod mon;
mod options;
mod quiet;
mod quorum;

pub use cib::{
    Cib, Clone, Colocation, Level, Location, Operation, Order, OrderKind, Primitive, Resource, SECTIONS,
    UNIT_AGENT,
};
pub use links::{ASK_LINKS, Heard, LINKS};
pub use live::{Configured, Held, LiveCib};
pub use mon::{CloneSet, Failure, Monitor, Node, NodeResource, ParseError, UnderWay};
pub use options::{GUARDED, HOLDS, Property, same_value, truth, without_contradictions};
pub use quorum::{ASK_QUORUM, QUORUM, has_quorum};
