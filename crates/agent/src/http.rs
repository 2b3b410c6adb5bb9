//! HTTP requests from the host: questions to APIs and changes by them. Not for
//! knowing which API it is.
//!
//! Each request has a client of its own that trusts the one CA it was given
//! and nothing of the host's (a bare host has no CA bundle, and building a
//! client that looks for one fails), and keeps no connection: some servers
//! reset kept-alive ones.

use std::{
    collections::BTreeMap,
    error::Error,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use reqwest::{Certificate, Client, Method, Url, header, redirect::Policy};
use wire::{Answer, Fact, HttpGet, OpError};

use crate::process::tail;

const CONNECT: Duration = Duration::from_secs(1);
const ASK: Duration = Duration::from_secs(5);
const CHANGE: Duration = Duration::from_mins(1);

/// The most of a body that is kept, in bytes.
const MAX_BODY: usize = 256 << 10;

struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

enum Failure {
    Refused(String),
    Other(String),
}

/// Asks; an API that is not there is absent.
pub(crate) async fn ask(request: &HttpGet) -> Fact<Answer> {
    match send(request, ASK).await {
        Ok(Response {
            status,
            headers,
            body,
        }) => Fact::Known(Answer::Http {
            status,
            body,
            headers,
        }),
        Err(Failure::Refused(_)) => Fact::Absent,
        Err(Failure::Other(why)) => Fact::Unknown(why),
    }
}

/// Sends a request that changes something.
pub(crate) async fn change(request: &HttpGet) -> Result<u32, OpError> {
    let command = Some(format!("{} {}", request.method, request.url));
    match send(request, CHANGE).await {
        Ok(response) if response.status < 400 => Ok(1),
        Ok(Response { status, body, .. }) => Err(OpError {
            tail: tail(&body),
            command,
            ..OpError::new(format!(
                "{} {} was answered with status {status}",
                request.method, request.url
            ))
        }),
        Err(Failure::Refused(why) | Failure::Other(why)) => Err(OpError {
            command,
            ..OpError::new(why)
        }),
    }
}

async fn send(request: &HttpGet, limit: Duration) -> Result<Response, Failure> {
    tokio::time::timeout(limit, exchange(request))
        .await
        .unwrap_or_else(|_| {
            Err(Failure::Other(format!(
                "{} did not answer within {} s",
                request.url,
                limit.as_secs()
            )))
        })
}

async fn exchange(request: &HttpGet) -> Result<Response, Failure> {
    let cannot = |why: String| Failure::Other(format!("cannot ask {}: {why}", request.url));
    let wrong = |error: reqwest::Error| {
        if is_refused(&error) {
            Failure::Refused(format!("{} refuses connections", request.url))
        } else {
            cannot(reason(&error))
        }
    };
    let trusted = match &request.ca {
        Some(pem) => Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| cannot(reason(&e)))?,
        None => Vec::new(),
    };
    if request.ca.is_some() && trusted.is_empty() {
        return Err(cannot("there is no certificate in the CA given".to_owned()));
    }
    let url = Url::parse(&request.url).map_err(|e| cannot(e.to_string()))?;
    let name = url.domain().unwrap_or_default();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let addresses = if name.is_empty() {
        Vec::new()
    } else {
        addresses(&hosts, name)
    };
    let mut builder = Client::builder();
    if !addresses.is_empty() {
        builder = builder.resolve_to_addrs(name, &addresses);
    }
    let client = builder
        .tls_certs_only(trusted)
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(0)
        .build()
        .map_err(wrong)?;
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| cannot(e.to_string()))?;
    let mut call = client.request(method, url);
    if let Some((user, password)) = &request.auth {
        call = call.basic_auth(user, Some(password));
    }
    if let Some(body) = &request.body {
        if !request
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            call = call.header(header::CONTENT_TYPE, "application/json");
        }
        call = call.body(body.clone());
    }
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    let mut response = call.send().await.map_err(wrong)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    while body.len() < MAX_BODY {
        let Some(chunk) = response.chunk().await.map_err(wrong)? else {
            break;
        };
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_BODY);
    Ok(Response {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Addresses that the host's own table has for a name. The resolver would ask
/// a DNS server as well, for the kind of address that the table has not, and
/// waits for one that is not there.
fn addresses(hosts: &str, name: &str) -> Vec<SocketAddr> {
    hosts
        .lines()
        .filter_map(|line| {
            line.split('#')
                .next()?
                .split_whitespace()
                .collect::<Vec<_>>()
                .split_first()
                .and_then(|(address, names)| {
                    names
                        .iter()
                        .any(|n| n.eq_ignore_ascii_case(name))
                        .then(|| address.parse::<IpAddr>())
                })
        })
        .flatten()
        // The port is the URL's.
        .map(|address| SocketAddr::new(address, 0))
        .collect()
}

fn is_refused(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == ErrorKind::ConnectionRefused)
    })
}

/// The innermost cause: what is around it says "error sending request".
fn reason(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    fn get(url: String) -> HttpGet {
        HttpGet {
            method: "GET".to_owned(),
            url,
            ca: None,
            auth: None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Answers one request and gives back what was asked.
    async fn serve_once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v3", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (url, server)
    }

    #[tokio::test]
    async fn an_answer_is_told_whole() {
        let (url, server) =
            serve_once("HTTP/1.1 300 Multiple\r\nX-Token: abc\r\nContent-Length: 2\r\n\r\n{}").await;
        let mut request = get(url);
        request.auth = Some(("me".to_owned(), "pw".to_owned()));
        let Fact::Known(Answer::Http {
            status,
            body,
            headers,
        }) = ask(&request).await
        else {
            panic!("no answer")
        };
        assert_eq!(
            (status, body.as_str(), headers["x-token"].as_str()),
            (300, "{}", "abc")
        );
        assert!(
            server
                .await
                .unwrap()
                .to_lowercase()
                .contains("authorization: basic bwu6chc=")
        );
    }

    #[tokio::test]
    async fn refused_is_absent_and_errors_carry_the_body() {
        assert!(ask(&get("http://127.0.0.1:1/".to_owned())).await.is_absent());
        let (url, _server) = serve_once("HTTP/1.1 409 Conflict\r\nContent-Length: 9\r\n\r\nduplicate").await;
        let mut request = get(url);
        request.method = "POST".to_owned();
        request.body = Some("{\"secret\": 1}".to_owned());
        let error = change(&request).await.unwrap_err();
        assert!(error.message.ends_with("was answered with status 409"), "{error}");
        assert_eq!(error.tail, ["duplicate"]);
    }

    #[test]
    fn names_of_the_hosts_own_table() {
        let hosts =
            "127.0.0.1 localhost\n# 10.0.0.9 api\n10.0.0.1\tapi api.cloud # 10.0.0.2 other\nfd00::1 api\n";
        let text = |name| {
            addresses(hosts, name)
                .iter()
                .map(|a| a.ip().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(text("API"), ["10.0.0.1", "fd00::1"]);
        assert!(text("other").is_empty());
    }

    #[tokio::test]
    async fn a_bad_ca_is_unknown() {
        let mut request = get("https://127.0.0.1:1/".to_owned());
        request.ca = Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned());
        assert!(matches!(ask(&request).await, Fact::Unknown(_)));
    }
}
