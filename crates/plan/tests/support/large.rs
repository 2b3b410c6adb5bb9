//! Clouds of three controllers and many hosts that run VMs, and what their hosts told:
//! for what planning costs. Included by a law and by a bench.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own code: to panic is to report, and not every test wants all of it"
)]

use std::fmt::Write as _;

use pacemaker::LiveCib;
use plan::Observed;
use render::Desired;
use wire::Fact;

use crate::{examples, world};

/// Services of the small cloud.
pub const ONE: &str = "keystone";
/// Services of the whole one.
pub const EIGHT: &str = "keystone, placement, swift, glance, nova, neutron, cinder, horizon, heat";

/// The cloud file of three controllers and so many more hosts.
pub fn cloud(computes: usize, services: &str) -> String {
    let mut hosts = String::new();
    for n in 0..computes + 3 {
        let (name, role) = if n < 3 {
            (format!("c{}", n + 1), "controller")
        } else {
            (format!("n{n}"), "compute")
        };
        let address = format!("198.18.{}.{}", n / 200, 10 + n % 200);
        writeln!(hosts, "  {name}: {{ role: {role}, address: {address} }}").unwrap();
    }
    format!(
        "cloud: large\nrelease: \"2025.1\"\nnetworks: {{ management: {{ cidr: 198.18.0.0/16 }} }}\n\
         hosts:\n{hosts}vips: {{ pool: 198.18.250.100-198.18.250.119 }}\nservices: [{services}]\n\
         settings: {{ {} }}\n",
        if services.contains("cinder") {
            "cinder: { backend: nfs, nfs-host: 198.18.255.5, nfs-path: /volumes }"
        } else {
            ""
        }
    )
}

/// The small cloud, with a level of power for each controller and one in each other host.
pub fn with_power(computes: usize) -> String {
    let levels: String = (1..=3).fold(String::new(), |out, n| {
        out + &format!("  - {{ agent: fence_ipmilan, hosts: [c{n}], options: {{ ip: bmc-c{n} }} }}\n")
    });
    let own = ", power: { agent: fence_ipmilan, options: { ip: bmc } } }";
    let text = cloud(computes, ONE);
    let text: String = text
        .lines()
        .map(
            |l| match l.strip_suffix(" }").filter(|_| l.contains("role: compute")) {
                Some(host) => format!("{host}{own}\n"),
                None => format!("{l}\n"),
            },
        )
        .collect();
    format!("{text}power:\n{levels}")
}

/// The desired state of a cloud file.
pub fn desired(text: &str) -> Desired {
    let model = examples::model_of("cloud.yaml", text, &[]);
    world::known_by(examples::desired_of(&model))
}

/// Hosts that have everything, but for another file on a tenth of them.
pub fn observed(desired: &Desired) -> Observed {
    let mut all = world::all(desired, world::applied);
    let mut looks = plan::Looks::new(desired, [7; 32], false);
    for (host, facts) in &mut all {
        // As the agent tells them: a text that is as it should be is left out.
        let same = looks.at(host).same;
        let facts = facts.as_mut().unwrap();
        facts.cib = facts.cib.clone().map(LiveCib::without_text);
        for (path, fact) in &mut facts.files {
            if let Fact::Known(file) = fact
                && same.get(path) == Some(&file.digest)
            {
                file.text = None;
            }
        }
    }
    for (_, facts) in all.iter_mut().step_by(10) {
        let file = facts.as_mut().unwrap().files.values_mut().next().unwrap();
        let Fact::Known(file) = file else {
            panic!("{file:?}")
        };
        file.digest = "0".repeat(32);
    }
    all
}
