//! INI files from data: sections and keys as YAML, each value a template, a
//! list for a repeated key. The operator's `config:` overrides go over them. What a
//! host's own text becomes where a file is shared is the crate `ini`'s matter.

use cloud::tree::{self, Kind, Node, Walker};
use cloud::{Overrides, Setting};
use diagnostic::{Diagnostic, Source};
use indexmap::IndexMap;

use crate::context::{Scope, Templates, Text};
use crate::memo::Reads;

/// Keys with their values; without one: ours, and not to be there.
type Section = IndexMap<String, Vec<String>>;

/// A file of data as it is read, once for all hosts.
pub struct Data {
    root: Option<Node>,
    /// Names that any of its values reads, those of its fragments among them.
    reads: Reads,
}

impl Data {
    /// Reads it; what is wrong with it is told.
    pub fn read(templates: &mut Templates, path: &str, text: String) -> Self {
        let mut walker = Walker::new(&Source::new(format!("catalog/{path}"), text));
        let root = tree::load(&mut walker);
        for finding in walker.finish() {
            templates.push(finding);
        }
        let mut data = Self {
            root,
            reads: Reads::NONE,
        };
        data.reads = (data.entries().iter()).fold(Reads::NONE, |all, entry| {
            all.or(reads_of(templates, &entry.key.value, &entry.value))
        });
        data
    }

    fn entries(&self) -> &[tree::Entry] {
        match &self.root {
            Some(Node {
                kind: Kind::Map(entries),
                ..
            }) => entries,
            _ => &[],
        }
    }
}

/// Path of a fragment.
fn fragment(name: &str) -> String {
    format!("fragments/{name}.yaml")
}

/// Names that a key reads: its value's texts, or those of the fragments that it brings in.
fn reads_of(templates: &mut Templates, key: &str, node: &Node) -> Reads {
    match &node.kind {
        Kind::Map(inner) => inner.iter().fold(Reads::NONE, |all, entry| {
            all.or(reads_of(templates, &entry.key.value, &entry.value))
        }),
        Kind::List(items) => (items.iter()).fold(Reads::NONE, |all, n| all.or(reads_of(templates, key, n))),
        Kind::Scalar(s) if key == "use" => {
            let data = templates.data(&fragment(&s.text));
            data.map_or(Reads::NONE, |data| data.reads)
        }
        Kind::Scalar(s) => templates.reads(&s.text),
        Kind::Null => Reads::NONE,
    }
}

/// A rendered file.
#[derive(Clone, Default)]
pub struct Rendered {
    /// Its text.
    pub text: Text,
    /// Its keys, of a file of which only they are ours.
    pub keys: Vec<::ini::Key>,
    /// Section and name of keys that the data name and that are not to be there.
    pub absent: Vec<(String, String)>,
}

fn values(templates: &mut Templates, scope: &Scope<'_>, node: &Node) -> Vec<String> {
    node.one_or_list()
        .into_iter()
        .filter_map(|n| match &n.kind {
            Kind::Scalar(s) => Some(templates.text(scope, &s.text)),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        })
        .collect()
}

/// `use: [name]` in a section brings in a named fragment: a flat map of keys.
fn fill(templates: &mut Templates, scope: &Scope<'_>, entries: &[tree::Entry], out: &mut Section) {
    for entry in entries {
        if entry.key.value == "use" {
            for name in entry.value.one_or_list() {
                let Kind::Scalar(s) = &name.kind else { continue };
                if let Some(data) = templates.data(&fragment(&s.text)) {
                    fill(templates, scope, data.entries(), out);
                }
            }
        } else {
            let key = catalog::name_of(&entry.key.value).to_owned();
            let Some(value) = catalog::written(&entry.value) else {
                // Nobody's to set, and not written. One with `*` speaks of many.
                if !key.ends_with('*') {
                    out.insert(key, Vec::new());
                }
                continue;
            };
            let text = values(templates, scope, value);
            // An empty value leaves the key out: how a template says "not here".
            let written = text.iter().any(|t| !t.is_empty())
                || matches!(&value.kind, Kind::Scalar(s) if s.text.is_empty());
            if written {
                out.insert(key, text);
            } else {
                out.entry(key).or_default();
            }
        }
    }
}

fn set(section: &mut Section, key: &str, value: Option<&Setting>) {
    match value {
        None => {
            section.insert(key.to_owned(), Vec::new());
        }
        Some(Setting::List(items)) => {
            section.insert(key.to_owned(), items.iter().map(ToString::to_string).collect());
        }
        Some(one) => {
            section.insert(key.to_owned(), vec![one.to_string()]);
        }
    }
}

/// A line that a reader would take for another: it is not written. Of the operator's own
/// texts the reader of the cloud file has said so before.
fn unwritable(templates: &mut Templates, path: &str, name: &str, unfit: &::ini::Unfit) {
    let source = templates.source(path);
    let at = source.text.find(name).unwrap_or(0);
    let message = format!("`{name}` of `{path}` cannot be written as a line: it {unfit}");
    let finding = Diagnostic::error("catalog::template", &source, at..at + name.len(), message, "here");
    templates.push(finding.help("a value is one line, whatever its template is filled in with"));
}

/// Renders the data file at `path` of the catalogue, for the host's file `to`.
/// `shared`: the file is the operator's too.
pub fn render(
    templates: &mut Templates,
    scope: &Scope<'_>,
    path: &str,
    to: &str,
    overrides: &Overrides,
    shared: bool,
) -> Rendered {
    let Some(data) = templates.data(path) else {
        return Rendered::default();
    };
    // One file of data may be written to several places.
    let key = format!("{path}\n{to}\n{shared}");
    templates.rendered().reads(&key, || data.reads);
    if let Some(done) = templates.rendered().get(&key, scope) {
        return done;
    }
    let made = made(
        templates,
        scope,
        (path, &data),
        overrides.get(to).map(|g| &g.value.value),
        shared,
    );
    templates.rendered().keep(&key, scope, &made);
    made
}

fn made(
    templates: &mut Templates,
    scope: &Scope<'_>,
    (path, data): (&str, &Data),
    given: Option<&cloud::Sections>,
    shared: bool,
) -> Rendered {
    let (mut out, mut wanted, mut absent) = (String::new(), Vec::new(), Vec::new());
    let mut sections: IndexMap<String, Section> = IndexMap::new();
    for entry in data.entries() {
        let section = sections.entry(entry.key.value.clone()).or_default();
        if let Kind::Map(inner) = &entry.value.kind {
            fill(templates, scope, inner, section);
        }
    }
    for (name, keys) in given.into_iter().flatten() {
        let section = sections.entry(name.clone()).or_default();
        for (key, value) in &keys.value.value {
            set(section, key, value.value.value.as_ref());
        }
    }
    out.push_str(if shared {
        "# The keys below are written by quorate from its catalogue. What else is here is yours.\n"
    } else {
        "# Written by quorate from its catalogue: changes belong into the cloud file.\n"
    });
    for (name, keys) in &sections {
        let (there, gone): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, values)| !values.is_empty());
        absent.extend(gone.into_iter().map(|(key, _)| (name.clone(), key.clone())));
        // A section of which nothing is left is written all the same: some are told by their name.
        match ::ini::header(name) {
            Ok(header) => {
                out.push('\n');
                out.push_str(&header);
            }
            Err(unfit) => {
                unwritable(templates, path, name, &unfit);
                continue;
            }
        }
        for (key, values) in there {
            if shared {
                wanted.push(::ini::Key {
                    section: name.clone(),
                    name: key.clone(),
                    values: values.clone(),
                });
            }
            for value in values {
                match ::ini::line(key, value) {
                    Ok(line) => out.push_str(&line),
                    Err(unfit) => unwritable(templates, path, key, &unfit),
                }
            }
        }
    }
    Rendered {
        text: out.into(),
        keys: wanted,
        absent,
    }
}
