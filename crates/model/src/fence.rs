//! Fence agents against what the distribution has: an agent that no package brings cuts
//! no power, and the package of one that is asked for is installed.

use std::sync::Arc;

use cloud::Cloud;
use diagnostic::{Diagnostic, Source, did_you_mean};
use indexmap::IndexMap;

use crate::Placed;

/// The platform's key: agents, each with its package, `fence_a=package fence_b=package`.
const KEY: &str = "fence-agents";

/// Judges the agents of a cloud and adds their packages to members of the cluster. Where
/// the platform does not say what there is, nothing is known and nothing said.
pub(crate) fn agents(
    cloud: &Cloud,
    services: &mut IndexMap<String, Placed>,
    source: &Arc<Source>,
    findings: &mut Vec<Diagnostic>,
) {
    let Some(placed) = services.values_mut().find(|p| p.platform.contains_key(KEY)) else {
        return;
    };
    let listed = placed.platform.get(KEY).cloned().unwrap_or_default();
    let known: IndexMap<&str, &str> = listed
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let devices = cloud.hosts.iter().flat_map(|h| &h.power).flat_map(|l| &l.devices);
    let mut said = Vec::new();
    for device in devices {
        let agent = &device.agent;
        if let Some(package) = known.get(agent.value.as_str()) {
            let packages = placed.packages.by_role.entry("cluster".to_owned()).or_default();
            if !packages.iter().any(|p| p == package) {
                packages.push((*package).to_owned());
            }
        } else if !said.contains(&agent.span) {
            said.push(agent.span.clone());
            let distribution = cloud.distribution.as_str();
            let finding = Diagnostic::error(
                "power::unknown-agent",
                source,
                agent.span.clone(),
                format!("no package of {distribution} has the agent `{agent}`"),
                "nothing would cut the power",
            );
            findings.push(match did_you_mean(&agent.value, known.keys().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name an agent of the package fence-agents, such as `fence_ipmilan`"),
            });
        }
    }
}
