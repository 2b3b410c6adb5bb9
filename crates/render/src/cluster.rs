//! The cluster's configuration: resources of the components, virtual addresses,
//! fencing and what binds them.
//!
//! The rules, each with its reason:
//! - Clones are interleaved: one instance's restart restarts nobody elsewhere.
//! - Order between services is Optional, so that a failure does not run down
//!   the chain; after a promotion it is Mandatory, since starting before there
//!   is a writer only fails, but never symmetrical: losing the writer stops nobody.
//! - A virtual address stands where a balancer runs, needs quorum and not
//!   fencing (two holders break connections, not data: the stores behind it
//!   have quorums of their own), and its stickiness is above its preference:
//!   coming home is a step of its own.
//! - A fence device never runs on the host that it fences. Every host with power has
//!   devices, those beside the cluster too; these never turn a host on again.

use catalog::{Component, Kind, UnitRun};
use cloud::{Fencing, PowerDevice, PowerOption};
use indexmap::IndexMap;
use model::{Model, Placed, resource_id};
use names::{HostName, ResourceId};
use pacemaker::{
    Cib, Clone as Cloned, Colocation, Level, Location, Operation, Order, OrderKind, Primitive, Resource,
    UNIT_AGENT,
};

use crate::DesiredVip;
use crate::context::{Scope, Templates, secret};

/// Score of an address' preference for its host; [`STICKINESS`] is above it.
const PREFERENCE: i32 = 100;
/// The ids of nodes are no secret, so their key is none.
const NODE_IDS: [u8; 32] = *b"quorate: the ids of the nodes   ";
/// Interval of the monitor of a unit. quorate-watch reports what ends within a second;
/// the monitor finds what that missed. Each starts a shell (1.6 ms of a processor): forty so
/// often cost less than forty every ten seconds of Pacemaker's own class, which starts none.
const MONITOR: &str = "300s";
/// Stickiness of everything.
const STICKINESS: i32 = 1000;

fn pairs<const N: usize>(items: [(&str, &str); N]) -> IndexMap<String, String> {
    items
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

fn operation(name: &str, interval: &str, options: &[(&str, &str)]) -> Operation {
    Operation {
        name: name.to_owned(),
        interval: interval.to_owned(),
        options: options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

/// The number by which the cluster knows each of these hosts.
///
/// It follows from the name and not from the place in the file: a host more or less
/// must not renumber the others, whose numbers cannot change while they run. Corosync
/// takes 16 bits over knet; where two names meet in one, the later takes the next.
pub fn node_ids<'a>(names: impl Iterator<Item = &'a HostName>) -> IndexMap<&'a HostName, u32> {
    let mut out: IndexMap<&HostName, u32> = IndexMap::new();
    for name in names {
        let digest = wire::digest(&NODE_IDS, name.as_bytes());
        let digits: String = digest.chars().take(4).collect();
        let mut id = u32::from_str_radix(&digits, 16).unwrap_or_default().max(1);
        while out.values().any(|taken| *taken == id) {
            id = id % 0xffff + 1;
        }
        out.insert(name, id);
    }
    out
}

/// Members of the cluster with their node ids.
pub fn nodes(model: &Model) -> Vec<(HostName, u32)> {
    let members = model.hosts_of("cluster");
    node_ids(members.iter().map(|h| &h.name.value))
        .into_iter()
        .map(|(name, id)| (name.clone(), id))
        .collect()
}

/// The networks of the cluster's links, where there are several.
pub fn links(model: &Model) -> Vec<String> {
    let links: Vec<String> = model.cloud.links().map(|n| n.name.as_str().to_owned()).collect();
    if links.len() > 1 { links } else { Vec::new() }
}

/// The resource of one component.
pub fn resource(
    model: &Model,
    templates: &mut Templates,
    id: &str,
    placed: &Placed,
    component: &Component,
) -> Resource {
    let scope = Scope {
        service: &placed.service.name.value,
        host: None,
        item: None,
    };
    let spec = &component.resource;
    let mut operations = vec![
        operation("start", "0s", &[("timeout", "120s")]),
        operation("stop", "0s", &[("timeout", "120s")]),
    ];
    if !spec.operations.iter().any(|o| o.name == "monitor") {
        operations.push(operation("monitor", MONITOR, &[("timeout", "30s")]));
    }
    for op in &spec.operations {
        let mut options = op.options.clone();
        let interval = options
            .shift_remove("interval")
            .unwrap_or_else(|| "0s".to_owned());
        operations.retain(|o| o.name != op.name || o.interval != interval);
        operations.push(Operation {
            name: op.name.clone(),
            interval,
            options,
        });
    }
    let mut meta = pairs([
        ("migration-threshold", "10"),
        ("failure-timeout", "60s"),
        ("requires", "quorum"),
    ]);
    if component.kind == Kind::Singleton && fenced(model) {
        // Two of it would destroy what it works on.
        meta.insert("requires".to_owned(), "fencing".to_owned());
    }
    meta.extend(spec.meta.clone());
    let given = spec.params.iter();
    let mut params: IndexMap<String, String> = given
        .map(|(k, v)| (k.clone(), templates.text(&scope, v)))
        .collect();
    let agent = if spec.agent.is_empty() {
        params.insert("unit".to_owned(), component.unit.clone());
        UNIT_AGENT.to_owned()
    } else {
        spec.agent.clone()
    };
    let primitive = Primitive {
        id: id.into(),
        agent,
        params,
        meta,
        operations,
    };
    if component.kind == Kind::Singleton {
        return Resource::Primitive(primitive);
    }
    let mut clone = pairs([("interleave", "true"), ("ordered", "false")]);
    if component.kind == Kind::Promotable {
        clone.insert("promotable".to_owned(), "true".to_owned());
    }
    for (key, value) in &spec.clone {
        let value = templates.text(&scope, value);
        clone.insert(key.clone(), value);
    }
    Resource::Clone(Cloned {
        primitive,
        meta: clone,
    })
}

/// What the cluster runs, with its resource's id.
type Clustered<'a> = (ResourceId, &'a Placed, &'a Component);

fn clone_id(component: &Component, id: &str) -> ResourceId {
    if component.kind == Kind::Singleton {
        id.into()
    } else {
        format!("{id}-clone").into()
    }
}

/// Orders of a component after those it names; a service's name alone means
/// all its components in the cluster, but for work that recurs.
fn orders(all: &[Clustered<'_>], id: &str, component: &Component, out: &mut Cib) {
    for after in &component.after {
        let (service, part) = after.value.split_once('.').unwrap_or((after.value.as_str(), ""));
        for (first, placed, other) in all {
            if placed.service.name.value != service || (!part.is_empty() && other.name.value != part) {
                continue;
            }
            // Nobody waits for a timer.
            if part.is_empty() && placed.service.periodic.contains_key(&other.name.value) {
                continue;
            }
            let promoted = other.kind == Kind::Promotable;
            out.orders.push(Order {
                first: clone_id(other, first),
                first_action: if promoted { "promote" } else { "start" }.to_owned(),
                then: clone_id(component, id),
                kind: if promoted {
                    OrderKind::Mandatory
                } else {
                    OrderKind::Optional
                },
            });
        }
    }
}

/// Whether members fence each other. One alone has nobody who could: its device would
/// wait for ever for a host to run on.
fn fenced(model: &Model) -> bool {
    model.cloud.fencing == Fencing::Power && model.hosts_of("cluster").len() > 1
}

fn fencing(model: &Model, out: &mut Cib) {
    if !fenced(model) {
        return;
    }
    let members = model.hosts_of("cluster");
    for host in &model.cloud.hosts {
        let name = host.name.as_str();
        let member = members.iter().any(|m| m.name == host.name);
        for (level, index) in host.power.iter().zip(1_u32..) {
            let ids = level.devices.iter().zip(0_u8..).map(|(device, turn)| {
                let id = ResourceId::from(device_id(name, index, turn));
                out.resources
                    .push(Resource::Primitive(device_of(&id, name, device, member)));
                if member {
                    out.locations.push(Location {
                        resource: id.clone(),
                        node: name.to_owned(),
                        score: "-INFINITY".to_owned(),
                    });
                }
                id
            });
            let devices = ids.collect();
            out.levels.push(Level {
                target: name.to_owned(),
                index,
                devices,
            });
        }
    }
}

/// The first device of a level is told by the level, further ones by a letter behind it,
/// which ends no name of another host's device.
fn device_id(host: &str, level: u32, turn: u8) -> String {
    match turn {
        0 => format!("fence-{host}-{level}"),
        turn if turn < 26 => format!("fence-{host}-{level}{}", char::from(b'a' + turn)),
        turn => format!("fence-{host}-{level}z{turn}"),
    }
}

/// Options of a fence device as its agent takes them; secrets are placeholders.
pub(crate) fn options_of(device: &PowerDevice) -> impl Iterator<Item = (String, String)> {
    device.options.iter().map(|(key, option)| {
        let value = match &option.value.value {
            PowerOption::Text(text) => text.clone(),
            PowerOption::Secret(name) => secret(name),
            // Read into the vault under the name of its path.
            PowerOption::File(path) => secret(&format!("file/{path}")),
        };
        (key.clone(), value)
    })
}

fn device_of(id: &str, host: &str, device: &PowerDevice, member: bool) -> Primitive {
    let mut params = pairs([("pcmk_host_list", host)]);
    if !member {
        // A host beside the cluster is dead until its work runs elsewhere: power that comes
        // back by itself would bring that work back with it.
        params.insert("pcmk_reboot_action".to_owned(), "off".to_owned());
    }
    params.extend(options_of(device));
    Primitive {
        id: id.into(),
        agent: format!("stonith:{}", device.agent.value),
        params,
        meta: pairs([("migration-threshold", "10"), ("failure-timeout", "60s")]),
        operations: vec![
            operation("start", "0s", &[("timeout", "60s")]),
            operation("stop", "0s", &[("timeout", "60s")]),
            // A device is asked now and then, so that a dead one is found before it is needed.
            // A question costs 0.2 s of a processor, and of hosts beside the cluster there
            // may be a thousand.
            operation(
                "monitor",
                if member { "60s" } else { "3600s" },
                &[("timeout", "60s")],
            ),
        ],
    }
}

/// The resource of a service's virtual address.
fn vip_id(model: &Model, service: &str) -> ResourceId {
    if model.shared_vip() {
        "vip-shared".into()
    } else {
        format!("vip-{service}").into()
    }
}

/// Every service's virtual address and its home.
pub fn addresses(model: &Model) -> Vec<DesiredVip> {
    model
        .vips
        .iter()
        .map(|(service, vip)| DesiredVip {
            service: service.clone(),
            address: vip.address.to_string(),
            resource: vip_id(model, service),
            home: vip.hosts.first().cloned(),
        })
        .collect()
}

fn vips(model: &Model, all: &[Clustered<'_>], out: &mut Cib) {
    let balancers: Vec<ResourceId> = all
        .iter()
        .filter(|(_, _, c)| c.runs_on.iter().any(|r| r.value == "balancer") && c.kind != Kind::Singleton)
        .map(|(id, _, c)| clone_id(c, id))
        .collect();
    let mut done: Vec<std::net::IpAddr> = Vec::new();
    for vip in model.vips.values() {
        if done.contains(&vip.address) {
            continue;
        }
        done.push(vip.address);
        let id = vip_id(model, &vip.service);
        let mut params = pairs([
            ("ip", &vip.address.to_string()),
            ("cidr_netmask", &vip.prefix.to_string()),
            // Five announcements in half a second: a switch that lost one hears another at once.
            ("arp_interval", "100"),
        ]);
        if vip.address.is_ipv6() {
            // Nobody waits a second or two for a duplicate: the cluster sees to it that there is none.
            params.insert("nodad".to_owned(), "true".to_owned());
            // Never the source of the holder's own connections, as a second IPv4 address
            // is not: they would break when it moves.
            params.insert("preferred_lft".to_owned(), "0".to_owned());
        }
        out.resources.push(Resource::Primitive(Primitive {
            id: id.clone(),
            agent: "ocf:heartbeat:IPaddr2".to_owned(),
            params,
            meta: pairs([
                ("requires", "quorum"),
                ("resource-stickiness", &STICKINESS.to_string()),
                ("migration-threshold", "5"),
                ("failure-timeout", "60s"),
            ]),
            operations: vec![
                operation("start", "0s", &[("timeout", "20s")]),
                operation("stop", "0s", &[("timeout", "20s")]),
                operation("monitor", "10s", &[("timeout", "20s")]),
            ],
        }));
        for balancer in &balancers {
            out.colocations.push(Colocation {
                resource: id.clone(),
                with: balancer.clone(),
                with_role: None,
                score: "INFINITY".to_owned(),
            });
            out.orders.push(Order {
                first: balancer.clone(),
                first_action: "start".to_owned(),
                then: id.clone(),
                kind: OrderKind::Optional,
            });
        }
        if let Some(host) = vip.hosts.first() {
            out.locations.push(Location {
                resource: id,
                node: host.to_string(),
                score: PREFERENCE.to_string(),
            });
        }
    }
}

/// The whole configuration.
pub fn cib(model: &Model, templates: &mut Templates) -> Cib {
    let mut out = Cib {
        resource_defaults: pairs([("resource-stickiness", &STICKINESS.to_string())]),
        operation_defaults: pairs([("timeout", "60s")]),
        schema: model.platform("pacemaker", "schema").to_owned(),
        features: model.platform("pacemaker", "features").to_owned(),
        ..Cib::default()
    };
    out.properties
        .insert("stonith-enabled".to_owned(), fenced(model).to_string());
    for (name, placed) in &model.services {
        let scope = Scope {
            service: name,
            host: None,
            item: None,
        };
        for (key, value) in &placed.service.properties {
            let value = templates.text(&scope, value);
            out.properties.insert(key.clone(), value);
        }
    }
    fencing(model, &mut out);
    let all: Vec<Clustered<'_>> = crate::present(model, templates)
        .filter(|(_, component)| component.run_in(model.cloud.architecture) == UnitRun::Cluster)
        .map(|(placed, component)| {
            let id = resource_id(&placed.service.name.value, &component.name.value);
            (id, placed, component)
        })
        .collect();
    vips(model, &all, &mut out);
    for (id, placed, component) in &all {
        out.resources
            .push(resource(model, templates, id, placed, component));
        // Only where its role is: a clone would else probe and start everywhere.
        let members = model.names_on(&component.runs_on);
        for (node, _) in nodes(model) {
            if !members.contains(&node) {
                out.locations.push(Location {
                    resource: clone_id(component, id),
                    node: node.to_string(),
                    score: "-INFINITY".to_owned(),
                });
            }
        }
        orders(&all, id, component, &mut out);
    }
    out
}
