//! What must hold of every cluster configuration, whatever the cloud file says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeSet;

use names::ResourceId;
use pacemaker::{Cib, LiveCib, OrderKind, Resource, SECTIONS};
use render::Desired;

fn check(rule: impl Fn(&str, &Desired, &Cib)) {
    for (name, desired) in examples::clouds() {
        rule(&name, &desired, &desired.cib);
    }
}

fn score(text: &str) -> i64 {
    match text {
        "INFINITY" => 1_000_000,
        "-INFINITY" => -1_000_000,
        number => number.parse().unwrap(),
    }
}

/// The values give the same canonical text as their XML that a cluster took.
#[test]
fn the_canonical_text_is_that_of_the_xml() {
    check(|cloud, desired, cib| {
        let live = LiveCib::parse(cib.document(&desired.nodes)).unwrap();
        for section in SECTIONS {
            let own = cib.canonical(section);
            assert_eq!(live.section(section), Some(own.as_str()), "{cloud}: {section}");
        }
        let ids = |r: &Resource| (r.primitive().id.clone(), r.id());
        let own: Vec<_> = cib.resources.iter().map(ids).collect();
        let read = live.resources().iter();
        let read: Vec<_> = read.map(|r| (r.id.clone(), r.whole.clone())).collect();
        assert_eq!(read, own, "{cloud}");
    });
}

#[test]
fn every_clone_is_interleaved() {
    check(|cloud, _, cib| {
        let mut clones = 0;
        for resource in &cib.resources {
            if let Resource::Clone(c) = resource {
                clones += 1;
                assert_eq!(
                    c.meta.get("interleave").map(String::as_str),
                    Some("true"),
                    "{cloud}: {}",
                    resource.id()
                );
            }
        }
        assert!(clones > 0);
    });
}

#[test]
fn a_fence_device_is_kept_off_the_host_it_fences() {
    check(|cloud, desired, cib| {
        // One alone has nobody who could fence it.
        let others = desired.nodes.len() > 1;
        for (node, _) in desired.nodes.iter().filter(|_| others) {
            let levels: Vec<_> = cib.levels.iter().filter(|l| l.target == *node).collect();
            assert!(!levels.is_empty(), "{cloud}: nobody can fence {node}");
            let indexes: Vec<u32> = levels.iter().map(|l| l.index).collect();
            let wanted: Vec<u32> = (1..).take(levels.len()).collect();
            assert_eq!(indexes, wanted, "{cloud}: levels of {node}");
            for device in levels.iter().flat_map(|l| &l.devices) {
                let found = cib.resources.iter().find(|r| r.id() == *device).unwrap();
                assert_eq!(found.primitive().params["pcmk_host_list"], *node);
                assert!(
                    cib.locations
                        .iter()
                        .any(|l| l.resource == *device && l.node == *node && l.score == "-INFINITY"),
                    "{cloud}: {device} may run on {node}"
                );
            }
        }
        let levelled: BTreeSet<&ResourceId> = cib.levels.iter().flat_map(|l| &l.devices).collect();
        let devices: Vec<ResourceId> = cib
            .resources
            .iter()
            .filter(|r| r.primitive().is_fence_device())
            .map(Resource::id)
            .collect();
        assert_eq!(levelled.len(), devices.len(), "{cloud}: a device of no level");
        assert_eq!(
            cib.properties.get("stonith-enabled"),
            Some(&others.to_string()),
            "{cloud}"
        );
    });
}

#[test]
fn an_address_needs_quorum_and_a_balancer() {
    check(|cloud, _, cib| {
        let addresses: Vec<&Resource> = cib
            .resources
            .iter()
            .filter(|r| r.id().starts_with("vip-"))
            .collect();
        assert!(!addresses.is_empty(), "{cloud}");
        for vip in addresses {
            let id = vip.id();
            assert_eq!(
                vip.primitive().meta.get("requires").map(String::as_str),
                Some("quorum"),
                "{cloud}: {id}"
            );
            assert!(
                cib.colocations
                    .iter()
                    .any(|c| c.resource == id && c.with == "haproxy-clone" && c.score == "INFINITY"),
                "{cloud}: {id} may stand where nobody serves it"
            );
        }
    });
}

#[test]
fn orders_bind_only_after_a_promotion() {
    check(|cloud, desired, cib| {
        for order in &cib.orders {
            let wanted = if order.first_action == "promote" {
                OrderKind::Mandatory
            } else {
                OrderKind::Optional
            };
            assert_eq!(order.kind, wanted, "{cloud}: {} then {}", order.first, order.then);
        }
        // In `core` what waits for a writer is not in the cluster, but for timers: their
        // work asks again the next time.
        let promotes = cib.orders.iter().any(|o| o.first_action == "promote");
        let timer = |id: &ResourceId| {
            let mut all = cib.resources.iter().map(pacemaker::Resource::primitive);
            all.any(|p| {
                p.id == *id
                    && p.params
                        .get("unit")
                        .is_some_and(|u| u.rsplit_once('.').is_some_and(|(_, kind)| kind == "timer"))
            })
        };
        assert!(promotes || desired.gated.iter().all(timer), "{cloud}");
        assert!(!cib.section("constraints").contains("symmetrical=\"true\""));
    });
}

#[test]
fn an_order_never_leads_back() {
    check(|cloud, _, cib| {
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut rest: Vec<_> = cib.orders.iter().collect();
        let mut waiting: BTreeSet<&str> = rest
            .iter()
            .flat_map(|o| [o.first.as_str(), o.then.as_str()])
            .collect();
        while !waiting.is_empty() {
            let free: Vec<&str> = waiting
                .iter()
                .filter(|w| !rest.iter().any(|o| o.then == **w))
                .copied()
                .collect();
            assert!(!free.is_empty(), "{cloud}: in a circle: {waiting:?}");
            rest.retain(|o| !free.contains(&o.first.as_str()));
            waiting.retain(|w| !free.contains(w));
            done.extend(free);
        }
    });
}

/// Coming home is a step of its own, never something that happens.
#[test]
fn staying_weighs_more_than_preference() {
    check(|cloud, _, cib| {
        for location in cib.locations.iter().filter(|l| score(&l.score) > 0) {
            let resource = cib
                .resources
                .iter()
                .find(|r| r.id() == location.resource)
                .unwrap();
            let own = resource.primitive().meta.get("resource-stickiness");
            let stickiness = own
                .or_else(|| cib.resource_defaults.get("resource-stickiness"))
                .unwrap();
            assert!(
                score(stickiness) > score(&location.score),
                "{cloud}: {}",
                location.resource
            );
        }
    });
}

#[test]
fn a_singleton_needs_fencing() {
    check(|cloud, _, cib| {
        // One host alone is not fenced, and has no other where a second could be.
        let fenced = cib.properties.get("stonith-enabled").is_some_and(|v| v == "true");
        let requires = if fenced { "fencing" } else { "quorum" };
        for resource in &cib.resources {
            let p = resource.primitive();
            let single = matches!(resource, Resource::Primitive(_))
                && !p.agent.starts_with("stonith:")
                && !p.id.starts_with("vip-");
            if single {
                assert_eq!(
                    p.meta.get("requires").map(String::as_str),
                    Some(requires),
                    "{cloud}: {}",
                    p.id
                );
            }
        }
    });
    let (_, apart) = examples::clouds().pop().unwrap();
    assert!(apart.cib.resources.iter().any(|r| r.id() == "lonely-volume"));
}

/// Pacemaker takes two operations of one name and interval for one.
#[test]
fn no_operation_stands_twice() {
    check(|cloud, _, cib| {
        for resource in &cib.resources {
            let mut seen = BTreeSet::new();
            for op in &resource.primitive().operations {
                assert!(
                    seen.insert((&op.name, &op.interval)),
                    "{cloud}: {}: {op:?}",
                    resource.id()
                );
                let timeout = op.options.get("timeout").unwrap();
                assert!(
                    timeout.trim_end_matches('s').parse::<u32>().unwrap() > 0,
                    "{cloud}: {op:?}"
                );
            }
            let monitored = resource
                .primitive()
                .operations
                .iter()
                .any(|o| o.name == "monitor" && o.interval != "0s");
            assert!(monitored, "{cloud}: nobody watches {}", resource.id());
        }
    });
}

#[test]
fn ids_are_unique_and_constraints_lead_somewhere() {
    check(|cloud, desired, cib| {
        let document = cib.document(&desired.nodes);
        let mut seen = BTreeSet::new();
        let elements = document.split('<').filter(|e| !e.starts_with("node "));
        for id in elements.filter_map(|e| e.split(" id=\"").nth(1)?.split('"').next()) {
            assert!(seen.insert(id), "{cloud}: the id {id} stands twice");
        }
        let resources: Vec<ResourceId> = cib.resources.iter().map(Resource::id).collect();
        let nodes: Vec<&str> = desired.nodes.iter().map(|(n, _)| n.as_str()).collect();
        for l in &cib.locations {
            assert!(
                resources.contains(&l.resource) && nodes.contains(&l.node.as_str()),
                "{cloud}: {l:?}"
            );
        }
        for c in &cib.colocations {
            assert!(
                resources.contains(&c.resource) && resources.contains(&c.with),
                "{cloud}: {c:?}"
            );
        }
        for o in &cib.orders {
            assert!(
                resources.contains(&o.first) && resources.contains(&o.then),
                "{cloud}: {o:?}"
            );
        }
    });
}

/// The layer without what waits for its schema is whole in itself.
#[test]
fn the_first_layer_names_nothing_of_the_second() {
    check(|cloud, desired, cib| {
        let layer = cib.only(&|id| !desired.gated.iter().any(|g| g == id));
        assert_eq!(
            layer.resources.len() + desired.gated.len(),
            cib.resources.len(),
            "{cloud}"
        );
        for gated in &desired.gated {
            let document = layer.document(&desired.nodes);
            assert!(!document.contains(&format!("\"{gated}\"")), "{cloud}: {gated}");
            assert!(
                !document.contains(&format!("\"{gated}-clone\"")),
                "{cloud}: {gated}"
            );
        }
    });
}
