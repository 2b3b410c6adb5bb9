//! Fields of foreign JSON as facts. Not for what a field means.
//!
//! A key that is missing is unknown, since answers of an unreachable cell lack keys; a
//! null is absent; a value of another kind is unknown.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;
use wire::Fact;

use crate::{Error, Result};

/// Value under a key as `read` takes it.
fn field<'a, T>(of: &'a Value, key: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Fact<T> {
    match of.get(key) {
        None => Fact::Unknown(format!("no `{key}` in the answer")),
        Some(Value::Null) => Fact::Absent,
        Some(value) => read(value).map_or_else(
            || Fact::Unknown(format!("`{key}` is not understood")),
            Fact::Known,
        ),
    }
}

/// A text; an empty one is absent.
pub(crate) fn text(of: &Value, key: &str) -> Fact<String> {
    match field(of, key, Value::as_str) {
        Fact::Known("") => Fact::Absent,
        other => other.map(str::to_owned),
    }
}

/// A whole number, not negative.
pub(crate) fn number(of: &Value, key: &str) -> Fact<u64> {
    field(of, key, Value::as_u64)
}

/// A truth value.
pub(crate) fn switch(of: &Value, key: &str) -> Fact<bool> {
    field(of, key, Value::as_bool)
}

/// A moment, in any of the forms that the APIs write; without a zone it is UTC.
pub(crate) fn time(of: &Value, key: &str) -> Fact<Timestamp> {
    field(of, key, |value| timestamp(value.as_str()?))
}

/// Texts of a list.
pub(crate) fn texts(of: &Value, key: &str) -> Fact<Vec<String>> {
    field(of, key, |value| {
        let words = value.as_array()?.iter().map(|v| v.as_str().map(str::to_owned));
        words.collect()
    })
}

/// A map of texts; a value of another kind is written as JSON.
pub(crate) fn pairs(of: &Value, key: &str) -> Fact<BTreeMap<String, String>> {
    field(of, key, |value| {
        let pairs = value.as_object()?.iter();
        let pair = |(key, value): (&String, &Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), text)
        };
        Some(pairs.map(pair).collect())
    })
}

/// A text without which the item cannot be named.
pub(crate) fn needed(of: &Value, key: &str) -> Result<String> {
    match text(of, key) {
        Fact::Known(text) => Ok(text),
        Fact::Absent => Err(Error::Unknown(format!("`{key}` is empty in the answer"))),
        Fact::Unknown(why) => Err(Error::Unknown(why)),
    }
}

/// Items of a list without which the answer means nothing.
pub(crate) fn items<'a>(of: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    of.get(key)
        .and_then(Value::as_array)
        .ok_or_else(|| Error::Unknown(format!("no list `{key}` in the answer")))
}

/// The moment that a text names.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_not_a_null() {
        let of: Value = serde_json::from_str(r#"{"null": null, "empty": "", "word": "w", "n": -1}"#).unwrap();
        let check = |key: &str, expect: &str| assert_eq!(format!("{:?}", text(&of, key)), expect, "{key}");
        check("none", "Unknown(\"no `none` in the answer\")");
        check("null", "Absent");
        check("empty", "Absent");
        check("word", "Known(\"w\")");
        check("n", "Unknown(\"`n` is not understood\")");
        assert_eq!(
            number(&of, "n"),
            Fact::Unknown("`n` is not understood".to_owned())
        );
    }

    #[test]
    fn moments_in_all_forms_of_the_apis() {
        let check = |text: &str, expect: Option<&str>| {
            let found = timestamp(text).map(|t| t.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        };
        check("2016-06-23T14:42:02.000000", Some("2016-06-23T14:42:02Z"));
        check("2013-09-03T04:01:32Z", Some("2013-09-03T04:01:32Z"));
        check("2025-04-02T10:00:00.250000Z", Some("2025-04-02T10:00:00.25Z"));
        check("2025-04-02 10:00:00", Some("2025-04-02T10:00:00Z"));
        check("yesterday", None);
    }
}
