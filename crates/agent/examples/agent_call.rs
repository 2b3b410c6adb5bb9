//! Sends requests to an agent and prints what it answers, for trying by hand:
//!
//! ```text
//! agent_call 'ssh root@host /tmp/agent_stdio' '{"Ask":{"Read":"/etc/hostname"}}' …
//! ```
//!
//! The requests are JSON of `wire::Op` (`@FILE` reads one), made one after
//! another in one session; `template NAME` prints an `Observe` to start from.

use std::{io::Write as _, process::Stdio, time::Instant};

use futures::{SinkExt as _, StreamExt as _};
use tokio::process::Command;
use tokio_util::{
    bytes::Bytes,
    codec::{FramedRead, FramedWrite, LengthDelimitedCodec},
};
use wire::{FromAgent, Op, ToAgent};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let prefix = arguments.next().ok_or("usage: agent_call COMMAND OP...")?;
    if prefix == "template" {
        println!(
            "{}",
            serde_json::to_string(&Op::Observe(wire::Observe::default()))?
        );
        return Ok(());
    }
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(&prefix)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let codec = || {
        LengthDelimitedCodec::builder()
            .max_frame_length(wire::MAX_FRAME)
            .new_codec()
    };
    let mut send = FramedWrite::new(child.stdin.take().ok_or("no input")?, codec());
    let mut receive = FramedRead::new(child.stdout.take().ok_or("no output")?, codec());
    let mut out = std::io::stdout();
    if let Some(frame) = receive.next().await {
        writeln!(out, "{:?}", wire::decode::<FromAgent>(&frame?)?)?;
    }
    for (id, argument) in (1..).zip(arguments) {
        let text = match argument.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)?,
            None => argument,
        };
        let op: Op = serde_json::from_str(&text)?;
        let start = Instant::now();
        send.send(Bytes::from(wire::encode(&ToAgent::Call { id, op })?))
            .await?;
        while let Some(frame) = receive.next().await {
            match wire::decode(&frame?)? {
                FromAgent::Done { result, .. } => {
                    writeln!(
                        out,
                        "{} ms: {}",
                        start.elapsed().as_millis(),
                        serde_json::to_string_pretty(&result)?
                    )?;
                    break;
                }
                FromAgent::Progress { line, .. } => writeln!(out, "  | {line}")?,
                FromAgent::Hello(_) => {}
            }
        }
    }
    send.send(Bytes::from(wire::encode(&ToAgent::Bye)?)).await?;
    child.wait().await?;
    Ok(())
}
