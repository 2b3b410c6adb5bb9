//! From YAML trees to the types of a service, collecting findings.

mod budget;
mod component;
mod cure;
mod periodic;
mod secrets;
mod settings;
mod unsafe_values;

use std::sync::Arc;

use cloud::tree::{self, Fields, Node, Spanned, Walker};
use diagnostic::{Diagnostic, Source};
use indexmap::IndexMap;

pub use budget::budget;
pub use cure::cure;
pub use unsafe_values::unsafe_values;

use crate::lint::ROLES;
use crate::service::{
    Broker, Database, FileSpec, HashRing, Packages, Pairs, Platform, Refused, Release, Service, SqlAccess,
};
use crate::step::{DoneWhen, Forget, HeldBy, Step};

/// The part of a file that is ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owned {
    File,
    Keys,
    Names,
}

pub(crate) type Keys<'a> = &'a [&'a str];

const SERVICE_KEYS: Keys<'_> = &[
    "name",
    "summary",
    "foundation",
    "implied",
    "releases",
    "needs",
    "settings",
    "profiles",
    "secrets",
    "database",
    "broker",
    "sql",
    "components",
    "files",
    "sysctls",
    "mask",
    "rings",
    "hash-rings",
    "refuse",
    "steps",
    "periodic",
    "forget",
    "left-alone",
    "faults",
    "provides",
    "properties",
    "support",
    "guests",
    "journeys",
];
const FILE_KEYS: Keys<'_> = &[
    "from",
    "to",
    "owner",
    "group",
    "mode",
    "on",
    "restart",
    "reload",
    "once",
    "each",
    "when",
    "directory",
    "program",
    "ring",
    "identity",
    "own",
];
const HASH_RING_KEYS: Keys<'_> = &[
    "on",
    "port",
    "part-power",
    "replicas",
    "min-part-hours",
    "devices",
];
const REFUSED_KEYS: Keys<'_> = &["when", "why", "at", "help", "warning"];
const STEP_KEYS: Keys<'_> = &[
    "name",
    "run",
    "user",
    "env",
    "on",
    "after",
    "each",
    "ready-when",
    "done-when",
    "timeout",
    "undo",
];
const FORGET_KEYS: Keys<'_> = &["name", "run", "user", "on", "held-by", "timeout"];
/// Of a command that is run on hosts of a role.
const COMMAND_KEYS: Keys<'_> = &["name", "run", "on", "timeout"];
const UNDO_KEYS: Keys<'_> = &["run", "env", "timeout"];

/// A scalar as text, a list as its items joined by newlines.
pub(crate) fn pairs(w: &mut Walker, fields: &Fields<'_>, key: &str) -> Pairs {
    let mut out = Pairs::new();
    let Some(node) = fields.get(key) else { return out };
    for entry in w.map(node, &format!("`{key}`")).unwrap_or_default() {
        if let Some(value) = w.text(&entry.value, &format!("`{}`", entry.key.value)) {
            out.insert(entry.key.value.clone(), value.value);
        }
    }
    out
}

fn word(w: &mut Walker, fields: &Fields<'_>, key: &str) -> Option<Spanned<String>> {
    fields.get(key).and_then(|n| w.text(n, &format!("`{key}`")))
}

pub(crate) fn word_or(w: &mut Walker, fields: &Fields<'_>, key: &str, default: &str) -> String {
    word(w, fields, key).map_or_else(|| default.to_owned(), |s| s.value)
}

fn words(w: &mut Walker, fields: &Fields<'_>, key: &str) -> Vec<Spanned<String>> {
    fields
        .get(key)
        .map(|n| w.texts(n, &format!("an item of `{key}`")))
        .unwrap_or_default()
}

/// One role or several; `None` where there is none.
pub(crate) fn roles(w: &mut Walker, fields: &Fields<'_>, key: &str) -> Option<Vec<Spanned<String>>> {
    let node = w.require(fields, key)?;
    let roles = w.texts(node, "a role");
    (!roles.is_empty()).then_some(roles)
}

/// The entries of a list that can be read; none where it is not there.
fn list_of<T>(
    w: &mut Walker,
    fields: &Fields<'_>,
    key: &str,
    read: fn(&mut Walker, &Node) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let nodes = w.list(node, &format!("`{key}`")).unwrap_or_default();
    nodes.iter().filter_map(|n| read(w, n)).collect()
}

/// One database or several, the first of which is its user's name too.
fn database(w: &mut Walker, fields: &Fields<'_>) -> Option<Database> {
    let mut names = words(w, fields, "database").into_iter();
    let name = names.next()?;
    Some(Database {
        name,
        others: names.map(|n| n.value).collect(),
    })
}

/// A list for all hosts that have a part of the service, or lists by role, of which
/// `all` is that.
fn packages_of(w: &mut Walker, node: &Node) -> Packages {
    let mut out = Packages::default();
    if !matches!(node.kind, tree::Kind::Map(_)) {
        out.everywhere = plain(w.texts(node, "a package"));
        return out;
    }
    for entry in w.map(node, "packages by role").unwrap_or_default() {
        let names = plain(w.texts(&entry.value, "a package"));
        if entry.key.value == "all" {
            out.everywhere = names;
        } else if ROLES.contains(&entry.key.value.as_str()) {
            out.by_role.insert(entry.key.value.clone(), names);
        } else {
            let message = format!("there is no role `{}`", entry.key.value);
            let finding = w.error("catalog::unknown-role", &entry.key.span, message, "not known");
            w.push(finding.help(format!("known: {}", ROLES.join(", "))));
        }
    }
    out
}

pub(crate) fn plain(words: Vec<Spanned<String>>) -> Vec<String> {
    words.into_iter().map(|s| s.value).collect()
}

fn flag(w: &mut Walker, fields: &Fields<'_>, key: &str, default: bool) -> bool {
    fields
        .get(key)
        .and_then(|n| w.boolean(n, &format!("`{key}`")))
        .map_or(default, |b| b.value)
}

fn file(w: &mut Walker, node: &Node) -> Option<FileSpec> {
    let f = w.fields(node, "a file", FILE_KEYS)?;
    let directory = word(w, &f, "directory");
    let program = word(w, &f, "program");
    let ring = word(w, &f, "ring");
    let nothing = |span: &std::ops::Range<usize>| Spanned::new(String::new(), span.clone());
    let (from, to) = match (directory.or_else(|| program.clone()), &ring) {
        (Some(path), _) => (nothing(&path.span), path),
        (None, Some(ring)) => (
            nothing(&ring.span),
            w.require(&f, "to").and_then(|n| w.text(n, "`to`"))?,
        ),
        (None, None) => (
            w.require(&f, "from").and_then(|n| w.text(n, "`from`"))?,
            w.require(&f, "to").and_then(|n| w.text(n, "`to`"))?,
        ),
    };
    let plain_file = !from.value.is_empty() || ring.is_some();
    let default_mode = match () {
        // Of a link the kernel knows no other.
        () if program.is_some() => "0777",
        () if plain_file => "0644",
        () => "0750",
    };
    let mode_text = word(w, &f, "mode");
    let written = mode_text.as_ref().map_or(default_mode, |m| m.value.as_str());
    let Ok(mode) = u32::from_str_radix(written, 8) else {
        let span = mode_text
            .as_ref()
            .map_or_else(|| node.span.clone(), |m| m.span.clone());
        let finding = w.error(
            "catalog::bad-mode",
            &span,
            format!("`{written}` is not a file mode"),
            "not octal",
        );
        w.push(finding.help("write it as text, such as \"0640\""));
        return None;
    };
    let owns = [
        ("file", Owned::File),
        ("keys", Owned::Keys),
        ("names", Owned::Names),
    ];
    let owned = f.get("own").map_or(Some(Owned::File), |n| {
        w.choice(n, "what is owned of the file", "catalog::unknown-own", &owns)
            .map(|own| own.value)
    });
    let once = flag(w, &f, "once", false);
    if let (Some(Owned::Keys), Some(node)) = (owned, f.get("own"))
        && (once || from.value.rsplit('.').next() != Some("yaml"))
    {
        let message = format!("only keys of `{}` cannot be owned", to.value);
        let label = "it is no file of keys that is kept up";
        let finding = w.error("catalog::own-without-keys", &node.span, message, label);
        w.push(finding.help("`own: keys` stands at a file that comes from a `.yaml`, without `once`"));
    }
    Some(FileSpec {
        shared: owned? == Owned::Keys,
        names: owned? == Owned::Names,
        on: roles(w, &f, "on")?,
        owner: word_or(w, &f, "owner", "root"),
        group: word_or(w, &f, "group", "root"),
        mode,
        restart: words(w, &f, "restart"),
        reload: words(w, &f, "reload"),
        once,
        each: word_or(w, &f, "each", ""),
        identity: word_or(w, &f, "identity", ""),
        when: word_or(w, &f, "when", ""),
        from,
        program: program.is_some(),
        ring,
        to,
    })
}

fn hash_rings(w: &mut Walker, fields: &Fields<'_>) -> IndexMap<String, HashRing> {
    let mut out = IndexMap::new();
    let Some(node) = fields.get("hash-rings") else {
        return out;
    };
    for entry in w.map(node, "`hash-rings`").unwrap_or_default() {
        let Some(f) = w.fields(&entry.value, "a hash ring", HASH_RING_KEYS) else {
            continue;
        };
        let on = w.require(&f, "on").and_then(|n| w.text(n, "`on`"));
        let port = w
            .require(&f, "port")
            .and_then(|n| w.integer(n, "a port", 1..=65535));
        let port = port.and_then(|p| u16::try_from(p.value).ok());
        if let (Some(on), Some(port)) = (on, port) {
            let ring = HashRing {
                on,
                port,
                part_power: word_or(w, &f, "part-power", "12"),
                replicas: word_or(w, &f, "replicas", "3"),
                min_part_hours: word_or(w, &f, "min-part-hours", "1"),
                devices: word_or(w, &f, "devices", "d1"),
            };
            out.insert(entry.key.value.clone(), ring);
        }
    }
    out
}

fn refused(w: &mut Walker, node: &Node) -> Option<Refused> {
    let f = w.fields(node, "what is refused", REFUSED_KEYS)?;
    let mut text = |key: &'static str| w.require(&f, key).and_then(|n| w.text(n, &format!("`{key}`")));
    let (when, why, at, help) = (text("when"), text("why"), text("at"), text("help"));
    Some(Refused {
        warning: flag(w, &f, "warning", false),
        when: when?.value,
        why: why?.value,
        at: at?,
        help: help?.value,
    })
}

fn done_when(w: &mut Walker, fields: &Fields<'_>) -> Option<DoneWhen> {
    let d = w.fields(fields.get("done-when")?, "`done-when`", &["sql", "rows"])?;
    let sql = w.require(&d, "sql").and_then(|n| w.text(n, "`sql`"))?;
    let rows = d.get("rows").map(|n| {
        let mut rows = Vec::new();
        for row in w.list(n, "`rows`").unwrap_or_default() {
            rows.push(plain(w.texts(row, "a column")));
        }
        rows
    });
    Some(DoneWhen { sql: sql.value, rows })
}

fn ready_when(w: &mut Walker, fields: &Fields<'_>) -> Option<String> {
    let ready = w.fields(fields.get("ready-when")?, "`ready-when`", &["sql"])?;
    let sql = w.require(&ready, "sql").and_then(|n| w.text(n, "`sql`"))?;
    Some(sql.value)
}

fn words_of_run(w: &mut Walker, fields: &Fields<'_>) -> Option<Vec<String>> {
    w.require(fields, "run")
        .map(|n| plain(w.texts(n, "a word of `run`")))
}

pub(crate) fn timeout(w: &mut Walker, fields: &Fields<'_>) -> u64 {
    fields
        .get("timeout")
        .and_then(|n| w.integer(n, "a number of seconds", 1..=86_400))
        .and_then(|t| u64::try_from(t.value).ok())
        .unwrap_or(300)
}

fn step(w: &mut Walker, node: &Node) -> Option<Step> {
    let f = w.fields(node, "a step", STEP_KEYS)?;
    let name = w.require(&f, "name").and_then(|n| w.text(n, "`name`"))?;
    let mut step = Step {
        run: words_of_run(w, &f)?,
        user: word_or(w, &f, "user", ""),
        env: pairs(w, &f, "env"),
        on: roles(w, &f, "on")?,
        after: words(w, &f, "after"),
        each: word(w, &f, "each"),
        ready_when: ready_when(w, &f),
        done_when: done_when(w, &f),
        timeout: timeout(w, &f),
        undo: None,
        name,
    };
    if let Some(node) = f.get("undo") {
        let f = w.fields(node, "what takes a step back", UNDO_KEYS)?;
        step.undo = Some(Box::new(Step {
            run: words_of_run(w, &f)?,
            env: pairs(w, &f, "env"),
            each: None,
            ready_when: None,
            done_when: None,
            timeout: timeout(w, &f),
            ..step.clone()
        }));
    }
    Some(step)
}

/// An entry of `left-alone:` or of `faults:`.
fn command(w: &mut Walker, node: &Node) -> Option<Step> {
    let f = w.fields(node, "a command on hosts", COMMAND_KEYS)?;
    bare_step(w, &f)
}

/// An entry of `forget:`.
fn forget(w: &mut Walker, node: &Node) -> Option<Forget> {
    let f = w.fields(node, "what forgets hosts", FORGET_KEYS)?;
    let held_by = f.get("held-by").and_then(|n| {
        let h = w.fields(n, "`held-by`", &["sql", "what", "help"])?;
        let mut text = |key: &'static str| w.require(&h, key).and_then(|n| w.text(n, &format!("`{key}`")));
        let (sql, what, help) = (text("sql"), text("what"), text("help"));
        Some(HeldBy {
            sql: sql?.value,
            what: what?.value,
            help: help?.value,
        })
    });
    Some(Forget {
        step: bare_step(w, &f)?,
        held_by,
    })
}

/// A command without guards.
fn bare_step(w: &mut Walker, f: &Fields<'_>) -> Option<Step> {
    let name = w.require(f, "name").and_then(|n| w.text(n, "`name`"))?;
    step_named(w, f, name)
}

/// A command without guards whose name is its key.
pub(crate) fn step_named(w: &mut Walker, f: &Fields<'_>, name: Spanned<String>) -> Option<Step> {
    Some(Step {
        run: words_of_run(w, f)?,
        user: word_or(w, f, "user", ""),
        env: Pairs::new(),
        on: roles(w, f, "on")?,
        after: Vec::new(),
        each: None,
        ready_when: None,
        done_when: None,
        timeout: timeout(w, f),
        undo: None,
        name,
    })
}

fn support(w: &mut Walker, fields: &Fields<'_>) -> IndexMap<String, Vec<String>> {
    let mut out = IndexMap::new();
    let Some(node) = fields.get("support") else {
        return out;
    };
    for entry in w.map(node, "`support`").unwrap_or_default() {
        let words = plain(w.texts(&entry.value, "a word of a command"));
        out.insert(entry.key.value.clone(), words);
    }
    out
}

/// Reads a `service.yaml`. `None` when it has errors that leave no service.
pub fn service(source: &Arc<Source>, folder: &str, findings: &mut Vec<Diagnostic>) -> Option<Service> {
    let mut walker = Walker::new(source);
    let out = read_service(&mut walker, source, folder);
    findings.extend(walker.finish());
    out
}

fn read_service(w: &mut Walker, source: &Arc<Source>, folder: &str) -> Option<Service> {
    let root = tree::load(w)?;
    let f = w.fields(&root, "the service", SERVICE_KEYS)?;
    let name = w.require(&f, "name").and_then(|n| w.text(n, "`name`"))?;
    let mut components = IndexMap::new();
    if let Some(node) = f.get("components") {
        for entry in w.map(node, "`components`").unwrap_or_default() {
            if let Some(c) = component::read(w, entry.key.clone(), &entry.value) {
                components.insert(entry.key.value.clone(), c);
            }
        }
    }
    let periodic = periodic::read(w, &f);
    for (key, one) in &periodic {
        if components.contains_key(key) {
            let message = format!("`{key}` is a component already");
            let finding = w.error("catalog::duplicate-component", &one.name.span, message, "taken");
            w.push(finding.help("give the work another name: it is a component too"));
            continue;
        }
        components.insert(key.clone(), periodic::component(&name.value, one));
    }
    let settings = settings::read(w, &f);
    let profiles = settings::profiles(w, &f, &settings);
    let mut rings = IndexMap::new();
    if let Some(node) = f.get("rings") {
        for entry in w.map(node, "`rings`").unwrap_or_default() {
            rings.insert(entry.key.value.clone(), w.texts(&entry.value, "a secret"));
        }
    }
    let files = list_of(w, &f, "files", file);
    let refuse = list_of(w, &f, "refuse", refused);
    let steps = list_of(w, &f, "steps", step);
    let forget = list_of(w, &f, "forget", forget);
    let left_alone = list_of(w, &f, "left-alone", command);
    let faults = list_of(w, &f, "faults", command);
    let sql = f.get("sql").and_then(|n| {
        let s = w.fields(n, "`sql`", &["socket", "user"])?;
        Some(SqlAccess {
            socket: word_or(w, &s, "socket", ""),
            user: word_or(w, &s, "user", "root"),
        })
    });
    let broker = f.get("broker").and_then(|n| {
        let b = w.fields(n, "`broker`", &["user"])?;
        Some(Broker {
            user: word_or(w, &b, "user", &name.value),
        })
    });
    Some(Service {
        folder: folder.to_owned(),
        source: Arc::clone(source),
        summary: word_or(w, &f, "summary", ""),
        foundation: flag(w, &f, "foundation", false),
        implied: flag(w, &f, "implied", false),
        releases: plain(words(w, &f, "releases")),
        needs: words(w, &f, "needs"),
        settings,
        profiles,
        secrets: secrets::secrets(w, &f),
        rings,
        hash_rings: hash_rings(w, &f),
        refuse,
        database: database(w, &f),
        broker,
        sql,
        components,
        files,
        sysctls: pairs(w, &f, "sysctls"),
        mask: plain(words(w, &f, "mask")),
        steps,
        forget,
        left_alone,
        faults,
        periodic,
        provides: pairs(w, &f, "provides"),
        properties: pairs(w, &f, "properties"),
        support: support(w, &f),
        guests: crate::guests::read(w, &f),
        journeys: crate::journeys::read(w, &f),
        name,
    })
}

/// Reads a release's file.
pub fn release(source: &Arc<Source>, findings: &mut Vec<Diagnostic>) -> Option<Release> {
    let mut w = Walker::new(source);
    let out = (|| {
        let root = tree::load(&mut w)?;
        let f = w.fields(&root, "the release", &["release", "packages", "values"])?;
        let name = w.require(&f, "release").and_then(|n| w.text(n, "`release`"))?;
        let mut packages = IndexMap::new();
        for family in f
            .get("packages")
            .and_then(|n| w.map(n, "`packages`"))
            .unwrap_or_default()
        {
            let mut by_service = IndexMap::new();
            for entry in w.map(&family.value, "a distribution").unwrap_or_default() {
                by_service.insert(entry.key.value.clone(), packages_of(&mut w, &entry.value));
            }
            packages.insert(family.key.value.clone(), by_service);
        }
        Some(Release {
            name: name.value,
            packages,
            values: values(&mut w, &f),
        })
    })();
    findings.extend(w.finish());
    out
}

/// Service → key → value.
fn values(w: &mut Walker, fields: &Fields<'_>) -> IndexMap<String, Pairs> {
    let node = fields.get("values").and_then(|n| w.map(n, "`values`"));
    let mut out = IndexMap::new();
    for service in node.unwrap_or_default() {
        let mut pairs = Pairs::new();
        for entry in w.map(&service.value, "a service's values").unwrap_or_default() {
            if let Some(value) = w.text(&entry.value, "a value") {
                pairs.insert(entry.key.value.clone(), value.value);
            }
        }
        out.insert(service.key.value.clone(), pairs);
    }
    out
}

/// Reads a platform's file.
pub fn platform(source: &Arc<Source>, findings: &mut Vec<Diagnostic>) -> Option<Platform> {
    let mut w = Walker::new(source);
    let out = (|| {
        let root = tree::load(&mut w)?;
        let f = w.fields(&root, "the platform", &["distributions", "values"])?;
        Some(Platform {
            distributions: plain(words(&mut w, &f, "distributions")),
            values: values(&mut w, &f),
        })
    })();
    findings.extend(w.finish());
    out
}
