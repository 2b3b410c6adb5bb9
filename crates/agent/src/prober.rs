//! The prober of a session: it asks what is behind virtual addresses while
//! others change things, and tells how long each was away. It judges nothing.

use std::{collections::BTreeMap, time::Duration};

use probe::{Connection, Greeting, Handle, History, Http, Kind, Limits, Probe, Prober, Retry, View};
use tokio::sync::Mutex;
use wire::{Ask, OpError, Probed, Seen};

/// How often each is asked. It is load: some milliseconds of a processor each time.
const EVERY: Duration = Duration::from_millis(150);
/// What is not answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// A run that takes longer is not watched any more.
const LIMITS: Limits = Limits {
    duration: Duration::from_hours(2),
    requests: 500_000,
};
/// Between a thing's name and the number of its place.
const PLACE: char = '\n';

/// The prober under way, if any.
pub(crate) type Slot = Mutex<Option<Handle>>;

fn probe(index: usize, probed: &Probed) -> Result<Probe, OpError> {
    let kind = match &probed.ask {
        Ask::Http { url, ca, status } => Kind::Http(Http {
            method: "GET".to_owned(),
            url: url.clone(),
            ca_pem: Some(ca.clone()),
            headers: Vec::new(),
            body: None,
            expect_status: vec![*status],
            connection: Connection::Fresh,
            retry: Retry::Once,
        }),
        Ask::Greeting(address) => Kind::Greeting(Greeting {
            address: address
                .parse()
                .map_err(|_| OpError::new(format!("`{address}` is not an address and a port")))?,
            retry: Retry::Once,
        }),
    };
    Ok(Probe {
        name: format!("{}{PLACE}{index}", probed.name),
        every: EVERY,
        timeout: PATIENCE,
        kind,
    })
}

/// Begins; what was under way before ends unheard.
pub(crate) async fn begin(slot: &Slot, all: &[Probed]) -> Result<u32, OpError> {
    let probes: Result<Vec<Probe>, OpError> = all.iter().enumerate().map(|(i, p)| probe(i, p)).collect();
    let handle = Prober::start(probes?, LIMITS)
        .await
        .map_err(|error| OpError::new(format!("cannot watch: {error}")))?;
    *slot.lock().await = Some(handle);
    Ok(0)
}

/// Ends, and tells.
pub(crate) async fn end(slot: &Slot) -> Vec<Seen> {
    let Some(handle) = slot.lock().await.take() else {
        return Vec::new();
    };
    judge(handle.stop().await)
}

/// What stands at several places is one thing, and answers where any of them does.
fn judge(mut history: History) -> Vec<Seen> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for subject in &mut history.subjects {
        let name = subject.name.split(PLACE).next().unwrap_or_default();
        *places.entry(name.to_owned()).or_default() += 1;
    }
    for record in &mut history.records {
        record.probe = record.probe.split(PLACE).next().unwrap_or_default().into();
    }
    let every = u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
    let all = View {
        threshold: Duration::ZERO,
        ..View::default()
    };
    places
        .into_iter()
        .map(|(name, places)| {
            let longest = probe::gaps(&history, &name, &all)
                .into_iter()
                .max_by_key(probe::Gap::length_ns);
            let records = || history.of(&name);
            let mut reasons: Vec<String> = records()
                .filter_map(|r| match &r.outcome {
                    // Of several places one may be gone for good, and is not missed.
                    probe::Outcome::Failed(why) if places == 1 => Some(why.clone()),
                    _ => None,
                })
                .collect();
            let failed = u64::try_from(reasons.len()).unwrap_or(u64::MAX);
            reasons.sort();
            reasons.dedup();
            let length = longest.as_ref().map_or(0, |g| g.length_ns() / 1_000_000);
            Seen {
                ok: records()
                    .filter(|r| r.outcome.good())
                    .count()
                    .try_into()
                    .unwrap_or(u64::MAX),
                failed,
                away_ms: length.saturating_sub(every),
                at_ms: longest.map_or(0, |g| g.to_ns / 1_000_000),
                reasons,
                name,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use probe::{Ended, Label, Outcome, Record, Subject};

    use super::*;

    #[test]
    fn two_places_are_one_thing() {
        let record = |probe: &str, at_ms: u64, good: bool| Record {
            probe: probe.into(),
            seq: 1,
            start_ns: at_ms * 1_000_000,
            end_ns: at_ms * 1_000_000,
            outcome: if good {
                Outcome::Ok
            } else {
                Outcome::Failed("gone".to_owned())
            },
        };
        let subject = |name: &str| Subject {
            name: name.into(),
            kind: Label::Http,
            every_ns: 150_000_000,
            timeout_ns: 1,
        };
        let seen = judge(History {
            run: 1,
            subjects: vec![subject("a\n0"), subject("a\n1"), subject("b\n2")],
            records: vec![
                record("a\n0", 100, true),
                record("a\n1", 110, false),
                record("b\n2", 200, false),
                record("a\n0", 600, false),
                record("a\n1", 700, true),
                record("b\n2", 900, true),
            ],
            marks: Vec::new(),
            stopped_ns: 1_000_000_000,
            cpu_ns: 0,
            ended: Ended::Stopped,
        });
        let told: Vec<(&str, u64, u64, u64, u64)> = seen
            .iter()
            .map(|s| (s.name.as_str(), s.ok, s.failed, s.away_ms, s.at_ms))
            .collect();
        assert_eq!(told, [("a", 2, 0, 450, 700), ("b", 1, 1, 750, 900)]);
    }
}
