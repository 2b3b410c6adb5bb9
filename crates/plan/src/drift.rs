//! What stores and services hold and what the cluster runs, where it is not as it
//! should be although nothing of the configuration differs: grants, users of the
//! broker, entries of a catalogue, instances that stand still.
//!
//! Each is said as one change and mended by itself. What could not be seen is not
//! judged here.

use std::collections::BTreeMap;

use engines::{Differs, Stage, Store};
use names::{HostName, ResourceId};
use pacemaker::Resource;
use render::{DesiredDatabase, DesiredScript};
use wire::{Answer, ClusterWant, Command, Expect, Fact, Op, Query, ResourceWant, Wait};

use crate::build::{Planner, step};
use crate::{Change, StepId, look, quorate};

type Row = Vec<String>;

/// Rows as text; NULL as SQL writes it.
fn rows(answer: &Answer) -> Option<Vec<Row>> {
    let Answer::Rows(rows) = answer else { return None };
    let cell = |c: &Option<String>| c.clone().unwrap_or_else(|| "NULL".to_owned());
    Some(rows.iter().map(|r| r.iter().map(cell).collect()).collect())
}

/// A change of one thing, from what it is to what it should be.
fn change(what: String, have: Option<&str>, want: &str) -> Change {
    Change {
        what,
        glyph: if have.is_some() { '~' } else { '+' },
        diff: match have {
            Some(have) => format!("-{have}\n+{want}\n"),
            None => format!("+{want}\n"),
        },
    }
}

impl Planner<'_> {
    /// What hosts of the SQL store answered to a question, those that did.
    fn answered(&self, answer: &str) -> Vec<(&HostName, Vec<Row>)> {
        let hosts = self.desired.sql_hosts.iter();
        hosts
            .filter_map(|h| Some((h, rows(self.facts(h)?.answers.get(answer)?.known()?)?)))
            .collect()
    }

    /// Whether something is known to be as expected: somebody answered, and nobody otherwise.
    pub(crate) fn holds(&self, answer: &str, expect: &Expect) -> bool {
        let asked = self.desired.sql_hosts.iter().filter_map(|h| self.facts(h));
        let facts = asked.filter_map(|f| f.answers.get(answer));
        let mut told = facts
            .filter(|fact| matches!(fact, Fact::Known(Answer::Rows(_))))
            .peekable();
        told.peek().is_some() && told.all(|fact| wire::holds(fact, expect).is_ok())
    }

    /// The parts of a database that are seen to be otherwise: the statements that mend
    /// them, the changes, and the hosts, first the one on which it was seen: a member
    /// may differ from the others, and what it is told is told to all. `None` where
    /// nobody answered.
    pub(crate) fn database_drift(
        &self,
        db: &DesiredDatabase,
    ) -> Option<(Vec<String>, Vec<Change>, Vec<HostName>)> {
        let all = self.answered(&look::database(&db.service));
        if all.is_empty() {
            return None;
        }
        let (mut statements, mut changes, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        for part in &db.parts {
            let wrong = all.iter().find_map(|(host, rows)| {
                let row = rows.iter().find(|r| r.first() == Some(&part.what));
                let have = row.and_then(|r| r.get(1)).map_or("missing", String::as_str);
                (have != part.want).then_some((*host, have))
            });
            if let Some((host, have)) = wrong {
                statements.extend(part.make.iter().cloned());
                let have = (have != "missing").then_some(have);
                changes.push(change(part.what.clone(), have, &part.want));
                hosts.push(host.clone());
            }
        }
        hosts.extend(self.desired.sql_hosts.iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        hosts.retain(|h| seen.insert(h.clone()));
        Some((statements, changes, hosts))
    }

    /// True where the database of a service and its scripts that ask no API are known to be done.
    pub(crate) fn is_made(&self, service: &str) -> bool {
        let mut databases = self.desired.databases.iter().filter(|db| db.service == service);
        let scripts = self.desired.scripts.iter();
        let mut scripts = scripts.filter(|s| s.service == service && s.asks.is_empty());
        databases.all(|db| self.holds(&look::database(&db.service), &db.expect))
            && scripts.all(|s| self.is_done(s))
    }

    /// True for a script that is known to be done.
    pub(crate) fn is_done(&self, script: &DesiredScript) -> bool {
        let guards = self.guards(script);
        let mut guards = guards.iter().enumerate();
        let answer = |i: usize| look::script(&script.service, &script.name, i);
        !script.guards.is_empty() && guards.all(|(i, (_, expect))| self.holds(&answer(i), expect))
    }

    /// The rows that a script's guard wants and does not see, each a change.
    pub(crate) fn script_changes(&self, answer: &str, expect: &Expect) -> Vec<Change> {
        let each: Vec<Vec<String>>;
        let want = match expect {
            Expect::Rows(want) => want,
            Expect::Names(names) => {
                each = names.iter().map(|name| vec![name.clone()]).collect();
                &each
            }
            _ => return Vec::new(),
        };
        let all = self.answered(answer);
        let missing = want
            .iter()
            .filter(|row| all.iter().any(|(_, rows)| !rows.contains(row)));
        missing
            .map(|row| match row.as_slice() {
                [what, rest @ ..] if !rest.is_empty() => change(what.clone(), None, &rest.join(" ")),
                _ => change(row.join(" "), None, ""),
            })
            .collect()
    }

    /// What a broker or store that runs should hold and does not, by the member that must
    /// put it back itself, if it is not all the same which does.
    fn differing(&self, store: &Store) -> BTreeMap<Option<HostName>, Vec<Differs>> {
        let mut out: BTreeMap<Option<HostName>, Vec<Differs>> = BTreeMap::new();
        for differs in engines::differs(store, &engines::seen(self.observed)) {
            out.entry(differs.member.clone()).or_default().push(differs);
        }
        out
    }

    /// Plans that a member does it, or any of them. Gives the step.
    fn put_back(
        &mut self,
        store: &Store,
        member: Option<&HostName>,
        differs: &[Differs],
        before: &[StepId],
    ) -> StepId {
        let (id, hosts) = match member {
            None => (
                StepId::from(format!("store/{}/holds", store.resource)),
                store.members.clone(),
            ),
            Some(host) => (
                StepId::from(format!("store/{}/holds-{host}", store.resource)),
                vec![host.clone()],
            ),
        };
        let mut s = step(
            id.clone(),
            hosts,
            format!("put back what {} should hold", store.resource),
            "it holds it otherwise",
            differs.iter().flat_map(|d| d.held.mend.clone()).collect(),
            before.to_vec(),
        );
        let changes = differs.iter().map(|d| {
            let what = format!("{}: {}", store.resource, d.held.what);
            change(what, d.have.as_deref(), &d.held.want)
        });
        s.changes = changes.collect();
        self.steps.push(s);
        id
    }

    /// Puts back what any member can. Gives the steps.
    pub(crate) fn held(&mut self, before: &[StepId]) -> Vec<StepId> {
        let mut out = Vec::new();
        for store in &self.desired.stores {
            if let Some(differs) = self.differing(store).remove(&None) {
                out.push(self.put_back(store, None, &differs, before));
            }
        }
        out
    }

    /// What engines have for the end, after all else: of a birth, and what one that was
    /// interrupted left on its members.
    pub(crate) fn last_of(&mut self, stages: &[(&Store, Stage)]) {
        let so_far: Vec<StepId> = self.steps.iter().map(|s| s.id.clone()).collect();
        for (store, stage) in stages {
            for s in &stage.last {
                self.steps.push(step(
                    StepId::from(format!("store/{}/{}", store.resource, s.name)),
                    vec![s.host.clone()],
                    s.title.clone(),
                    "everything is made",
                    s.ops.clone(),
                    so_far.clone(),
                ));
            }
            for (member, differs) in self.differing(store) {
                // The birth's own step does it already.
                let member = member.filter(|m| stage.last.iter().all(|s| s.host != *m));
                if let Some(member) = member {
                    self.put_back(store, Some(&member), &differs, &so_far);
                }
            }
        }
    }

    /// Instances that stand still where they should run, on a cluster that is whole
    /// and whose configuration is right: the cluster manager gave up on them, and is
    /// asked to forget why and to start them again.
    pub(crate) fn standing(&mut self) {
        // What is changed or waited for in this plan may be why.
        if !self.steps.is_empty() || self.starting {
            return;
        }
        let Some(monitor) = quorate(self.observed) else {
            return;
        };
        let usable: Vec<String> = monitor
            .online()
            .filter(|n| !n.standby && !n.maintenance)
            .map(|n| n.name.clone())
            .collect();
        let mut found: Vec<(ResourceId, Vec<String>, String)> = Vec::new();
        for resource in &self.desired.cib.resources {
            let id = resource.primitive().id.clone();
            let up: Vec<&str> = monitor
                .resources
                .iter()
                .filter(|r| r.id == id && r.role != "Stopped")
                .flat_map(|r| r.nodes.iter().map(String::as_str))
                .collect();
            let banned = |node: &str| {
                let mut all = self.desired.cib.locations.iter();
                all.any(|l| l.resource == resource.id() && l.node == node && l.score == "-INFINITY")
            };
            let allowed: Vec<&String> = usable.iter().filter(|n| !banned(n)).collect();
            let still: Vec<String> = match resource {
                Resource::Clone(_) => {
                    let idle = allowed.iter().filter(|n| !up.contains(&n.as_str()));
                    idle.map(|n| (*n).clone()).collect()
                }
                Resource::Primitive(_) if up.is_empty() && !allowed.is_empty() => vec![String::new()],
                Resource::Primitive(_) => Vec::new(),
            };
            if !still.is_empty() {
                let of = |action: &str| {
                    let rest = action.strip_prefix(id.as_str());
                    rest.is_some_and(|rest| rest.starts_with(['_', ':']))
                };
                let last = monitor.failures.iter().rfind(|f| of(&f.action));
                let why = last.map(ToString::to_string).unwrap_or_default();
                found.push((id, still, why));
            }
        }
        for (resource, hosts, why) in found {
            let id = StepId::from(format!("instance/{resource}"));
            let places: Vec<&String> = hosts.iter().filter(|h| !h.is_empty()).collect();
            let mut ops = vec![Op::Run(Command::new(
                format!("quorate-cleanup-{resource}"),
                &["crm_resource", "--cleanup", "--resource", &resource],
                60_000,
            ))];
            let wants: Vec<ResourceWant> = hosts
                .iter()
                .map(|host| ResourceWant {
                    id: resource.clone(),
                    role: self.role(&resource),
                    count: 1,
                    node: host.clone(),
                })
                .collect();
            ops.push(Op::Wait(Wait {
                what: format!("{resource} runs where it should"),
                query: Query::Cluster,
                expect: Expect::Cluster(ClusterWant {
                    online: 0,
                    resources: wants,
                    idle: false,
                }),
                timeout_ms: 300_000,
                every_ms: 300,
            }));
            let mut s = step(
                id,
                self.nodes(),
                format!("let the cluster start {resource} again"),
                "it stands still where it should run",
                ops,
                Vec::new(),
            );
            let have = if why.is_empty() {
                "stopped".to_owned()
            } else {
                format!("stopped: {why}")
            };
            s.changes = if places.is_empty() {
                vec![change(format!("instance {resource}"), Some(&have), "running")]
            } else {
                let one = |h: &&String| change(format!("instance {resource} on {h}"), Some(&have), "running");
                places.iter().map(one).collect()
            };
            self.steps.push(s);
        }
    }

    fn role(&self, id: &str) -> String {
        let promoted = self.desired.cib.resources.iter().any(|r| match r {
            Resource::Clone(c) => {
                c.primitive.id == id && c.meta.get("promotable").is_some_and(|v| v == "true")
            }
            Resource::Primitive(_) => false,
        });
        if promoted { "Promoted" } else { "Started" }.to_owned()
    }
}
