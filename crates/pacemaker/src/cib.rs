//! The configuration part of the CIB as values, and its XML by section.
//!
//! Ids are made from the names of what they belong to, so that the same model
//! always gives the same bytes. Source of the element and attribute names:
//! Pacemaker Explained (3.0) and `/usr/share/pacemaker/pacemaker-*.rng`.

use indexmap::IndexMap;
use names::ResourceId;
use serde::{Deserialize, Serialize};

use crate::element::Element;

/// The sections that are ours, in the order in which they are applied.
pub const SECTIONS: [&str; 6] = [
    "crm_config",
    "rsc_defaults",
    "op_defaults",
    "resources",
    "constraints",
    "fencing-topology",
];

/// The resource agent of units of systemd; `unit` is its parameter. Pacemaker's own class
/// takes a bus that cannot be asked for a unit that does not run.
pub const UNIT_AGENT: &str = "ocf:quorate:unit";

/// Names and values in a fixed order.
pub type Pairs = IndexMap<String, String>;

/// An operation of a resource; times carry their unit (`10s`).
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// `monitor`, `start`, `stop`, `promote`, `demote`.
    pub name: String,
    /// `0` for all that does not recur.
    pub interval: String,
    /// `timeout`, `role`, `on-fail`, …
    pub options: Pairs,
}

/// A single resource, alone or inside a clone.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Primitive {
    /// Unique in the cluster.
    pub id: ResourceId,
    /// `ocf:heartbeat:IPaddr2`, `ocf:quorate:unit`, `stonith:fence_redfish`.
    pub agent: String,
    /// Instance attributes.
    pub params: Pairs,
    /// Meta attributes.
    pub meta: Pairs,
    /// Operations.
    pub operations: Vec<Operation>,
}

impl Primitive {
    /// True of a device that fences, which is no service.
    pub fn is_fence_device(&self) -> bool {
        is_fence_agent(&self.agent)
    }
}

/// True of the agent of a fence device, by its class.
pub(crate) fn is_fence_agent(agent: &str) -> bool {
    agent.starts_with("stonith:")
}

/// A clone around one primitive; its id is the primitive's with `-clone`.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clone {
    /// What is cloned.
    pub primitive: Primitive,
    /// Meta attributes of the clone: `interleave`, `promotable`, `clone-max`, …
    pub meta: Pairs,
}

/// What stands in the resources section.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// Runs once.
    Primitive(Primitive),
    /// Runs on many.
    Clone(Clone),
}

impl Resource {
    /// The id by which constraints name it.
    pub fn id(&self) -> ResourceId {
        match self {
            Self::Primitive(p) => p.id.clone(),
            Self::Clone(c) => format!("{}-clone", c.primitive.id).into(),
        }
    }

    /// The primitive itself, or the one inside the clone.
    pub fn primitive(&self) -> &Primitive {
        match self {
            Self::Primitive(p) => p,
            Self::Clone(c) => &c.primitive,
        }
    }
}

/// A preference (or ban) of a resource for a node.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Resource id.
    pub resource: ResourceId,
    /// Node name.
    pub node: String,
    /// A number, `INFINITY` or `-INFINITY`.
    pub score: String,
}

/// `resource` only where `with` runs.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colocation {
    /// The dependent.
    pub resource: ResourceId,
    /// What it follows.
    pub with: ResourceId,
    /// Role of `with` where it matters (`Promoted`).
    pub with_role: Option<String>,
    /// Score.
    pub score: String,
}

/// How binding an order is.
#[derive(std::clone::Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    /// Only where both act in the same transition: a failure of one does not stop the other.
    Optional,
    /// Always.
    Mandatory,
}

/// `first` before `then`.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Resource id.
    pub first: ResourceId,
    /// `start` or `promote`.
    pub first_action: String,
    /// Resource id.
    pub then: ResourceId,
    /// How binding.
    pub kind: OrderKind,
}

/// One level of fencing of one node.
#[derive(std::clone::Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Node to be fenced.
    pub target: String,
    /// From 1.
    pub index: u32,
    /// Devices, all of which must succeed.
    pub devices: Vec<ResourceId>,
}

/// The configuration that is ours.
#[derive(std::clone::Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cib {
    /// Cluster properties.
    pub properties: Pairs,
    /// Defaults of resources.
    pub resource_defaults: Pairs,
    /// Defaults of operations.
    pub operation_defaults: Pairs,
    /// In a fixed order.
    pub resources: Vec<Resource>,
    /// Preferences.
    pub locations: Vec<Location>,
    /// Colocations.
    pub colocations: Vec<Colocation>,
    /// Orders.
    pub orders: Vec<Order>,
    /// Fencing levels.
    pub levels: Vec<Level>,
    /// The schema of a whole document, such as `pacemaker-4.0`: the newest that the
    /// cluster's Pacemaker has.
    #[serde(skip)]
    pub schema: String,
    /// Its feature set, such as `3.20.0`.
    #[serde(skip)]
    pub features: String,
}

/// A set of names and values; none where there are no pairs.
fn set(name: &str, id: &str, pairs: &Pairs) -> Option<Element> {
    let pair = |(key, value): (&String, &String)| {
        let id = format!("{id}-{key}");
        Element::new("nvpair", &[("id", &id), ("name", key), ("value", value)])
    };
    let all = || Element::new(name, &[("id", id)]).with(pairs.iter().map(pair));
    (!pairs.is_empty()).then(all)
}

fn operations(p: &Primitive) -> Option<Element> {
    let operation = |op: &Operation| {
        let id = format!("{}-{}-{}", p.id, op.name, op.interval);
        let mut attributes = vec![
            ("id", id.as_str()),
            ("name", op.name.as_str()),
            ("interval", op.interval.as_str()),
        ];
        attributes.extend(op.options.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        Element::new("op", &attributes)
    };
    let all = || Element::new("operations", &[]).with(p.operations.iter().map(operation));
    (!p.operations.is_empty()).then(all)
}

fn primitive(p: &Primitive) -> Element {
    let parts: Vec<&str> = p.agent.split(':').collect();
    let mut attributes = vec![("id", p.id.as_str())];
    match parts.as_slice() {
        [class, provider, kind] => {
            attributes.extend([("class", *class), ("provider", *provider), ("type", *kind)]);
        }
        [class, kind] => attributes.extend([("class", *class), ("type", *kind)]),
        _ => attributes.push(("type", p.agent.as_str())),
    }
    Element::new("primitive", &attributes)
        .with(set("instance_attributes", &format!("{}-params", p.id), &p.params))
        .with(set("meta_attributes", &format!("{}-meta", p.id), &p.meta))
        .with(operations(p))
}

fn resource(resource: &Resource) -> Element {
    match resource {
        Resource::Primitive(p) => primitive(p),
        Resource::Clone(c) => {
            let id = resource.id();
            Element::new("clone", &[("id", &id)])
                .with(set("meta_attributes", &format!("{id}-meta"), &c.meta))
                .with([primitive(&c.primitive)])
        }
    }
}

fn location(l: &Location) -> Element {
    let id = format!("location-{}-{}", l.resource, l.node);
    Element::new(
        "rsc_location",
        &[
            ("id", &id),
            ("rsc", &l.resource),
            ("node", &l.node),
            ("score", &l.score),
        ],
    )
}

fn colocation(c: &Colocation) -> Element {
    let id = format!("colocation-{}-{}", c.resource, c.with);
    let mut attributes = vec![
        ("id", id.as_str()),
        ("rsc", &c.resource),
        ("with-rsc", &c.with),
        ("score", &c.score),
    ];
    if let Some(role) = &c.with_role {
        attributes.push(("with-rsc-role", role));
    }
    Element::new("rsc_colocation", &attributes)
}

fn order(o: &Order) -> Element {
    let id = format!("order-{}-{}", o.first, o.then);
    let kind = match o.kind {
        OrderKind::Optional => "Optional",
        OrderKind::Mandatory => "Mandatory",
    };
    Element::new(
        "rsc_order",
        &[
            ("id", &id),
            ("kind", kind),
            ("first", &o.first),
            ("first-action", &o.first_action),
            ("then", &o.then),
            ("then-action", "start"),
            // A stop need not wait for the other's stop: the order is there for starting up.
            ("symmetrical", "false"),
        ],
    )
}

fn level(level: &Level) -> Element {
    let id = format!("fence-{}-level-{}", level.target, level.index);
    let index = level.index.to_string();
    let devices = level.devices.join(",");
    Element::new(
        "fencing-level",
        &[
            ("id", &id),
            ("target", &level.target),
            ("index", &index),
            ("devices", &devices),
        ],
    )
}

impl Cib {
    fn element(&self, name: &str) -> Element {
        let out = Element::new(name, &[]);
        let defaults = |id, pairs| set("meta_attributes", id, pairs);
        match name {
            "crm_config" => out.with(set(
                "cluster_property_set",
                "quorate-properties",
                &self.properties,
            )),
            "rsc_defaults" => out.with(defaults("quorate-rsc-defaults", &self.resource_defaults)),
            "op_defaults" => out.with(defaults("quorate-op-defaults", &self.operation_defaults)),
            "resources" => out.with(self.resources.iter().map(resource)),
            "constraints" => out
                .with(self.locations.iter().map(location))
                .with(self.colocations.iter().map(colocation))
                .with(self.orders.iter().map(order)),
            "fencing-topology" => out.with(self.levels.iter().map(level)),
            _ => out,
        }
    }

    /// The XML of one of [`SECTIONS`]; an unknown name gives an empty element.
    pub fn section(&self, name: &str) -> String {
        self.element(name).xml()
    }

    /// The canonical text of one of [`SECTIONS`], as [`crate::LiveCib::section`] has it of
    /// what the cluster took: one element a line, attributes and siblings sorted.
    pub fn canonical(&self, name: &str) -> String {
        let mut out = String::new();
        self.element(name).canonical(0, &mut out);
        out
    }

    /// The whole as one document, as `crm_verify` and `crm_simulate` take it;
    /// `nodes` are name and numeric id.
    pub fn document<N: AsRef<str>>(&self, nodes: &[(N, u32)]) -> String {
        let mut out = format!(
            "<cib crm_feature_set=\"{}\" validate-with=\"{}\" epoch=\"1\" num_updates=\"0\" \
             admin_epoch=\"0\"><configuration>",
            self.features, self.schema
        );
        out.push_str(&self.section("crm_config"));
        let node = |(name, id): &(N, u32)| {
            Element::new("node", &[("id", &id.to_string()), ("uname", name.as_ref())])
        };
        out.push_str(&Element::new("nodes", &[]).with(nodes.iter().map(node)).xml());
        for section in [
            "resources",
            "constraints",
            "fencing-topology",
            "rsc_defaults",
            "op_defaults",
        ] {
            out.push_str(&self.section(section));
        }
        out.push_str("</configuration><status/></cib>");
        out
    }

    /// Only the resources for which `keep` holds, with what speaks of them alone.
    ///
    /// Used to bring a cloud up in layers: a service enters the cluster when
    /// its schema is there.
    #[must_use]
    pub fn only(&self, keep: &dyn Fn(&str) -> bool) -> Self {
        let mut out = self.clone();
        out.resources.retain(|r| keep(&r.primitive().id));
        let ids: Vec<ResourceId> = out.resources.iter().map(Resource::id).collect();
        let has = |id: &ResourceId| ids.contains(id);
        out.locations.retain(|l| has(&l.resource));
        out.colocations.retain(|c| has(&c.resource) && has(&c.with));
        out.orders.retain(|o| has(&o.first) && has(&o.then));
        out
    }
}
