//! The planner: every step that leads from what is to what should be.
//!
//! The order on a cloud that is not yet there: all hosts are prepared at the
//! same time; the cluster is started on all; its configuration enters in two
//! layers (what needs no schema first); stores are waited for; databases and
//! scripts; then the services. On one that runs, changes that restart
//! something go host by host, each gated by the health of the one before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use engines::{Intent, Refusal};
use names::{HostName, ResourceId};
use pacemaker::{LiveCib, Monitor};
use render::{Desired, DesiredApi, DesiredScript};
use wire::{Expect, Fact, Facts, Op, Wait};

use crate::cluster::SETTLE_MS;
use crate::handover::Moving;
use crate::memo::Memo;
use crate::rings::{self, Rings};
use crate::votes::Votes;
use crate::{
    Digest, Effect, Observed, Plan, Step, StepId, away, cures, depart, leave, look, orders, records, refuse,
};

/// Everything one planning works on.
pub(crate) struct Planner<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) observed: &'a Observed,
    pub(crate) digest: Digest<'a>,
    /// Answers that are asked for again.
    pub(crate) memo: Memo,
    pub(crate) steps: Vec<Step>,
    /// Ids of the steps after which every host has what it should have.
    pub(crate) prepared: Vec<StepId>,
    /// Whether a host's cluster manager has to be started.
    pub(crate) starting: bool,
    /// No member has ever had a configuration: the first one is laid in before
    /// the cluster manager starts.
    pub(crate) virgin: bool,
    /// Services that hosts were told of and the cloud does not have.
    pub(crate) left: Vec<String>,
    /// What the cluster's configuration is after a step of this plan.
    pub(crate) repaired: Option<pacemaker::Cib>,
    /// What changes hands between the cluster and systemd.
    pub(crate) moving: Moving,
    /// Resources that the cluster has by another agent than they should have.
    pub(crate) renewed: Vec<ResourceId>,
    /// Instances that a step starts: host and resource.
    pub(crate) started: BTreeSet<(HostName, ResourceId)>,
    /// Hash rings after those that hosts have.
    pub(crate) rings: Rings,
    /// Members that come, and the votes that everybody has meanwhile.
    pub(crate) votes: Votes,
    /// Hosts that the cloud file does not name any more.
    pub(crate) gone: Vec<HostName>,
    /// Names that the members' account has and the cloud file does not.
    pub(crate) departed: Vec<HostName>,
    /// The cluster as each host sees it that runs it and tells what can be read.
    pub(crate) monitors: BTreeMap<&'a str, &'a Monitor>,
    /// Resources and clones by id in the cluster's configuration, as a member knows it.
    pub(crate) configured: BTreeSet<ResourceId>,
    /// Members that the cluster should forget could not be told yet.
    pub(crate) again: bool,
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
    let apart = away::apart(desired, observed);
    let around = (!apart.is_empty()).then(|| desired.without(&apart));
    let desired = around.as_ref().unwrap_or(desired);
    let mut reasons = refuse::reasons(desired, observed, distribution);
    if intent == Intent::Converge {
        reasons.extend(refuse::out_of_service(desired, observed));
        reasons.extend(records::reasons(desired, observed));
    }
    reasons.extend(orders::reasons(observed));
    reasons.extend(leave::reasons(desired, observed));
    let seen = engines::seen(observed);
    let mut stages = Vec::new();
    for store in &desired.stores {
        match engines::stage(store, &depart::former(desired, observed, store), &seen, intent) {
            Ok(stage) => stages.push((store, stage)),
            // A host that cannot be seen was already said.
            Err(refusal) if refusal.code == "store::member-unknown" && !reasons.is_empty() => {}
            Err(refusal) => reasons.push(refusal),
        }
    }
    let (rings, against) = rings::rings(desired, observed);
    reasons.extend(against);
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let mut planner = Planner::new(desired, observed, digest);
    planner.left = leave::services(desired, observed);
    planner.moving = planner.moving();
    planner.renewed = planner.other_agents();
    let mut beside = planner.too_much_beside();
    beside.extend(planner.against_new_agents());
    if !beside.is_empty() {
        return Err(beside);
    }
    planner.virgin = planner.nodes().iter().all(|n| {
        planner.facts(n).is_some_and(|f| {
            f.cluster.known().is_none() && matches!(f.files.get(look::CIB_FILE), Some(Fact::Absent))
        })
    });
    let births: Vec<&str> = stages
        .iter()
        .filter(|(_, s)| s.before_cluster)
        .map(|(store, _)| store.resource.as_str())
        .collect();
    let mut out = Plan {
        intent: match intent {
            Intent::Converge => "apply",
            Intent::Recover => "recover",
        }
        .to_owned(),
        explain: [
            away::told(desired, observed),
            refuse::left_out(desired, observed),
            rings.explain.clone(),
            cures::strange(desired, observed),
        ]
        .concat(),
        ..Plan::default()
    };
    planner.rings = rings;
    out.members = planner.changes_members();
    // Before any other configuration of resources, which would name the new agents too.
    if !planner.renewed.is_empty() && planner.whole() {
        planner.stop_surplus(None);
        planner.renew_agents(&mut out);
        out.steps = planner.steps;
        return Ok(out);
    }
    // What changes hands does so while everything runs, and before all else.
    if !planner.moving.is_empty() && planner.whole() {
        // Not deleted while it runs, by a configuration that is not about it.
        planner.stop_surplus(None);
        planner.hand_over(&mut out);
        out.steps = planner.steps;
        return Ok(out);
    }
    let rolling = planner.hosts(&births);
    if planner.welcome_back(&mut out) {
        return Ok(planner.barrier(out, stages));
    }
    let rolling = planner.what_can_roll(rolling, &mut out.explain);
    let (rolling, unseen) = planner.beside_known_balancers(rolling);
    let unready = stages.iter().filter(|(_, stage)| !stage.is_ready());
    let unready: Vec<&str> = unready.map(|(store, _)| store.resource.as_str()).collect();
    let (rolling, mut later) = planner.beside_running_instances(rolling, &unready);
    let outnumbered = stages.iter().filter(|(_, stage)| !stage.gone.is_empty());
    let outnumbered: Vec<(&ResourceId, &[String])> = outnumbered
        .map(|(store, stage)| (&store.resource, stage.gone.as_slice()))
        .collect();
    let (rolling, waits) = Planner::beside_whole_stores(rolling, &outnumbered);
    later.extend(waits);
    // Members come before all else, and are counted once they serve: what changes for
    // those that were there changes after it.
    if !planner.votes.coming.is_empty() {
        if !planner.votes.arrived {
            planner.welcome();
        }
        return Ok(planner.barrier(out, stages));
    }
    // Members leave before all else as well: first their votes, then what they run.
    if !planner.votes.leaving.is_empty() {
        if planner.votes.uncounted {
            planner.stop_gone(&mut out.explain);
        }
        return Ok(planner.barrier(out, stages));
    }
    planner.stop_gone(&mut out.explain);
    planner.forget_members();
    // A birth goes beside the start of the cluster manager, which adopts the store
    // once it is there: until then its configuration does not name it.
    let mut born = Vec::new();
    for (store, stage) in stages.iter().filter(|(_, s)| s.before_cluster) {
        let prepared = planner.prepared.clone();
        born.extend(planner.stage_before(store, stage, &prepared));
    }
    // What must be asked again before the cluster manager may start ends the plan here.
    if stages.iter().any(|(_, s)| s.before_cluster && s.barrier) {
        return Ok(planner.barrier(out, stages));
    }
    // A configuration that is there already may name the stores: they go first then.
    let quorum = planner.cluster(if planner.virgin { &[] } else { &born });
    // A member that is given up is marked in a cluster that runs; then it is asked again. One that
    // was away is taken back once its cluster manager runs.
    let back = planner.nodes().iter().any(|host| planner.waits(host));
    if planner.starting && (back || !desired.lost.is_empty()) {
        return Ok(planner.barrier(out, stages));
    }
    let alone = planner.left_alone();
    let begins = stages.iter().any(|(_, stage)| !stage.before.is_empty());
    if planner.votes.taken || begins || !alone.is_empty() {
        planner.mark_lost(quorum.as_ref());
    }
    planner.stand_alone(alone);
    // What a cluster that is down holds is not known before it runs: taken for
    // absent, services would be taken out of it and put in again.
    if planner.starting && !planner.virgin && planner.cib_now().is_none() {
        return Ok(planner.barrier(out, stages));
    }
    // First the cluster is whole: what changes hands would be stopped by a
    // configuration that does not name it.
    if !planner.moving.is_empty() || !planner.renewed.is_empty() {
        return Ok(planner.barrier(out, stages));
    }
    // What leaves is stopped right before it is taken out of the configuration.
    let early = !rolling.is_empty() && planner.repairs();
    let quorum = if early {
        planner.stop_surplus(quorum)
    } else {
        quorum
    };
    // Before hosts are taken out one by one: who was taken out by hand would be missed.
    planner.balancers(&rolling);
    let mut early_started = Vec::new();
    if !rolling.is_empty() {
        // A gate waits for what the cluster should run: what somebody stopped by its
        // configuration would be waited for in vain.
        let mut base: Vec<StepId> = planner.prepared.clone();
        base.extend(planner.cib_repair(quorum.as_ref()).or_else(|| quorum.clone()));
        if stages.iter().all(|(_, stage)| stage.is_ready()) {
            early_started = planner.start_early(&base);
            base.extend(early_started.iter().cloned());
        }
        planner.roll(rolling, &base);
    }
    let quorum = if early {
        quorum
    } else {
        planner.stop_surplus(quorum)
    };
    let foundation = planner.cib_foundation(quorum, &born);
    // Those that are to take over are started by the next plan, and then hosts are changed.
    out.barrier |= !later.is_empty();
    out.explain.extend(later);
    let mut store_done = Vec::new();
    let mut sql_done = Vec::new();
    for (store, stage) in &stages {
        out.explain.extend(stage.explain.iter().cloned());
        // Databases that cannot be asked yet may hold half a restore: nothing writes to them.
        out.barrier |= stage.barrier || (stage.again && store.resource == desired.sql_resource);
        let done = planner.store(store, stage, foundation.as_ref());
        if store.resource == desired.sql_resource {
            sql_done.clone_from(&done);
        }
        store_done.extend(done);
    }
    if !out.barrier {
        // Schemas need the SQL store only; services are let in when all stores serve.
        let restored = planner.restore(&sql_done, foundation.as_ref());
        sql_done.extend(restored.iter().cloned());
        let mut before = planner.databases_and_scripts(&sql_done);
        // Also where nothing is left to be made of what was seen before it.
        before.extend(restored);
        before.extend(store_done.iter().cloned());
        before.extend(planner.held(&store_done));
        let services = planner.cib_services(&before, foundation.as_ref());
        let started = planner.start_instances(&before);
        let so_far: Vec<StepId> = planner.steps.iter().map(|s| s.id.clone()).collect();
        planner.settle(services.is_some() || !started.is_empty() || !early_started.is_empty());
        // Beside the wait for everything: nothing but the API that they ask is wanted.
        planner.scripts(true, &so_far, &[]);
        out.barrier |= planner.take_in();
        planner.last_of(&stages);
        planner.standing();
    }
    if !out.barrier {
        planner.forget_records();
    }
    // The hosts' account of who was there is kept until nobody has to be forgotten any more.
    let again = planner.again || stages.iter().any(|(_, stage)| stage.again);
    out.barrier |= again && !planner.steps.is_empty();
    planner.forget(out.barrier, &mut out.explain);
    if intent == Intent::Converge && desired.apart.is_empty() {
        planner.come_home(out.barrier, &mut out.explain);
    }
    planner.hold_absent();
    out.barrier |= planner.starts_later();
    if !unseen.is_empty() {
        // Other work may let them answer.
        if planner.steps.is_empty() {
            return Err(unseen);
        }
        out.explain
            .extend(unseen.into_iter().map(|refusal| refusal.message));
        out.barrier = true;
    }
    out.steps = planner.steps;
    Ok(out)
}

pub(crate) fn step(
    id: StepId,
    hosts: Vec<HostName>,
    title: String,
    why: &str,
    ops: Vec<Op>,
    after: Vec<StepId>,
) -> Step {
    Step {
        id,
        hosts,
        title,
        why: why.to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        after,
        ops,
    }
}

impl<'a> Planner<'a> {
    /// Nothing planned, and nothing concluded from what was seen.
    pub(crate) fn new(desired: &'a Desired, observed: &'a Observed, digest: Digest<'a>) -> Self {
        let seen = observed
            .iter()
            .filter_map(|(host, facts)| Some((host.as_str(), facts.as_ref().ok()?.cluster.known()?)));
        let cib = desired
            .nodes
            .iter()
            .find_map(|(host, _)| observed.get(host)?.as_ref().ok()?.cib.known());
        let configured = cib.map(LiveCib::resources).unwrap_or_default();
        let votes = Votes::of(desired, observed);
        let told = depart::gone(desired, observed);
        let mut gone: Vec<HostName> = told.into_iter().map(|(host, _)| host).collect();
        // The cluster tells of them too, where no host's account does.
        let leaving = votes.leaving.iter().filter(|h| !gone.contains(h));
        let leaving: Vec<HostName> = leaving.cloned().collect();
        gone.extend(leaving);
        Self {
            monitors: seen.collect(),
            configured: (configured.iter())
                .flat_map(|r| [r.id.clone(), r.whole.clone()])
                .collect(),
            desired,
            observed,
            digest,
            memo: Memo::default(),
            steps: Vec::new(),
            prepared: Vec::new(),
            starting: false,
            virgin: false,
            left: Vec::new(),
            repaired: None,
            moving: Moving::default(),
            renewed: Vec::new(),
            started: BTreeSet::new(),
            rings: Rings::default(),
            votes,
            gone,
            departed: records::departed(desired, observed),
            again: false,
        }
    }
}

impl Planner<'_> {
    /// The plan as far as it goes: then the hosts are looked at again.
    fn barrier(mut self, mut plan: Plan, stages: Vec<(&engines::Store, engines::Stage)>) -> Plan {
        plan.explain
            .extend(stages.into_iter().flat_map(|(_, s)| s.explain));
        plan.barrier = true;
        self.hold_absent();
        plan.steps = self.steps;
        plan
    }

    /// Steps so far that no other needs: when they are done, all are. Fewer than all steps,
    /// where each of many hosts has one of its own and each is to wait for all.
    pub(crate) fn ends(&self) -> Vec<StepId> {
        let needed: HashSet<&str> = (self.steps.iter())
            .flat_map(|s| s.after.iter().filter(|a| s.id.needs(a)))
            .map(StepId::as_str)
            .collect();
        let ids = self.steps.iter().map(|s| &s.id);
        ids.filter(|id| !needed.contains(id.as_str())).cloned().collect()
    }

    pub(crate) fn facts(&self, host: &str) -> Option<&Facts> {
        self.observed.get(host).and_then(|f| f.as_ref().ok())
    }

    pub(crate) fn nodes(&self) -> Vec<HostName> {
        let mut nodes: Vec<HostName> = self.desired.nodes.iter().map(|(n, _)| n.clone()).collect();
        // The first that is reached does a step, and only a member can tell the cluster.
        nodes.sort_by_key(|n| !self.clustered(n));
        nodes
    }

    /// The member of the cluster with a name that was told.
    pub(crate) fn member(&self, name: &str) -> Option<&HostName> {
        let mut nodes = self.desired.nodes.iter().map(|(host, _)| host);
        nodes.find(|host| **host == name)
    }

    /// Whether a host belongs to the cluster.
    pub(crate) fn is_member(&self, host: &str) -> bool {
        self.desired.is_member(host)
    }

    /// Whether the cluster manager runs on a host.
    pub(crate) fn clustered(&self, host: &str) -> bool {
        self.facts(host)
            .is_some_and(|f| matches!(f.cluster, Fact::Known(_)))
    }

    /// The steps of a stage that go before the store is started by the cluster.
    fn stage_before(
        &mut self,
        store: &engines::Store,
        stage: &engines::Stage,
        base: &[StepId],
    ) -> Vec<StepId> {
        let id = |what: &str| StepId::from(format!("store/{}/{what}", store.resource));
        let mut out = Vec::new();
        for s in &stage.before {
            let mut after: Vec<StepId> = s.after.iter().map(|a| id(a)).collect();
            after.extend(base.iter().cloned());
            after.extend(
                self.marked()
                    .filter(|mark| !base.iter().any(|b| b == mark))
                    .map(StepId::from),
            );
            let why = "the engine's choice";
            self.steps.push(step(
                id(&s.name),
                vec![s.host.clone()],
                s.title.clone(),
                why,
                s.ops.clone(),
                after,
            ));
            out.push(id(&s.name));
        }
        out
    }

    /// An engine's stage. Gives the steps after which the store serves.
    fn store(
        &mut self,
        store: &engines::Store,
        stage: &engines::Stage,
        foundation: Option<&StepId>,
    ) -> Vec<StepId> {
        if stage.is_empty() {
            return Vec::new();
        }
        let id = |what: &str| StepId::from(format!("store/{}/{what}", store.resource));
        let before = if stage.before_cluster {
            // Its own steps start it: it is not waited for by way of the cluster.
            let own = stage.before.iter().map(|s| id(&s.name));
            own.chain(self.prepared.iter().cloned()).collect()
        } else {
            let foundation: Vec<StepId> = foundation.cloned().into_iter().collect();
            let mut before = self.stage_before(store, stage, &foundation);
            before.extend(foundation);
            before
        };
        let seen = engines::seen(self.observed);
        let serves = engines::members(store, &seen).iter().any(|m| m.healthy);
        let recovers = !serves && !self.virgin && self.managed(&store.resource);
        let mut ready = Vec::new();
        for host in &store.members {
            for (i, wait) in stage.ready.iter().enumerate() {
                let id = id(&format!("ready-{host}-{i}"));
                let title = format!("wait: {} on {host}", wait.what);
                let why = "it does not serve yet";
                let mut s = step(
                    id.clone(),
                    vec![host.clone()],
                    title,
                    why,
                    vec![Op::Wait(wait.clone())],
                    before.clone(),
                );
                if recovers && ready.is_empty() {
                    s.effects = vec![Effect::Recovers {
                        store: store.resource.clone(),
                    }];
                }
                self.steps.push(s);
                ready.push(id);
            }
        }
        if ready.is_empty() {
            ready = before;
        }
        let mut done = ready.clone();
        for s in &stage.after {
            let why = "it is not marked as this cloud's";
            self.steps.push(step(
                id(&s.name),
                store.members.clone(),
                s.title.clone(),
                why,
                s.ops.clone(),
                ready.clone(),
            ));
            done.push(id(&s.name));
        }
        done
    }

    fn databases_and_scripts(&mut self, stores: &[StepId]) -> Vec<StepId> {
        let mut base: Vec<StepId> = stores.to_vec();
        base.extend(self.prepared.iter().cloned());
        let mut made = Vec::new();
        for db in &self.desired.databases {
            if self.holds(&look::database(&db.service), &db.expect) {
                continue;
            }
            let Some((socket, user)) = &self.desired.sql else {
                continue;
            };
            let id = StepId::from(format!("database/{}", db.service));
            let sql = |statements: Vec<String>| {
                Op::Sql(wire::Sql {
                    socket: socket.clone(),
                    user: user.clone(),
                    statements,
                })
            };
            let (hosts, why, op, changes) =
                if let Some((statements, changes, hosts)) = self.database_drift(db) {
                    (hosts, "it is otherwise", sql(statements), changes)
                } else {
                    let op = Op::Unless {
                        guards: vec![(db.query.clone(), db.expect.clone())],
                        ops: vec![sql(db.parts.iter().flat_map(|p| p.make.clone()).collect())],
                    };
                    let hosts = self.desired.sql_hosts.clone();
                    (hosts, "it is not there, or not known to be", op, Vec::new())
                };
            let title = format!("make database {} and its user", db.names.join(", "));
            let mut s = step(id.clone(), hosts, title, why, vec![op], base.clone());
            s.changes = changes;
            self.steps.push(s);
            made.push(id);
        }
        let planned = self.scripts(false, &base, &made);
        made.extend(planned);
        made
    }

    /// Scripts that are not known to be done: those that ask an API, or the
    /// others. `base`: steps that go before all of them; `made`: those that make
    /// databases. Gives the steps.
    fn scripts(&mut self, asking: bool, base: &[StepId], made: &[StepId]) -> Vec<StepId> {
        let id = |service: &str, name: &str| StepId::from(format!("script/{service}/{name}"));
        let mut planned: Vec<StepId> = Vec::new();
        for s in self
            .desired
            .scripts
            .iter()
            .filter(|s| s.each.is_none() && s.asks.is_empty() != asking)
        {
            if self.is_done(s) {
                continue;
            }
            let mut after: Vec<StepId> = s.after.iter().map(|a| id(&s.service, a)).collect();
            after.retain(|a| planned.contains(a));
            after.extend(base.iter().cloned());
            after.extend(
                made.iter()
                    .filter(|m| **m == format!("database/{}", s.service))
                    .cloned(),
            );
            let new = self.script(s, Vec::new(), after);
            self.steps.push(new);
            planned.push(id(&s.service, &s.name));
        }
        planned
    }

    /// The step of a script: once the APIs answer that it asks, and what else it waits for.
    pub(crate) fn script(&self, s: &DesiredScript, waits: Vec<Wait>, after: Vec<StepId>) -> Step {
        let apis = self.desired.apis.iter().filter(|a| s.asks.contains(&a.service));
        let waits = apis.map(Self::answers).chain(waits);
        let mut ops: Vec<Op> = waits.map(Op::Wait).collect();
        let guards = self.guards(s);
        let changes = guards
            .iter()
            .enumerate()
            .flat_map(|(i, (_, expect))| self.script_changes(&look::script(&s.service, &s.name, i), expect));
        let changes = changes.collect();
        ops.push(Op::Unless {
            guards,
            ops: vec![s.op.clone()],
        });
        let mut new = step(
            StepId::from(format!("script/{}/{}", s.service, s.name)),
            s.hosts.clone(),
            format!("{}: {}", s.service, s.name),
            "it is not done, or not known to be",
            ops,
            after,
        );
        new.changes = changes;
        new
    }

    /// The wait for an API to answer through its virtual address.
    pub(crate) fn answers(api: &DesiredApi) -> Wait {
        Wait {
            what: format!("{} answers at {}", api.name, api.check),
            query: look::api_query(&api.check),
            expect: Expect::Status(200),
            timeout_ms: SETTLE_MS,
            every_ms: 200,
        }
    }

    /// After a change of what runs: wait until it runs and the APIs answer.
    fn settle(&mut self, changed: bool) {
        let disturbs = |s: &Step| !s.effects.is_empty() || s.id == "cib/repair";
        if !changed && !self.starting && !self.steps.iter().any(disturbs) {
            return;
        }
        let after: Vec<StepId> = self.steps.iter().map(|s| s.id.clone()).collect();
        let nodes = self.nodes();
        let wait = self.settled(&self.desired.cib);
        let title = format!("wait: {}", wait.what);
        self.steps.push(step(
            "settle".into(),
            nodes.clone(),
            title,
            "it was changed",
            vec![Op::Wait(wait)],
            after.clone(),
        ));
        for api in &self.desired.apis {
            let wait = Self::answers(api);
            let title = format!("wait: {}", wait.what);
            let id = StepId::from(format!("api/{}", api.name));
            self.steps.push(step(
                id,
                nodes.clone(),
                title,
                "it was changed",
                vec![Op::Wait(wait)],
                after.clone(),
            ));
        }
    }
}
