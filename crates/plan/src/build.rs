//! The planner: every step that leads from what is to what should be.
//!
//! The order on a cloud that is not yet there: all hosts are prepared at the
//! same time; the cluster is started on all; its configuration enters in two
//! layers (what needs no schema first); stores are waited for; databases and
//! scripts; then the services. On one that runs, changes that restart
//! something go host by host, each gated by the health of the one before.

use engines::{Intent, Refusal, Seen};
use indexmap::IndexSet;
use pacemaker::{Cib, SECTIONS, canonical, section_of};
use render::{Desired, DesiredFile, DesiredHost, DesiredUnit, UnitRun};
use similar::TextDiff;
use wire::{
    CibSection, ClusterWant, Command, Expect, Fact, Facts, FileWrite, Op, Query, ResourceWant, UnitChange, Wait,
};

use crate::{Change, Digest, Effect, Observed, Plan, Step, look, refuse};

fn is_cluster(unit: &DesiredUnit) -> bool {
    unit.run == UnitRun::Cluster
}

fn is_systemd(unit: &DesiredUnit) -> bool {
    unit.run == UnitRun::Systemd
}

/// Everything one planning works on.
struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    digest: Digest<'a>,
    steps: Vec<Step>,
    /// Ids of the steps after which every host has what it should have.
    prepared: Vec<String>,
    /// Whether a host's cluster manager has to be started.
    starting: bool,
}

/// Plans. `distribution` is the cloud's; `digest` fills and hashes a content.
///
/// # Errors
/// All reasons against it; nothing may then be done.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    intent: Intent,
    distribution: &str,
    digest: Digest<'_>,
) -> Result<Plan, Vec<Refusal>> {
    let mut reasons = refuse::reasons(desired, observed, distribution);
    let seen: Seen<'_> = observed.iter().map(|(h, f)| (h.clone(), f.as_ref().ok())).collect();
    let mut stages = Vec::new();
    for store in &desired.stores {
        match engines::stage(store, &seen, intent) {
            Ok(stage) => stages.push((store, stage)),
            // A host that cannot be seen was already said.
            Err(refusal) if refusal.code == "store::member-unknown" && !reasons.is_empty() => {}
            Err(refusal) => reasons.push(refusal),
        }
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let mut planner =
        Planner { desired, observed, digest, steps: Vec::new(), prepared: Vec::new(), starting: false };
    planner.hosts();
    let quorum = planner.cluster();
    let mut out = Plan {
        intent: match intent {
            Intent::Converge => "apply",
            Intent::Recover => "recover",
        }
        .to_owned(),
        ..Plan::default()
    };
    let foundation = planner.cib_foundation(quorum);
    let mut store_done = Vec::new();
    for (store, stage) in &stages {
        out.explain.extend(stage.explain.iter().cloned());
        out.barrier |= stage.barrier;
        store_done.extend(planner.store(store, stage, foundation.as_deref()));
    }
    if !out.barrier {
        let scripts = planner.databases_and_scripts(&store_done, foundation.as_deref());
        let services = planner.cib_services(&scripts, foundation.as_deref());
        planner.settle(services.as_deref());
    }
    out.steps = planner.steps;
    Ok(out)
}

fn step(id: String, hosts: Vec<String>, title: String, why: &str, ops: Vec<Op>, after: Vec<String>) -> Step {
    Step { id, hosts, title, why: why.to_owned(), changes: Vec::new(), effects: Vec::new(), after, ops }
}

impl Planner<'_> {
    fn facts(&self, host: &str) -> Option<&Facts> {
        self.observed.get(host).and_then(|f| f.as_ref().ok())
    }

    fn nodes(&self) -> Vec<String> {
        self.desired.nodes.iter().map(|(n, _)| n.clone()).collect()
    }

    /// Whether the cluster manager runs on a host.
    fn clustered(&self, host: &str) -> bool {
        self.facts(host).is_some_and(|f| matches!(f.crm_mon, Fact::Known(_)))
    }

    fn file_change(&self, file: &DesiredFile, facts: &Facts) -> Option<Change> {
        let path = &file.write.path;
        let now = match facts.files.get(path) {
            Some(Fact::Known(now)) => now,
            _ => return Some(Change { what: path.clone(), glyph: '+', diff: String::new() }),
        };
        if file.once && !file.write.directory {
            return None;
        }
        let same_owner = now.stat.owner == file.write.owner
            && now.stat.group == file.write.group
            && now.stat.mode & 0o7777 == file.write.mode;
        let same = file.write.directory || now.digest == (self.digest)(&file.write.content);
        if same && same_owner {
            return None;
        }
        let diff = if same {
            format!(
                "{}:{} {:o} → {}:{} {:o}",
                now.stat.owner, now.stat.group, now.stat.mode & 0o7777, file.write.owner, file.write.group, file.write.mode
            )
        } else if file.secret {
            "‹secret› changed".to_owned()
        } else {
            let new = String::from_utf8_lossy(&file.write.content);
            TextDiff::from_lines(now.text.as_deref().unwrap_or_default(), &new)
                .unified_diff()
                .context_radius(1)
                .to_string()
        };
        Some(Change { what: path.clone(), glyph: '~', diff })
    }

    /// What every host needs that restarts nothing; then, where the cluster
    /// already runs, what does, host by host.
    fn hosts(&mut self) {
        let mut rolling: Vec<(String, Vec<FileWrite>, Vec<String>, Vec<Change>)> = Vec::new();
        for (host, wanted) in &self.desired.hosts {
            let Some(facts) = self.facts(host) else { continue };
            let running = self.clustered(host);
            let mut changes = Vec::new();
            let mut ops = Vec::new();
            let missing: Vec<String> = wanted
                .packages
                .iter()
                .filter(|p| !matches!(facts.packages.get(*p), Some(Fact::Known(_))))
                .cloned()
                .collect();
            if !missing.is_empty() {
                changes.extend(missing.iter().map(|p| Change {
                    what: format!("package {p}"),
                    glyph: '+',
                    diff: String::new(),
                }));
                ops.push(Op::Packages(missing));
            }
            let mut quiet: Vec<FileWrite> = Vec::new();
            let mut later: (Vec<FileWrite>, IndexSet<String>, Vec<Change>) = Default::default();
            let mut reload: IndexSet<String> = IndexSet::new();
            for file in &wanted.files {
                let Some(change) = self.file_change(file, facts) else { continue };
                if running && !file.restart.is_empty() {
                    later.0.push(file.write.clone());
                    later.1.extend(file.restart.iter().cloned());
                    later.2.push(change);
                } else {
                    quiet.push(file.write.clone());
                    if running {
                        reload.extend(file.reload.iter().cloned());
                    }
                    changes.push(change);
                }
            }
            let units = unit_changes(wanted, facts, running, &mut changes);
            // Masks come first: a distribution's unit must not start while its package is configured.
            let masks: Vec<UnitChange> = wanted
                .mask
                .iter()
                .filter(|u| !matches!(facts.units.get(*u), Some(Fact::Known(f)) if f.file == "masked"))
                .map(|u| UnitChange { unit: u.clone(), masked: Some(true), ..UnitChange::default() })
                .collect();
            for mask in &masks {
                changes.push(Change { what: format!("mask {}", mask.unit), glyph: '+', diff: String::new() });
            }
            if !masks.is_empty() {
                ops.insert(0, Op::Units(masks));
            }
            if !quiet.is_empty() {
                ops.push(Op::Files(quiet));
            }
            let sysctls: Vec<(String, String)> = wanted
                .sysctls
                .iter()
                .filter(|(k, v)| matches!(facts.sysctls.get(*k), Some(Fact::Known(now)) if !same_words(now, v)))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            if !sysctls.is_empty() {
                changes.extend(sysctls.iter().map(|(k, v)| Change {
                    what: format!("sysctl {k} = {v}"),
                    glyph: '~',
                    diff: String::new(),
                }));
                ops.push(Op::Sysctls(sysctls));
            }
            if !units.is_empty() {
                ops.push(Op::Units(units));
            }
            if !reload.is_empty() {
                ops.push(Op::Units(
                    reload
                        .into_iter()
                        .map(|unit| UnitChange { unit, reload: true, ..UnitChange::default() })
                        .collect(),
                ));
            }
            if !ops.is_empty() {
                let id = format!("prepare/{host}");
                let mut s = step(
                    id.clone(),
                    vec![host.clone()],
                    format!("prepare {host}"),
                    "it lacks what this cloud needs there",
                    ops,
                    Vec::new(),
                );
                s.changes = changes;
                self.steps.push(s);
                self.prepared.push(id);
            }
            if !later.0.is_empty() {
                rolling.push((host.clone(), later.0, later.1.into_iter().collect(), later.2));
            }
        }
        self.roll(rolling);
    }

    /// One host after the other: write, restart, wait until everything is whole again.
    fn roll(&mut self, hosts: Vec<(String, Vec<FileWrite>, Vec<String>, Vec<Change>)>) {
        let mut before = self.prepared.clone();
        for (host, files, resources, changes) in hosts {
            let mut ops = vec![Op::Files(files)];
            let mut effects = Vec::new();
            for resource in &resources {
                if self.instance_runs(resource, &host) {
                    ops.push(restart(resource, &host));
                    effects.push(Effect { resource: resource.clone(), host: host.clone() });
                }
            }
            ops.extend(self.gates(&host));
            let id = format!("change/{host}");
            let names = resources.join(", ");
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                format!("change {host}, restarting {names} there"),
                "files of running services differ",
                ops,
                before,
            );
            s.changes = changes;
            s.effects = effects;
            self.steps.push(s);
            before = vec![id];
        }
        if self.prepared != before {
            self.prepared.extend(before);
        }
    }

    fn instance_runs(&self, resource: &str, host: &str) -> bool {
        let Some(Fact::Known(xml)) = self.facts(host).map(|f| &f.crm_mon) else { return false };
        pacemaker::Monitor::parse(xml).is_ok_and(|m| {
            m.resources.iter().any(|r| r.id == resource && r.node.as_deref() == Some(host) && r.role != "Stopped")
        })
    }

    /// What must hold before the next host is touched (law 9).
    fn gates(&self, host: &str) -> Vec<Op> {
        let mut out: Vec<Op> = look::stores_on(self.desired, host)
            .flat_map(engines::whole)
            .map(Op::Wait)
            .collect();
        out.push(Op::Wait(self.settled(&self.desired.cib)));
        out
    }

    /// The wait for every resource of a configuration to run where it should.
    fn settled(&self, cib: &Cib) -> Wait {
        let nodes = u32::try_from(self.desired.nodes.len()).unwrap_or(u32::MAX);
        let resources = cib
            .resources
            .iter()
            .map(|r| {
                let id = r.primitive().id.clone();
                let banned = cib
                    .locations
                    .iter()
                    .filter(|l| l.resource == r.id() && l.score == "-INFINITY")
                    .count();
                let (role, count) = match r {
                    pacemaker::Resource::Primitive(_) => ("Started", 1),
                    pacemaker::Resource::Clone(c) => {
                        let promotable = c.meta.get("promotable").is_some_and(|v| v == "true");
                        let count = nodes.saturating_sub(u32::try_from(banned).unwrap_or(0));
                        (if promotable { "Promoted" } else { "Started" }, count)
                    }
                };
                ResourceWant { id, role: role.to_owned(), count, node: String::new() }
            })
            .collect();
        Wait {
            what: "the cluster runs everything where it should".to_owned(),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant { online: nodes, resources, idle: false }),
            timeout_ms: 300_000,
            every_ms: 300,
        }
    }

    /// Starts the cluster manager where it does not run. Gives the step after which it is quorate.
    fn cluster(&mut self) -> Option<String> {
        let nodes = self.nodes();
        let down: Vec<String> = nodes.iter().filter(|n| !self.clustered(n)).cloned().collect();
        if down.is_empty() {
            return None;
        }
        self.starting = true;
        let prepared = self.prepared.clone();
        let mut after = Vec::new();
        for host in &down {
            let Some(wanted) = self.desired.hosts.get(host) else { continue };
            let units: Vec<UnitChange> = wanted
                .units
                .iter()
                .filter(|u| is_systemd(u))
                .map(|u| UnitChange {
                    unit: u.unit.clone(),
                    enabled: Some(true),
                    active: Some(true),
                    ..UnitChange::default()
                })
                .collect();
            let id = format!("start/{host}");
            let names: Vec<&str> = units.iter().map(|u| u.unit.trim_end_matches(".service")).collect();
            let title = format!("start {} on {host}", names.join(", "));
            self.steps.push(step(
                id.clone(),
                vec![host.clone()],
                title,
                "the cluster does not run there",
                vec![Op::Units(units)],
                prepared.clone(),
            ));
            after.push(id);
        }
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let wait = Wait {
            what: format!("all {count} hosts are online in the cluster"),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant { online: count, resources: Vec::new(), idle: false }),
            timeout_ms: 120_000,
            every_ms: 300,
        };
        self.steps.push(step(
            "quorum".to_owned(),
            nodes,
            "wait for the cluster to be whole".to_owned(),
            "nothing is configured before all members are there",
            vec![Op::Wait(wait)],
            after,
        ));
        Some("quorum".to_owned())
    }

    /// The CIB as a host that runs the cluster knows it.
    fn cib_now(&self) -> Option<&str> {
        self.nodes().iter().find_map(|n| self.facts(n).and_then(|f| f.cib.known())).map(String::as_str)
    }

    fn sections(&self, cib: &Cib) -> (Vec<CibSection>, Vec<Change>) {
        let now = self.cib_now();
        let mut sections = Vec::new();
        let mut changes = Vec::new();
        for name in SECTIONS {
            let xml = cib.section(name);
            // Secrets stand in fencing devices: compared by digest, shown never.
            let want = canonical(&xml).unwrap_or_default();
            let have = now.and_then(|c| section_of(c, name));
            let same = have.as_deref().is_some_and(|have| self.same_section(&want, have));
            if same {
                continue;
            }
            let before = have.unwrap_or_default();
            let diff = TextDiff::from_lines(&mask_secrets(&before, &want), &want)
                .unified_diff()
                .context_radius(0)
                .to_string()
                .replace('\u{27e6}', "‹")
                .replace('\u{27e7}', "›");
            changes.push(Change { what: format!("cluster {name}"), glyph: if before.is_empty() { '+' } else { '~' }, diff });
            sections.push(CibSection { name: name.to_owned(), xml });
        }
        (sections, changes)
    }

    /// Line by line; a line with a secret is compared by digest.
    fn same_section(&self, want: &str, have: &str) -> bool {
        let (want, have): (Vec<&str>, Vec<&str>) = (want.lines().collect(), have.lines().collect());
        want.len() == have.len()
            && want.iter().zip(&have).all(|(w, h)| {
                if w.contains('\u{27e6}') { (self.digest)(w.as_bytes()) == (self.digest)(h.as_bytes()) } else { w == h }
            })
    }

    /// The layer that needs no schema. On a cloud that has all layers it is
    /// left to the second.
    fn cib_foundation(&mut self, quorum: Option<String>) -> Option<String> {
        let gated = &self.desired.gated;
        let there = |id: &String| self.cib_now().is_some_and(|c| c.contains(&format!("\"{id}\"")));
        if gated.is_empty() || gated.iter().all(there) {
            return quorum;
        }
        let layer = self.desired.cib.only(&|id| !gated.iter().any(|g| g == id) || there(&id.to_owned()));
        let (sections, changes) = self.sections(&layer);
        if sections.is_empty() {
            return quorum;
        }
        Some(self.cib_step("cib/foundation", "what needs no schema", sections, changes, quorum.into_iter().collect()))
    }

    fn cib_step(
        &mut self,
        id: &str,
        what: &str,
        sections: Vec<CibSection>,
        changes: Vec<Change>,
        mut after: Vec<String>,
    ) -> String {
        after.extend(self.prepared.iter().cloned());
        let nodes = self.nodes();
        let mut s = step(
            id.to_owned(),
            nodes,
            format!("configure the cluster: {what}"),
            "its configuration differs",
            vec![Op::Cib(sections)],
            after,
        );
        s.changes = changes;
        self.steps.push(s);
        id.to_owned()
    }

    /// An engine's stage. Gives the steps after which the store serves.
    fn store(
        &mut self,
        store: &engines::Store,
        stage: &engines::Stage,
        foundation: Option<&str>,
    ) -> Vec<String> {
        if stage.is_empty() {
            return Vec::new();
        }
        let name = &store.resource;
        let id = |what: &str| format!("store/{name}/{what}");
        let mut before = Vec::new();
        for s in &stage.before {
            let mut after: Vec<String> = s.after.iter().map(|a| id(a)).collect();
            after.extend(foundation.map(str::to_owned));
            let why = "the engine's choice";
            self.steps.push(step(id(&s.name), vec![s.host.clone()], s.title.clone(), why, s.ops.clone(), after));
            before.push(id(&s.name));
        }
        before.extend(foundation.map(str::to_owned));
        let mut ready = Vec::new();
        for host in &store.members {
            for (i, wait) in stage.ready.iter().enumerate() {
                let id = id(&format!("ready-{host}-{i}"));
                let title = format!("wait: {} on {host}", wait.what);
                let why = "it does not serve yet";
                self.steps.push(step(id.clone(), vec![host.clone()], title, why, vec![Op::Wait(wait.clone())], before.clone()));
                ready.push(id);
            }
        }
        if ready.is_empty() {
            ready = before;
        }
        let mut done = ready.clone();
        for s in &stage.after {
            let why = "it is not marked as this cloud's";
            self.steps.push(step(id(&s.name), store.members.clone(), s.title.clone(), why, s.ops.clone(), ready.clone()));
            done.push(id(&s.name));
        }
        done
    }

    /// Whether a guard is known to hold on some host of the SQL store.
    fn holds(&self, answer: &str, expect: &Expect) -> bool {
        self.desired
            .sql_hosts
            .iter()
            .filter_map(|h| self.facts(h)?.answers.get(answer))
            .any(|fact| match (fact, expect) {
                (Fact::Known(wire::Answer::Rows(rows)), Expect::SomeRow) => !rows.is_empty(),
                (Fact::Known(wire::Answer::Rows(rows)), Expect::Rows(want)) => {
                    let have: Vec<Vec<String>> = rows
                        .iter()
                        .map(|r| r.iter().map(|c| c.clone().unwrap_or_else(|| "NULL".to_owned())).collect())
                        .collect();
                    have == *want
                }
                _ => false,
            })
    }

    fn databases_and_scripts(&mut self, stores: &[String], foundation: Option<&str>) -> Vec<String> {
        let mut base: Vec<String> = stores.to_vec();
        base.extend(foundation.map(str::to_owned));
        base.extend(self.prepared.iter().cloned());
        let mut made = Vec::new();
        for db in &self.desired.databases {
            if self.holds(&look::database(&db.service), &db.expect) {
                continue;
            }
            let Some((socket, user)) = &self.desired.sql else { continue };
            let id = format!("database/{}", db.service);
            let op = Op::Unless {
                guards: vec![(db.query.clone(), db.expect.clone())],
                ops: vec![Op::Sql(wire::Sql {
                    socket: socket.clone(),
                    user: user.clone(),
                    statements: db.make.clone(),
                })],
            };
            let title = format!("make database {} and its user", db.name);
            self.steps.push(step(id.clone(), self.desired.sql_hosts.clone(), title, "it is not there", vec![op], base.clone()));
            made.push(id);
        }
        let ids: Vec<String> =
            self.desired.scripts.iter().map(|s| format!("script/{}/{}", s.service, s.name)).collect();
        let mut planned: Vec<String> = Vec::new();
        for (s, id) in self.desired.scripts.iter().zip(&ids) {
            let known = !s.guards.is_empty()
                && s.guards
                    .iter()
                    .enumerate()
                    .all(|(i, (_, expect))| self.holds(&look::script(&s.service, &s.name, i), expect));
            if known {
                continue;
            }
            let mut after: Vec<String> = s.after.iter().map(|a| format!("script/{}/{a}", s.service)).collect();
            after.retain(|a| planned.contains(a));
            after.extend(base.iter().cloned());
            after.extend(made.iter().filter(|m| **m == format!("database/{}", s.service)).cloned());
            let op = Op::Unless { guards: s.guards.clone(), ops: vec![s.op.clone()] };
            let title = format!("{}: {}", s.service, s.name);
            self.steps.push(step(id.clone(), s.hosts.clone(), title, "it is not done, or not known to be", vec![op], after));
            planned.push(id.clone());
        }
        made.extend(planned);
        made
    }

    /// Everything, once its services' scripts are done.
    fn cib_services(&mut self, scripts: &[String], foundation: Option<&str>) -> Option<String> {
        let cib = self.desired.cib.clone();
        let (sections, changes) = self.sections(&cib);
        if sections.is_empty() {
            return None;
        }
        let mut after = scripts.to_vec();
        after.extend(foundation.map(str::to_owned));
        Some(self.cib_step("cib/services", "everything", sections, changes, after))
    }

    /// After a change of what runs: wait until it runs and the APIs answer.
    fn settle(&mut self, services: Option<&str>) {
        if services.is_none() && !self.starting && !self.steps.iter().any(|s| !s.effects.is_empty()) {
            return;
        }
        let after: Vec<String> = self.steps.iter().map(|s| s.id.clone()).collect();
        let nodes = self.nodes();
        let wait = self.settled(&self.desired.cib);
        let title = format!("wait: {}", wait.what);
        self.steps.push(step("settle".to_owned(), nodes.clone(), title, "it was changed", vec![Op::Wait(wait)], after.clone()));
        for api in &self.desired.apis {
            let wait = Wait {
                what: format!("{} answers at {}", api.service, api.check),
                query: look::api_query(&api.check),
                expect: Expect::Status(200),
                timeout_ms: 120_000,
                every_ms: 200,
            };
            let title = format!("wait: {}", wait.what);
            let id = format!("api/{}", api.service);
            self.steps.push(step(id, nodes.clone(), title, "it was changed", vec![Op::Wait(wait)], after.clone()));
        }
    }
}

/// White space between the numbers of a sysctl carries no meaning.
fn same_words(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// The values of secrets out of what the cluster has, where the wanted line has a secret.
fn mask_secrets(have: &str, want: &str) -> String {
    let ids: Vec<&str> = want
        .lines()
        .filter(|l| l.contains('\u{27e6}'))
        .filter_map(|l| l.split_whitespace().find(|w| w.starts_with("id=")))
        .collect();
    have.lines()
        .map(|l| {
            if ids.iter().any(|id| l.split_whitespace().any(|w| w == *id)) {
                let start = l.find("value=").unwrap_or(l.len());
                format!("{}value=‹secret›\n", &l[..start])
            } else {
                format!("{l}\n")
            }
        })
        .collect()
}

/// Units that the cluster runs are started by nobody else; those of systemd are enabled.
fn unit_changes(wanted: &DesiredHost, facts: &Facts, running: bool, changes: &mut Vec<Change>) -> Vec<UnitChange> {
    let mut out = Vec::new();
    for unit in &wanted.units {
        let Some(Fact::Known(now)) = facts.units.get(&unit.unit) else { continue };
        let mut change = UnitChange { unit: unit.unit.clone(), ..UnitChange::default() };
        if is_cluster(unit) {
            if now.file == "enabled" || now.file == "enabled-runtime" {
                change.enabled = Some(false);
            }
            if !running && now.active == "active" {
                change.active = Some(false);
            }
        } else if is_systemd(unit) && running {
            if now.file == "disabled" {
                change.enabled = Some(true);
            }
            if now.active != "active" && now.active != "activating" {
                change.active = Some(true);
            }
        }
        if change.enabled.is_some() || change.active.is_some() {
            let words = match (change.enabled, change.active) {
                (Some(true), _) | (None, Some(true)) => "enable and start",
                _ => "disable",
            };
            changes.push(Change { what: format!("{words} {}", unit.unit), glyph: '~', diff: String::new() });
            out.push(change);
        }
    }
    out
}

/// Restarts one instance through the cluster manager, and waits for it.
fn restart(resource: &str, host: &str) -> Op {
    Op::Run(Command {
        unit: format!("quorate-restart-{resource}"),
        argv: ["crm_resource", "--restart", "--resource", resource, "--node", host, "--timeout", "300s"]
            .map(str::to_owned)
            .to_vec(),
        user: String::new(),
        env: Vec::new(),
        stdin: None,
        cwd: String::new(),
        timeout_ms: 320_000,
    })
}
