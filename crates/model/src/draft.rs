//! A cloud file to begin with: what was asked for, and everything else as
//! comments that say what it would do. The words are the table's of keys.
//!
//! Not for judging: `check` says whether what was asked for is right.

use std::fmt::Write as _;

use catalog::{Catalog, Cure, DataKey, Service, Setting, SettingKind};
use cloud::keys::{self, Key, Shape};

/// What is asked for, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The cloud's name.
    pub name: String,
    /// The release.
    pub release: String,
    /// Who runs the services; empty: the default.
    pub architecture: String,
    /// Controllers: name and address.
    pub controllers: Vec<(String, String)>,
    /// The management network; empty: it follows from the addresses.
    pub network: String,
    /// `FIRST-LAST`, or one address.
    pub vips: String,
    /// Services.
    pub services: Vec<String>,
    /// How hosts are switched off.
    pub fencing: Wish,
}

/// How hosts are switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing is said: right for a lab, which knows its own.
    #[default]
    Lab,
    /// By a fence agent.
    Agent(String),
    /// Not at all, for a reason.
    None(String),
}

/// Columns of a comment.
const WIDTH: usize = 78;

/// The file's text. A key that stands behind `#` without a space is a default or
/// an example: with the `#` taken away it is valid.
pub fn draft(wanted: &Wanted, catalog: &Catalog) -> String {
    let mut out = String::new();
    said(
        &mut out,
        "A cloud for quorate. `quorate check` says what is wrong with this file, `quorate plan` what would be done, \
         `quorate apply` does it.",
    );
    for key in keys::CLOUD.keys {
        let Some(text) = value(key, wanted, catalog) else {
            continue;
        };
        out.push('\n');
        said(&mut out, key.says);
        if let Shape::Word(words) = &key.shape {
            for (word, says) in words() {
                said(&mut out, &format!("- `{word}`: {says}"));
            }
        }
        out.push_str(&text);
    }
    out
}

/// A comment, wrapped.
fn said(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// Text that YAML takes for nothing else.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let word = begins && text.chars().all(plain) && text.parse::<f64>().is_err();
    if word && !["true", "false", "null"].contains(&text) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A default of the catalogue as its kind is written.
fn setting(setting: &Setting) -> String {
    match setting.kind {
        SettingKind::Whole { .. } | SettingKind::Switch => setting.default.clone(),
        _ => quoted(&setting.default),
    }
}

/// What stands under a comment; `None`: nothing to say in a file to begin with.
fn value(key: &Key, wanted: &Wanted, catalog: &Catalog) -> Option<String> {
    let lab = wanted.fencing == Wish::Lab;
    Some(match key.name {
        "cloud" => format!("cloud: {}\n", quoted(&wanted.name)),
        "release" => format!("release: \"{}\"\n", wanted.release),
        "architecture" if wanted.architecture.is_empty() => "#architecture: full\n".to_owned(),
        "architecture" => format!("architecture: {}\n", quoted(&wanted.architecture)),
        "profile" => "#profile: steady\n".to_owned(),
        "region" => "#region: RegionOne\n".to_owned(),
        "hosts" => {
            let mut out = String::from("hosts:\n");
            for (name, address) in &wanted.controllers {
                // A String never refuses to be written to.
                let _ = writeln!(
                    out,
                    "  {}: {{ role: controller, address: {} }}",
                    quoted(name),
                    quoted(address)
                );
            }
            out
        }
        "networks" if wanted.network.is_empty() => {
            "# networks: { management: { cidr: ADDRESS/PREFIX } }\n".to_owned()
        }
        "networks" => format!(
            "networks: {{ management: {{ cidr: {} }} }}\n",
            quoted(&wanted.network)
        ),
        "vips" => {
            let kind = if wanted.vips.contains('-') {
                "pool"
            } else {
                "shared"
            };
            format!("vips: {{ {kind}: {} }}\n", quoted(&wanted.vips))
        }
        "services" => {
            let names: Vec<String> = wanted.services.iter().map(|s| quoted(s)).collect();
            format!("services: [{}]\n", names.join(", "))
        }
        "power" => match &wanted.fencing {
            Wish::Lab => return None,
            Wish::None(_) => "# power: { agent: fence_ipmilan, options: { … } }\n".to_owned(),
            Wish::Agent(agent) => format!(
                "# The options are the agent's own: `{agent} --help` lists them. Change these.\npower:\n  agent: {}\n  \
                 options: {{ ip: \"bmc-{{host}}\", username: admin, password: {{ file: bmc-password }} }}\n",
                quoted(agent)
            ),
        },
        "fencing" => match &wanted.fencing {
            Wish::None(reason) => format!("fencing: {{ none: {} }}\n", quoted(reason)),
            Wish::Lab | Wish::Agent(_) => return None,
        },
        "ssh" if lab => return None,
        "ssh" => "#ssh: { user: root, port: 22 }\n".to_owned(),
        "time" => {
            "#time: { servers: [ntp1.example.org, ntp2.example.org, ntp3.example.org, ntp4.example.org] }\n"
                .to_owned()
        }
        "timeouts" => "#timeouts: { home-after: 300 }\n".to_owned(),
        "upkeep" => {
            "#upkeep: { keys-every: 7, backup: { every: 1, keep: 14, to: /srv/backups } }\n".to_owned()
        }
        "settings" => settings(wanted, catalog),
        "config" => {
            let (file, key) = example(wanted, catalog)?;
            let (section, name, value) = (key.section, key.key, quoted(&key.value));
            format!("#config: {{ {file}: {{ {section}: {{ {name}: {value} }} }} }}\n")
        }
        "cures" => {
            let here = |c: &&Cure| c.restart.iter().any(|(s, _)| wanted.services.contains(&s.value));
            format!("#cures: [{}]\n", catalog.cures.values().find(here)?.name)
        }
        "shared-files" => format!("#shared-files: [{}]\n", example(wanted, catalog)?.0),
        _ => return None,
    })
}

/// The services of such a cloud.
fn services<'c>(wanted: &Wanted, catalog: &'c Catalog) -> impl Iterator<Item = &'c Service> {
    let all = catalog.services.values();
    all.filter(|s| s.foundation || wanted.services.contains(&s.name.value))
}

/// All settings with their defaults and what they may be.
fn settings(wanted: &Wanted, catalog: &Catalog) -> String {
    let mut out = String::from("#settings:\n");
    for service in services(wanted, catalog).filter(|s| !s.settings.is_empty()) {
        let _ = writeln!(out, "#  {}:", service.name.value);
        for (key, one) in &service.settings {
            let _ = writeln!(
                out,
                "#    {key}: {} # {}",
                setting(one),
                one.wanted().replace('`', "")
            );
        }
    }
    out
}

/// One key that may be set, as it is set without this file, and the file in which it stands.
fn example(wanted: &Wanted, catalog: &Catalog) -> Option<(String, DataKey)> {
    let of = |service: &'_ Service| {
        let files = service.files.iter().filter(|f| catalog::is_data(f));
        files
            .flat_map(|f| {
                catalog
                    .data(service, f)
                    .into_iter()
                    .map(|k| (f.to.value.clone(), k))
            })
            .find(|(_, k)| k.own.is_none() && !k.value.is_empty() && !k.value.contains('{'))
    };
    let mut asked: Vec<&Service> = services(wanted, catalog).collect();
    asked.sort_by_key(|s| s.foundation);
    asked.into_iter().find_map(of)
}
