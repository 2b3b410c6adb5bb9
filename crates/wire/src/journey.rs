//! What a user does with a service, as requests one after the other: a journey.
//!
//! It knows no service and sends nothing: an agent or a test walks it. What an answer
//! holds may be kept under a name; `{name}` in what comes later is what was kept, and
//! `{run}` is another text in each walk.

use serde::{Deserialize, Serialize};

/// What a journey does to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JourneyKind {
    /// It reads what a process must ask the store for.
    Read,
    /// It makes something and takes it away again.
    Write,
    /// It has something done that more than the API's process must work for.
    Action,
}

impl JourneyKind {
    /// All, by their words, in the order in which they are walked.
    pub const WORDS: &[(&str, Self)] = &[
        ("read", Self::Read),
        ("write", Self::Write),
        ("action", Self::Action),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Action => "action",
        }
    }
}

/// One request and what is expected of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JourneyRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Whole URL.
    pub url: String,
    /// Resource of the component that is asked. It stays here: foretelling wants it, and
    /// no host does.
    #[serde(skip)]
    pub section: String,
    /// Headers of this request alone.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: String,
    /// Good statuses.
    pub expect: Vec<u16>,
    /// What the answer has to say: text by JSON pointer (RFC 6901), the empty one for the whole body.
    pub gives: Vec<(String, String)>,
    /// What an answer says after which there is nothing to wait for.
    pub never: Vec<(String, String)>,
    /// What is kept: name, and a JSON pointer or a header's name.
    pub keep: Vec<(String, String)>,
    /// Asked again until it is as expected, for that long; 0 for once.
    pub within_ms: u64,
    /// What takes it back, as it is walked at the end, whatever became of the rest.
    pub undo: Vec<JourneyRequest>,
}

/// A journey of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// Service.
    pub service: String,
    /// What it does.
    pub kind: JourneyKind,
    /// The only authorities trusted, PEM; a placeholder until it is sent.
    pub ca: String,
    /// What makes a session: walked once for all journeys that begin alike.
    pub session: Vec<JourneyRequest>,
    /// Headers of every request after that.
    pub headers: Vec<(String, String)>,
    /// What is done in it.
    pub requests: Vec<JourneyRequest>,
}

/// What came of a journey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// Service.
    pub service: String,
    /// What it did.
    pub kind: JourneyKind,
    /// How long it took, in milliseconds, its session left out.
    pub took_ms: u64,
    /// Why it did not succeed.
    pub failed: Option<String>,
}

impl Journey {
    /// Every text that may hold a secret.
    pub(crate) fn secrets(&mut self) -> impl Iterator<Item = &mut String> {
        fn of(request: &mut JourneyRequest) -> impl Iterator<Item = &mut String> {
            let headers = request.headers.iter_mut().map(|(_, v)| v);
            headers.chain(std::iter::once(&mut request.body))
        }
        let all = self.session.iter_mut().chain(&mut self.requests);
        std::iter::once(&mut self.ca).chain(all.flat_map(of))
    }
}
