//! `quorate check`: everything that is wrong with a cloud file or with a
//! catalogue, at once.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use catalog::Catalog;
use diagnostic::{Diagnostic, Source};

use crate::args::{CheckArgs, Output};
use crate::beside;
use crate::failure::Failure;
use crate::project::{draw, judge, load};
use crate::say;

/// The cloud file where none is named.
const FILE: &str = "cloud.yaml";

/// Runs it. Findings go to standard error as text, to standard output as JSON.
pub fn run(args: &CheckArgs, overlays: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let file = match &args.file {
        Some(file) => Some(file.as_path()),
        None if overlays.is_empty() || Utf8Path::new(FILE).exists() => Some(Utf8Path::new(FILE)),
        None => None,
    };
    let mut good = Vec::new();
    let mut findings = Vec::new();
    if !overlays.is_empty() {
        let (said, more) = catalogue(overlays)?;
        good.extend(said);
        findings.extend(more);
    }
    if let Some(file) = file {
        let (said, more) = cloud_file(file, overlays)?;
        good.extend(said);
        // The catalogue's own were found already.
        findings.extend(
            more.into_iter()
                .filter(|f| !findings.contains(f))
                .collect::<Vec<_>>(),
        );
    }
    let errors = findings.iter().any(Diagnostic::is_error);
    match args.output {
        Output::Json => say::outln!("{}", serde_json::to_string_pretty(&findings)?),
        Output::Text => {
            if !findings.is_empty() {
                say::drawn(&draw(&findings));
            }
            for line in good {
                say::outln!("{line}");
            }
        }
    }
    Ok(if errors {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// What is to be said, and the findings. A line is said of what is good.
type Judged = (Option<String>, Vec<Diagnostic>);

fn cloud_file(file: &Utf8Path, overlays: &[Utf8PathBuf]) -> Result<Judged, Failure> {
    let (project, mut findings) = load(file, overlays)?;
    if let Some(project) = &project {
        findings.extend(beside::missing(
            &project.model,
            file.parent().unwrap_or(Utf8Path::new("")),
        ));
    }
    let good = !findings.iter().any(Diagnostic::is_error);
    let said = project.filter(|_| good).map(|project| {
        let asked = &project.model.cloud.cures;
        let others = project
            .model
            .cures()
            .filter(|c| asked.iter().all(|a| a.value != c.name));
        let others = others.fold(String::new(), |mut out, cure| {
            let _ = write!(
                out,
                "\nnot cured: {} (`cures: [{}]`, {})",
                cure.summary, cure.name, cure.package
            );
            out
        });
        let services = project.model.services.values();
        format!(
            "{file}: {} hosts, {} services, {} virtual addresses: good{others}",
            project.model.cloud.hosts.len(),
            services.filter(|p| !p.service.foundation).count(),
            project.model.vips.len()
        )
    });
    Ok((said, findings))
}

/// The catalogue by itself, and what it makes of a cloud that has all of its services.
fn catalogue(overlays: &[Utf8PathBuf]) -> Result<Judged, Failure> {
    let (catalog, mut findings) = crate::project::catalog(overlays)?;
    if !findings.iter().any(Diagnostic::is_error) {
        for cloud in clouds(&catalog) {
            let more = judge(&cloud, &catalog).1;
            findings.extend(
                more.into_iter()
                    .filter(|f| !findings.contains(f))
                    .collect::<Vec<_>>(),
            );
        }
    }
    let names: Vec<&str> = overlays.iter().map(|o| o.as_str()).collect();
    let good = !findings.iter().any(Diagnostic::is_error);
    let said = good.then(|| {
        format!(
            "{}: {} services, {} releases: good",
            names.join(", "),
            catalog.services.len(),
            catalog.releases.len()
        )
    });
    Ok((said, findings))
}

/// For each release and distribution a cloud of everything that it has, in each
/// family of addresses: what a template says is seen only in a cloud.
fn clouds(catalog: &Catalog) -> Vec<Arc<Source>> {
    let mut out = Vec::new();
    for release in catalog.releases.values() {
        let asked = catalog.services.values().filter(|s| !s.foundation && !s.implied);
        let has = asked.filter(|s| s.releases.is_empty() || s.releases.contains(&release.name));
        let all: Vec<&str> = has.map(|s| s.name.value.as_str()).collect();
        for (distribution, packages) in &release.packages {
            // What is packaged elsewhere only is not there; what is nowhere needs no packages.
            let elsewhere = |name: &str| release.packages.values().any(|p| p.contains_key(name));
            let services: Vec<&str> = (all.iter().copied())
                .filter(|name| packages.contains_key(*name) || !elsewhere(name))
                .collect();
            for net in ["198.18.0.", "2001:2::"] {
                let name = format!("a cloud of all services, {} on {distribution}", release.name);
                let mut text = format!(
                    "cloud: all\nrelease: \"{}\"\ndistribution: {distribution}\nhosts:\n",
                    release.name
                );
                for host in 1..=3 {
                    // A String never refuses to be written to.
                    let _ = writeln!(
                        text,
                        "  c{host}: {{ role: controller, address: \"{net}1{host}\" }}"
                    );
                }
                let _ = writeln!(text, "  n1: {{ role: compute, address: \"{net}21\" }}");
                let _ = writeln!(text, "vips: {{ pool: \"{net}100-{net}240\" }}");
                let _ = writeln!(text, "services: [{}]", services.join(", "));
                out.push(Source::new(name, text));
            }
        }
    }
    out
}
