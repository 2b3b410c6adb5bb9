//! Journeys walked: a user's requests, one after the other, and what came of them.
//!
//! It knows no service: everything that is asked is data. What a walk made it takes back
//! at its end, last first, whether it succeeded or not; what an answer that never came
//! may have made is not known and stays, under a name that ends in the walk's.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use indexmap::IndexMap;
use reqwest::{Certificate, Client, Method, header::CONTENT_TYPE};
use serde_json::Value;
use wire::{Journey, JourneyKind, JourneyRequest, Walked};

use crate::{
    error::{root, short},
    http::trusting,
};

/// An answer that takes longer is none. Above the time after which a request to a
/// program behind a broker that lost a member is given up by the services themselves
/// and answered; see `catalog/fragments`.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two requests of one that is asked until it is as expected.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest body that is read, in bytes.
const BODY_MAX: usize = 4 << 20;

/// What was kept, by name.
type Kept = IndexMap<String, String>;

/// Who walks journeys: keeps the sessions that they are walked in.
#[derive(Default)]
pub struct Traveller {
    sessions: Vec<(Vec<JourneyRequest>, Kept)>,
}

impl Traveller {
    /// Walks journeys and tells of each, in their order: one after the other, or all at the
    /// same time where every one only reads.
    pub async fn walk_all(&mut self, journeys: &[Journey]) -> Vec<Walked> {
        let mut walked = Vec::new();
        // A thing that one makes may be in the way of another.
        if journeys.iter().any(|j| j.kind != JourneyKind::Read) {
            for journey in journeys {
                walked.push(self.walk(journey).await);
            }
            return walked;
        }
        // Those of one session together: a session that could not be begun fails them all.
        let mut groups: Vec<Vec<(usize, &Journey)>> = Vec::new();
        for (at, journey) in journeys.iter().enumerate() {
            let alike = |group: &[(usize, &Journey)]| {
                let first = group.first();
                first.is_some_and(|(_, of)| (&of.session, &of.ca) == (&journey.session, &journey.ca))
            };
            match groups.iter_mut().find(|g| alike(g)) {
                Some(group) => group.push((at, journey)),
                None => groups.push(vec![(at, journey)]),
            }
        }
        let walks = groups.iter().filter_map(|group| {
            let (_, first) = group.first()?;
            let kept = self.known(&first.session);
            Some(async move {
                let begun = begin(first, kept).await;
                let walks = group.iter().map(|(_, journey)| walk(journey, &begun));
                let walked = futures::future::join_all(walks).await;
                (begun, walked)
            })
        });
        let done = futures::future::join_all(walks.collect::<Vec<_>>()).await;
        let mut told = BTreeMap::new();
        for (group, (begun, walked)) in groups.iter().zip(done) {
            let good = walked.iter().all(|w| w.failed.is_none());
            if let (Some((_, first)), Ok((_, kept)), true) = (group.first(), begun, good) {
                self.sessions.push((first.session.clone(), kept));
            }
            told.extend(group.iter().map(|(at, _)| *at).zip(walked));
        }
        told.into_values().collect()
    }

    /// Walks a journey to its end. Its session is that of an earlier one that began alike,
    /// unless that failed: a token may have been taken back meanwhile.
    pub async fn walk(&mut self, journey: &Journey) -> Walked {
        let begun = begin(journey, self.known(&journey.session)).await;
        let walked = walk(journey, &begun).await;
        if let (Ok((_, kept)), None) = (begun, &walked.failed) {
            self.sessions.push((journey.session.clone(), kept));
        }
        walked
    }

    /// The session that began so, which is not kept any more.
    fn known(&mut self, made: &[JourneyRequest]) -> Option<Kept> {
        let at = self.sessions.iter().position(|(of, _)| of == made)?;
        Some(self.sessions.swap_remove(at).1)
    }
}

/// A client and what its session kept, or why there is none.
type Begun = Result<(Client, Kept), String>;

/// A client, and the session that is kept or a new one.
async fn begin(journey: &Journey, kept: Option<Kept>) -> Begun {
    let client = client(&journey.ca)?;
    let kept = match kept {
        Some(kept) => kept,
        None => (session(&client, journey).await).map_err(|why| format!("no session: {why}"))?,
    };
    Ok((client, kept))
}

/// Walks a journey in a session, and tells how long its own requests took.
async fn walk(journey: &Journey, session: &Begun) -> Walked {
    let began = Instant::now();
    let failed = match session {
        Ok((client, kept)) => requests(client, journey, kept.clone()).await.err(),
        Err(why) => Some(why.clone()),
    };
    Walked {
        service: journey.service.clone(),
        kind: journey.kind,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        failed,
    }
}

/// A client that trusts the cloud's authority and nothing else, and keeps no connection:
/// each request is a new client's.
fn client(ca: &str) -> Result<Client, String> {
    let trusted = Certificate::from_pem_bundle(ca.as_bytes()).map_err(|e| root(&e))?;
    let builder = trusting(trusted)
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        .pool_max_idle_per_host(0);
    builder.build().map_err(|e| root(&e))
}

/// A number that no walk has twice: names of all services may end in digits.
fn run() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}{count}", now.as_millis())
}

async fn session(client: &Client, journey: &Journey) -> Result<Kept, String> {
    let mut kept = Kept::from([("run".to_owned(), run())]);
    for request in &journey.session {
        ask(client, request, &[], &mut kept).await?;
    }
    Ok(kept)
}

async fn requests(client: &Client, journey: &Journey, mut kept: Kept) -> Result<(), String> {
    // A session is shared; the names of what is made are not.
    kept.insert("run".to_owned(), run());
    let mut undo: Vec<&JourneyRequest> = Vec::new();
    let mut outcome = Ok(());
    for request in &journey.requests {
        outcome = ask(client, request, &journey.headers, &mut kept).await;
        if outcome.is_err() {
            break;
        }
        undo.extend(request.undo.iter().rev());
    }
    for request in undo.into_iter().rev() {
        let undone = ask(client, request, &journey.headers, &mut kept).await;
        // What went wrong first is why.
        outcome = outcome.and(undone);
    }
    outcome
}

/// Sends one request until it is as expected, and keeps what is to be kept.
async fn ask(
    client: &Client,
    request: &JourneyRequest,
    headers: &[(String, String)],
    kept: &mut Kept,
) -> Result<(), String> {
    let until = Instant::now() + Duration::from_millis(request.within_ms);
    loop {
        let why = match answer(client, request, headers, kept).await {
            Ok(answer) => match judge(request, &answer, kept) {
                Ok(()) => {
                    for (name, from) in &request.keep {
                        let found = answer.find(from);
                        let value =
                            found.ok_or_else(|| format!("{}: the answer has no {from}", said(request)))?;
                        kept.insert(name.clone(), value);
                    }
                    return Ok(());
                }
                Err(Wrong::Final(why)) => return Err(format!("{} {why}", said(request))),
                Err(Wrong::Yet(why)) => why,
            },
            Err(why) => why,
        };
        if Instant::now() >= until {
            return Err(format!("{} {why}", said(request)));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn said(request: &JourneyRequest) -> String {
    format!("{} {}", request.method, request.url)
}

/// `{name}` as what was kept under it; other braces stay as they are.
fn filled(text: &str, kept: &Kept) -> String {
    let mut out = text.to_owned();
    for (name, value) in kept {
        out = out.replace(&format!("{{{name}}}"), value);
    }
    out
}

/// An answer, read whole.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    json: Option<Value>,
}

impl Answer {
    /// What is at a JSON pointer (all of the body at the empty one), or a header.
    fn find(&self, from: &str) -> Option<String> {
        if from.is_empty() {
            return Some(self.body.clone());
        }
        if !from.starts_with('/') {
            let named = self
                .headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(from));
            return named.map(|(_, value)| value.clone());
        }
        match self.json.as_ref()?.pointer(from)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// Why an answer is not as expected.
enum Wrong {
    /// It may become so.
    Yet(String),
    /// It does not.
    Final(String),
}

fn judge(request: &JourneyRequest, answer: &Answer, kept: &Kept) -> Result<(), Wrong> {
    for (at, text) in &request.never {
        if answer.find(at).as_ref() == Some(text) {
            return Err(Wrong::Final(format!(
                "says {text} at {at}: {}",
                short(&answer.body)
            )));
        }
    }
    if !request.expect.contains(&answer.status) {
        let why = format!(
            "was answered with status {}: {}",
            answer.status,
            short(&answer.body)
        );
        return Err(Wrong::Yet(why));
    }
    for (at, text) in &request.gives {
        let text = &filled(text, kept);
        match answer.find(at) {
            Some(found) if found == *text => {}
            Some(found) => return Err(Wrong::Yet(format!("says {} at {at}, not {text}", short(&found)))),
            None => return Err(Wrong::Yet(format!("says nothing at {at}"))),
        }
    }
    Ok(())
}

async fn answer(
    client: &Client,
    request: &JourneyRequest,
    headers: &[(String, String)],
    kept: &Kept,
) -> Result<Answer, String> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            format!("was not answered within {} s", PATIENCE.as_secs())
        } else {
            format!("was not answered: {}", root(&error))
        }
    };
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| format!("cannot be sent: {} is not a method", request.method))?;
    let mut call = client.request(method, filled(&request.url, kept));
    if !request.body.is_empty() {
        call = call.body(filled(&request.body, kept));
        if !request
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            call = call.header(CONTENT_TYPE, "application/json");
        }
    }
    for (name, value) in headers.iter().chain(&request.headers) {
        call = call.header(name, filled(value, kept));
    }
    let mut response = call.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BODY_MAX {
            return Err(format!("was answered with more than {} MiB", BODY_MAX >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer {
        json: serde_json::from_str(&body).ok(),
        status,
        headers,
        body,
    })
}
