//! Losses as a page of Markdown: a table for each kind of fault, in which what costs the
//! same for the same reasons is one row. Of the reasons there are the two that count.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Fault, Loss, Of, Until};

/// Reasons shown: what is longest at worst, and what is usually.
const SHOWN: usize = 2;

/// A row: what is lost on which hosts, and what that costs whom.
struct Row<'a> {
    component: &'a str,
    hosts: Vec<&'a str>,
    targets: Vec<String>,
    loss: &'a Loss,
}

fn seconds(until: Until) -> String {
    match until {
        Until::Ms(ms) => {
            let tenths = ms.div_ceil(100);
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        Until::Repaired => "until it is repaired".to_owned(),
    }
}

fn target(loss: &Loss) -> String {
    match &loss.of {
        Of::Endpoint(resource) => format!("`{resource}`"),
        Of::Journey(kind) => format!("{} {}", loss.service, kind.as_str()),
    }
}

fn shown(loss: &Loss) -> Vec<&str> {
    loss.why.iter().take(SHOWN).map(String::as_str).collect()
}

/// Usual, worst and reasons of a loss: the same in all losses of one row.
type Cost<'a> = (Until, Until, Vec<&'a str>);

fn cost(loss: &Loss) -> Cost<'_> {
    (loss.usual, loss.worst, shown(loss))
}

fn rows<'a>(all: &[&'a Loss]) -> Vec<Row<'a>> {
    // What costs the same on one host for the same reasons.
    let mut places: BTreeMap<(&str, &str, Cost<'_>), usize> = BTreeMap::new();
    let mut by_host: Vec<Row<'a>> = Vec::new();
    for loss in all {
        let place = *places
            .entry((loss.component.as_str(), loss.host.as_str(), cost(loss)))
            .or_insert(by_host.len());
        if place == by_host.len() {
            by_host.push(Row {
                component: &loss.component,
                hosts: vec![&loss.host],
                targets: Vec::new(),
                loss,
            });
        }
        by_host[place].targets.push(target(loss));
    }
    // And on several hosts.
    let mut places: BTreeMap<(&str, Vec<String>, Cost<'_>), usize> = BTreeMap::new();
    let mut out: Vec<Row<'a>> = Vec::new();
    for row in by_host {
        let key = (row.component, row.targets.clone(), cost(row.loss));
        if let Some(place) = places.get(&key) {
            out[*place].hosts.extend(row.hosts);
        } else {
            places.insert(key, out.len());
            out.push(row);
        }
    }
    out
}

/// The losses as tables, below their headings.
pub fn losses_page(losses: &[Loss]) -> String {
    let mut out = String::new();
    for (fault, title, column) in [
        (Fault::Power, "The power of a host is cut", ""),
        (
            Fault::Killed,
            "The processes of a component on one host are killed",
            "component | ",
        ),
        (
            Fault::Frozen,
            "The processes of a component on one host stand still",
            "component | ",
        ),
    ] {
        let all: Vec<&Loss> = losses.iter().filter(|l| l.fault == fault).collect();
        if all.is_empty() {
            continue;
        }
        let rule = "---|".repeat(if column.is_empty() { 5 } else { 6 });
        // A String never refuses to be written to.
        let _ = write!(
            out,
            "\n## {title}\n\n| {column}on | who waits | usual | worst | why |\n|{rule}\n"
        );
        for row in rows(&all) {
            let component = if column.is_empty() {
                String::new()
            } else {
                format!("`{}` | ", row.component)
            };
            let _ = writeln!(
                out,
                "| {component}{} | {} | {} | {} | {} |",
                row.hosts.join(", "),
                row.targets.join(", "),
                seconds(row.loss.usual),
                seconds(row.loss.worst),
                shown(row.loss).join("<br>")
            );
        }
    }
    out
}
