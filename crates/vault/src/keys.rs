//! Who may read a vault: recipients to encrypt for, identities to decrypt with.
//!
//! Beside the vault lie `recipients` (one `age1…` or `ssh-ed25519 …` a line, by
//! the operator's hand) or, where nobody was named, `vault.key`: an age identity
//! made at first use. Keys with a passphrase are not asked for one: quorate must
//! run unattended.

use std::io::Write;
use std::str::FromStr;

use age::{ssh, x25519};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use secrecy::ExposeSecret;

use crate::Error;

const RECIPIENTS: &str = "recipients";
const KEY: &str = "vault.key";

/// The identity files to try for a vault in `folder`: QUORATE_IDENTITY alone if
/// it is set, else `vault.key` beside the vault and `~/.ssh/id_ed25519`.
pub fn identities(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    if let Ok(named) = std::env::var("QUORATE_IDENTITY")
        && !named.is_empty()
    {
        return vec![named.into()];
    }
    let home = std::env::var("HOME").map(|home| Utf8PathBuf::from(home).join(".ssh/id_ed25519"));
    [Some(folder.join(KEY)), home.ok()]
        .into_iter()
        .flatten()
        .filter(|p| p.exists())
        .collect()
}

/// The recipients for a vault in `folder`: those of the file `recipients`, else
/// `vault.key`'s own, which is made if it is not there.
pub fn recipients(folder: &Utf8Path) -> Result<Vec<String>, Error> {
    let known = known_recipients(&folder.join("vault.age"))?;
    if known.is_empty() {
        Ok(vec![make_key(folder)?])
    } else {
        Ok(known)
    }
}

/// Whom the files beside a vault name; nothing is made.
pub(crate) fn known_recipients(vault: &Utf8Path) -> Result<Vec<String>, Error> {
    let folder = vault.parent().unwrap_or(Utf8Path::new("."));
    if let Some(text) = read_if_there(&folder.join(RECIPIENTS))? {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        parse_recipients(&lines)?;
        return Ok(lines);
    }
    let key = folder.join(KEY);
    let Some(text) = read_if_there(&key)? else {
        return Ok(Vec::new());
    };
    let identities = text
        .lines()
        .filter_map(|l| x25519::Identity::from_str(l.trim()).ok());
    let public: Vec<String> = identities.map(|i| i.to_public().to_string()).collect();
    if public.is_empty() {
        return Err(Error::BadIdentity {
            path: key,
            why: "there is no `AGE-SECRET-KEY-1…` in it".to_owned(),
        });
    }
    Ok(public)
}

fn read_if_there(path: &Utf8Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Makes `vault.key`, for its owner only, and gives its recipient.
fn make_key(folder: &Utf8Path) -> Result<String, Error> {
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    fs::create_dir_all(folder)?;
    let path = folder.join(KEY);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).open(&path)?
    };
    // The form that age-keygen writes and `age -i` reads.
    writeln!(
        file,
        "# public key: {public}\n{}",
        identity.to_string().expose_secret()
    )?;
    file.sync_all()?;
    fs::File::open(folder)?.sync_all()?;
    Ok(public)
}

pub(crate) fn parse_recipients(texts: &[String]) -> Result<Vec<Box<dyn age::Recipient>>, Error> {
    let mut parsed: Vec<Box<dyn age::Recipient>> = Vec::with_capacity(texts.len());
    for text in texts {
        let text = text.trim();
        if let Ok(age) = x25519::Recipient::from_str(text) {
            parsed.push(Box::new(age));
        } else if let Ok(ssh) = ssh::Recipient::from_str(text) {
            parsed.push(Box::new(ssh));
        } else {
            return Err(Error::BadRecipient {
                text: text.to_owned(),
            });
        }
    }
    if parsed.is_empty() {
        Err(Error::NoRecipients)
    } else {
        Ok(parsed)
    }
}

/// The keys of some identity files.
pub(crate) struct Keys {
    pub(crate) usable: Vec<Box<dyn age::Identity>>,
    /// Keys that cannot be used, with the reason.
    pub(crate) skipped: Vec<String>,
}

pub(crate) fn read_identities(paths: &[Utf8PathBuf]) -> Result<Keys, Error> {
    let mut keys = Keys {
        usable: Vec::new(),
        skipped: Vec::new(),
    };
    for path in paths {
        let text = fs::read_to_string(path)?;
        if text.trim_start().starts_with("-----BEGIN") {
            let parsed = ssh::Identity::from_buffer(text.as_bytes(), Some(path.to_string()));
            match parsed.map_err(|e| Error::BadIdentity {
                path: path.clone(),
                why: e.to_string(),
            })? {
                key @ ssh::Identity::Unencrypted(_) => keys.usable.push(Box::new(key)),
                ssh::Identity::Encrypted(_) => {
                    keys.skipped.push(format!("`{path}` has a passphrase"));
                }
                ssh::Identity::Unsupported(_) => {
                    keys.skipped.push(format!("`{path}` is of a kind age cannot use"));
                }
            }
            continue;
        }
        for line in text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            let key = x25519::Identity::from_str(line).map_err(|why| Error::BadIdentity {
                path: path.clone(),
                why: why.to_owned(),
            })?;
            keys.usable.push(Box::new(key));
        }
    }
    Ok(keys)
}
