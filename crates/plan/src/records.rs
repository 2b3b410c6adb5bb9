//! Records that services keep of hosts that left: refused while a host has something that
//! would be lost, removed before the members' account of the cloud is written.
//!
//! Only of hosts that members were told of and the cloud file does not name any more: of a
//! host that was never in the file no record is touched. Not for what runs there (`depart`).

use std::collections::BTreeSet;

use engines::Refusal;
use names::HostName;
use render::{Desired, DesiredForget, DesiredHeldBy, IDENTITY};
use wire::{Answer, Command, Fact, NamedQuery, Op};

use crate::build::Planner;
use crate::refuse::refuse;
use crate::{Change, Observed, StepId, leave};

/// Names that members were told of and the cloud file does not have, also those of hosts that
/// were renamed. An account of another cloud tells of none.
pub(crate) fn departed(desired: &Desired, observed: &Observed) -> Vec<HostName> {
    let members = observed.iter().filter(|(host, _)| desired.is_member(host));
    let members: Observed = members.map(|(h, f)| (h.clone(), f.clone())).collect();
    let cloud = account(desired).and_then(render::cloud_told);
    let ours = |text: &&str| cloud.is_some() && render::cloud_told(text) == cloud;
    let told = leave::told(desired, &members, |text| {
        Some(text).filter(ours).and_then(render::hosts_told)
    });
    if told.is_empty() {
        return Vec::new();
    }
    let named: BTreeSet<&HostName> = desired.named.iter().map(|(name, _)| name).collect();
    let told: BTreeSet<HostName> = told.into_iter().map(|(name, _)| name).collect();
    let left = told.into_iter().filter(|name| !named.contains(name));
    left.filter(|name| !desired.apart.contains(name)).collect()
}

/// A member's account of the cloud as it is to be.
fn account(desired: &Desired) -> Option<&str> {
    let members = desired.hosts.iter().filter(|(host, _)| desired.is_member(host));
    let mut files = members.flat_map(|(_, h)| &h.files);
    let account = files.find(|f| f.write.path == IDENTITY)?;
    std::str::from_utf8(&account.write.content).ok()
}

/// Name of the answer to how many things hosts have that make them stay.
fn answer(forget: &DesiredForget) -> String {
    format!("held/{}/{}", forget.script.service, forget.script.name)
}

/// Services' questions what is on hosts, to a host that has the databases.
pub(crate) fn queries(desired: &Desired, host: &str) -> Vec<NamedQuery> {
    if !desired.sql_hosts.iter().any(|h| h == host) {
        return Vec::new();
    }
    let held = desired
        .forget
        .iter()
        .filter_map(|f| Some((f, f.held_by.as_ref()?)));
    held.map(|(forget, held_by)| NamedQuery {
        name: answer(forget),
        query: held_by.query.clone(),
    })
    .collect()
}

/// Reasons against letting hosts go: they have what would be lost, or it is not known.
pub(crate) fn reasons(desired: &Desired, observed: &Observed) -> Vec<Refusal> {
    let departed = departed(desired, observed);
    if departed.is_empty() {
        return Vec::new();
    }
    let told = leave::told(desired, observed, render::services_told);
    let mut out = Vec::new();
    for forget in &desired.forget {
        let service = &forget.script.service;
        let Some(held_by) = forget.held_by.as_ref().filter(|_| told.contains(service)) else {
            continue;
        };
        let held = asked(desired, observed, forget);
        for host in &departed {
            match &held {
                Some(held) => {
                    let count = held.iter().find(|(name, _)| name == host);
                    out.extend(count.map(|(_, count)| in_use(service, held_by, host, count)));
                }
                None => out.push(refuse(
                    "host::in-use-unknown",
                    format!(
                        "{host} is not in the cloud file, and {service} cannot be asked for {} on it",
                        held_by.what
                    ),
                    "its databases must answer first: see `quorate status`, then run this again",
                )),
            }
        }
    }
    out
}

fn in_use(service: &str, held_by: &DesiredHeldBy, host: &str, count: &str) -> Refusal {
    refuse(
        "host::in-use",
        format!(
            "{host} is not in the cloud file, and {service} has {count} {} on it",
            held_by.what
        ),
        format!(
            "{}, then run this again; or put {host} back into the file",
            held_by.help.replace("{host}", host)
        ),
    )
}

/// Hosts with how many things each has, by any host that could be asked. `None`: by none.
fn asked(desired: &Desired, observed: &Observed, forget: &DesiredForget) -> Option<Vec<(String, String)>> {
    let name = answer(forget);
    let facts = desired
        .sql_hosts
        .iter()
        .filter_map(|h| observed.get(h)?.as_ref().ok());
    let mut out: Option<Vec<(String, String)>> = None;
    for fact in facts.filter_map(|f| f.answers.get(&name)) {
        if let Fact::Known(Answer::Rows(rows)) = fact {
            let pair = |row: &Vec<Option<String>>| Some((row.first()?.clone()?, row.get(1)?.clone()?));
            out.get_or_insert_default().extend(rows.iter().filter_map(pair));
        }
    }
    out
}

/// Count and name of the things that a service knows on a host of the cloud; none where it has
/// none, or cannot be asked.
pub(crate) fn held_on(
    desired: &Desired,
    observed: &Observed,
    service: &str,
    host: &str,
) -> Option<(String, String)> {
    let forget = desired.forget.iter().filter(|f| f.script.service == service);
    let mut all = forget.filter_map(|f| Some((f.held_by.as_ref()?, asked(desired, observed, f)?)));
    all.find_map(|(held_by, held)| {
        let (_, count) = held
            .into_iter()
            .find(|(name, count)| name == host && count != "0")?;
        Some((count, held_by.what.clone()))
    })
}

impl Planner<'_> {
    /// Has services forget hosts that left, once all else is done: what they ran is stopped
    /// then.
    pub(crate) fn forget_records(&mut self) {
        if self.departed.is_empty() {
            return;
        }
        let after = self.ends();
        for forget in &self.desired.forget {
            let mut script = forget.script.clone();
            if let Op::Run(Command { argv, .. }) = &mut script.op {
                argv.extend(self.departed.iter().map(ToString::to_string));
            }
            let mut new = self.script(&script, Vec::new(), after.clone());
            new.id = StepId::from(format!("records/{}/{}", script.service, script.name));
            "the cloud file does not name them any more".clone_into(&mut new.why);
            new.title = format!(
                "{}: remove records of {}",
                script.service,
                self.departed.join(", ")
            );
            let gone = self.departed.iter().map(|host| Change {
                what: format!("{} of {host}", script.name),
                glyph: '-',
                diff: String::new(),
            });
            new.changes = gone.collect();
            self.steps.push(new);
        }
    }
}
