//! A cloud file with everything that follows from it: model, desired state,
//! the state folder beside it and the vault in there.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use catalog::{Catalog, Files};
use cloud::{Cloud, Fencing, PowerOption};
use diagnostic::{Diagnostic, Source};
use fleet::Target;
use indexmap::IndexMap;
use model::{Model, SecretKind, SecretNeed};
use names::HostName;
use render::Desired;
use vault::{Lock, SecretRequest, SecretString, Vault};

use crate::failure::Failure;
use crate::rotate;
use crate::runner::author;
use crate::say;

/// Everything that follows from a cloud file.
#[derive(Debug)]
pub struct Project {
    /// The cloud file.
    pub file: Utf8PathBuf,
    /// `.quorate/NAME` beside it.
    pub state: Utf8PathBuf,
    /// The model.
    pub model: Model,
    /// What should be.
    pub desired: Desired,
}

/// The terminal's width for findings, in columns.
const WIDTH: usize = 100;

/// Draws findings for standard error.
pub fn draw(findings: &[Diagnostic]) -> String {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let errors = findings.iter().filter(|f| f.is_error()).count();
    let warnings = findings.len() - errors;
    let mut out = diagnostic::draw(findings, colour, WIDTH);
    let _ = writeln!(out, "{errors} errors, {warnings} warnings");
    out
}

/// The catalogue: the embedded one, with folders' files over it, the last on top.
pub fn catalog(overlays: &[Utf8PathBuf]) -> Result<(Arc<Catalog>, Vec<Diagnostic>), Failure> {
    let mut files = catalog::embedded();
    let mut origins = IndexMap::new();
    for dir in overlays {
        if !dir.is_dir() {
            return Err(Failure::Input(format!(
                "error: `{dir}` is not a folder\n\nhint: `--catalog` names a folder like the catalogue's own"
            )));
        }
        read_dir(dir, dir, &mut files, &mut origins)?;
    }
    files.sort_keys();
    let (catalog, findings) = Catalog::load_from(files, origins);
    Ok((Arc::new(catalog), findings))
}

fn read_dir(
    root: &Utf8Path,
    dir: &Utf8Path,
    files: &mut Files,
    origins: &mut IndexMap<String, String>,
) -> Result<(), Failure> {
    let mut entries: Vec<Utf8PathBuf> = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        if let Ok(path) = Utf8PathBuf::from_path_buf(entry?.path()) {
            entries.push(path);
        }
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_dir(root, &path, files, origins)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.insert(name.as_str().to_owned(), text(&path)?);
            origins.insert(name.as_str().to_owned(), path.as_str().to_owned());
        }
    }
    Ok(())
}

/// A text that an operator wrote; of a large one as much as tells that it is large.
fn text(file: &Utf8Path) -> Result<String, Failure> {
    let mut text = Vec::new();
    let most = u64::try_from(cloud::FILE_MOST).unwrap_or(u64::MAX) + 1;
    fs_err::File::open(file)
        .and_then(|file| file.take(most).read_to_end(&mut text))
        .map_err(|e| Failure::Input(format!("error: {e}")))?;
    if text.len() > cloud::FILE_MOST {
        return Err(Failure::Found(draw(&[cloud::too_large(file.as_str())])));
    }
    String::from_utf8(text).map_err(|e| {
        Failure::Input(format!(
            "error: `{file}` is not UTF-8 text (byte {})",
            e.utf8_error().valid_up_to()
        ))
    })
}

/// A cloud file against a catalogue: all findings, and what follows from it where
/// none is an error.
pub fn judge(source: &Arc<Source>, catalog: &Arc<Catalog>) -> (Option<(Model, Desired)>, Vec<Diagnostic>) {
    let (cloud, mut findings) = cloud::parse(source);
    let Some(cloud) = cloud else {
        return (None, findings);
    };
    let (model, more) = Model::resolve(&cloud, source, catalog);
    findings.extend(more);
    let errors = |findings: &[Diagnostic]| findings.iter().any(Diagnostic::is_error);
    let Some(model) = model.filter(|_| !errors(&findings)) else {
        return (None, findings);
    };
    let (desired, more) = render::render(&model);
    findings.extend(more);
    let good = !errors(&findings);
    (good.then_some((model, desired)), findings)
}

/// Reads and judges a cloud file. The findings come back even where there is a project.
pub fn load(
    file: &Utf8Path,
    overlays: &[Utf8PathBuf],
) -> Result<(Option<Project>, Vec<Diagnostic>), Failure> {
    let source = Source::new(file.as_str(), text(file)?);
    let (catalog, faults) = catalog(overlays)?;
    let (resolved, mut findings) = judge(&source, &catalog);
    findings.extend(faults);
    let errors = findings.iter().any(Diagnostic::is_error);
    let Some((model, desired)) = resolved.filter(|_| !errors) else {
        return Ok((None, findings));
    };
    let folder = file
        .parent()
        .filter(|p| !p.as_str().is_empty())
        .unwrap_or(Utf8Path::new("."));
    let state = folder.join(".quorate").join(model.cloud.name.value.as_str());
    Ok((
        Some(Project {
            file: file.to_owned(),
            state,
            model,
            desired,
        }),
        findings,
    ))
}

impl Project {
    /// Loads a file that must be good; its warnings are told on standard error.
    pub fn open(file: &Utf8Path, overlays: &[Utf8PathBuf]) -> Result<Self, Failure> {
        let (project, findings) = load(file, overlays)?;
        match project {
            Some(project) => {
                if !findings.is_empty() {
                    say::drawn(&draw(&findings));
                }
                Ok(project)
            }
            None => Err(Failure::Found(draw(&findings))),
        }
    }

    /// Where the vault lies.
    pub fn vault_path(&self) -> Utf8PathBuf {
        self.state.join("vault.age")
    }

    /// Whether a vault is to be made by the next change: nothing of this cloud
    /// was ever applied from here.
    ///
    /// A vault that is missing although there were runs was lost: a new one
    /// would lock the operator out of the cloud, and stand where the old one
    /// must be put back.
    fn unborn(&self) -> bool {
        !self.vault_path().exists() && !self.state.join("runs").exists()
    }

    /// The vault with every secret of this cloud in it. To look only: what is
    /// not in the file is made in memory, and nothing is written.
    pub fn vault(&self) -> Result<Vault, Failure> {
        let mut vault = if self.unborn() {
            // Never saved, so it may be for anybody.
            let nobody = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
            Vault::create(&self.vault_path(), &[nobody.to_owned()])?
        } else {
            Vault::open(&self.vault_path(), &vault::identities(&self.state))?
        };
        self.complete(&mut vault)?;
        Ok(vault)
    }

    /// The vault as it was saved last: that of a cloud that was applied from here.
    pub fn vault_as_saved(&self) -> Result<Vault, Failure> {
        Ok(Vault::open(&self.vault_path(), &vault::identities(&self.state))?)
    }

    /// The same to change something: made where this cloud is new, and saved unless
    /// `check` refuses it. Tells whether it was made now.
    pub fn vault_for_change(
        &self,
        seed: Option<u64>,
        check: impl FnOnce(&mut Vault) -> Result<(), Failure>,
    ) -> Result<(Vault, bool), Failure> {
        fs_err::create_dir_all(&self.state)?;
        let _lock = Lock::take(&self.vault_path(), &author())?;
        let unborn = self.unborn();
        let mut vault = if unborn {
            Vault::create(&self.vault_path(), &vault::recipients(&self.state)?)?
        } else {
            Vault::open(&self.vault_path(), &vault::identities(&self.state))?
        };
        vault.set_author(&author());
        check(&mut vault)?;
        if let Some(seed) = seed {
            vault.set_seed(seed);
        }
        self.complete(&mut vault)?;
        if vault.is_changed() {
            vault.save()?;
        }
        Ok((vault, unborn))
    }

    /// Changes the vault of a cloud that is there, whole or not at all; what is
    /// missing afterwards is made.
    pub fn change_vault(
        &self,
        change: impl FnOnce(&mut Vault) -> Result<(), vault::Error>,
    ) -> Result<(), Failure> {
        // Read under the lock: two that change it at once would each lose what the other did.
        let _lock = Lock::take(&self.vault_path(), &author())?;
        let mut vault = Vault::open(&self.vault_path(), &vault::identities(&self.state))?;
        vault.set_author(&author());
        change(&mut vault)?;
        self.complete(&mut vault)?;
        Ok(vault.save()?)
    }

    /// Whose certificate authority it is.
    pub fn authority(&self) -> String {
        format!("quorate {}", self.model.cloud.name.value)
    }

    /// Takes back a vault that was made for a change that was then refused.
    pub fn forget_vault(&self) -> Result<(), Failure> {
        Ok(fs_err::remove_file(self.vault_path())?)
    }

    fn complete(&self, vault: &mut Vault) -> Result<(), Failure> {
        let now = jiff::Timestamp::now();
        let mut requests: Vec<SecretRequest> = self
            .model
            .secrets()
            .iter()
            .map(|n| request(n, &self.model.cloud))
            .collect();
        requests.extend(power_secrets(&self.model.cloud));
        vault.ensure(&requests, now)?;
        rotate::trust(vault, now)?;
        self.import_files(vault, now)
    }

    /// Files that the cloud file names for secrets are read into the vault.
    fn import_files(&self, vault: &mut Vault, now: jiff::Timestamp) -> Result<(), Failure> {
        let folder = self.file.parent().unwrap_or(Utf8Path::new(""));
        for path in options(&self.model.cloud).filter_map(|o| match o {
            PowerOption::File(path) => Some(path),
            PowerOption::Text(_) | PowerOption::Secret(_) => None,
        }) {
            let value = fs_err::read_to_string(folder.join(path))?;
            vault.import(
                &format!("file/{path}"),
                SecretString::from(value.trim_end().to_owned()),
                now,
            )?;
        }
        Ok(())
    }

    /// How each host is reached.
    pub fn targets(&self) -> Vec<Target> {
        // A lab leaves a configuration for its hosts, under their names.
        let lab = self.state.join("ssh_config");
        let lab = lab.exists().then_some(lab);
        self.model
            .cloud
            .hosts
            .iter()
            .map(|host| {
                let name = host.name.value.clone();
                match &lab {
                    Some(config) => Target {
                        destination: name.to_string(),
                        name,
                        user: (host.ssh.user != "root").then(|| host.ssh.user.clone()),
                        port: None,
                        config: Some(config.clone()),
                    },
                    None => Target {
                        name,
                        destination: host.ssh.address.clone(),
                        user: Some(host.ssh.user.clone()),
                        port: (host.ssh.port != 22).then_some(host.ssh.port),
                        config: host
                            .ssh
                            .config
                            .as_ref()
                            .map(|c| self.file.parent().unwrap_or(Utf8Path::new("")).join(&c.value)),
                    },
                }
            })
            .collect()
    }

    /// How a host is reached that the cloud file does not name any more: as its first is,
    /// at the address that it had.
    pub fn target_of(&self, name: &HostName, address: &str) -> Option<Target> {
        let like = self.targets().into_iter().next()?;
        let lab = like.destination == like.name;
        Some(Target {
            name: name.clone(),
            destination: if lab { name.as_str() } else { address }.to_owned(),
            ..like
        })
    }

    /// Passwords that stand in the cloud file itself, in options of power devices.
    pub fn plain_passwords(&self) -> Vec<String> {
        let devices = self.model.cloud.hosts.iter().flat_map(|h| &h.power);
        devices
            .flat_map(|level| &level.devices)
            .flat_map(|device| &device.options)
            .filter(|(name, _)| ["pass", "secret", "token"].iter().any(|word| name.contains(word)))
            .filter_map(|(_, option)| match &option.value.value {
                PowerOption::Text(text) => Some(text.clone()),
                PowerOption::Secret(_) | PowerOption::File(_) => None,
            })
            .collect()
    }

    /// That the cloud has no host of this name, and which was meant.
    pub fn no_host(&self, host: &str) -> Failure {
        let names: Vec<&str> = self.desired.hosts.keys().map(HostName::as_str).collect();
        let hint = match diagnostic::did_you_mean(host, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has: {}", names.join(", ")),
        };
        Failure::Input(format!("error: the cloud has no host `{host}`\n\nhint: {hint}"))
    }

    /// The reason why there is no fencing, when there is none.
    pub fn no_fencing(&self) -> Option<&str> {
        match &self.model.cloud.fencing {
            Fencing::None { reason } => Some(&reason.value),
            Fencing::Power => None,
        }
    }
}

fn options(cloud: &Cloud) -> impl Iterator<Item = &PowerOption> {
    cloud
        .hosts
        .iter()
        .flat_map(|h| &h.power)
        .flat_map(|l| &l.devices)
        .flat_map(|d| d.options.values())
        .map(|o| &o.value.value)
}

/// Secrets that power devices name: made once, where nobody imported them.
fn power_secrets(cloud: &Cloud) -> Vec<SecretRequest> {
    let mut names: Vec<&String> = options(cloud)
        .filter_map(|o| match o {
            PowerOption::Secret(name) => Some(name),
            PowerOption::Text(_) | PowerOption::File(_) => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| SecretRequest::new(name.clone(), vault::SecretKind::Password { length: 24 }))
        .collect()
}

/// The vault's word for what the model wants.
fn request(need: &SecretNeed, cloud: &Cloud) -> SecretRequest {
    let kind = match &need.kind {
        SecretKind::Password(length) => vault::SecretKind::Password { length: *length },
        SecretKind::Key(bytes) => vault::SecretKind::UrlBase64 { bytes: *bytes },
        SecretKind::Hex(bytes) => vault::SecretKind::Hex { bytes: *bytes },
        SecretKind::Bytes(bytes) => vault::SecretKind::Base64 { bytes: *bytes },
        SecretKind::Uuid => vault::SecretKind::Uuid,
        SecretKind::Ca => vault::SecretKind::CaCert {
            // A service's own is told by its name.
            common_name: match need.name.as_str() {
                rotate::CA => format!("quorate {}", cloud.name.value),
                name => format!("quorate {} {name}", cloud.name.value),
            },
        },
        SecretKind::Leaf {
            ca,
            common_name,
            names,
            addresses,
        } => vault::SecretKind::Leaf {
            ca: ca.clone(),
            common_name: common_name.clone(),
            names: names.clone(),
            ips: addresses.clone(),
            days: 825,
        },
    };
    SecretRequest::new(need.name.clone(), kind)
}
