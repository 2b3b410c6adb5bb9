//! One line to a daemon's own Unix socket, and what it says to it. Not for
//! knowing what daemon it is or what the words mean.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use wire::{Answer, Fact, OpError};

/// A command is answered at once, or the process hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks; a socket on which nobody listens is absent.
pub(crate) async fn ask(path: &str, line: &str) -> Fact<Answer> {
    match say(path, line).await {
        Ok(Some(text)) => Fact::Known(Answer::Text(text)),
        Ok(None) => Fact::Absent,
        Err(error) => Fact::Unknown(error.message),
    }
}

/// Says commands, each on a connection of its own; how many were said.
pub(crate) async fn tell(path: &str, lines: &[String]) -> Result<u32, OpError> {
    for line in lines {
        let said = say(path, line).await?;
        let why = match said.as_deref().map(str::trim) {
            Some("") => continue,
            Some(why) => why,
            None => "nobody listens there",
        };
        return Err(OpError::new(format!("cannot say `{line}` to {path}: {why}")));
    }
    Ok(u32::try_from(lines.len()).unwrap_or(u32::MAX))
}

/// Says a line and hears the answer. `None`: nobody listens there.
///
/// # Errors
/// When it listens and does not answer.
pub(crate) async fn say(socket: &str, command: &str) -> Result<Option<String>, OpError> {
    let talk = async {
        let mut stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(Some(answer))
    };
    let failed = |why: String| OpError::new(format!("cannot say `{command}` to {socket}: {why}"));
    match timeout(PATIENCE, talk).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A daemon that answers each line with what `answer` makes of it.
    fn daemon(path: &str, answer: fn(&str) -> String) {
        let listener = UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut line = vec![0; 1024];
                let n = stream.read(&mut line).await.unwrap();
                let said = answer(String::from_utf8_lossy(&line[..n]).trim());
                stream.write_all(said.as_bytes()).await.unwrap();
            }
        });
    }

    #[tokio::test]
    async fn known_absent_and_refused_by_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.sock").to_string_lossy().into_owned();
        assert!(ask(&path, "show").await.is_absent());
        daemon(&path, |line| match line {
            "show" => "two\nlines\n".to_owned(),
            "good" => "\n".to_owned(),
            other => format!("No such thing as {other}.\n\n"),
        });
        assert_eq!(
            ask(&path, "show").await,
            Fact::Known(Answer::Text("two\nlines\n".to_owned()))
        );
        let lines = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(tell(&path, &lines(&["good", "good"])).await, Ok(2));
        let error = tell(&path, &lines(&["good", "bad"])).await.unwrap_err();
        assert!(error.message.ends_with("No such thing as bad."), "{error}");
    }
}
