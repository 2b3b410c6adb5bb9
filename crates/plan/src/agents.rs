//! Resources whose agent is another one than the cluster has, while they run: Pacemaker
//! would stop what it ran by the old agent before it starts it by the new one.
//!
//! So they are unmanaged first, and named with their new agent in the same configuration;
//! then the members' history by the old one is taken away, and the probe of the new one
//! adopts what runs. Addresses follow nobody meanwhile, since balancers are among them: they
//! stay where they are, and still move when their host is lost.
//!
//! Every stage is seen in the facts, so a run that died in between is taken up where it was.

use names::{HostName, ResourceId};
use pacemaker::{Cib, Resource};
use wire::{Command, Expect, Op, Query, Wait};

use crate::build::Planner;
use crate::handover::{NO_SUCH, SECTIONS, let_go, sections};
use crate::refuse::refuse;
use crate::{Change, Plan};

/// The folder in which Pacemaker looks for an OCF agent, by its provider.
const AGENTS: &str = "/usr/lib/ocf/resource.d";

/// The file of an agent that is a script; none of `stonith:` and `systemd:`.
fn script(agent: &str) -> Option<String> {
    let (provider, name) = agent.strip_prefix("ocf:")?.split_once(':')?;
    Some(format!("{AGENTS}/{provider}/{name}"))
}

impl Planner<'_> {
    /// Resources that the cluster has, or remembers, by another agent than they should have.
    /// A fence device holds nothing that could be lost.
    pub(crate) fn other_agents(&self) -> Vec<ResourceId> {
        let Some(cib) = self.cib_now() else {
            return Vec::new();
        };
        let all = self.desired.cib.resources.iter().map(Resource::primitive);
        let wanted = all.filter(|p| !p.is_fence_device());
        cib.of_another_agent(wanted.map(|p| (p.id.as_str(), p.agent.as_str())))
    }

    /// The reason against a change of agents together with one of members: a host that
    /// comes or leaves has the agents of one version only.
    pub(crate) fn against_new_agents(&self) -> Option<engines::Refusal> {
        let still = self.votes.coming.is_empty() && self.votes.leaving.is_empty();
        (!self.renewed.is_empty() && !still).then(|| {
            refuse(
                "cluster::agents-and-members",
                format!(
                    "the cluster still runs {} by another resource agent, and its members change too",
                    self.renewed.join(", ")
                ),
                "apply the cloud file with the members that the cluster has first, then this one",
            )
        })
    }

    /// Plans the change of agents; the plan then ends at a barrier.
    pub(crate) fn renew_agents(&mut self, out: &mut Plan) {
        let ids = self.renewed.clone();
        let names = ids.join(", ");
        out.barrier = true;
        out.explain.push(format!(
            "the cluster is to run {names} by other resource agents: they are adopted while they run, and \
             the rest is planned then"
        ));
        for host in self.nodes() {
            self.give_agents(&ids, &host);
        }
        let ruled = self.foundation_layer();
        let mut known = ruled.clone();
        for resource in &mut known.resources {
            if ids.contains(&resource.primitive().id) {
                *resource = let_go(resource);
            }
        }
        let followed: Vec<ResourceId> = known
            .resources
            .iter()
            .filter(|r| ids.contains(&r.primitive().id))
            .map(Resource::id)
            .collect();
        known
            .colocations
            .retain(|c| !followed.contains(&c.with) && !followed.contains(&c.resource));
        let mut ops = vec![sections(&known, &SECTIONS)];
        ops.extend(
            self.agents_of(&ids)
                .flat_map(|(id, agent)| forget_other(id, &agent)),
        );
        ops.push(Op::Wait(self.found(&ids)));
        let why = "Pacemaker would restart what it ran by another agent";
        let changes = self.sections(&known).1;
        let title = format!("let the cluster adopt {names} by other agents");
        self.push("agents/adopt", self.nodes(), title, why, changes, ops);
        let title = format!("let the cluster rule {names} again");
        let rule = vec![sections(&ruled, &SECTIONS), Op::Wait(self.settled(&ruled))];
        self.push("agents/manage", self.nodes(), title, why, Vec::new(), rule);
    }

    fn agents_of<'i>(&self, ids: &'i [ResourceId]) -> impl Iterator<Item = (&'i str, String)> {
        let cib: &Cib = &self.desired.cib;
        let agents = ids.iter().filter_map(|id| {
            let mut all = cib.resources.iter().map(Resource::primitive);
            Some((id.as_str(), all.find(|p| p.id == *id)?.agent.clone()))
        });
        agents.collect::<Vec<_>>().into_iter()
    }

    /// The scripts of these resources' agents, where a host has not got them.
    fn give_agents(&mut self, ids: &[ResourceId], host: &HostName) {
        let (Some(wanted), Some(facts)) = (self.desired.hosts.get(host), self.facts(host)) else {
            return;
        };
        let scripts: Vec<String> = self.agents_of(ids).filter_map(|(_, a)| script(&a)).collect();
        let files = wanted.files.iter().filter(|f| scripts.contains(&f.write.path));
        let (changes, writes): (Vec<Change>, Vec<_>) = files
            .filter_map(|f| Some((self.file_change(f, facts)?, f.write.clone())))
            .unzip();
        if writes.is_empty() {
            return;
        }
        let title = format!("give {host} the resource agents that the cluster is to use");
        let why = "the cluster runs units by another agent";
        let ops = vec![Op::Files(writes)];
        self.push(
            &format!("agents/{host}"),
            vec![host.clone()],
            title,
            why,
            changes,
            ops,
        );
    }
}

/// The members' history of a resource by any other agent is taken away, and its instances
/// are looked for by this one.
fn forget_other(id: &str, agent: &str) -> [Op; 2] {
    let mut words = agent.split(':').map(str::to_owned);
    let class = words.next().unwrap_or_default();
    let (mut provider, mut kind) = (String::new(), words.next().unwrap_or_default());
    if let Some(third) = words.next() {
        provider = std::mem::replace(&mut kind, third);
    }
    let provider = if provider.is_empty() {
        "not(@provider)".to_owned()
    } else {
        format!("@provider='{provider}'")
    };
    let path = format!("//lrm_resource[@id='{id}'][not(@class='{class}' and {provider} and @type='{kind}')]");
    let query = Query::Run {
        argv: ["cibadmin", "--query", "--xpath", &path]
            .map(str::to_owned)
            .to_vec(),
        timeout_ms: 10_000,
    };
    let gone = Expect::Exit(NO_SUCH);
    let refresh = Command::new(
        format!("quorate-refresh-{id}"),
        &["crm_resource", "--refresh", "--resource", id],
        60_000,
    );
    [
        Op::Unless {
            guards: vec![(query.clone(), gone.clone())],
            ops: vec![Op::Run(refresh)],
        },
        Op::Wait(Wait {
            what: format!("no member remembers {id} by another agent"),
            query,
            expect: gone,
            timeout_ms: 30_000,
            every_ms: 200,
        }),
    ]
}
