//! Words of the sources, by host: each list is gone through once a round, however many hosts
//! there are. Not for what it means.

use std::collections::{BTreeMap, BTreeSet};

use evac::{HostId, Name};
use heartbeat::told::{Host, Table};
use openstack::{Agent, COMPUTE, Service};

use super::{hosts::Sources, protect::Asked};

/// Answers by the names of hosts.
pub(super) struct Index<'a> {
    /// Each observer's word on a host.
    pub(super) told: BTreeMap<&'a str, Vec<(&'a Table, &'a Host)>>,
    /// Compute services.
    pub(super) services: BTreeMap<&'a str, &'a Service>,
    /// Agents of the network service.
    pub(super) agents: BTreeMap<&'a str, Vec<&'a Agent>>,
    /// Aggregates.
    pub(super) aggregates: BTreeMap<&'a str, Vec<Name>>,
    /// Hosts under an intent; none where the rows are unknown.
    pub(super) begun: Option<BTreeSet<&'a HostId>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(sources: &'a Sources<'_>, asked: &Asked<'a>) -> Self {
        let mut index = Self {
            told: BTreeMap::new(),
            services: BTreeMap::new(),
            agents: BTreeMap::new(),
            aggregates: BTreeMap::new(),
            begun: None,
        };
        if let Ok(tables) = &sources.tables {
            for table in std::iter::once(&tables.own).chain(tables.peers.iter().map(|p| &p.table)) {
                for host in &table.hosts {
                    index
                        .told
                        .entry(host.host.as_str())
                        .or_default()
                        .push((table, host));
                }
            }
        }
        if let Some(overview) = &sources.overview {
            let computes = overview.services.iter().flatten().filter(|s| s.binary == COMPUTE);
            index.services = computes.map(|s| (s.host.as_str(), s)).collect();
            for agent in overview.agents.iter().flatten() {
                index.agents.entry(&agent.host).or_default().push(agent);
            }
        }
        for aggregate in asked.aggregates {
            for host in aggregate.hosts.known().into_iter().flatten() {
                let name = Name::from(aggregate.name.as_str());
                index.aggregates.entry(host).or_default().push(name);
            }
        }
        let rows = sources.rows.as_ref().ok();
        index.begun = rows.map(|r| r.store.intents.iter().map(|row| &row.intent.host).collect());
        index
    }

    /// True: the host is under an intent, or may be.
    pub(super) fn may_be_begun(&self, host: &HostId) -> bool {
        self.begun.as_ref().is_none_or(|begun| begun.contains(host))
    }
}
