//! `settings` of a service, each with its kind: `{ is: 2, least: 1, most: 64, why: … }`.
//!
//! One without a kind is a finding: whatever the operator wrote would stand in the
//! service's files as it is.

use cloud::tree::{Entry, Fields, Kind, Node, Spanned, Value, Walker};
use indexmap::IndexMap;

use super::{Keys, word_or};
use crate::setting::{Setting, SettingKind};

const SETTING_KEYS: Keys<'_> = &["is", "kind", "least", "most", "unit", "words", "why"];

/// The kinds that are named by a word alone.
const KINDS: [(&str, Named); 10] = [
    ("whole", Named::Whole),
    ("switch", Named::Plain(|| SettingKind::Switch)),
    ("address", Named::Plain(|| SettingKind::Address)),
    ("path", Named::Plain(|| SettingKind::Path)),
    ("name", Named::Plain(|| SettingKind::Name)),
    ("url", Named::Plain(|| SettingKind::Url)),
    ("size", Named::Size),
    ("span", Named::Plain(|| SettingKind::Span)),
    ("list", Named::Plain(|| SettingKind::List)),
    ("text", Named::Plain(|| SettingKind::Text)),
];

#[derive(Clone, Copy)]
enum Named {
    Whole,
    Size,
    Plain(fn() -> SettingKind),
}

/// All settings of a service.
pub(super) fn read(w: &mut Walker, fields: &Fields<'_>) -> IndexMap<String, Setting> {
    let mut out = IndexMap::new();
    let Some(node) = fields.get("settings") else {
        return out;
    };
    for entry in w.map(node, "`settings`").unwrap_or_default() {
        if let Some(setting) = setting(w, entry) {
            out.insert(entry.key.value.clone(), setting);
        }
    }
    out
}

/// Other defaults by timing profile.
pub(super) fn profiles(
    w: &mut Walker,
    fields: &Fields<'_>,
    settings: &IndexMap<String, Setting>,
) -> IndexMap<String, IndexMap<String, String>> {
    let mut out = IndexMap::new();
    let Some(node) = fields.get("profiles") else {
        return out;
    };
    for entry in w.map(node, "`profiles`").unwrap_or_default() {
        let mut values = IndexMap::new();
        for given in w.map(&entry.value, "a profile").unwrap_or_default() {
            let Some(value) = w.text(&given.value, "a setting") else {
                continue;
            };
            if let Some(setting) = settings.get(&given.key.value) {
                bad_default(w, setting, &value);
            }
            values.insert(given.key.value.clone(), value.value);
        }
        out.insert(entry.key.value.clone(), values);
    }
    out
}

/// A default that no operator could give.
fn bad_default(w: &mut Walker, setting: &Setting, value: &Spanned<String>) {
    if setting.judge_text(&value.value).is_err() {
        let message = format!("a default of `{}` is not {}", setting.name, setting.wanted());
        let finding = w.error("catalog::bad-default", &value.span, message, "does not fit");
        w.push(finding.help("a default is a value that an operator could give"));
    }
}

fn setting(w: &mut Walker, entry: &Entry) -> Option<Setting> {
    if !matches!(entry.value.kind, Kind::Map(_)) {
        untyped(w, entry, "has no kind");
        return None;
    }
    let f = w.fields(&entry.value, format!("the setting `{}`", entry.key), SETTING_KEYS)?;
    let default = w.require(&f, "is").and_then(|n| w.text(n, "`is`"))?;
    let why = w.require(&f, "why").and_then(|n| w.text(n, "`why`"))?;
    let setting = Setting {
        name: entry.key.clone(),
        kind: kind(w, entry, &f)?,
        default: default.value.clone(),
        why: why.value,
    };
    bad_default(w, &setting, &default);
    Some(setting)
}

/// By `words`, by `kind`, or by the bounds of a number.
fn kind(w: &mut Walker, entry: &Entry, f: &Fields<'_>) -> Option<SettingKind> {
    if let Some(node) = f.get("words") {
        return words(w, node).map(SettingKind::Word);
    }
    let named = match f.get("kind") {
        Some(node) => {
            w.choice(
                node,
                "the kind of a setting",
                "catalog::unknown-setting-kind",
                &KINDS,
            )?
            .value
        }
        None if f.get("least").is_some() || f.get("most").is_some() => Named::Whole,
        None => {
            untyped(w, entry, "has neither `kind`, `words` nor bounds");
            return None;
        }
    };
    let unit = word_or(w, f, "unit", "");
    match named {
        Named::Plain(kind) => Some(kind()),
        Named::Size => Some(SettingKind::Size(unit)),
        Named::Whole => {
            let mut bound = |key: &'static str| {
                w.require(f, key)
                    .and_then(|n| w.integer(n, &format!("`{key}`"), i64::MIN..=i64::MAX))
            };
            let (least, most) = (bound("least"), bound("most"));
            Some(SettingKind::Whole {
                least: least?.value,
                most: most?.value,
                unit,
            })
        }
    }
}

/// Words, each with what it means.
fn words(w: &mut Walker, node: &Node) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    for entry in w.map(node, "`words`")? {
        let says = w.text(&entry.value, &format!("the meaning of `{}`", entry.key))?;
        out.push((entry.key.value.clone(), says.value));
    }
    Some(out)
}

fn untyped(w: &mut Walker, entry: &Entry, label: &str) {
    let message = format!("the setting `{}` takes any text", entry.key);
    let finding = w.error("catalog::untyped-setting", &entry.key.span, message, label);
    let number = matches!(&entry.value.kind, Kind::Scalar(s) if matches!(s.value, Value::Int(_)));
    w.push(finding.help(if number {
        "write `{ is: VALUE, least: …, most: …, why: … }`"
    } else {
        "write `{ is: VALUE, kind: name, why: … }`, or `words: { … }`; CONTRIBUTING.md has the kinds"
    }));
}
