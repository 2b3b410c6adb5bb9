//! Controllers and VM hosts on loopback addresses, each network a range of its own.
//!
//! Not for what an observer decides alone: tests beside the code have that.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use heartbeat::beat::{Beat, Health};
use heartbeat::told::{self, Tables};
use heartbeat::{Config, Key, ask};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Networks of every machine.
pub const NETWORKS: [&str; 2] = ["management", "storage"];
/// Limit of a wait: far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Machines of one test.
pub struct Cloud {
    /// Folder of sockets and configurations.
    pub folder: TempDir,
    range: u8,
    port: u16,
    controllers: u8,
    hosts: u8,
}

impl Cloud {
    /// Controllers c1, c2, … and hosts h1, h2, … that no other test has.
    pub fn new(controllers: u8, hosts: u8) -> Self {
        static RANGE: AtomicU8 = AtomicU8::new(20);
        let range = RANGE.fetch_add(1, Ordering::Relaxed);
        let any = UdpSocket::bind((format!("127.{range}.1.1"), 0)).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            range,
            port: any.local_addr().unwrap().port(),
            controllers,
            hosts,
        }
    }

    fn address(&self, network: usize, last: u8) -> String {
        format!("127.{}.{}.{last}", self.range, network + 1)
    }

    /// Address of a controller on a network.
    pub fn controller(&self, network: usize, controller: u8) -> IpAddr {
        self.address(network, controller).parse().unwrap()
    }

    fn addresses(&self, last: u8) -> Value {
        let all = NETWORKS.iter().enumerate();
        all.map(|(n, name)| ((*name).to_owned(), json!(self.address(n, last))))
            .collect()
    }

    /// Path of the socket of a controller's observer.
    pub fn socket(&self, controller: u8) -> PathBuf {
        self.folder.path().join(format!("c{controller}.sock"))
    }

    /// Starts the observer of a controller.
    pub fn observe(&self, me: u8) -> JoinHandle<Result<(), heartbeat::Error>> {
        let listen = NETWORKS.iter().enumerate();
        let hosts = 1..=self.hosts;
        let peers = (1..=self.controllers).filter(|c| *c != me);
        let config = json!({
            "me": format!("c{me}"),
            "listen": listen.map(|(n, name)| json!({"network": name, "address": self.address(n, me)})).collect::<Vec<_>>(),
            "port": self.port,
            "hosts": hosts.map(|h| json!({"host": format!("h{h}"), "key": text(h), "addresses": self.addresses(100 + h)})).collect::<Vec<_>>(),
            "peers": peers.map(|c| json!({"controller": format!("c{c}"), "addresses": self.addresses(c)})).collect::<Vec<_>>(),
            "peers_key": text(200),
            "socket": self.socket(me),
        });
        let config: Config = serde_json::from_value(config).unwrap();
        tokio::spawn(heartbeat::run(config))
    }

    /// Waits until the observer of a controller tells what is expected.
    pub async fn wait(&self, controller: u8, what: &str, mut holds: impl FnMut(&Tables) -> bool) -> Tables {
        let began = Instant::now();
        loop {
            let told = ask(self.socket(controller)).await;
            match &told {
                Ok(tables) if holds(tables) => return told.unwrap(),
                _ => assert!(began.elapsed() < PATIENCE, "c{controller}: {what}: {told:#?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the sender of a host as it is in the catalogue, with lines of Python before it
    /// and other values in its configuration.
    pub fn send(&self, host: u8, before: &str, other: &Value) -> Sender {
        let mut targets = vec![
            // A network that the host is not in, before all that it is in.
            json!({"network": "other", "from": "198.51.100.1", "to": "198.51.100.2", "port": self.port}),
        ];
        for (n, name) in NETWORKS.iter().enumerate() {
            let to = (1..=self.controllers).map(|c| self.address(n, c));
            let from = self.address(n, 100 + host);
            targets.extend(to.map(|to| json!({"network": name, "from": from, "to": to, "port": self.port})));
        }
        let mut config = json!({
            "host": format!("h{host}"),
            "key": text(host),
            "targets": targets,
            "period_ms": 250,
            "instances": null,
            "unit": null,
        });
        for (key, value) in other.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let path = self.folder.path().join(format!("h{host}.json"));
        std::fs::write(&path, config.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalog/openstack/evac/heartbeat");
        let (script, path) = (script.display(), path.display());
        let program = format!(
            "import runpy, sys\n{before}\nsys.argv[1:] = ['{path}']\nrunpy.run_path('{script}', run_name='__main__')"
        );
        // Programs that a test puts there are found before those of the machine.
        let programs = format!(
            "{}:{}",
            self.folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        let started = Command::new("python3")
            .args(["-B", "-c", &program])
            .env("PATH", programs)
            .stdin(Stdio::null())
            .spawn();
        Sender(started.unwrap())
    }

    /// A socket that sends from the address of a host on a network.
    pub fn socket_of(&self, host: u8, network: usize) -> UdpSocket {
        UdpSocket::bind((self.address(network, 100 + host), 0)).unwrap()
    }

    /// Sends a datagram to a controller on a network.
    pub fn throw(&self, from: &UdpSocket, network: usize, controller: u8, datagram: &[u8]) {
        let to = (self.controller(network, controller), self.port);
        from.send_to(datagram, to).unwrap();
    }
}

/// Key of a machine, in base64.
pub fn text(machine: u8) -> String {
    base64::engine::general_purpose::STANDARD.encode([machine; 32])
}

/// Key of a machine.
pub fn key(machine: u8) -> Key {
    Key::new(&[machine; 32])
}

/// A datagram's content, of the first network.
pub fn beat(host: &str, to: IpAddr, sequence: u64) -> Beat<'_> {
    Beat {
        host,
        network: NETWORKS[0],
        to,
        boot: [1; 16],
        sequence,
        up_ms: sequence,
        health: Health::unknown("not looked at"),
    }
}

/// A host in a table.
pub fn host<'a>(table: &'a told::Table, name: &str) -> &'a told::Host {
    table.hosts.iter().find(|h| h.host == *name).unwrap()
}

/// The table that another observer told.
pub fn peer<'a>(tables: &'a Tables, name: &str) -> &'a told::Table {
    let found = tables.peers.iter().find(|p| p.table.controller == *name);
    &found.unwrap().table
}

/// The script of the catalogue, running.
pub struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
