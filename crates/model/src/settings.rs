//! Settings of a cloud file against their kinds in the catalogue.

use std::sync::Arc;

use catalog::{Misfit, Service};
use cloud::{Keyed, Setting};
use diagnostic::{Diagnostic, Source, did_you_mean};
use indexmap::IndexMap;

/// A finding for each setting that the service does not have, or not with such a value.
pub(crate) fn judge(
    service: &Service,
    given: &IndexMap<String, Keyed<Setting>>,
    source: &Arc<Source>,
    findings: &mut Vec<Diagnostic>,
) {
    let name = &service.name.value;
    for (key, value) in given {
        let Some(setting) = service.settings.get(key) else {
            findings.push(unknown(service, key, value, source));
            continue;
        };
        let Err(misfit) = setting.judge(&value.value.value) else {
            continue;
        };
        let (code, label) = match misfit {
            Misfit::Kind => ("settings::wrong-kind", "not such a value"),
            Misfit::Small => ("settings::too-small", "too small"),
            Misfit::Large => ("settings::too-large", "too large"),
        };
        let message = format!("`{key}` of `{name}` cannot be `{}`", value.value.value);
        let finding = Diagnostic::error(code, source, value.value.span.clone(), message, label);
        findings.push(finding.help(format!("write {}: {}", setting.wanted(), setting.why)));
    }
}

fn unknown(service: &Service, key: &str, value: &Keyed<Setting>, source: &Arc<Source>) -> Diagnostic {
    let keys: Vec<&str> = service.settings.keys().map(String::as_str).collect();
    let finding = Diagnostic::error(
        "settings::unknown-key",
        source,
        value.key.clone(),
        format!("`{}` has no setting `{key}`", service.name.value),
        "not known",
    );
    match did_you_mean(key, keys.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None if keys.is_empty() => finding.help("it has none; a file's key is set under `config`"),
        None => finding.help(format!(
            "known: {}; a file's key is set under `config`",
            keys.join(", ")
        )),
    }
}
