//! Comparing CIB sections: what the cluster stores is not byte for byte what
//! was sent (attribute order, white space), so both sides are brought to one
//! canonical text first.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use roxmltree::{Document, Node};

use crate::cib::UNIT_AGENT;

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
    children.sort_by_key(|c| {
        (
            c.tag_name().name().to_owned(),
            c.attribute("id").unwrap_or_default().to_owned(),
        )
    });
    for child in children {
        write(child, depth + 1, out);
    }
}

/// A section's canonical text: one element a line, attributes and siblings
/// sorted. Of property sets of others (ids that do not begin with `quorate`) there is only
/// what contradicts ours: the cluster keeps its own facts there. `None` when it is not XML.
pub fn canonical(xml: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let root = document.root_element();
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
    Some(out)
}

/// The canonical text of one section of a whole CIB (`cibadmin -Q`); a section
/// that is not there is the same as an empty one.
pub fn section_of(cib: &str, section: &str) -> Option<String> {
    let document = Document::parse(cib).ok()?;
    let found = document
        .descendants()
        .find(|n| n.is_element() && n.tag_name().name() == section && n.parent_element().is_some());
    match found {
        Some(node) => canonical(&cib[node.range()]),
        None => canonical(&format!("<{section}/>")),
    }
}

/// The parameters of a resource in a whole CIB (`cibadmin -Q`), by name; `None`
/// where the CIB has no such resource.
pub fn params_of(cib: &str, id: &str) -> Option<BTreeMap<String, String>> {
    let document = Document::parse(cib).ok()?;
    let primitive = document
        .descendants()
        .find(|n| n.has_tag_name("primitive") && n.attribute("id") == Some(id))?;
    let pairs = primitive
        .children()
        .filter(|n| n.has_tag_name("instance_attributes"))
        .flat_map(|set| set.children().filter(|n| n.has_tag_name("nvpair")));
    Some(
        pairs
            .filter_map(|n| Some((n.attribute("name")?.to_owned(), n.attribute("value")?.to_owned())))
            .collect(),
    )
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
fn unit_of(node: Node<'_, '_>, agent: &str) -> Option<String> {
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
fn agent_of(node: Node<'_, '_>) -> String {
    let parts = ["class", "provider", "type"].map(|name| node.attribute(name).unwrap_or_default());
    let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join(":")
}

/// Resources that the cluster has in its configuration, or has run, by another agent than
/// the one given for each id.
pub fn of_another_agent<'a>(cib: &str, wanted: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let Ok(document) = Document::parse(cib) else {
        return Vec::new();
    };
    let named = document
        .descendants()
        .filter(|n| n.has_tag_name("primitive") || n.has_tag_name("lrm_resource"));
    let now: Vec<(&str, String)> = named
        .filter_map(|n| Some((n.attribute("id")?, agent_of(n))))
        .filter(|(_, agent)| !agent.is_empty())
        .collect();
    wanted
        .filter(|(id, agent)| now.iter().any(|(other, has)| other == id && has != agent))
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// The resources of a whole CIB (`cibadmin -Q`), in its order. Empty where it is not XML.
pub fn configured(cib: &str) -> Vec<Configured> {
    let Ok(document) = Document::parse(cib) else {
        return Vec::new();
    };
    let attribute = |n: Node<'_, '_>, name: &str| n.attribute(name).unwrap_or_default().to_owned();
    document
        .descendants()
        .filter(|n| n.is_element() && n.tag_name().name() == "primitive")
        .map(|n| {
            let id = attribute(n, "id");
            let clone = n.parent_element().filter(|p| p.tag_name().name() == "clone");
            let agent = agent_of(n);
            Configured {
                whole: clone.map_or_else(|| id.clone(), |c| attribute(c, "id")),
                unit: unit_of(n, &agent),
                agent,
                id,
            }
        })
        .collect()
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
        let units: Vec<Option<String>> = configured(CIB).into_iter().map(|r| r.unit).collect();
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
            assert_eq!(of_another_agent(CIB, wanted.into_iter()), expect, "{wanted:?}");
        };
        check([("api", UNIT_AGENT), ("vip", "ocf:heartbeat:IPaddr2")], &["api"]);
        check([("web", UNIT_AGENT), ("flush", "systemd:flush.timer")], &["web"]);
        check([("new", UNIT_AGENT), ("vip", "ocf:heartbeat:IPaddr2")], &[]);
    }
}
