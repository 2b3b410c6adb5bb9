//! Caches in all examples: no file has a service unpickle what is in one, and no unit of a
//! cache hears more than the hosts of the APIs.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::{BTreeMap, BTreeSet};

use model::Model;

/// Keys and values of an INI file, by section; of any other text what looks like them.
fn sections(text: &str) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut out: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(name) => section = name,
            None => out.entry(section).or_default().extend(
                line.split_once('=')
                    .map(|(key, value)| (key.trim(), value.trim())),
            ),
        }
    }
    out
}

/// Everything that the catalogue knows against a rendered file.
fn known_against(model: &Model, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for keys in sections(text).values() {
        let beside = |name: &str| {
            let other = keys.iter().find(|(key, _)| *key == name);
            other.map(|(_, value)| (*value).to_owned())
        };
        for (key, value) in keys {
            let reason = model.catalog.unsafe_value(key, value, beside);
            out.extend(reason.map(|reason| format!("{key} = {value}: {reason}")));
        }
    }
    out
}

#[test]
fn no_rendered_file_unpickles_a_cache() {
    for name in examples::EXAMPLES {
        let (model, desired) = examples::example(name);
        let mut guarded = 0;
        for (host, wanted) in &desired.hosts {
            for file in &wanted.files {
                let path = &file.write.path;
                let Ok(text) = std::str::from_utf8(&file.write.content) else {
                    continue;
                };
                let found = known_against(&model, text);
                assert_eq!(found, Vec::<String>::new(), "{name}: {host}:{path}");
                guarded += usize::from(text.contains("\nbackend = oslo_cache.memcache_pool\n"));
                // And not without its guard, where the check above reads it.
                let bare = text.replace("proxies = ", "nothing = ");
                let pool = text.contains("oslo_cache.memcache_pool");
                assert_eq!(
                    !known_against(&model, &bare).is_empty(),
                    pool,
                    "{name}: {host}:{path}"
                );
            }
        }
        assert!(guarded > 0, "{name}: nothing was looked at");
    }
}

#[test]
fn a_cache_hears_the_hosts_of_the_apis_alone() {
    for name in examples::EXAMPLES {
        let (model, desired) = examples::example(name);
        let hosts = model.cloud.hosts.iter();
        let apis = hosts.filter(|h| h.has(cloud::Role::Api));
        let mut clients: BTreeSet<String> = apis
            .map(|h| h.addresses.values().next().unwrap().value.to_string())
            .collect();
        clients.insert("localhost".to_owned());
        let mut units = 0;
        for wanted in desired.hosts.values() {
            for file in &wanted.files {
                let text = String::from_utf8_lossy(&file.write.content);
                if !text.contains(" -p 11211 ") {
                    continue;
                }
                units += 1;
                assert!(text.contains("\nIPAddressDeny=any\n"), "{name}: {text}");
                let heard = text.lines().filter_map(|l| l.strip_prefix("IPAddressAllow="));
                let heard: BTreeSet<String> = heard.map(str::to_owned).collect();
                assert_eq!(heard, clients, "{name}");
            }
        }
        assert!(units > 0, "{name}: there is no cache");
    }
}

/// Sections in which a service asks the identity service who its callers are.
fn asks_who(section: &str, keys: &[(&str, &str)]) -> bool {
    let middleware = |(key, value): &(&str, &str)| key.ends_with("_factory") && value.contains("auth_token");
    section == "keystone_authtoken" || keys.iter().any(middleware)
}

/// A token that was withdrawn is refused by every service within five seconds: each process
/// keeps what it was told of one for less, and for itself.
#[test]
fn no_service_keeps_a_token_for_five_seconds() {
    let (catalog, _) = catalog::Catalog::load(catalog::embedded());
    let uses = |folder: &str| {
        let mut files = catalog.files.iter().filter(|(path, _)| path.starts_with(folder));
        files.any(|(_, text)| text.contains("identity-client"))
    };
    let services = catalog.services.values();
    let wanted: BTreeSet<&str> = services
        .filter(|s| uses(&format!("{}/", s.folder)))
        .map(|s| s.name.value.as_str())
        .collect();
    let mut found = BTreeSet::new();
    let mut clouds: Vec<_> = examples::EXAMPLES.map(examples::example).into();
    let text = "cloud: rest\nrelease: \"2025.1\"\nhosts: { c1: { role: [controller, storage, network], address: 198.18.0.11 } }\n\
                vips: { pool: 198.18.0.100-198.18.0.119 }\n\
                services: [keystone, barbican, glance, heat, placement, cinder, neutron, nova, swift]\n\
                settings: { swift: { replicas: 1 } }\n";
    let rest = examples::model_of("rest", text, &[]);
    let desired = examples::desired_of(&rest);
    clouds.push((rest, desired));
    for (_, desired) in &clouds {
        for file in desired.hosts.values().flat_map(|h| &h.files) {
            let path = &file.write.path;
            let Ok(text) = std::str::from_utf8(&file.write.content) else {
                continue;
            };
            for (section, keys) in sections(text) {
                if !asks_who(section, &keys) {
                    continue;
                }
                let value = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
                let kept: u32 = value("token_cache_time").unwrap().parse().unwrap();
                assert!(kept < 5, "{path} [{section}]: {kept} s");
                for shared in ["memcached_servers", "memcache_servers"] {
                    assert!(value(shared).is_none(), "{path} [{section}] asks a cache");
                }
                found.insert(path.split('/').nth(2).unwrap().to_owned());
            }
        }
    }
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), wanted);
}

/// A host whose own name has a domain: services would call it by that, the switch by the
/// short one, and no port were bound there.
#[test]
fn a_host_has_one_name_in_every_service() {
    let mut hosts = 0;
    for name in examples::EXAMPLES {
        let (_, desired) = examples::example(name);
        for (host, wanted) in &desired.hosts {
            let text = |path: &str| {
                let file = wanted.files.iter().find(|f| f.write.path == path)?;
                std::str::from_utf8(&file.write.content).ok()
            };
            if let Some(switch) = text("/usr/lib/quorate/ovn-switch") {
                for key in ["system-id", "hostname"] {
                    let said = format!("external_ids:{key}={host} ");
                    assert!(switch.contains(&said), "{name}: {host}: {key}");
                }
            }
            for path in ["/etc/nova/nova.conf", "/etc/neutron/neutron.conf"] {
                let Some(text) = text(path) else { continue };
                let sections = sections(text);
                let own = sections["DEFAULT"].iter().filter(|(key, _)| *key == "host");
                assert_eq!(
                    own.collect::<Vec<_>>(),
                    [&("host", host.as_str())],
                    "{name}: {path}"
                );
                hosts += 1;
            }
        }
    }
    assert!(hosts > 0);
}

/// Nor does the cloud file say another: ports would be bound on a host that is not there.
#[test]
fn a_cloud_file_gives_a_host_no_other_name() {
    let text = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/with-compute.yaml"),
    );
    let text = text.unwrap() + "\nconfig: { /etc/nova/nova.conf: { DEFAULT: { host: c1.example.org } } }\n";
    let source = diagnostic::Source::new("cloud.yaml", text);
    let (catalog, _) = catalog::Catalog::load(catalog::embedded());
    let (cloud, _) = cloud::parse(&source);
    let (_, mut findings) = Model::resolve(&cloud.unwrap(), &source, &std::sync::Arc::new(catalog));
    findings.retain(diagnostic::Diagnostic::is_error);
    let drawn = diagnostic::draw(&findings, false, 100);
    assert!(drawn.contains("config::owned"), "{drawn}");
}
