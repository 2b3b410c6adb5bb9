//! Times as operators say them.

use jiff::{SignedDuration, Timestamp};

/// A moment: RFC 3339, or how long before `now` (`90s`, `2h`, `1h30m`, `3d`).
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let days = text
        .trim_end_matches(" days")
        .trim_end_matches(" day")
        .trim_end_matches('d');
    let ago = match days.parse::<i64>() {
        Ok(days) if days.to_string() != text => {
            now.checked_sub(SignedDuration::from_secs(days.saturating_mul(86_400)))
        }
        _ => match text.parse::<SignedDuration>() {
            Ok(ago) if ago.is_positive() => now.checked_sub(ago),
            _ => return Err("say `2h`, `3d`, or a time such as 2026-11-21T16:00:00Z".to_owned()),
        },
    };
    ago.map_err(|_| "that is before all time".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn ago_and_at() {
        let now: Timestamp = "2026-11-21T16:00:00Z".parse().unwrap();
        for (text, expect) in [
            ("2h", "2026-11-21T14:00:00Z"),
            ("1h30m", "2026-11-21T14:30:00Z"),
            ("90s", "2026-11-21T15:58:30Z"),
            ("3d", "2026-11-18T16:00:00Z"),
            ("2 days", "2026-11-19T16:00:00Z"),
            ("2026-11-01T00:00:00+01:00", "2026-10-31T23:00:00Z"),
        ] {
            assert_eq!(moment(text, now).unwrap().to_string(), expect, "{text}");
        }
        for text in ["", "2", "yesterday", "-2h", "99999999999d"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
