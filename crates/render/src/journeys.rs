//! Journeys of this cloud: with its addresses, and without what it does not have.

use catalog::{Journeys, Pairs, Request, Session};
use model::{Model, Served};
use wire::{Journey, JourneyRequest};

use crate::context::{Scope, Templates, secret, url_host};

/// All journeys, service by service, each in the order read, write, action.
pub fn of(model: &Model, templates: &mut Templates) -> Vec<Journey> {
    let served = model.served();
    let mut out = Vec::new();
    for (name, placed) in &model.services {
        let journeys = &placed.service.journeys;
        let mut one = Made {
            templates,
            served: &served,
        };
        let (session, headers) = match &journeys.session {
            None => Default::default(),
            Some(Session::Own(..)) => one.session(name, journeys),
            Some(Session::Of(other)) => match model.services.get(&other.value) {
                Some(giver) => one.session(&other.value, &giver.service.journeys),
                None => continue, // the linter has said it
            },
        };
        for (kind, walk) in &journeys.walks {
            let requests = one.requests(name, &walk.requests);
            if one.templates.holds(&scope(name), &walk.when) && !requests.is_empty() {
                out.push(Journey {
                    service: name.clone(),
                    kind: *kind,
                    ca: secret("tls/trust.crt"),
                    session: session.clone(),
                    headers: headers.clone(),
                    requests,
                });
            }
        }
    }
    out
}

struct Made<'a> {
    templates: &'a mut Templates,
    served: &'a [Served],
}

impl Made<'_> {
    /// A session as its service makes it, and the headers of all requests in it.
    fn session(
        &mut self,
        service: &str,
        journeys: &Journeys,
    ) -> (Vec<JourneyRequest>, Vec<(String, String)>) {
        match &journeys.session {
            Some(Session::Own(requests, headers)) => {
                (self.requests(service, requests), self.pairs(service, headers))
            }
            _ => Default::default(),
        }
    }

    fn requests(&mut self, service: &str, all: &[Request]) -> Vec<JourneyRequest> {
        all.iter().filter_map(|r| self.request(service, r)).collect()
    }

    fn request(&mut self, service: &str, request: &Request) -> Option<JourneyRequest> {
        let whose = if request.of.value.is_empty() {
            service
        } else {
            &request.of.value
        };
        let (other, part) = whose.split_once('.').unwrap_or((whose, "api"));
        // The component that is named, or the first that speaks HTTP.
        let of_it = || {
            self.served
                .iter()
                .filter(|s| s.service == other && s.endpoint.mode == "http" && !s.endpoint.websocket)
        };
        let found = of_it().find(|s| s.component == part);
        let at = found.or_else(|| of_it().next().filter(|_| !whose.contains('.')))?;
        let scheme = if at.endpoint.tls { "https" } else { "http" };
        let base = format!("{scheme}://{}:{}", url_host(at.vip), at.endpoint.port.value);
        let section = at.resource.to_string();
        let ask = self.templates.text(&scope(service), &request.ask.value);
        let (method, path) = ask.split_once(' ')?;
        Some(JourneyRequest {
            method: method.to_owned(),
            url: format!("{base}{path}"),
            section,
            headers: self.pairs(service, &request.headers),
            body: self.templates.text(&scope(service), &request.body),
            expect: request.expect.clone(),
            gives: self.pairs(service, &request.gives),
            never: self.pairs(service, &request.never),
            keep: self.pairs(service, &request.keep),
            within_ms: request.within * 1000,
            undo: self.requests(service, &request.undo),
        })
    }

    fn pairs(&mut self, service: &str, pairs: &Pairs) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| (k.clone(), self.templates.text(&scope(service), v)))
            .collect()
    }
}

fn scope(service: &str) -> Scope<'_> {
    Scope {
        service,
        host: None,
        item: None,
    }
}
