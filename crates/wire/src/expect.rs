//! Whether an answer is as it should be, and if not, what is missing: a pure
//! function, shared by waits, guards and the planner. Not for asking.

use std::collections::{BTreeMap, HashSet};

use crate::{Answer, Expect, Fact, cluster};
use serde_json::Value;

/// Whether the fact is what is expected.
///
/// Rows are compared without regard to their order.
///
/// # Errors
/// What is missing, in words for people.
pub fn holds(fact: &Fact<Answer>, expect: &Expect) -> Result<(), String> {
    let answer = match fact {
        Fact::Known(answer) => answer,
        Fact::Absent => return Err("it is not there".to_owned()),
        Fact::Unknown(why) => return Err(why.clone()),
    };
    match (expect, answer) {
        (Expect::Rows(wanted), Answer::Rows(rows)) => same_rows(wanted, rows),
        (Expect::SomeRow, Answer::Rows(rows)) => check(!rows.is_empty(), || "there is no row".to_owned()),
        (Expect::NoRow, Answer::Rows(rows)) => {
            check(rows.is_empty(), || format!("there are rows: {}", shown(rows)))
        }
        (Expect::Names(wanted), Answer::Rows(rows)) => named(wanted, rows),
        (Expect::Vars(wanted), Answer::Rows(rows)) => variables(wanted, rows),
        (Expect::Status(wanted), Answer::Http { status, .. }) => check(wanted == status, || {
            format!("the status is {status}, not {wanted}")
        }),
        (Expect::JsonCount { field, value, count }, Answer::Http { body, .. }) => {
            json(body, field, value, *count)
        }
        (Expect::JsonCount { field, value, count }, Answer::Ran { stdout, .. }) => {
            json(stdout, field, value, *count)
        }
        (
            Expect::JsonMajority {
                field,
                value,
                without,
                expected,
            },
            Answer::Http { body, .. },
        ) => majority(body, field, value, without, *expected),
        (
            Expect::Contains(part),
            Answer::Text(text) | Answer::Http { body: text, .. } | Answer::Ran { stdout: text, .. },
        ) => check(text.contains(part), || {
            format!("it does not say `{part}` but {}", short(text))
        }),
        (Expect::LineEnds(end), Answer::Text(text) | Answer::Ran { stdout: text, .. }) => check(
            text.lines().any(|line| line.trim_end().ends_with(end.as_str())),
            || format!("no line ends with `{end}`; it says {}", short(text)),
        ),
        (
            Expect::Exit(wanted),
            Answer::Ran {
                status,
                stdout,
                stderr,
            },
        ) => check(wanted == status, || {
            let said = if stderr.trim().is_empty() { stdout } else { stderr };
            format!("it ended with status {status}, not {wanted}: {}", short(said))
        }),
        (Expect::Open, Answer::Open) => Ok(()),
        (Expect::Cluster(want), Answer::Cluster(seen)) => cluster::satisfied(seen, want),
        (expect, answer) => Err(format!("{} cannot be judged by {}", kind(answer), name(expect))),
    }
}

fn check(holds: bool, missing: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(missing()) }
}

fn same_rows(wanted: &[Vec<String>], rows: &[Vec<Option<String>>]) -> Result<(), String> {
    let mut wanted: Vec<Vec<Option<&str>>> = wanted
        .iter()
        .map(|row| row.iter().map(|cell| Some(cell.as_str())).collect())
        .collect();
    let mut present: Vec<Vec<Option<&str>>> = rows
        .iter()
        .map(|row| row.iter().map(Option::as_deref).collect())
        .collect();
    wanted.sort();
    present.sort();
    check(wanted == present, || format!("the rows are {}", shown(rows)))
}

fn named(wanted: &[String], rows: &[Vec<Option<String>>]) -> Result<(), String> {
    let present: HashSet<&str> = rows.iter().filter_map(|row| row.first()?.as_deref()).collect();
    let missing: Vec<&str> = (wanted.iter().map(String::as_str))
        .filter(|name| !present.contains(name))
        .collect();
    check(missing.is_empty(), || match missing.as_slice() {
        [first, _, _, ..] => format!("{first} and {} others are missing", missing.len() - 1),
        [one] => format!("{one} is missing"),
        few => format!("{} are missing", few.join(" and ")),
    })
}

fn variables(wanted: &BTreeMap<String, String>, rows: &[Vec<Option<String>>]) -> Result<(), String> {
    let wrong: Vec<String> = wanted
        .iter()
        .filter_map(|(name, value)| {
            let row = rows
                .iter()
                .find(|row| row.first().and_then(Option::as_ref) == Some(name));
            match row.map(|row| row.get(1).and_then(Option::as_ref)) {
                Some(Some(present)) if present == value => None,
                Some(present) => Some(format!(
                    "{name} is {}, not {value}",
                    present.map_or("NULL", |text| text)
                )),
                None => Some(format!("{name} is not told")),
            }
        })
        .collect();
    check(wrong.is_empty(), || wrong.join(", "))
}

/// The elements of an array.
fn array(body: &str) -> Result<Vec<Value>, String> {
    match serde_json::from_str(body) {
        Ok(Value::Array(elements)) => Ok(elements),
        _ => Err(format!("it is not a JSON array but {}", short(body))),
    }
}

/// True if a member of an element, by its pointer or its name alone, has this value.
fn has(element: &Value, field: &str, value: &str) -> bool {
    let member = if field.is_empty() || field.starts_with('/') {
        element.pointer(field)
    } else {
        element.get(field)
    };
    member.is_some_and(|member| match member {
        Value::String(text) => text == value,
        // As JSON writes it: `true`, `3`.
        other => value.parse().is_ok_and(|value: Value| value == *other),
    })
}

fn json(body: &str, field: &str, value: &str, count: u32) -> Result<(), String> {
    let elements = array(body)?;
    let found = elements.iter().filter(|e| has(e, field, value)).count();
    check(found >= count as usize, || {
        format!(
            "{found} of {} have {} = {value}, not {count}",
            elements.len(),
            field.trim_start_matches('/')
        )
    })
}

fn majority(body: &str, field: &str, value: &str, without: &str, expected: u32) -> Result<(), String> {
    let elements = array(body)?;
    let others = elements.iter().filter(|e| !has(e, "name", without));
    let found = others.filter(|e| has(e, field, value)).count();
    let all = elements.len();
    check(all <= expected as usize || found * 2 > all, || {
        format!(
            "without {without} {found} of {all} have {} = {value}, which is no majority",
            field.trim_start_matches('/')
        )
    })
}

fn shown(rows: &[Vec<Option<String>>]) -> String {
    if rows.is_empty() {
        return "none".to_owned();
    }
    let row = |row: &Vec<Option<String>>| {
        row.iter()
            .map(|c| c.as_deref().unwrap_or("NULL"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let all: Vec<String> = rows.iter().take(4).map(|r| format!("({})", row(r))).collect();
    short(&format!(
        "{}{}",
        all.join(" "),
        if rows.len() > 4 { " …" } else { "" }
    ))
}

/// One line, not long: it becomes a line of progress.
fn short(text: &str) -> String {
    const LENGTH: usize = 160;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "nothing".to_owned();
    }
    let cut: String = line.chars().take(LENGTH).collect();
    if cut.len() < line.len() {
        format!("{cut}…")
    } else {
        cut
    }
}

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Rows(_) => "rows",
        Answer::Http { .. } => "an HTTP response",
        Answer::Text(_) => "a text",
        Answer::Ran { .. } => "the end of a program",
        Answer::Open => "an open port",
        Answer::Cluster(_) => "the cluster's state",
        Answer::Listing(_) => "a folder's entries",
    }
}

fn name(expect: &Expect) -> &'static str {
    match expect {
        Expect::Rows(_) => "rows",
        Expect::SomeRow => "some row",
        Expect::NoRow => "no row",
        Expect::Names(_) => "names in rows",
        Expect::Vars(_) => "variables",
        Expect::Status(_) => "a status",
        Expect::JsonCount { .. } => "a count in JSON",
        Expect::JsonMajority { .. } => "a majority in JSON",
        Expect::Contains(_) => "a part of a text",
        Expect::LineEnds(_) => "the end of a line",
        Expect::Exit(_) => "an exit status",
        Expect::Open => "an open port",
        Expect::Cluster(_) => "a cluster's state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(answer: &Answer, expect: &Expect) {
        assert_eq!(holds(&Fact::Known(answer.clone()), expect), Ok(()));
    }

    fn no(answer: &Answer, expect: &Expect, missing: &str) {
        assert_eq!(
            holds(&Fact::Known(answer.clone()), expect),
            Err(missing.to_owned())
        );
    }

    fn rows(rows: &[&[Option<&str>]]) -> Answer {
        Answer::Rows(
            rows.iter()
                .map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect())
                .collect(),
        )
    }

    fn wanted(rows: &[&[&str]]) -> Expect {
        Expect::Rows(
            rows.iter()
                .map(|row| row.iter().map(|&cell| cell.to_owned()).collect())
                .collect(),
        )
    }

    fn http(status: u16, body: &str) -> Answer {
        Answer::Http {
            status,
            body: body.to_owned(),
            headers: BTreeMap::new(),
        }
    }

    #[test]
    fn absent_and_unknown_never_hold() {
        for expect in [Expect::NoRow, Expect::Open, Expect::Exit(0), Expect::Rows(vec![])] {
            assert_eq!(holds(&Fact::Absent, &expect), Err("it is not there".to_owned()));
            assert_eq!(
                holds(&Fact::Unknown("no route".to_owned()), &expect),
                Err("no route".to_owned())
            );
        }
    }

    #[test]
    fn rows_some_none() {
        let two = rows(&[&[Some("b"), Some("2")], &[Some("a"), Some("1")]]);
        ok(&two, &wanted(&[&["a", "1"], &["b", "2"]]));
        ok(&two, &Expect::SomeRow);
        no(&two, &Expect::NoRow, "there are rows: (b, 2) (a, 1)");
        no(&two, &wanted(&[&["a", "1"]]), "the rows are (b, 2) (a, 1)");
        let null = rows(&[&[None]]);
        no(&null, &wanted(&[&["NULL"]]), "the rows are (NULL)");
        ok(&rows(&[]), &Expect::NoRow);
        ok(&rows(&[]), &wanted(&[]));
        no(&rows(&[]), &Expect::SomeRow, "there is no row");
        no(&rows(&[]), &wanted(&[&["a"]]), "the rows are none");
    }

    #[test]
    fn variables_name_what_is_wrong() {
        let status = rows(&[
            &[Some("ready"), Some("ON")],
            &[Some("size"), Some("2")],
            &[Some("hole"), None],
        ]);
        let vars = |all: &[(&str, &str)]| {
            Expect::Vars(
                all.iter()
                    .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            )
        };
        ok(&status, &vars(&[("ready", "ON"), ("size", "2")]));
        no(
            &status,
            &vars(&[("ready", "ON"), ("size", "3"), ("gone", "x"), ("hole", "y")]),
            "gone is not told, hole is NULL, not y, size is 2, not 3",
        );
    }

    #[test]
    fn http_and_json() {
        ok(&http(300, ""), &Expect::Status(300));
        no(&http(503, ""), &Expect::Status(200), "the status is 503, not 200");
        let nodes = http(
            200,
            r#"[{"name":"a","running":true,"n":{"x":1}},{"name":"b","running":false}]"#,
        );
        let count = |field: &str, value: &str, count| Expect::JsonCount {
            field: field.to_owned(),
            value: value.to_owned(),
            count,
        };
        ok(&nodes, &count("/running", "true", 1));
        ok(&nodes, &count("name", "b", 1));
        ok(&nodes, &count("/n/x", "1", 1));
        no(
            &nodes,
            &count("/running", "true", 2),
            "1 of 2 have running = true, not 2",
        );
        let majority = |without: &str, expected| Expect::JsonMajority {
            field: "/running".to_owned(),
            value: "true".to_owned(),
            without: without.to_owned(),
            expected,
        };
        ok(&nodes, &majority("a", 2));
        no(
            &nodes,
            &majority("a", 1),
            "without a 0 of 2 have running = true, which is no majority",
        );
        no(
            &nodes,
            &majority("c", 1),
            "without c 1 of 2 have running = true, which is no majority",
        );
        let five = r#"[{"name":"a","running":true},{"name":"b","running":true},{"name":"c","running":true},
            {"name":"d","running":true},{"name":"e","running":false}]"#;
        ok(&http(200, five), &majority("a", 3));
        ok(&http(200, five), &majority("e", 3));
        no(
            &http(404, "not  found"),
            &count("/a", "b", 1),
            "it is not a JSON array but not found",
        );
    }

    #[test]
    fn texts_programs_ports() {
        let ran = |status, out: &str, err: &str| Answer::Ran {
            status,
            stdout: out.to_owned(),
            stderr: err.to_owned(),
        };
        ok(&ran(0, "all good", ""), &Expect::Contains("good".to_owned()));
        ok(&ran(7, "", ""), &Expect::Exit(7));
        no(
            &ran(1, "out", "went\nwrong\n"),
            &Expect::Exit(0),
            "it ended with status 1, not 0: went wrong",
        );
        no(
            &ran(1, "", ""),
            &Expect::Exit(0),
            "it ended with status 1, not 0: nothing",
        );
        ok(
            &Answer::Text("a\nb".to_owned()),
            &Expect::Contains("a\nb".to_owned()),
        );
        no(
            &Answer::Text("ä".repeat(300)),
            &Expect::Contains("b".to_owned()),
            &format!("it does not say `b` but {}…", "ä".repeat(160)),
        );
        ok(&Answer::Open, &Expect::Open);
    }

    /// A value is not the beginning of another.
    #[test]
    fn a_line_ends_with_the_whole_value() {
        let ran = |out: &str| Answer::Ran {
            status: 0,
            stdout: out.to_owned(),
            stderr: String::new(),
        };
        let end = Expect::LineEnds(") = 500".to_owned());
        ok(&ran("totem.token (u32) = 500\n"), &end);
        ok(&ran("totem.token (u32) = 500  \nnext\n"), &end);
        no(
            &ran("totem.token (u32) = 5000\n"),
            &end,
            "no line ends with `) = 500`; it says totem.token (u32) = 5000",
        );
    }

    #[test]
    fn the_wrong_kind_is_said() {
        no(
            &Answer::Open,
            &Expect::SomeRow,
            "an open port cannot be judged by some row",
        );
        no(
            &rows(&[]),
            &Expect::Cluster(crate::ClusterWant::default()),
            "rows cannot be judged by a cluster's state",
        );
    }
}
