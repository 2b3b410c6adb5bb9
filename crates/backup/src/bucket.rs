//! Backups of one cloud in a bucket of an S3-compatible service. An object is there
//! whole or not at all: it has its name once all its parts were taken.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, DeleteObject, GetObject,
    ListObjectsV2, S3Action as _, UploadPart,
};
use rusty_s3::{Credentials, UrlStyle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Error;
use crate::access::Access;
use crate::folder::{Kept, time_of};

/// What a place in a bucket begins with: `s3://BUCKET/PREFIX`.
pub const SCHEME: &str = "s3://";

/// How long a signed request may be used. Longer than a part takes on a slow line.
const SIGNED: Duration = Duration::from_hours(1);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one request may take: a part of 16 MiB at 30 KiB/s.
const REQUEST: Duration = Duration::from_mins(10);
/// The least size of a part, in bytes, of which up to three lie in memory.
const PART: u64 = 16 << 20;
/// S3 takes 10,000 parts at most (its "Multipart upload limits").
const PARTS: u64 = 10_000;
/// How often a part is sent before it is given up.
const TRIES: u32 = 4;

/// Backups of a cloud in a bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    inner: rusty_s3::Bucket,
    credentials: Credentials,
    client: Client,
    /// What all keys begin with: empty, or with a slash at its end.
    prefix: String,
    cloud: String,
}

/// `s3://BUCKET/PREFIX` in its parts.
fn parts(place: &str) -> Option<(&str, &str)> {
    let rest = place.strip_prefix(SCHEME)?;
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    (!name.is_empty()).then_some((name, prefix.trim_matches('/')))
}

impl Bucket {
    /// The backups of `cloud` at `place`; nothing is asked yet.
    ///
    /// # Errors
    /// A place or an endpoint that is none, and authorities that cannot be read.
    pub fn open(place: &str, cloud: &str, access: &Access) -> Result<Self, Error> {
        let wrong = |why: String| Error::Place {
            place: place.to_owned(),
            why,
        };
        let (name, prefix) = parts(place).ok_or_else(|| wrong("it names no bucket".to_owned()))?;
        let (endpoint, style) = match &access.endpoint {
            // Who runs one of his own has seldom a name for each bucket.
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => (
                format!("https://s3.{}.amazonaws.com", access.region),
                UrlStyle::VirtualHost,
            ),
        };
        let url = Url::parse(&endpoint).map_err(|e| wrong(format!("the endpoint `{endpoint}`: {e}")))?;
        let inner = rusty_s3::Bucket::new(url, style, name.to_owned(), access.region.clone())
            .map_err(|e| wrong(format!("the endpoint `{endpoint}`: {e}")))?;
        let mut client = Client::builder().connect_timeout(CONNECT).timeout(REQUEST);
        if let Some(path) = &access.authorities {
            let trusted = Certificate::from_pem_bundle(&fs_err::read(path)?);
            client = client.tls_certs_only(trusted.map_err(|e| wrong(format!("`{path}`: {e}")))?);
        }
        Ok(Self {
            inner,
            credentials: match &access.token {
                Some(token) => Credentials::new_with_token(&access.key, &access.secret, token),
                None => Credentials::new(&access.key, &access.secret),
            },
            client: client.build().map_err(|e| wrong(told(&e)))?,
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            cloud: cloud.to_owned(),
        })
    }

    fn place(&self, key: &str) -> Utf8PathBuf {
        format!("{SCHEME}{}/{key}", self.inner.name()).into()
    }

    fn failed(&self, key: &str, why: String, cure: &'static str) -> Error {
        Error::Bucket {
            place: self.place(key),
            why,
            cure,
        }
    }

    /// Sends a request; what the service has against it.
    async fn send(&self, key: &str, request: RequestBuilder) -> Result<Response, Refused> {
        let answer = request.send().await.map_err(|e| Refused {
            again: true,
            error: self.failed(
                key,
                format!("the service cannot be asked: {}", told(&e)),
                "is it reached from here? `AWS_ENDPOINT_URL` says where it is",
            ),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        let code = code(&body);
        let (why, cure) = match (code, status) {
            ("NoSuchBucket", _) => ("there is no such bucket".to_owned(), "make it, or name another"),
            ("NoSuchKey", _) => (
                "there is no such backup".to_owned(),
                "`quorate backup list` shows them",
            ),
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => (
                format!("the credentials are refused ({status} {code})"),
                "they are those of `AWS_ACCESS_KEY_ID` or of `~/.aws/credentials`; may they read and write there?",
            ),
            _ => (format!("the service answers {status} {code}"), "run it again"),
        };
        Err(Refused {
            again: status.is_server_error(),
            error: self.failed(key, why, cure),
        })
    }

    /// All that are there, the oldest first. What has another name is no backup of this cloud.
    pub async fn list(&self) -> Result<Vec<Kept>, Error> {
        let mut out = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut action = ListObjectsV2::new(&self.inner, Some(&self.credentials));
            action.with_prefix(format!("{}{}-", self.prefix, self.cloud));
            if let Some(token) = next.take() {
                action.with_continuation_token(token);
            }
            let answer = self
                .send(&self.prefix, self.client.get(action.sign(SIGNED)))
                .await;
            let text = answer.map_err(|r| r.error)?.text().await;
            let text = text.map_err(|e| self.cut(&self.prefix, &e))?;
            let page = ListObjectsV2::parse_response(&text)
                .map_err(|e| self.failed(&self.prefix, format!("its list cannot be read: {e}"), ""))?;
            for object in page.contents {
                let name = object.key.strip_prefix(&self.prefix).unwrap_or_default();
                if let Some(at) = time_of(&self.cloud, name) {
                    out.push(Kept {
                        at: at.to_owned(),
                        size: object.size.unwrap_or_default(),
                        path: self.place(&object.key),
                    });
                }
            }
            next = page.next_continuation_token;
            if next.is_none() {
                break;
            }
        }
        out.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(out)
    }

    fn cut(&self, key: &str, error: &reqwest::Error) -> Error {
        self.failed(
            key,
            format!("the connection was lost: {}", told(error)),
            "run it again",
        )
    }

    /// Sends a file there under its own name; where it lies then. Nothing has that name
    /// before all of it was taken.
    pub async fn put(&self, file: &Utf8Path) -> Result<Utf8PathBuf, Error> {
        let key = format!("{}{}", self.prefix, file.file_name().unwrap_or_default());
        let begin = CreateMultipartUpload::new(&self.inner, Some(&self.credentials), &key).sign(SIGNED);
        let answer = self.send(&key, self.client.post(begin)).await;
        let text = answer.map_err(|r| r.error)?.text().await;
        let text = text.map_err(|e| self.cut(&key, &e))?;
        let upload = CreateMultipartUpload::parse_response(&text)
            .map_err(|e| self.failed(&key, format!("its answer cannot be read: {e}"), ""))?;
        let sent = self.send_parts(&key, file, upload.upload_id()).await;
        if sent.is_err() {
            // Parts would be kept, and paid for. The reason of the failure is the first one's.
            let abort =
                AbortMultipartUpload::new(&self.inner, Some(&self.credentials), &key, upload.upload_id());
            let _ = self.send(&key, self.client.delete(abort.sign(SIGNED))).await;
        }
        sent.map(|()| self.place(&key))
    }

    async fn send_parts(&self, key: &str, path: &Utf8Path, upload: &str) -> Result<(), Error> {
        let size = tokio::fs::metadata(path).await?.len();
        let part = PART.max(size.div_ceil(PARTS));
        let mut file = tokio::fs::File::open(path).await?;
        let mut tags: Vec<String> = Vec::new();
        loop {
            let mut bytes = Vec::new();
            (&mut file).take(part).read_to_end(&mut bytes).await?;
            // An empty file has one part too.
            if bytes.is_empty() && !tags.is_empty() {
                break;
            }
            let number = u16::try_from(tags.len() + 1).unwrap_or(u16::MAX);
            tags.push(self.send_part(key, number, upload, bytes).await?);
        }
        let credentials = Some(&self.credentials);
        let tags = tags.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(&self.inner, credentials, key, upload, tags);
        let request = self.client.post(action.sign(SIGNED)).body(action.body());
        let text = self.send(key, request).await.map_err(|r| r.error)?.text().await;
        let text = text.map_err(|e| self.cut(key, &e))?;
        // It may say 200 first and then that it failed. Of what it says when it did not,
        // nothing is needed, and services leave this or that out of it.
        match code(&text) {
            "" => Ok(()),
            code => Err(self.failed(key, format!("it was not taken: {code}"), "run it again")),
        }
    }

    async fn send_part(&self, key: &str, number: u16, upload: &str, bytes: Vec<u8>) -> Result<String, Error> {
        let action = UploadPart::new(&self.inner, Some(&self.credentials), key, number, upload);
        let mut tries = 0;
        loop {
            tries += 1;
            let request = self.client.put(action.sign(SIGNED)).body(bytes.clone());
            match self.send(key, request).await {
                Ok(answer) => {
                    let tag = answer.headers().get("etag").and_then(|t| t.to_str().ok());
                    let missing = || self.failed(key, "its answer has no ETag".to_owned(), "");
                    return tag.map(str::to_owned).ok_or_else(missing);
                }
                Err(refused) if refused.again && tries < TRIES => {
                    tokio::time::sleep(Duration::from_secs(1 << tries)).await;
                }
                Err(refused) => return Err(refused.error),
            }
        }
    }

    /// Brings the backup of a name into a file that is not there yet.
    pub async fn get(&self, name: &str, to: &Utf8Path) -> Result<(), Error> {
        let key = format!("{}{name}", self.prefix);
        let action = GetObject::new(&self.inner, Some(&self.credentials), &key);
        let answer = self.send(&key, self.client.get(action.sign(SIGNED))).await;
        let mut answer = answer.map_err(|r| r.error)?;
        let mut file = tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .await?;
        while let Some(bytes) = answer.chunk().await.map_err(|e| self.cut(&key, &e))? {
            file.write_all(&bytes).await?;
        }
        Ok(file.sync_all().await?)
    }

    /// Removes all but the newest `keep`; those that went.
    pub async fn prune(&self, keep: usize) -> Result<Vec<Kept>, Error> {
        let mut all = self.list().await?;
        all.truncate(all.len().saturating_sub(keep));
        for old in &all {
            let key = format!("{}{}", self.prefix, old.path.file_name().unwrap_or_default());
            let action = DeleteObject::new(&self.inner, Some(&self.credentials), &key);
            let gone = self.send(&key, self.client.delete(action.sign(SIGNED))).await;
            gone.map_err(|r| r.error)?;
        }
        Ok(all)
    }
}

/// A request that was not answered well, and whether it may be said again.
struct Refused {
    again: bool,
    error: Error,
}

/// The service's own word for what is wrong.
fn code(body: &str) -> &str {
    let inner = body
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    inner.map_or("", |(code, _)| code)
}

/// An error with its reasons, without the URL: a signed one may be used by whoever reads it.
fn told(error: &reqwest::Error) -> String {
    let mut out = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = next {
        if !out.is_empty() {
            out.push_str(": ");
        }
        out.push_str(&error.to_string());
        next = error.source();
    }
    if out.is_empty() {
        out.push_str("it did not answer in time");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_apart() {
        let check = |place: &str, expect| assert_eq!(parts(place), expect);
        check("s3://b", Some(("b", "")));
        check("s3://b/", Some(("b", "")));
        check("s3://b/x/y/", Some(("b", "x/y")));
        check("s3:///x", None);
        check("/srv/backups", None);
    }
}
