//! INI files as the services read them: what a key holds, and some keys set in a
//! text whose other lines are somebody else's and stay byte for byte.
//!
//! The form is that of oslo.config's `iniparser.py`: a key ends at the first `=`
//! or `:`, an indented line continues the value above it, a blank line or a
//! comment ends it, `[a]` may stand several times, a key given again has one more
//! value, and but for `DEFAULT` the case of a section's name means nothing. A line is
//! made by [`header`] and [`line`] alone: what would be read back as something else is
//! not made. It decides no file's content (`render` does) and does no I/O.

mod write;

use serde::{Deserialize, Serialize};

pub use write::{Unfit, header, is_key, is_section, line};

pub mod hosts;

/// A key and all its values in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The section, without brackets; empty above the first.
    pub section: String,
    /// The key's name.
    pub name: String,
    /// Its values in the order of the text, without white space around them. Who
    /// reads one value takes the last; who reads several takes all.
    pub values: Vec<String>,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    /// `[section]`.
    Header,
    /// The first line of a key's value.
    Start(String),
    /// A further line of the value above.
    More,
    /// Blank, or a comment.
    Nothing,
    /// What no reader understands.
    Unknown,
}

#[derive(Clone, Debug)]
struct Line {
    /// As it stands, with its end.
    text: String,
    section: String,
    is: Is,
}

fn same_section(a: &str, b: &str) -> bool {
    a == b || (a != "DEFAULT" && b != "DEFAULT" && a.eq_ignore_ascii_case(b))
}

/// Where a key ends and its value begins.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(['=', ':'])?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name, value.trim()))
}

fn lines(text: &str) -> Vec<Line> {
    let (mut section, mut within) = (String::new(), false);
    let mut out = Vec::new();
    for text in text.split_inclusive('\n') {
        let line = text.trim_end();
        let is = if line.is_empty() {
            Is::Nothing
        } else if line.starts_with([' ', '\t']) {
            if within { Is::More } else { Is::Unknown }
        } else if let Some(name) = line.strip_prefix('[') {
            name.split(']')
                .next()
                .unwrap_or_default()
                .clone_into(&mut section);
            Is::Header
        } else if line.starts_with(['#', ';']) {
            Is::Nothing
        } else {
            split(line).map_or(Is::Unknown, |(name, _)| Is::Start(name.to_owned()))
        };
        within = matches!(is, Is::Start(_) | Is::More);
        out.push(Line {
            text: text.to_owned(),
            section: section.clone(),
            is,
        });
    }
    out
}

/// The keys of a text, each once, in the order in which they first stand there.
pub fn keys(text: &str) -> Vec<Key> {
    let mut out: Vec<Key> = Vec::new();
    let mut last = None;
    for line in lines(text) {
        match &line.is {
            Is::Start(name) => {
                let at = place(&out, &line.section, name).unwrap_or_else(|| {
                    out.push(Key {
                        section: line.section.clone(),
                        name: name.clone(),
                        values: Vec::new(),
                    });
                    out.len() - 1
                });
                let value = split(line.text.trim_end()).map_or("", |(_, value)| value);
                if let Some(key) = out.get_mut(at) {
                    key.values.push(value.to_owned());
                }
                last = Some(at);
            }
            Is::More => {
                let value = last
                    .and_then(|at| out.get_mut(at))
                    .and_then(|k| k.values.last_mut());
                if let Some(value) = value {
                    value.push('\n');
                    value.push_str(line.text.trim());
                }
            }
            Is::Header | Is::Nothing | Is::Unknown => {}
        }
    }
    out
}

fn place(keys: &[Key], section: &str, name: &str) -> Option<usize> {
    keys.iter()
        .position(|k| k.name == name && same_section(&k.section, section))
}

/// The values of a key in a text; none where it is not there.
pub fn values<'k>(keys: &'k [Key], section: &str, name: &str) -> &'k [String] {
    place(keys, section, name)
        .and_then(|at| keys.get(at))
        .map_or(&[], |k| k.values.as_slice())
}

/// `text` with the keys `want` set and those of `absent` (section, name) taken out.
///
/// Only lines of these keys change. One that has its values already stays as it is
/// written; another is written where it first stands, and stands there once: a second
/// place, which a reader would prefer or add, goes. A new key comes behind the last of
/// its section, a new section to the end.
pub fn merge(text: &str, want: &[Key], absent: &[(String, String)]) -> String {
    let mut lines = lines(text);
    let have = keys(text);
    for key in want {
        if values(&have, &key.section, &key.name) != key.values {
            set(&mut lines, key);
        }
    }
    for (section, name) in absent {
        take(&mut lines, section, name);
    }
    lines.into_iter().map(|l| l.text).collect()
}

/// Takes all lines of a key out; where the first was.
fn take(lines: &mut Vec<Line>, section: &str, name: &str) -> Option<usize> {
    let (mut first, mut inside, mut at) = (None, false, 0);
    lines.retain(|line| {
        inside = match &line.is {
            Is::Start(is) => is == name && same_section(&line.section, section),
            Is::More => inside,
            Is::Header | Is::Nothing | Is::Unknown => false,
        };
        if inside && first.is_none() {
            first = Some(at);
        }
        at += 1;
        !inside
    });
    first
}

fn set(lines: &mut Vec<Line>, key: &Key) {
    let written = written(key);
    let at = take(lines, &key.section, &key.name).unwrap_or_else(|| {
        let last = lines
            .iter()
            .rposition(|l| l.is != Is::Nothing && same_section(&l.section, &key.section));
        match last {
            Some(last) => last + 1,
            None if key.section.is_empty() => 0,
            None => {
                let new = |text: String, is| Line {
                    text,
                    section: key.section.clone(),
                    is,
                };
                if lines.last().is_some_and(|l| !l.text.trim().is_empty()) {
                    lines.push(new("\n".to_owned(), Is::Nothing));
                }
                lines.push(new(format!("[{}]\n", key.section), Is::Header));
                lines.len()
            }
        }
    });
    // The last line of a text may have no end.
    for line in lines.iter_mut().take(at) {
        if !line.text.ends_with('\n') {
            line.text.push('\n');
        }
    }
    lines.splice(at..at, written);
}

/// A key's lines.
fn written(key: &Key) -> Vec<Line> {
    let line = |text: String, is| Line {
        text,
        section: key.section.clone(),
        is,
    };
    let mut out = Vec::new();
    for value in &key.values {
        let mut parts = value.split('\n');
        let first = format!("{} = {}", key.name, parts.next().unwrap_or_default());
        out.push(line(
            format!("{}\n", first.trim_end()),
            Is::Start(key.name.clone()),
        ));
        out.extend(parts.map(|part| line(format!("    {part}\n"), Is::More)));
    }
    out
}
