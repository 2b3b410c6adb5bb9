//! Pacemaker's vocabulary: the CIB as typed values, and `crm_mon` read back.
//!
//! The CIB is built as values and written as XML here; it is applied by the
//! agent through `cibadmin`, never by editing files. This crate decides
//! nothing about placement and may do no I/O.

mod cib;
mod mon;
mod quiet;
mod xml;

pub use cib::{
    Cib, Clone, Colocation, Level, Location, Operation, Order, OrderKind, Primitive, Resource, SECTIONS,
};
pub use mon::{Monitor, Node, NodeResource, ParseError};
pub use quiet::quiet_since;
pub use xml::{canonical, section_of};
