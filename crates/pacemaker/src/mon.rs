//! `crm_mon --output-as=xml` read into values, once, on the host that printed it. Source:
//! the schema `crm_mon-*.rng` of Pacemaker 3.0; unknown attributes are passed over, since
//! each release adds some.

use std::collections::BTreeMap;

use names::ResourceId;
use roxmltree::{Document, Node as XmlNode};
use serde::{Deserialize, Serialize};

/// A node as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the attributes that crm_mon gives, each independent of the others"
)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Member of the partition that was asked and running Pacemaker.
    pub online: bool,
    /// Joined Corosync, not yet Pacemaker.
    pub pending: bool,
    /// To be fenced.
    pub unclean: bool,
    /// Runs nothing by order. One that is about to join is told as standby too where there is
    /// fencing (`determine_online_status_fencing` of `lib/pengine/unpack.c`), and is not.
    pub standby: bool,
    /// In standby since an action failed there (`on-fail`).
    pub standby_onfail: bool,
    /// In maintenance.
    pub maintenance: bool,
    /// The designated controller.
    pub dc: bool,
    /// Runs what the members tell it by `pacemaker_remote`, and has no vote.
    pub remote: bool,
}

/// An instance of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the attributes that crm_mon gives, each independent of the others"
)]
pub struct NodeResource {
    /// The primitive's id, without an instance number.
    pub id: ResourceId,
    /// Resource agent: `ocf:heartbeat:IPaddr2`.
    pub agent: String,
    /// The clone that it is an instance of.
    pub set: Option<CloneSet>,
    /// `Started`, `Promoted`, `Unpromoted`, `Stopped`, `Starting`.
    pub role: String,
    /// Its nodes: none if it runs nowhere, several where it runs and should run once.
    pub nodes: Vec<String>,
    /// It runs, or is on its way.
    pub active: bool,
    /// Runs and is in the configuration no more: it will be stopped.
    pub orphaned: bool,
    /// Action under way on it: `Starting`.
    pub pending: Option<String>,
    /// The last action failed.
    pub failed: bool,
    /// Nobody will touch it until an operator does.
    pub blocked: bool,
    /// The cluster acts on it: neither unmanaged nor in maintenance.
    pub managed: bool,
}

/// A clone of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneSet {
    /// Id: `haproxy-clone`.
    pub id: ResourceId,
    /// Its instances are promoted.
    pub promotable: bool,
}

/// An action that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `broken_start_0`.
    pub action: String,
    /// Where.
    pub node: String,
    /// Why: in the agent's words if it had any, else the name of its exit status.
    pub why: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}: {}", self.action, self.node, self.why)
    }
}

/// An action without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// `start`.
    pub task: String,
    /// The primitive's id.
    pub resource: ResourceId,
    /// Where.
    pub node: String,
}

/// `PCMK_OCF_UNKNOWN`: the result of an action that has none yet.
const NO_RESULT: &str = "193";

/// The cluster at one moment, as one node saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// This partition has quorum.
    pub quorate: bool,
    /// Name of the designated controller, when there is one.
    pub dc: Option<String>,
    /// Pacemaker's version on the designated controller.
    pub version: Option<String>,
    /// Layer that tells who is a member: `corosync`.
    pub stack: Option<String>,
    /// Instances that the configuration asks for, fence devices among them.
    pub configured: Option<u32>,
    /// The cluster's properties as this node has them in force, of those that are told.
    pub options: BTreeMap<String, String>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Instances.
    pub resources: Vec<NodeResource>,
    /// Actions that failed.
    pub failures: Vec<Failure>,
    /// Actions that have no result yet.
    pub under_way: Vec<UnderWay>,
    /// Nodes that are being fenced.
    pub fencing: Vec<String>,
    /// Times of successful fencing by node name, seconds as text as `crm_mon` gives them.
    pub fenced: Vec<(String, String)>,
}

/// The text was not what `crm_mon` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(pub String);

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read crm_mon's output: {}", self.0)
    }
}

impl std::error::Error for ParseError {}

fn yes(node: &XmlNode<'_, '_>, name: &str) -> bool {
    node.attribute(name) == Some("true")
}

fn text(node: &XmlNode<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_default().to_owned()
}

impl Node {
    fn read(node: &XmlNode<'_, '_>) -> Self {
        Self {
            name: text(node, "name"),
            online: yes(node, "online"),
            pending: yes(node, "pending"),
            unclean: yes(node, "unclean"),
            standby: yes(node, "standby") && !yes(node, "pending"),
            standby_onfail: yes(node, "standby_onfail"),
            maintenance: yes(node, "maintenance"),
            dc: yes(node, "is_dc"),
            remote: node.attribute("type") == Some("remote"),
        }
    }
}

impl NodeResource {
    fn read(node: &XmlNode<'_, '_>) -> Self {
        let id = node.attribute("id").unwrap_or_default();
        let role = text(node, "role");
        // Pacemaker 3 says it in the role, which no resource has for long.
        let pending = node.attribute("pending").map(str::to_owned);
        let pending = pending.or_else(|| role.ends_with("ing").then(|| role.clone()));
        Self {
            id: id.split(':').next().unwrap_or_default().into(),
            agent: text(node, "resource_agent"),
            set: node
                .ancestors()
                .find(|n| n.has_tag_name("clone"))
                .map(|n| CloneSet::read(&n)),
            role: if pending.as_deref() == Some("Starting") {
                "Starting".to_owned()
            } else {
                role
            },
            nodes: node
                .children()
                .filter(|c| c.has_tag_name("node"))
                .filter_map(|n| n.attribute("name"))
                .map(str::to_owned)
                .collect(),
            active: yes(node, "active"),
            orphaned: yes(node, "orphaned"),
            pending,
            failed: yes(node, "failed"),
            blocked: yes(node, "blocked"),
            managed: node.attribute("managed") != Some("false"),
        }
    }

    /// It serves in its role, and is still wanted.
    pub fn is_good(&self) -> bool {
        self.active && !self.failed && !self.orphaned && !self.blocked
    }

    /// It is on a node, in whatever role.
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.iter().any(|n| n == node)
    }
}

impl CloneSet {
    fn read(node: &XmlNode<'_, '_>) -> Self {
        Self {
            id: text(node, "id").into(),
            promotable: yes(node, "multi_state"),
        }
    }
}

impl Failure {
    fn read(node: &XmlNode<'_, '_>) -> Self {
        // `exitreason` is often empty and says more when it is not.
        let why = node.attribute("exitreason").filter(|why| !why.is_empty());
        let action = node.attribute("op_key").or_else(|| node.attribute("id"));
        Self {
            action: action.unwrap_or("an action").to_owned(),
            node: node.attribute("node").unwrap_or("?").to_owned(),
            why: why
                .or_else(|| node.attribute("exitstatus"))
                .unwrap_or("?")
                .to_owned(),
        }
    }
}

impl Monitor {
    /// Reads the output of `crm_mon --output-as=xml`.
    ///
    /// # Errors
    /// When it is not XML, or of something else.
    pub fn parse(xml: &str) -> Result<Self, ParseError> {
        let document = Document::parse(xml).map_err(|e| ParseError(e.to_string()))?;
        let root = document.root_element().tag_name().name();
        if root != "pacemaker-result" {
            // Taken for a cluster, it would be one without nodes.
            return Err(ParseError(format!("it begins with `{root}`")));
        }
        let mut out = Self::default();
        for node in document.descendants().filter(XmlNode::is_element) {
            let above = node.parent_element();
            let parent = above.map(|p| p.tag_name().name()).unwrap_or_default();
            match node.tag_name().name() {
                "current_dc" => {
                    out.quorate = yes(&node, "with_quorum");
                    out.dc = node.attribute("name").map(str::to_owned);
                    out.version = node.attribute("version").map(str::to_owned);
                }
                "stack" => out.stack = node.attribute("type").map(str::to_owned),
                "resources_configured" => {
                    out.configured = node.attribute("number").and_then(|n| n.parse().ok());
                }
                "cluster_options" => {
                    let all = node.attributes();
                    out.options = all.map(|a| (a.name().to_owned(), a.value().to_owned())).collect();
                }
                "node" if parent == "nodes" => out.nodes.push(Node::read(&node)),
                "resource" if parent != "node" => out.resources.push(NodeResource::read(&node)),
                "failure" if parent == "failures" => out.failures.push(Failure::read(&node)),
                "operation_history" if node.attribute("rc") == Some(NO_RESULT) => {
                    let of = |n: Option<XmlNode<'_, '_>>, name| {
                        n.and_then(|n| n.attribute(name)).unwrap_or("?").to_owned()
                    };
                    out.under_way.push(UnderWay {
                        task: text(&node, "task"),
                        resource: of(above, "id").into(),
                        node: of(above.and_then(|a| a.parent_element()), "name"),
                    });
                }
                "fence_event" => match node.attribute("status") {
                    Some("success") => out.fenced.push((text(&node, "target"), text(&node, "completed"))),
                    Some("pending") => out.fencing.push(text(&node, "target")),
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(out)
    }

    /// Nodes that are whole members.
    pub fn online(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.online && !n.pending && !n.unclean)
    }

    /// Where instances of `id` are in `role`.
    pub fn nodes_of(&self, id: &str, role: &str) -> Vec<&str> {
        self.resources
            .iter()
            .filter(|r| r.id == id && r.role == role && !r.failed)
            .flat_map(|r| r.nodes.iter().map(String::as_str))
            .collect()
    }
}
