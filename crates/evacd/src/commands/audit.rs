//! Protection as it is now, host by host and VM by VM, before anything fails.

use std::sync::Arc;

use evac::{Audited, HostSeen, Seen, audit as judge};
use wire::Fact;

use super::{Desk, rehearse::look};
use crate::{
    Error,
    seen::{protected, survey},
};

/// Protection of a cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// All VMs, with the reasons against each.
    pub vms: Vec<Audited>,
    /// Hosts that would not be fenced, so that no VM of theirs is protected, and why.
    pub hosts: Vec<(String, String)>,
}

impl Audit {
    /// One line for each host and VM that is not protected, and how many are.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        let hosts = self.hosts.iter();
        out.extend(hosts.map(|(host, why)| format!("no VM of {host} is protected: {why}")));
        let bare = |vm: &&Audited| self.hosts.iter().any(|(host, _)| *host == vm.host.to_string());
        for vm in self.vms.iter().filter(|vm| !vm.why_not.is_empty()) {
            let why: Vec<String> = vm.why_not.iter().map(ToString::to_string).collect();
            out.push(format!("{} on {}: {}", vm.vm, vm.host, why.join("; ")));
        }
        let safe = self.vms.iter().filter(|vm| vm.why_not.is_empty() && !bare(vm));
        out.push(format!(
            "{} of {} VMs are protected",
            safe.count(),
            self.vms.len()
        ));
        out.join("\n")
    }
}

/// Looks at all VMs and hosts; an error where a list is not whole.
pub async fn audit(desk: &Desk) -> Result<Audit, Error> {
    let survey = survey(&desk.client).await;
    let vms = protected(&survey, desk.config.shared_instances).map_err(Error::Api)?;
    let seen = look(desk, Some(Arc::new(survey)), None).await;
    Ok(Audit {
        vms: judge(&vms, &seen.hosts),
        hosts: bare(desk, &seen),
    })
}

fn bare(desk: &Desk, seen: &Seen) -> Vec<(String, String)> {
    let why = |host: &HostSeen| {
        if let Fact::Absent = host.compute {
            return Some("the compute service does not know it".to_owned());
        }
        match &host.proved_ms {
            Fact::Known(age) if *age <= desk.config.policy.proof_ms => None,
            Fact::Known(age) => Some(format!(
                "its fence devices were proved {} days ago",
                age / 86_400_000
            )),
            Fact::Absent
                if desk
                    .config
                    .host(host.host.as_str())
                    .is_some_and(|h| h.devices.iter().all(Vec::is_empty)) =>
            {
                Some("it has no fence device".to_owned())
            }
            Fact::Absent => Some(format!(
                "its fence devices are not proved: `evac prove {}`",
                host.host
            )),
            Fact::Unknown(why) => Some(why.clone()),
        }
    };
    let all = seen.hosts.iter();
    all.filter_map(|host| Some((host.host.to_string(), why(host)?)))
        .collect()
}
