//! Messages published one at a time, each confirmed before the next.
//!
//! The queue is durable and replicated, the messages are persistent and
//! mandatory: a broker confirms a message that no queue took, and only the
//! return of it says so. The socket has TCP_USER_TIMEOUT: heartbeats notice a
//! dead peer only after about 13 s (measured with an interval of 4 s).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use lapin::{
    AsyncTcpStream, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    tcp::{RustlsConnector, RustlsConnectorConfig},
    types::{AMQPValue, FieldTable, LongString, ShortString},
    uri::{AMQPScheme, AMQPUri},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::time::{sleep, timeout};

use crate::{
    Publish,
    error::{root, short},
};

/// Heartbeat interval in seconds: for an idle link only, see above.
const HEARTBEAT: u16 = 4;
/// Persistent, in the terms of AMQP 0-9-1.
const PERSISTENT: u8 = 2;
/// How long deliveries may pause before the queue is asked whether it is empty.
const PAUSE: Duration = Duration::from_millis(300);

/// A publisher and the link it holds, if it holds one.
pub(crate) struct Publisher {
    hosts: Vec<AMQPUri>,
    tls: Tls,
    queue: ShortString,
    run: u64,
    /// Index into `hosts` of the one to use.
    at: usize,
    patience: Duration,
    link: Option<Link>,
}

/// The connection goes when this does.
struct Link {
    channel: Channel,
    _connection: Connection,
}

#[derive(Clone)]
struct Tls {
    connector: Option<Arc<RustlsConnector>>,
    server_name: Option<String>,
}

impl Publisher {
    /// `patience` is how long sent data may stay unacknowledged by the peer's kernel.
    pub(crate) fn new(publish: &Publish, run: u64, patience: Duration) -> Result<Self, String> {
        let hosts = publish.uris.iter().map(|uri| {
            let mut uri = parse(uri.expose())?;
            address(&uri)?;
            uri.query.heartbeat = Some(HEARTBEAT);
            Ok(uri)
        });
        let tls = Tls {
            connector: publish
                .ca_pem
                .as_deref()
                .map(connector)
                .transpose()?
                .map(Arc::new),
            server_name: publish.server_name.clone(),
        };
        Ok(Self {
            hosts: hosts.collect::<Result<_, String>>()?,
            tls,
            queue: ShortString::try_new(publish.queue.as_str()).map_err(|e| e.to_string())?,
            run,
            at: 0,
            patience,
            link: None,
        })
    }

    /// Declares the queue, on the first host that lets it.
    pub(crate) async fn prepare(&mut self) -> Result<(), String> {
        let mut arguments = FieldTable::default();
        let quorum = AMQPValue::LongString(LongString::from("quorum"));
        arguments.insert("x-queue-type".into(), quorum);
        let (queue, durable) = (self.queue.clone(), QueueDeclareOptions::durable());
        let channel = self.channel().await?;
        channel
            .queue_declare(queue, durable, arguments)
            .await
            .map(drop)
            .map_err(|e| why(&e))
    }

    /// Publishes `id` and waits for its confirm, connecting first where there
    /// is no link. After an error, and after being dropped before its end,
    /// [`reset`](Self::reset) is due.
    pub(crate) async fn publish(&mut self, id: u64) -> Result<(), String> {
        let payload = format!("{}:{id}", self.run);
        let queue = self.queue.clone();
        let confirm = self
            .channel()
            .await?
            .basic_publish(
                "".into(),
                queue,
                BasicPublishOptions {
                    mandatory: true,
                    immediate: false,
                },
                payload.as_bytes(),
                BasicProperties::default().with_delivery_mode(PERSISTENT),
            )
            .await
            .map_err(|e| why(&e))?;
        match confirm.await.map_err(|e| why(&e))? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err("confirmed but returned: no queue took it".into()),
            Confirmation::Nack(_) => Err("refused by the broker".into()),
            Confirmation::NotRequested => Err("confirms are off".into()),
        }
    }

    /// Drops the link and goes on with the next host.
    pub(crate) fn reset(&mut self) {
        self.link = None;
        self.at = (self.at + 1) % self.hosts.len();
    }

    async fn channel(&mut self) -> Result<&Channel, String> {
        let link = match &mut self.link {
            Some(link) => link,
            none => {
                let uri = self.hosts.get(self.at).cloned().ok_or("no host")?;
                let link = connect(uri, self.tls.clone(), self.patience)
                    .await
                    .map_err(|e| format!("connect: {}", why(&e)))?;
                none.insert(link)
            }
        };
        Ok(&link.channel)
    }

    /// All ids of this run in the queue and how often each is there. Nothing is
    /// acknowledged, so all of it is in the queue again afterwards.
    async fn drain(&mut self) -> Result<BTreeMap<u64, u64>, String> {
        let (queue, run) = (self.queue.clone(), self.run);
        let channel = self.channel().await?;
        // Without a number, a quorum queue delivers 2,000 and then waits for acknowledgements.
        let ahead = channel.basic_qos(u16::MAX, BasicQosOptions::default()).await;
        ahead.map_err(|e| why(&e))?;
        let mut deliveries = channel
            .basic_consume(
                queue.clone(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(|e| why(&e))?;
        let mut found = BTreeMap::new();
        let mut empty = 0;
        let mut pause = PAUSE;
        // The consumer takes everything ready, up to its number; only the queue can say that
        // nothing is left. Asked twice, as deliveries may be on their way the first time.
        while empty < 2 {
            let delivery = timeout(pause, deliveries.next()).await;
            let given = delivery.is_err();
            let data = match delivery {
                Ok(Some(delivery)) => Some(delivery.map_err(|e| why(&e))?.data),
                Ok(None) => return Err("the broker cancelled the consumer".into()),
                Err(_) => {
                    let got = channel.basic_get(queue.clone(), BasicGetOptions::default());
                    got.await
                        .map_err(|e| why(&e))?
                        .map(|message| message.delivery.data.clone())
                }
            };
            if let Some(data) = data {
                // Messages that the queue gave beside a consumer that gets no more is asked for
                // at once: a pause each would last longer than any limit.
                pause = if given { Duration::ZERO } else { PAUSE };
                empty = 0;
                if let Some(id) = id(&data, run) {
                    *found.entry(id).or_default() += 1;
                }
            } else {
                pause = PAUSE;
                empty += 1;
            }
        }
        Ok(found)
    }
}

/// See [`Publisher::drain`]; tries host after host until it worked or `within` is over.
pub(crate) async fn read(
    publish: &Publish,
    run: u64,
    within: Duration,
) -> Result<BTreeMap<u64, u64>, String> {
    let mut publisher = Publisher::new(publish, run, within)?;
    let mut last = String::from("timeout");
    let reading = async {
        loop {
            match publisher.drain().await {
                Ok(found) => return found,
                Err(reason) => last = reason,
            }
            publisher.reset();
            sleep(PAUSE).await;
        }
    };
    let read = timeout(within, reading).await;
    read.map_err(|_| last)
}

/// Deletes the queue and what is in it.
pub(crate) async fn cleanup(publish: &Publish, within: Duration) -> Result<(), String> {
    let mut publisher = Publisher::new(publish, 0, within)?;
    let queue = publisher.queue.clone();
    let deleting = async {
        let channel = publisher.channel().await?;
        let deleted = channel.queue_delete(queue, QueueDeleteOptions::default()).await;
        deleted.map(drop).map_err(|e| why(&e))
    };
    timeout(within, deleting).await.map_err(|_| "timeout")?
}

/// A message of this run holds `run:id`.
fn id(data: &[u8], run: u64) -> Option<u64> {
    let (of, id) = std::str::from_utf8(data).ok()?.split_once(':')?;
    if of.parse() == Ok(run) {
        id.parse().ok()
    } else {
        None
    }
}

async fn connect(uri: AMQPUri, tls: Tls, patience: Duration) -> lapin::Result<Link> {
    let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    let connection = Connection::connector(
        uri,
        lapin::runtime::default_runtime()?,
        async move |uri, runtime| {
            let to = address(&uri).map_err(std::io::Error::other)?;
            let stream = AsyncTcpStream::connect(&runtime, (to, uri.authority.port)).await?;
            if let AsyncTcpStream::Plain(socket) = &stream {
                rustix::net::sockopt::set_tcp_user_timeout(socket.get_ref(), millis)
                    .map_err(std::io::Error::from)?;
                socket.get_ref().set_nodelay(true)?;
            }
            let host = to.to_string();
            Ok(match (&uri.scheme, &tls.connector) {
                (AMQPScheme::AMQPS, Some(connector)) => {
                    let name = tls.server_name.as_deref().unwrap_or(&host);
                    stream.into_rustls(connector, name).await?
                }
                (AMQPScheme::AMQPS, None) => {
                    return Err(std::io::Error::other("`amqps` without a CA").into());
                }
                (AMQPScheme::AMQP, _) => stream,
            })
        },
        ConnectionProperties::default().with_connection_name("probe".into()),
    )
    .await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(Link {
        channel,
        _connection: connection,
    })
}

/// A URI with its host: the library takes an IPv6 address for none at all and
/// puts its default in that place.
fn parse(text: &str) -> Result<AMQPUri, String> {
    let mut uri: AMQPUri = text.parse().map_err(|_| "a URI is not understood")?;
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if let Some((host, _)) = host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        host.clone_into(&mut uri.authority.host);
    }
    Ok(uri)
}

fn address(uri: &AMQPUri) -> Result<IpAddr, String> {
    let host = &uri.authority.host;
    host.parse()
        .map_err(|_| format!("`{host}` is not a numeric address"))
}

fn connector(pem: &str) -> Result<RustlsConnector, String> {
    let authorities = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("`ca_pem` is not understood: {error}"))?;
    if authorities.is_empty() {
        return Err("`ca_pem` holds no certificate".into());
    }
    RustlsConnectorConfig::default()
        .with_parsable_certificates(authorities)
        .connector_with_no_client_auth()
        .map_err(|error| root(&error))
}

fn why(error: &lapin::Error) -> String {
    match error.kind() {
        lapin::ErrorKind::IOError(io) => root(io.as_ref()),
        _ => short(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{address, id, parse};

    #[test]
    fn hosts_of_both_families_are_found() {
        for (uri, host) in [
            ("amqps://u:p@[2001:db8::1]:5671/%2f", "2001:db8::1"),
            ("amqps://u:p@192.0.2.1/%2f", "192.0.2.1"),
            ("amqp://[2001:db8::1]", "2001:db8::1"),
        ] {
            let uri = parse(uri).unwrap();
            assert_eq!(address(&uri).unwrap().to_string(), host);
        }
        assert!(address(&parse("amqp://broker").unwrap()).is_err());
    }

    #[test]
    fn messages_of_other_runs_are_not_counted() {
        assert_eq!(id(b"7:12", 7), Some(12));
        assert_eq!(id(b"8:12", 7), None);
        assert_eq!(id(b"noise", 7), None);
        assert_eq!(id(&[0xff, b':'], 7), None);
    }
}
