//! How long each layer of a cloud waits for another, for people: the numbers that
//! templates read as `budget.NAME`, with what they come from, who reads them and
//! which laws they keep. They are worked out in `context`; nothing is judged here.

use std::fmt::Write as _;

use model::Model;

use crate::Desired;
use crate::context::Templates;

/// A number of the budget in a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub name: String,
    /// What it is here.
    pub value: String,
    /// What it counts.
    pub unit: String,
    /// How it is worked out; empty where it is a number of its own.
    pub from: String,
    /// What it is for.
    pub why: String,
    /// Files of the catalogue that read it.
    pub readers: Vec<String>,
}

/// A law of the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The condition.
    pub holds: String,
    /// What it is good for.
    pub why: String,
}

/// Whether a text reads a number of the budget.
fn reads(text: &str, name: &str) -> bool {
    let word = format!("budget.{name}");
    text.match_indices(&word).any(|(at, _)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The budget of a model, as its templates see it.
pub(crate) fn of(model: &Model, templates: &Templates) -> (Vec<Counted>, Vec<Held>) {
    let budget = &model.catalog.budget;
    let numbers = budget.numbers.iter().filter_map(|number| {
        let value = templates.numbers.get(&number.name)?;
        let files = model.catalog.files.iter();
        let own = number.is.value == *value;
        Some(Counted {
            name: number.name.clone(),
            value: value.clone(),
            unit: number.unit.clone(),
            from: if own {
                String::new()
            } else {
                number.is.value.clone()
            },
            why: number.why.clone(),
            readers: files
                .filter(|(_, text)| reads(text, &number.name))
                .map(|(path, _)| path.clone())
                .collect(),
        })
    });
    let laws = budget.laws.iter().map(|law| Held {
        holds: law.holds.value.clone(),
        why: law.why.clone(),
    });
    (numbers.collect(), laws.collect())
}

/// The budget as a page of Markdown, below its heading.
pub fn budget_page(desired: &Desired) -> String {
    // In a table a bar is the end of a cell.
    let cell = |text: &str| text.replace('|', "\\|");
    let (numbers, laws) = &desired.budget;
    let mut out =
        String::from("| number | is | comes from | what it is for | read by |\n|---|---|---|---|---|\n");
    for n in numbers {
        let from = if n.from.is_empty() {
            String::new()
        } else {
            format!("`{}`", cell(&n.from))
        };
        let readers: Vec<String> = n.readers.iter().map(|r| format!("`{r}`")).collect();
        // A String never refuses to be written to.
        let _ = writeln!(
            out,
            "| `{}` | {} {} | {from} | {} | {} |",
            n.name,
            n.value,
            n.unit,
            cell(&n.why),
            readers.join(", ")
        );
    }
    out.push_str("\n| holds | so that |\n|---|---|\n");
    for law in laws {
        let _ = writeln!(out, "| `{}` | {} |", cell(&law.holds), cell(&law.why));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_by_its_whole_name() {
        let check = |text: &str, expect: bool| assert_eq!(reads(text, "token"), expect, "{text}");
        check("x {{ budget.token }}", true);
        check("{{ budget.token_more }} {{ budget.token // 2 }}", true);
        check("{{ budget.token_more }} {{ token }}", false);
    }
}
