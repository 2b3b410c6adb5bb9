//! A client of OpenStack's APIs as instance HA needs them: who runs which VM, which
//! moves are under way, and the few requests that move one. Not for deciding anything,
//! and not a general client.
//!
//! Every answer is parsed here, once: a field is `Known`, `Absent` or `Unknown`, and a
//! list that is not certain to be whole is an error. A request that changes something is
//! sent once; [`Error`] tells whether it may have been done.

mod actions;
mod aggregates;
mod capacity;
mod credentials;
mod error;
mod fields;
mod groups;
mod hypervisors;
mod migrations;
mod network;
mod resolve;
mod servers;
mod services;
mod session;
mod token;
mod transport;

pub use actions::Power;
pub use aggregates::Aggregate;
pub use capacity::{Capacity, Room};
pub use credentials::{Credentials, Interface, Secret};
pub use error::{Error, Result, fact};
pub use groups::ServerGroup;
pub use hypervisors::Hypervisor;
pub use migrations::{Migration, MigrationFilter};
pub use network::{Agent, carries_ports};
pub use servers::{Flavor, Image, Server, Volume};
pub use services::{COMPUTE, CONDUCTOR, Cells, SCHEDULER, Service, ServiceChange};
pub use session::{Client, Limits};
