//! Answers of hosts to questions, and the judgement of an answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use names::{HostName, ResourceId};
use wire::{Answer, Expect, Fact, Listing, Query};

use crate::{World, digest, filled};

fn ran(status: i32, stdout: impl Into<String>) -> Fact<Answer> {
    Fact::Known(Answer::Ran {
        status,
        stdout: stdout.into(),
        stderr: String::new(),
    })
}

fn rows(rows: &[&[&str]]) -> Fact<Answer> {
    let row = |r: &&[&str]| r.iter().map(|c| Some((*c).to_owned())).collect();
    Fact::Known(Answer::Rows(rows.iter().map(row).collect()))
}

fn listing<'a>(folders: impl Iterator<Item = &'a str>) -> Fact<Answer> {
    Fact::Known(Answer::Listing(Listing {
        folders: folders.map(str::to_owned).collect(),
        others: Vec::new(),
    }))
}

fn http(status: u16, body: impl Into<String>) -> Fact<Answer> {
    Fact::Known(Answer::Http {
        status,
        body: body.into(),
        headers: BTreeMap::new(),
    })
}

fn wanted_rows(want: &[Vec<String>]) -> Fact<Answer> {
    let row = |r: &Vec<String>| r.iter().cloned().map(Some).collect();
    Fact::Known(Answer::Rows(want.iter().map(row).collect()))
}

impl World {
    /// The answer to a question that the planner asks by a name.
    pub(crate) fn named(&self, host: &str, name: &str, query: &Query) -> Fact<Answer> {
        let (what, rest) = name.split_once('/').unwrap_or((name, ""));
        match what {
            "restore" if rest == "unfinished" => self.unfinished(host),
            "api" | "instance" | "restore" => self.asked(host, query),
            "cluster" => self.links(host),
            "corosync" if rest == "quorum" => self.quorum(host),
            "corosync" => {
                let loaded = self.cluster.loaded.get(host);
                loaded.map_or(Fact::Absent, |loaded| ran(0, &*loaded.keys))
            }
            "balancer" => self.balancer(host, rest),
            "database" => self.database(host, rest),
            "script" => self.script(host, rest),
            // Nothing is on any host.
            "held" if self.serves_sql(host) => rows(&[]),
            "cure" => self.cure(host, rest),
            "ring" => self.ring(host, rest),
            _ if what == self.desired.sql_resource => self.of_databases(host, rest),
            _ if self.queues().is_some_and(|s| s.resource == what) => self.of_broker(host, rest),
            _ => Fact::Absent,
        }
    }

    pub(crate) fn serves_sql(&self, host: &str) -> bool {
        self.databases.members.get(host).is_some_and(|m| m.joined)
    }

    fn links(&self, host: &str) -> Fact<Answer> {
        if !self.cluster.loaded.contains_key(host) {
            return ran(1, "");
        }
        let mut out = String::new();
        for (node, id) in &self.desired.nodes {
            let there = self.cluster.loaded.contains_key(node.as_str()) && self.reach(host, node);
            let word = if there { "connected" } else { "disconnected" };
            let _ = writeln!(out, "nodeid: {id} reachable");
            for link in 0..self.desired.links.len() {
                let _ = writeln!(out, "   LINK: {link} udp (a->b) enabled {word} mtu: 1365");
            }
        }
        ran(0, out)
    }

    /// Votequorum's own word, which is there in an election too.
    fn quorum(&self, host: &str) -> Fact<Answer> {
        if !self.cluster.loaded.contains_key(host) {
            return Fact::Absent;
        }
        let has = self.is_quorate(host);
        let (status, word) = if has { (0, "Yes") } else { (2, "No") };
        ran(status, format!("Quorate:          {word}\n"))
    }

    fn balancer(&self, host: &str, what: &str) -> Fact<Answer> {
        match (what, self.balancers.get(host)) {
            ("written", _) => {
                let file = self
                    .machines
                    .get(host)
                    .and_then(|m| m.files.get(crate::balancer::CONF));
                file.map_or(ran(1, ""), |f| ran(0, format!("{}\n", f.written)))
            }
            (_, Some(balancer)) => Fact::Known(Answer::Text(balancer.said())),
            (_, None) => Fact::Absent,
        }
    }

    fn database(&self, host: &str, service: &str) -> Fact<Answer> {
        if !self.serves_sql(host) {
            return Fact::Absent;
        }
        let database = self.desired.databases.iter().find(|d| d.service == service);
        let parts = database.into_iter().flat_map(|d| &d.parts);
        let made = parts.filter(|p| self.made.contains(&format!("part/{service}/{}", p.what)));
        let rows: Vec<Vec<String>> = made.map(|p| vec![p.what.clone(), p.want.clone()]).collect();
        wanted_rows(&rows)
    }

    fn script(&self, host: &str, rest: &str) -> Fact<Answer> {
        if !self.serves_sql(host) {
            return Fact::Absent;
        }
        let mut words = rest.splitn(3, '/');
        let (service, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let index: usize = words.next().and_then(|i| i.parse().ok()).unwrap_or_default();
        let script = (self.desired.scripts.iter()).find(|s| s.service == service && s.name == name);
        if let Some(each) = script.and_then(|s| s.each.as_ref()) {
            let key = |host: &HostName| format!("script/{service}/{name}/{host}");
            let taken = each.hosts.iter().filter(|h| self.made.contains(&key(h)));
            let taken: Vec<Vec<String>> = taken.map(|h| vec![h.to_string()]).collect();
            return wanted_rows(&taken);
        }
        let guard = script.and_then(|s| s.guards.get(index));
        match guard {
            Some((_, expect)) if self.made.contains(&format!("script/{service}/{name}")) => match expect {
                Expect::Rows(want) => wanted_rows(want),
                Expect::NoRow => rows(&[]),
                _ => rows(&[&["1"]]),
            },
            Some((_, Expect::NoRow)) => rows(&[&["1"]]),
            _ => rows(&[]),
        }
    }

    /// Hosts that a script may take in, if the question is that of one: those that run.
    fn ready_for(&self, query: &Query) -> Option<Vec<Vec<String>>> {
        let scripts = self.desired.scripts.iter();
        let mut of_hosts = scripts.filter_map(|s| Some((s, s.each.as_ref()?)));
        let (script, each) = of_hosts.find(|(_, each)| each.ready.as_ref() == Some(query))?;
        let ready = each.hosts.iter().filter(|h| self.runs_all_of(h, &script.service));
        Some(ready.map(|h| vec![h.to_string()]).collect())
    }

    /// True if all units of a service that systemd starts on a host run there.
    pub(crate) fn runs_all_of(&self, host: &str, service: &str) -> bool {
        let (Some(wanted), Some(machine)) = (self.desired.hosts.get(host), self.machines.get(host)) else {
            return false;
        };
        let mut units = wanted
            .units
            .iter()
            .filter(|u| u.run == render::UnitRun::Systemd && !u.gated && u.service == service);
        units.all(|u| machine.units.get(&u.unit).is_some_and(|unit| unit.active))
    }

    fn cure(&self, host: &str, name: &str) -> Fact<Answer> {
        let cures = self.desired.hosts.get(host).into_iter().flat_map(|h| &h.cures);
        let Some(cure) = cures.into_iter().find(|c| c.name == name) else {
            return Fact::Absent;
        };
        let wire::Own::Edit(edit) = &cure.file.write.own else {
            return Fact::Absent;
        };
        let file = self
            .machines
            .get(host)
            .and_then(|m| m.files.get(&cure.file.write.path));
        match (file, edit.known.first()) {
            (Some(file), Some((before, after))) => {
                let done = *file.content == *edit.to.as_bytes();
                ran(0, if done { after.clone() } else { before.clone() })
            }
            _ => ran(1, ""),
        }
    }

    fn ring(&self, host: &str, path: &str) -> Fact<Answer> {
        let file = self.machines.get(host).and_then(|m| m.files.get(path));
        file.map_or(ran(1, ""), |f| ran(0, crate::text::base64(&f.content)))
    }

    fn of_databases(&self, host: &str, what: &str) -> Fact<Answer> {
        let member = self.databases.members.get(host).copied().unwrap_or_default();
        let packaged = self.machines.get(host).is_some_and(|m| !m.packages.is_empty());
        let uuid = "11111111-2222-3333-4444-555555555555";
        match what {
            "status" if member.running => rows(&[
                &[
                    "wsrep_cluster_status",
                    if member.joined { "Primary" } else { "non-Primary" },
                ],
                &[
                    "wsrep_local_state_comment",
                    if member.joined { "Synced" } else { "Initialized" },
                ],
                &["wsrep_ready", if member.joined { "ON" } else { "OFF" }],
                &["wsrep_cluster_size", &self.databases.serving().max(1).to_string()],
                &["wsrep_cluster_state_uuid", uuid],
                &["wsrep_last_committed", &member.position.to_string()],
            ]),
            "owner" if member.joined && self.databases.owned => {
                rows(&[&[&filled("\u{27e6}secret:cloud/id\u{27e7}")]])
            }
            "owner" | "stranger" if member.joined => rows(&[]),
            "weight" if member.joined => rows(&[&[&member.weight.to_string()]]),
            "grastate" if member.born => {
                let at = if member.clean { member.position } else { -1 };
                Fact::Known(Answer::Text(format!("version: 2.1\nuuid: {uuid}\nseqno: {at}\n")))
            }
            "directories" if !packaged => Fact::Absent,
            "directories" => {
                let ours = self.databases.owned && member.born;
                let all = ["mysql", "performance_schema", "sys"].into_iter();
                listing(all.chain(ours.then_some("quorate")))
            }
            "position" if member.running => ran(0, "runs\n"),
            "position" => ran(0, format!("position {uuid}:{}\n", member.position)),
            _ => Fact::Absent,
        }
    }

    fn of_broker(&self, host: &str, what: &str) -> Fact<Answer> {
        let runs = self.broker.serves(host);
        match what {
            "data" => listing(
                self.broker
                    .data
                    .contains_key(host)
                    .then_some("member")
                    .into_iter(),
            ),
            "nodes" if runs => http(200, self.nodes(host)),
            "alarms" | "critical" if runs => http(200, "{\"status\":\"ok\"}"),
            "queues" if runs => http(200, "[]"),
            "limits" if runs => {
                let limits = "\"disk_free_limit\":200000000,\"mem_limit\":2000000000";
                let one = |h: &String| format!("{{\"name\":\"rabbit@{h}\",{limits}}}");
                let all: Vec<String> = self.broker.serving().iter().map(one).collect();
                http(200, format!("[{}]", all.join(",")))
            }
            "vhosts" | "users" | "permissions" | "policies" if runs => {
                let all = self.queues().map(|s| s.definitions.section(what).to_string());
                http(200, all.unwrap_or_default())
            }
            _ => Fact::Absent,
        }
    }

    /// The broker's nodes as a member tells them.
    fn nodes(&self, host: &str) -> String {
        let node = |host: &String| {
            let up = self.broker.serves(host);
            format!("{{\"name\":\"rabbit@{host}\",\"running\":{up},\"partitions\":[]}}")
        };
        let all: Vec<String> = self.broker.remembers(host).map(node).collect();
        format!("[{}]", all.join(","))
    }

    /// The answer to any question.
    pub(crate) fn asked(&self, host: &str, query: &Query) -> Fact<Answer> {
        match query {
            Query::Cluster => self
                .monitor(host)
                .map_or(Fact::Absent, |seen| Fact::Known(Answer::Cluster(Box::new(seen)))),
            Query::Http(get) if get.url.contains("/api/nodes") => self.of_broker(host, "nodes"),
            Query::Http(get) => {
                if let Some(api) = self.desired.apis.iter().find(|a| a.check == get.url) {
                    let up = self.answers(&api.resource, &api.service);
                    return if up { http(200, "{}") } else { Fact::Absent };
                }
                if self.instance_up(host, query) {
                    http(200, "{}")
                } else {
                    Fact::Absent
                }
            }
            Query::Tcp(_) if self.instance_up(host, query) => Fact::Known(Answer::Open),
            Query::Run { argv, .. } => self.looked(host, argv),
            Query::Sql(_) if self.of_restore(host, query).is_some() => {
                let answer = self.of_restore(host, query).filter(|_| self.serves_sql(host));
                answer.map_or(Fact::Absent, |row| if row { rows(&[&["1"]]) } else { rows(&[]) })
            }
            Query::Sql(_) if self.ready_for(query).is_some() => {
                let answer = self.ready_for(query).filter(|_| self.serves_sql(host));
                answer.map_or(Fact::Absent, |hosts| wanted_rows(&hosts))
            }
            Query::Sql(sql) => {
                // Known by the question that has a name.
                let mut all = self.asks.get(host).into_iter().flat_map(|ask| &ask.queries);
                let same = all.find(|q| match &q.query {
                    Query::Sql(known) => known.statements == sql.statements,
                    _ => false,
                });
                let found = same.map(|q| self.named(host, &q.name, query));
                found.unwrap_or_else(|| {
                    if self.serves_sql(host) {
                        rows(&[])
                    } else {
                        Fact::Absent
                    }
                })
            }
            _ => Fact::Absent,
        }
    }

    /// True if the instance that a question is for runs, wherever its host is.
    fn instance_up(&self, host: &str, query: &Query) -> bool {
        let here = self.desired.hosts.get_key_value(host);
        let all = here
            .into_iter()
            .chain(self.desired.hosts.iter().filter(|(h, _)| *h != host));
        let found = all
            .flat_map(|(h, wanted)| wanted.units.iter().map(move |u| (h, u)))
            .find(|(_, u)| u.check.as_ref().is_some_and(|c| c.query == *query));
        found
            .is_some_and(|(h, u)| self.is_active(h, &u.unit) && !self.machines[h].slow && self.reach(host, h))
    }

    /// Output of a program that only looks.
    fn looked(&self, host: &str, argv: &[String]) -> Fact<Answer> {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let member = self.databases.members.get(host).copied().unwrap_or_default();
        let code = |good: bool| ran(i32::from(!good), "");
        match words.as_slice() {
            [_, "has-joined"] => code(member.joined),
            [_, "was-alone"] => code(member.born),
            ["systemctl", "is-active", .., unit] => code(self.is_active(host, unit)),
            ["corosync-cmapctl", "-g", key] => {
                let all = self.cluster.loaded.get(host).map_or("", |l| &l.keys);
                let found = all.lines().find(|l| l.split(' ').next() == Some(key));
                found.map_or_else(|| ran(1, ""), |line| ran(0, line))
            }
            ["cibadmin", "--query", "--xpath", path] => {
                let mut all = self.cluster.remembered.iter();
                let there = all.any(|id| path.contains(&format!("'{id}'")));
                ran(if there { 0 } else { 105 }, "")
            }
            ["sh", "-c", script] if script.starts_with("seen=$(crm_mon ") => {
                let seen = self.monitor(host);
                let named = |id: &ResourceId| {
                    let mut all = seen.iter().flat_map(|cluster| &cluster.resources);
                    all.any(|r| r.id == *id)
                };
                code(seen.is_some() && !self.desired.gated.iter().any(named))
            }
            // The question whether the databases' server runs.
            ["sh", "-c", script] if script.starts_with("{ servers() {") => code(member.running),
            _ => Fact::Absent,
        }
    }

    /// Judges the answer to a question, as the agent does.
    pub(crate) fn holds(&self, host: &str, query: &Query, expect: &Expect) -> Result<(), String> {
        let answer = self.asked(host, query);
        match expect {
            Expect::Contains(text) => wire::holds(&answer, &Expect::Contains(filled(text))),
            other => wire::holds(&answer, other),
        }
    }

    pub(crate) fn is_sql(&self, resource: &str) -> bool {
        self.desired.sql_resource == resource
    }
}

/// The digest of a text's lines, as hosts tell them of files with secrets.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|l| digest(l.as_bytes())).collect()
}
