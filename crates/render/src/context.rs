//! What templates and expressions of the catalogue can see, and their language:
//! minijinja with undefined names refused.

use std::net::IpAddr;
use std::sync::Arc;

use catalog::Spanned;
use diagnostic::Diagnostic;
use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use model::Model;
use names::HostName;
use serde::Serialize;
use wire::Content;

use crate::ini::{Data, Rendered};
use crate::memo::{Memo, Reads};
use crate::scope::{Names, Own};
use crate::views::{BrakeView, ChecksView, EndpointView, MemberView, at_once, clustered, host_view, watched};
use crate::{balancer, corosync};

/// Where an expression stands.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Its service: `settings` and short secret names are that service's.
    pub service: &'a str,
    /// The host it is for, if for one.
    pub host: Option<&'a str>,
    /// `item` of a repeated file.
    pub item: Option<&'a str>,
}

/// The placeholder of a secret. The brackets occur in no configuration file.
pub fn secret(name: &str) -> String {
    format!("\u{27e6}secret:{name}\u{27e7}")
}

/// An address as it stands in a URL or before a port.
pub fn url_host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// The numbers that an address is written with, all of them: four below 256, or
/// eight below 65536. For configuration files that are program text, in which an
/// address is a tuple.
fn numbers(address: &str) -> Vec<u16> {
    match address.parse() {
        Ok(IpAddr::V4(v4)) => v4.octets().map(u16::from).to_vec(),
        Ok(IpAddr::V6(v6)) => v6.segments().to_vec(),
        Err(_) => Vec::new(),
    }
}

/// A file's bytes, and whether a secret is among them.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The bytes.
    pub content: Content,
    /// It holds a placeholder.
    pub secret: bool,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self {
            secret: text.contains('\u{27e6}'),
            content: text.into(),
        }
    }
}

/// Results that hosts have in common.
#[derive(Default)]
struct Memos {
    texts: Memo<String>,
    conditions: Memo<bool>,
    items: Memo<Vec<String>>,
    files: Memo<Text>,
    rendered: Memo<Rendered>,
    data: IndexMap<String, Arc<Data>>,
}

/// The function `secret` of a service's templates: a short name is the service's own.
fn secrets_of(service: &str) -> Value {
    let own = service.to_owned();
    Value::from_function(move |name: String| {
        secret(&if name.contains('/') {
            name
        } else {
            format!("{own}/{name}")
        })
    })
}

/// The environment of all templates of one rendering.
pub struct Templates {
    env: Environment<'static>,
    catalog: Arc<catalog::Catalog>,
    base: Arc<IndexMap<String, Value>>,
    hosts: IndexMap<HostName, Value>,
    own: IndexMap<String, Arc<Own>>,
    /// Settings of all services, as the budget reads them.
    settings: Value,
    memos: Memos,
    sources: IndexMap<String, Arc<diagnostic::Source>>,
    findings: Vec<Diagnostic>,
    /// The budget's numbers as text, by name.
    pub(crate) numbers: IndexMap<String, String>,
}

/// That settings of this cloud break a law of the budget.
fn broken(model: &Model, law: &catalog::Law, numbers: &IndexMap<String, Value>) -> Diagnostic {
    let setting = law.at.as_ref().map_or("", |at| at.value.as_str());
    let (service, key) = setting.split_once('.').unwrap_or((setting, ""));
    let named = numbers.iter().filter(|(name, _)| {
        law.holds
            .value
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .any(|w| w == name.as_str())
    });
    let are: Vec<String> = named.map(|(name, value)| format!("{name} is {value}")).collect();
    let message = format!(
        "`{setting}` breaks a law of the budget of times, so it no longer holds that {}",
        law.why
    );
    Diagnostic::error(
        "budget::broken",
        &model.source,
        model.place(service, key),
        message,
        "too short or too long",
    )
    .help(format!(
        "`{}` must hold, and {}: see docs/concepts/budget.md",
        law.holds.value,
        are.join(", ")
    ))
    .warning()
}

/// A function of file, section, key and a default: the whole number that the operator's
/// `config` has there. What is no number is the service's own to refuse.
fn asked_number(
    config: &cloud::Overrides,
) -> impl Fn(String, String, String, i64) -> i64 + Send + Sync + use<> {
    let mut numbers: IndexMap<(String, String, String), i64> = IndexMap::new();
    for (file, sections) in config {
        for (section, keys) in &sections.value.value {
            for (key, value) in &keys.value.value {
                let number = value.value.value.as_ref().map(ToString::to_string);
                if let Some(number) = number.and_then(|n| n.parse().ok()) {
                    numbers.insert((file.clone(), section.clone(), key.clone()), number);
                }
            }
        }
    }
    move |file, section, key, default| numbers.get(&(file, section, key)).copied().unwrap_or(default)
}

/// The bytes of a line, counted from one.
fn line(text: &str, number: usize) -> std::ops::Range<usize> {
    let mut at = 0;
    for (line, count) in text.split_inclusive('\n').zip(1..) {
        if count == number {
            return at..at + line.trim_end().len();
        }
        at += line.len();
    }
    0..0
}

fn value(data: impl Serialize) -> Value {
    Value::from(Serde(data))
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .lstrip_blocks(true);
    // The delimiters are the library's own; only changed ones can be refused.
    if let Ok(syntax) = syntax.build() {
        env.set_syntax(syntax);
    }
    // Configuration files are not HTML: nothing is escaped.
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env
}

impl Templates {
    /// Prepares everything that does not depend on a host.
    pub fn new(model: &Model, findings: &mut Vec<Diagnostic>) -> Self {
        let nodes = crate::cluster::nodes(model);
        let corosync = corosync::of(model, &nodes);
        let ids = nodes.into_iter().collect();
        let views = model.cloud.hosts.iter().map(|h| host_view(model, &ids, h));
        let hosts: IndexMap<HostName, Value> = views.map(|v| (v.name.clone(), value(&v))).collect();
        let mut roles: IndexMap<String, Value> = IndexMap::new();
        for role in cloud::Role::WORDS
            .iter()
            .map(|(word, _)| *word)
            .chain(["cluster", "all"])
        {
            let of = model.cloud.hosts.iter().zip(hosts.values());
            let of = of.filter(|(host, _)| model.has(host, role));
            roles.insert(role.to_owned(), of.map(|(_, view)| view.clone()).collect());
        }
        let vips: IndexMap<&str, String> = model
            .vips
            .iter()
            .map(|(service, vip)| (service.as_str(), vip.address.to_string()))
            .collect();
        let endpoints: Vec<EndpointView> = model
            .served()
            .into_iter()
            .map(|s| {
                let members = balancer::servers(model, &s)
                    .map(|(name, address)| MemberView {
                        name: name.clone(),
                        address: address.to_string(),
                        url_address: url_host(address),
                    })
                    .collect();
                let scheme = if s.endpoint.tls { "https" } else { "http" };
                let known = s.endpoint.process_port().and(model.services.get(&s.service));
                EndpointView {
                    at_once: known.and_then(|placed| at_once(&placed.settings)),
                    process_port: s.endpoint.process_port(),
                    name: s.resource.to_string(),
                    mode: s.endpoint.mode,
                    port: s.endpoint.port.value,
                    url: format!(
                        "{scheme}://{}:{}{}",
                        url_host(s.vip),
                        s.endpoint.port.value,
                        s.endpoint.path
                    ),
                    path: s.endpoint.path,
                    check: s.endpoint.check,
                    check_port: s.endpoint.check_port.unwrap_or(s.endpoint.port.value),
                    tls: s.endpoint.tls,
                    backend_tls: s.endpoint.backend_tls,
                    single_writer: s.endpoint.single_writer,
                    service_type: s.endpoint.service_type,
                    checks: ChecksView::from(s.endpoint.checks),
                    options: s.endpoint.options,
                    websocket: s.endpoint.websocket,
                    connections: s.endpoint.connections,
                    brake: s.endpoint.brake.map(BrakeView::from),
                    fallback: s.fallback,
                    vip: s.vip.to_string(),
                    service: s.service,
                    members,
                }
            })
            .collect();
        let mut base = IndexMap::new();
        base.insert(
            "cloud".to_owned(),
            context! {
                name => model.cloud.name.as_str(),
                release => &model.cloud.release.value,
                region => &model.cloud.region.value,
                profile => model.cloud.profile.as_str(),
                architecture => model.cloud.architecture.as_str(),
                distribution => model.cloud.distribution.as_str(),
            },
        );
        base.insert(
            "upkeep".to_owned(),
            context! { keys_every => model.cloud.upkeep.keys_every },
        );
        base.insert("roles".to_owned(), Value::from_pairs(roles));
        base.insert(
            "corosync".to_owned(),
            context! {
                totem => &corosync.totem,
                quorum => &corosync.quorum,
                nodelist => corosync.nodelist(),
            },
        );
        base.insert("vips".to_owned(), value(&vips));
        base.insert("endpoints".to_owned(), value(&endpoints));
        base.insert("watched".to_owned(), value(watched(model)));
        base.insert("clustered".to_owned(), value(clustered(model)));
        base.insert(
            "services".to_owned(),
            value(model.services.keys().collect::<Vec<_>>()),
        );
        let brokers: Vec<IndexMap<&str, &str>> = model
            .services
            .iter()
            .filter_map(|(name, placed)| {
                let broker = placed.service.broker.as_ref()?;
                Some(
                    [("service", name.as_str()), ("user", broker.user.as_str())]
                        .into_iter()
                        .collect(),
                )
            })
            .collect();
        base.insert("brokers".to_owned(), value(&brokers));
        base.insert("links".to_owned(), Value::from(model.cloud.links().count()));
        let servers: Vec<&str> = model
            .cloud
            .time_servers
            .iter()
            .map(|s| s.value.as_str())
            .collect();
        base.insert("time_servers".to_owned(), value(&servers));
        let all = || model.services.iter().chain(&model.others);
        let settings: IndexMap<&String, Value> = all().map(|(n, p)| (n, value(&p.settings))).collect();
        let own = |(name, placed): (&String, &model::Placed)| {
            let own = Own {
                settings: settings.get(name).cloned().unwrap_or_default(),
                platform: value(&placed.platform),
                service: Value::from(name.as_str()),
                secret: secrets_of(name),
            };
            (name.clone(), Arc::new(own))
        };
        let mut out = Self {
            env: environment(),
            catalog: Arc::clone(&model.catalog),
            base: Arc::new(base),
            hosts,
            own: all().map(own).collect(),
            settings: value(&settings),
            memos: Memos::default(),
            sources: model
                .services
                .iter()
                .chain(&model.others)
                .map(|(name, placed)| (name.clone(), Arc::clone(&placed.service.source)))
                .collect(),
            findings: Vec::new(),
            numbers: IndexMap::new(),
        };
        out.env.add_filter("url_host", |address: String| {
            address.parse().map_or(address, url_host)
        });
        out.env.add_filter("numbers", numbers);
        crate::quote::filters(&mut out.env);
        out.env
            .add_function("asked_number", asked_number(&model.cloud.config));
        out.env.add_test("ipv6", |address: &str| {
            address.parse::<IpAddr>().is_ok_and(|a| a.is_ipv6())
        });
        out.budget(model);
        // What services tell each other, in the order of the services: one may use what stands before it.
        let mut provided: IndexMap<String, IndexMap<String, String>> = IndexMap::new();
        for (name, placed) in &model.services {
            let scope = Scope {
                service: name,
                host: None,
                item: None,
            };
            let values: IndexMap<String, String> = placed
                .service
                .provides
                .iter()
                .map(|(k, v)| (k.clone(), out.text(&scope, v)))
                .collect();
            provided.insert(name.clone(), values);
            Arc::make_mut(&mut out.base).insert("provided".to_owned(), value(&provided));
            out.memos = Memos::default();
        }
        findings.append(&mut out.findings);
        out
    }

    /// What an expression over the settings of all services and the budget's numbers so
    /// far is.
    fn counted(
        &self,
        expression: &str,
        numbers: &IndexMap<String, Value>,
    ) -> Result<Value, minijinja::Error> {
        let mut values = numbers.clone();
        values.insert("settings".to_owned(), self.settings.clone());
        self.env
            .compile_expression(expression)
            .and_then(|e| e.eval(Value::from_pairs(values)))
    }

    /// The budget in this cloud, which templates read from then on; what is wrong with
    /// its file, and its laws that settings of this cloud break.
    fn budget(&mut self, model: &Model) {
        let catalog = Arc::clone(&self.catalog);
        let mut numbers: IndexMap<String, Value> = IndexMap::new();
        for number in &catalog.budget.numbers {
            match self.counted(&number.is.value, &numbers) {
                Ok(value) => {
                    numbers.insert(number.name.clone(), value);
                }
                Err(error) => self.miscounted(&number.is, &error),
            }
        }
        for law in &catalog.budget.laws {
            match self.counted(&law.holds.value, &numbers) {
                Ok(holds) if holds.is_true() => {}
                Ok(_) => self.push(broken(model, law, &numbers)),
                Err(error) => self.miscounted(&law.holds, &error),
            }
        }
        self.numbers = numbers
            .iter()
            .map(|(name, v)| (name.clone(), v.to_string()))
            .collect();
        Arc::make_mut(&mut self.base).insert("budget".to_owned(), value(&numbers));
    }

    fn miscounted(&mut self, at: &Spanned<String>, error: &minijinja::Error) {
        let source = self.catalog.source(catalog::BUDGET);
        let message = format!("cannot work out a number of the budget: {error}");
        let finding = Diagnostic::error("catalog::template", &source, at.span.clone(), message, "here");
        self.push(finding.help("it may use `settings` and the numbers before it"));
    }

    fn scope(&self, scope: &Scope<'_>) -> Value {
        let own = self.own.get(scope.service).cloned();
        Value::from_object(Names {
            base: Arc::clone(&self.base),
            own: own.unwrap_or_else(|| {
                Arc::new(Own {
                    service: Value::from(scope.service),
                    secret: secrets_of(scope.service),
                    ..Own::default()
                })
            }),
            host: scope.host.and_then(|h| self.hosts.get(h)).cloned(),
            item: scope.item.map(Value::from),
        })
    }

    fn fail(&mut self, scope: &Scope<'_>, what: &str, error: &minijinja::Error) {
        // In a file of its own the line is known, in service.yaml the text.
        let file = error.name().filter(|name| self.catalog.files.contains_key(*name));
        let (source, span) = match (file, self.sources.get(scope.service)) {
            (Some(path), _) => {
                let source = self.catalog.source(path);
                let span = line(&source.text, error.line().unwrap_or(1));
                (source, span)
            }
            (None, Some(source)) => {
                let at = source.text.find(what).unwrap_or(0);
                let span = at..(at + if at == 0 { 0 } else { what.len() });
                (Arc::clone(source), span)
            }
            (None, None) => return,
        };
        let message = format!("cannot render a template of `{}`: {error}", scope.service);
        let finding = Diagnostic::error("catalog::template", &source, span, message, "here")
            .help("CONTRIBUTING.md tells what templates see");
        // The same on every host.
        self.push(finding);
    }

    /// Renders a template that is compiled once and rendered for one host after the other.
    ///
    /// `name` is that of errors, which are those of a template of that name alone: it is kept
    /// under another, so that none can include it.
    fn compiled(&mut self, name: Option<&str>, text: &str, names: Value) -> Result<String, minijinja::Error> {
        let kept = format!("\u{1}{}", name.unwrap_or(text));
        if self.env.get_template(&kept).is_err() {
            // What cannot be compiled is told below, as of its own name.
            let _ = self.env.add_template_owned(kept.clone(), text.to_owned());
        }
        let rendered = self.env.get_template(&kept).and_then(|t| t.render(names.clone()));
        rendered.or_else(|_| match name {
            Some(name) => self.env.render_named_str(name, text, names),
            None => self.env.render_str(text, names),
        })
    }

    /// Renders a short text.
    pub fn text(&mut self, scope: &Scope<'_>, text: &str) -> String {
        if !text.contains("{{") && !text.contains("{%") {
            return text.to_owned();
        }
        if let Some(done) = self.memos.texts.get(text, scope) {
            return done;
        }
        self.reads(text);
        let names = self.scope(scope);
        match self.compiled(None, text, names) {
            Ok(out) => {
                self.memos.texts.keep(text, scope, &out);
                out
            }
            Err(error) => {
                self.fail(scope, text, &error);
                String::new()
            }
        }
    }

    /// Names that a short text reads.
    pub(crate) fn reads(&mut self, text: &str) -> Reads {
        let env = &self.env;
        self.memos.texts.reads(text, || Reads::template(env, text))
    }

    /// Whether a condition holds; an empty one does.
    pub fn holds(&mut self, scope: &Scope<'_>, condition: &str) -> bool {
        if condition.is_empty() {
            return true;
        }
        if let Some(done) = self.memos.conditions.get(condition, scope) {
            return done;
        }
        let env = &self.env;
        (self.memos.conditions).reads(condition, || Reads::expression(env, condition));
        let result = self
            .env
            .compile_expression(condition)
            .and_then(|e| e.eval(self.scope(scope)))
            .map(|v| v.is_true());
        match result {
            Ok(holds) => {
                self.memos.conditions.keep(condition, scope, &holds);
                holds
            }
            Err(error) => {
                self.fail(scope, condition, &error);
                false
            }
        }
    }

    /// The items of a list expression, as text.
    pub fn items(&mut self, scope: &Scope<'_>, expression: &str) -> Vec<String> {
        if let Some(done) = self.memos.items.get(expression, scope) {
            return done;
        }
        let env = &self.env;
        (self.memos.items).reads(expression, || Reads::expression(env, expression));
        let result = self
            .env
            .compile_expression(expression)
            .and_then(|e| e.eval(self.scope(scope)))
            .and_then(|v| v.try_iter().map(|items| items.map(|i| i.to_string()).collect()));
        match result {
            Ok(items) => {
                self.memos.items.keep(expression, scope, &items);
                items
            }
            Err(error) => {
                self.fail(scope, expression, &error);
                Vec::new()
            }
        }
    }

    /// Renders a file of the catalogue.
    pub fn file(&mut self, scope: &Scope<'_>, path: &str) -> Text {
        if let Some(done) = self.memos.files.get(path, scope) {
            return done;
        }
        let Some(text) = self.catalog.files.get(path).cloned() else {
            return Text::default();
        };
        let env = &self.env;
        self.memos.files.reads(path, || Reads::template(env, &text));
        let names = self.scope(scope);
        match self.compiled(Some(path), &text, names) {
            Ok(out) => {
                let out = Text::from(out);
                self.memos.files.keep(path, scope, &out);
                out
            }
            Err(error) => {
                self.fail(scope, path, &error);
                Text::default()
            }
        }
    }

    /// A file of the catalogue, for findings.
    pub fn source(&self, path: &str) -> Arc<diagnostic::Source> {
        self.catalog.source(path)
    }

    /// A file of the catalogue that is written as it is.
    pub fn plain(&mut self, scope: &Scope<'_>, path: &str) -> Text {
        if let Some(done) = self.memos.files.get(path, scope) {
            return done;
        }
        let text = Text::from(self.raw(path).cloned().unwrap_or_default());
        self.memos.files.reads(path, || Reads::NONE);
        self.memos.files.keep(path, scope, &text);
        text
    }

    /// A file of data, read once.
    pub(crate) fn data(&mut self, path: &str) -> Option<Arc<Data>> {
        if let Some(data) = self.memos.data.get(path) {
            return Some(Arc::clone(data));
        }
        let text = self.raw(path)?.clone();
        let data = Arc::new(Data::read(self, path, text));
        self.memos.data.insert(path.to_owned(), Arc::clone(&data));
        Some(data)
    }

    /// The results of files of data.
    pub(crate) fn rendered(&mut self) -> &mut Memo<Rendered> {
        &mut self.memos.rendered
    }

    /// A file of the catalogue as it is.
    pub fn raw(&self, path: &str) -> Option<&String> {
        self.catalog.files.get(path)
    }

    /// Adds a finding, once.
    pub fn push(&mut self, finding: Diagnostic) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// What went wrong.
    pub fn finish(self) -> Vec<Diagnostic> {
        self.findings
    }
}
