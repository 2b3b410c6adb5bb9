//! The budget of times, from its YAML. What its numbers are in a cloud is `render`'s
//! matter.

use std::sync::Arc;

use cloud::tree::{self, Node, Walker};
use diagnostic::{Diagnostic, Source};

use super::{Keys, list_of, word};
use crate::service::{Budget, Law, Number};

const KEYS: Keys<'_> = &["numbers", "laws"];
const NUMBER_KEYS: Keys<'_> = &["is", "unit", "why"];
const LAW_KEYS: Keys<'_> = &["holds", "why", "at"];

/// Reads the file.
pub fn budget(source: &Arc<Source>, findings: &mut Vec<Diagnostic>) -> Budget {
    let mut w = Walker::new(source);
    let mut out = Budget::default();
    let root = tree::load(&mut w);
    if let Some(f) = root.as_ref().and_then(|r| w.fields(r, "the budget", KEYS)) {
        let numbers = w.require(&f, "numbers").and_then(|n| w.map(n, "`numbers`"));
        for entry in numbers.unwrap_or_default() {
            let Some(n) = w.fields(&entry.value, "a number", NUMBER_KEYS) else {
                continue;
            };
            let mut text =
                |key: &'static str| w.require(&n, key).and_then(|n| w.text(n, &format!("`{key}`")));
            let (is, unit, why) = (text("is"), text("unit"), text("why"));
            if let (Some(is), Some(unit), Some(why)) = (is, unit, why) {
                out.numbers.push(Number {
                    name: entry.key.value.clone(),
                    is,
                    unit: unit.value,
                    why: why.value,
                });
            }
        }
        out.laws = list_of(&mut w, &f, "laws", law);
    }
    findings.extend(w.finish());
    out
}

fn law(w: &mut Walker, node: &Node) -> Option<Law> {
    let f = w.fields(node, "a law", LAW_KEYS)?;
    let at = word(w, &f, "at");
    let mut text = |key: &'static str| w.require(&f, key).and_then(|n| w.text(n, &format!("`{key}`")));
    let (holds, why) = (text("holds"), text("why"));
    Some(Law {
        holds: holds?,
        why: why?.value,
        at,
    })
}
