//! The keys of an INI file that is kept as data, and which of them the operator
//! may not set. What their values become on a host is `render`'s matter.
//!
//! A key's value is a text or a list of them, or, where high availability rests
//! on it, a map with the value and the reason:
//!
//! ```yaml
//! database:
//!   connection: { value: "…", own: the virtual address follows the writer }
//! ```
//!
//! `use` names fragments, whose keys are taken in. A key that begins with `=` is
//! written without that sign, whatever it is called: `=use` is a key of the file.
//!
//! Without a value the key is not written and still nobody's to set. A key that
//! ends in `*` speaks of all that begin so and do not stand in the file.

use cloud::tree::{self, Entry, Kind, Node, Walker};
use diagnostic::Diagnostic;

use crate::{Catalog, FileSpec, Service};

/// A key of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    /// Its section.
    pub section: String,
    /// Its name; with `*` at its end it stands for many.
    pub key: String,
    /// Its value as written, where it is one text: perhaps a template.
    pub value: String,
    /// Why the operator may not set it; `None`: it may be set.
    pub own: Option<String>,
}

/// Whether a file is data: sections and keys, which an operator can override.
pub fn is_data(file: &FileSpec) -> bool {
    file.from.value.rsplit('.').next() == Some("yaml")
}

/// A key's name in the file.
pub fn name_of(key: &str) -> &str {
    key.strip_prefix('=').unwrap_or(key)
}

/// The value of a key as written: that of `value` where it has a reason beside it.
pub fn written(node: &Node) -> Option<&Node> {
    match node.kind {
        Kind::Map(_) => node.get("value"),
        _ => Some(node),
    }
}

impl Catalog {
    /// The keys of a service's data file, those of its fragments among them.
    pub fn data(&self, service: &Service, file: &FileSpec) -> Vec<DataKey> {
        let path = self.path(service, &file.from.value);
        read(self, &path).0
    }

    /// Why an operator may not set a key of a data file; `None`: it may be set.
    pub fn owned(&self, service: &Service, file: &FileSpec, section: &str, key: &str) -> Option<String> {
        let keys = self.data(service, file);
        let (section, key) = (same(section), same(key));
        let mine = || keys.iter().filter(|k| same(&k.section) == section);
        let named = mine().find(|k| same(&k.key) == key);
        let begins = |k: &&DataKey| {
            let start = same(&k.key);
            start
                .strip_suffix('*')
                .is_some_and(|start| key.starts_with(start))
        };
        named.or_else(|| mine().find(begins))?.own.clone()
    }
}

/// A name as the most forgiving reader takes it: oslo.config does not look at the case of
/// a section, Python's reader not at that of a key, MariaDB takes a dash for an underscore.
fn same(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// The keys of a data file by its path, and what is wrong with it.
pub(crate) fn read(catalog: &Catalog, path: &str) -> (Vec<DataKey>, Vec<Diagnostic>) {
    let mut walker = Walker::new(&catalog.source(path));
    let mut out = Vec::new();
    if let Some(root) = tree::load(&mut walker) {
        for section in walker.map(&root, "the file").unwrap_or_default() {
            let what = format!("the section `{}`", section.key);
            for entry in walker.map(&section.value, &what).unwrap_or_default() {
                if entry.key.value == "use" {
                    for name in walker.texts(&entry.value, "a fragment") {
                        fragment(catalog, &section.key.value, &name.value, &mut out);
                    }
                } else {
                    out.push(key(&mut walker, &section.key.value, entry));
                }
            }
        }
    }
    (out, walker.finish())
}

/// What is wrong within a fragment is said of the fragment, once.
fn fragment(catalog: &Catalog, section: &str, name: &str, out: &mut Vec<DataKey>) {
    let mut walker = Walker::new(&catalog.source(&format!("fragments/{name}.yaml")));
    let root = tree::load(&mut walker);
    if let Some(Node {
        kind: Kind::Map(entries),
        ..
    }) = &root
    {
        let keys = entries.iter().filter(|e| e.key.value != "use");
        out.extend(keys.map(|e| key(&mut walker, section, e)));
    }
}

fn key(w: &mut Walker, section: &str, entry: &Entry) -> DataKey {
    let mut own = None;
    if let Kind::Map(_) = entry.value.kind
        && let Some(fields) = w.fields(&entry.value, format!("`{}`", entry.key), &["value", "own"])
    {
        let reason = w.require(&fields, "own");
        own = reason
            .and_then(|n| w.text(n, "`own` (a reason)"))
            .map(|t| t.value);
    }
    DataKey {
        section: section.to_owned(),
        key: name_of(&entry.key.value).to_owned(),
        value: match written(&entry.value).map(|n| &n.kind) {
            Some(Kind::Scalar(scalar)) => scalar.text.clone(),
            _ => String::new(),
        },
        own,
    }
}
