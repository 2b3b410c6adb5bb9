//! HAProxy: what it runs with, and whom it sends to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use names::{HostName, ResourceId};
use wire::ServerState;

use crate::World;

/// Its file.
pub(crate) const CONF: &str = "/etc/haproxy/haproxy.cfg";

/// A server of its file.
#[derive(Clone, Debug)]
struct Server {
    address: String,
    port: String,
    /// The state that was set by hand.
    state: Option<ServerState>,
}

/// Servers by their backend and their name.
type Servers = BTreeMap<String, BTreeMap<String, Server>>;

/// A running balancer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balancer {
    /// Names of its file's proxies.
    proxies: BTreeSet<String>,
    servers: Servers,
    /// When its file was loaded.
    pub(crate) started: i64,
}

impl Balancer {
    /// Loads a file. What was set by hand is forgotten.
    pub(crate) fn load(&mut self, conf: &str, now: i64) {
        (self.proxies, self.servers, self.started) = (BTreeSet::new(), Servers::new(), now);
        let mut section = None;
        for line in conf.lines() {
            if let Some(name) = line.trim().strip_prefix("listen ") {
                self.proxies.insert(name.to_owned());
            }
            let words: Vec<&str> = line.split_whitespace().take(3).collect();
            match (words.as_slice(), section) {
                (["listen" | "backend", name], _) => section = Some(*name),
                (["server", name, at], Some(backend)) => {
                    let (address, port) = at.rsplit_once(':').unwrap_or((at, ""));
                    let server = Server {
                        address: address.trim_matches(['[', ']']).to_owned(),
                        port: port.to_owned(),
                        state: None,
                    };
                    let all = self.servers.entry(backend.to_owned()).or_default();
                    all.insert((*name).to_owned(), server);
                }
                _ => {}
            }
        }
    }

    fn server(&self, backend: &str, name: &str) -> Option<&Server> {
        self.servers.get(backend)?.get(name)
    }

    /// Sets a server's state; false where there is no such server.
    pub(crate) fn set(&mut self, server: &str, state: ServerState) -> bool {
        let found = server
            .split_once('/')
            .and_then(|(backend, name)| self.servers.get_mut(backend)?.get_mut(name));
        found.map(|server| server.state = Some(state)).is_some()
    }

    /// True if a server was taken out by hand.
    pub(crate) fn keeps_out(&self, backend: &str, name: &str) -> bool {
        let state = self.server(backend, name).and_then(|s| s.state);
        state.is_some_and(|s| s != ServerState::Ready)
    }

    /// True if it sends new requests to a server.
    pub(crate) fn sends(&self, backend: &str, name: &str) -> bool {
        let server = self.server(backend, name);
        server.is_some_and(|s| s.state.is_none_or(|s| s == ServerState::Ready))
    }

    /// Does a line said at its socket.
    pub(crate) fn tell(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["set", "server", server, "state", "ready"] = words.as_slice() {
            self.set(server, ServerState::Ready);
        }
    }

    /// Its answer at its own socket.
    pub(crate) fn said(&self) -> String {
        let (mut frontends, mut servers) = (String::new(), String::new());
        for name in &self.proxies {
            let _ = writeln!(frontends, "{name},FRONTEND,OPEN");
        }
        let all = self.servers.iter();
        for (backend, name, server) in all.flat_map(|(b, all)| all.iter().map(move |(n, s)| (b, n, s))) {
            let admin = match server.state {
                Some(ServerState::Maint) => 1,
                Some(ServerState::Drain) => 8,
                Some(ServerState::Ready) | None => 0,
            };
            let Server { address, port, .. } = server;
            let _ = writeln!(servers, "2 {backend} {name} {address} {admin} 1 1 6 {port}");
        }
        format!(
            "Start_time_sec: {}\n\n# pxname,svname,status\n{frontends}\n1\n# be_id be_name srv_name srv_addr \
             srv_admin_state srv_uweight srv_iweight srv_check_state srv_port\n{servers}",
            self.started
        )
    }
}

impl World {
    /// Balancers run where the cluster runs them.
    pub(crate) fn follow_balancers(&mut self) {
        let parts: Vec<ResourceId> = (self.desired.parts.iter())
            .filter(|p| p.balances)
            .map(|p| p.resource.clone())
            .collect();
        let hosts: Vec<HostName> = self.machines.keys().cloned().collect();
        for host in hosts {
            let runs = parts.iter().any(|p| self.runs(&host, p));
            if !runs {
                self.balancers.remove(host.as_str());
            } else if !self.balancers.contains_key(host.as_str()) {
                let conf = self.machines[&host].text(CONF).unwrap_or_default().to_owned();
                let mut new = Balancer::default();
                new.load(&conf, self.clock);
                self.balancers.insert(host.to_string(), new);
            }
        }
    }
}
