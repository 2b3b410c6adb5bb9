//! A cure, from its YAML: what is wrong in a package and how its file is changed.

use std::sync::Arc;

use cloud::tree::{self, Fields, Spanned, Walker};
use diagnostic::{Diagnostic, Source};
use indexmap::IndexMap;

use super::{Keys, plain, words};
use crate::service::{Cure, Cured};

const KEYS: Keys<'_> = &[
    "summary",
    "evidence",
    "releases",
    "distributions",
    "package",
    "file",
    "change",
    "versions",
    "restart",
];

/// Reads the file of a cure, whose name is that of the file.
pub fn cure(source: &Arc<Source>, name: &str, findings: &mut Vec<Diagnostic>) -> Option<Cure> {
    let mut w = Walker::new(source);
    let root = tree::load(&mut w);
    let out = root.and_then(|root| {
        let f = w.fields(&root, "the cure", KEYS)?;
        let text = |w: &mut Walker, f: &Fields<'_>, key: &str| -> Option<String> {
            let node = w.require(f, key)?;
            w.text(node, &format!("`{key}`")).map(|t| t.value)
        };
        let change = w
            .require(&f, "change")
            .and_then(|n| w.fields(n, "`change`", &["from", "to"]));
        let change = change.and_then(|c| Some((text(&mut w, &c, "from")?, text(&mut w, &c, "to")?)));
        let mut versions = IndexMap::new();
        let all = w.require(&f, "versions").and_then(|n| w.map(n, "`versions`"));
        for entry in all.unwrap_or_default() {
            if let Some(v) = w.fields(&entry.value, "a version", &["before", "after"])
                && let (Some(before), Some(after)) =
                    (digest(&mut w, &v, "before"), digest(&mut w, &v, "after"))
            {
                versions.insert(entry.key.value.clone(), Cured { before, after });
            }
        }
        let mut restart = IndexMap::new();
        for entry in f
            .get("restart")
            .and_then(|n| w.map(n, "`restart`"))
            .unwrap_or_default()
        {
            restart.insert(
                entry.key.clone().value,
                (entry.key.clone(), w.texts(&entry.value, "a component")),
            );
        }
        let (summary, evidence) = (text(&mut w, &f, "summary"), text(&mut w, &f, "evidence"));
        let (package, file) = (text(&mut w, &f, "package"), text(&mut w, &f, "file"));
        let (from, to) = change?;
        Some(Cure {
            name: name.to_owned(),
            source: Arc::clone(source),
            summary: summary?,
            evidence: evidence?,
            releases: plain(words(&mut w, &f, "releases")),
            distributions: plain(words(&mut w, &f, "distributions")),
            package: package?,
            file: file?,
            from,
            to,
            versions,
            restart: restart.into_values().collect(),
        })
    });
    findings.extend(w.finish());
    out
}

/// A SHA-256 in hex.
fn digest(w: &mut Walker, fields: &Fields<'_>, key: &str) -> Option<String> {
    let node = w.require(fields, key)?;
    let Spanned { value, span } = w.text(node, &format!("`{key}`"))?;
    if value.len() == 64 && value.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        return Some(value);
    }
    let finding = w.error(
        "catalog::bad-digest",
        &span,
        format!("`{value}` is no SHA-256"),
        "must be 64 digits of 0-9 and a-f",
    );
    w.push(finding.help("`sha256sum FILE` prints it, for the file as the package has it and as it is then"));
    None
}
