//! An element of the CIB as a value: written as XML, and as a canonical text by which two
//! are compared. The cluster stores another order of attributes, and other white space,
//! than it was sent.

use std::fmt::Write as _;

use quick_xml::Writer;
use roxmltree::Node;

/// An element without text of its own: the CIB has no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn new(name: &str, attributes: &[(&str, &str)]) -> Self {
        let owned = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Self {
            name: name.to_owned(),
            attributes: owned.collect(),
            children: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    pub(crate) fn read(node: Node<'_, '_>) -> Self {
        Self {
            name: node.tag_name().name().to_owned(),
            attributes: (node.attributes())
                .map(|a| (a.name().to_owned(), a.value().to_owned()))
                .collect(),
            children: node.children().filter(Node::is_element).map(Self::read).collect(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        let found = self.attributes.iter().find(|(name, _)| name == "id");
        found.map_or("", |(_, id)| id)
    }

    fn put(&self, w: &mut Writer<Vec<u8>>, empty: bool) {
        let pairs = self.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let start = w.create_element(self.name.as_str()).with_attributes(pairs);
        // A Vec never refuses to be written to, so the result carries no news.
        let _ = if empty && self.children.is_empty() {
            start.write_empty()
        } else {
            start.write_inner_content(|w| {
                self.children.iter().for_each(|child| child.put(w, true));
                Ok(())
            })
        };
    }

    /// Its XML.
    pub(crate) fn xml(&self) -> String {
        let mut w = Writer::new(Vec::new());
        // The whole always has an end tag: those who put something in look for it.
        self.put(&mut w, false);
        String::from_utf8_lossy(&w.into_inner()).into_owned()
    }

    /// Appends its canonical text: one element a line, attributes and siblings sorted.
    pub(crate) fn canonical(&self, depth: usize, out: &mut String) {
        let mut attributes: Vec<&(String, String)> = self.attributes.iter().collect();
        attributes.sort_unstable();
        let _ = write!(out, "{:indent$}{}", "", self.name, indent = depth * 2);
        for (name, value) in attributes {
            // One element a line: whoever hides a line has all of it.
            let _ = write!(out, " {name}={}", value.replace('\n', "\\n"));
        }
        out.push('\n');
        // Order of siblings carries meaning only inside a property set of rules,
        // which we do not use; by id it is stable whatever the cluster did.
        let mut children: Vec<&Self> = self.children.iter().collect();
        children.sort_by(|a, b| (&a.name, a.id()).cmp(&(&b.name, b.id())));
        for child in children {
            child.canonical(depth + 1, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roxmltree::Document;

    fn canonical(xml: &str) -> String {
        let mut out = String::new();
        let document = Document::parse(xml).unwrap();
        Element::read(document.root_element()).canonical(0, &mut out);
        out
    }

    /// A configuration as the cluster stores it after it was sent.
    #[test]
    fn order_and_space_carry_no_meaning() {
        let sent = r#"<constraints><rsc_location id="b" rsc="x" node="c1" score="100"/><rsc_location id="a" rsc="y" node="c2" score="-INFINITY"/></constraints>"#;
        let kept = "<constraints>\n  <rsc_location score=\"-INFINITY\" node=\"c2\" rsc=\"y\" id=\"a\"/>\n  <rsc_location node=\"c1\" rsc=\"x\" id=\"b\" score=\"100\"/>\n</constraints>";
        assert_eq!(canonical(sent), canonical(kept));
        assert_ne!(canonical(sent), canonical(&kept.replace("\"100\"", "\"101\"")));
    }

    #[test]
    fn what_is_written_reads_back() {
        let element = Element::new("a", &[("id", "1"), ("value", "<&>\"'\n\t ä")])
            .with([Element::new("b", &[]), Element::new("c", &[("id", "2")])]);
        let xml = element.xml();
        let document = Document::parse(&xml).unwrap();
        assert_eq!(Element::read(document.root_element()), element, "{xml}");
    }
}
