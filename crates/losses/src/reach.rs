//! What a user's requests stand on: which sections of the balancers they go through, and
//! which services work for them. It counts nothing.

use names::ResourceId;
use render::{Desired, DesiredNeeds, DesiredPart, Kind};
use wire::{Journey, JourneyKind, JourneyRequest};

use super::Of;

/// What a target stands on.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Sections of the balancers, by resource.
    pub sections: Vec<ResourceId>,
    /// Services that work for it; none for an endpoint, whose process alone is asked.
    pub services: Vec<String>,
    /// It changes something in the stores.
    pub writes: bool,
    /// It is told to workers by messages.
    pub messages: bool,
    /// It is done on hosts that do what the control plane says.
    pub executed: bool,
}

/// All endpoints and journeys, service by service.
pub fn targets(desired: &Desired) -> Vec<(String, Of, Scope)> {
    let mut out = Vec::new();
    for service in &desired.services {
        let sections = desired.balanced.iter().filter(|b| b.service == *service);
        out.extend(sections.map(|b| {
            let scope = Scope {
                sections: vec![b.resource.clone()],
                ..Scope::default()
            };
            (service.clone(), Of::Endpoint(b.resource.clone()), scope)
        }));
        let journeys = desired.journeys.iter().filter(|j| j.service == *service);
        out.extend(journeys.map(|j| (service.clone(), Of::Journey(j.kind), journey(desired, j))));
    }
    out
}

/// The section that a request goes through.
fn section<'a>(desired: &'a Desired, request: &JourneyRequest) -> Option<&'a str> {
    let mut all = desired.balanced.iter();
    let found = all.find(|b| b.resource == request.section)?;
    Some(&found.resource)
}

fn requests(journey: &Journey) -> impl Iterator<Item = &JourneyRequest> {
    let all = journey.session.iter().chain(&journey.requests);
    all.flat_map(|r| std::iter::once(r).chain(&r.undo))
}

/// A service with all that it needs, and what those need.
fn with_needs(desired: &Desired, service: &str, out: &mut Vec<String>) {
    if out.iter().any(|s| s == service) {
        return;
    }
    out.push(service.to_owned());
    for need in desired.needs.get(service).iter().flat_map(|n| &n.services) {
        with_needs(desired, need, out);
    }
}

fn journey(desired: &Desired, journey: &Journey) -> Scope {
    let mut scope = Scope::default();
    for name in requests(journey).filter_map(|r| section(desired, r)) {
        if !scope.sections.iter().any(|s| s == name) {
            scope.sections.push(name.into());
        }
    }
    let asked = desired
        .balanced
        .iter()
        .filter(|b| scope.sections.contains(&b.resource));
    let asked: Vec<&str> = asked.map(|b| b.service.as_str()).collect();
    let acts = journey.kind == JourneyKind::Action;
    for service in asked {
        if acts {
            with_needs(desired, service, &mut scope.services);
        } else if !scope.services.iter().any(|s| s == service) {
            scope.services.push(service.to_owned());
        }
    }
    if acts {
        // Those who work for it ask each other at their addresses.
        let others = desired
            .apis
            .iter()
            .filter(|a| scope.services.contains(&a.service));
        scope.sections.extend(others.map(|a| a.resource.clone()));
        scope.sections.sort();
        scope.sections.dedup();
    }
    // Who can write nothing without workers reads nothing without them either.
    let alone =
        (desired.journeys.iter()).any(|j| j.service == journey.service && j.kind == JourneyKind::Write);
    let speaks = stands_on(desired, &journey.service, |n| n.messages);
    let has_workers = desired
        .parts
        .iter()
        .any(|p| p.service == journey.service && is_worker(p));
    scope.writes = journey.kind != JourneyKind::Read;
    scope.messages = acts || (speaks && has_workers && !alone);
    scope.executed = acts;
    scope
}

/// Whether a service stands on something.
pub fn stands_on(desired: &Desired, service: &str, what: impl Fn(&DesiredNeeds) -> bool) -> bool {
    desired.needs.get(service).is_some_and(what)
}

/// Whether it takes its work from a queue, or from a lock.
pub fn is_worker(part: &DesiredPart) -> bool {
    part.asked.is_none()
        && !part.periodic
        && part.ports.is_empty()
        && matches!(part.kind, Kind::Stateless | Kind::Singleton)
}
