//! Secrets that are replaced while the cloud runs: what the vault must hold for
//! each stage of it. Putting it on the hosts is `apply`'s, and so is its order.
//!
//! **The authority**: first all trust the next one too; then it issues, and the
//! old one is still trusted; then nobody trusts the old one any more. Which stage
//! it is can be seen in the vault, so that whoever was interrupted goes on.
//! **Certificates**: the same authority issues others.
//! **Rings** of keys, as Fernet's: what is staged everywhere begins to sign, and
//! a new one is staged. What was signed before is still read.

use jiff::Timestamp;
use vault::{Error, ExposeSecret as _, SecretKind, SecretRequest, SecretString, Vault};

/// The authority that issues.
pub const CA: &str = "tls/ca";
/// The one that will.
const NEXT: &str = "tls/ca-next";
/// The one that did.
const BEFORE: &str = "tls/ca-before";
/// The certificates of all authorities that are trusted.
const TRUST: &str = "tls/trust.crt";

/// Keeps what is trusted in step with the authorities there are.
pub fn trust(vault: &mut Vault, now: Timestamp) -> Result<(), Error> {
    let certificate = |name: &str| {
        let found = vault.get(&format!("{name}.crt"));
        found.map(|c| c.expose_secret().trim_end().to_owned())
    };
    let all: Vec<String> = [CA, NEXT, BEFORE].into_iter().filter_map(certificate).collect();
    let text = format!("{}\n", all.join("\n"));
    if vault.get(TRUST).is_some_and(|now| now.expose_secret() == text) {
        return Ok(());
    }
    vault.import(TRUST, SecretString::from(text), now)
}

/// How far a change of the authority is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// One issues and is trusted.
    One,
    /// The next one is trusted too.
    Next,
    /// The next one issues, the one before is still trusted.
    Before,
}

/// What the vault says.
pub fn authority(vault: &Vault) -> Authority {
    let has = |name: &str| vault.get(&format!("{name}.crt")).is_some();
    if has(NEXT) {
        Authority::Next
    } else if has(BEFORE) {
        Authority::Before
    } else {
        Authority::One
    }
}

/// Takes the vault to the next stage of it.
pub fn advance(vault: &mut Vault, common_name: &str, now: Timestamp) -> Result<(), Error> {
    let pair = |from: &str, to: &str, vault: &mut Vault| {
        for end in ["crt", "key"] {
            vault.rename(&format!("{from}.{end}"), &format!("{to}.{end}"));
        }
    };
    match authority(vault) {
        Authority::One => {
            let kind = SecretKind::CaCert {
                common_name: common_name.to_owned(),
            };
            vault.ensure(&[SecretRequest::new(NEXT, kind)], now)?;
        }
        Authority::Next => {
            pair(CA, BEFORE, vault);
            pair(NEXT, CA, vault);
        }
        Authority::Before => {
            vault.remove(&format!("{BEFORE}.crt"));
            vault.remove(&format!("{BEFORE}.key"));
        }
    }
    trust(vault, now)
}

/// Forgets all certificates that the authority issued: others are made instead.
pub fn certificates(vault: &mut Vault) {
    let mut issued = Vec::new();
    for stem in vault.names().filter_map(|n| n.strip_suffix(".key")) {
        let certificate = format!("{stem}.crt");
        if vault.get(&certificate).is_some() && !vault.is_authority(&certificate) {
            issued.extend([format!("{stem}.key"), certificate]);
        }
    }
    for name in issued {
        vault.remove(&name);
    }
}

/// Turns a ring: each key takes the place of the one before it, the first goes,
/// and the last, which is staged, is made anew.
pub fn ring(vault: &mut Vault, keys: &[String]) {
    for pair in keys.windows(2) {
        if let [to, from] = pair {
            vault.rename(from, to);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An empty vault, for nobody.
    pub fn empty() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(dir.path().join("vault.age")).unwrap();
        let nobody = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
        let vault = Vault::create(&path, &[nobody.to_owned()]).unwrap();
        (dir, vault)
    }

    fn vault() -> (tempfile::TempDir, Vault) {
        let (dir, mut vault) = empty();
        let ca = SecretKind::CaCert {
            common_name: "quorate test".to_owned(),
        };
        vault
            .ensure(&[SecretRequest::new(CA, ca)], Timestamp::UNIX_EPOCH)
            .unwrap();
        trust(&mut vault, Timestamp::UNIX_EPOCH).unwrap();
        (dir, vault)
    }

    fn text(vault: &Vault, name: &str) -> String {
        vault.get(name).unwrap().expose_secret().trim_end().to_owned()
    }

    #[test]
    fn an_authority_is_trusted_before_it_issues_and_after() {
        let (_dir, mut vault) = vault();
        let old = text(&vault, "tls/ca.crt");
        assert_eq!(text(&vault, TRUST), old);
        advance(&mut vault, "quorate test", Timestamp::UNIX_EPOCH).unwrap();
        let new = text(&vault, "tls/ca-next.crt");
        assert_eq!(
            (authority(&vault), text(&vault, "tls/ca.crt")),
            (Authority::Next, old.clone())
        );
        assert_eq!(text(&vault, TRUST), format!("{old}\n{new}"));
        advance(&mut vault, "quorate test", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            (authority(&vault), text(&vault, "tls/ca.crt")),
            (Authority::Before, new.clone())
        );
        assert_eq!(text(&vault, TRUST), format!("{new}\n{old}"));
        advance(&mut vault, "quorate test", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((authority(&vault), text(&vault, TRUST)), (Authority::One, new));
    }

    #[test]
    fn a_ring_turns_by_one() {
        let (_dir, mut vault) = vault();
        let keys = ["a", "b", "staged"].map(str::to_owned);
        for key in &keys {
            let value = SecretString::from(format!("key {key}"));
            vault.import(key, value, Timestamp::UNIX_EPOCH).unwrap();
        }
        ring(&mut vault, &keys);
        assert_eq!([text(&vault, "a"), text(&vault, "b")], ["key b", "key staged"]);
        assert!(vault.get("staged").is_none());
    }
}
