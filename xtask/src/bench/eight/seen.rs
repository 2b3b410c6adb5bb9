//! What a run of `apply` saw of those who answer, out of what it keeps of it: requests
//! that its prober sent while it changed things. Not what was foretold of that: `truth`.

use serde_json::Value;

/// What a run saw of one thing behind an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is behind the address.
    pub resource: String,
    /// Good answers.
    pub ok: u64,
    /// Requests that failed, one retry of the connection included.
    pub failed: u64,
    /// The longest time without a good answer.
    longest_ms: u64,
    reasons: String,
}

impl Asked {
    /// For people.
    pub fn tell(&self) -> String {
        format!(
            "{:<20} {:>6} answered {:>6} failed, longest without an answer {} ms {}",
            self.resource, self.ok, self.failed, self.longest_ms, self.reasons
        )
    }
}

/// Out of the `outage.json` of a run; what is no such row is left out.
pub fn asked(text: &str) -> Vec<Asked> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    all.iter()
        .filter_map(|one| {
            let number = |key: &str| one.get(key).and_then(Value::as_u64);
            let reasons = one.get("reasons").and_then(Value::as_array)?;
            Some(Asked {
                resource: one.get("resource")?.as_str()?.to_owned(),
                ok: number("ok")?,
                failed: number("failed")?,
                longest_ms: number("measured_ms")?,
                reasons: reasons
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read() {
        let text = r#"[{"service":"nova","resource":"nova-api","usual_ms":0,"worst_ms":500,"why":[],
            "measured_ms":12,"ok":340,"failed":1,"reasons":["refused"]},{"resource":"half"}]"#;
        let expect = Asked {
            resource: "nova-api".to_owned(),
            ok: 340,
            failed: 1,
            longest_ms: 12,
            reasons: "refused".to_owned(),
        };
        assert_eq!(asked(text), [expect]);
        assert_eq!(asked("not"), []);
    }
}
