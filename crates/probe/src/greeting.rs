//! Servers that speak first: whether the first byte comes. Not for what it says.

use std::time::Duration;

use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use crate::{Greeting, Outcome, Retry};

async fn hear(greeting: &Greeting) -> Result<(), String> {
    let connected = TcpStream::connect(greeting.address).await;
    let mut stream = connected.map_err(|e| format!("connect: {e}"))?;
    match stream.read(&mut [0; 1]).await {
        Ok(0) => Err("closed without a word".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Connects, and once more where the probe says so: also after a connection on which
/// nothing was heard for half of the time there is.
pub(crate) async fn ask(greeting: &Greeting, within: Duration) -> Outcome {
    if greeting.retry == Retry::None {
        return hear(greeting)
            .await
            .map_or_else(Outcome::Failed, |()| Outcome::Ok);
    }
    if let Ok(Ok(())) = timeout(within / 2, hear(greeting)).await {
        return Outcome::Ok;
    }
    hear(greeting)
        .await
        .map_or_else(Outcome::Failed, |()| Outcome::Retried)
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn only_a_word_is_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let greeting = Greeting {
            address: listener.local_addr().unwrap(),
            retry: Retry::Once,
        };
        let server = tokio::spawn(async move {
            for word in [&b""[..], b"", b"", b"5.5", b"5.5"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(word).await.unwrap();
            }
            listener
        });
        let silent = Outcome::Failed("closed without a word".to_owned());
        assert_eq!(ask(&greeting, Duration::from_secs(2)).await, silent);
        assert_eq!(ask(&greeting, Duration::from_secs(2)).await, Outcome::Retried);
        assert_eq!(ask(&greeting, Duration::from_secs(2)).await, Outcome::Ok);
        server.await.unwrap();
        assert!(
            matches!(ask(&greeting, Duration::from_secs(2)).await, Outcome::Failed(why) if why.starts_with("connect: "))
        );
    }
}
