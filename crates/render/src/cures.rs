//! Changes of files that packages brought: which of them a host is to have, and which
//! it is not to have any more. What a host has is told by the file's digest; one that is
//! not known is nobody's to change.

use std::fmt::Write as _;

use model::Model;
use wire::{Answer, Content, Edit, Fact, Facts, FileWrite, NamedQuery, Own, Query};

use crate::context::{Scope, Templates};
use crate::{DesiredFile, files};

/// A cure on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredCure {
    /// Its name.
    pub name: String,
    /// What is wrong, in a clause.
    pub summary: String,
    /// Whose file it is.
    pub package: String,
    /// Whether the operator asks for it.
    pub wanted: bool,
    /// The change: of the file as the package has it, or, of a cure that is not asked
    /// for, of what the cure made of it.
    pub file: DesiredFile,
}

/// How a host stands to a cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The file is not there, or was not seen.
    Unseen,
    /// It is as the package has it.
    Ill,
    /// It is changed.
    Cured,
    /// It is another: of a version that is not known, or changed by somebody.
    Strange,
}

impl DesiredCure {
    /// Asks for the file's SHA-256.
    pub fn query(&self) -> NamedQuery {
        let argv = ["sha256sum", self.file.write.path.as_str()].map(str::to_owned);
        NamedQuery {
            name: format!("cure/{}", self.name),
            query: Query::Run {
                argv: argv.to_vec(),
                timeout_ms: 5000,
            },
        }
    }

    /// The texts that the change replaces and brings, and the digests it is known by.
    fn edit(&self) -> Option<&Edit> {
        match &self.file.write.own {
            Own::Edit(edit) => Some(edit),
            Own::File | Own::Keys { .. } | Own::Program => None,
        }
    }

    /// How the host with these facts stands to it.
    pub fn standing(&self, facts: &Facts) -> Standing {
        let told = match facts.answers.get(&self.query().name) {
            Some(Fact::Known(Answer::Ran {
                status: 0, stdout, ..
            })) => stdout.split_whitespace().next(),
            _ => None,
        };
        let (Some(now), Some(edit)) = (told, self.edit()) else {
            return Standing::Unseen;
        };
        let (as_asked, otherwise) = if self.wanted {
            (Standing::Cured, Standing::Ill)
        } else {
            (Standing::Ill, Standing::Cured)
        };
        match () {
            () if edit.known.iter().any(|(_, after)| after == now) => as_asked,
            () if edit.known.iter().any(|(before, _)| before == now) => otherwise,
            () => Standing::Strange,
        }
    }

    /// What the change does, as a diff.
    pub fn diff(&self) -> String {
        let mut out = String::new();
        for (sign, text) in self
            .edit()
            .into_iter()
            .flat_map(|e| [('-', &e.from), ('+', &e.to)])
        {
            for line in text.lines() {
                // A String never refuses to be written to.
                let _ = writeln!(out, "{sign}{line}");
            }
        }
        out
    }

    /// The package's version on a host, in words.
    pub fn version(&self, facts: &Facts) -> String {
        let version = facts.packages.get(&self.package).and_then(Fact::known);
        format!(
            "{} {}",
            self.package,
            version.map_or("of no known version", String::as_str)
        )
    }
}

/// The cures of a host: those of this release and distribution whose file something reads there.
pub(crate) fn of(model: &Model, templates: &mut Templates, host: &str) -> Vec<DesiredCure> {
    let mut out = Vec::new();
    for cure in model.cures() {
        let mut restart = Vec::new();
        for (service, components) in &cure.restart {
            let Some(placed) = model.services.get(&service.value) else {
                continue;
            };
            let scope = Scope {
                service: &service.value,
                host: Some(host),
                item: None,
            };
            restart.extend(files::restarted(model, templates, placed, components, &scope));
        }
        if restart.is_empty() {
            continue;
        }
        let wanted = model.cloud.cures.iter().any(|c| c.value == cure.name);
        let known = cure
            .versions
            .values()
            .map(|v| (v.before.clone(), v.after.clone()));
        let (from, to) = (cure.from.clone(), cure.to.clone());
        let edit = if wanted {
            Edit {
                from,
                to,
                known: known.collect(),
            }
        } else {
            Edit {
                from: to,
                to: from,
                known: known.map(|(before, after)| (after, before)).collect(),
            }
        };
        out.push(DesiredCure {
            name: cure.name.clone(),
            summary: cure.summary.clone(),
            package: cure.package.clone(),
            wanted,
            file: DesiredFile {
                write: FileWrite {
                    path: cure.file.clone(),
                    content: Content::default(),
                    // As packages have their files.
                    owner: "root".to_owned(),
                    group: "root".to_owned(),
                    mode: 0o644,
                    directory: false,
                    own: Own::Edit(edit),
                },
                service: String::new(),
                secret: false,
                once: false,
                names: false,
                ring: None,
                identity: String::new(),
                restart,
                reload: Vec::new(),
            },
        });
    }
    out
}
