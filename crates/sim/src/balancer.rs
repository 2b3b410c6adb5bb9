//! HAProxy: what it runs with, and whom it sends to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use wire::ServerState;

use crate::World;

/// Its file.
pub(crate) const CONF: &str = "/etc/haproxy/haproxy.cfg";

/// A running balancer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balancer {
    /// Its file when it was loaded.
    conf: String,
    /// When that was.
    pub(crate) started: i64,
    /// Servers that were set to something by hand.
    states: BTreeMap<(String, String), ServerState>,
}

impl Balancer {
    /// Loads a file. What was set by hand is forgotten.
    pub(crate) fn load(&mut self, conf: &str, now: i64) {
        conf.clone_into(&mut self.conf);
        self.started = now;
        self.states.clear();
    }

    /// Servers of its file: backend, name, address, port.
    fn servers(&self) -> Vec<(&str, &str, &str, &str)> {
        let mut out = Vec::new();
        let mut section = None;
        for line in self.conf.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words.as_slice(), section) {
                (["listen" | "backend", name], _) => section = Some(*name),
                (["server", name, at, ..], Some(backend)) => {
                    let (address, port) = at.rsplit_once(':').unwrap_or((at, ""));
                    out.push((backend, *name, address.trim_matches(['[', ']']), port));
                }
                _ => {}
            }
        }
        out
    }

    /// Sets a server's state; false where there is no such server.
    pub(crate) fn set(&mut self, server: &str, state: ServerState) -> bool {
        let Some((backend, name)) = server.split_once('/') else {
            return false;
        };
        let there = self
            .servers()
            .iter()
            .any(|(b, n, ..)| *b == backend && *n == name);
        if there {
            self.states.insert((backend.to_owned(), name.to_owned()), state);
        }
        there
    }

    /// True if a server was taken out by hand.
    pub(crate) fn keeps_out(&self, backend: &str, name: &str) -> bool {
        let state = self.states.get(&(backend.to_owned(), name.to_owned()));
        state.is_some_and(|s| *s != ServerState::Ready)
    }

    /// True if it sends new requests to a server.
    pub(crate) fn sends(&self, backend: &str, name: &str) -> bool {
        let state = self.states.get(&(backend.to_owned(), name.to_owned()));
        state.is_none_or(|s| *s == ServerState::Ready)
            && self
                .servers()
                .iter()
                .any(|(b, n, ..)| *b == backend && *n == name)
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
        let names: BTreeSet<&str> = (self.conf.lines())
            .filter_map(|l| l.trim().strip_prefix("listen "))
            .collect();
        for name in names {
            let _ = writeln!(frontends, "{name},FRONTEND,OPEN");
        }
        for (backend, name, address, port) in self.servers() {
            let state = self.states.get(&(backend.to_owned(), name.to_owned()));
            let admin = match state {
                Some(ServerState::Maint) => 1,
                Some(ServerState::Drain) => 8,
                Some(ServerState::Ready) | None => 0,
            };
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
        let parts: Vec<String> = (self.desired.parts.iter())
            .filter(|p| p.balances)
            .map(|p| p.resource.clone())
            .collect();
        let hosts: Vec<String> = self.machines.keys().cloned().collect();
        for host in hosts {
            let runs = parts.iter().any(|p| self.runs(&host, p));
            if !runs {
                self.balancers.remove(&host);
            } else if !self.balancers.contains_key(&host) {
                let conf = self.machines[&host].text(CONF).unwrap_or_default().to_owned();
                let mut new = Balancer::default();
                new.load(&conf, self.clock);
                self.balancers.insert(host, new);
            }
        }
    }
}
