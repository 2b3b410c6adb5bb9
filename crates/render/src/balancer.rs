//! Sections of the balancers as values: the planner compares them with what runs. Their
//! file is made from the same by a template of the catalogue.

use std::net::IpAddr;

use indexmap::IndexMap;
use model::{Model, Served};
use names::HostName;

/// A section of the balancers that has servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerSection {
    /// Name.
    pub name: String,
    /// It listens by itself; else another section sends to it.
    pub listens: bool,
    /// Address and port by the server's name, which is its host's.
    pub servers: IndexMap<HostName, (IpAddr, u16)>,
}

/// The servers of an endpoint by name, with their addresses.
pub(crate) fn servers<'a>(
    model: &'a Model,
    served: &'a Served,
) -> impl Iterator<Item = (&'a HostName, IpAddr)> {
    let members = served.members.iter();
    members.filter_map(|name| Some((name, model.address(name)?)))
}

/// All sections, in the order of the file.
pub(crate) fn sections(model: &Model) -> Vec<BalancerSection> {
    let mut out = Vec::new();
    for served in model.served() {
        let port = served.endpoint.port.value;
        let servers: IndexMap<HostName, (IpAddr, u16)> = servers(model, &served)
            .map(|(name, address)| (name.clone(), (address, port)))
            .collect();
        let section = |name: &str, listens| BalancerSection {
            name: name.to_owned(),
            listens,
            servers: servers.clone(),
        };
        out.push(section(&served.resource, true));
        out.extend(served.fallback.as_deref().map(|name| section(name, false)));
    }
    out
}
