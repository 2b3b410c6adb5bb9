//! The prober against a server on loopback that is silent, refuses or hangs for
//! a known time: the gap measured must be that time, to the resolution.

#![expect(clippy::unwrap_used, reason = "a fake that fails is a test that fails")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use probe::{Bar, Ended, History, Kind, Limits, Outcome, Probe, Prober, Report, Retry, View};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

const EVERY: Duration = Duration::from_millis(20);
const DOWN: Duration = Duration::from_millis(300);
/// What a loaded machine adds to an interval, at worst.
const SLACK: Duration = Duration::from_secs(1);

/// How the fake behaves to connections made from now on.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Mood {
    Good,
    /// Reads and never answers.
    Silent,
    /// Closes at once.
    Refuses,
    /// Closes each second connection at once.
    Flaky,
    /// Answers with 503.
    Unwell,
    /// Sends half a body.
    Torn,
}

struct Fake {
    at: SocketAddr,
    mood: Arc<AtomicU8>,
    connections: Arc<AtomicU64>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (mood, connections) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU64::new(0)));
        let (moods, count) = (Arc::clone(&mood), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let nth = count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, moods.load(Ordering::Relaxed), nth));
            }
        });
        Self {
            at,
            mood,
            connections,
        }
    }

    fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    fn probe(&self, more: &str) -> Probe {
        serde_json::from_str(&format!(
            r#"{{"name":"api","every_ms":20,"timeout_ms":1000,
                "kind":{{"http":{{"url":"http://{}/v3"{more}}}}}}}"#,
            self.at
        ))
        .unwrap()
    }
}

/// A token is the number of the one before plus one; `first` has no number.
async fn serve(mut stream: TcpStream, mood: u8, nth: u64) {
    let refuses = mood == Mood::Refuses as u8 || (mood == Mood::Flaky as u8 && nth.is_multiple_of(2));
    if refuses {
        return;
    }
    let mut buffer = vec![0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        let request = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
        if mood == Mood::Silent as u8 {
            sleep(Duration::from_mins(1)).await;
        }
        let status = if mood == Mood::Unwell as u8 {
            "503 No"
        } else {
            "200 OK"
        };
        let sent = if mood == Mood::Torn as u8 { "o" } else { "ok" };
        let close = request.contains("connection: close");
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{sent}");
        if stream.write_all(answer.as_bytes()).await.is_err() || close || sent == "o" {
            return;
        }
    }
}

fn limits() -> Limits {
    Limits {
        duration: Duration::from_secs(20),
        requests: 10_000,
    }
}

/// Good for 400 ms, `mood` for 300 ms, good for 400 ms again.
async fn outage(mood: Mood) -> (History, Duration) {
    let fake = Fake::start().await;
    let handle = Prober::start(vec![fake.probe("")], limits()).await.unwrap();
    sleep(Duration::from_millis(400)).await;
    let from = Instant::now();
    fake.set(mood);
    handle.mark("down");
    sleep(DOWN).await;
    fake.set(Mood::Good);
    let down = from.elapsed();
    sleep(Duration::from_millis(400)).await;
    (handle.stop().await, down)
}

async fn check(mood: Mood, reason: &str) {
    let (history, down) = outage(mood).await;
    let view = View {
        threshold: Duration::from_millis(250),
        ..View::default()
    };
    let report = Report::of(&history, &[], &view);
    let probe = &report.probes[0];
    let gap = Duration::from_nanos(probe.longest.length_ns());
    assert!(
        gap + EVERY >= down && gap <= down + 2 * EVERY + SLACK,
        "{gap:?} of {down:?}\n{report}"
    );
    assert!(!probe.gaps.is_empty(), "{report}");
    assert_eq!(probe.longest.after.as_deref(), Some("down"));
    assert!(
        probe.reasons.keys().any(|found| found.contains(reason)),
        "{report}"
    );
    let bar = |gap| report.failures(&Bar { gap: Some(gap) });
    assert!(bar(down + 2 * EVERY + SLACK).is_empty());
    assert!(!bar(DOWN.saturating_sub(2 * EVERY)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_measured() {
    check(Mood::Silent, "timeout").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_is_measured() {
    check(Mood::Refuses, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_status_is_measured() {
    check(Mood::Unwell, "status 503").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_answer_is_measured() {
    check(Mood::Torn, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_to_the_end_is_open() {
    let fake = Fake::start().await;
    let handle = Prober::start(vec![fake.probe("")], limits()).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    assert!(handle.last_good_ns("api").is_some());
    fake.set(Mood::Refuses);
    sleep(DOWN).await;
    assert_eq!(handle.snapshot().ended, Ended::Running);
    let report = Report::of(&handle.stop().await, &[], &View::default());
    let longest = &report.probes[0].longest;
    assert!(
        longest.open && longest.length_ns() + 40_000_000 >= 300_000_000,
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_fresh_unless_kept() {
    for (more, fresh) in [("", true), (r#","connection":"kept""#, false)] {
        let fake = Fake::start().await;
        let handle = Prober::start(vec![fake.probe(more)], limits()).await.unwrap();
        sleep(DOWN).await;
        let history = handle.stop().await;
        let good = history
            .of("api")
            .filter(|record| record.outcome == Outcome::Ok)
            .count() as u64;
        assert!(good > 5, "{:?}", history.records);
        let made = fake.connections.load(Ordering::Relaxed);
        assert!(if fresh { made == good } else { made <= 3 }, "{made} for {good}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_retry_is_told_apart() {
    let fake = Fake::start().await;
    fake.set(Mood::Flaky);
    let mut slow = fake.probe(r#","retry":"once""#);
    slow.every = Duration::from_millis(100);
    assert!(matches!(&slow.kind, Kind::Http(http) if http.retry == Retry::Once));
    let handle = Prober::start(vec![slow], limits()).await.unwrap();
    sleep(Duration::from_millis(550)).await;
    let history = handle.stop().await;
    assert!(
        history.of("api").all(|record| record.outcome == Outcome::Retried),
        "{history:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_end_it() {
    let fake = Fake::start().await;
    let few = Limits {
        duration: Duration::from_secs(20),
        requests: 7,
    };
    let history = Prober::start(vec![fake.probe("")], few)
        .await
        .unwrap()
        .wait()
        .await;
    assert_eq!((history.ended, history.records.len()), (Ended::Requests, 7));

    let short = Limits {
        duration: Duration::from_millis(200),
        requests: 1000,
    };
    let history = Prober::start(vec![fake.probe("")], short)
        .await
        .unwrap()
        .wait()
        .await;
    assert_eq!(history.ended, Ended::Duration);
    assert!((190_000_000..2_000_000_000).contains(&history.stopped_ns));
    assert!(
        Prober::start(vec![fake.probe("")], Limits { requests: 0, ..few })
            .await
            .is_err()
    );
}
