//! A bucket against a server that speaks S3 and is not ours (moto, from PyPI). Where it
//! is not installed, the test says so and ends: `pip install 'moto[server]'`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "support/moto.rs"]
mod moto;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backup::{Access, Bucket};
use camino::{Utf8Path, Utf8PathBuf};

fn bucket(place: &str, port: u16) -> Bucket {
    let access = Access::new(
        "key",
        "secret",
        "us-east-1",
        Some(format!("http://127.0.0.1:{port}")),
    );
    Bucket::open(place, "demo", &access).unwrap()
}

fn file(folder: &Utf8Path, day: u8, size: usize) -> Utf8PathBuf {
    let path = folder.join(format!("demo-202601{day:02}T000000Z.tar.age"));
    let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
    fs_err::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn backups_are_sent_listed_brought_back_and_pruned() {
    let Some(server) = moto::server() else { return };
    moto::make(server.port, "kept");
    let dir = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(dir.path()).unwrap();
    let bucket = bucket("s3://kept/site/a", server.port);
    assert_eq!(bucket.list().await.unwrap(), []);
    // Of several parts, of one, and of nothing.
    for (day, size) in [(1, 40 << 20), (2, 1000), (3, 0)] {
        let sent = bucket.put(&file(folder, day, size)).await.unwrap();
        assert_eq!(
            sent,
            format!("s3://kept/site/a/demo-202601{day:02}T000000Z.tar.age")
        );
    }
    // Another cloud's, whose name begins so.
    let other = folder.join("demo-b-20260101T000000Z.tar.age");
    fs_err::write(&other, "x").unwrap();
    bucket.put(&other).await.unwrap();
    let listed: Vec<(String, u64)> = bucket
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|k| (k.at, k.size))
        .collect();
    let expect = [
        ("20260101T000000Z", 40 << 20),
        ("20260102T000000Z", 1000),
        ("20260103T000000Z", 0),
    ];
    assert_eq!(listed, expect.map(|(at, size)| (at.to_owned(), size)));
    let back = folder.join("back");
    bucket.get("demo-20260101T000000Z.tar.age", &back).await.unwrap();
    let same =
        fs_err::read(&back).unwrap() == fs_err::read(folder.join("demo-20260101T000000Z.tar.age")).unwrap();
    assert!(same, "it came back otherwise");
    let gone = bucket.prune(1).await.unwrap();
    assert_eq!(gone.len(), 2);
    assert_eq!(bucket.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let Some(server) = moto::server() else { return };
    let check = |result: Result<(), backup::Error>, why: &str| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.cure().is_some_and(|cure| !cure.is_empty()), "{error}");
        assert!(
            !error.to_string().contains("X-Amz-"),
            "a signed URL is told: {error}"
        );
    };
    let missing = bucket("s3://missing", server.port);
    check(missing.list().await.map(|_| ()), "there is no such bucket");
    moto::make(server.port, "there");
    let dir = tempfile::tempdir().unwrap();
    let to = Utf8Path::from_path(dir.path()).unwrap().join("to");
    let there = bucket("s3://there", server.port);
    check(
        there.get("demo-20260101T000000Z.tar.age", &to).await,
        "there is no such backup",
    );
    assert!(!to.exists());
    let nobody = bucket("s3://there", moto::free_port());
    check(nobody.list().await.map(|_| ()), "the service cannot be asked");
}

/// Gives its answers to one connection after the other, and nothing to all after them;
/// counts the connections.
fn answering(answers: Vec<String>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            if let Some(answer) = answers.get(number) {
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    (port, count)
}

/// A part is sent four times, with waits between them, before it is given up: this takes
/// a quarter of a minute.
#[tokio::test]
async fn an_upload_that_is_cut_is_taken_back_and_said() {
    const BEGUN: &str = "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Bucket>there</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BEGUN}",
        BEGUN.len()
    );
    let (port, count) = answering(vec![answer]);
    let dir = tempfile::tempdir().unwrap();
    let path = file(Utf8Path::from_path(dir.path()).unwrap(), 1, 1000);
    let error = bucket("s3://there", port).put(&path).await.unwrap_err();
    assert!(
        error.to_string().contains("the service cannot be asked"),
        "{error}"
    );
    // Begun, four times the part, and taken back.
    assert!(count.load(Ordering::SeqCst) >= 6);
    assert!(path.exists());
}

#[tokio::test]
async fn refused_credentials_are_named_and_not_tried_again() {
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 48\r\nConnection: close\r\n\r\n<Error><Code>SignatureDoesNotMatch</Code></Error>";
    let (port, count) = answering(vec![answer.to_owned()]);
    let error = bucket("s3://there", port).list().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the credentials are refused (403 Forbidden SignatureDoesNotMatch)"),
        "{error}"
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
