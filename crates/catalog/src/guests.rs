//! Machines of users that run on hosts of a service: how they are told of and shut down.

use crate::Spanned;

/// Machines of users on hosts of a role, for when the site is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guests {
    /// Roles of the hosts.
    pub on: Vec<Spanned<String>>,
    /// Program that prints the names of those that run, one a line.
    pub list: Vec<String>,
    /// Program that has all of them shut down, and fails if some still run at its end.
    pub shut: Vec<String>,
    /// Seconds after which that is ended.
    pub timeout: u64,
}
