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
