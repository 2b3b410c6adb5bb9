//! Journeys against a server on loopback that says what the test has it say: which
//! requests it got, in which order, and what came of the walk.

#![expect(clippy::unwrap_used, reason = "a fake that fails is a test that fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use probe::Traveller;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Barrier,
};
use wire::{Journey, JourneyKind, JourneyRequest};

type Got = Arc<Mutex<Vec<String>>>;

/// Answers each request with the next of `answers` for it, the last again and again;
/// what it was asked, with token and body, is told.
async fn serve(answers: &'static [(&'static str, &'static [&'static str])]) -> (String, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got = Got::default();
    let seen = Arc::clone(&got);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 8192];
            let n = stream.read(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let first: Vec<&str> = head.split(' ').take(2).collect();
            let asked = first.join(" ");
            let token = head.lines().find_map(|l| l.strip_prefix("x-auth-token: "));
            let told = [Some(asked.as_str()), token, Some(body).filter(|b| !b.is_empty())];
            let told: Vec<&str> = told.into_iter().flatten().collect();
            let before = {
                let mut seen = seen.lock().unwrap();
                seen.push(told.join(" "));
                seen.iter().filter(|s| **s == *seen.last().unwrap()).count() - 1
            };
            let found = answers.iter().find(|(of, _)| asked.starts_with(of)).unwrap().1;
            let (status, rest) = found[before.min(found.len() - 1)].split_once(' ').unwrap();
            let (header, body) = rest.split_once('|').unwrap_or(("", rest));
            let answer = format!(
                "HTTP/1.1 {status} x\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, got)
}

fn request(base: &str, ask: &str) -> JourneyRequest {
    let (method, path) = ask.split_once(' ').unwrap();
    JourneyRequest {
        method: method.to_owned(),
        url: format!("{base}{path}"),
        section: String::new(),
        headers: vec![],
        body: String::new(),
        expect: vec![200],
        gives: vec![],
        never: vec![],
        keep: vec![],
        within_ms: 0,
        undo: vec![],
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

/// Logs in, makes a thing, waits until it is ready, and takes it away.
fn journey(base: &str) -> Journey {
    let mut login = request(base, "POST /login");
    login.keep = vec![pair("token", "X-Token")];
    let mut make = request(base, "POST /things");
    r#"{"name": "it"}"#.clone_into(&mut make.body);
    make.keep = vec![pair("thing", "/thing/id")];
    make.undo = vec![request(base, "DELETE /things/{thing}")];
    let mut ready = request(base, "GET /things/{thing}");
    ready.within_ms = 5_000;
    ready.gives = vec![pair("/status", "ready"), pair("/of", "{thing}")];
    ready.never = vec![pair("/status", "broken")];
    Journey {
        service: "case".to_owned(),
        kind: JourneyKind::Action,
        ca: String::new(),
        session: vec![login],
        headers: vec![pair("X-Auth-Token", "{token}")],
        requests: vec![make, ready],
    }
}

#[tokio::test]
async fn what_was_kept_is_used_and_what_was_made_is_taken_back() {
    let (url, got) = serve(&[
        ("POST /login", &["200 x-token: t1\r\n|"]),
        ("POST /things", &[r#"200 {"thing": {"id": 7}}"#]),
        (
            "GET /things/7",
            &[
                "503 not yet",
                r#"200 {"status": "building"}"#,
                r#"200 {"status": "ready", "of": 7}"#,
            ],
        ),
        ("DELETE /things/7", &["200 "]),
    ])
    .await;
    let mut traveller = Traveller::default();
    for _ in 0..2 {
        let walked = traveller.walk(&journey(&url)).await;
        assert_eq!(walked.failed, None);
    }
    let make = r#"POST /things t1 {"name": "it"}"#;
    let ask = "GET /things/7 t1";
    let first = ["POST /login", make, ask, ask, ask, "DELETE /things/7 t1"];
    // One session, and the fake says `ready` at once from then on.
    let expect = [&first[..], &[make, ask, "DELETE /things/7 t1"]].concat();
    assert_eq!(*got.lock().unwrap(), expect);
}

#[tokio::test]
async fn a_walk_that_fails_says_where_and_takes_back_what_it_made() {
    let (url, got) = serve(&[
        ("POST /login", &["200 x-token: t1\r\n|"]),
        ("POST /things", &[r#"200 {"thing": {"id": 7}}"#]),
        ("GET /things/7", &[r#"200 {"status": "broken"}"#]),
        ("DELETE /things/7", &["500 no"]),
    ])
    .await;
    let walked = Traveller::default().walk(&journey(&url)).await;
    let why = walked.failed.unwrap();
    assert!(why.contains("/things/{thing} says broken at /status"), "{why}");
    assert_eq!(got.lock().unwrap().last().unwrap(), "DELETE /things/7 t1");
}

#[tokio::test]
async fn an_answer_without_what_is_to_be_kept_is_told() {
    let (url, _) = serve(&[("POST /login", &["200 nothing"])]).await;
    let walked = Traveller::default().walk(&journey(&url)).await;
    let expect = format!("no session: POST {url}/login: the answer has no X-Token");
    assert_eq!(walked.failed.as_deref(), Some(expect.as_str()));
}

/// Answers a login at once, and everything else only when `together` requests wait for it.
async fn serve_together(together: usize) -> (String, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got = Got::default();
    let seen = Arc::clone(&got);
    let all = Arc::new(Barrier::new(together));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (seen, all) = (Arc::clone(&seen), Arc::clone(&all));
            tokio::spawn(async move {
                let mut bytes = vec![0; 8192];
                let n = stream.read(&mut bytes).await.unwrap();
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                let first: Vec<&str> = text.split(' ').take(2).collect();
                seen.lock().unwrap().push(first.join(" "));
                if first[1] != "/login" {
                    all.wait().await;
                }
                let status = if first[1] == "/bad" { 500 } else { 200 };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nx-token: t1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (url, got)
}

fn read(base: &str, path: &str) -> Journey {
    let mut journey = journey(base);
    path.clone_into(&mut journey.service);
    journey.kind = JourneyKind::Read;
    journey.requests = vec![request(base, &format!("GET /{path}"))];
    journey
}

#[tokio::test]
async fn journeys_that_read_are_walked_at_the_same_time_in_one_session() {
    let (url, got) = serve_together(3).await;
    let journeys = ["a", "bad", "c"].map(|path| read(&url, path));
    let mut traveller = Traveller::default();
    let walk = traveller.walk_all(&journeys);
    let walked = tokio::time::timeout(Duration::from_secs(10), walk).await;
    let walked = walked.expect("one waits for the other");
    let told: Vec<(&str, bool)> = (walked.iter())
        .map(|w| (w.service.as_str(), w.failed.is_none()))
        .collect();
    assert_eq!(told, [("a", true), ("bad", false), ("c", true)]);
    let mut got = got.lock().unwrap().clone();
    got.sort();
    assert_eq!(got, ["GET /a", "GET /bad", "GET /c", "POST /login"]);
}

#[tokio::test]
async fn journeys_of_which_one_changes_something_are_walked_in_turn() {
    let (url, got) = serve(&[
        ("POST /login", &["200 x-token: t1\r\n|"]),
        ("GET /a", &["200 "]),
        ("POST /things", &[r#"200 {"thing": {"id": 7}}"#]),
        ("GET /things/7", &[r#"200 {"status": "ready", "of": 7}"#]),
        ("DELETE /things/7", &["200 "]),
        ("GET /b", &["200 "]),
    ])
    .await;
    let journeys = [read(&url, "a"), journey(&url), read(&url, "b")];
    let walked = Traveller::default().walk_all(&journeys).await;
    assert!(walked.iter().all(|w| w.failed.is_none()), "{walked:?}");
    let asked: Vec<String> = (got.lock().unwrap().iter())
        .map(|told| told.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let expect = [
        "POST /login",
        "GET /a",
        "POST /things",
        "GET /things/7",
        "DELETE /things/7",
        "GET /b",
    ];
    assert_eq!(asked, expect);
}
