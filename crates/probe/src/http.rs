//! HTTP requests judged by their status.
//!
//! Requests of one probe may be under way at the same time; the client is
//! shared. It trusts the CA it is given and nothing else: a bare host has no
//! certificates, and a control plane has its own CA.

use reqwest::{
    Certificate, Client, ClientBuilder, Method, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{Connection, Http, Outcome, Probe, Result, Retry, Secret, error::root};

/// Most of a body that is read, in bytes: an answer longer than this is good
/// as far as it was read.
const BODY_MAX: usize = 1 << 20;

/// A probe's client and its request, ready to be sent.
pub(crate) struct Asker {
    client: Client,
    method: Method,
    http: Http,
    headers: HeaderMap,
}

impl Asker {
    pub(crate) fn new(probe: &Probe, http: &Http) -> Result<Self> {
        let method = Method::from_bytes(http.method.as_bytes())
            .map_err(|_| probe.invalid(format!("`{}` is not a method", http.method)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &http.headers {
            let parsed = HeaderName::try_from(name.as_str()).ok();
            let Some((key, mut value)) = parsed.zip(HeaderValue::from_str(value.expose()).ok()) else {
                return Err(probe.invalid(format!("header `{name}` cannot be sent")));
            };
            value.set_sensitive(true);
            headers.append(key, value);
        }
        let client = client(probe, http.ca_pem.as_deref(), http.connection)?;
        Ok(Self {
            client,
            method,
            http: http.clone(),
            headers,
        })
    }

    /// Sends the request, and once more where the probe says so.
    pub(crate) async fn ask(&self) -> Outcome {
        match self.send().await {
            Ok(response) => self.judge(response, Outcome::Ok).await,
            // A request that was refused or cut off, as against one that was answered late.
            Err(error) if self.http.retry == Retry::Once && error.is_request() && !error.is_timeout() => {
                match self.send().await {
                    Ok(response) => self.judge(response, Outcome::Retried).await,
                    Err(error) => failed(&error),
                }
            }
            Err(error) => failed(&error),
        }
    }

    async fn send(&self) -> reqwest::Result<Response> {
        let mut request = self
            .client
            .request(self.method.clone(), &self.http.url)
            .headers(self.headers.clone());
        if let Some(body) = &self.http.body {
            request = request.body(body.expose().to_owned());
        }
        request.send().await
    }

    async fn judge(&self, response: Response, good: Outcome) -> Outcome {
        let status = response.status();
        match read(response).await {
            Err(error) => failed(&error),
            Ok(()) if self.http.expect_status.contains(&status.as_u16()) => good,
            Ok(()) => wrong(status),
        }
    }
}

/// A client that trusts these authorities and nothing of the host's, and goes where it is
/// told and nowhere else.
pub(crate) fn trusting(authorities: Vec<Certificate>) -> ClientBuilder {
    Client::builder()
        .tls_certs_only(authorities)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

/// A client for one probe.
pub(crate) fn client(probe: &Probe, ca_pem: Option<&str>, kept: Connection) -> Result<Client> {
    let unusable = |error: reqwest::Error| probe.invalid(root(&error));
    let authorities = match ca_pem {
        Some(pem) => Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?,
        None => Vec::new(),
    };
    if ca_pem.is_some() && authorities.is_empty() {
        return Err(probe.invalid("`ca_pem` holds no certificate"));
    }
    let mut builder = trusting(authorities)
        .retry(reqwest::retry::never())
        .connect_timeout(probe.timeout)
        .timeout(probe.timeout)
        .tcp_user_timeout(probe.timeout);
    if kept == Connection::Fresh {
        let mut close = HeaderMap::new();
        close.insert(reqwest::header::CONNECTION, HeaderValue::from_static("close"));
        builder = builder.pool_max_idle_per_host(0).default_headers(close);
    }
    builder.build().map_err(unusable)
}

/// Reads a body to its end, so that half an answer is not a good one.
pub(crate) async fn read(mut response: Response) -> reqwest::Result<()> {
    let mut seen = 0;
    while let Some(chunk) = response.chunk().await? {
        seen += chunk.len();
        if seen > BODY_MAX {
            break;
        }
    }
    Ok(())
}

/// A request without an answer. The texts are few and stable, to be counted.
pub(crate) fn failed(error: &reqwest::Error) -> Outcome {
    Outcome::Failed(if error.is_timeout() {
        "timeout".into()
    } else if error.is_connect() {
        format!("connect: {}", root(error))
    } else {
        root(error)
    })
}

/// An answer with a status that is not a good one.
pub(crate) fn wrong(status: StatusCode) -> Outcome {
    Outcome::Failed(format!("status {}", status.as_u16()))
}

/// A JSON body as a request.
pub(crate) fn json(client: &Client, url: &str, body: &Secret) -> reqwest::RequestBuilder {
    client
        .post(url)
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body.expose().to_owned())
}
