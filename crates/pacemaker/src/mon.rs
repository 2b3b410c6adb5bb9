//! `crm_mon --output-as=xml` read into values. Source: the schema
//! `crm_mon-*.rng` of Pacemaker 3.0; unknown attributes are passed over, since
//! each release adds some.

use std::collections::BTreeMap;

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
    /// In maintenance.
    pub maintenance: bool,
    /// The designated controller.
    pub dc: bool,
}

/// An instance of a resource on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeResource {
    /// The primitive's id, without an instance number.
    pub id: String,
    /// `Started`, `Promoted`, `Unpromoted`, `Stopped`, `Starting`.
    pub role: String,
    /// Where, when somewhere.
    pub node: Option<String>,
    /// The last action failed.
    pub failed: bool,
    /// Nobody will touch it until an operator does.
    pub blocked: bool,
    /// The cluster acts on it: neither unmanaged nor in maintenance.
    pub managed: bool,
}

/// The cluster at one moment, as one node saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// This partition has quorum.
    pub quorate: bool,
    /// Name of the designated controller, when there is one.
    pub dc: Option<String>,
    /// The cluster's properties as this node has them in force, of those that are told.
    pub options: BTreeMap<String, String>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Instances.
    pub resources: Vec<NodeResource>,
    /// Failed actions, a sentence each.
    pub failures: Vec<String>,
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

impl Monitor {
    /// Reads the output of `crm_mon --output-as=xml`.
    ///
    /// # Errors
    /// When it is not XML.
    pub fn parse(xml: &str) -> Result<Self, ParseError> {
        let document = Document::parse(xml).map_err(|e| ParseError(e.to_string()))?;
        let mut out = Self::default();
        for node in document.descendants().filter(XmlNode::is_element) {
            let parent = node
                .parent_element()
                .map(|p| p.tag_name().name().to_owned())
                .unwrap_or_default();
            match node.tag_name().name() {
                "current_dc" => {
                    out.quorate = yes(&node, "with_quorum");
                    out.dc = node.attribute("name").map(str::to_owned);
                }
                "cluster_options" => {
                    let all = node.attributes();
                    out.options = all.map(|a| (a.name().to_owned(), a.value().to_owned())).collect();
                }
                "node" if parent == "nodes" => out.nodes.push(Node {
                    name: node.attribute("name").unwrap_or_default().to_owned(),
                    online: yes(&node, "online"),
                    pending: yes(&node, "pending"),
                    unclean: yes(&node, "unclean"),
                    standby: yes(&node, "standby") && !yes(&node, "pending"),
                    maintenance: yes(&node, "maintenance"),
                    dc: yes(&node, "is_dc"),
                }),
                "resource" if parent != "node" => {
                    let id = node.attribute("id").unwrap_or_default();
                    let id = id.split(':').next().unwrap_or_default().to_owned();
                    let role = node.attribute("role").unwrap_or_default().to_owned();
                    out.resources.push(NodeResource {
                        role: if node.attribute("pending") == Some("Starting") {
                            "Starting".to_owned()
                        } else {
                            role
                        },
                        node: node
                            .children()
                            .find(|c| c.tag_name().name() == "node")
                            .and_then(|n| n.attribute("name"))
                            .map(str::to_owned),
                        failed: yes(&node, "failed"),
                        blocked: yes(&node, "blocked"),
                        managed: node.attribute("managed") != Some("false"),
                        id,
                    });
                }
                "failure" if parent == "failures" => out.failures.push(format!(
                    "{} on {}: {} {}",
                    node.attribute("op_key")
                        .or_else(|| node.attribute("id"))
                        .unwrap_or_default(),
                    node.attribute("node").unwrap_or_default(),
                    node.attribute("exitstatus").unwrap_or_default(),
                    node.attribute("exitreason").unwrap_or_default(),
                )),
                "fence_event" if node.attribute("status") == Some("success") => out.fenced.push((
                    node.attribute("target").unwrap_or_default().to_owned(),
                    node.attribute("completed").unwrap_or_default().to_owned(),
                )),
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
            .filter_map(|r| r.node.as_deref())
            .collect()
    }
}
