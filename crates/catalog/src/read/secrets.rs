//! `secrets` of a service: what the vault makes for it. Not for secrets that follow from
//! other words: passwords of databases and brokers, certificates of hosts.

use cloud::tree::{Fields, Kind, Node, Spanned, Walker};
use indexmap::IndexMap;

use super::{Keys, word};
use crate::lint::ROLES;
use crate::service::{SecretForm, SecretSpec};

const SECRET_KEYS: Keys<'_> = &["kind", "of", "each"];
const HELP: &str = "`password`, `key`, `hex` or `bytes`, with a length of 8 to 4096 behind a dash: `password-32`; `authority`; or `certificate`";

pub(super) fn secrets(w: &mut Walker, fields: &Fields<'_>) -> IndexMap<String, SecretSpec> {
    let mut out = IndexMap::new();
    let Some(node) = fields.get("secrets") else {
        return out;
    };
    for entry in w.map(node, "`secrets`").unwrap_or_default() {
        if let Some(spec) = secret(w, &entry.value) {
            out.insert(entry.key.value.clone(), spec);
        }
    }
    let authorities: Vec<String> = (out.iter())
        .filter(|(_, spec)| spec.form == SecretForm::Authority)
        .map(|(name, _)| name.clone())
        .collect();
    for spec in out.values() {
        if let SecretForm::Certificate { of } = &spec.form
            && !authorities.contains(&of.value)
        {
            let message = format!("`{}` is no authority of this service", of.value);
            let finding = w.error("catalog::unknown-authority", &of.span, message, "nobody signs");
            w.push(finding.help("name a secret of the kind `authority` that stands beside it"));
        }
    }
    out
}

fn secret(w: &mut Walker, node: &Node) -> Option<SecretSpec> {
    if !matches!(node.kind, Kind::Map(_)) {
        let kind = w.text(node, "a secret's kind")?;
        let form = form(w, &kind, None)?;
        return Some(SecretSpec { form, each: None });
    }
    let fields = w.fields(node, "a secret", SECRET_KEYS)?;
    let kind = w.require(&fields, "kind").and_then(|n| w.text(n, "`kind`"))?;
    let of = word(w, &fields, "of");
    let each = word(w, &fields, "each");
    if let Some(role) = each.as_ref().filter(|role| !ROLES.contains(&role.value.as_str())) {
        let message = format!("`{}` is no role", role.value);
        let finding = w.error("catalog::unknown-role", &role.span, message, "no host has it");
        w.push(finding.help(format!("one of {}", ROLES.join(", "))));
        return None;
    }
    let form = form(w, &kind, of)?;
    Some(SecretSpec {
        form,
        each: each.map(|role| role.value),
    })
}

fn form(w: &mut Walker, kind: &Spanned<String>, of: Option<Spanned<String>>) -> Option<SecretForm> {
    let (name, size) = kind.value.split_once('-').unwrap_or((kind.value.as_str(), "32"));
    let size = size.parse().ok().filter(|s| (8..=4096).contains(s));
    match (name, size, of) {
        ("password", Some(size), None) => Some(SecretForm::Password(size)),
        ("key", Some(size), None) => Some(SecretForm::Key(size)),
        ("hex", Some(size), None) => Some(SecretForm::Hex(size)),
        ("bytes", Some(size), None) => Some(SecretForm::Bytes(size)),
        ("authority", _, None) => Some(SecretForm::Authority),
        ("certificate", _, Some(of)) => Some(SecretForm::Certificate { of }),
        (_, _, of) => {
            let message = match of {
                Some(_) => format!("`{}` is of no authority", kind.value),
                None if name == "certificate" => "a certificate is of an authority".to_owned(),
                None => format!("`{}` is not a kind of secret", kind.value),
            };
            let finding = w.error("catalog::unknown-secret-kind", &kind.span, message, "not known");
            w.push(finding.help(HELP));
            None
        }
    }
}
