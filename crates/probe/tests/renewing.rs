//! Token by token against a fake that sells a token for the newest one only.

#![expect(clippy::unwrap_used, reason = "a fake that fails is a test that fails")]

use std::{sync::Arc, time::Duration};

use probe::{Limits, Outcome, Probe, Prober};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
    time::sleep,
};

#[derive(Default)]
struct Sold {
    logins: u64,
    tokens: u64,
    /// Tokens below this are refused.
    valid_from: u64,
}

/// Starts the fake and gives its port.
async fn fake(sold: Arc<Mutex<Sold>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !request.contains("}}") {
                let mut buffer = [0; 2048];
                let read = stream.read(&mut buffer).await.unwrap();
                request += std::str::from_utf8(&buffer[..read]).unwrap();
            }
            let mut sold = sold.lock().await;
            let paid = if let Some((_, rest)) = request.split_once(r#""token":{"id":"t"#) {
                let number: u64 = rest.split_once('"').unwrap().0.parse().unwrap();
                number >= sold.valid_from
            } else {
                assert!(request.contains("hush"), "{request}");
                sold.logins += 1;
                true
            };
            let answer = if paid {
                sold.tokens += 1;
                format!(
                    "HTTP/1.1 201 Created\r\nx-subject-token: t{}\r\nContent-Length: 2\r\n\r\n{{}}",
                    sold.tokens
                )
            } else {
                "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_owned()
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_paid_once_and_again_after_a_refusal() {
    let sold = Arc::new(Mutex::new(Sold::default()));
    let port = fake(Arc::clone(&sold)).await;
    let probe: Probe = serde_json::from_str(&format!(
        r#"{{"name":"token","every_ms":20,"timeout_ms":1000,"kind":{{"renewing":{{
            "url":"http://127.0.0.1:{port}/v3/auth/tokens","first_body":"{{{{hush}}}}"}}}}}}"#
    ))
    .unwrap();
    let limits = Limits {
        duration: Duration::from_secs(10),
        requests: 1000,
    };
    let handle = Prober::start(vec![probe], limits).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    {
        let mut sold = sold.lock().await;
        assert_eq!(sold.logins, 1);
        assert!(sold.tokens > 5);
        sold.valid_from = sold.tokens + 1;
    }
    sleep(Duration::from_millis(300)).await;
    let history = handle.stop().await;
    assert_eq!(sold.lock().await.logins, 2);
    let refused = Outcome::Failed("status 401".into());
    assert!((1..5).contains(&history.of("token").filter(|r| r.outcome == refused).count()));
    assert!(history.records.last().unwrap().outcome.good());
    assert!(!format!("{history:?}").contains("hush"));
}
