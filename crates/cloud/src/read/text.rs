//! Characters that no text of the file may hold, and how much of it there may be.
//!
//! Values end up in files of lines, in programs and on a fence agent's input, where a
//! line more is a key, a statement or an option more. So no text has a control character,
//! wherever it stands: that is one finding here, and no file has to be asked about it.

use std::ops::Range;

use diagnostic::{Diagnostic, Source, is_control};

use crate::tree::{Kind, Node, Walker};

/// Bytes of the largest cloud file that is read: 3,000 hosts, each with its own `power`,
/// take 1 MB.
pub const FILE_MOST: usize = 4 << 20;

/// Bytes of the largest text. Lists of addresses in one value are long; a value that is
/// written to every host is written a thousand times.
const TEXT_MOST: usize = 16 << 10;

/// The finding for a file that is not read at all. It shows nothing of it.
pub fn too_large(name: &str) -> Diagnostic {
    let label = "not read";
    let message = format!("`{name}` is larger than {} MiB", FILE_MOST >> 20);
    Diagnostic::error("file::too-large", &Source::new(name, ""), 0..0, message, label)
        .help("a cloud of 3,000 hosts takes 1 MiB: is this the cloud file?")
}

/// Judges every key and every text below a node.
pub(super) fn check(w: &mut Walker, root: &Node) {
    let mut said: Vec<Range<usize>> = Vec::new();
    walk(w, root, &mut said);
}

fn walk(w: &mut Walker, node: &Node, said: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar(scalar) => text(w, &scalar.text, &node.span, said),
        Kind::List(items) => {
            for item in items {
                walk(w, item, said);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                text(w, &entry.key.value, &entry.key.span, said);
                walk(w, &entry.value, said);
            }
        }
    }
}

fn text(w: &mut Walker, text: &str, span: &Range<usize>, said: &mut Vec<Range<usize>>) {
    let control = text.chars().find(|c| is_control(*c) || MARKS.contains(c));
    let large = text.len() > TEXT_MOST;
    if (control.is_none() && !large) || said.contains(span) {
        return; // what an alias repeats is said once
    }
    said.push(span.clone());
    if large {
        let message = format!(
            "a text of {} KiB; {} are the most",
            text.len() >> 10,
            TEXT_MOST >> 10
        );
        let finding = w.error("file::too-large", span, message, "this one");
        w.push(finding.help("it would stand in a file on every host: keep it in a file of its own there"));
    }
    let Some(control) = control else { return };
    let (label, help) = match control {
        '\n' | '\r' => (
            "more than one line".to_owned(),
            "write it on one line: `>-` instead of `|` or `>` folds lines into one",
        ),
        c if MARKS.contains(&c) => (
            format!("`{c}` is quorate's mark for a secret"),
            "leave it out: a secret is named by `{ secret: NAME }`, in `power` alone",
        ),
        c => (
            format!("holds the character U+{:04X}", u32::from(c)),
            "leave it out: no file of a service takes it",
        ),
    };
    let message = "a text holds a control character";
    let finding = w.error("file::control-character", span, message, label);
    w.push(finding.help(help));
}

/// The brackets between which files name a secret until it is filled in.
const MARKS: [char; 2] = ['\u{27e6}', '\u{27e7}'];
