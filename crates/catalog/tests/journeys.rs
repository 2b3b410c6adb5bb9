//! Journeys of the embedded catalogue: each API is read as a user reads it, since one that
//! answers its version page may refuse every token.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

use catalog::{Catalog, Service};
use wire::JourneyKind;

/// APIs that no token opens: their users sign each request with keys of their own.
const SIGNED: [(&str, &str); 1] = [("heat", "cfn")];

/// Components of a service that the identity service lists, and its pages for users.
fn apis(service: &Service) -> Vec<&str> {
    let parts = service.components.values();
    let lists = parts.filter(|c| {
        let listed = |e: &catalog::Endpoint| e.mode == "http" && !e.service_type.is_empty();
        c.endpoint.as_ref().is_some_and(listed)
    });
    lists.map(|c| c.name.value.as_str()).collect()
}

#[test]
fn each_api_has_a_journey_that_reads() {
    let (catalog, _) = Catalog::load(catalog::embedded());
    let mut read = Vec::new();
    for service in catalog.services.values() {
        let name = service.name.value.as_str();
        let apis = apis(service);
        if apis.is_empty() {
            continue;
        }
        let walk = service.journeys.walks.get(&JourneyKind::Read);
        let walk = walk.unwrap_or_else(|| panic!("nothing of {name} is read"));
        assert!(
            service.journeys.session.is_some(),
            "{name} is read without a token"
        );
        assert_eq!(walk.when, "", "{name} is not read in every cloud");
        assert!(
            walk.requests.iter().all(|r| r.ask.value.starts_with("GET ")),
            "{name} is changed by its journey that reads"
        );
        for api in &apis {
            let own = format!("{name}.{api}");
            let asked = walk.requests.iter().any(|r| match r.of.value.as_str() {
                "" => apis.first() == Some(api),
                of => of == own,
            });
            let signed = SIGNED.contains(&(name, *api));
            assert_ne!(asked, signed, "{own}");
        }
        read.push(name);
    }
    // Not merely none that fails.
    assert!(read.len() >= 9, "{read:?}");
}
