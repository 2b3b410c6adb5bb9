//! Texts as hosts have them: with their secrets filled in, and digested.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use render::Desired;

/// Stands in every value that is a secret, and nowhere else.
pub const MARK: &str = "s3cr3t";
/// The key of digests.
pub const KEY: [u8; 32] = [7; 32];

/// A text with each secret filled in.
pub fn filled(text: &str) -> String {
    let mut parts = text.split('\u{27e6}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('\u{27e7}').unwrap_or((part, ""));
        out.push_str(MARK);
        out.push('.');
        out.extend(name.chars().map(|c| if matches!(c, ':' | '/') { '.' } else { c }));
        out.push_str(rest);
    }
    out
}

/// The digest of a content with its secrets filled in, as the caller of the planner gives it.
pub fn digest(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.contains('\u{27e6}') => wire::digest(&KEY, filled(text).as_bytes()),
        _ => wire::digest(&KEY, content),
    }
}

/// The desired state as the planner is given it: texts that tell a host's cloud are filled in.
pub fn known_by(mut desired: Desired) -> Desired {
    for file in desired.hosts.values_mut().flat_map(|h| &mut h.files) {
        file.identity = filled(&file.identity);
    }
    desired
}

/// Bytes as a host tells them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
