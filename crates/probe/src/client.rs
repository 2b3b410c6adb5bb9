//! Probes made ready: one type over the protocols, for the prober's two loops.
//!
//! What each protocol does is in its own file; when to send is the prober's.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    Error, Greeting, Kind, Outcome, Probe, Result, amqp, greeting, http::Asker, renewing::Renewer, sql,
};

/// Making a table or a queue may take longer than writing to it.
const PREPARE: Duration = Duration::from_secs(10);

/// A probe ready to be sent.
pub(crate) enum Client {
    /// Any number of requests at the same time.
    Asks(Arc<Asks>),
    /// One request at a time.
    Writes(Box<Writes>),
}

/// A probe whose answers promise nothing.
pub(crate) enum Asks {
    Http(Asker),
    Greeting(Greeting, Duration),
    Renewing(Renewer),
}

/// A probe whose answers are promises.
#[cfg_attr(
    feature = "publish",
    expect(clippy::large_enum_variant, reason = "boxed where it is kept, one a probe")
)]
pub(crate) enum Writes {
    Sql(sql::Writer),
    Publish(amqp::Publisher),
}

impl Client {
    pub(crate) async fn prepare(probe: &Probe, run: u64) -> Result<Self> {
        let mut writes = match &probe.kind {
            Kind::Http(http) => {
                return Ok(Self::Asks(Arc::new(Asks::Http(Asker::new(probe, http)?))));
            }
            Kind::Greeting(greeting) => {
                return Ok(Self::Asks(Arc::new(Asks::Greeting(
                    greeting.clone(),
                    probe.timeout,
                ))));
            }
            Kind::Renewing(renewing) => {
                let renewer = Renewer::prepare(probe, renewing).await?;
                return Ok(Self::Asks(Arc::new(Asks::Renewing(renewer))));
            }
            Kind::SqlWrite(sql) => Writes::Sql(sql::Writer::new(sql, run)),
            Kind::Publish(publish) => {
                let publisher = amqp::Publisher::new(publish, run, probe.timeout);
                Writes::Publish(publisher.map_err(|reason| probe.invalid(reason))?)
            }
        };
        let tries = match &probe.kind {
            Kind::Publish(publish) => publish.uris.len(),
            _ => 1,
        };
        let mut reasons = Vec::new();
        for _ in 0..tries {
            match timeout(PREPARE, writes.prepare()).await {
                Ok(Ok(())) => return Ok(Self::Writes(Box::new(writes))),
                Ok(Err(error)) => reasons.push(error),
                Err(_) => reasons.push("timeout".into()),
            }
            writes.reset();
        }
        Err(Error::Prepare {
            probe: probe.name.clone(),
            reason: reasons.join("; "),
        })
    }
}

impl Asks {
    pub(crate) async fn ask(&self) -> Outcome {
        match self {
            Self::Http(asker) => asker.ask().await,
            Self::Greeting(greeting, within) => greeting::ask(greeting, *within).await,
            Self::Renewing(renewer) => renewer.ask().await,
        }
    }
}

impl Writes {
    pub(crate) async fn prepare(&mut self) -> Result<(), String> {
        match self {
            Self::Sql(writer) => writer.prepare().await,
            Self::Publish(publisher) => publisher.prepare().await,
        }
    }

    pub(crate) async fn write(&mut self, id: u64) -> Result<(), String> {
        match self {
            Self::Sql(writer) => writer.write(id).await,
            Self::Publish(publisher) => publisher.publish(id).await,
        }
    }

    pub(crate) fn reset(&mut self) {
        match self {
            Self::Sql(writer) => writer.reset(),
            Self::Publish(publisher) => publisher.reset(),
        }
    }
}

/// Names the one crypto provider, where the binary has not yet: a driver that
/// must guess between two panics.
pub(crate) fn crypto() {
    // An error means that there is one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
