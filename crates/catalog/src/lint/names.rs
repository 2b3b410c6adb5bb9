//! Names in expressions that lead nowhere, and one host named where there are
//! several. Not for whether a template can be rendered: only `render` can tell.

use diagnostic::did_you_mean;

use super::pieces::Piece;
use crate::Catalog;

/// The names in calls such as `secret('NAME')`, where they stand whole.
fn calls<'t>(text: &'t str, function: &str) -> Vec<&'t str> {
    let mut out = Vec::new();
    for rest in text.split(function).skip(1) {
        let Some(rest) = rest.strip_prefix('(') else {
            continue;
        };
        let Some(quote) = rest.chars().next().filter(|c| "'\"".contains(*c)) else {
            continue;
        };
        if let Some((name, rest)) = rest.get(1..).and_then(|r| r.split_once(quote))
            && rest.trim_start().starts_with(')')
        {
            out.push(name);
        }
    }
    out
}

pub(super) fn secrets(catalog: &Catalog, piece: &Piece, out: &mut Vec<diagnostic::Diagnostic>) {
    if piece.part {
        return;
    }
    for name in calls(&piece.text, "secret") {
        let (service, name) = match name.split_once('/') {
            // The cloud's own.
            Some(("tls" | "vips" | "cloud", _)) => continue,
            Some((service, name)) => (catalog.services.get(service), name),
            None => match piece.service(catalog) {
                Some(service) => (Some(service), name),
                None => continue, // of whoever uses the file
            },
        };
        let name = name
            .strip_suffix(".crt")
            .or(name.strip_suffix(".key"))
            .unwrap_or(name);
        let mut known: Vec<&str> = Vec::new();
        if let Some(service) = service {
            known.extend(service.secrets.keys().map(String::as_str));
            known.extend(service.database.iter().map(|_| "database"));
            known.extend(service.broker.iter().map(|_| "broker"));
        }
        if !known.contains(&name) {
            let message = format!("nobody makes the secret `{name}`");
            let finding = piece.error(catalog, "catalog::unknown-secret", message, "named here");
            out.push(match did_you_mean(name, known) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("add it to the `secrets` of its service"),
            });
        }
    }
}

/// The name behind `WORD.`, with what follows it.
fn members<'t>(text: &'t str, word: &str) -> Vec<(&'t str, &'t str)> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = Vec::new();
    for (at, _) in text.match_indices(word) {
        let before = text.get(..at).unwrap_or_default();
        let expression =
            before.rfind("{{").or(before.rfind("{%")) > before.rfind("}}").or(before.rfind("%}"));
        let whole = !before.ends_with(|c: char| inside(c) || "./-".contains(c));
        let rest = text.get(at + word.len()..).unwrap_or_default();
        let end = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
        if expression && whole && end > 0 {
            out.push(rest.split_at(end));
        }
    }
    out
}

/// Virtual addresses, each with the port behind it.
pub(super) fn addresses(catalog: &Catalog, piece: &Piece, out: &mut Vec<diagnostic::Diagnostic>) {
    if piece.part {
        return;
    }
    for (name, rest) in members(&piece.text, "vips.") {
        let ports: Vec<u16> = catalog
            .services
            .get(name)
            .into_iter()
            .flat_map(|s| s.components.values().filter_map(|c| c.endpoint.as_ref()))
            .map(|e| e.port.value)
            .collect();
        if ports.is_empty() {
            let served = catalog.services.values();
            let served = served.filter(|s| s.components.values().any(|c| c.endpoint.is_some()));
            let names: Vec<&str> = served.map(|s| s.name.value.as_str()).collect();
            let message = format!("`{name}` has no virtual address");
            let finding = piece.error(catalog, "catalog::unknown-address", message, "named here");
            out.push(match did_you_mean(name, names.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("there is one for: {}", names.join(", "))),
            });
            continue;
        }
        let after = rest.split_once("}}").map_or("", |(_, after)| after);
        let digits = after.strip_prefix(':').unwrap_or_default();
        let digits = digits
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        if let Ok(port) = digits.parse::<u16>()
            && !ports.contains(&port)
        {
            let message = format!("nobody listens on port {port} of `{name}`");
            let finding = piece.error(catalog, "catalog::port-without-endpoint", message, "named here");
            let known: Vec<String> = ports.iter().map(ToString::to_string).collect();
            out.push(finding.help(format!("its endpoints are on {}", known.join(", "))));
        }
    }
}

/// Values of other services.
pub(super) fn provided(catalog: &Catalog, piece: &Piece, out: &mut Vec<diagnostic::Diagnostic>) {
    if piece.part {
        return;
    }
    for (name, rest) in members(&piece.text, "provided.") {
        let rest = rest.strip_prefix('.').unwrap_or_default();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let Some(key) = rest.get(..end).filter(|k| !k.is_empty()) else {
            continue; // another way of asking, which render judges
        };
        let service = catalog.services.get(name);
        if service.is_some_and(|s| s.provides.contains_key(key)) {
            continue;
        }
        let message = format!("nobody provides `{name}.{key}`");
        let finding = piece.error(catalog, "catalog::unknown-provided", message, "named here");
        let keys = service
            .into_iter()
            .flat_map(|s| s.provides.keys().map(String::as_str));
        out.push(match did_you_mean(key, keys) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("add it to the `provides` of that service"),
        });
    }
}

/// One host of several. A step that is run once may take any of them.
pub(super) fn one_host(catalog: &Catalog, piece: &Piece, out: &mut Vec<diagnostic::Diagnostic>) {
    if piece.part || piece.within("steps") {
        return;
    }
    for (role, rest) in members(&piece.text, "roles.") {
        let first = rest.starts_with('[')
            || rest.trim_start().strip_prefix('|').is_some_and(|f| {
                ["first", "last"].contains(&f.split_whitespace().next().unwrap_or_default())
            });
        if first {
            let message = format!("one host with the role `{role}` is named, of several");
            let label = "when it is lost, so is what depends on it";
            let finding = piece.error(catalog, "catalog::one-host", message, label);
            out.push(finding.help("name all of them, or the virtual address of the service that runs there"));
        }
    }
}
