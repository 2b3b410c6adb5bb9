//! Comparing CIB sections: what the cluster stores is not byte for byte what
//! was sent (attribute order, white space), so both sides are brought to one
//! canonical text first.

use std::fmt::Write as _;

use roxmltree::{Document, Node};

use crate::cib::UNIT_AGENT;
use crate::read::CibRead;

fn write(node: Node<'_, '_>, depth: usize, out: &mut String) {
    let mut attributes: Vec<(&str, &str)> = node.attributes().map(|a| (a.name(), a.value())).collect();
    attributes.sort_unstable();
    let _ = write!(
        out,
        "{:indent$}{}",
        "",
        node.tag_name().name(),
        indent = depth * 2
    );
    for (name, value) in attributes {
        // One element a line: whoever hides a line has all of it.
        let _ = write!(out, " {name}={}", value.replace('\n', "\\n"));
    }
    out.push('\n');
    // Order of siblings carries meaning only inside a property set of rules,
    // which we do not use; by id it is stable whatever the cluster did.
    let mut children: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    children.sort_by_key(|c| (c.tag_name().name(), c.attribute("id").unwrap_or_default()));
    for child in children {
        write(child, depth + 1, out);
    }
}

/// A section's canonical text: one element a line, attributes and siblings
/// sorted. Of property sets of others (ids that do not begin with `quorate`) there is only
/// what contradicts ours: the cluster keeps its own facts there. `None` when it is not XML.
pub fn canonical(xml: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    Some(canonical_of(document.root_element()))
}

/// The same of a section that was read.
pub(crate) fn canonical_of(root: Node<'_, '_>) -> String {
    let mut out = String::new();
    if root.tag_name().name() == "crm_config" {
        out.push_str("crm_config\n");
        for set in root.children().filter(Node::is_element) {
            if set.attribute("id").is_some_and(|id| id.starts_with("quorate")) {
                write(set, 1, &mut out);
            }
        }
        out.push_str(&crate::options::foreign(root));
    } else {
        write(root, 0, &mut out);
    }
    out
}

/// The canonical text of one section of a whole CIB (`cibadmin -Q`); a section
/// that is not there is the same as an empty one.
pub fn section_of(cib: &str, section: &str) -> Option<String> {
    CibRead::new(cib).ok()?.section(section)
}

/// True if a whole CIB (`cibadmin -Q`) says that its partition has quorum.
pub fn had_quorum(cib: &str) -> bool {
    let document = Document::parse(cib).ok();
    document.is_some_and(|d| d.root_element().attribute("have-quorum") == Some("1"))
}

/// A resource of the cluster's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The primitive's id.
    pub id: String,
    /// The id that commands and constraints take: its clone's, or its own.
    pub whole: String,
    /// `ocf:quorate:unit`, `systemd:haproxy`, `ocf:heartbeat:IPaddr2`.
    pub agent: String,
    /// The unit of systemd that it runs, if it is one.
    pub unit: Option<String>,
}

/// The unit of a resource: Pacemaker's own class leaves the ending of services out.
pub(crate) fn unit_of(node: Node<'_, '_>, agent: &str) -> Option<String> {
    if agent == UNIT_AGENT {
        let mut all = node.descendants();
        let unit = all.find(|n| n.has_tag_name("nvpair") && n.attribute("name") == Some("unit"));
        return unit?.attribute("value").map(str::to_owned);
    }
    let name = agent.strip_prefix("systemd:")?;
    // As Pacemaker reads it: a name with another ending has it.
    let whole = ["service", "timer", "socket", "mount", "target", "path", "slice"]
        .iter()
        .any(|e| name.ends_with(&format!(".{e}")));
    Some(if whole {
        name.to_owned()
    } else {
        format!("{name}.service")
    })
}

/// How an element of the CIB names its agent: `CLASS:PROVIDER:TYPE`.
pub(crate) fn agent_of(node: Node<'_, '_>) -> String {
    let parts = ["class", "provider", "type"].map(|name| node.attribute(name).unwrap_or_default());
    let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join(":")
}

/// Nodes that have a permanent attribute of this name in a whole CIB, each with its value.
/// Empty where it is not XML.
pub fn node_attributes(cib: &str, name: &str) -> Vec<(String, String)> {
    let Ok(document) = Document::parse(cib) else {
        return Vec::new();
    };
    let nodes = document.descendants().filter(|n| n.has_tag_name("nodes"));
    let nodes = nodes
        .flat_map(|n| n.children())
        .filter(|n| n.has_tag_name("node"));
    nodes
        .filter_map(|node| {
            let pair = node
                .descendants()
                .find(|n| n.has_tag_name("nvpair") && n.attribute("name") == Some(name))?;
            Some((
                node.attribute("uname")?.to_owned(),
                pair.attribute("value")?.to_owned(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIB: &str = "<cib><configuration><resources>\
        <clone id=\"api-clone\"><primitive id=\"api\" class=\"systemd\" type=\"quorate-api\"/></clone>\
        <primitive id=\"flush\" class=\"systemd\" type=\"flush.timer\"/>\
        <primitive id=\"web\" class=\"ocf\" provider=\"quorate\" type=\"unit\"><instance_attributes id=\"w\">\
        <nvpair id=\"u\" name=\"unit\" value=\"web.service\"/></instance_attributes></primitive>\
        <primitive id=\"vip\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"/>\
        </resources></configuration><status>\
        <lrm_resource id=\"web\" class=\"systemd\" type=\"web\"/><lrm_resource id=\"vip\"/></status></cib>";

    #[test]
    fn attributes_are_those_of_nodes_alone() {
        let pair = "<nvpair id=\"x\" name=\"a\" value=\"1\"/>";
        let set = format!("<instance_attributes id=\"s\">{pair}</instance_attributes>");
        let cib = format!(
            "<cib><configuration><crm_config>{set}</crm_config><nodes><node id=\"1\" uname=\"c1\">{set}</node>\
             <node id=\"2\" uname=\"c2\"/></nodes></configuration><status><node_state uname=\"c3\">{set}\
             </node_state></status></cib>"
        );
        assert_eq!(node_attributes(&cib, "a"), [("c1".to_owned(), "1".to_owned())]);
        assert_eq!(node_attributes(&cib, "b"), []);
    }

    #[test]
    fn a_resource_tells_its_unit() {
        let units: Vec<Option<String>> = CibRead::new(CIB)
            .unwrap()
            .configured()
            .into_iter()
            .map(|r| r.unit)
            .collect();
        let wanted = [
            Some("quorate-api.service"),
            Some("flush.timer"),
            Some("web.service"),
            None,
        ];
        assert_eq!(units, wanted.map(|u| u.map(str::to_owned)));
    }

    /// The history of one member alone is enough: the cluster would restart what it ran so.
    #[test]
    fn another_agent_is_seen_in_the_configuration_and_in_the_history() {
        let check = |wanted: [(&str, &str); 2], expect: &[&str]| {
            let read = CibRead::new(CIB).unwrap();
            assert_eq!(read.of_another_agent(wanted.into_iter()), expect, "{wanted:?}");
        };
        check([("api", UNIT_AGENT), ("vip", "ocf:heartbeat:IPaddr2")], &["api"]);
        check([("web", UNIT_AGENT), ("flush", "systemd:flush.timer")], &["web"]);
        check([("new", UNIT_AGENT), ("vip", "ocf:heartbeat:IPaddr2")], &[]);
    }
}
