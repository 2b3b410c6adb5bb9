//! The CIB of a running cluster (`cibadmin --query`), read once, on the host that printed
//! it. Of its status there is only what is asked for: the agent that ran each resource, and
//! since when nothing happened.

use std::collections::BTreeMap;

use names::ResourceId;
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use crate::cib::{SECTIONS, UNIT_AGENT, is_fence_agent};
use crate::element::Element;
use crate::options::{self, Property};
use crate::quiet;

/// The state of a resource in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Neither in the configuration nor in the history of any member.
    Nothing,
    /// No longer configured, and some member remembers it: the cluster stops
    /// what it so knows, unless `stop-orphan-resources` is false.
    Remembered,
    /// Configured, and neither started nor stopped (`is-managed` is false).
    Unmanaged,
    /// Configured and ruled.
    Managed,
}

/// A resource of the cluster's own configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The primitive's id.
    pub id: ResourceId,
    /// The id that commands and constraints take: its clone's, or its own.
    pub whole: ResourceId,
    /// `ocf:quorate:unit`, `systemd:haproxy`, `ocf:heartbeat:IPaddr2`.
    pub agent: String,
    /// The unit of systemd that it runs, if it is one.
    pub unit: Option<String>,
    /// Instance attributes.
    pub params: BTreeMap<String, String>,
    /// Neither it nor its clone has `is-managed` false.
    pub managed: bool,
}

impl Configured {
    /// True of a device that fences, which is no service.
    pub fn is_fence_device(&self) -> bool {
        is_fence_agent(&self.agent)
    }
}

/// A cluster's CIB as one member has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCib {
    had_quorum: bool,
    /// Canonical text of each of [`SECTIONS`].
    sections: BTreeMap<String, String>,
    properties: BTreeMap<String, Property>,
    /// In the document's order.
    resources: Vec<Configured>,
    /// Resource and agent, of all that a member remembers of having run.
    remembered: Vec<(ResourceId, String)>,
    /// Permanent attributes by node, in the document's order.
    attributes: Vec<(String, BTreeMap<String, String>)>,
    /// By node: seconds since the epoch of the last event, or the reason why there is none.
    quiet: BTreeMap<String, Result<i64, String>>,
    text: Option<String>,
}

impl LiveCib {
    /// Reads a whole CIB.
    ///
    /// # Errors
    /// The reason why the text is none: it is not XML, or has no configuration.
    pub fn parse(text: String) -> Result<Self, String> {
        let document = Document::parse(&text).map_err(|e| e.to_string())?;
        let root = document.root_element();
        let configuration = root.children().find(|n| n.has_tag_name("configuration"));
        let Some(configuration) = configuration.filter(|_| root.has_tag_name("cib")) else {
            return Err("it is no CIB with a configuration".to_owned());
        };
        let section = |name: &str| configuration.children().find(|n| n.has_tag_name(name));
        let mut remembered: Vec<(ResourceId, String)> = (root.descendants())
            .filter(|n| n.has_tag_name("lrm_resource"))
            .filter_map(|n| Some((n.attribute("id")?.into(), agent_of(n))))
            .collect();
        // Each member tells of its own.
        remembered.sort_unstable();
        remembered.dedup();
        let mut states = BTreeMap::new();
        for state in root.descendants().filter(|n| n.has_tag_name("node_state")) {
            if let Some(name) = state.attribute("uname") {
                let last = || quiet::last_event(name, state);
                states.entry(name.to_owned()).or_insert_with(last);
            }
        }
        let primitives = configuration
            .descendants()
            .filter(|n| n.has_tag_name("primitive"));
        let read = Self {
            had_quorum: root.attribute("have-quorum") == Some("1"),
            sections: (SECTIONS.iter())
                .map(|name| ((*name).to_owned(), canonical(name, section(name))))
                .collect(),
            properties: section("crm_config").map(options::in_force).unwrap_or_default(),
            resources: primitives.map(resource).collect(),
            remembered,
            attributes: section("nodes").map(attributes).unwrap_or_default(),
            quiet: states,
            text: None,
        };
        Ok(Self {
            text: Some(text),
            ..read
        })
    }

    /// The text as the cluster gave it, where it was kept.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Without the text, which holds all that each member ever did.
    #[must_use]
    pub fn without_text(self) -> Self {
        Self { text: None, ..self }
    }

    /// True if it says that its partition has quorum.
    pub fn had_quorum(&self) -> bool {
        self.had_quorum
    }

    /// The canonical text of one of [`SECTIONS`], to be compared with [`crate::Cib::canonical`];
    /// of a section that is not there that of an empty one. Fence devices have passwords in it.
    pub fn section(&self, name: &str) -> Option<&str> {
        self.sections.get(name).map(String::as_str)
    }

    /// The cluster's properties.
    pub fn properties(&self) -> &BTreeMap<String, Property> {
        &self.properties
    }

    /// The resources, in its order.
    pub fn resources(&self) -> &[Configured] {
        &self.resources
    }

    /// The primitive of this id, alone or in a clone.
    pub fn resource(&self, id: &str) -> Option<&Configured> {
        self.resources.iter().find(|r| r.id == id)
    }

    /// The state of the primitive `id` in the cluster.
    pub fn held(&self, id: &str) -> Held {
        match self.resource(id) {
            Some(resource) if resource.managed => Held::Managed,
            Some(_) => Held::Unmanaged,
            None if self.remembered.iter().any(|(other, _)| other == id) => Held::Remembered,
            None => Held::Nothing,
        }
    }

    /// Resources that are configured, or were run, by another agent than the one given for
    /// each id.
    pub fn of_another_agent<'a>(&self, wanted: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<ResourceId> {
        let configured = self.resources.iter().map(|r| (&r.id, &r.agent));
        let run = self.remembered.iter().map(|(id, agent)| (id, agent));
        let all: Vec<_> = configured
            .chain(run)
            .filter(|(_, agent)| !agent.is_empty())
            .collect();
        wanted
            .filter(|(id, agent)| all.iter().any(|(other, has)| *other == id && *has != agent))
            .map(|(id, _)| id.into())
            .collect()
    }

    /// Nodes that have a permanent attribute of this name, each with its value.
    pub fn node_attributes(&self, name: &str) -> Vec<(&str, &str)> {
        let all = self.attributes.iter();
        all.filter_map(|(node, pairs)| Some((node.as_str(), pairs.get(name)?.as_str())))
            .collect()
    }

    /// Seconds since the epoch, by the clocks of the members, at which the last thing
    /// happened on one of `nodes`: a member joined, or an action had a new result.
    ///
    /// # Errors
    /// Why that cannot be said: not all of `nodes` are whole members, something is
    /// under way, or the CIB does not tell. It is never taken for long ago then.
    pub fn quiet_since<N: AsRef<str>>(&self, nodes: &[N]) -> Result<i64, String> {
        let mut last = None;
        for name in nodes.iter().map(AsRef::as_ref) {
            let told = self.quiet.get(name);
            let told = told.ok_or_else(|| format!("the cluster knows nothing of {name}"))?;
            last = last.max(Some(told.clone()?));
        }
        last.ok_or_else(|| "there are no members".to_owned())
    }
}

/// A section's canonical text. Of property sets of others (ids that do not begin with
/// `quorate`) there is only what contradicts ours: the cluster keeps its own facts there.
fn canonical(name: &str, section: Option<Node<'_, '_>>) -> String {
    let whole = section.map_or_else(|| Element::new(name, &[]), Element::read);
    let mut out = String::new();
    let Some(config) = section.filter(|_| name == "crm_config") else {
        whole.canonical(0, &mut out);
        return out;
    };
    out.push_str("crm_config\n");
    for set in whole.children.iter().filter(|set| options::is_ours(set.id())) {
        set.canonical(1, &mut out);
    }
    out.push_str(&options::foreign(config));
    out
}

fn resource(node: Node<'_, '_>) -> Configured {
    let attribute = |n: Node<'_, '_>, name: &str| n.attribute(name).unwrap_or_default().to_owned();
    let id = attribute(node, "id");
    let clone = node.parent_element().filter(|p| p.has_tag_name("clone"));
    let agent = agent_of(node);
    let unmanaged = node
        .ancestors()
        .take_while(|n| !n.has_tag_name("resources"))
        .flat_map(|n| n.children())
        .filter(|n| n.has_tag_name("meta_attributes"))
        .flat_map(|n| n.children())
        .any(|n| n.attribute("name") == Some("is-managed") && n.attribute("value") == Some("false"));
    let sets = node.children().filter(|n| n.has_tag_name("instance_attributes"));
    Configured {
        whole: clone.map_or_else(|| id.clone(), |c| attribute(c, "id")).into(),
        unit: unit_of(node, &agent),
        params: sets.flat_map(pairs).collect(),
        managed: !unmanaged,
        agent,
        id: id.into(),
    }
}

/// Names and values of a set.
fn pairs<'a>(set: Node<'a, 'a>) -> impl Iterator<Item = (String, String)> + 'a {
    set.children()
        .filter(|n| n.has_tag_name("nvpair"))
        .filter_map(|n| Some((n.attribute("name")?.to_owned(), n.attribute("value")?.to_owned())))
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

fn attributes(nodes: Node<'_, '_>) -> Vec<(String, BTreeMap<String, String>)> {
    let all = nodes.children().filter(|n| n.has_tag_name("node"));
    all.filter_map(|node| {
        let sets = node.descendants().filter(|n| n.has_tag_name("nvpair"));
        let mut found = BTreeMap::new();
        for (name, value) in sets.filter_map(|n| n.attribute("name").zip(n.attribute("value"))) {
            found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        Some((node.attribute("uname")?.to_owned(), found))
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

    fn live(text: &str) -> LiveCib {
        LiveCib::parse(text.to_owned()).unwrap()
    }

    /// Something else than a CIB is not an empty one.
    #[test]
    fn what_is_no_cib_is_refused() {
        for text in [
            "",
            "no XML",
            "<cib><configuration>",
            "<cib/>",
            "<crm_mon><configuration/></crm_mon>",
            "<cib><status><configuration/></status></cib>",
        ] {
            assert!(LiveCib::parse(text.to_owned()).is_err(), "{text}");
        }
        assert!(LiveCib::parse("<cib><configuration/></cib>".to_owned()).is_ok());
    }

    #[test]
    fn attributes_are_those_of_nodes_alone() {
        let pair = "<nvpair id=\"x\" name=\"a\" value=\"1\"/>";
        let set = format!("<instance_attributes id=\"s\">{pair}</instance_attributes>");
        let cib = live(&format!(
            "<cib><configuration><crm_config>{set}</crm_config><nodes><node id=\"1\" uname=\"c1\">{set}</node>\
             <node id=\"2\" uname=\"c2\"/></nodes></configuration><status><node_state uname=\"c3\">{set}\
             </node_state></status></cib>"
        ));
        assert_eq!(cib.node_attributes("a"), [("c1", "1")]);
        assert_eq!(cib.node_attributes("b"), []);
    }

    #[test]
    fn a_resource_tells_its_unit_and_its_parameters() {
        let cib = live(CIB);
        let units: Vec<Option<&str>> = cib.resources().iter().map(|r| r.unit.as_deref()).collect();
        let wanted = [
            Some("quorate-api.service"),
            Some("flush.timer"),
            Some("web.service"),
            None,
        ];
        assert_eq!(units, wanted);
        let params = &cib.resource("web").unwrap().params;
        assert_eq!(params.get("unit").map(String::as_str), Some("web.service"));
        assert_eq!(cib.resource("api").unwrap().whole, "api-clone");
    }

    /// The history of one member alone is enough: the cluster would restart what it ran so.
    #[test]
    fn another_agent_is_seen_in_the_configuration_and_in_the_history() {
        let check = |wanted: [(&str, &str); 2], expect: &[&str]| {
            let found = live(CIB).of_another_agent(wanted.into_iter());
            assert_eq!(found, expect, "{wanted:?}");
        };
        check([("api", UNIT_AGENT), ("vip", "ocf:heartbeat:IPaddr2")], &["api"]);
        check([("web", UNIT_AGENT), ("flush", "systemd:flush.timer")], &["web"]);
        check([("new", UNIT_AGENT), ("vip", "ocf:heartbeat:IPaddr2")], &[]);
    }

    fn check_held(configuration: &str, status: &str, expect: Held) {
        let text = format!(
            "<cib><configuration><resources>{configuration}</resources></configuration><status>{status}</status></cib>"
        );
        assert_eq!(live(&text).held("api"), expect, "{text}");
    }

    fn meta(value: &str) -> String {
        format!(
            "<meta_attributes id=\"m\"><nvpair id=\"n\" name=\"is-managed\" value=\"{value}\"/></meta_attributes>"
        )
    }

    #[test]
    fn configured_remembered_or_nothing() {
        let history = "<lrm_resource id=\"api\" class=\"systemd\"/>";
        let of_another = "<lrm_resource id=\"api-2\"/>";
        check_held("", "", Held::Nothing);
        check_held("<primitive id=\"other\"/>", of_another, Held::Nothing);
        check_held("", history, Held::Remembered);
        let plain = "<primitive id=\"api\"/>";
        check_held(plain, history, Held::Managed);
        let cloned = |inner: String| format!("<clone id=\"api-clone\">{inner}</clone>");
        check_held(&cloned(meta("true") + plain), "", Held::Managed);
        check_held(&cloned(meta("false") + plain), history, Held::Unmanaged);
        let inside = format!("<primitive id=\"api\">{}</primitive>", meta("false"));
        check_held(&cloned(inside), "", Held::Unmanaged);
        // Another's attribute is another's.
        let other = format!(
            "<clone id=\"o\">{}<primitive id=\"o\"/></clone>{plain}",
            meta("false")
        );
        check_held(&other, "", Held::Managed);
    }
}
