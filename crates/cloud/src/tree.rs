//! A YAML file as a tree in which every key and every value knows its place,
//! and a walker that reads such a tree into types while collecting findings.
//!
//! It is for files that people write: the cloud file here, `service.yaml` in the
//! catalogue. It is not a general YAML value: there are no tags, aliases and
//! merge keys (`<<`) are already replaced, and a key is always a word.
//!
//! Why not serde's derive: it stops at the first mistake, and we say everything
//! at once. Reading a tree by hand costs a line a field and never stops.
//!
//! ```
//! use cloud::tree::{self, Walker};
//! use diagnostic::Source;
//!
//! let source = Source::new("service.yaml", "name: shop\nports: [8776]\nreplicas: many\n");
//! let mut walker = Walker::new(&source);
//! let Some(root) = tree::load(&mut walker) else { return }; // a syntax error, already collected
//! // Unknown keys are findings here, with a did-you-mean.
//! if let Some(fields) = walker.fields(&root, "the service", &["name", "ports", "summary"]) {
//!     let name = walker.require(&fields, "name").and_then(|n| walker.text(n, "`name`"));
//!     assert_eq!(name.map(|n| n.value), Some("shop".to_owned()));
//!     for node in fields.get("ports").map(|n| n.one_or_list()).unwrap_or_default() {
//!         assert_eq!(walker.integer(node, "a port", 1..=65535).map(|p| p.value), Some(8776));
//!     }
//! }
//! let findings = walker.finish();
//! assert_eq!(findings.len(), 1);
//! assert_eq!(findings[0].code, "file::unknown-key"); // `replicas`
//! ```
//!
//! Codes that this module may give: `yaml::syntax`, `yaml::duplicate-key`,
//! `yaml::tag`, `file::unknown-key`, `file::wrong-type`, `file::missing-key`.

mod walk;

use std::fmt;
use std::ops::{Deref, Range};

use serde::{Serialize, Serializer};

pub(crate) use walk::quoted;
pub use walk::{Fields, Walker};

/// Reads the walker's source into a tree.
///
/// Duplicate keys are findings and the first of them is kept; only a syntax
/// error gives `None`. An empty file is a null node.
pub fn load(walker: &mut Walker) -> Option<Node> {
    crate::yaml::load(walker)
}

/// A value and the bytes of the source to point at when speaking of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Bytes in the source's text.
    pub span: Range<usize>,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned {
            value: f(self.value),
            span: self.span,
        }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Templates want the value; the place is for findings.
impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// A value in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where to point: the whole value if it stands on one line, else its first line.
    pub span: Range<usize>,
    /// What stands there.
    pub kind: Kind,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// A word, number or truth value.
    Scalar(Scalar),
    /// `[a, b]` or lines with a dash.
    List(Vec<Node>),
    /// `{a: b}` or lines with a colon, in the file's order, each key once.
    Map(Vec<Entry>),
}

/// A scalar as written and as YAML 1.2 understands it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// The text after quotes and escapes: `2025.10` stays `2025.10`.
    pub text: String,
    /// What the core schema makes of it. Quoted is always [`Value::Text`].
    pub value: Value,
}

/// The types of the core schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`. `yes` and `on` are text: YAML 1.1 is not understood.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// The rest.
    Text,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as written.
    pub key: Spanned<String>,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// The items of a list, or the node alone: for keys that take one or several.
    pub fn one_or_list(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Null => Vec::new(),
            Kind::Scalar(_) | Kind::Map(_) => vec![self],
        }
    }

    /// The value under a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key.value == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// What this is, with its article, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar(scalar) => match scalar.value {
                Value::Bool(_) => "true or false",
                Value::Int(_) | Value::Float(_) => "a number",
                Value::Text => "text",
            },
        }
    }
}
