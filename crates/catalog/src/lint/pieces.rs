//! The texts of a catalogue in pieces small enough to be judged: scalars of YAML
//! files with the keys above them, lines of all others.

use std::ops::Range;

use cloud::tree::{self, Kind, Node, Walker};
use diagnostic::Diagnostic;

use crate::{Catalog, Service};

/// A scalar of a YAML file, or a part of a line of another.
pub(super) struct Piece {
    /// The file, from the catalogue's root.
    pub(super) path: String,
    /// The keys above it in a YAML file; an item of a list has its list's.
    pub(super) above: Vec<String>,
    /// Its key; empty for an item and for a whole line.
    pub(super) key: String,
    /// Whether it is a part of a line that is a piece too.
    pub(super) part: bool,
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl Piece {
    pub(super) fn error(
        &self,
        catalog: &Catalog,
        code: &'static str,
        message: String,
        label: &str,
    ) -> Diagnostic {
        Diagnostic::error(
            code,
            &catalog.source(&self.path),
            self.span.clone(),
            message,
            label,
        )
    }

    /// The service in whose folder it stands.
    pub(super) fn service<'c>(&self, catalog: &'c Catalog) -> Option<&'c Service> {
        let folder = self.path.rsplit_once('/')?.0;
        let mut all = catalog.services.values();
        all.find(|s| folder == s.folder || folder.starts_with(&format!("{}/", s.folder)))
    }

    /// Whether it stands in `service.yaml` below such keys.
    pub(super) fn within(&self, key: &str) -> bool {
        self.path.ends_with("/service.yaml") && self.above.first().is_some_and(|k| k == key)
    }
}

/// All pieces of a file.
pub(super) fn pieces(catalog: &Catalog, path: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let text = catalog.files.get(path).map(String::as_str).unwrap_or_default();
    if path.rsplit('.').next() == Some("yaml") {
        // What is wrong with the file itself is said where it is read.
        if let Some(root) = tree::load(&mut Walker::new(&catalog.source(path))) {
            walk(path, &mut Vec::new(), "", &root, &mut out);
        }
        return out;
    }
    // What stands behind a name in a program need not be a value.
    let program = text.starts_with("#!");
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim_start().starts_with('#') {
            if !program {
                parts(path, at, line, &mut out);
            }
            whole(path, at, line, &mut out);
        }
        at += line.len();
    }
    out
}

fn walk(path: &str, above: &mut Vec<String>, key: &str, node: &Node, out: &mut Vec<Piece>) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar(scalar) => out.push(Piece {
            path: path.to_owned(),
            above: above.clone(),
            key: key.to_owned(),
            part: false,
            text: scalar.text.clone(),
            span: node.span.clone(),
        }),
        Kind::List(items) => {
            above.push(key.to_owned());
            for item in items {
                walk(path, above, "", item, out);
            }
            above.pop();
        }
        Kind::Map(entries) => {
            // A key's value and the reason why it is owned are the key's own.
            let owned = node.get("own").is_some() && node.get("value").is_some();
            if !key.is_empty() && !owned {
                above.push(key.to_owned());
            }
            for entry in entries {
                let name = if owned { key } else { entry.key.as_str() };
                if !(owned && entry.key.value == "own") {
                    walk(path, above, name, &entry.value, out);
                }
            }
            if !key.is_empty() && !owned {
                above.pop();
            }
        }
    }
}

/// `key = value`, `key: value` and several of them in a line, as JSON has them.
fn parts(path: &str, start: usize, line: &str, out: &mut Vec<Piece>) {
    let mut at = start;
    for part in line.split_inclusive(',') {
        let bare = part.trim_matches(|c: char| c.is_whitespace() || ",{[".contains(c));
        let offset = part.find(bare).unwrap_or_default();
        let bare = bare.trim_end_matches(['}', ']']).trim_end();
        let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let (key, value) = bare
            .split_once(['=', ':'])
            .map(|(key, value)| (key.trim_start_matches("export ").trim(), value))
            .map(|(key, value)| (key.trim_matches(['"', '\'']), value.trim()))
            .filter(|(key, _)| !key.is_empty() && key.chars().all(word))
            .unwrap_or(("", bare));
        // Expressions hold commas too: they are kept whole in the piece of their line.
        let text = if key.is_empty() { "" } else { value };
        if !text.is_empty() {
            out.push(Piece {
                path: path.to_owned(),
                above: Vec::new(),
                key: key.to_owned(),
                part: true,
                text: text.trim_matches(['"', '\'', ';']).to_owned(),
                span: at + offset..at + offset + bare.len(),
            });
        }
        at += part.len();
    }
}

/// A line as it is.
fn whole(path: &str, start: usize, line: &str, out: &mut Vec<Piece>) {
    let bare = line.trim();
    if !bare.is_empty() {
        let offset = start + line.find(bare).unwrap_or_default();
        out.push(Piece {
            path: path.to_owned(),
            above: Vec::new(),
            key: String::new(),
            part: false,
            text: bare.to_owned(),
            span: offset..offset + bare.len(),
        });
    }
}
