//! What a cloud consists of, for whoever asks what the loss of something costs: the
//! components with their kinds and places, and what services stand on. It decides
//! nothing; `plan` makes times of it.

use catalog::{Checks, Kind, UnitRun, Watched};
use model::{Model, resource_id};
use names::{HostName, ResourceId};

use crate::context::Templates;

/// A component that this cloud has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredPart {
    /// Service.
    pub service: String,
    /// The name by which the cluster and the balancers know it.
    pub resource: ResourceId,
    /// How it is made highly available.
    pub kind: Kind,
    /// Who runs it.
    pub run: UnitRun,
    /// Hosts that have it.
    pub hosts: Vec<HostName>,
    /// How balancers ask it; none where it is not behind them.
    pub asked: Option<Asked>,
    /// TCP ports it listens on besides.
    pub ports: Vec<u16>,
    /// How its host tells that it stands still, and ends it.
    pub watched: Watched,
    /// Addresses stand where it runs.
    pub balances: bool,
    /// Work that recurs: nobody waits for it.
    pub periodic: bool,
}

/// How balancers ask a component whether it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// They ask for an answer; else only whether a connection is taken, which the kernel
    /// does for a process that stands still.
    pub answers: bool,
    /// All connections go to one member.
    pub single_writer: bool,
    /// Times of the question that are not those of the budget.
    pub checks: Checks,
    /// Port of the question where another component answers it.
    pub port: Option<u16>,
}

/// What a service stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredNeeds {
    /// Services it cannot do without.
    pub services: Vec<String>,
    /// It keeps a database.
    pub database: bool,
    /// It speaks by messages.
    pub messages: bool,
    /// It keeps replicas of what it is given.
    pub replicas: bool,
}

/// All parts, in the order of the services.
pub fn of(model: &Model, templates: &mut Templates) -> Vec<DesiredPart> {
    let parts = crate::present(model, templates).map(|(placed, component)| {
        let service = &placed.service.name.value;
        let only_on = |role: &str| component.runs_on.iter().all(|r| r.value == role);
        DesiredPart {
            service: service.clone(),
            resource: resource_id(service, &component.name.value),
            kind: component.kind,
            run: component.run_in(model.cloud.architecture),
            hosts: model.names_on(&component.runs_on),
            asked: component.endpoint.as_ref().map(|e| Asked {
                answers: e.answers(),
                single_writer: e.single_writer,
                checks: e.checks.clone(),
                port: e.check_port.filter(|p| *p != e.port.value),
            }),
            ports: component.ports.clone(),
            watched: component.watched(),
            balances: only_on("balancer") && component.kind == Kind::PerHost,
            periodic: placed.service.periodic.contains_key(&component.name.value),
        }
    });
    parts.collect()
}

/// What each service stands on.
pub fn needs(model: &Model) -> indexmap::IndexMap<String, DesiredNeeds> {
    let services = model.services.iter();
    services
        .map(|(name, placed)| {
            let of = &placed.service;
            let needs = DesiredNeeds {
                services: of.needs.iter().map(|n| n.value.clone()).collect(),
                database: of.database.is_some(),
                messages: of.broker.is_some(),
                replicas: !of.hash_rings.is_empty(),
            };
            (name.clone(), needs)
        })
        .collect()
}
