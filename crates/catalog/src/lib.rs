//! The catalogue: what is known about running each service, as data.
//!
//! A service is a folder: `service.yaml` and the files it speaks of. The
//! folders are embedded in the binary; `--catalog DIR` lays others over them,
//! file by file. This crate reads folders that were handed in as text and says
//! everything that is wrong with them; it knows no service by name, resolves
//! nothing (the model does) and may do no I/O.

mod data;
mod endpoint;
mod guests;
mod journeys;
mod lint;
mod read;
mod service;
mod setting;
mod step;

use std::sync::Arc;

use diagnostic::{Diagnostic, Source};
use include_dir::{Dir, include_dir};
use indexmap::IndexMap;

pub use cloud::tree::{Node, Spanned};
pub use data::{DataKey, is_data, name_of, written};
pub use endpoint::{Brake, Checks, Endpoint};
pub use guests::{Guests, Moves};
pub use journeys::{Journeys, Request, Session, Walk};
pub use service::{
    BY_SYSTEMD, Broker, Budget, Component, Cure, Cured, Database, FileSpec, HashRing, Interval, Kind, Law,
    Number, Operation, Packages, Pairs, Periodic, Platform, Refused, Release, ResourceSpec, SecretForm,
    SecretSpec, Service, SqlAccess, UnitRun, UnsafeValue, Watched,
};
pub use setting::{Misfit, NONE, Setting, SettingKind};
pub use step::{DoneWhen, Forget, HeldBy, Step};

/// The budget's file.
pub const BUDGET: &str = "budget.yaml";

/// The file of values that nobody should run a service with.
pub const UNSAFE: &str = "unsafe.yaml";

/// The folder of the cures.
const CURES: &str = "cures/";

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../catalog");

/// Files of a catalogue: path below its root, and text.
pub type Files = IndexMap<String, String>;

/// Everything known, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Services in the order of their folders' paths.
    pub services: IndexMap<String, Service>,
    /// Releases of OpenStack, with packages by distribution.
    pub releases: IndexMap<String, Release>,
    /// What differs between distributions, in the order of the files' names.
    pub platforms: Vec<Platform>,
    /// How long each layer waits for another.
    pub budget: Budget,
    /// Values that nobody should run a service with, beside those that every program knows.
    pub unsafe_values: Vec<UnsafeValue>,
    /// What is known to be wrong in packages, by name.
    pub cures: IndexMap<String, Cure>,
    /// All files, for templates that services name.
    pub files: Files,
    /// Where a file was read from, for those that a folder was laid over with.
    pub origins: IndexMap<String, String>,
}

/// The catalogue inside the binary.
pub fn embedded() -> Files {
    fn walk(dir: &Dir<'_>, out: &mut Files) {
        for file in dir.files() {
            if let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
                out.insert(path.to_owned(), text.to_owned());
            }
        }
        for inner in dir.dirs() {
            walk(inner, out);
        }
    }
    let mut out = Files::new();
    walk(&EMBEDDED, &mut out);
    out.sort_keys();
    out
}

impl Catalog {
    /// Reads a catalogue from its files. All findings are returned; a service
    /// whose file has errors is left out.
    pub fn load(files: Files) -> (Self, Vec<Diagnostic>) {
        Self::load_from(files, IndexMap::new())
    }

    /// The same; `origins` are the names by which the operator knows some of the
    /// files, by their paths here. Findings speak of them.
    pub fn load_from(files: Files, origins: IndexMap<String, String>) -> (Self, Vec<Diagnostic>) {
        let mut catalog = Self {
            files,
            origins,
            ..Self::default()
        };
        let mut findings = Vec::new();
        let paths: Vec<String> = catalog.files.keys().cloned().collect();
        for path in &paths {
            let source = catalog.source(path);
            if path.ends_with("/service.yaml") {
                let folder = path.trim_end_matches("/service.yaml").to_owned();
                if let Some(service) = read::service(&source, &folder, &mut findings) {
                    catalog.services.insert(service.name.value.clone(), service);
                }
            } else if path.starts_with("releases/")
                && let Some(release) = read::release(&source, &mut findings)
            {
                catalog.releases.insert(release.name.clone(), release);
            } else if path.starts_with("platforms/") {
                catalog.platforms.extend(read::platform(&source, &mut findings));
            } else if let Some(name) = path.strip_prefix(CURES).and_then(|p| p.strip_suffix(".yaml")) {
                if let Some(cure) = read::cure(&source, name, &mut findings) {
                    catalog.cures.insert(name.to_owned(), cure);
                }
            } else if path == BUDGET {
                catalog.budget = read::budget(&source, &mut findings);
            } else if path == UNSAFE {
                catalog.unsafe_values = read::unsafe_values(&source, &mut findings);
            }
        }
        findings.extend(lint::lint(&catalog));
        (catalog, findings)
    }

    /// What holds of a service in a release on a distribution: the release's own
    /// values, then those of the platforms, a later one over an earlier one.
    pub fn platform(&self, release: &str, distribution: &str, service: &str) -> Pairs {
        let own = self.releases.get(release).and_then(|r| r.values.get(service));
        let here = self
            .platforms
            .iter()
            .filter(|p| p.distributions.iter().any(|d| d == distribution));
        let all = own.into_iter().chain(here.filter_map(|p| p.values.get(service)));
        all.flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The path of a file that a service names: below its folder, or from the
    /// catalogue's root where the name begins with `/`.
    pub fn path(&self, service: &Service, name: &str) -> String {
        match name.strip_prefix('/') {
            Some(rooted) => rooted.to_owned(),
            None => format!("{}/{name}", service.folder),
        }
    }

    /// The text of a file that a service names.
    pub fn file(&self, service: &Service, name: &str) -> Option<&str> {
        self.files.get(&self.path(service, name)).map(String::as_str)
    }

    /// Why nobody should run a service with an option of this value; `None`: nothing is known
    /// against it. `beside` is the value of another option of the same section.
    pub fn unsafe_value(
        &self,
        key: &str,
        value: &str,
        beside: impl Fn(&str) -> Option<String>,
    ) -> Option<&str> {
        let known = self.unsafe_values.iter();
        let mut known = known.filter(|u| u.is(key, value, &beside));
        lint::unsafe_value(key, value).or_else(|| known.next().map(|u| u.why.as_str()))
    }

    /// A source for findings in a file of the catalogue.
    pub fn source(&self, path: &str) -> Arc<Source> {
        let name = self.origins.get(path).cloned();
        Source::new(
            name.unwrap_or_else(|| format!("catalog/{path}")),
            self.files.get(path).cloned().unwrap_or_default(),
        )
    }
}
