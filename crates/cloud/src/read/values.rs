//! `settings` and `config`: free keys whose meaning the catalogue knows.

use indexmap::IndexMap;

use super::named;
use crate::tree::{Entry, Kind, Node, Spanned, Value, Walker};
use crate::types::{Keyed, Overrides, Setting, Settings};
use names::ServiceName;

/// `service: { key: value }`.
pub(super) fn settings(w: &mut Walker, node: Option<&Node>) -> Settings {
    let entries = node.and_then(|n| w.map(n, "`settings`")).unwrap_or_default();
    let mut settings = Settings::new();
    for entry in entries {
        let made = ServiceName::new(&entry.key.value);
        let name = named(
            w,
            "service::bad-name",
            "a service's name",
            entry.key.clone(),
            made,
        );
        let mut values = IndexMap::new();
        for setting in w
            .map(&entry.value, &format!("the settings of `{}`", entry.key))
            .unwrap_or_default()
        {
            let what = format!("the setting `{}`", setting.key);
            if let Some(value) = value(w, &setting.value, &what) {
                values.insert(
                    setting.key.value.clone(),
                    keyed(&setting.key, &setting.value, value),
                );
            }
        }
        if let Some(name) = name {
            settings.insert(name.value, keyed(&entry.key, &entry.value, values));
        }
    }
    settings
}

/// `file: { section: { key: value } }`.
pub(super) fn overrides(w: &mut Walker, node: Option<&Node>) -> Overrides {
    let mut overrides = Overrides::new();
    for file in node.and_then(|n| w.map(n, "`config`")).unwrap_or_default() {
        let mut sections = IndexMap::new();
        for section in w
            .map(&file.value, &format!("the sections of `{}`", file.key))
            .unwrap_or_default()
        {
            fits(w, "section", &section.key, &ini::is_section(&section.key.value));
            let mut values = IndexMap::new();
            for line in w
                .map(&section.value, &format!("the section `{}`", section.key))
                .unwrap_or_default()
            {
                fits(w, "key", &line.key, &ini::is_key(&line.key.value));
                let made = overridden(w, line);
                if let Ok(made) = made {
                    values.insert(line.key.value.clone(), keyed(&line.key, &line.value, made));
                }
            }
            sections.insert(
                section.key.value.clone(),
                keyed(&section.key, &section.value, values),
            );
        }
        overrides.insert(file.key.value.clone(), keyed(&file.key, &file.value, sections));
    }
    overrides
}

fn keyed<T>(key: &Spanned<String>, node: &Node, value: T) -> Keyed<T> {
    Keyed {
        key: key.span.clone(),
        value: Spanned::new(value, node.span.clone()),
    }
}

/// A name that a reader of the file would take for another, or for another line.
fn fits(w: &mut Walker, what: &str, name: &Spanned<String>, fits: &Result<(), ini::Unfit>) {
    if let Err(unfit) = fits {
        let message = format!("no {what} of a file of keys can be called `{name}`");
        let finding = w.error("config::bad-name", &name.span, message, unfit.to_string());
        w.push(finding.help("write a section without brackets and a key alone; its value stands behind it"));
    }
}

/// A wrong value is a finding already.
struct Said;

/// A key's value: one text, or `{ each: [a, b] }` for a key that stands several times; no
/// value takes the key out of the file.
fn overridden(w: &mut Walker, line: &Entry) -> Result<Option<Setting>, Said> {
    let what = format!("`{}`", line.key);
    match &line.value.kind {
        Kind::Null => Ok(None),
        Kind::Scalar(_) => scalar(w, &line.value, &what).map(Some).ok_or(Said),
        Kind::List(_) => {
            let message = format!("{what} is a list, and how it is to be written nobody can tell");
            let finding = w.error("config::list", &line.value.span, message, "this is a list");
            w.push(finding.help(
                "write one text as the service reads it, such as `\"a,b\"`; a key that stands once for each item \
                 is `{ each: [a, b] }`",
            ));
            Err(Said)
        }
        Kind::Map(_) => {
            let fields = w.fields(&line.value, &what, &["each"]).ok_or(Said)?;
            let items = w.require(&fields, "each").and_then(|n| w.list(n, "`each`"));
            let items = items.ok_or(Said)?;
            let what = format!("an item of `{}`", line.key);
            // Not `?` within: each wrong item is said.
            let values: Vec<Option<Setting>> = items.iter().map(|item| scalar(w, item, &what)).collect();
            let values: Option<Vec<Setting>> = values.into_iter().collect();
            values.map(|v| Some(Setting::List(v))).ok_or(Said)
        }
    }
}

fn scalar(w: &mut Walker, node: &Node, what: &str) -> Option<Setting> {
    let Kind::Scalar(scalar) = &node.kind else {
        w.wrong_type(node, what, "text, a number, `true` or `false`");
        return None;
    };
    Some(match scalar.value {
        Value::Bool(value) => Setting::Bool(value),
        Value::Int(value) => Setting::Int(value),
        Value::Float(_) | Value::Text => Setting::Text(scalar.text.clone()),
    })
}

/// A setting: one value or several, which the catalogue judges.
fn value(w: &mut Walker, node: &Node, what: &str) -> Option<Setting> {
    let Kind::List(items) = &node.kind else {
        return scalar(w, node, what);
    };
    let what = format!("an item of {what}");
    // Not `?` within: each wrong item is said.
    let values: Vec<Option<Setting>> = items.iter().map(|item| scalar(w, item, &what)).collect();
    values.into_iter().collect::<Option<Vec<_>>>().map(Setting::List)
}
