//! Journeys in a service's data: what a user does with it, and how they are read.

use cloud::tree::{Fields, Kind, Node, Spanned, Walker};
use indexmap::IndexMap;
use wire::JourneyKind;

use crate::read::{Keys, pairs, word_or};
use crate::service::Pairs;

const REQUEST_KEYS: Keys<'_> = &[
    "ask", "of", "headers", "body", "expect", "gives", "never", "keep", "within", "undo",
];

/// A request of a journey; all texts are templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `METHOD /path` at the address of a component.
    pub ask: Spanned<String>,
    /// Whose address: `SERVICE`, `SERVICE.COMPONENT` or, when empty, its own.
    pub of: Spanned<String>,
    /// Headers.
    pub headers: Pairs,
    /// Body; empty for none.
    pub body: String,
    /// Good statuses.
    pub expect: Vec<u16>,
    /// What the answer has to say, by JSON pointer.
    pub gives: Pairs,
    /// What it says when there is nothing more to wait for.
    pub never: Pairs,
    /// What is kept of it: a JSON pointer or a header by the name that it gets.
    pub keep: Pairs,
    /// Seconds for which it is asked again; 0 for once.
    pub within: u64,
    /// What takes it back.
    pub undo: Vec<Request>,
}

/// Requests one after the other, where the cloud is such.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Condition; empty for always.
    pub when: String,
    /// The requests.
    pub requests: Vec<Request>,
}

/// Whose session a service's journeys are walked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// What makes one, for itself and for others, and the headers of all requests in it.
    Own(Vec<Request>, Pairs),
    /// Another service's.
    Of(Spanned<String>),
}

/// `journeys:` of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journeys {
    /// The session; without one a user need not say who they are.
    pub session: Option<Session>,
    /// What is done, by kind.
    pub walks: IndexMap<JourneyKind, Walk>,
}

impl Journeys {
    /// All requests with what takes them back.
    pub fn requests(&self) -> Vec<&Request> {
        let own = match &self.session {
            Some(Session::Own(requests, _)) => requests.as_slice(),
            _ => &[],
        };
        let all = own.iter().chain(self.walks.values().flat_map(|w| &w.requests));
        all.flat_map(|r| std::iter::once(r).chain(&r.undo)).collect()
    }
}

pub(crate) fn read(w: &mut Walker, fields: &Fields<'_>) -> Journeys {
    let mut out = Journeys::default();
    let words: Vec<&str> = JourneyKind::WORDS.iter().map(|(word, _)| *word).collect();
    let known: Vec<&str> = words.iter().copied().chain(["session", "headers"]).collect();
    let Some(f) = fields
        .get("journeys")
        .and_then(|n| w.fields(n, "`journeys`", &known))
    else {
        return out;
    };
    let headers = pairs(w, &f, "headers");
    out.session = f.get("session").and_then(|n| match n.kind {
        Kind::List(_) => Some(Session::Own(requests(w, n), headers)),
        _ => w.text(n, "`session`: a service, or requests").map(Session::Of),
    });
    for (word, kind) in JourneyKind::WORDS {
        if let Some(node) = f.get(word) {
            out.walks.insert(*kind, walk(w, node));
        }
    }
    out
}

/// A list of requests, or one with a condition.
fn walk(w: &mut Walker, node: &Node) -> Walk {
    if matches!(node.kind, Kind::List(_)) {
        return Walk {
            when: String::new(),
            requests: requests(w, node),
        };
    }
    let Some(f) = w.fields(node, "a journey", &["when", "requests"]) else {
        return Walk::default();
    };
    Walk {
        when: word_or(w, &f, "when", ""),
        requests: w
            .require(&f, "requests")
            .map(|n| requests(w, n))
            .unwrap_or_default(),
    }
}

fn requests(w: &mut Walker, node: &Node) -> Vec<Request> {
    let nodes = w.list(node, "a journey").unwrap_or_default();
    nodes.iter().filter_map(|n| request(w, n)).collect()
}

fn request(w: &mut Walker, node: &Node) -> Option<Request> {
    let f = w.fields(node, "a request", REQUEST_KEYS)?;
    let ask = w.require(&f, "ask").and_then(|n| w.text(n, "`ask`"))?;
    let well = ask.value.split_once(' ').is_some_and(|(method, path)| {
        method.chars().all(|c| c.is_ascii_uppercase()) && path.starts_with('/')
    });
    if !well {
        let message = format!("`{}` is not a request", ask.value);
        let finding = w.error("catalog::not-a-request", &ask.span, message, "no method and path");
        w.push(finding.help("such as `GET /v3/projects`"));
    }
    let statuses = f.get("expect").map(Node::one_or_list).unwrap_or_default();
    let statuses = statuses
        .into_iter()
        .filter_map(|n| w.integer(n, "a status", 100..=599));
    let expect: Vec<u16> = statuses.filter_map(|s| u16::try_from(s.value).ok()).collect();
    let seconds = f
        .get("within")
        .and_then(|n| w.integer(n, "a number of seconds", 1..=600));
    Some(Request {
        of: match f.get("of") {
            Some(node) => w.text(node, "`of`")?,
            None => Spanned::new(String::new(), ask.span.clone()),
        },
        headers: pairs(w, &f, "headers"),
        body: word_or(w, &f, "body", ""),
        expect: if expect.is_empty() { vec![200] } else { expect },
        gives: pairs(w, &f, "gives"),
        never: pairs(w, &f, "never"),
        keep: pairs(w, &f, "keep"),
        within: seconds.and_then(|s| u64::try_from(s.value).ok()).unwrap_or(0),
        undo: f.get("undo").map(|n| requests(w, n)).unwrap_or_default(),
        ask,
    })
}
