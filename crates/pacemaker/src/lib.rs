//! Pacemaker's vocabulary: the CIB as typed values, `crm_mon` and the state of
//! Corosync's links read back.
//!
//! The CIB is built as values and written as XML here; it is applied by the
//! agent through `cibadmin`, never by editing files. This crate decides
//! nothing about placement and may do no I/O.

mod cib;
pub mod gate;
mod held;
mod links;
mod mon;
mod options;
mod quiet;
mod quorum;
mod read;
mod xml;

pub use cib::{
    Cib, Clone, Colocation, Level, Location, Operation, Order, OrderKind, Primitive, Resource, SECTIONS,
    UNIT_AGENT,
};
pub use held::{Held, held};
pub use links::{ASK_LINKS, Heard, LINKS};
pub use mon::{Failure, Monitor, Node, NodeResource, ParseError, UnderWay};
pub use options::{GUARDED, HOLDS, Property, effective, same_value, truth, without_contradictions};
pub use quiet::quiet_since;
pub use quorum::{ASK_QUORUM, QUORUM, has_quorum};
pub use read::CibRead;
pub use xml::{Configured, canonical, had_quorum, node_attributes, section_of};
