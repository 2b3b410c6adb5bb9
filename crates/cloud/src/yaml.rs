//! YAML text into a [`Node`] tree: the only file that knows the YAML crate.
//!
//! It uses the event parser under serde-saphyr rather than its serde side: serde
//! does not show the quotes of a scalar, the place of a key's end or the second
//! of two equal keys, and all three are needed in findings. It does not judge
//! content. Aliases and merge keys are replaced here, within bounds: a file of
//! a few lines must not grow into gigabytes ("billion laughs").

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::tree::{Entry, Kind, Node, Scalar, Spanned, Value, Walker};

/// Deepest nesting. Operators' files need eight; recursion over the tree stays
/// far from the end of any stack.
const DEPTH: usize = 64;

/// Most nodes after aliases are replaced: a thousand hosts need twenty thousand.
const NODES: usize = 500_000;

/// An open list or map.
struct Frame {
    start: usize,
    anchor: usize,
    depth: usize,
    nodes: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key> },
}

/// A key that waits for its value. `None` is one that is not a word.
struct Key(Option<Spanned<String>>, bool);

/// A finished node with what its copies would cost.
#[derive(Clone)]
struct Built {
    node: Node,
    depth: usize,
    nodes: usize,
    plain: bool,
}

struct Builder<'w> {
    walker: &'w mut Walker,
    text: String,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    root: Option<Node>,
    nodes: usize,
}

/// Why the rest of the file is not read.
struct Stop;

/// See [`crate::tree::load`].
pub(crate) fn load(walker: &mut Walker) -> Option<Node> {
    let text = walker.source().text.clone();
    let mut builder = Builder {
        walker,
        text: text.clone(),
        frames: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        nodes: 0,
    };
    for item in Parser::new_from_str(&text) {
        let step = match item {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                Err(builder.stop(at..at, &error.info()))
            }
        };
        if step.is_err() {
            return None;
        }
    }
    Some(builder.root.take().unwrap_or(Node {
        span: 0..0,
        kind: Kind::Null,
    }))
}

impl Builder<'_> {
    fn stop(&mut self, span: Range<usize>, why: &str) -> Stop {
        let label = why.trim().to_owned();
        let finding = self
            .walker
            .error("yaml::syntax", &span, "cannot read this as YAML", label);
        self.walker
            .push(finding.help("nothing after this place was checked"));
        Stop
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let range = span.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.stop(range, "a second document starts here; the file must hold one"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = self.tag(tag.as_deref(), span, &range);
                let plain = style == ScalarStyle::Plain;
                let kind = if plain && !as_text {
                    resolve(&text)
                } else {
                    Kind::Scalar(words(&text))
                };
                let node = Node {
                    span: self.first_line(range),
                    kind,
                };
                self.finish(
                    Built {
                        node,
                        depth: 1,
                        nodes: 1,
                        plain,
                    },
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span, &range);
                self.open(range, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span, &range);
                self.open(
                    range,
                    anchor,
                    Content::Map {
                        entries: Vec::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&range),
            Event::Alias(id) => {
                let Some(mut built) = self.anchors.get(&id).cloned() else {
                    return Err(self.stop(range, "an alias of a value that is not finished yet"));
                };
                built.node.span = range;
                self.finish(built, 0)
            }
            _ => Ok(()),
        }
    }

    /// Judges a tag; true for `!!str`.
    fn tag(&mut self, tag: Option<&Tag>, span: &Span, range: &Range<usize>) -> bool {
        let Some(tag) = tag else { return false };
        if tag.core_suffix().is_none() {
            let at = span
                .tag_span()
                .and_then(|s| s.byte_range())
                .unwrap_or_else(|| range.clone());
            let message = format!("the tag `{}` has no meaning here", tag.original());
            let finding = self.walker.error("yaml::tag", &at, message, "a YAML tag");
            self.walker
                .push(finding.help("remove it, or put the text in quotes"));
        }
        tag.is_yaml_core_schema_tag("str")
    }

    fn open(&mut self, range: Range<usize>, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.frames.len() >= DEPTH {
            return Err(self.stop(range, "nested too deeply"));
        }
        self.frames.push(Frame {
            start: range.start,
            anchor,
            depth: 1,
            nodes: 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: &Range<usize>) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let span = self.first_line(frame.start..end.end);
        let kind = match frame.content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(self.settle(entries)),
        };
        let built = Built {
            node: Node { span, kind },
            depth: frame.depth,
            nodes: frame.nodes,
            plain: false,
        };
        self.finish(built, frame.anchor)
    }

    /// Hands a finished node to what is open around it.
    fn finish(&mut self, built: Built, anchor: usize) -> Result<(), Stop> {
        self.nodes += built.nodes;
        if self.nodes > NODES || self.frames.len() + built.depth > DEPTH {
            return Err(self.stop(built.node.span, "aliases make the file grow beyond all measure"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(built.node);
            return Ok(());
        };
        frame.depth = frame.depth.max(built.depth + 1);
        frame.nodes += built.nodes;
        match &mut frame.content {
            Content::List(items) => items.push(built.node),
            Content::Map { entries, key } => match key.take() {
                None => {
                    let span = built.node.span.clone();
                    let word = match built.node.kind {
                        Kind::Scalar(scalar) => Some(Spanned::new(scalar.text, span.clone())),
                        _ => None,
                    };
                    if word.is_none() {
                        let finding =
                            self.walker
                                .error("file::wrong-type", &span, "a key must be a word", "a key");
                        self.walker
                            .push(finding.help("put a text with braces or brackets in quotes"));
                    }
                    *key = Some(Key(word, built.plain));
                }
                Some(Key(None, _)) => {}
                Some(Key(Some(word), plain)) => {
                    // A merge is marked by an empty key: the empty word cannot be written plain.
                    let merge = plain && word.value == "<<";
                    let key = if merge {
                        Spanned::new(String::new(), word.span)
                    } else {
                        word
                    };
                    entries.push(Entry {
                        key,
                        value: built.node,
                    });
                }
            },
        }
        Ok(())
    }

    /// Replaces merges and finds equal keys.
    fn settle(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut own: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut first: HashMap<String, Range<usize>> = HashMap::with_capacity(entries.len());
        let mut merges = Vec::new();
        for entry in entries {
            if entry.key.value.is_empty() && self.slice(&entry.key.span) == "<<" {
                merges.push(entry.value);
            } else if let Some(before) = first.get(&entry.key.value) {
                let message = format!("the key `{}` is given twice", entry.key.value);
                let finding = self.walker.error(
                    "yaml::duplicate-key",
                    &entry.key.span,
                    message,
                    "given again here",
                );
                let help = "YAML readers would keep one of them silently: remove the other";
                self.walker
                    .push(finding.also(before.clone(), "first given here").help(help));
            } else {
                first.insert(entry.key.value.clone(), entry.key.span.clone());
                own.push(entry);
            }
        }
        for merge in merges {
            for source in merge.one_or_list() {
                let Kind::Map(inherited) = &source.kind else {
                    self.walker
                        .wrong_type(source, "what `<<` merges", "a map or a list of maps");
                    continue;
                };
                for entry in inherited {
                    if !first.contains_key(&entry.key.value) {
                        first.insert(entry.key.value.clone(), entry.key.span.clone());
                        own.push(entry.clone());
                    }
                }
            }
        }
        own
    }

    fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The span up to the end of its first line, without trailing blanks.
    fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let line = self.slice(&span).lines().next().unwrap_or_default().trim_end();
        span.start..span.start + line.len()
    }
}

fn words(text: &str) -> Scalar {
    Scalar {
        text: text.to_owned(),
        value: Value::Text,
    }
}

/// YAML 1.2's core schema for a plain scalar.
fn resolve(text: &str) -> Kind {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => integer(text)
            .map(Value::Int)
            .or_else(|| float(text).map(Value::Float))
            .unwrap_or(Value::Text),
    };
    Kind::Scalar(Scalar {
        text: text.to_owned(),
        value,
    })
}

fn integer(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16)
            .ok()
            .filter(|_| !hex.starts_with(['+', '-']));
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8)
            .ok()
            .filter(|_| !octal.starts_with(['+', '-']));
    }
    text.parse().ok()
}

fn float(text: &str) -> Option<f64> {
    // Rust also reads `inf`, `nan` and `infinity`, which are words in YAML.
    let starts = text
        .trim_start_matches(['+', '-'])
        .starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| starts)
}
