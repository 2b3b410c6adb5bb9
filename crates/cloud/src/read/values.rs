//! `settings` and `config`: free keys whose meaning the catalogue knows.

use indexmap::IndexMap;

use super::named;
use crate::names::ServiceName;
use crate::tree::{Kind, Node, Spanned, Value, Walker};
use crate::types::{Keyed, Overrides, Setting, Settings};

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
            let mut values = IndexMap::new();
            for line in w
                .map(&section.value, &format!("the section `{}`", section.key))
                .unwrap_or_default()
            {
                let made = if line.value.is_null() {
                    Some(None)
                } else {
                    value(w, &line.value, &format!("`{}`", line.key)).map(Some)
                };
                if let Some(made) = made {
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

fn value(w: &mut Walker, node: &Node, what: &str) -> Option<Setting> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(match scalar.value {
            Value::Bool(value) => Setting::Bool(value),
            Value::Int(value) => Setting::Int(value),
            Value::Float(_) | Value::Text => Setting::Text(scalar.text.clone()),
        }),
        Kind::List(items) => {
            // Not `?` within: each wrong item is said.
            let values: Vec<Option<Setting>> = items.iter().map(|item| value(w, item, what)).collect();
            values.into_iter().collect::<Option<Vec<_>>>().map(Setting::List)
        }
        Kind::Null | Kind::Map(_) => {
            w.wrong_type(node, what, "text, a number, `true`, `false` or a list of them");
            None
        }
    }
}
