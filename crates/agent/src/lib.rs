//! The hand on a host: observes it and changes it, and nothing else does.
//!
//! [`serve`] speaks [`wire`] over any pair of byte streams (in life: the
//! standard streams of an ssh session, as root). Each call is a task of its
//! own. Nothing here decides: what to ask, what to expect and what to change
//! comes whole in a [`wire::Op`]; this crate knows systemd, Pacemaker and the
//! distribution's tools, but no service and no store by name. It may not use
//! NSS (the binary is static) and it starts nothing that must outlive it
//! except as a transient systemd unit.

mod audit;
mod balance;
mod cib;
mod files;
mod gate;
mod host;
mod http;
mod lock;
mod names;
mod network;
mod observe;
mod ops;
mod pacemaker;
mod packages;
mod pieces;
mod prober;
mod process;
mod query;
mod run;
mod session;
mod socket;
mod sql;
mod sysctl;
mod systemd;
mod units;
mod wait;

pub use gate::guard;
pub use session::{AgentError, serve};
