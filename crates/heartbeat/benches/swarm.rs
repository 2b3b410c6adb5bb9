//! The cost of watching VM hosts: a swarm of stand-ins on loopback addresses sends to one
//! observer on two networks, with two other observers as its peers. Run by `cargo xtask bench
//! heartbeats`, which prints it beside its goals:
//!
//! ```text
//! swarm HOSTS SECONDS
//! ```
//!
//! Each stand-in sends a datagram on each network every 250 ms, at a time of its own. The
//! last line tells, of the observer that is watched: datagrams sent and lost, its time on a
//! processor, the time that passed, its memory in KiB, its time on a processor for one
//! question; and, as a yardstick, datagrams sent to a bare loop that only counts, lost there,
//! and its time on a processor. Times are in ns. The kernel's own work for a datagram on its
//! way is the sender's, on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench's own code: to panic is to report"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use heartbeat::beat::{Beat, Health};
use heartbeat::{Config, Key, Tables, ask};
use serde_json::{Value, json};

const NETWORKS: [&str; 2] = ["management", "storage"];
/// Slots of a period: in each of them the same share of the stand-ins sends.
const SLOTS: usize = 125;
const SLOT: Duration = Duration::from_millis(2);
const QUESTIONS: u32 = 20;
/// Before it is measured: sessions have begun, and everybody was heard.
const WARM: Duration = Duration::from_secs(3);

fn key(host: usize) -> [u8; 32] {
    let mut key = [1; 32];
    for (to, from) in key.iter_mut().zip(host.to_be_bytes()) {
        *to = from;
    }
    key
}

fn text(key: [u8; 32]) -> String {
    base64::engine::general_purpose::STANDARD.encode(key)
}

fn address(network: usize, machine: usize) -> String {
    format!("127.{}.{}.{}", 90 + network, machine / 250, machine % 250 + 1)
}

/// Addresses of a machine: the first three are controllers.
fn addresses(machine: usize) -> Value {
    let all = NETWORKS.iter().enumerate();
    all.map(|(n, name)| ((*name).to_owned(), json!(address(n, machine))))
        .collect()
}

fn config(me: usize, hosts: usize, port: u16, folder: &Path) -> Value {
    let listen = NETWORKS.iter().enumerate();
    let listen = listen.map(|(n, name)| json!({"network": name, "address": address(n, me)}));
    let host = |h: usize| json!({"host": format!("compute-{h:04}"), "key": text(key(h)), "addresses": addresses(3 + h)});
    let peers = (0..3).filter(|c| *c != me);
    let peers = peers.map(|c| json!({"controller": format!("control-{c}"), "addresses": addresses(c)}));
    json!({
        "me": format!("control-{me}"),
        "listen": listen.collect::<Vec<_>>(),
        "port": port,
        "hosts": (0..hosts).map(host).collect::<Vec<_>>(),
        "peers": peers.collect::<Vec<_>>(),
        "peers_key": text([2; 32]),
        "socket": folder.join(format!("{me}.sock")),
    })
}

/// This program as another process, ended with this value.
struct Process(Child);

impl Process {
    fn start(words: &[&str]) -> Self {
        let me = std::env::current_exe().unwrap();
        let mut command = Command::new(me);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Time on a processor so far, of all threads.
    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let of = |thread: std::fs::DirEntry| {
            let told = std::fs::read_to_string(thread.path().join("schedstat")).unwrap();
            told.split(' ').next().unwrap().parse::<u64>().unwrap()
        };
        Duration::from_nanos(threads.map(|thread| of(thread.unwrap())).sum())
    }

    /// The most memory that it ever had, in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stand-ins of all hosts, to one controller.
struct Swarm {
    sockets: Vec<UdpSocket>,
    keys: Vec<Key>,
    names: Vec<String>,
    port: u16,
    sent: AtomicU64,
}

impl Swarm {
    fn new(hosts: usize, port: u16) -> Self {
        let sockets = (0..hosts).flat_map(|h| (0..NETWORKS.len()).map(move |n| address(n, 3 + h)));
        Self {
            sockets: sockets.map(|a| UdpSocket::bind((a, 0)).unwrap()).collect(),
            keys: (0..hosts).map(|h| Key::new(&key(h))).collect(),
            names: (0..hosts).map(|h| format!("compute-{h:04}")).collect(),
            port,
            sent: AtomicU64::new(0),
        }
    }

    /// Sends for so long, each stand-in in a slot of its own.
    fn send(&self, sequence: &mut u64, lasts: Duration) {
        let began = Instant::now();
        let mut slot = 0;
        while began.elapsed() < lasts {
            let due = SLOT * slot;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            let mine = self.sockets.iter().enumerate();
            for (n, socket) in mine.filter(|(n, _)| n % SLOTS == slot as usize % SLOTS) {
                self.send_one(socket, n / NETWORKS.len(), n % NETWORKS.len(), *sequence);
            }
            slot += 1;
            *sequence += u64::from((slot as usize).is_multiple_of(SLOTS));
        }
    }

    fn send_one(&self, socket: &UdpSocket, host: usize, network: usize, sequence: u64) {
        let to = address(network, 0);
        let beat = Beat {
            host: &self.names[host],
            network: NETWORKS[network],
            to: to.parse().unwrap(),
            boot: [1; 16],
            sequence,
            up_ms: sequence * 250,
            health: Health::read([2, 2, 2]),
        };
        let datagram = beat.write(&self.keys[host]).unwrap();
        socket.send_to(&datagram, (to, self.port)).unwrap();
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

fn taken(tables: &Tables) -> u64 {
    let r = tables.refused;
    // Of a stand-in that was late, and was soon followed by the next: it arrived.
    tables.counted + r.surplus
}

#[derive(Default)]
struct Cost {
    sent: u64,
    lost: u64,
    cpu: Duration,
    took: Duration,
    memory: u64,
}

/// One observer in a process of its own, its peers in this one.
async fn observed(swarm: &Swarm, hosts: usize, lasts: Duration) -> (Cost, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let at = |me| config(me, hosts, swarm.port, folder.path());
    let file = folder.path().join("config.json");
    std::fs::write(&file, at(0).to_string()).unwrap();
    let observer = Process::start(&["observe", file.to_str().unwrap()]);
    let peers: Vec<_> = [1, 2]
        .map(|me| serde_json::from_value::<Config>(at(me)).unwrap())
        .into();
    let peers: Vec<_> = peers
        .into_iter()
        .map(|c| tokio::spawn(heartbeat::run(c)))
        .collect();
    let socket = folder.path().join("0.sock");
    let began = Instant::now();
    while ask(&socket).await.is_err() {
        assert!(began.elapsed() < WARM * 10, "the observer does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut sequence = 1;
    tokio::task::block_in_place(|| swarm.send(&mut sequence, WARM));
    let (first, sent, cpu, began) = (
        ask(&socket).await.unwrap(),
        swarm.sent(),
        observer.cpu(),
        Instant::now(),
    );
    tokio::task::block_in_place(|| swarm.send(&mut sequence, lasts));
    let (cpu, took) = (observer.cpu().saturating_sub(cpu), began.elapsed());
    let last = ask(&socket).await.unwrap();
    whole(&last, hosts);
    let sent = swarm.sent() - sent;
    let cost = Cost {
        sent,
        lost: sent.saturating_sub(taken(&last) - taken(&first)),
        cpu,
        took,
        memory: 0,
    };
    let before = observer.cpu();
    for _ in 0..QUESTIONS {
        ask(&socket).await.unwrap();
    }
    let question = observer.cpu().saturating_sub(before) / QUESTIONS;
    for peer in peers {
        peer.abort();
    }
    let memory = observer.memory();
    (Cost { memory, ..cost }, question)
}

/// All were heard, and peers tell: else it was not this that was measured.
fn whole(tables: &Tables, hosts: usize) {
    let heard = tables.own.hosts.iter().flat_map(|h| &h.paths);
    let heard = heard.filter(|p| p.age_ms.known().is_some()).count();
    assert_eq!(heard, hosts * NETWORKS.len(), "not all were heard");
    let told = tables.peers.iter().flat_map(|p| &p.table.hosts);
    assert_eq!(
        told.filter(|h| h.boot.is_absent()).count(),
        hosts * 2,
        "not all was told"
    );
    assert_eq!((tables.refused.forged, tables.refused.misplaced), (0, 0));
}

/// The same datagrams, to a bare loop that only counts.
fn counted(swarm: &Swarm, lasts: Duration) -> Cost {
    let mut counter = Process::start(&["count", &swarm.port.to_string()]);
    let mut told = BufReader::new(counter.0.stdout.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    let mut sequence = 1;
    let mut ask = || {
        writeln!(counter.0.stdin.as_ref().unwrap()).unwrap();
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    let (first, sent) = (ask(), swarm.sent());
    let began = Instant::now();
    let cpu = counter.cpu();
    swarm.send(&mut sequence, lasts);
    let (cpu, took) = (counter.cpu().saturating_sub(cpu), began.elapsed());
    let sent = swarm.sent() - sent;
    Cost {
        sent,
        lost: sent.saturating_sub(ask() - first),
        cpu,
        took,
        memory: counter.memory(),
    }
}

/// Counts what arrives at the first controller; tells the number for each line that it is given.
fn count(port: u16) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    for network in 0..NETWORKS.len() {
        let socket = UdpSocket::bind((address(network, 0), port)).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while socket.recv_from(&mut buffer).is_ok() {
                COUNT.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    println!("ready");
    for _ in std::io::stdin().lines() {
        println!("{}", COUNT.load(Ordering::Relaxed));
    }
}

fn observe(file: &str) {
    let config: Config = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(heartbeat::run(config)).unwrap();
}

fn measure(hosts: usize, lasts: Duration) {
    let port = UdpSocket::bind((address(0, 0), 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let swarm = Swarm::new(hosts, port);
    let bare = counted(&swarm, lasts);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let (cost, question) = runtime.unwrap().block_on(observed(&swarm, hosts, lasts));
    println!(
        "{} {} {} {} {} {} {} {} {} {}",
        cost.sent,
        cost.lost,
        cost.cpu.as_nanos(),
        cost.took.as_nanos(),
        cost.memory,
        question.as_nanos(),
        bare.sent,
        bare.lost,
        bare.cpu.as_nanos(),
        bare.took.as_nanos(),
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Cargo's own runner of benches gives other words: measured by xtask only.
    match words.as_slice() {
        ["observe", file] => observe(file),
        ["count", port] => count(port.parse().unwrap()),
        [hosts, seconds] => measure(
            hosts.parse().unwrap(),
            Duration::from_secs(seconds.parse().unwrap()),
        ),
        _ => {}
    }
}
