//! Journeys that lead nowhere: to a service that gives no session, or to an address
//! that nobody has. Not for what a request means to the service that gets it.

use diagnostic::Diagnostic;

use super::unknown;
use crate::{Catalog, Service, Session};

pub(super) fn lint(catalog: &Catalog, service: &Service, out: &mut Vec<Diagnostic>) {
    let journeys = &service.journeys;
    if let Some(Session::Of(giver)) = &journeys.session {
        let has_one = |s: &&Service| matches!(s.journeys.session, Some(Session::Own(..)));
        let givers = catalog.services.values().filter(has_one);
        let names: Vec<&str> = givers.map(|s| s.name.value.as_str()).collect();
        if !names.contains(&giver.value.as_str()) {
            out.push(unknown(
                service,
                "catalog::unknown-session",
                "giver of sessions",
                giver,
                &names,
            ));
        }
    }
    for request in journeys.requests() {
        let whose = &request.of.value;
        let (other, part) = match whose.split_once('.') {
            Some((other, part)) => (other, Some(part)),
            None if whose.is_empty() => (service.name.value.as_str(), None),
            None => (whose.as_str(), None),
        };
        let parts = catalog.services.get(other).map(|s| s.components.values());
        let mut served = parts.into_iter().flatten().filter(|c| {
            let speaks = c.endpoint.as_ref().is_some_and(|e| e.mode == "http");
            speaks && part.is_none_or(|p| c.name.value == p)
        });
        if served.next().is_none() {
            let at = if whose.is_empty() {
                &request.ask
            } else {
                &request.of
            };
            out.push(unknown(
                service,
                "catalog::unknown-endpoint",
                "component that speaks HTTP",
                at,
                &[],
            ));
        }
    }
}
