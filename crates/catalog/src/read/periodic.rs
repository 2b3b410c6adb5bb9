//! Work that recurs, from its YAML: the entry itself, and the component that the
//! cluster runs for it.

use cloud::tree::{Fields, Spanned, Walker};
use indexmap::IndexMap;

use super::{Keys, roles, timeout, word_or, words_of_run};
use crate::service::{Component, Interval, Kind, Pairs, Periodic, ResourceSpec};

const KEYS: Keys<'_> = &["run", "user", "on", "every", "timeout", "when"];

/// `periodic:` of a service.
pub(super) fn read(w: &mut Walker, fields: &Fields<'_>) -> IndexMap<String, Periodic> {
    let mut out = IndexMap::new();
    let Some(node) = fields.get("periodic") else {
        return out;
    };
    for entry in w.map(node, "`periodic`").unwrap_or_default() {
        if let Some(one) = periodic(w, &entry.key, &entry.value) {
            out.insert(entry.key.value.clone(), one);
        }
    }
    out
}

fn periodic(w: &mut Walker, name: &Spanned<String>, node: &cloud::tree::Node) -> Option<Periodic> {
    let f = w.fields(node, "work that recurs", KEYS)?;
    let every = w
        .require(&f, "every")
        .and_then(|n| w.choice(n, "how often", "catalog::unknown-interval", Interval::WORDS));
    let on = roles(w, &f, "on");
    let run = words_of_run(w, &f);
    Some(Periodic {
        name: name.clone(),
        run: run?,
        user: word_or(w, &f, "user", "root"),
        every: every?.value,
        timeout: timeout(w, &f),
        on: on?,
        when: word_or(w, &f, "when", ""),
    })
}

/// The part of the service that the cluster runs: its timer, on one host.
pub(super) fn component(service: &str, periodic: &Periodic) -> Component {
    let none = || Spanned::new(String::new(), periodic.name.span.clone());
    Component {
        name: periodic.name.clone(),
        kind: Kind::Singleton,
        runs_on: periodic.on.clone(),
        unit: periodic.unit(service, "timer"),
        run: None,
        resource: ResourceSpec::default(),
        after: Vec::new(),
        endpoint: None,
        engine: none(),
        connected: None,
        ports: Vec::new(),
        engine_options: Pairs::new(),
        when: periodic.when.clone(),
    }
}
