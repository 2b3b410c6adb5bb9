//! What only cloud file and catalogue together can tell to be wrong.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use catalog::{Catalog, FileSpec, Release, Service};
use cloud::{Architecture, Cloud, Role, Sections, ServiceName, VipSource};
use diagnostic::{Diagnostic, Source, did_you_mean};
use indexmap::IndexMap;
use names::HostName;

use crate::{Model, Vip, settings};

/// The release, if the catalogue has it.
pub fn release<'c>(
    cloud: &Cloud,
    source: &Arc<Source>,
    catalog: &'c Catalog,
    findings: &mut Vec<Diagnostic>,
) -> Option<&'c Release> {
    let found = catalog.releases.get(&cloud.release.value);
    if found.is_none() {
        let known: Vec<&str> = catalog.releases.keys().map(String::as_str).collect();
        findings.push(
            Diagnostic::error(
                "release::unknown",
                source,
                cloud.release.span.clone(),
                format!("the catalogue has no release `{}`", cloud.release.value),
                "not known",
            )
            .help(format!("known: {}", known.join(", "))),
        );
    }
    found
}

/// The distribution has the release, and the release's packages there all services.
pub fn distribution(cloud: &Cloud, source: &Arc<Source>, catalog: &Catalog, findings: &mut Vec<Diagnostic>) {
    let here = cloud.distribution.as_str();
    // Of a release that nobody knows, that is all there is to say.
    let Some(release) = catalog.releases.get(&cloud.release.value) else {
        return;
    };
    let Some(packages) = release.packages.get(here) else {
        let known: Vec<String> = catalog
            .releases
            .values()
            .flat_map(|r| r.packages.keys().map(|d| format!("{} on {d}", r.name)))
            .collect();
        findings.push(
            Diagnostic::error(
                "release::not-on-distribution",
                source,
                cloud.release.span.clone(),
                format!("there are no packages of release {} for {here}", release.name),
                format!("not on {here}"),
            )
            .help(format!("known: {}", known.join(", "))),
        );
        return;
    };
    for name in &cloud.services {
        // One that no release has packages of (of an overlay, or all in files) needs none.
        let word = name.value.as_str();
        let mut all = catalog.releases.values().flat_map(|r| r.packages.values());
        if all.any(|p| p.contains_key(word)) && !packages.contains_key(word) {
            findings.push(
                Diagnostic::error(
                    "service::not-packaged",
                    source,
                    name.span.clone(),
                    format!(
                        "release {} has no packages of `{}` for {here}",
                        release.name, name.value
                    ),
                    format!("not on {here}"),
                )
                .help("leave it out, or take another release or distribution"),
            );
        }
    }
}

/// The foundation and the services asked for.
pub fn services(
    cloud: &Cloud,
    source: &Arc<Source>,
    catalog: &Catalog,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Service> {
    let mut out: Vec<Service> = catalog
        .services
        .values()
        .filter(|s| s.foundation)
        .cloned()
        .collect();
    // What others need and nobody asks for by name, before them.
    let implied = catalog.services.values().filter(|s| s.implied);
    let needed = |name: &str| {
        let asked = cloud
            .services
            .iter()
            .filter_map(|s| catalog.services.get(s.value.as_str()));
        asked.flat_map(|s| &s.needs).any(|n| n.value == name)
    };
    out.extend(implied.filter(|s| needed(&s.name.value)).cloned());
    let known: Vec<&str> = catalog
        .services
        .values()
        .filter(|s| !s.foundation && !s.implied)
        .map(|s| s.name.value.as_str())
        .collect();
    let asked: Vec<&str> = cloud.services.iter().map(|s| s.value.as_str()).collect();
    for name in &cloud.services {
        let Some(service) = catalog.services.get(name.value.as_str()) else {
            let finding = Diagnostic::error(
                "service::unknown",
                source,
                name.span.clone(),
                format!("the catalogue has no service `{}`", name.value),
                "not known",
            );
            findings.push(match did_you_mean(name.value.as_str(), known.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("known: {}; others by `--catalog DIR`", known.join(", "))),
            });
            continue;
        };
        // Of a release that nobody knows, that is all there is to say.
        let known_release = catalog.releases.contains_key(&cloud.release.value);
        if known_release && !service.releases.is_empty() && !service.releases.contains(&cloud.release.value) {
            findings.push(
                Diagnostic::error(
                    "release::lacks-service",
                    source,
                    name.span.clone(),
                    format!("release {} has no `{}`", cloud.release.value, name.value),
                    "not in this release",
                )
                .also(cloud.release.span.clone(), "the release")
                .help(format!(
                    "`{}` is there in: {}",
                    name.value,
                    service.releases.join(", ")
                )),
            );
        }
        for need in &service.needs {
            let needed = catalog.services.get(&need.value);
            let there = needed.is_some_and(|s| s.foundation || s.implied);
            if !there && !asked.contains(&need.value.as_str()) {
                findings.push(
                    Diagnostic::error(
                        "service::needs",
                        source,
                        name.span.clone(),
                        format!("`{}` cannot do without `{}`", name.value, need.value),
                        format!("needs `{}`", need.value),
                    )
                    .help(format!("add `{}` to `services`", need.value)),
                );
            }
        }
        if !out.iter().any(|s| s.name.value == service.name.value) {
            out.push(service.clone());
        }
    }
    let all: Vec<&str> = out.iter().map(|s| s.name.value.as_str()).collect();
    for (name, settings) in &cloud.settings {
        unknown_service(name, &settings.key, &all, source, findings);
        let Some(service) = out.iter().find(|s| s.name.value == name.as_str()) else {
            continue;
        };
        settings::judge(service, &settings.value.value, source, findings);
    }
    out
}

fn unknown_service(
    name: &ServiceName,
    span: &std::ops::Range<usize>,
    known: &[&str],
    source: &Arc<Source>,
    findings: &mut Vec<Diagnostic>,
) {
    if known.contains(&name.as_str()) {
        return;
    }
    let finding = Diagnostic::error(
        "service::not-in-cloud",
        source,
        span.clone(),
        format!("this cloud has no service `{name}`"),
        "not part of the cloud",
    );
    findings.push(match did_you_mean(name.as_str(), known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("it has: {}", known.join(", "))),
    });
}

/// What the file may say and this version does not build: said, never passed over.
pub fn not_built(cloud: &Cloud, source: &Arc<Source>, findings: &mut Vec<Diagnostic>) {
    if cloud.architecture == Architecture::Keepalived {
        let at = source
            .text
            .find("architecture:")
            .map_or(0..0, |i| i..i + "architecture".len());
        let word = cloud.architecture.as_str();
        findings.push(
            Diagnostic::error(
                "architecture::not-built",
                source,
                at,
                format!("this version does not build the architecture `{word}`"),
                "not yet",
            )
            .help("leave it out, or write `full` or `core`"),
        );
    }
    for host in cloud.hosts.iter().filter(|h| h.has(Role::Arbitrator)) {
        findings.push(
            Diagnostic::error(
                "role::not-built",
                source,
                host.roles.span.clone(),
                "this version does not build arbitrators",
                "would have no vote",
            )
            .help("take an odd number of controllers"),
        );
    }
}

/// One virtual address a service that is balanced, spread over the balancers.
pub fn vips(model: &Model, source: &Arc<Source>, findings: &mut Vec<Diagnostic>) -> IndexMap<String, Vip> {
    let balancers: Vec<HostName> = model
        .cloud
        .hosts_with(Role::Balancer)
        .map(|h| h.name.value.clone())
        .collect();
    let wanted: Vec<&str> = model
        .services
        .values()
        .filter(|p| p.service.components.values().any(|c| c.endpoint.is_some()))
        .map(|p| p.service.name.value.as_str())
        .collect();
    for (name, pin) in &model.cloud.vips.pins {
        unknown_service(name, &pin.key, &wanted, source, findings);
    }
    let pins: IndexMap<&str, IpAddr> = model
        .cloud
        .vips
        .pins
        .iter()
        .map(|(name, pin)| (name.as_str(), pin.value.value))
        .collect();
    let mut free: Box<dyn Iterator<Item = IpAddr>> = match &model.cloud.vips.source {
        VipSource::Pool(pool) => {
            let taken: Vec<IpAddr> = pins.values().copied().collect();
            Box::new(pool.value.iter().filter(move |a| !taken.contains(a)))
        }
        VipSource::Shared(address) => Box::new(std::iter::repeat(address.value)),
    };
    let mut out = IndexMap::new();
    let mut short = 0;
    for (index, service) in wanted.iter().enumerate() {
        let Some(address) = pins.get(service).copied().or_else(|| free.next()) else {
            short += 1;
            continue;
        };
        let prefix = model
            .cloud
            .networks
            .iter()
            .find(|n| n.cidr.value.contains(&address))
            .map_or(if address.is_ipv4() { 32 } else { 128 }, |n| {
                n.cidr.value.prefix_len()
            });
        let turn = if model.shared_vip() { 0 } else { index };
        let mut hosts = balancers.clone();
        if !hosts.is_empty() {
            let by = turn % hosts.len();
            hosts.rotate_left(by);
        }
        out.insert(
            (*service).to_owned(),
            Vip {
                service: (*service).to_owned(),
                address,
                prefix,
                hosts,
            },
        );
    }
    if short > 0 {
        let span = match &model.cloud.vips.source {
            VipSource::Pool(pool) => pool.span.clone(),
            VipSource::Shared(address) => address.span.clone(),
        };
        findings.push(
            Diagnostic::error(
                "vip::pool-too-small",
                source,
                span,
                format!(
                    "{} services are balanced and the pool is too small by {short}",
                    wanted.len()
                ),
                format!("{short} too few"),
            )
            .help(format!("make room for {}: {}", wanted.len(), wanted.join(", "))),
        );
    }
    out
}

/// `config:` and `shared-files:` name files that some service of the cloud writes, `config:`
/// keys that are not the catalogue's own.
pub fn overrides(model: &Model, source: &Arc<Source>, findings: &mut Vec<Diagnostic>) {
    let files: Vec<(&Service, &FileSpec)> = model
        .services
        .values()
        .flat_map(|p| p.service.files.iter().map(|f| (&p.service, f)))
        // The rest is text of its own form, without sections.
        .filter(|(_, f)| catalog::is_data(f))
        .collect();
    let known: Vec<&str> = files.iter().map(|(_, f)| f.to.value.as_str()).collect();
    for (file, sections) in &model.cloud.config {
        if let Some((service, spec)) = files.iter().find(|(_, f)| f.to.value == *file) {
            keys(model, service, spec, &sections.value.value, source, findings);
            continue;
        }
        findings.push(unknown_file(file, &sections.key, &known, source));
    }
    let shared = model.cloud.shared_files.iter();
    for path in shared.filter(|path| !known.contains(&path.value.as_str())) {
        findings.push(unknown_file(&path.value, &path.span, &known, source));
    }
}

fn unknown_file(file: &str, span: &Range<usize>, known: &[&str], source: &Arc<Source>) -> Diagnostic {
    let message = format!("no service of this cloud writes `{file}` by section and key");
    let finding = Diagnostic::error("config::unknown-file", source, span.clone(), message, "not known");
    match did_you_mean(file, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(format!("known: {}", known.join(", "))),
    }
}

/// Keys on which high availability rests are nobody's to set, each with its reason;
/// of others some are better not set.
fn keys(
    model: &Model,
    service: &Service,
    file: &FileSpec,
    sections: &Sections,
    source: &Arc<Source>,
    findings: &mut Vec<Diagnostic>,
) {
    for (section, keys) in sections {
        for (key, value) in &keys.value.value {
            let to = &file.to.value;
            let given = value.value.value.as_ref().map(ToString::to_string);
            let beside = |name: &str| {
                let other = keys.value.value.iter().find(|(key, _)| *key == name);
                other.and_then(|(_, other)| other.value.value.as_ref().map(ToString::to_string))
            };
            let text = given.as_deref().unwrap_or_default();
            if let Some(reason) = model.catalog.unsafe_value(key, text, beside) {
                let message = format!("`{key}` of `[{section}]` in `{to}`: {reason}");
                let finding = Diagnostic::error(
                    "config::unsafe",
                    source,
                    value.key.clone(),
                    message,
                    "for a while at most",
                );
                findings.push(finding.help("leave it out of a cloud that is used").warning());
            }
            let Some(reason) = model.catalog.owned(service, file, section, key) else {
                continue;
            };
            let message = format!("`{key}` of `[{section}]` in `{to}` is not to be set: {reason}");
            let label = "high availability rests on it";
            findings.push(
                Diagnostic::error("config::owned", source, value.key.clone(), message, label)
                    .help("leave it out: quorate writes it"),
            );
        }
    }
}

/// `cures:` names what the catalogue knows and what this cloud can have.
pub fn cures(model: &Model, source: &Arc<Source>, findings: &mut Vec<Diagnostic>) {
    for asked in &model.cloud.cures {
        let name = asked.value.as_str();
        let known: Vec<&str> = model.catalog.cures.keys().map(String::as_str).collect();
        if !known.contains(&name) {
            let finding = Diagnostic::error(
                "cure::unknown",
                source,
                asked.span.clone(),
                format!("the catalogue has no cure `{name}`"),
                "not known",
            );
            findings.push(match did_you_mean(name, known.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("known: {}", known.join(", "))),
            });
        } else if !model.cures().any(|c| c.name == name) {
            let message = format!("nothing in this cloud has what `{name}` cures");
            findings.push(
                Diagnostic::error("cure::not-here", source, asked.span.clone(), message, "changes nothing")
                    .help("take it out: it is for another release or distribution, or for services that are not here")
                    .warning(),
            );
        }
    }
}
