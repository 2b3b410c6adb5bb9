//! The JSON Schema (draft 2020-12) of the cloud file, for editors: made of the
//! reader's table of keys and of the catalogue.
//!
//! It judges one value at a time, as an editor does while somebody types. What
//! concerns several places of the file only `check` can tell.

use catalog::{Catalog, NONE, Service, Setting, SettingKind};
use cloud::keys::{self, Key, Map, Named, Shape};
use serde_json::{Map as Object, Value, json};

/// The schema of cloud files that are read against a catalogue.
pub fn schema(catalog: &Catalog) -> Value {
    let mut out = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "quorate cloud file",
        "description": "What a cloud should be: hosts, addresses, services. `quorate check` says more than an editor can.",
    });
    merge(&mut out, map(&keys::CLOUD, catalog));
    let value = json!({ "type": ["string", "number", "boolean"] });
    let says = "For a key that stands in the file once for each item.";
    let each = json!({ "description": says, "type": "array", "items": value });
    let each = json!({ "type": "object", "properties": { "each": each }, "required": ["each"],
                       "additionalProperties": false });
    merge(
        &mut out,
        json!({ "$defs": { "value": { "anyOf": [value, each] } } }),
    );
    out
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn map(map: &Map, catalog: &Catalog) -> Value {
    let property = |key: &Key| {
        // The text beside the key comes first: editors show it.
        let mut value = json!({ "description": key.says });
        merge(&mut value, shape(&key.shape, catalog));
        (key.name.to_owned(), value)
    };
    let properties: Object<String, Value> = map.keys.iter().map(property).collect();
    let mut out = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !map.required.is_empty() {
        merge(&mut out, json!({ "required": map.required }));
    }
    if !map.one_of.is_empty() {
        let each: Vec<Value> = map.one_of.iter().map(|k| json!({ "required": [k] })).collect();
        merge(&mut out, json!({ "oneOf": each }));
    }
    out
}

fn shape(shape: &Shape, catalog: &Catalog) -> Value {
    match shape {
        Shape::Text => text(),
        Shape::Name(named) => name(*named),
        Shape::Address => address(),
        Shape::Cidr => json!({ "type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]+$" }),
        Shape::Pool => json!({ "type": "string", "pattern": "^ *[0-9A-Fa-f.:]+ *- *[0-9A-Fa-f.:]+ *$" }),
        Shape::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Word(words) => word(&words()),
        Shape::Release => {
            let mut releases: Vec<&String> = catalog.releases.keys().collect();
            releases.sort();
            json!({ "type": "string", "enum": releases })
        }
        Shape::Service => {
            let asked = catalog.services.values().filter(|s| !s.foundation && !s.implied);
            let words: Vec<(&str, &str)> = asked.map(|s| (s.name.as_str(), s.summary.as_str())).collect();
            word(&words)
        }
        Shape::Settings => by_service(catalog, settings),
        Shape::Config => config(catalog),
        Shape::File => {
            let services = catalog.services.values();
            let files = services.flat_map(|s| s.files.iter().filter(|f| catalog::is_data(f)));
            let paths: Vec<&String> = files.map(|f| &f.to.value).collect();
            json!({ "type": "string", "enum": paths })
        }
        Shape::Pins => by_service(catalog, |service| {
            let served = service.components.values().any(|c| c.endpoint.is_some());
            served.then(address)
        }),
        Shape::Map(inner) => map(inner, catalog),
        Shape::By(named, wanted, inner) => {
            let mut out = json!({
                "type": "object",
                "propertyNames": name(*named),
                "additionalProperties": self::shape(inner, catalog),
            });
            if let Some(wanted) = wanted {
                merge(&mut out, json!({ "required": [wanted] }));
            }
            out
        }
        Shape::List(inner) => {
            json!({ "type": "array", "items": self::shape(inner, catalog), "uniqueItems": true })
        }
        Shape::OneOrMore(inner) => {
            let one = self::shape(inner, catalog);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Shape::Either(all) => {
            let each: Vec<Value> = all.iter().map(|s| self::shape(s, catalog)).collect();
            json!({ "anyOf": each })
        }
    }
}

/// As the reader takes it: `2025` and `true` are texts where a text is wanted.
fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
}

/// An overridden value: one, or `each` for a key that stands several times.
fn value() -> Value {
    json!({ "$ref": "#/$defs/value" })
}

/// The same where nothing may stand too: the key is left out of the file.
fn set() -> Value {
    json!({ "anyOf": [value(), { "type": "null" }] })
}

fn address() -> Value {
    json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }], "pattern": "^[0-9A-Fa-f.:]+$" })
}

fn name(named: Named) -> Value {
    match named {
        Named::Cloud => {
            json!({ "type": "string", "maxLength": 15, "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$" })
        }
        Named::Network => {
            json!({ "type": "string", "maxLength": 63, "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$" })
        }
        // With a letter: digits alone are taken for an address.
        Named::Host => json!({
            "type": "string",
            "maxLength": 63,
            "pattern": "^([a-z0-9][a-z0-9-]*)?[a-z]([a-z0-9-]*[a-z0-9])?$|^[a-z0-9]+(-[a-z0-9]+)+$",
        }),
        Named::Option => json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]+$" }),
    }
}

/// Words, each with what it says, in the key that editors read it from.
fn word(words: &[(&str, &str)]) -> Value {
    let (names, says): (Vec<&str>, Vec<&str>) = words.iter().copied().unzip();
    json!({ "type": "string", "enum": names, "markdownEnumDescriptions": says })
}

/// A map whose keys are services, as far as `of` has something for them.
fn by_service(catalog: &Catalog, of: impl Fn(&Service) -> Option<Value>) -> Value {
    let property = |service: &Service| {
        let mut value = json!({ "description": service.summary });
        merge(&mut value, of(service)?);
        Some((service.name.value.clone(), value))
    };
    let properties: Object<String, Value> = catalog.services.values().filter_map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn settings(service: &Service) -> Option<Value> {
    let property = |(key, setting): (&String, &Setting)| {
        let mut says = format!("{}. Default: `{}`.", sentence(&setting.why), setting.default);
        for (profile, values) in &service.profiles {
            if let Some(value) = values.get(key) {
                says = format!("{says} With the profile `{profile}`: `{value}`.");
            }
        }
        let mut out = json!({ "description": says });
        merge(&mut out, typed(setting));
        (key.clone(), out)
    };
    let properties: Object<String, Value> = service.settings.iter().map(property).collect();
    let some = !properties.is_empty();
    some.then(|| json!({ "type": "object", "properties": properties, "additionalProperties": false }))
}

/// A clause with a capital.
fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// The values of a setting, `none` among them where it may be without one.
fn typed(setting: &Setting) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let kind = match &setting.kind {
        SettingKind::Whole { least, most, .. } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        SettingKind::Word(words) => {
            let words: Vec<(&str, &str)> = words.iter().map(|(w, s)| (w.as_str(), s.as_str())).collect();
            word(&words)
        }
        SettingKind::Switch => json!({ "type": "boolean" }),
        SettingKind::Address => pattern("^[A-Za-z0-9:][A-Za-z0-9:.-]*$"),
        SettingKind::Path => pattern("^/[A-Za-z0-9/._@:,=+-]*$"),
        SettingKind::Name => {
            json!({ "type": ["string", "number"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$" })
        }
        SettingKind::Url => pattern("^[A-Za-z][A-Za-z0-9+.-]*://"),
        SettingKind::Size(ending) => pattern(&format!("^[1-9][0-9]*[MGT]{ending}$")),
        SettingKind::Span => pattern("^[1-9][0-9]*(s|min|h|day|week|month|year)s?$"),
        SettingKind::List => {
            json!({ "anyOf": [text(), { "type": "array", "items": text(), "minItems": 1 }] })
        }
        SettingKind::Text => text(),
    };
    if setting.is_optional() {
        return json!({ "anyOf": [{ "const": NONE }, kind] });
    }
    kind
}

/// Files that are kept as data, with the keys that are written anyhow.
fn config(catalog: &Catalog) -> Value {
    let mut files = Object::new();
    for service in catalog.services.values() {
        for file in service.files.iter().filter(|f| catalog::is_data(f)) {
            let mut sections = Object::new();
            let data = catalog.data(service, file);
            for key in &data {
                let section = sections.entry(key.section.clone()).or_insert_with(|| {
                    json!({
                        "type": "object",
                        "properties": {},
                        "patternProperties": {},
                        "additionalProperties": set(),
                    })
                });
                let (place, name) = match key.key.strip_suffix('*') {
                    Some(start) => {
                        // What stands in the file by its own name is not meant.
                        let named = data.iter().filter(|k| k.section == key.section && *k != key);
                        let rest: Vec<&str> = named.filter_map(|k| k.key.strip_prefix(start)).collect();
                        ("patternProperties", format!("^{start}(?!({})$)", rest.join("|")))
                    }
                    None => ("properties", key.key.clone()),
                };
                let mut says = json!({ "description": format!("Without this file: `{}`", key.value) });
                merge(&mut says, set());
                if let Some(reason) = &key.own {
                    says = json!({ "description": format!("Not to be set: {reason}"), "not": {} });
                }
                if let Some(Value::Object(keys)) = section.get_mut(place) {
                    keys.insert(name, says);
                }
            }
            let says = format!("A file of {}, by section and key.", service.name.value);
            files.insert(
                file.to.value.clone(),
                json!({
                    "description": says,
                    "type": "object",
                    "properties": sections,
                    "additionalProperties": { "type": "object", "additionalProperties": set() },
                }),
            );
        }
    }
    json!({ "type": "object", "properties": files, "additionalProperties": false })
}
