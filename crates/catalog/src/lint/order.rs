//! Orders between components that lead back to where they began.

use std::collections::BTreeSet;

use diagnostic::Diagnostic;

use crate::service::{Component, Service};
use crate::{Catalog, Spanned};

type At<'c> = (&'c str, &'c str);

/// What a component is to be started after, with where that is said.
fn before<'c>(catalog: &'c Catalog, component: &'c Component) -> Vec<(At<'c>, &'c Spanned<String>)> {
    let mut out = Vec::new();
    for after in &component.after {
        let (name, part) = after.value.split_once('.').unwrap_or((after.value.as_str(), ""));
        let Some(service) = catalog.services.get(name) else {
            continue;
        };
        let parts = service
            .components
            .keys()
            .filter(|c| part.is_empty() || *c == part);
        out.extend(parts.map(|c| ((service.name.as_str(), c.as_str()), after)));
    }
    out
}

/// Every circle once, at the first `after` that is part of it.
pub(super) fn lint(catalog: &Catalog, out: &mut Vec<Diagnostic>) {
    let mut told: BTreeSet<At<'_>> = BTreeSet::new();
    for service in catalog.services.values() {
        for component in service.components.values() {
            let start = (service.name.as_str(), component.name.as_str());
            for (first, after) in before(catalog, component) {
                if let Some(way) = way(catalog, first, start)
                    && !way.iter().any(|at| told.contains(at))
                {
                    told.extend(&way);
                    out.push(circle(service, after, &way));
                }
            }
        }
    }
}

/// The components on a way along `after`, both ends included.
fn way<'c>(catalog: &'c Catalog, from: At<'c>, to: At<'c>) -> Option<Vec<At<'c>>> {
    let mut seen: BTreeSet<At<'_>> = BTreeSet::new();
    let mut ways = vec![vec![from]];
    while let Some(way) = ways.pop() {
        let at = *way.last()?;
        if at == to {
            return Some(way);
        }
        if !seen.insert(at) {
            continue;
        }
        let component = catalog.services.get(at.0).and_then(|s| s.components.get(at.1));
        for (next, _) in component.map(|c| before(catalog, c)).unwrap_or_default() {
            let mut longer = way.clone();
            longer.push(next);
            ways.push(longer);
        }
    }
    None
}

fn circle(service: &Service, after: &Spanned<String>, way: &[At<'_>]) -> Diagnostic {
    let names: Vec<String> = way.iter().map(|(s, c)| format!("`{s}.{c}`")).collect();
    Diagnostic::error(
        "catalog::after-circle",
        &service.source,
        after.span.clone(),
        format!("the order leads back: {}", names.join(" after ")),
        "leads back to here",
    )
    .help("take one `after` out: what waits for itself never starts")
}
