//! The diff of a file that holds secrets: its text never leaves the host, and
//! what a line was cannot be told; which lines go and what comes can.

use std::fmt::Write as _;

use similar::{Algorithm, ChangeTag, capture_diff_slices};

use crate::{Change, Digest};

/// A wanted line as it may be shown.
pub(crate) fn shown(line: &str) -> String {
    let mut parts = line.split('\u{27e6}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        let rest = part.split_once('\u{27e7}').map_or("", |(_, rest)| rest);
        format!("{out}‹secret›{rest}")
    })
}

/// Said where nothing more can be.
const CHANGED: &str = "‹secret› changed";

impl Change {
    /// Whether nothing but secrets is otherwise: as many lines go as come, and there is
    /// a secret in each that comes.
    pub fn is_of_secrets_alone(&self) -> bool {
        let lines = |sign: char| self.diff.lines().filter(move |l| l.starts_with(sign));
        self.diff == CHANGED
            || (lines('+').count() > 0
                && lines('+').count() == lines('-').count()
                && lines('+').all(|line| line.contains("‹secret›")))
    }
}

/// What changes of a file whose lines are known by their digests. Where nothing but
/// secrets is in it, or nothing but a secret is another, it says no more than that.
pub(crate) fn of_secrets(want: &[u8], have: &[String], digest: Digest<'_>) -> String {
    let only = CHANGED.to_owned();
    let Ok(want) = std::str::from_utf8(want) else {
        return only;
    };
    let lines: Vec<&str> = want.lines().collect();
    let plain = |line: &&&str| !line.trim().is_empty() && shown(line) != "‹secret›";
    if have.is_empty() || !lines.iter().any(|l| plain(&l)) {
        return only;
    }
    let wanted: Vec<String> = lines.iter().map(|l| digest(l.as_bytes())).collect();
    let mut out = String::new();
    for op in capture_diff_slices(Algorithm::Myers, have, &wanted) {
        for change in op.iter_changes(have, &wanted) {
            let _ = match change.tag() {
                ChangeTag::Equal => Ok(()),
                ChangeTag::Delete => writeln!(out, "-‹a line that is not shown›"),
                ChangeTag::Insert => {
                    let line = change
                        .new_index()
                        .and_then(|i| lines.get(i))
                        .copied()
                        .unwrap_or_default();
                    writeln!(out, "+{}", shown(line))
                }
            };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_and_secrets_are_not() {
        let digest = |content: &[u8]| String::from_utf8_lossy(content).replace("⟦secret:a/b⟧", "hush");
        let check = |want: &str, have: &str, expect: &str| {
            let have: Vec<String> = have.lines().map(|l| digest(l.as_bytes())).collect();
            assert_eq!(of_secrets(want.as_bytes(), &have, &digest), expect);
        };
        let file = "[a]\nkey = 1\npassword = ⟦secret:a/b⟧!\n";
        check(
            file,
            "[a]\nkey = 2\npassword = hush!\n",
            "-‹a line that is not shown›\n+key = 1\n",
        );
        check(
            file,
            "[a]\nkey = 1\npassword = other!\n",
            "-‹a line that is not shown›\n+password = ‹secret›!\n",
        );
        check(file, "", CHANGED);
        check("⟦secret:a/b⟧\n", "x\n", CHANGED);
    }

    #[test]
    fn what_is_of_secrets_alone_is_known() {
        let check = |diff: &str, expect: bool| {
            let change = Change {
                what: String::new(),
                glyph: '~',
                diff: diff.to_owned(),
            };
            assert_eq!(change.is_of_secrets_alone(), expect, "{diff}");
        };
        check(CHANGED, true);
        check("-‹a line that is not shown›\n+password = ‹secret›\n", true);
        check("-‹a line that is not shown›\n+key = 1\n", false);
        check("+password = ‹secret›\n", false);
        check("-‹a line that is not shown›\n", false);
        check("root:root 644 → root:keystone 640", false);
        check("", false);
    }
}
