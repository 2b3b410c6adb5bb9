//! `upkeep`: what recurs, and where backups lie.

use super::count;
use crate::keys;
use crate::tree::{Node, Spanned, Walker};
use crate::types::Upkeep;

/// Recurring work; what is not given or wrong has its default.
pub(super) fn read(w: &mut Walker, node: Option<&Node>) -> Upkeep {
    let mut out = Upkeep::default();
    let Some(fields) = node.and_then(|n| w.keys(n, "`upkeep`", &keys::UPKEEP)) else {
        return out;
    };
    out.keys_every = count(w, &fields, "keys-every", keys::YEAR).unwrap_or(out.keys_every);
    let backup = fields.get("backup");
    if let Some(fields) = backup.and_then(|n| w.keys(n, "`backup`", &keys::BACKUP)) {
        let to = &mut out.backup;
        to.every = count(w, &fields, "every", keys::YEAR).unwrap_or(to.every);
        to.keep = count(w, &fields, "keep", 1000).unwrap_or(to.keep);
        to.to = fields.get("to").and_then(|n| place(w, n));
    }
    out
}

/// A folder, or `s3://BUCKET/PREFIX`.
fn place(w: &mut Walker, node: &Node) -> Option<Spanned<String>> {
    let text = w.text(node, "`to`")?;
    let label = match text.value.split_once("://") {
        None => return Some(text),
        Some(("s3", rest)) => {
            let bucket = rest.split('/').next().unwrap_or_default();
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            // Amazon's rules for names, which others are happy with.
            let good = (3..=63).contains(&bucket.len())
                && bucket.chars().all(inner)
                && bucket.starts_with(ends)
                && bucket.ends_with(ends);
            if good {
                return Some(text);
            }
            if bucket.is_empty() {
                "has no bucket".to_owned()
            } else {
                format!("`{bucket}` is not a bucket's name")
            }
        }
        Some((scheme, _)) => format!("`{scheme}://` is not known"),
    };
    let message = format!("backups cannot lie in `{text}`");
    let finding = w.error("backup::bad-place", &text.span, message, label);
    w.push(finding.help(
        "write a folder, or `s3://BUCKET/PREFIX` with a bucket of 3 to 63 lower-case letters, digits, dashes and dots",
    ));
    None
}
