//! A session whose agent is the test itself.

use futures::future::BoxFuture;

use super::*;

/// Answer of a scripted agent to an operation; `None` loses the connection.
pub(crate) type Reaction = BoxFuture<'static, Option<Result<Reply, OpError>>>;

impl Session {
    /// A session to `host`, each operation of which is answered by `react`.
    pub(crate) fn scripted(host: &str, react: impl Fn(Op) -> Reaction + Send + 'static) -> Self {
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (calls, mut outgoing) = mpsc::unbounded_channel();
        let pending = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(ToAgent::Call { id, op }) = outgoing.recv().await {
                let (answer, pending) = (react(op), Arc::clone(&pending));
                tokio::spawn(async move {
                    let answer = answer.await;
                    let mut all = pending.lock().unwrap();
                    match answer {
                        Some(result) => {
                            let call = all.as_mut().and_then(|all| all.remove(&id));
                            let _ = call.unwrap().done.send(result.map_err(CallError::Failed));
                        }
                        None => *all = None,
                    }
                });
            }
        });
        Self {
            host: HostName::new(host).unwrap(),
            hello: Hello {
                protocol: wire::PROTOCOL,
                build: String::new(),
                hostname: host.to_owned(),
                boot_id: String::new(),
            },
            calls,
            waiting: WaitingDebug(waiting),
            next: AtomicU64::new(1),
        }
    }
}
