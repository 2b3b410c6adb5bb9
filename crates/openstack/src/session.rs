//! The client: a token that is renewed, the endpoint of each service, and one way to ask
//! and one to change. Not for what is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    Credentials, Error, Result,
    token::{Token, asked_with},
    transport::{Answer, Request, Transport},
};

/// Times within which a request has to end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For the whole answer to a question.
    pub ask: Duration,
    /// For the whole answer to a change.
    pub change: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            ask: Duration::from_secs(10),
            change: Duration::from_secs(30),
        }
    }
}

/// Version of the compute API that changes are asked in, and questions unless they say
/// otherwise: it tells of unreachable cells (2.69), and leaves evacuated VMs running (before 2.95).
const COMPUTE_API: &str = "compute 2.90";
/// Version of the compute API whose lists of VMs have the properties of their images.
const WITH_IMAGES: &str = "compute 2.98";
/// Version of the placement API: summaries have all resources of a provider (1.27).
const PLACEMENT_API: &str = "placement 1.29";

/// Services that are asked, as the catalogue of endpoints names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Compute,
    /// The compute API, with the properties of images where it has them.
    Images,
    Placement,
    Network,
}

/// A client of one cloud's APIs, good for many requests at once.
pub struct Client {
    credentials: Credentials,
    limits: Limits,
    transport: Transport,
    token: Mutex<Held>,
    /// True: the compute API has refused the version with images.
    too_old: AtomicBool,
}

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    count: u64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("credentials", &self.credentials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that has asked nothing yet.
    pub fn new(credentials: Credentials, limits: Limits) -> Result<Self> {
        Ok(Self {
            transport: Transport::new(&credentials, &limits)?,
            credentials,
            limits,
            token: Mutex::default(),
            too_old: AtomicBool::new(false),
        })
    }

    /// A token in force other than the one of that number. One task at a time asks for it.
    async fn token(&self, stale: Option<u64>) -> Result<Arc<Token>> {
        let mut held = self.token.lock().await;
        if let Some(token) = &held.token
            && token.is_fresh()
            && Some(token.number) != stale
        {
            return Ok(token.clone());
        }
        let request = Request {
            method: Method::POST,
            url: format!("{}/auth/tokens", self.credentials.auth_url.trim_end_matches('/')),
            headers: Vec::new(),
            body: Some(asked_with(&self.credentials)),
        };
        // Counted from before the request: it may have waited for its answer.
        let since = Instant::now();
        let answer = self.transport.send(&request, None, self.limits.ask).await?;
        let answer = answer.success(&request)?;
        let body = answer.json(&request)?;
        held.count += 1;
        let token = Arc::new(Token::parse(answer.subject_token, &body, held.count, since)?);
        held.token = Some(token.clone());
        Ok(token)
    }

    /// Sends a request to a service. A token that is refused is renewed once: the request was
    /// not looked at, so sending it again repeats nothing.
    async fn send(
        &self,
        api: Api,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(Answer, Request)> {
        let limit = if method == Method::GET {
            self.limits.ask
        } else {
            self.limits.change
        };
        let unasked = |error: Error| Error::NotSent(format!("no token: {error}"));
        let mut token = self.token(None).await.map_err(unasked)?;
        let mut request = Request {
            method,
            url: String::new(),
            headers: Vec::new(),
            body,
        };
        let mut first = true;
        loop {
            request.url = format!("{}{path}", self.root(api, &token)?);
            request.headers = versions(api);
            let secret = token.secret.expose();
            let answer = self.transport.send(&request, Some(secret), limit).await?;
            if answer.status != 401 || !first {
                return Ok((answer.success(&request)?, request));
            }
            first = false;
            token = self.token(Some(token.number)).await.map_err(unasked)?;
        }
    }

    fn root(&self, api: Api, token: &Token) -> Result<String> {
        let kind = match api {
            Api::Compute | Api::Images => "compute",
            Api::Placement => "placement",
            Api::Network => "network",
        };
        let url = token.endpoint(kind, &self.credentials)?;
        // The catalogue names the network API's root, without a version.
        let bare = api == Api::Network && !url.ends_with("/v2.0");
        Ok(if bare { format!("{url}/v2.0") } else { url })
    }

    /// Asks; the answer's JSON. An API that is too old for images is asked without them.
    pub(crate) async fn ask(&self, api: Api, path: &str) -> Result<Value> {
        let too_old = api == Api::Images && self.too_old.load(Ordering::Relaxed);
        let api = if too_old { Api::Compute } else { api };
        match self.send(api, Method::GET, path, None).await {
            Ok((answer, request)) => answer.json(&request),
            Err(Error::Refused { status: 406, .. }) if api == Api::Images => {
                self.too_old.store(true, Ordering::Relaxed);
                let (answer, request) = self.send(Api::Compute, Method::GET, path, None).await?;
                answer.json(&request)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes something; what the answer says besides success is not looked at.
    pub(crate) async fn change(&self, method: Method, path: &str, body: Value) -> Result<()> {
        self.send(Api::Compute, method, path, Some(body))
            .await
            .map(|_| ())
    }

    /// All items of a list that comes in pages. A page that repeats is an error.
    pub(crate) async fn pages(&self, api: Api, path: &str, list: &str, marker: &str) -> Result<Vec<Value>> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut next) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let page = self.ask(api, &format!("{path}{joint}limit={PAGE}{next}")).await?;
            let items = crate::fields::items(&page, list)?;
            let end = items.last().and_then(|item| item.get(marker)?.as_str());
            let more = page.get(format!("{list}_links")).and_then(Value::as_array);
            let more = more.is_some_and(|links| links.iter().any(|l| l["rel"] == "next"));
            let step = end.map(|id| format!("&marker={}", encode(id)));
            all.extend(items.iter().cloned());
            match step {
                Some(step) if more && step != next => next = step,
                Some(_) | None if more => {
                    return Err(Error::Unknown(format!("the pages of {path} do not go on")));
                }
                _ => return Ok(all),
            }
        }
        Err(Error::Unknown(format!("{path} has more than {MAX_PAGES} pages")))
    }
}

/// Items of a page: of more, the API takes longer than a question may.
const PAGE: usize = 200;
/// Pages after which a list is taken to have no end.
const MAX_PAGES: usize = 500;

fn versions(api: Api) -> Vec<(&'static str, String)> {
    let version = match api {
        Api::Compute => COMPUTE_API,
        Api::Images => WITH_IMAGES,
        Api::Placement => PLACEMENT_API,
        Api::Network => return Vec::new(),
    };
    vec![("openstack-api-version", version.to_owned())]
}

/// A text as a part of a URL.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                use std::fmt::Write as _;
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
