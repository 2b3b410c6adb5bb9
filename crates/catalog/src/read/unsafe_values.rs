//! Values that nobody should run a service with, from their YAML. Those that are wrong
//! whatever the program stand in `lint::values`.

use std::sync::Arc;

use cloud::tree::{self, Node, Walker};
use diagnostic::{Diagnostic, Source};

use super::{Keys, list_of, pairs, words};
use crate::service::UnsafeValue;

const KEYS: Keys<'_> = &["unsafe"];
const VALUE_KEYS: Keys<'_> = &["key", "has", "unless", "why"];

/// Reads the file.
pub fn unsafe_values(source: &Arc<Source>, findings: &mut Vec<Diagnostic>) -> Vec<UnsafeValue> {
    let mut w = Walker::new(source);
    let root = tree::load(&mut w);
    let fields = root.as_ref().and_then(|r| w.fields(r, "the file", KEYS));
    let out = fields.map(|f| list_of(&mut w, &f, "unsafe", value));
    findings.extend(w.finish());
    out.unwrap_or_default()
}

fn value(w: &mut Walker, node: &Node) -> Option<UnsafeValue> {
    let f = w.fields(node, "a value", VALUE_KEYS)?;
    let has = words(w, &f, "has");
    let unless = pairs(w, &f, "unless");
    let mut text = |key: &'static str| w.require(&f, key).and_then(|n| w.text(n, &format!("`{key}`")));
    let (key, why) = (text("key"), text("why"));
    Some(UnsafeValue {
        key: key?.value,
        has: has.into_iter().map(|word| word.value).collect(),
        unless: unless.into_iter().collect(),
        why: why?.value,
    })
}
