//! Texts as literals of the language in whose files they stand: the filters `sh`, `sql`,
//! `json` and `python` of templates.
//!
//! A text of the operator that stands in a program is written through one of them. What a
//! text may hold at all is judged where the cloud file is read.

use minijinja::Environment;

/// A word of a shell. One of plain letters stays as it is; within single quotes nothing
/// has a meaning.
pub fn sh(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A literal of SQL. A backslash is doubled: MariaDB reads it as an escape.
pub fn sql(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A literal of JSON. The angle bracket and the two separators are escaped besides, so that
/// it is one in JavaScript and HTML too.
pub fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// A literal of Python: JSON's escapes mean the same there.
pub fn python(text: &str) -> String {
    json(text)
}

/// Makes the filters known.
pub fn filters(env: &mut Environment<'static>) {
    env.add_filter("sh", |text: String| sh(&text));
    env.add_filter("sql", |text: String| sql(&text));
    env.add_filter("json", |text: String| json(&text));
    env.add_filter("python", |text: String| python(&text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_ends_where_its_text_does() {
        let text = "a'; $(id) \"b\\";
        assert_eq!(sh(text), "'a'\\''; $(id) \"b\\'");
        assert_eq!(sql(text), "'a''; $(id) \"b\\\\'");
        assert_eq!(json(text), "\"a'; $(id) \\\"b\\\\\"");
        assert_eq!(json("</script>"), "\"\\u003c/script>\"");
    }
}
