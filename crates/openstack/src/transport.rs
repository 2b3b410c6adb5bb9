//! One HTTP exchange within a limit, and what its end says of the request's fate. Not for
//! tokens, and not for what an answer means.
//!
//! The client trusts the one authority that it was given and nothing of the host's. It keeps
//! no connection: behind a virtual address a kept one may lead to a host that is dead.

use std::time::Duration;

use reqwest::{Certificate, Client, Method, header, redirect::Policy};
use serde_json::Value;

use crate::{Credentials, Error, Limits, Result, error::short, resolve::HostsFirst};

/// The most of a body that is taken, in bytes.
const MAX_BODY: usize = 32 << 20;

/// Words of an answer with status 503 after which nothing was done: of a balancer that found
/// no server, and of the check of tokens, which comes before anything else.
const NOT_PASSED_ON: [&str; 2] = [
    "No server is available to handle this request",
    "The Keystone service is temporarily unavailable",
];

/// A request without its token.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    /// Names and values; the token comes on top.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

/// An answer that has a status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The token of an answer of the identity API.
    pub(crate) subject_token: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The JSON of a success; what was refused or broke becomes the error that tells its fate.
    pub(crate) fn success(self, request: &Request) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let said = words(&self.body);
        let (status, method, url) = (self.status, &request.method, &request.url);
        Err(match status {
            503 if NOT_PASSED_ON.iter().any(|w| said.contains(w)) => Error::NotSent(format!("{url}: {said}")),
            400..=499 => Error::Refused {
                status,
                message: said,
            },
            _ => Error::Unknown(format!(
                "{method} {url} was answered with status {status}: {said}"
            )),
        })
    }

    /// The body as JSON.
    pub(crate) fn json(&self, request: &Request) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Unknown(format!("the answer of {} is no JSON: {error}", request.url)))
    }
}

/// The message in an error's body: OpenStack's APIs nest it below one key or below a list.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let Ok(json) = serde_json::from_str::<Value>(&text) else {
        return short(&text);
    };
    let message = |of: &Value| {
        let said = ["message", "detail", "title"]
            .iter()
            .find_map(|key| of.get(*key)?.as_str());
        said.map(str::to_owned)
    };
    let first = match json.get("errors").and_then(Value::as_array) {
        Some(errors) => errors.first().and_then(message),
        None => json.as_object().and_then(|o| o.values().find_map(message)),
    };
    short(
        &first
            .or_else(|| message(&json))
            .unwrap_or_else(|| text.into_owned()),
    )
}

/// Sender of requests.
pub(crate) struct Transport {
    client: Client,
}

impl Transport {
    /// A client that trusts the authority of the credentials alone.
    pub(crate) fn new(credentials: &Credentials, limits: &Limits) -> Result<Self> {
        let trusted = match &credentials.cafile {
            Some(path) => authority(path)?,
            None => Vec::new(),
        };
        let client = Client::builder()
            .tls_certs_only(trusted)
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .dns_resolver(HostsFirst)
            .connect_timeout(limits.connect)
            .pool_max_idle_per_host(0)
            .build();
        let client = client.map_err(|error| Error::NotSent(root(&error)))?;
        Ok(Self { client })
    }

    /// Sends a request and waits for its whole answer.
    pub(crate) async fn send(
        &self,
        request: &Request,
        token: Option<&str>,
        limit: Duration,
    ) -> Result<Answer> {
        let late = |_| {
            let (method, url) = (&request.method, &request.url);
            Error::Unknown(format!(
                "{method} {url} was not answered within {} ms",
                limit.as_millis()
            ))
        };
        let exchange = self.exchange(request, token);
        tokio::time::timeout(limit, exchange).await.map_err(late)?
    }

    async fn exchange(&self, request: &Request, token: Option<&str>) -> Result<Answer> {
        let fate = |error: reqwest::Error| {
            let why = format!("{}: {}", request.url, root(&error));
            if error.is_connect() || error.is_builder() {
                Error::NotSent(why)
            } else {
                Error::Unknown(why)
            }
        };
        let mut call = self.client.request(request.method.clone(), &request.url);
        call = call.header(header::ACCEPT, "application/json");
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        if let Some(token) = token {
            call = call.header("x-auth-token", sensitive(token)?);
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let mut response = call.send().await.map_err(fate)?;
        let status = response.status().as_u16();
        let subject = response.headers().get("x-subject-token");
        let subject_token = subject.and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fate)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Error::Unknown(format!(
                    "the answer of {} has no end",
                    request.url
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            subject_token,
            body,
        })
    }
}

/// A header that no log of the client shows.
fn sensitive(token: &str) -> Result<header::HeaderValue> {
    let mut value = header::HeaderValue::from_str(token)
        .map_err(|_| Error::NotSent("the token is not one line of text".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn authority(path: &str) -> Result<Vec<Certificate>> {
    let cannot = |why: String| Error::NotSent(format!("cannot read the authority {path}: {why}"));
    let pem = std::fs::read(path).map_err(|e| cannot(e.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|e| cannot(root(&e)))?;
    if found.is_empty() {
        return Err(cannot("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

/// The innermost cause: what is around it says "error sending request".
fn root(error: &reqwest::Error) -> String {
    let error: &dyn std::error::Error = error;
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    short(&causes.last().map_or_else(String::new, ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn the_words_of_each_api() {
        let check = |body: &str, expect: &str| assert_eq!(words(body.as_bytes()), expect);
        check(
            r#"{"conflictingRequest": {"code": 409, "message": "in use"}}"#,
            "in use",
        );
        check(
            r#"{"error": {"code": 401, "title": "Unauthorized", "message": "no"}}"#,
            "no",
        );
        check(
            r#"{"errors": [{"status": 400, "title": "Bad", "detail": "no class X"}]}"#,
            "no class X",
        );
        check(
            r#"{"NeutronError": {"type": "T", "message": "gone", "detail": ""}}"#,
            "gone",
        );
        check("<h1>503</h1>\n gone\n", "<h1>503</h1> gone");
        check(r#"{"a": 1}"#, r#"{"a": 1}"#);
    }
}
