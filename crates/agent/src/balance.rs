//! The host's balancer, by its socket for administrators: who is sent where.
//! Not for what its file says (`files`). The commands are of HAProxy's
//! management guide, 9.3 ("Unix Socket commands").

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wire::{Balance, OpError, ServerState, let_in};

use crate::{session::Progress, socket::say};

const EVERY: Duration = Duration::from_millis(50);

/// A server as `show stat` has it.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    status: String,
    /// Sessions on it now.
    sessions: u64,
    /// The balancer asks it how it is. One that it never asks counts as up for ever.
    checked: bool,
}

/// One server's row in the CSV of `show stat`.
fn server(csv: &str, name: &str) -> Option<Server> {
    let (section, server) = name.split_once('/')?;
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next()?.trim_start_matches("# ").split(',').collect();
    let at = |name: &str| columns.iter().position(|c| *c == name);
    let (section_at, server_at, status, sessions) =
        (at("pxname")?, at("svname")?, at("status")?, at("scur")?);
    let check = at("check_status")?;
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .find(|row| row.get(section_at) == Some(&section) && row.get(server_at) == Some(&server))
        .map(|row| Server {
            status: row.get(status).copied().unwrap_or_default().to_owned(),
            sessions: row.get(sessions).and_then(|s| s.parse().ok()).unwrap_or(0),
            checked: row.get(check).is_some_and(|c| !c.is_empty()),
        })
}

fn is(status: &str, state: ServerState) -> bool {
    // `DRAIN (agent)`, `MAINT (via …)`: the first word is the state.
    let word = status.split(' ').next().unwrap_or_default();
    match state {
        ServerState::Ready => !matches!(word, "DRAIN" | "MAINT"),
        ServerState::Drain => word == "DRAIN",
        ServerState::Maint => word == "MAINT",
    }
}

/// Whether a server gets requests. `UP 1/2` is on its way down, and still does.
fn is_up(status: &str) -> bool {
    status.starts_with("UP") || status == "no check"
}

/// Brings servers to a state; how many were not in it. Waits for those who are
/// on a server that is taken out, as long as it may.
pub(crate) async fn set(wanted: &Balance, progress: &Progress) -> Result<u32, OpError> {
    let show = async || say(&wanted.socket, "show stat").await;
    let Some(before) = show().await? else {
        progress.say("the balancer does not run here: it sends nobody anywhere");
        return Ok(0);
    };
    let mut changed = 0;
    for name in &wanted.servers {
        // One that is not in its file yet, or no more, gets nobody from it.
        let Some(now) = server(&before, name) else {
            continue;
        };
        let differs = !is(&now.status, wanted.state);
        changed += u32::from(differs);
        let words = if wanted.state == ServerState::Ready && differs && now.checked {
            let_in(name).join(";")
        } else {
            wanted.state.command(name)
        };
        tell(wanted, name, &words).await?;
    }
    let until = Instant::now() + Duration::from_millis(wanted.wait_ms);
    if wanted.state == ServerState::Ready {
        // Let in is not in: it gets somebody once its checks are good. The next host
        // must not be taken out before.
        while let Some(now) = show().await? {
            let servers = wanted.servers.iter().filter_map(|n| Some((n, server(&now, n)?)));
            let Some((name, down)) = servers.into_iter().find(|(_, s)| !is_up(&s.status)) else {
                break;
            };
            if Instant::now() >= until {
                return Err(OpError::new(format!(
                    "{name} is let in and still {}: its check fails here",
                    down.status
                )));
            }
            sleep(EVERY).await;
        }
        return Ok(changed);
    }
    while let Some(now) = show().await? {
        let mut left = 0;
        let mut forgotten = false;
        for name in &wanted.servers {
            let Some(now) = server(&now, name) else { continue };
            left += now.sessions;
            // What was said is with the worker that heard it. One that came up meanwhile,
            // by a reload that somebody else asked for, sends it requests again.
            if is_up(&now.status) {
                forgotten = true;
                tell(wanted, name, &wanted.state.command(name)).await?;
            }
        }
        if left == 0 && !forgotten {
            break;
        }
        if Instant::now() >= until {
            progress.say(format!("{left} sessions are still open; they will be broken"));
            break;
        }
        sleep(EVERY).await;
    }
    Ok(changed)
}

/// Says a server's state, in the balancer's words.
async fn tell(wanted: &Balance, name: &str, words: &str) -> Result<(), OpError> {
    let said = say(&wanted.socket, words).await?;
    match said.filter(|s| !s.trim().is_empty()) {
        None => Ok(()),
        Some(said) => Err(OpError::new(format!(
            "the balancer does not do `{words}` for {name}: {}",
            said.trim()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixListener;
    use tokio::sync::mpsc;

    use super::*;

    /// Of HAProxy 3.0's `show stat`, columns left out.
    const STAT: &str = "# pxname,svname,qcur,qmax,scur,smax,status,weight,check_status,\n\
                        api,FRONTEND,,,3,9,OPEN,,,\n\
                        api,c1,0,0,2,4,UP,100,L7OK,\n\
                        api,c2,0,0,0,4,DRAIN,100,L7OK,\n\
                        api,c3,0,0,0,4,MAINT (via x),100,,\n";

    #[test]
    fn a_server_is_found_in_what_is_shown() {
        let check = |name: &str, expect: Option<(&str, u64)>| {
            let found = server(STAT, name);
            assert_eq!(
                found.as_ref().map(|s| (s.status.as_str(), s.sessions)),
                expect,
                "{name}"
            );
        };
        check("api/c1", Some(("UP", 2)));
        check("api/c2", Some(("DRAIN", 0)));
        check("api/c4", None);
        check("other/c1", None);
        check("api", None);
        assert_eq!(server("", "api/c1"), None);
    }

    #[test]
    fn states_are_told_apart() {
        let check = |status: &str, expect: [bool; 3]| {
            let found = [ServerState::Ready, ServerState::Drain, ServerState::Maint].map(|s| is(status, s));
            assert_eq!(found, expect, "{status}");
        };
        check("UP", [true, false, false]);
        check("DOWN", [true, false, false]);
        check("UP 1/2", [true, false, false]);
        check("DRAIN", [false, true, false]);
        check("MAINT (via x)", [false, false, true]);
    }

    /// A balancer that answers `show stat` with each of these in turn; what it was told.
    async fn told(state: ServerState, servers: &[&str], shows: [&'static str; 2]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stat.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (heard, mut all) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut shows = shows.into_iter().cycle();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut line = String::new();
                BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
                let answer = if line == "show stat\n" {
                    shows.next().unwrap()
                } else {
                    heard.send(line.trim().to_owned()).unwrap();
                    "\n"
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let wanted = Balance {
            socket: path.to_string_lossy().into_owned(),
            servers: servers.iter().map(|&s| s.to_owned()).collect(),
            state,
            wait_ms: 1000,
        };
        set(&wanted, &Progress::silent()).await.unwrap();
        std::iter::from_fn(|| all.try_recv().ok()).collect()
    }

    /// It was checked before its process went, and not since.
    #[tokio::test]
    async fn who_is_let_in_is_up_only_by_checks_that_come_after() {
        let after = "# pxname,svname,scur,status,check_status\napi,c1,0,UP,L7OK\napi,c2,0,UP,L7OK\napi,c3,0,no check,\n";
        assert_eq!(
            told(ServerState::Ready, &["api/c1", "api/c2", "api/c3"], [STAT, after]).await,
            [
                "set server api/c1 state ready",
                "set server api/c2 state drain;set server api/c2 health down;set server api/c2 state ready",
                "set server api/c3 state ready",
            ]
        );
    }

    #[tokio::test]
    async fn a_balancer_that_does_not_run_sends_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("none.sock").to_string_lossy().into_owned();
        let wanted = Balance {
            socket,
            servers: vec!["api/c1".to_owned()],
            state: ServerState::Drain,
            wait_ms: 1000,
        };
        assert_eq!(set(&wanted, &Progress::silent()).await, Ok(0));
    }
}
