//! A whole CIB (`cibadmin --query`), read once for all questions to it.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use crate::held::Held;
use crate::xml::{Configured, agent_of, canonical, canonical_of, unit_of};

/// A CIB that was read.
#[derive(Debug)]
pub struct CibRead<'a>(Document<'a>);

impl<'a> CibRead<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// When the text is not XML.
    pub fn new(cib: &'a str) -> Result<Self, String> {
        let read = Document::parse(cib).map(Self);
        read.map_err(|e| format!("the CIB cannot be read: {e}"))
    }

    pub(crate) fn elements(&self, tag: &str) -> impl Iterator<Item = Node<'_, 'a>> {
        self.0.descendants().filter(move |n| n.has_tag_name(tag))
    }

    fn named(&self, tag: &str, id: &str) -> Option<Node<'_, 'a>> {
        self.elements(tag).find(|n| n.attribute("id") == Some(id))
    }

    /// What the cluster has of the primitive `id`, alone or in a clone.
    pub fn held(&self, id: &str) -> Held {
        if let Some(primitive) = self.named("primitive", id) {
            let unmanaged = primitive
                .ancestors()
                .take_while(|n| !n.has_tag_name("resources"))
                .flat_map(|n| n.children())
                .filter(|n| n.has_tag_name("meta_attributes"))
                .flat_map(|n| n.children())
                .any(|n| n.attribute("name") == Some("is-managed") && n.attribute("value") == Some("false"));
            return if unmanaged { Held::Unmanaged } else { Held::Managed };
        }
        match self.named("lrm_resource", id) {
            Some(_) => Held::Remembered,
            None => Held::Nothing,
        }
    }

    /// The canonical text of one section; one that is not there is the same as an empty one.
    pub fn section(&self, section: &str) -> Option<String> {
        let mut all = self.elements(section);
        match all.find(|n| n.parent_element().is_some()) {
            Some(node) => Some(canonical_of(node)),
            None => canonical(&format!("<{section}/>")),
        }
    }

    /// The parameters of a resource, by name; `None` where there is no such resource.
    pub fn params(&self, id: &str) -> Option<BTreeMap<String, String>> {
        let primitive = self.named("primitive", id)?;
        let pairs = primitive
            .children()
            .filter(|n| n.has_tag_name("instance_attributes"))
            .flat_map(|set| set.children().filter(|n| n.has_tag_name("nvpair")));
        let pairs =
            pairs.filter_map(|n| Some((n.attribute("name")?.to_owned(), n.attribute("value")?.to_owned())));
        Some(pairs.collect())
    }

    /// The resources of its configuration, in its order.
    pub fn configured(&self) -> Vec<Configured> {
        let attribute = |n: Node<'_, '_>, name: &str| n.attribute(name).unwrap_or_default().to_owned();
        self.elements("primitive")
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

    /// Resources that the cluster has in its configuration, or has run, by another agent
    /// than the one given for each id.
    pub fn of_another_agent<'w>(&self, wanted: impl Iterator<Item = (&'w str, &'w str)>) -> Vec<String> {
        let named = self.elements("primitive").chain(self.elements("lrm_resource"));
        let now: Vec<(&str, String)> = named
            .filter_map(|n| Some((n.attribute("id")?, agent_of(n))))
            .filter(|(_, agent)| !agent.is_empty())
            .collect();
        wanted
            .filter(|(id, agent)| now.iter().any(|(other, has)| other == id && has != agent))
            .map(|(id, _)| id.to_owned())
            .collect()
    }
}
