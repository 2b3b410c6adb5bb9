//! Operations, done. What this world does not know fails, so that it is never taken for done.

use std::collections::BTreeSet;

use render::UnitRun;
use wire::{Balance, Command, Expect, Op, Query, ServerState, Sql, UnitChange};

use crate::balancer::CONF as BALANCER_CONF;
use crate::cluster::{CONF, Loaded, UNITS};
use crate::{Failure, World};

impl World {
    /// Does an operation on a host.
    ///
    /// # Errors
    /// Why it failed; the world is as far as it got.
    pub fn perform(&mut self, host: &str, op: &Op) -> Result<(), Failure> {
        let up = self.machines.get(host).is_some_and(|m| m.up);
        if !up {
            return Err(format!("{host}: no route to host"));
        }
        if let Op::Unless { guards, ops } = op {
            if self.hold_all(host, guards) {
                return Ok(());
            }
            return ops.iter().try_for_each(|op| self.perform(host, op));
        }
        self.clock += 1;
        self.done += 1;
        self.tick += 1;
        let wait = matches!(op, Op::Wait(_));
        if !wait {
            (self.touched, self.looking) = (true, false);
        }
        let done = self.act(host, op).map_err(|why| format!("{host}: {why}"));
        // Of waits one after the other the first counts: what was asked may change meanwhile.
        if wait && done.is_ok() && !self.touched && !self.looking {
            (self.looked, self.looking) = (self.tick, true);
        }
        // Users write, whatever the operator does.
        self.databases.write();
        self.settle(true);
        done
    }

    /// True if all guards of an operation hold.
    pub(crate) fn hold_all(&self, host: &str, guards: &[(Query, Expect)]) -> bool {
        !guards.is_empty() && guards.iter().all(|(q, e)| self.holds(host, q, e).is_ok())
    }

    fn act(&mut self, host: &str, op: &Op) -> Result<(), Failure> {
        let now = self.clock;
        let Some(machine) = self.machines.get_mut(host) else {
            return Err("there is no such host".to_owned());
        };
        match op {
            Op::Files(files) => {
                files.iter().try_for_each(|f| machine.write(f, now))?;
                self.choose(host, files);
                Ok(())
            }
            Op::Remove(paths) => {
                machine.files.retain(|path, _| !paths.contains(path));
                Ok(())
            }
            Op::Packages(names) => {
                if !machine.room {
                    return Err("no space left on device".to_owned());
                }
                machine.packages.extend(names.iter().cloned());
                self.bring_files(host);
                Ok(())
            }
            Op::Sysctls(all) => {
                machine.sysctls.extend(all.iter().cloned());
                Ok(())
            }
            Op::Units(changes) => changes.iter().try_for_each(|c| self.unit_change(host, c)),
            Op::Cib(sections) => {
                if !self.rules(host) {
                    return Err("the cluster has no quorum".to_owned());
                }
                let sections = sections.iter().map(|s| (s.name.clone(), s.xml.clone()));
                self.cluster.replace(sections);
                Ok(())
            }
            Op::Wait(wait) => {
                if std::mem::take(&mut self.databases.late) {
                    self.settle(false);
                }
                let held = self.holds(host, &wait.query, &wait.expect);
                held.map_err(|why| format!("waited in vain: {}: {why}", wait.what))
            }
            Op::Balance(balance) => self.balance(host, balance),
            Op::Tell { lines, .. } => {
                if let Some(balancer) = self.balancers.get_mut(host) {
                    for line in lines {
                        balancer.tell(line);
                    }
                }
                Ok(())
            }
            Op::Sql(sql) => self.sql_said(host, sql),
            Op::Run(command) => self.command(host, command),
            Op::Upgrade => {
                self.is_updated(host);
                Ok(())
            }
            Op::Http(_) => Ok(()),
            other => Err(format!("this world cannot do it: {other:?}")),
        }
    }

    /// Files that packages bring and cures are for.
    fn bring_files(&mut self, host: &str) {
        let cures = self
            .desired
            .hosts
            .get(host)
            .map(|h| h.cures.clone())
            .unwrap_or_default();
        let now = self.clock;
        let Some(machine) = self.machines.get_mut(host) else {
            return;
        };
        for cure in cures {
            if !machine.files.contains_key(&cure.file.write.path) && machine.packages.contains(&cure.package)
            {
                let mut as_packaged = cure.file.write.clone();
                as_packaged.own = wire::Own::File;
                let _ = machine.write(&as_packaged, now);
            }
        }
    }

    fn unit_change(&mut self, host: &str, change: &UnitChange) -> Result<(), Failure> {
        if change.restart || change.active == Some(false) {
            self.unit_stops(host, &change.unit);
        }
        let wanted = self.desired.hosts.get(host).into_iter().flat_map(|h| &h.units);
        let wanted = wanted.into_iter().find(|u| u.unit == change.unit).cloned();
        let Some(machine) = self.machines.get_mut(host) else {
            return Ok(());
        };
        // On a host whose disk was emptied meanwhile.
        if machine.packages.is_empty() && change.active == Some(true) {
            return Err(format!("{} is not there", change.unit));
        }
        let told = machine.is_told(&change.unit);
        let unit = machine.change(change);
        if change.unit == UNITS[1] && change.active.is_some() {
            self.partition.out.remove(host);
        }
        if unit.masked && change.active == Some(true) {
            return Err(format!("{} is masked", change.unit));
        }
        let Some(wanted) = wanted else {
            unit.active = change.active.unwrap_or(unit.active) || change.restart;
            let sql = self.sql().and_then(|s| s.options.get("unit"));
            if sql == Some(&change.unit) && change.active == Some(false) {
                self.databases.stop(host);
            }
            return Ok(());
        };
        if !wanted.resource.is_empty()
            && wanted.run == UnitRun::Systemd
            && change.enabled == Some(true)
            && !told
        {
            return Err(format!("{}: nothing says what would start it", change.unit));
        }
        unit.active = change.active.unwrap_or(unit.active) || change.restart;
        if change.reload && self.desired.balancers.iter().any(|b| b == host) {
            let conf = self.machines[host]
                .text(BALANCER_CONF)
                .unwrap_or_default()
                .to_owned();
            let now = self.clock;
            if let Some(balancer) = self.balancers.get_mut(host) {
                balancer.load(&conf, now);
            }
        }
        Ok(())
    }

    fn balance(&mut self, host: &str, balance: &Balance) -> Result<(), Failure> {
        self.may_be_taken_out(host, balance);
        let Some(balancer) = self.balancers.get_mut(host) else {
            return Ok(()); // it sends nobody anywhere
        };
        let mut unknown = Vec::new();
        for server in &balance.servers {
            if !balancer.set(server, balance.state) {
                unknown.push(server.clone());
            }
        }
        if !unknown.is_empty() {
            return Err(format!("the balancer has no {}", unknown.join(", ")));
        }
        if balance.state == ServerState::Ready {
            for server in &balance.servers {
                let (section, member) = server.split_once('/').unwrap_or_default();
                let on = self
                    .desired
                    .balanced
                    .iter()
                    .find(|b| b.sections().any(|s| s == section));
                if on.is_none_or(|on| !self.reaches(host, member, &on.resource)) {
                    return Err(format!("{server} was let in and is not up"));
                }
            }
        }
        Ok(())
    }

    fn sql_said(&mut self, host: &str, sql: &Sql) -> Result<(), Failure> {
        if !self.serves_sql(host) {
            return Err("the database does not serve here".to_owned());
        }
        self.said_of_restore(sql);
        let said: BTreeSet<&str> = sql.statements.iter().map(String::as_str).collect();
        if said.iter().any(|s| s.contains("INTO quorate.cloud")) {
            self.databases.owned = true;
        }
        let mut made = Vec::new();
        for database in &self.desired.databases {
            let done = |p: &&engines::DatabasePart| p.make.iter().all(|s| said.contains(s.as_str()));
            let parts = database.parts.iter().filter(done);
            made.extend(parts.map(|p| format!("part/{}/{}", database.service, p.what)));
        }
        self.made.extend(made);
        Ok(())
    }

    fn command(&mut self, host: &str, command: &Command) -> Result<(), Failure> {
        let script = self.desired.scripts.iter().find(|s| match &s.op {
            Op::Run(known) => known.unit == command.unit,
            _ => false,
        });
        if let Some(script) = script.cloned() {
            return self.run_script(host, &script);
        }
        let mut forget = self.desired.forget.iter().map(|f| &f.script);
        if let Some(script) = forget.find(|s| matches!(&s.op, Op::Run(known) if known.unit == command.unit)) {
            return self.forgets(host, &script.clone());
        }
        if let Some(done) = self.keeps_up(host, command) {
            return done;
        }
        if Self::is_load(command) {
            return self.load(host);
        }
        let birth = self.sql().and_then(|s| s.options.get("birth").cloned());
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        if words.first().copied() == birth.as_deref() {
            return self.birth(host, &words[1..]);
        }
        match words.as_slice() {
            ["crm_resource" | "crm_attribute" | "crm_node", ..] if !self.rules(host) => {
                Err("the cluster has no quorum".to_owned())
            }
            [
                "crm_resource",
                "--quiet",
                verb @ ("--ban" | "--clear"),
                "--resource",
                whole,
                "--node",
                node,
                ..,
            ] => {
                let ban = ((*whole).to_owned(), (*node).to_owned());
                if *verb == "--ban" {
                    self.cluster.bans.insert(ban);
                } else {
                    self.cluster.bans.remove(&ban);
                }
                Ok(())
            }
            ["crm_resource", "--refresh", .., id] => {
                let id = self.cluster.primitive(id);
                self.cluster.remembered.remove(&id);
                Ok(())
            }
            ["crm_resource", rest @ ..] if rest.contains(&"--cleanup") || rest.contains(&"--wait") => Ok(()),
            ["crm_resource", "--meta", "--resource", ..] => Ok(()),
            ["crm_attribute", "--node", node, "--name", name, rest @ ..] => {
                let there = !rest.contains(&"--delete");
                self.cluster.set_attribute(node, name, there);
                Ok(())
            }
            ["crm_node", "--force", "--remove", node] => {
                self.cluster.known.remove(*node);
                Ok(())
            }
            ["sh", "-c", script] if script.contains("corosync-cfgtool -R") => {
                let reached = self.cluster.loaded.keys().filter(|h| self.reach(host, h));
                for member in reached.cloned().collect::<Vec<_>>() {
                    let conf = self.machines[member.as_str()].text(CONF).unwrap_or_default();
                    let loaded = Loaded::of(conf);
                    self.cluster.loaded.insert(member, loaded);
                }
                self.all_count_the_same(host);
                Ok(())
            }
            [_, "forget_cluster_node", node] => {
                let node = node.rsplit('@').next().unwrap_or_default();
                if self.broker.serves(node) {
                    return Err(format!("{node} runs"));
                }
                self.none_of_ours(node);
                self.broker.forget(node);
                Ok(())
            }
            other => Err(format!("this world has no {other:?}")),
        }
    }

    /// Records are removed by an API that answers, and only where the databases serve.
    fn forgets(&self, host: &str, script: &render::DesiredScript) -> Result<(), Failure> {
        let mut apis = self
            .desired
            .apis
            .iter()
            .filter(|a| script.asks.contains(&a.service));
        if !self.reaches_sql(host) || !script.hosts.iter().any(|h| h == host) {
            return Err(format!("{host} cannot ask for {}", script.name));
        }
        if apis.any(|a| !self.answers(&a.resource, &a.service)) {
            return Err(format!("{} does not answer", script.service));
        }
        Ok(())
    }

    fn run_script(&mut self, host: &str, script: &render::DesiredScript) -> Result<(), Failure> {
        if !script.hosts.iter().any(|h| h == host) {
            self.break_law(&format!(
                "{} is run on {host}, which is not its place",
                script.name
            ));
        }
        if !self.reaches_sql(host) {
            return Err("no database answers".to_owned());
        }
        let missing = script
            .after
            .iter()
            .find(|name| !self.made.contains(&format!("script/{}/{name}", script.service)));
        if let Some(name) = missing {
            self.break_law(&format!(
                "{}/{} is run before {name}",
                script.service, script.name
            ));
        }
        let silent = script.asks.iter().find(|service| {
            let mut apis = self.desired.apis.iter().filter(|a| a.service == **service);
            !apis.any(|a| self.answers(&a.resource, &a.service))
        });
        if let Some(service) = silent {
            return Err(format!("{service} does not answer"));
        }
        let key = format!("script/{}/{}", script.service, script.name);
        let mut new = self.made.insert(key.clone());
        if let Some(each) = &script.each {
            // Hosts that do not run yet are not found.
            let found = each.hosts.iter().filter(|h| self.runs_all_of(h, &script.service));
            let found: Vec<String> = found.map(|h| format!("{key}/{h}")).collect();
            for key in found {
                new |= self.made.insert(key);
            }
        }
        if !new && !script.guards.is_empty() {
            self.break_law(&format!("{}/{} is run again", script.service, script.name));
        }
        Ok(())
    }

    fn birth(&mut self, host: &str, words: &[&str]) -> Result<(), Failure> {
        if words.first() == Some(&"alone") {
            self.nothing_is_there(host);
        }
        match words {
            ["alone", "first"] => {
                if self.databases.serving() > 0 {
                    self.break_law(&format!("{host} begins beside a database that serves"));
                }
                self.databases.begin(host);
                Ok(())
            }
            ["alone", _] => {
                let member = self.databases.member(host);
                (member.born, member.position) = (true, 0);
                Ok(())
            }
            ["join"] if self.machines[host].slow => Err("it is not given a copy in time".to_owned()),
            ["join"] if self.reaches_sql(host) => {
                self.databases.start(host, false);
                Ok(())
            }
            ["join"] => Err("there is nobody to join".to_owned()),
            ["weigh", weight] => {
                self.databases.member(host).weight = weight.parse().unwrap_or(1);
                Ok(())
            }
            other => Err(format!("the birth has no {other:?}")),
        }
    }
}
