//! A service's components, from their YAML: what runs, who runs it, where it is reached.

use cloud::tree::{Fields, Node, Spanned, Walker};

use super::{Keys, flag, pairs, plain, roles, word, word_or, words};
use crate::endpoint::{Brake, Checks, Endpoint};
use crate::service::{Component, Kind, Operation, Pairs, ResourceSpec, UnitRun};

const COMPONENT_KEYS: Keys<'_> = &[
    "kind",
    "runs-on",
    "unit",
    "run",
    "resource",
    "after",
    "endpoint",
    "engine",
    "engine-options",
    "when",
    "ports",
    "alive",
];
const RESOURCE_KEYS: Keys<'_> = &["agent", "params", "meta", "clone", "operations"];
const ENDPOINT_KEYS: Keys<'_> = &[
    "mode",
    "port",
    "path",
    "check",
    "check-port",
    "process-port",
    "tls",
    "backend-tls",
    "single-writer",
    "type",
    "checks",
    "options",
    "websocket",
    "connections",
    "brake",
];
const CHECKS_KEYS: Keys<'_> = &["every", "suspect", "down", "timeout", "fall", "rise"];
const BRAKE_KEYS: Keys<'_> = &["ask", "at-once", "in-ten-seconds", "refused"];

fn endpoint(w: &mut Walker, node: &Node) -> Option<Endpoint> {
    let f = w.fields(node, "an endpoint", ENDPOINT_KEYS)?;
    let port = w
        .require(&f, "port")
        .and_then(|n| w.integer(n, "a port", 1..=65535))?;
    let number = u16::try_from(port.value).ok()?;
    Some(Endpoint {
        mode: word_or(w, &f, "mode", "http"),
        port: Spanned::new(number, port.span),
        path: word_or(w, &f, "path", ""),
        check: word_or(w, &f, "check", ""),
        check_port: f
            .get("check-port")
            .and_then(|n| w.integer(n, "a port", 1..=65535))
            .and_then(|p| u16::try_from(p.value).ok()),
        process_port: process_port(w, &f),
        tls: flag(w, &f, "tls", true),
        backend_tls: flag(w, &f, "backend-tls", true),
        single_writer: flag(w, &f, "single-writer", false),
        service_type: word_or(w, &f, "type", ""),
        checks: f.get("checks").map(|n| checks(w, n)).unwrap_or_default(),
        options: options(w, &f),
        websocket: flag(w, &f, "websocket", false),
        connections: f.get("connections").and_then(|n| count(w, n)),
        brake: f.get("brake").and_then(|n| brake(w, n)),
    })
}

fn count(w: &mut Walker, node: &Node) -> Option<u32> {
    let number = w.integer(node, "a number of connections or requests", 1..=100_000)?;
    u32::try_from(number.value).ok()
}

/// Lines for the balancer. What they would say of checks, the foretelling of losses has to know.
fn options(w: &mut Walker, fields: &Fields<'_>) -> Vec<String> {
    let lines = words(w, fields, "options");
    for line in &lines {
        let about = ["timeout check", "default-server"];
        if about.iter().any(|word| line.value.starts_with(word)) {
            let message = format!("`{}` is about health checks", line.value);
            let finding = w.error("catalog::check-in-options", &line.span, message, "no option");
            w.push(finding.help("say it as `checks: { every: 500, fall: 2 }` beside `options`"));
        }
    }
    plain(lines)
}

fn checks(w: &mut Walker, node: &Node) -> Checks {
    let Some(f) = w.fields(node, "checks", CHECKS_KEYS) else {
        return Checks::default();
    };
    let mut number = |key| {
        f.get(key).and_then(|n| {
            let number = w.integer(n, "a number of milliseconds or questions", 1..=600_000)?;
            u32::try_from(number.value).ok()
        })
    };
    Checks {
        every: number("every"),
        suspect: number("suspect"),
        down: number("down"),
        timeout: number("timeout"),
        fall: number("fall"),
        rise: number("rise"),
    }
}

fn brake(w: &mut Walker, node: &Node) -> Option<Brake> {
    let f = w.fields(node, "a brake", BRAKE_KEYS)?;
    let mut number = |key| w.require(&f, key).and_then(|n| count(w, n));
    let (at_once, in_ten_seconds, refused) = (number("at-once"), number("in-ten-seconds"), number("refused"));
    let asks = w.require(&f, "ask")?;
    let asks = w.texts(asks, "requests (`METHOD /path`)");
    Some(Brake {
        asks: asks.iter().filter_map(|ask| costly(w, ask)).collect(),
        at_once: at_once?,
        in_ten_seconds: in_ten_seconds?,
        refused: refused?,
    })
}

/// `METHOD /path`, of characters that mean nothing else in a balancer's file.
fn costly(w: &mut Walker, ask: &Spanned<String>) -> Option<(String, String)> {
    let (method, path) = ask.value.split_once(' ').unwrap_or((&ask.value, ""));
    let word = |c: char| c.is_ascii_alphanumeric() || "/_-*".contains(c);
    let named = !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase());
    if named && path.starts_with('/') && path.chars().all(word) {
        return Some((method.to_owned(), path.to_owned()));
    }
    let message = format!("`{}` names no requests", ask.value);
    let finding = w.error(
        "catalog::bad-brake",
        &ask.span,
        message,
        "not a method and a path",
    );
    w.push(finding.help("`POST /path`; `*` stands for one part of a path"));
    None
}

/// The port in `alive: { connected: PORT }`.
fn connected(w: &mut Walker, fields: &Fields<'_>) -> Option<u16> {
    let alive = w.fields(fields.get("alive")?, "`alive`", &["connected"])?;
    let port = w.require(&alive, "connected")?;
    u16::try_from(w.integer(port, "a port", 1..=65535)?.value).ok()
}

/// A port, or where the platform says it.
fn process_port(w: &mut Walker, fields: &Fields<'_>) -> String {
    let Some(node) = fields.get("process-port") else {
        return String::new();
    };
    let text = w
        .text(node, "`process-port`")
        .map_or_else(String::new, |t| t.value);
    if !text.starts_with("{{ platform.") {
        w.integer(node, "a port", 1..=65535);
    }
    text
}

fn ports(w: &mut Walker, fields: &Fields<'_>) -> Vec<u16> {
    let Some(node) = fields.get("ports") else {
        return Vec::new();
    };
    node.one_or_list()
        .into_iter()
        .filter_map(|n| w.integer(n, "a port", 1..=65535))
        .filter_map(|p| u16::try_from(p.value).ok())
        .collect()
}

fn resource(w: &mut Walker, node: &Node) -> ResourceSpec {
    let Some(f) = w.fields(node, "a resource", RESOURCE_KEYS) else {
        return ResourceSpec::default();
    };
    let mut operations = Vec::new();
    if let Some(node) = f.get("operations") {
        for item in w.list(node, "`operations`").unwrap_or_default() {
            for entry in w
                .map(item, "an operation (`{start: {timeout: 60s}}`)")
                .unwrap_or_default()
            {
                let mut options = Pairs::new();
                for option in w.map(&entry.value, "an operation's options").unwrap_or_default() {
                    if let Some(value) = w.text(&option.value, "an option") {
                        options.insert(option.key.value.clone(), value.value);
                    }
                }
                operations.push(Operation {
                    name: entry.key.value.clone(),
                    options,
                });
            }
        }
    }
    ResourceSpec {
        agent: word_or(w, &f, "agent", ""),
        params: pairs(w, &f, "params"),
        meta: pairs(w, &f, "meta"),
        clone: pairs(w, &f, "clone"),
        operations,
    }
}

pub(super) fn read(w: &mut Walker, name: Spanned<String>, node: &Node) -> Option<Component> {
    let f = w.fields(node, "a component", COMPONENT_KEYS)?;
    let kinds = [
        ("stateless", Kind::Stateless),
        ("singleton", Kind::Singleton),
        ("clustered", Kind::Clustered),
        ("promotable", Kind::Promotable),
        ("per-host", Kind::PerHost),
    ];
    let kind = w
        .require(&f, "kind")
        .and_then(|n| w.choice(n, "a kind", "catalog::unknown-kind", &kinds));
    let runs_on = roles(w, &f, "runs-on");
    let runs = [
        ("cluster", UnitRun::Cluster),
        ("systemd", UnitRun::Systemd),
        ("nobody", UnitRun::Nobody),
    ];
    let run = f.get("run").map_or(Some(None), |n| {
        w.choice(n, "who runs the unit", "catalog::unknown-run", &runs)
            .map(|r| Some(r.value))
    });
    let resource = f.get("resource").map(|n| resource(w, n)).unwrap_or_default();
    let after = words(w, &f, "after");
    let endpoint = f.get("endpoint").and_then(|n| endpoint(w, n));
    let engine = word(w, &f, "engine").unwrap_or_else(|| Spanned::new(String::new(), name.span.clone()));
    Some(Component {
        kind: kind?.value,
        runs_on: runs_on?,
        unit: word_or(w, &f, "unit", ""),
        run: run?,
        resource,
        after,
        endpoint,
        engine,
        engine_options: pairs(w, &f, "engine-options"),
        connected: connected(w, &f),
        ports: ports(w, &f),
        when: word_or(w, &f, "when", ""),
        name,
    })
}
