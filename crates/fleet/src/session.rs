//! One SSH connection to one host, with the agent at its other end.
//!
//! The operator's own `ssh` is run as a child and its standard streams carry
//! the frames: `~/.ssh/config`, jump hosts, agents, FIDO keys and known_hosts
//! all keep working. No SSH library and no control master: one session is all
//! we need, so multiplexing would only add a socket to go stale.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use futures::{SinkExt as _, StreamExt as _};
use names::HostName;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use wire::{FromAgent, Hello, Op, OpError, Reply, ToAgent};

use crate::Binary;

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the cloud.
    pub name: HostName,
    /// What `ssh` is told: an address or an alias of its configuration.
    pub destination: String,
    /// User, when not left to ssh.
    pub user: Option<String>,
    /// Port, when not left to ssh.
    pub port: Option<u16>,
    /// `ssh -F`.
    pub config: Option<Utf8PathBuf>,
}

impl Target {
    /// The words that tell `ssh` where to go, destination last.
    pub fn words(&self) -> Vec<String> {
        let options = [
            ("-F", self.config.as_ref().map(ToString::to_string)),
            ("-p", self.port.map(|port| port.to_string())),
            ("-l", self.user.clone()),
        ];
        let mut out = Vec::new();
        for (flag, value) in options {
            out.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        out.extend(["--".to_owned(), self.destination.clone()]);
        out
    }
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {message}")]
pub struct ConnectError {
    /// The host.
    pub host: HostName,
    /// What failed, with ssh's own words.
    pub message: String,
    /// What may cure it.
    pub cure: String,
}

/// Why a call gave no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The agent did it and it failed.
    #[error("{0}")]
    Failed(OpError),
    /// The session ended under the call: what became of it is not known.
    #[error("the connection was lost")]
    Lost,
}

/// Calls under way; `None` once nobody will answer any more.
type Waiting = Arc<Mutex<Option<HashMap<u64, Pending>>>>;

struct Pending {
    done: oneshot::Sender<Result<Reply, CallError>>,
    progress: Option<mpsc::UnboundedSender<String>>,
}

/// A live session.
#[derive(Debug)]
pub struct Session {
    /// The host's name in the cloud.
    pub host: HostName,
    /// What the agent said first.
    pub hello: Hello,
    calls: mpsc::UnboundedSender<ToAgent>,
    waiting: WaitingDebug,
    next: AtomicU64,
}

/// Calls under way; only its count is worth printing.
struct WaitingDebug(Waiting);

impl std::fmt::Debug for WaitingDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} calls",
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map_or(0, HashMap::len)
        )
    }
}

/// Link to the version of the program that stays and runs on a host, whoever connects.
const STAYS: &str = "/usr/lib/quorate/quorate";
const READY: &str = "QUORATE-READY";
const NEED: &str = "QUORATE-NEED";

/// Ways to a host that a test has otherwise.
#[derive(Clone, Copy)]
struct Means<'a> {
    /// The program that logs in.
    ssh: &'a str,
    /// Folder of the pushed programs on the host.
    folder: &'a str,
}

const MEANS: Means<'_> = Means {
    ssh: "ssh",
    folder: "/var/lib/quorate/bin",
};

/// A pushed program: its name's hash and its sizes, compressed and not.
struct Push<'a> {
    hash: &'a str,
    packed: usize,
    size: u64,
    /// Sent even where a file of the right size is there: it said no hello of ours.
    again: bool,
}

/// What runs on the host first: sees whether the program is there, takes it
/// from standard input if not, and becomes the agent. `head -c` reads not a
/// byte beyond what it is told, so the frames that follow stay in the pipe.
/// On the disk before it has its name: a power cut would leave an empty file.
fn bootstrap(folder: &str, push: &Push<'_>) -> String {
    let Push {
        hash,
        packed,
        size,
        again,
    } = push;
    let there = if *again {
        "false".to_owned()
    } else {
        format!("[ -x \"$f\" ] && [ \"$(stat -c %s \"$f\")\" = {size} ]")
    };
    let root = format!(
        "d={folder}; f=$d/quorate-{hash}; \
         if ! {{ {there}; }}; then \
         mkdir -p \"$d\" || exit 71; echo {NEED}; t=$(mktemp \"$f.XXXXXX\") || exit 71; \
         if head -c {packed} | gzip -dc > \"$t\" && chmod 755 \"$t\" && sync \"$t\" && mv -f \"$t\" \"$f\" && sync \"$d\"; then \
         l=$(readlink {STAYS} || :); \
         find \"$d\" -type f ! -name \"quorate-{hash}\" ! -name \"${{l##*/}}\" -mtime +7 -delete; else rm -f \"$t\"; exit 71; fi; fi; \
         echo {READY}; exec \"$f\" agent serve"
    );
    // The user's login shell may be anything, so only words that all shells read alike.
    let script =
        format!("if [ \"$(id -u)\" = 0 ]; then exec sh -c '{root}'; else exec sudo -n sh -c '{root}'; fi");
    format!("exec /bin/sh -c {}", quote(&script))
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// From ssh's own words and exit status to what happened and what cures it.
fn explain(host: &HostName, status: Option<i32>, stderr: &str) -> ConnectError {
    let last = stderr
        .lines()
        .rev()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("ssh ended without a word")
        .trim();
    let has = |needle: &str| stderr.contains(needle);
    let cure = if has("Permission denied") {
        "the host does not accept your key: check `ssh` in the cloud file, or add your public key to its authorized_keys"
    } else if has("Host key verification failed") || has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "the host's key is not the known one: make sure that it is the right host, then update known_hosts"
    } else if has("sudo:") {
        "the user must be root or able to `sudo -n` without a password"
    } else if has("No space left on device") || status == Some(71) {
        "make room on the host's /var, then run it again"
    } else if has("timed out")
        || has("No route")
        || has("refused")
        || has("unreachable")
        || has("Could not resolve")
    {
        "is the host on, its address right and its sshd running?"
    } else {
        "try the same by hand: `quorate ssh HOST`"
    };
    ConnectError {
        host: host.clone(),
        message: format!("cannot connect: {last}"),
        cure: cure.to_owned(),
    }
}

impl Session {
    /// Connects, pushes the program if this version is not on the host, and
    /// waits for the agent's hello. Gives up after 90 s in all.
    pub async fn open(target: Target, binary: &Binary) -> Result<Self, ConnectError> {
        let limit = Duration::from_secs(90);
        let host = target.name.clone();
        match tokio::time::timeout(limit, Self::open_by(MEANS, &target, binary)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError {
                host,
                message: format!(
                    "cannot connect: no answer from the agent within {} s",
                    limit.as_secs()
                ),
                cure: "is the host overloaded, or its disk stalled?".to_owned(),
            }),
        }
    }

    /// A second time where what lies on the host is not our program: it is pushed over it.
    async fn open_by(means: Means<'_>, target: &Target, binary: &Binary) -> Result<Self, ConnectError> {
        match Self::attempt(means, target, binary, false).await {
            Err(Attempt::Stranger(_)) => Self::attempt(means, target, binary, true).await,
            other => other,
        }
        .map_err(|(Attempt::Failed(error) | Attempt::Stranger(error))| error)
    }

    async fn attempt(
        means: Means<'_>,
        target: &Target,
        binary: &Binary,
        again: bool,
    ) -> Result<Self, Attempt> {
        let fail = |message: String| {
            Attempt::Failed(ConnectError {
                host: target.name.clone(),
                message,
                cure: "is OpenSSH's `ssh` installed on this machine?".to_owned(),
            })
        };
        let packed = binary
            .packed()
            .await
            .map_err(|e| fail(format!("cannot read this program: {e}")))?;
        let push = Push {
            hash: binary.hash(),
            packed: packed.len(),
            size: binary.size(),
            again,
        };
        let mut child = log_in(means, target, &push).map_err(|e| fail(format!("cannot run ssh: {e}")))?;
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(fail("cannot run ssh: no pipes".to_owned()));
        };
        let errors = tokio::spawn(async move {
            let mut text = Vec::new();
            // Bounded: a broken host must not fill our memory.
            let _ = (&mut stderr).take(64 << 10).read_to_end(&mut text).await;
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut reader = BufReader::new(stdout);
        let started = handshake(&mut reader, &mut stdin, &packed).await;
        let codec = || {
            LengthDelimitedCodec::builder()
                .max_frame_length(wire::MAX_FRAME)
                .new_codec()
        };
        let mut frames = FramedRead::new(reader, codec());
        let hello = if started { hello(&mut frames).await } else { None };
        let Some(hello) = hello else {
            // The pipe is closed first, so that a remote that still reads ends.
            drop(stdin);
            let status = child.wait().await.ok().and_then(|s| s.code());
            let text = errors.await.unwrap_or_default();
            let error = explain(&target.name, status, &text);
            return Err(if started {
                Attempt::Stranger(error)
            } else {
                Attempt::Failed(error)
            });
        };
        if hello.protocol != wire::PROTOCOL || hello.build != binary.hash() {
            return Err(Attempt::Stranger(ConnectError {
                host: target.name.clone(),
                message: format!("the program on the host is another build ({})", hello.build),
                cure: format!("remove {}/quorate-{} there", means.folder, binary.hash()),
            }));
        }
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (calls, outgoing) = mpsc::unbounded_channel();
        tokio::spawn(write_frames(FramedWrite::new(stdin, codec()), outgoing));
        tokio::spawn(read_frames(frames, Arc::clone(&waiting), child));
        Ok(Self {
            host: target.name.clone(),
            hello,
            calls,
            waiting: WaitingDebug(waiting),
            next: AtomicU64::new(1),
        })
    }

    /// Does one operation and waits for its end. Progress lines go to `progress`.
    pub async fn call(
        &self,
        op: Op,
        progress: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Reply, CallError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, result) = oneshot::channel();
        match self
            .waiting
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            Some(waiting) => waiting.insert(id, Pending { done, progress }),
            // The reader has ended: an entry made now would be dropped by nobody.
            None => return Err(CallError::Lost),
        };
        if self.calls.send(ToAgent::Call { id, op }).is_err() {
            return Err(CallError::Lost);
        }
        // A reader that ends later drops all entries, which ends this wait.
        result.await.unwrap_or(Err(CallError::Lost))
    }

    /// Whether the connection is still there.
    pub fn alive(&self) -> bool {
        self.waiting
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

/// A login that gave no session.
enum Attempt {
    /// Before the program ran, or for want of it.
    Failed(ConnectError),
    /// The program on the host ended without a hello, or is another.
    Stranger(ConnectError),
}

fn log_in(means: Means<'_>, target: &Target, push: &Push<'_>) -> std::io::Result<Child> {
    let mut ssh = Command::new(means.ssh);
    ssh.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=8"]);
    // A host that loses power says nothing: 3 × 3 s without an answer is lost.
    ssh.args(["-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3"]);
    // Of the operator's own configuration nothing that a host could use against this machine.
    ssh.args(["-o", "ForwardAgent=no", "-o", "ForwardX11=no"]);
    ssh.args(["-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no"]);
    ssh.args(target.words()).arg(bootstrap(means.folder, push));
    ssh.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C reaches the whole terminal group; ssh must not die before we have said goodbye.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn hello(
    frames: &mut FramedRead<BufReader<tokio::process::ChildStdout>, LengthDelimitedCodec>,
) -> Option<Hello> {
    let frame = frames.next().await?.ok()?;
    match wire::decode::<FromAgent>(&frame).ok()? {
        FromAgent::Hello(hello) => Some(hello),
        _ => None,
    }
}

/// Reads lines until the agent is ready; sends the program when asked for it.
async fn handshake(
    reader: &mut BufReader<tokio::process::ChildStdout>,
    stdin: &mut ChildStdin,
    packed: &[u8],
) -> bool {
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line).await {
            Ok(n) if n > 0 => {}
            _ => return false,
        }
        match line.trim() {
            READY => return true,
            NEED if send(stdin, packed).await.is_err() => return false,
            // A login script that talks.
            _ => {}
        }
    }
}

async fn send(stdin: &mut ChildStdin, bytes: &[u8]) -> std::io::Result<()> {
    stdin.write_all(bytes).await?;
    stdin.flush().await
}

async fn write_frames(
    mut sink: FramedWrite<ChildStdin, LengthDelimitedCodec>,
    mut outgoing: mpsc::UnboundedReceiver<ToAgent>,
) {
    while let Some(message) = outgoing.recv().await {
        let Ok(bytes) = wire::encode(&message) else {
            continue;
        };
        if sink.send(Bytes::from(bytes)).await.is_err() {
            return;
        }
    }
    if let Ok(bytes) = wire::encode(&ToAgent::Bye) {
        let _ = sink.send(Bytes::from(bytes)).await;
    }
}

async fn read_frames(
    mut frames: FramedRead<BufReader<tokio::process::ChildStdout>, LengthDelimitedCodec>,
    waiting: Waiting,
    mut child: Child,
) {
    while let Some(Ok(frame)) = frames.next().await {
        let Ok(message) = wire::decode::<FromAgent>(&frame) else {
            break;
        };
        let mut guard = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = guard.as_mut() else { break };
        match message {
            FromAgent::Hello(_) => {}
            FromAgent::Progress { id, line } => {
                if let Some(progress) = waiting.get(&id).and_then(|p| p.progress.as_ref()) {
                    let _ = progress.send(line);
                }
            }
            FromAgent::Done { id, result } => {
                if let Some(pending) = waiting.remove(&id) {
                    let _ = pending.done.send(result.map_err(CallError::Failed));
                }
            }
        }
    }
    // Dropping the senders tells every caller that the connection is lost.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let _ = child.wait().await;
}

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
