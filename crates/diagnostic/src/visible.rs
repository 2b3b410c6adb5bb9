//! Text of others as a terminal may show it: control characters become visible.
//!
//! A finding quotes the operator's file, an error quotes a host's output, and both may
//! hold an escape sequence that renames the window, hides lines or answers for the
//! keyboard. Not for what is written to a file.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A character that moves, hides or reorders text instead of being shown: the control
/// sets C0 and C1, DEL, the separators of lines and paragraphs, and the marks that turn
/// the direction of writing.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with each control character but tab and newline written as `\u001b`, which
/// inside a string of JSON stands for the same character.
pub fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| is_control(c) && c != '\n' && c != '\t';
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) {
            // A String never refuses to be written to.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The same in as many bytes, so that spans of the text still point at what they did.
/// A carriage return before a newline stays: it is the line's end.
pub(crate) fn same_length(text: &str) -> Option<String> {
    let hidden = |c: char| is_control(c) && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(hidden) {
        return None;
    }
    let shown = text.chars().map(|c| match (hidden(c), c.len_utf8()) {
        (true, 1) => '?',
        (true, 2) => '\u{b7}',
        (true, _) => '\u{fffd}',
        (false, _) => c,
    });
    Some(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_is_left_but_tab_and_newline() {
        let all: String = (0..=0xff_u32)
            .chain(0x2020..0x2070)
            .filter_map(char::from_u32)
            .collect();
        let shown = visible(&all);
        let left: Vec<char> = shown.chars().filter(|c| is_control(*c)).collect();
        assert_eq!(left, ['\t', '\n']);
        assert_eq!(visible("a\u{1b}]0;x\u{7}"), "a\\u001b]0;x\\u0007");
        assert_eq!(visible("grün\tund\n gut"), "grün\tund\n gut");
    }

    #[test]
    fn places_stay_where_they_are() {
        let text = "a\u{1b}b\u{9b}c\u{202e}d";
        let shown = same_length(text).unwrap_or_default();
        assert_eq!(shown, "a?b\u{b7}c\u{fffd}d");
        assert_eq!(shown.len(), text.len());
        assert_eq!(same_length("a\r\nb"), None);
    }
}
