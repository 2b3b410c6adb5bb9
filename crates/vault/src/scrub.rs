//! Takes secrets out of text that leaves the operator's hands. Not for what is
//! sent to hosts.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::ExposeSecret as _;

use crate::{Error, Vault};

/// What stands where a secret was.
pub const HIDDEN: &str = "‹secret›";
/// Shorter ones would be found in half the words of a log.
const LEAST: usize = 4;
/// Of a value of several lines (a key, a certificate) each line of this length is
/// found by itself: a log may have wrapped or cut it.
const LEAST_LINE: usize = 16;

/// Finds secrets in every form that a log may give them.
#[derive(Debug)]
pub struct Scrubber(AhoCorasick);

/// Text inside another text in base64, where it begins at the `offset`th byte of
/// a group of three: the characters that follow from it alone.
fn within_base64(engine: &base64::engine::GeneralPurpose, value: &[u8], offset: usize) -> String {
    let shifted = [vec![0; offset].as_slice(), value].concat();
    let all = engine.encode(&shifted);
    let (from, to) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
    all.get(from..to).unwrap_or_default().to_owned()
}

/// Percent-encoding of all that is no letter or digit, with the digits of `hex`.
fn percent(value: &str, kept: &str, upper: bool) -> String {
    value
        .bytes()
        .map(|b| match char::from(b) {
            c if c.is_ascii_alphanumeric() || kept.contains(c) => c.to_string(),
            _ if upper => format!("%{b:02X}"),
            _ => format!("%{b:02x}"),
        })
        .collect()
}

/// A value as itself, and as others write it.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::Value::from(value).to_string();
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut out = vec![
        value.to_owned(),
        json.trim_matches('"').to_owned(),
        xml.replace('"', "&quot;"),
        xml,
    ];
    for upper in [true, false] {
        // What libraries leave as it is differs.
        for kept in ["", "-._~", "-._~/", "-._~:/=+@"] {
            out.push(percent(value, kept, upper));
        }
    }
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        out.extend((0..3).map(|offset| within_base64(engine, value.as_bytes(), offset)));
    }
    out
}

impl Scrubber {
    /// Finds these values.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut all: Vec<String> = Vec::new();
        for value in values {
            let value = value.trim();
            if value.len() < LEAST {
                continue;
            }
            all.extend(forms(value));
            if value.contains('\n') {
                let lines = value.lines().map(str::trim);
                let lines = lines.filter(|l| l.len() >= LEAST_LINE && !l.starts_with("-----"));
                lines.for_each(|line| all.extend(forms(line)));
            }
        }
        all.retain(|form| form.len() >= LEAST);
        all.sort();
        all.dedup();
        // The longest first: a form may be the beginning of another.
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&all)
            .map(Self)
            .map_err(|e| Error::Io(std::io::Error::other(e)))
    }

    /// The text without them.
    pub fn scrub(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        self.0.replace_all_with_bytes(text, &mut out, |_, _, out| {
            out.extend_from_slice(HIDDEN.as_bytes());
            true
        });
        out
    }
}

impl Vault {
    /// Finds every value of this vault, and `more` that are known to be secret.
    pub fn scrubber(&self, more: &[String]) -> Result<Scrubber, Error> {
        let own = self.entries.values().map(|e| e.value.expose_secret());
        Scrubber::new(own.chain(more.iter().map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[track_caller]
    fn check(secret: &str, text: &str, expect: &str) {
        let found = Scrubber::new([secret]).unwrap().scrub(text.as_bytes());
        assert_eq!(String::from_utf8(found).unwrap(), expect, "{secret} in {text}");
    }

    #[test]
    fn as_it_is_and_as_others_write_it() {
        check("hunter22", "password=hunter22;", "password=‹secret›;");
        check("a\"b<c&d", r#"{"p":"a\"b<c&d"}"#, r#"{"p":"‹secret›"}"#);
        check(
            "a\"b<c&d",
            "<x y=\"a&quot;b&lt;c&amp;d\"/>",
            "<x y=\"‹secret›\"/>",
        );
        check("k+/=:@ x", "GET /?q=k%2B%2F%3D%3A%40%20x", "GET /?q=‹secret›");
        check("k+/=:@ x", "GET /?q=k%2b%2f%3d%3a%40%20x", "GET /?q=‹secret›");
        check("abc", "abc is too short to be one", "abc is too short to be one");
    }

    #[test]
    fn in_base64_wherever_it_begins() {
        let secret = "correct horse battery";
        for before in ["", "u", "us", "use", "user", "user:", "someone:"] {
            for after in ["", "!", "!!", "!!!"] {
                let text = STANDARD.encode(format!("{before}{secret}{after}"));
                let found = Scrubber::new([secret]).unwrap().scrub(text.as_bytes());
                let found = String::from_utf8(found).unwrap();
                assert!(found.contains(HIDDEN), "{before} {after}: {found}");
                // What is left of it is what its neighbours share a character with.
                assert!(found.replace(HIDDEN, "").len() <= before.len() * 2 + after.len() * 2 + 4);
            }
        }
    }

    #[test]
    fn keys_of_several_lines_also_line_by_line() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nshort\n-----END KEY-----\n";
        check(key, "got MIIEvQIBADANBgkqhkiG9w0B here", "got ‹secret› here");
        check(key, &format!("x{}y", key.trim()), "x‹secret›y");
    }
}
