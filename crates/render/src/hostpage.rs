//! What a host should have beside the content of its files, to read: packages, units and
//! who runs and asks them, ports, owners. Not a format for programs.

use std::fmt::Write as _;

use wire::Query;

use crate::{DesiredHost, DesiredUnit, Reader, UnitRun};

/// What a host should have, a line each.
pub fn host_page(host: &DesiredHost) -> String {
    let mut out = String::new();
    for package in &host.packages {
        let _ = writeln!(out, "package {package}");
    }
    for unit in &host.mask {
        let _ = writeln!(out, "mask {unit}");
    }
    for unit in &host.units {
        let who = match unit.run {
            UnitRun::Cluster => format!("pacemaker, as {}", unit.resource),
            UnitRun::Systemd if !unit.resource.is_empty() => {
                let gated = if unit.gated { ", after its scripts" } else { "" };
                format!("systemd, as {}{gated}, asked by {}", unit.resource, asked(unit))
            }
            UnitRun::Systemd => "systemd".to_owned(),
            UnitRun::Nobody => "nobody".to_owned(),
        };
        let _ = writeln!(out, "unit {} of {}, run by {who}", unit.unit, unit.service);
    }
    for (port, service, unit) in &host.ports {
        let _ = writeln!(
            out,
            "port {port} of {service}, {}",
            if unit.is_empty() { "by its agent" } else { unit }
        );
    }
    for path in &host.absent {
        let _ = writeln!(out, "no file {path}");
    }
    for (key, value) in &host.sysctls {
        let _ = writeln!(out, "sysctl {key} = {value}");
    }
    for f in &host.files {
        let w = &f.write;
        let kind = match w.own {
            _ if w.directory => "directory",
            wire::Own::Program => "link to the program",
            _ => "file",
        };
        let _ = write!(out, "{kind} {} {}:{} {:04o}", w.path, w.owner, w.group, w.mode);
        for (said, holds) in [(", secret", f.secret), (", once", f.once)] {
            out.push_str(if holds { said } else { "" });
        }
        for (said, readers) in [("restart", &f.restart), ("reload", &f.reload)] {
            if !readers.is_empty() {
                let names: Vec<&str> = readers.iter().map(Reader::name).collect();
                let _ = write!(out, ", {said} {}", names.join(" "));
            }
        }
        if !f.identity.is_empty() {
            let _ = write!(out, ", known by `{}`", f.identity);
        }
        out.push('\n');
    }
    out
}

/// How an instance is asked on its host.
fn asked(unit: &DesiredUnit) -> String {
    let Some(check) = &unit.check else {
        return "nothing".to_owned();
    };
    match &check.query {
        Query::Http(get) => format!("{} {}: {:?}", get.method, get.url, check.expect),
        Query::Tcp(to) => format!("{to}: {:?}", check.expect),
        other => format!("{other:?}"),
    }
}
