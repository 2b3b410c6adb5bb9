//! Values that are wrong whatever the service: a secret as a literal, what nobody
//! should run with, what the balancer or the cluster would take otherwise.

use diagnostic::Diagnostic;

use super::pieces::Piece;
use crate::Catalog;

/// Whether a text has nothing that is filled in later.
fn literal(text: &str) -> bool {
    !text.is_empty() && !text.contains("{{") && !text.contains("{%") && !text.contains('$')
}

/// Whether a key names a secret by its last word.
fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let last = key.rsplit(['_', '-', '.']).next().unwrap_or_default();
    ["password", "passwd", "secret", "cookie"].contains(&last) || key.ends_with("secret_key")
}

pub(super) fn literal_secret(catalog: &Catalog, piece: &Piece, out: &mut Vec<Diagnostic>) {
    if piece.within("secrets") {
        return; // the kinds of what is made
    }
    let value = piece.text.as_str();
    // A script's own variable of that name, or what it is made of.
    let variable =
        value.starts_with('{') || value.trim_end_matches(['}', ')', ']']) == piece.key.trim_matches('"');
    let plain = literal(value) && !variable && !value.starts_with('/') && !["true", "false"].contains(&value);
    let stats = value.strip_prefix("stats auth ").is_some_and(literal);
    if (names_secret(&piece.key) && plain) || stats || in_url(value) {
        let finding = piece.error(
            catalog,
            "catalog::literal-secret",
            "a secret stands in the catalogue".to_owned(),
            "the same in every cloud, and known to everybody",
        );
        out.push(
            finding.help("name it under `secrets` and write `{{ secret('NAME') }}`: the vault makes it"),
        );
    }
}

/// Whether a URL holds a password: `://user:password@host`.
fn in_url(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let Some((user, rest)) = rest.split_once(':') else {
            return false;
        };
        let Some((password, _)) = rest.split_once('@') else {
            return false;
        };
        let word = |w: &str| !w.contains(|c: char| c.is_whitespace() || "/\"'{}".contains(c));
        word(user) && word(password) && literal(password)
    })
}

/// Why nobody should run with a key of this value; `None`: nothing is known against it.
///
/// By the names that options have in every service, so no service is named; more of them
/// are data of the catalogue.
pub(crate) fn unsafe_value(key: &str, value: &str) -> Option<&'static str> {
    let on = ["true", "yes", "on", "1"].contains(&value.to_ascii_lowercase().as_str());
    let off = ["disabled", "permissive"].contains(&value.to_ascii_lowercase().as_str());
    match key.to_ascii_lowercase().as_str() {
        "debug" if on => Some("logs of that level hold tokens, and writing them slows the service down"),
        "insecure" if on => Some("certificates are not checked, so anybody can answer"),
        "admin_token" if !value.is_empty() => Some("whoever knows it may do everything, as nobody, for ever"),
        "allowed_hosts" if value.contains('*') => Some("a forged host name is taken for the right one"),
        "auth_strategy" if value.starts_with("no") => Some("nobody is asked who they are"),
        "provider" if ["uuid", "pki", "pkiz"].contains(&value) => {
            Some("each token is a row in the database, written through all its members")
        }
        "selinux" if off => Some("a service that was broken into can do everything"),
        _ => None,
    }
}

pub(super) fn unsafe_pair(catalog: &Catalog, piece: &Piece, all: &[Piece], out: &mut Vec<Diagnostic>) {
    let beside = |key: &str| {
        let mut section = all.iter().filter(|p| p.above == piece.above);
        section.find(|p| p.key == key).map(|p| p.text.clone())
    };
    if let Some(reason) = catalog.unsafe_value(&piece.key, &piece.text, beside) {
        let message = format!("`{}`: {reason}", piece.key);
        let finding = piece.error(
            catalog,
            "catalog::unsafe-value",
            message,
            "not for a cloud that is used",
        );
        out.push(finding.help("leave it out; who wants it for a while sets it under `config`"));
    }
}

pub(super) fn stickiness(catalog: &Catalog, piece: &Piece, out: &mut Vec<Diagnostic>) {
    let endless = piece.text.ends_with("INFINITY") || piece.text.parse().is_ok_and(|n: i64| n >= 1_000_000);
    if piece.key == "resource-stickiness" && endless {
        let message = "what has this stickiness never comes home".to_owned();
        let label = "after the first failures everything is on one host, for ever";
        let finding = piece.error(catalog, "catalog::endless-stickiness", message, label);
        out.push(finding.help("leave it out: what runs stays where it is by 1000, and moves when it must"));
    }
}

pub(super) fn http_in_tcp(catalog: &Catalog, piece: &Piece, out: &mut Vec<Diagnostic>) {
    const WORDS: [&str; 9] = [
        "alpn ",
        "cookie ",
        "http-",
        "option http",
        "option forwardfor",
        "capture ",
        "redirect ",
        "balance uri",
        "balance hdr",
    ];
    let [components, name, endpoint, options] = piece.above.as_slice() else {
        return;
    };
    let here = [components, endpoint, options].map(String::as_str) == ["components", "endpoint", "options"];
    let component = piece
        .service(catalog)
        .and_then(|s| s.components.get(name.as_str()));
    let tcp = component
        .and_then(|c| c.endpoint.as_ref())
        .is_some_and(|e| e.mode == "tcp");
    if here && tcp && WORDS.iter().any(|w| piece.text.starts_with(w)) {
        let message = format!("`{}` does nothing where bytes are passed", piece.text);
        let finding = piece.error(
            catalog,
            "catalog::http-in-tcp",
            message,
            "the endpoint is `mode: tcp`",
        );
        out.push(finding.help("leave it out, or say `mode: http`"));
    }
}
