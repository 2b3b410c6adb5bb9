//! Changes of Pacemaker's CIB: sections are put in place of the present ones
//! in one atomic call, and read back. Not for what is in a section.
//!
//! The whole CIB is replaced and not section by section: resources without their
//! constraints, or constraints without their resources, would be acted upon by the
//! cluster in between, and a section that is not there yet cannot be replaced by its
//! name. And not `--scope configuration`: only for a whole CIB does Pacemaker compare the
//! epochs, and refuse what was read before somebody else changed it (seen of 3.0.0; one
//! that is replaced as it is makes a transition without an action).

use std::ops::Range;
use std::time::Duration;

use ::pacemaker::without_contradictions;
use roxmltree::{Document, Node};
use wire::{CibSection, Fact, OpError};

use crate::{pacemaker, process, session::Progress};

const LIMIT: Duration = Duration::from_mins(1);

const END: &str = "</configuration>";

/// The property sets that are ours by their ids; others are kept.
const OURS: &str = "quorate";

/// `CRM_EX_OLD`: the configuration that is there is newer than the one that was sent.
const OLD: i32 = 103;

/// How often a change that was overtaken by another is made anew.
const TRIES: usize = 20;

/// Replaces sections; how many are different now.
pub(crate) async fn replace(sections: &[CibSection], progress: &Progress) -> Result<u32, OpError> {
    exchange(&Here, sections, progress).await
}

/// The cluster's side of a change.
trait Side {
    /// The whole CIB.
    async fn query(&self) -> Result<String, OpError>;
    /// Puts a whole CIB in place of the present one, unless that is newer.
    async fn put(&self, cib: &str) -> Result<Put, OpError>;
}

/// The cluster that this host is a member of.
struct Here;

/// Reads, replaces, and begins again where another was quicker: what it changed is then
/// part of what is read.
async fn exchange<S: Side>(side: &S, sections: &[CibSection], progress: &Progress) -> Result<u32, OpError> {
    for _ in 0..TRIES {
        let present = side.query().await?;
        let Some(change) = substitute(&present, sections)
            .map_err(|why| OpError::new(format!("cannot change the CIB: {why}")))?
        else {
            return Ok(0);
        };
        progress.say(format!("replacing {} of the CIB", change.sections.join(", ")));
        match side.put(&change.whole(&present)).await? {
            Put::Done => {}
            Put::Old => continue,
            Put::Refused(error) => {
                return Err(OpError {
                    message: format!(
                        "cannot change {} of the CIB: cibadmin refused it",
                        change.sections.join(", ")
                    ),
                    ..error
                });
            }
        }
        return match substitute(&side.query().await?, sections) {
            Ok(None) => Ok(u32::try_from(change.sections.len()).unwrap_or(u32::MAX)),
            Ok(Some(still)) => Err(OpError::new(format!(
                "{} of the CIB read back otherwise than written",
                still.sections.join(", ")
            ))),
            Err(why) => Err(OpError::new(format!("cannot read the CIB back: {why}"))),
        };
    }
    Err(OpError::new(format!(
        "cannot change the CIB: somebody else changed it {TRIES} times meanwhile; is a tool at work on the \
         cluster? run this again when it is done"
    )))
}

/// The end of one attempt.
enum Put {
    Done,
    /// The CIB changed since it was read.
    Old,
    Refused(OpError),
}

impl Side for Here {
    async fn query(&self) -> Result<String, OpError> {
        match pacemaker::cib(true).await {
            Fact::Known(cib) => Ok(cib.text().unwrap_or_default().to_owned()),
            Fact::Absent => Err(OpError::new("cannot read the CIB: the cluster does not run here")),
            Fact::Unknown(why) => Err(OpError::new(format!("cannot read the CIB: {why}"))),
        }
    }

    /// Epoch and number of updates are compared by the cluster itself.
    async fn put(&self, cib: &str) -> Result<Put, OpError> {
        // By standard input: parameters of fencing devices are passwords.
        let argv = ["cibadmin", "--replace", "--sync-call", "--xml-pipe"];
        let shown = argv.join(" ");
        let ran = process::run(&argv, Some(cib), LIMIT)
            .await
            .map_err(|failure| OpError {
                command: Some(shown.clone()),
                ..OpError::new(failure.to_string())
            })?;
        Ok(match ran.status {
            0 => Put::Done,
            OLD => Put::Old,
            status => Put::Refused(OpError {
                status: Some(status),
                tail: process::tail(&ran.stderr),
                command: Some(shown),
                ..OpError::new("")
            }),
        })
    }
}

#[derive(Debug)]
struct Change {
    /// The new `configuration`.
    xml: String,
    /// What is different in it.
    sections: Vec<String>,
    /// Its place in the CIB.
    at: Range<usize>,
}

impl Change {
    /// The CIB that it was made of, with the new `configuration`.
    fn whole(&self, cib: &str) -> String {
        let part = |range: Option<&str>| range.unwrap_or_default().to_owned();
        part(cib.get(..self.at.start)) + self.xml.trim_end() + &part(cib.get(self.at.end..))
    }
}

/// The CIB's `configuration` with the sections in their places; nothing when
/// all are as they should be.
fn substitute(cib: &str, sections: &[CibSection]) -> Result<Option<Change>, String> {
    let document = Document::parse(cib).map_err(|error| format!("it is not XML: {error}"))?;
    let configuration = document
        .root_element()
        .children()
        .find(|node| node.has_tag_name("configuration"))
        .ok_or("it has no configuration")?;
    let mut parts: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    let mut changed = Vec::new();
    for section in sections {
        let name = section.name.as_str();
        let wanted =
            Document::parse(&section.xml).map_err(|error| format!("section {name} is not XML: {error}"))?;
        let wanted = wanted.root_element();
        if !wanted.has_tag_name(name) {
            return Err(format!(
                "section {name} has `{}` for its element",
                wanted.tag_name().name()
            ));
        }
        let present = configuration.children().find(|node| node.has_tag_name(name));
        let text = if name == "crm_config" {
            with_foreign(wanted, present)
        } else {
            source(wanted).to_owned()
        };
        let merged =
            Document::parse(&text).map_err(|error| format!("section {name} cannot be merged: {error}"))?;
        match present {
            Some(present) if same(present, merged.root_element()) => continue,
            Some(present) => parts.push((present.range(), text.clone())),
            None if !merged.root_element().has_children() => continue,
            None => added.push_str(&text),
        }
        changed.push(section.name.clone());
    }
    if changed.is_empty() {
        return Ok(None);
    }
    parts.sort_by_key(|(range, _)| range.start);
    let mut inner = String::new();
    // A configuration has always some section, so it has a first child.
    let whole = configuration.range();
    let mut at = whole.start;
    for (range, text) in parts {
        inner.push_str(cib.get(at..range.start).unwrap_or_default());
        inner.push_str(&text);
        at = range.end;
    }
    inner.push_str(cib.get(at..whole.end).unwrap_or_default());
    let body = inner
        .trim_end()
        .strip_suffix(END)
        .ok_or("its configuration is empty")?;
    Ok(Some(Change {
        xml: format!("{body}{added}{END}\n"),
        sections: changed,
        at: whole,
    }))
}

/// Our cluster properties and the sets that others made (what the cluster
/// writes of itself, and an administrator's).
fn with_foreign(wanted: Node<'_, '_>, present: Option<Node<'_, '_>>) -> String {
    let ours = wanted.children().filter(Node::is_element).map(source);
    let foreign = present
        .into_iter()
        .flat_map(|node| node.children())
        .filter(Node::is_element)
        .filter(|node| {
            !node.attribute("id").is_some_and(|id| id.starts_with(OURS))
                && !wanted.children().any(|mine| {
                    mine.attribute("id").is_some() && mine.attribute("id") == node.attribute("id")
                })
        });
    // A foreign value of a name of ours may outrank it: what contradicts ours goes.
    let wanted_text = source(wanted);
    let foreign = foreign.map(|set| {
        let kept = without_contradictions(wanted_text, source(set));
        kept.unwrap_or_else(|| source(set).to_owned())
    });
    let all: String = ours.map(str::to_owned).chain(foreign).collect();
    format!("<crm_config>{all}</crm_config>")
}

fn source<'a>(node: Node<'a, '_>) -> &'a str {
    node.document().input_text().get(node.range()).unwrap_or_default()
}

/// Whether two elements mean the same: spaces and the order of attributes do
/// not count, the order of elements does.
fn same(one: Node<'_, '_>, other: Node<'_, '_>) -> bool {
    let attributes = |node: Node<'_, '_>| {
        let mut all: Vec<(String, String)> = node
            .attributes()
            .map(|a| (a.name().to_owned(), a.value().to_owned()))
            .collect();
        all.sort();
        all
    };
    let text = |node: Node<'_, '_>| node.text().unwrap_or_default().trim().to_owned();
    let mut ones = one.children().filter(Node::is_element);
    let mut others = other.children().filter(Node::is_element);
    if one.tag_name() != other.tag_name() || attributes(one) != attributes(other) || text(one) != text(other)
    {
        return false;
    }
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if same(a, b) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const CIB: &str = r#"<cib epoch="7" validate-with="pacemaker-4.0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="o1" name="have-watchdog" value="false"/>
      </cluster_property_set>
      <cluster_property_set id="quorate-properties"><nvpair id="q1" name="a" value="1"/></cluster_property_set>
    </crm_config>
    <nodes><node id="1" uname="c1"/></nodes>
    <resources/>
    <constraints/>
  </configuration>
  <status/>
</cib>"#;

    fn section(name: &str, xml: &str) -> CibSection {
        CibSection {
            name: name.to_owned(),
            xml: xml.to_owned(),
        }
    }

    fn change(sections: &[CibSection]) -> Change {
        substitute(CIB, sections).unwrap().unwrap()
    }

    #[test]
    fn sections_take_the_place_of_others_and_the_rest_stays() {
        let resources = section(
            "resources",
            "<?xml version=\"1.0\"?>\n<resources><primitive id=\"p\"/></resources>\n",
        );
        let topology = section(
            "fencing-topology",
            "<fencing-topology><fencing-level id=\"l\"/></fencing-topology>",
        );
        let empty = section("rsc_defaults", "<rsc_defaults/>");
        let constraints = section("constraints", "<constraints/>");
        let change = change(&[topology, constraints, resources, empty]);
        assert_eq!(change.sections, ["fencing-topology", "resources"]);
        let xml = change.xml;
        assert!(
            xml.starts_with("<configuration>") && xml.ends_with("</fencing-topology></configuration>\n"),
            "{xml}"
        );
        assert!(
            xml.contains("<resources><primitive id=\"p\"/></resources>\n    <constraints/>"),
            "{xml}"
        );
        assert!(
            xml.contains("uname=\"c1\"") && xml.contains("have-watchdog"),
            "{xml}"
        );
    }

    /// A cluster in which somebody else changes something right after each of the first reads.
    struct Busy {
        live: RefCell<String>,
        left: Cell<usize>,
    }

    fn epoch(cib: &str) -> u32 {
        let at = cib.find("epoch=\"").unwrap() + 7;
        cib[at..].split('"').next().unwrap().parse().unwrap()
    }

    fn later(cib: &str) -> String {
        let now = epoch(cib);
        cib.replace(&format!("epoch=\"{now}\""), &format!("epoch=\"{}\"", now + 1))
    }

    impl Side for Busy {
        async fn query(&self) -> Result<String, OpError> {
            let read = self.live.borrow().clone();
            if let Some(left) = self.left.get().checked_sub(1) {
                self.left.set(left);
                let theirs = read
                    .replace("<constraints/>", "<constraints></constraints>")
                    .replace(
                        "</constraints>",
                        &format!("<rsc_location id=\"theirs-{left}\"/></constraints>"),
                    );
                self.live.replace(later(&theirs));
            }
            Ok(read)
        }

        async fn put(&self, cib: &str) -> Result<Put, OpError> {
            if epoch(cib) < epoch(&self.live.borrow()) {
                return Ok(Put::Old);
            }
            self.live.replace(later(cib));
            Ok(Put::Done)
        }
    }

    #[tokio::test]
    async fn nothing_that_came_in_between_is_lost() {
        for others in [0, 1, 3, TRIES] {
            let busy = Busy {
                live: RefCell::new(CIB.to_owned()),
                left: Cell::new(others),
            };
            let resources = section("resources", "<resources><primitive id=\"p\"/></resources>");
            let got = exchange(&busy, &[resources], &Progress::silent()).await;
            let live = busy.live.into_inner();
            for n in 0..others {
                assert!(live.contains(&format!("theirs-{n}\"")), "{others}: {n} in {live}");
            }
            if others < TRIES {
                assert_eq!(got, Ok(1), "{others}");
                assert!(live.contains("<primitive id=\"p\"/>"), "{live}");
                assert!(
                    live.contains("<status/>") && Document::parse(&live).is_ok(),
                    "{live}"
                );
            } else {
                assert!(got.unwrap_err().message.contains("somebody else"), "{others}");
            }
        }
    }

    #[test]
    fn foreign_properties_are_kept_and_our_old_ones_go() {
        let ours = "<crm_config><cluster_property_set id=\"quorate\"><nvpair name=\"b\" id=\"x\" value=\"2\"/></cluster_property_set></crm_config>";
        let xml = change(&[section("crm_config", ours)]).xml;
        assert!(
            xml.contains("cib-bootstrap-options") && xml.contains("\"b\"") && !xml.contains("\"q1\""),
            "{xml}"
        );
    }

    #[test]
    fn a_foreign_value_that_contradicts_ours_goes() {
        let ours = "<crm_config><cluster_property_set id=\"quorate-properties\"><nvpair id=\"q\" \
                    name=\"have-watchdog\" value=\"true\"/></cluster_property_set></crm_config>";
        let xml = change(&[section("crm_config", ours)]).xml;
        assert!(!xml.contains("value=\"false\""), "{xml}");
        // Written once, there is nothing left to do.
        let cib = format!("<cib>{xml}</cib>");
        assert!(
            substitute(&cib, &[section("crm_config", ours)])
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let ours = "<crm_config>\n <cluster_property_set id=\"quorate-properties\">\n<nvpair value=\"1\" name=\"a\" id=\"q1\"/></cluster_property_set></crm_config>";
        // Ours come first in what we write; a present order is no reason to write.
        let present = change(&[section("crm_config", ours)]).xml;
        let cib = format!("<cib>{present}</cib>");
        assert!(
            substitute(
                &cib,
                &[
                    section("crm_config", ours),
                    section("resources", "<resources></resources>")
                ]
            )
            .unwrap()
            .is_none()
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(substitute(CIB, &[section("resources", "<constraints/>")]).is_err());
        assert!(substitute(CIB, &[section("resources", "<resources>")]).is_err());
        assert!(substitute("<cib/>", &[]).is_err());
    }
}
