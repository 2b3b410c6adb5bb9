//! Cluster properties by their effective values, whichever set of the CIB has them.
//!
//! Pacemaker reads all `cluster_property_set` elements and takes the first value of a name:
//! that of `cib-bootstrap-options` before all others, then sets by their score, highest
//! first. `crm_attribute`, `pcs` and `crmsh` write into `cib-bootstrap-options`, so what
//! they set outranks ours. Source: `pcmk__cmp_nvpair_blocks` and `pe__unpack_dataset_nvpairs`
//! of Pacemaker 3.0.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

/// The set whose values outrank those of all others.
const FIRST: &str = "cib-bootstrap-options";
/// The beginning of the ids of our sets.
const OURS: &str = "quorate";

/// Orders by which an operator holds the whole cluster, and the value of one that acts.
/// Only their giver takes them back.
pub const HOLDS: [(&str, &str); 2] = [("maintenance-mode", "false"), ("stop-all-resources", "false")];

/// Properties without which a failure is answered otherwise than planned, and the value
/// that holds where we set none: Pacemaker's default.
pub const GUARDED: [(&str, &str); 6] = [
    ("enable-startup-probes", "true"),
    ("startup-fencing", "true"),
    ("stonith-action", "reboot"),
    ("stop-orphan-actions", "true"),
    ("stop-orphan-resources", "true"),
    ("symmetric-cluster", "true"),
];

/// The truth value of a text as Pacemaker reads it; `None` for a text that is none.
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// True if two values mean the same to Pacemaker.
pub fn same_value(one: &str, other: &str) -> bool {
    one == other || truth(one).is_some_and(|t| truth(other) == Some(t))
}

/// A set of properties with its score.
struct Set<'a, 'd> {
    node: Node<'a, 'd>,
    id: &'a str,
    score: i64,
}

fn sets<'a, 'd>(config: Node<'a, 'd>) -> Vec<Set<'a, 'd>> {
    let found = config
        .children()
        .filter(|n| n.has_tag_name("cluster_property_set"));
    let score = |n: Node<'a, 'd>| match n.attribute("score").unwrap_or("0") {
        "INFINITY" | "+INFINITY" => 1_000_000,
        "-INFINITY" => -1_000_000,
        other => other.parse().unwrap_or(0),
    };
    found
        .map(|node| Set {
            node,
            id: node.attribute("id").unwrap_or_default(),
            score: score(node),
        })
        .collect()
}

fn pairs<'a, 'd>(set: Node<'a, 'd>) -> impl Iterator<Item = (&'a str, &'a str, Node<'a, 'd>)> {
    let all = set.children().filter(|n| n.has_tag_name("nvpair"));
    all.filter_map(|n| Some((n.attribute("name")?, n.attribute("value")?, n)))
}

/// A property's value in force, and the ids of the sets that have one, by their rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// Value of the set with the highest rank.
    pub value: String,
    /// All sets that have a value.
    pub sets: Vec<String>,
}

/// True if a property set is ours by its id.
pub(crate) fn is_ours(set: &str) -> bool {
    set.starts_with(OURS)
}

/// The properties of a `crm_config`.
pub(crate) fn in_force(config: Node<'_, '_>) -> BTreeMap<String, Property> {
    let mut all = sets(config);
    // Stable: of equal sets the first stays first.
    all.sort_by_key(|set| (set.id != FIRST, std::cmp::Reverse(set.score)));
    let mut out: BTreeMap<String, Property> = BTreeMap::new();
    for set in &all {
        for (name, value, _) in pairs(set.node) {
            let property = out.entry(name.to_owned()).or_insert_with(|| Property {
                value: value.to_owned(),
                sets: Vec::new(),
            });
            property.sets.push(set.id.to_owned());
        }
    }
    out
}

/// True if a foreign value contradicts what we set, or a guarded default.
fn contradicts(ours: &BTreeMap<String, String>, name: &str, value: &str) -> bool {
    let wanted = ours.get(name).map(String::as_str);
    let wanted = wanted.or_else(|| GUARDED.iter().find(|(n, _)| *n == name).map(|(_, v)| *v));
    wanted.is_some_and(|wanted| !same_value(wanted, value))
}

fn of_ours(config: Node<'_, '_>) -> BTreeMap<String, String> {
    let ours = sets(config).into_iter().filter(|set| is_ours(set.id));
    let all = ours.flat_map(|set| pairs(set.node).map(|(n, v, _)| (n.to_owned(), v.to_owned())));
    all.collect()
}

/// The lines of foreign sets that contradict ours, for the canonical text of a section.
pub(crate) fn foreign(config: Node<'_, '_>) -> String {
    let ours = of_ours(config);
    let mut out = String::new();
    for set in sets(config).iter().filter(|set| !is_ours(set.id)) {
        let wrong = pairs(set.node).filter(|(name, value, _)| contradicts(&ours, name, value));
        for (name, value, _) in wrong {
            // A String never refuses to be written to.
            let _ = writeln!(out, "  property {name}={value} of {}", set.id);
        }
    }
    out
}

/// The XML of a foreign set without what contradicts the properties of `config`, which are
/// ours; nothing where nothing is left of it. `None` where one of both is not XML.
pub fn without_contradictions(config: &str, set: &str) -> Option<String> {
    let wanted = Document::parse(config).ok()?;
    let ours = of_ours(wanted.root_element());
    let document = Document::parse(set).ok()?;
    let root = document.root_element();
    let all: Vec<_> = pairs(root).collect();
    let wrong: Vec<_> = all
        .iter()
        .filter(|(name, value, _)| contradicts(&ours, name, value))
        .map(|(_, _, node)| node.range())
        .collect();
    if !wrong.is_empty() && wrong.len() == all.len() {
        return Some(String::new());
    }
    let mut out = String::new();
    let mut at = 0;
    for range in wrong {
        out.push_str(set.get(at..range.start)?);
        at = range.end;
    }
    out.push_str(set.get(at..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LiveCib;

    fn cib(sets: &str) -> String {
        format!("<cib><configuration><crm_config>{sets}</crm_config></configuration></cib>")
    }

    fn set(id: &str, score: &str, pairs: &[(&str, &str)]) -> String {
        let pair = |(n, v): &(&str, &str)| format!("<nvpair id=\"{id}-{n}\" name=\"{n}\" value=\"{v}\"/>");
        let pairs: Vec<String> = pairs.iter().map(pair).collect();
        let pairs = pairs.concat();
        format!("<cluster_property_set id=\"{id}\"{score}>{pairs}</cluster_property_set>")
    }

    #[test]
    fn the_bootstrap_set_outranks_all_others() {
        let ours = set("quorate-properties", "", &[("stonith-enabled", "true")]);
        let check = |others: &str, value: &str| {
            let live = LiveCib::parse(cib(&format!("{ours}{others}"))).unwrap();
            assert_eq!(live.properties()["stonith-enabled"].value, value, "{others}");
        };
        check("", "true");
        check(&set(FIRST, "", &[("stonith-enabled", "false")]), "false");
        check(&set("mine", "", &[("stonith-enabled", "false")]), "true");
        check(
            &set("mine", " score=\"5\"", &[("stonith-enabled", "false")]),
            "false",
        );
        check(
            &set("mine", " score=\"-5\"", &[("stonith-enabled", "false")]),
            "true",
        );
        let empty = LiveCib::parse("<cib><configuration/></cib>".to_owned()).unwrap();
        assert!(empty.properties().is_empty());
    }

    #[test]
    fn only_what_contradicts_is_taken_out() {
        let ours = "<crm_config><cluster_property_set id=\"quorate-properties\">\
                    <nvpair id=\"q\" name=\"stonith-enabled\" value=\"true\"/></cluster_property_set></crm_config>";
        let check = |pairs: &[(&str, &str)], left: &[&str]| {
            let xml = without_contradictions(ours, &set(FIRST, "", pairs)).unwrap();
            let names: Vec<String> = Document::parse(&xml)
                .map(|d| {
                    d.descendants()
                        .filter_map(|n| n.attribute("name"))
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default();
            assert_eq!(names, left, "{xml}");
        };
        check(
            &[
                ("dc-version", "3"),
                ("stonith-enabled", "false"),
                ("have-watchdog", "false"),
            ],
            &["dc-version", "have-watchdog"],
        );
        // Said otherwise, and the same.
        check(&[("stonith-enabled", "yes")], &["stonith-enabled"]);
        check(&[("startup-fencing", "off")], &[]);
        check(&[("startup-fencing", "on")], &["startup-fencing"]);
        // An order of an operator's is nobody's to take back.
        check(&[("maintenance-mode", "true")], &["maintenance-mode"]);
    }
}
