//! Reading a tree field by field. A wrong field is a finding and `None`; the
//! reader goes on with the next. Meaning (is this an address?) is the reader's
//! own matter, only shape is judged here.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use diagnostic::{Diagnostic, Source, did_you_mean};

use crate::keys;

use super::{Entry, Kind, Node, Spanned, Value};

/// Collects the findings of one file while its tree is read.
#[derive(Debug)]
pub struct Walker {
    source: Arc<Source>,
    findings: Vec<Diagnostic>,
}

/// A map whose keys were checked.
#[derive(Clone, Debug)]
pub struct Fields<'n> {
    /// What the map is, for messages: "host `c1`".
    pub what: String,
    /// Where the map stands.
    pub span: Range<usize>,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of a key, if it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The key and its value, if there and not empty.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries
            .iter()
            .find(|e| e.key.value == key && !e.value.is_null())
    }
}

impl Walker {
    /// A walker of one source.
    pub fn new(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            findings: Vec::new(),
        }
    }

    /// The file that is read.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// An error in this file, to be completed and given to [`Walker::push`].
    pub fn error(
        &self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, &self.source, span.clone(), message, label)
    }

    /// Collects a finding.
    pub fn push(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// How many errors were collected so far.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.is_error()).count()
    }

    /// All findings, in the order they were met.
    pub fn finish(self) -> Vec<Diagnostic> {
        self.findings
    }

    /// A map of known keys. `what` names it in messages.
    ///
    /// Each other key is a `file::unknown-key`, with the nearest known one.
    pub fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: impl Into<String>,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let what = what.into();
        let entries = self.map(node, &what)?;
        for entry in entries {
            let key = entry.key.value.as_str();
            if !known.contains(&key) {
                let help = did_you_mean(key, known.iter().copied()).map_or_else(
                    || format!("known keys are {}", quoted(known.iter().copied())),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("unknown key `{key}` in {what}");
                self.push(
                    self.error("file::unknown-key", &entry.key.span, message, "not known here")
                        .help(help),
                );
            }
        }
        Some(Fields {
            what,
            span: node.span.clone(),
            entries,
        })
    }

    /// The same with the keys of the cloud file's table.
    pub(crate) fn keys<'n>(
        &mut self,
        node: &'n Node,
        what: impl Into<String>,
        known: &keys::Map,
    ) -> Option<Fields<'n>> {
        let names: Vec<&str> = known.keys.iter().map(|k| k.name).collect();
        self.fields(node, what, &names)
    }

    /// A key that must be there: its lack is a `file::missing-key`.
    pub fn require<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            let empty = fields.entries.iter().find(|e| e.key.value == key);
            let (span, label) = empty.map_or_else(
                || (fields.span.clone(), format!("`{key}` is missing here")),
                |e| (e.key.span.clone(), "has no value".to_owned()),
            );
            let message = format!("{} needs `{key}`", fields.what);
            self.push(
                self.error("file::missing-key", &span, message, label)
                    .help(format!("add `{key}: …`")),
            );
        }
        found
    }

    /// A value that is not what is wanted: `file::wrong-type`.
    pub fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} must be {wanted}");
        let label = match node.kind {
            Kind::Null => "there is nothing here".to_owned(),
            _ => format!("this is {}", node.describe()),
        };
        let finding = self.error("file::wrong-type", &node.span, message, label);
        self.push(finding.help(format!("write {wanted}")));
    }

    /// A map of free keys.
    pub fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        if let Kind::Map(entries) = &node.kind {
            return Some(entries);
        }
        self.wrong_type(node, what, "a map (`key: value`)");
        None
    }

    /// A list.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        if let Kind::List(items) = &node.kind {
            return Some(items);
        }
        self.wrong_type(node, what, "a list (`[a, b]`)");
        None
    }

    /// A text. Numbers and truth values are taken as they are written: a release
    /// `2025.1` without quotes is the release that was meant.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<Spanned<String>> {
        match &node.kind {
            Kind::Scalar(scalar) if !scalar.text.is_empty() => {
                Some(Spanned::new(scalar.text.clone(), node.span.clone()))
            }
            _ => {
                self.wrong_type(node, what, "text");
                None
            }
        }
    }

    /// A list of texts, or one.
    pub fn texts(&mut self, node: &Node, what: &str) -> Vec<Spanned<String>> {
        node.one_or_list()
            .into_iter()
            .filter_map(|n| self.text(n, what))
            .collect()
    }

    /// A whole number within a range.
    pub fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<i64>) -> Option<Spanned<i64>> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        if let Kind::Scalar(scalar) = &node.kind
            && let Value::Int(number) = scalar.value
        {
            if range.contains(&number) {
                return Some(Spanned::new(number, node.span.clone()));
            }
            let message = format!("{what} must be {wanted}");
            let finding = self.error("file::wrong-type", &node.span, message, "out of that range");
            self.push(finding.help(format!("write {wanted}")));
            return None;
        }
        self.wrong_type(node, what, &wanted);
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<Spanned<bool>> {
        if let Kind::Scalar(scalar) = &node.kind
            && let Value::Bool(value) = scalar.value
        {
            return Some(Spanned::new(value, node.span.clone()));
        }
        self.wrong_type(node, what, "`true` or `false`");
        None
    }

    /// One of a few words; another is a finding under the caller's code.
    pub fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        code: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Spanned<T>> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text.value) {
            return Some(text.map(|_| *value));
        }
        let names = || choices.iter().map(|(name, _)| *name);
        let help = did_you_mean(&text.value, names()).map_or_else(
            || format!("known are {}", quoted(names())),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("{what} cannot be `{}`", text.value);
        self.push(self.error(code, &text.span, message, "not known").help(help));
        None
    }
}

/// "`a`, `b` and `c`", for messages.
pub(crate) fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
