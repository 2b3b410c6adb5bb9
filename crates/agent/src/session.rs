//! One session: the hello, then calls in, progress and results out, until
//! `Bye` or the end of the input. Not for what the calls do (`ops`).
//!
//! The end of the input means that the operator is gone: the session ends at
//! once and the host's lock with it, while commands under way go on, since
//! they are units of systemd and not our children.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::{
    bytes::Bytes,
    codec::{FramedRead, FramedWrite, LengthDelimitedCodec},
};
use wire::{FromAgent, Hello, OpError, ToAgent};

use crate::{
    host,
    ops::{self, Session},
};

/// Why a session ended other than by `Bye` or the end of its input.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The streams broke, or a frame was larger than [`wire::MAX_FRAME`].
    #[error("cannot talk to the operator's side")]
    Stream(#[from] std::io::Error),
    /// A frame that is not of our protocol: the peer is another build.
    #[error("cannot read the request")]
    Frame(#[from] postcard::Error),
}

/// Where a call tells how it is getting on.
#[derive(Clone)]
pub(crate) struct Progress {
    id: u64,
    out: mpsc::UnboundedSender<FromAgent>,
}

impl Progress {
    /// A way to tell progress to nobody.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self {
            id: 0,
            out: mpsc::unbounded_channel().0,
        }
    }

    /// Tells one line.
    pub(crate) fn say(&self, line: impl Into<String>) {
        // Nobody listens any more: the session is ending, and so are we.
        let _ = self.out.send(FromAgent::Progress {
            id: self.id,
            line: line.into(),
        });
    }
}

/// Serves one operator until `Bye` or the end of `reader`.
///
/// `build` is the hash of the running binary; the other side refuses a stranger.
///
/// # Errors
/// When the streams break or carry something that is not our protocol.
pub async fn serve(reader: impl AsyncRead, writer: impl AsyncWrite, build: &str) -> Result<(), AgentError> {
    let (out, mut replies) = mpsc::unbounded_channel();
    let hello = Hello {
        protocol: wire::PROTOCOL,
        build: build.to_owned(),
        hostname: host::hostname(),
        boot_id: host::boot_id(),
    };

    let write = async move {
        let mut frames = FramedWrite::new(Box::pin(writer), codec());
        frames
            .send(Bytes::from(wire::encode(&FromAgent::Hello(hello))?))
            .await?;
        while let Some(message) = replies.recv().await {
            frames.send(Bytes::from(encode(&message)?)).await?;
        }
        Ok::<_, AgentError>(())
    };
    let read = read(reader, out);
    tokio::pin!(write);

    // Two futures and not one loop: a slow reader on the other side must not
    // keep us from seeing that it went away.
    let ended = tokio::select! {
        ended = read => ended?,
        broken = &mut write => return broken,
    };
    match ended {
        Ended::Bye => write.await,
        Ended::Gone => Ok(()),
    }
}

enum Ended {
    Bye,
    Gone,
}

async fn read(reader: impl AsyncRead, out: mpsc::UnboundedSender<FromAgent>) -> Result<Ended, AgentError> {
    let mut frames = FramedRead::new(Box::pin(reader), codec());
    let session = Arc::new(Session::default());
    // Dropped with this future: calls under way are given up then.
    let mut calls = JoinSet::new();
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            Some(_) = calls.join_next(), if !calls.is_empty() => continue,
        };
        let Some(frame) = frame else {
            return Ok(Ended::Gone);
        };
        match wire::decode(&frame?)? {
            ToAgent::Call { id, op } => {
                let session = Arc::clone(&session);
                let out = out.clone();
                calls.spawn(async move {
                    let progress = Progress { id, out: out.clone() };
                    let result = AssertUnwindSafe(ops::perform(&session, op, &progress))
                        .catch_unwind()
                        .await
                        .unwrap_or_else(|_| Err(OpError::new("the agent has a bug here: it panicked")));
                    let _ = out.send(FromAgent::Done { id, result });
                });
            }
            // Whoever says it has all answers that it wants: a wait that it gave up must
            // not keep the session, and the host's lock with it.
            ToAgent::Bye => return Ok(Ended::Bye),
        }
    }
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(wire::MAX_FRAME)
        .new_codec()
}

/// A reply that would not fit a frame becomes an error of its call alone.
fn encode(message: &FromAgent) -> Result<Vec<u8>, AgentError> {
    let bytes = wire::encode(message)?;
    match *message {
        FromAgent::Done { id, .. } if bytes.len() > wire::MAX_FRAME => {
            let error = OpError::new(format!("the answer is too large: {} bytes", bytes.len()));
            Ok(wire::encode(&FromAgent::Done {
                id,
                result: Err(error),
            })?)
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use wire::{Answer, Expect, Fact, Op, Query, Reply, Wait};

    use super::*;

    struct Operator {
        write: FramedWrite<tokio::io::WriteHalf<DuplexStream>, LengthDelimitedCodec>,
        read: FramedRead<tokio::io::ReadHalf<DuplexStream>, LengthDelimitedCodec>,
    }

    impl Operator {
        async fn send(&mut self, message: ToAgent) {
            self.write
                .send(Bytes::from(wire::encode(&message).unwrap()))
                .await
                .unwrap();
        }

        async fn next(&mut self) -> Option<FromAgent> {
            self.read
                .next()
                .await
                .map(|frame| wire::decode(&frame.unwrap()).unwrap())
        }
    }

    fn start() -> (Operator, tokio::task::JoinHandle<Result<(), AgentError>>) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let agent = tokio::spawn(async move {
            let (reader, writer) = tokio::io::split(theirs);
            serve(reader, writer, "abc").await
        });
        let (read, write) = tokio::io::split(ours);
        (
            Operator {
                write: FramedWrite::new(write, codec()),
                read: FramedRead::new(read, codec()),
            },
            agent,
        )
    }

    fn sleeper(id: u64, timeout_ms: u64) -> ToAgent {
        let wait = Wait {
            what: "the moon is green".to_owned(),
            query: Query::Read("/nonexistent".to_owned()),
            expect: Expect::Contains("green".to_owned()),
            timeout_ms,
            every_ms: 20,
        };
        ToAgent::Call {
            id,
            op: Op::Wait(wait),
        }
    }

    #[tokio::test]
    async fn hello_then_calls_at_the_same_time_then_bye() {
        let (mut operator, agent) = start();
        let Some(FromAgent::Hello(hello)) = operator.next().await else {
            panic!("no hello")
        };
        assert_eq!((hello.protocol, hello.build.as_str()), (wire::PROTOCOL, "abc"));
        operator.send(sleeper(1, 300)).await;
        operator
            .send(ToAgent::Call {
                id: 2,
                op: Op::Ask(Query::Read("/proc/self/comm".to_owned())),
            })
            .await;
        let mut done = Vec::new();
        while done.len() < 2 {
            match operator.next().await.unwrap() {
                FromAgent::Done { id, result } => done.push((id, result)),
                FromAgent::Progress { id, .. } => assert_eq!(id, 1),
                FromAgent::Hello(_) => panic!("a second hello"),
            }
        }
        // The later call did not wait for the earlier one.
        assert_eq!(done[0].0, 2);
        assert!(
            matches!(&done[0].1, Ok(Reply::Answer(Fact::Known(Answer::Text(_))))),
            "{done:?}"
        );
        let error = done[1].1.clone().unwrap_err();
        assert!(
            error
                .message
                .starts_with("the moon is green: not so after 0.3 s: last seen"),
            "{error}"
        );
        // What is still under way was given up: it keeps nobody here.
        operator.send(sleeper(3, 60_000)).await;
        operator.send(ToAgent::Bye).await;
        agent.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_end_of_the_input_ends_the_session_at_once() {
        let (mut operator, agent) = start();
        operator.next().await;
        operator.send(sleeper(1, 60_000)).await;
        drop(operator);
        tokio::time::timeout(Duration::from_secs(5), agent)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_stranger_is_an_error() {
        let (mut operator, agent) = start();
        operator.write.send(Bytes::from_static(&[0xff; 9])).await.unwrap();
        assert!(matches!(agent.await.unwrap(), Err(AgentError::Frame(_))));
    }
}
