//! A small HTTP server in this process that answers by a function and keeps what it was
//! asked. Not for any API's behaviour: each test says what is answered.

use std::sync::{Arc, Mutex};

use openstack::{Client, Credentials, Interface, Limits, Secret};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub token: String,
    pub version: String,
    pub body: Value,
}

/// Answer of the server to a request.
pub enum Reply {
    Json(u16, Value),
    Text(u16, &'static str),
    /// Never answers.
    Hang,
    /// Ends the connection without a word.
    Close,
    /// Bytes that are no HTTP.
    Noise,
}

type Answer = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A running server; the identity API answers by itself under `/identity`.
pub struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, root, answer) = (asked.clone(), url.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, root.clone(), kept.clone(), answer.clone()));
            }
        });
        Self { url, asked }
    }

    /// Requests so far, tokens left out.
    pub fn asked(&self) -> Vec<Asked> {
        let all = self.asked.lock().unwrap().clone();
        all.into_iter()
            .filter(|a| !a.path.starts_with("/identity"))
            .collect()
    }

    /// How many tokens were asked for.
    pub fn tokens(&self) -> usize {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|a| a.path.starts_with("/identity")).count()
    }

    pub fn credentials(&self) -> Credentials {
        Credentials {
            auth_url: format!("{}/identity/v3", self.url),
            username: "evac".to_owned(),
            password: Secret::new("hunter2".to_owned()),
            project: "service".to_owned(),
            user_domain: "Default".to_owned(),
            project_domain: "Default".to_owned(),
            region: "RegionOne".to_owned(),
            cafile: None,
            interface: Interface::Internal,
        }
    }

    pub fn client(&self) -> Client {
        let limits = Limits {
            ask: std::time::Duration::from_millis(400),
            change: std::time::Duration::from_millis(400),
            ..Limits::default()
        };
        Client::new(self.credentials(), limits).unwrap()
    }
}

async fn serve(mut stream: TcpStream, root: String, kept: Arc<Mutex<Vec<Asked>>>, answer: Arc<Answer>) {
    let Some(asked) = read(&mut stream).await else {
        return;
    };
    let number = {
        let mut kept = kept.lock().unwrap();
        kept.push(asked.clone());
        kept.iter().filter(|a| a.path.starts_with("/identity")).count()
    };
    // `answer` may answer for the identity API too; a `Json` of 0 leaves it to the default.
    let reply = match answer(&asked) {
        Reply::Json(0, life) => token(&root, &life, number),
        other => (String::new(), other),
    };
    let (headers, reply) = reply;
    let (status, body) = match reply {
        Reply::Json(status, body) => (status, body.to_string()),
        Reply::Text(status, body) => (status, body.to_owned()),
        Reply::Hang => return std::future::pending().await,
        Reply::Close => return,
        Reply::Noise => {
            let _ = stream.write_all(b"\x16\x03\x01 what?\r\n\r\n").await;
            return;
        }
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A token of that many seconds, or refused where the life is no number.
fn token(root: &str, life: &Value, number: usize) -> (String, Reply) {
    let Some(life) = life.as_i64() else {
        let error = json!({"error": {"code": 401, "title": "Unauthorized", "message": "wrong password"}});
        return (String::new(), Reply::Json(401, error));
    };
    let issued: jiff::Timestamp = "2025-04-02T10:00:00Z".parse().unwrap();
    let expires = issued + jiff::SignedDuration::from_secs(life);
    let endpoint = |interface: &str, region: &str, path: &str| json!({"id": "e", "interface": interface, "region": region, "region_id": region, "url": format!("{root}{path}")});
    let service = |kind: &str, path: &str| {
        json!({"type": kind, "name": kind, "id": "s", "endpoints": [
            endpoint("public", "RegionOne", "/public"),
            endpoint("internal", "RegionTwo", "/elsewhere"),
            endpoint("internal", "RegionOne", path),
        ]})
    };
    let body = json!({"token": {
        "methods": ["password"],
        "issued_at": issued.to_string(),
        "expires_at": expires.to_string(),
        "user": {"name": "evac"},
        "catalog": [
            service("compute", "/compute/v2.1"),
            service("placement", "/placement"),
            service("network", "/network"),
        ],
    }});
    (
        format!("X-Subject-Token: token-{number}\r\n"),
        Reply::Json(201, body),
    )
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|l| l.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    while bytes.len() < head + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let mut words = text.split_whitespace();
    Some(Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        token: header("x-auth-token"),
        version: header("openstack-api-version"),
        body: serde_json::from_slice(&bytes[head..]).unwrap_or_default(),
    })
}

/// The reply of the identity API: a token of an hour.
pub fn an_hour() -> Reply {
    Reply::Json(0, json!(3600))
}
