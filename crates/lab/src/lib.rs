//! Real hosts on one machine: containers with their own disk, network, power and BMC.
//!
//! A lab is made from a [`LabSpec`] by [`up`]: hosts of a cached image with
//! systemd and sshd, each with its own network namespace on the lab's bridges,
//! its own disk on a loop file, and a BMC that a stock fence agent drives. A
//! power [`cut`] is honest: what was not synced is lost, and no peer is told.
//! [`down`] leaves nothing, and [`residue`] proves it. The deployer cannot tell
//! these hosts from metal; this crate knows nothing of what it puts on them.
//!
//! Two processes of a lab outlive the caller: a supervisor for each host and
//! the BMC. They are this program again, or [`LabSpec::runner`], which must
//! answer `lab host-supervisor LAB HOST` by [`supervise_host`] and
//! `lab bmc LAB` by [`serve_bmc`].

mod access;
mod bmc;
mod cgroup;
mod down;
mod error;
mod image;
mod names;
mod net;
mod power;
mod procfs;
mod reach;
mod shutdown;
mod sources;
mod spec;
mod state;
mod supervisor;
mod tools;
mod up;

pub use bmc::serve_bmc;
pub use down::{down, inventory, residue};
pub use error::{LabError, Tool};
pub use power::{cut, on};
pub use reach::{plug, shell, unplug};
pub use spec::{BmcAccess, LabHost, LabNetwork, LabSpec};
pub use state::{Actor, Event, EventKind, HostSummary, LabSummary, Power, events, list};
pub use supervisor::supervise_host;
pub use up::{UpReport, blank, up, wait_ready};
