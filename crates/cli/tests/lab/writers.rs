//! Who watches a cloud from outside while things happen to it.

use std::net::SocketAddr;
use std::time::Duration;

use probe::{
    Bar, Connection, Handle, History, Http, Kind, Limits, Probe, Prober, Publish, Renewing, Report, Retry,
    SqlWrite, View,
};
use tokio::runtime::Runtime;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};

/// Seconds after which a writer gives up a request and connects again. One that
/// waits longer on a dead connection measures its own patience, not the cloud.
const PATIENCE: u64 = 1;
const READ_WITHIN: Duration = Duration::from_mins(1);
const MOST: Limits = Limits {
    duration: Duration::from_mins(15),
    requests: 200_000,
};

/// Requests and writers on the way.
pub struct Writers {
    runtime: Runtime,
    probes: Vec<Probe>,
    handle: Handle,
}

/// What they saw once stopped.
pub struct Seen {
    pub history: History,
    pub report: Report,
}

fn probe(name: &str, every_ms: u64, timeout_s: u64, kind: Kind) -> Probe {
    Probe {
        name: name.to_owned(),
        every: Duration::from_millis(every_ms),
        timeout: Duration::from_secs(timeout_s),
        kind,
    }
}

/// The writer of rows, through an address.
pub fn sql(cloud: &Cloud, host: &str, every_ms: u64) -> Probe {
    let kind = Kind::SqlWrite(SqlWrite {
        host: host.parse().unwrap(),
        port: 3306,
        user: "keystone".to_owned(),
        password: cloud.secret("keystone/database").into(),
        database: "keystone".to_owned(),
        table: "probe_writes".to_owned(),
        ca_pem: Some(cloud.secret("tls/trust.crt")),
        server_name: None,
        // A member that lags answers when it has caught up.
        before_read: vec!["SET SESSION wsrep_sync_wait = 1".to_owned()],
    });
    probe("sql", every_ms, PATIENCE, kind)
}

/// The body of the administrator's login, with a password.
pub fn login(password: &str) -> String {
    let user = serde_json::json!({ "name": "admin", "domain": { "id": "default" }, "password": password });
    let login = serde_json::json!({ "auth": { "identity": {
        "methods": ["password"], "password": { "user": user },
    }, "scope": { "project": { "name": "admin", "domain": { "id": "default" } } } } });
    login.to_string()
}

/// All four ways to look.
pub fn all(cloud: &Cloud) -> Vec<Probe> {
    let ca = cloud.secret("tls/trust.crt");
    let url = format!("https://{}/v3", cloud.url("keystone", 5000));
    let get = Http {
        method: "GET".to_owned(),
        url: url.clone(),
        ca_pem: Some(ca.clone()),
        headers: vec![],
        body: None,
        expect_status: vec![200],
        connection: Connection::Fresh,
        retry: Retry::None,
    };
    let tokens = Renewing {
        url: format!("{url}/auth/tokens"),
        ca_pem: Some(ca.clone()),
        first_body: login(&cloud.secret("keystone/admin")).into(),
        next_body: r#"{"auth":{"identity":{"methods":["token"],"token":{"id":"{token}"}}}}"#.to_owned(),
        token_header: "X-Subject-Token".to_owned(),
        expect_status: 201,
        connection: Connection::Fresh,
    };
    let broker = cloud.secret("keystone/broker");
    let publish = Publish {
        uris: HOSTS
            .iter()
            .map(|h| {
                let member = SocketAddr::new(cloud.address(h).parse().unwrap(), 5671);
                format!("amqps://keystone:{broker}@{member}/%2f").into()
            })
            .collect(),
        ca_pem: Some(ca),
        server_name: None,
        queue: "probe".to_owned(),
    };
    vec![
        probe("get", 50, 2, Kind::Http(get)),
        probe("token", 250, 5, Kind::Renewing(tokens)),
        sql(cloud, &cloud.vip("galera"), 50),
        probe("publish", 50, PATIENCE, Kind::Publish(publish)),
    ]
}

impl Writers {
    #[track_caller]
    pub fn start(probes: Vec<Probe>) -> Self {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.block_on(Prober::start(probes.clone(), MOST)).unwrap();
        let writers = Self {
            runtime,
            probes,
            handle,
        };
        writers.until_good(Duration::from_secs(30));
        writers
    }

    /// Names a moment; gives it back.
    pub fn mark(&self, text: &str) -> u64 {
        self.handle.mark(text);
        self.handle.now_ns()
    }

    /// Waits for a good answer to a request that was sent after a moment.
    #[track_caller]
    pub fn until_answer(&self, probe: &str, after_ns: u64, limit: Duration) {
        until(&format!("an answer to `{probe}`"), limit, || {
            let history = self.handle.snapshot();
            let mut all = history.of(probe).filter(|r| r.start_ns >= after_ns);
            if all.any(|r| r.outcome.good()) {
                return Ok(());
            }
            Err(Report::of(&history, &[], &View::default()).to_string())
        });
    }

    /// Requests of a probe that have ended.
    pub fn made(&self, probe: &str) -> usize {
        self.handle.snapshot().of(probe).count()
    }

    /// Waits until everything asked from now on is answered again.
    #[track_caller]
    pub fn until_good(&self, limit: Duration) {
        let now = self.handle.now_ns();
        for probe in &self.probes {
            self.until_answer(&probe.name, now, limit);
        }
    }

    /// Stops, reads back, and judges. Says nothing of losses: see [`Seen::kept`].
    #[track_caller]
    pub fn stop(self) -> Seen {
        let history = self.runtime.block_on(self.handle.stop());
        let read = self
            .runtime
            .block_on(probe::read_back_all(&self.probes, &history, READ_WITHIN));
        let read =
            read.unwrap_or_else(|error| panic!("{error}\n{}", Report::of(&history, &[], &View::default())));
        let report = Report::of(&history, &read, &View::default());
        tell(&format!("seen from outside:\n{report}"));
        Seen { history, report }
    }
}

impl Seen {
    /// No acknowledged write is lost, and none is there that nobody wrote.
    #[track_caller]
    pub fn kept(&self) {
        let failures = self.report.failures(&Bar { gap: None });
        assert!(failures.is_empty(), "{failures:?}\n{}", self.report);
    }

    /// The longest time without a good answer of a probe.
    pub fn longest(&self, probe: &str) -> Duration {
        let found = self.report.probes.iter().find(|p| p.name == probe);
        Duration::from_nanos(found.unwrap().longest.length_ns())
    }
}

/// What a member of its own says of the rows of a run.
#[track_caller]
pub fn kept_on(cloud: &Cloud, host: &str, history: &History) -> probe::Writes {
    let runtime = Runtime::new().unwrap();
    let member = sql(cloud, &cloud.address(host), 50);
    let read = runtime.block_on(probe::read_back(&member, history, READ_WITHIN));
    probe::writes(history, &read.unwrap())
}

/// Each member has every acknowledged row of a run, and no other.
#[track_caller]
pub fn kept_everywhere(cloud: &Cloud, history: &History) {
    for host in HOSTS {
        let fate = kept_on(cloud, host, history);
        assert!(
            fate.lost.is_empty() && fate.unknown.is_empty(),
            "{host}: {fate:?}"
        );
    }
}

/// Removes what the writers wrote. A queue counts each reading against its messages.
#[track_caller]
pub fn clean(probes: &[Probe]) {
    let runtime = Runtime::new().unwrap();
    for probe in probes {
        runtime.block_on(probe::cleanup(probe, READ_WITHIN)).unwrap();
    }
}
