//! The vault against the age and openssl tools, and against damage.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use vault::{
    Error, Known, SecretKind, SecretRequest, Vault, identities, placeholder, recipients, references,
};

struct Folder {
    _guard: tempfile::TempDir,
    path: Utf8PathBuf,
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn folder() -> Folder {
    let guard = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(guard.path().join(".quorate/demo")).unwrap();
    Folder { _guard: guard, path }
}

impl Folder {
    fn vault(&self) -> Utf8PathBuf {
        self.path.join("vault.age")
    }
    fn keys(&self) -> Vec<Utf8PathBuf> {
        vec![self.path.join("vault.key")]
    }
    fn create(&self) -> Result<Vault, Error> {
        Vault::create(&self.vault(), &recipients(&self.path)?)
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap_or_default()
}

fn leaf(ips: &[&str], days: u32) -> SecretRequest {
    let kind = SecretKind::Leaf {
        ca: "tls/ca".into(),
        common_name: "c1".into(),
        names: vec!["c1".into(), "vip.example.org".into()],
        ips: ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
        days,
    };
    SecretRequest::new("tls/c1", kind)
}

fn requests() -> Vec<SecretRequest> {
    vec![
        leaf(&["198.51.100.11", "2001:db8::11"], 365),
        SecretRequest::new(
            "tls/ca",
            SecretKind::CaCert {
                common_name: "demo".into(),
            },
        ),
        SecretRequest::new("keystone/database", SecretKind::Password { length: 32 }),
        SecretRequest::new("fernet/0", SecretKind::UrlBase64 { bytes: 32 }),
        SecretRequest::new("corosync/authkey", SecretKind::Base64 { bytes: 128 }),
        SecretRequest::new("hex", SecretKind::Hex { bytes: 16 }),
        SecretRequest::new("cloud/id", SecretKind::Uuid),
    ]
}

/// `None` where the tool is not installed.
fn tool(program: &str, args: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(args).output();
    if output.is_err() {
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    output.ok()
}

#[test]
fn what_is_made_is_kept_and_read_again() {
    let f = folder();
    let mut vault = f.create().unwrap();
    let made = vault.ensure(&requests(), now()).unwrap();
    assert_eq!(made.len(), 10, "{made:?}");
    assert!(vault.is_changed());
    vault.save().unwrap();
    assert!(!vault.is_changed());

    let mut again = Vault::open(&f.vault(), &f.keys()).unwrap();
    assert_eq!(again.ensure(&requests(), now()).unwrap(), Vec::<String>::new());
    assert!(!again.is_changed());
    let value = |v: &Vault, name: &str| v.get(name).map(|s| s.expose_secret().to_owned()).unwrap();
    for name in vault.names() {
        assert_eq!(value(&vault, name), value(&again, name));
    }
    assert_eq!(vault.digest_key().unwrap(), again.digest_key().unwrap());
    let password = value(&again, "keystone/database");
    assert_eq!(password.len(), 32);
    assert!(password.chars().all(|c| c.is_ascii_alphanumeric()));
    assert_eq!(value(&again, "fernet/0").len(), 44);
    assert_eq!(value(&again, "hex").len(), 32);
    assert_eq!(value(&again, "cloud/id").len(), 36);
    assert_eq!(again.created("hex"), Some(now()));
    again.save().unwrap(); // the recipients are known after opening, too
    Vault::open(&f.vault(), &f.keys()).unwrap();
}

#[test]
fn files_are_for_their_owner_and_nothing_is_left_beside() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.save().unwrap();
    vault.save().unwrap();
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&f.path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["vault.age", "vault.key"]);
    assert_eq!(identities(&f.path).first(), f.keys().first());
}

#[test]
fn a_save_that_fails_leaves_the_old_vault() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.import("a", "old".into(), now()).unwrap();
    vault.save().unwrap();
    vault.import("a", "new".into(), now()).unwrap();
    // A folder that cannot be written to; root may, so the folder is taken away instead.
    let aside = f.path.with_file_name("aside");
    std::fs::rename(&f.path, &aside).unwrap();
    std::fs::write(&f.path, "in the way").unwrap();
    assert!(vault.save().is_err());
    assert!(vault.is_changed());
    let old = Vault::open(&aside.join("vault.age"), &[aside.join("vault.key")]).unwrap();
    assert_eq!(old.get("a").unwrap().expose_secret(), "old");
}

#[test]
fn the_age_tool_reads_it() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.ensure(&requests(), now()).unwrap();
    vault.save().unwrap();
    let Some(out) = tool("age", &["-d", "-i", f.keys()[0].as_str(), f.vault().as_str()]) else {
        return;
    };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        json["keystone/database"]["value"].as_str(),
        vault.get("keystone/database").map(ExposeSecret::expose_secret)
    );
    assert_eq!(json["tls/c1.crt"]["kind"], "leaf");
}

#[test]
fn an_ssh_key_reads_it() {
    let f = folder();
    std::fs::create_dir_all(&f.path).unwrap();
    let key = f.path.join("id_ed25519");
    let Some(_) = tool(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()],
    ) else {
        return;
    };
    let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
    std::fs::write(f.path.join("recipients"), format!("# the team\n\n{public}")).unwrap();
    let mut vault = f.create().unwrap();
    vault.import("a", "b".into(), now()).unwrap();
    vault.save().unwrap();
    assert!(!f.keys()[0].exists(), "no key is made where recipients are named");
    let vault = Vault::open(&f.vault(), std::slice::from_ref(&key)).unwrap();
    assert_eq!(vault.get("a").unwrap().expose_secret(), "b");

    let Some(_) = tool("ssh-keygen", &["-q", "-p", "-N", "secret", "-f", key.as_str()]) else {
        return;
    };
    let error = Vault::open(&f.vault(), &[key]).unwrap_err();
    assert!(error.to_string().contains("has a passphrase"), "{error}");
}

#[test]
fn openssl_accepts_the_certificates() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.ensure(&requests(), Timestamp::now()).unwrap();
    for (name, file) in [
        ("tls/ca.crt", "ca.crt"),
        ("tls/c1.crt", "c1.crt"),
        ("tls/c1.key", "c1.key"),
    ] {
        std::fs::write(f.path.join(file), vault.get(name).unwrap().expose_secret()).unwrap();
    }
    let path = |file: &str| f.path.join(file).to_string();
    let (ca, crt, key) = (path("ca.crt"), path("c1.crt"), path("c1.key"));
    for check in [
        ["-purpose", "sslserver", "-verify_ip", "198.51.100.11"],
        ["-purpose", "sslserver", "-verify_ip", "2001:db8::11"],
        ["-purpose", "sslclient", "-verify_hostname", "vip.example.org"],
    ] {
        let mut args = vec!["verify", "-x509_strict", "-CAfile", &ca];
        args.extend(check);
        args.push(&crt);
        let Some(out) = tool("openssl", &args) else {
            return;
        };
        assert!(
            out.status.success(),
            "{check:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let mut args = vec!["verify", "-CAfile", &ca, "-verify_ip", "198.51.100.12", &crt];
    assert!(!tool("openssl", &args).unwrap().status.success());
    args = vec!["pkey", "-in", &key, "-noout", "-text"];
    let text = String::from_utf8(tool("openssl", &args).unwrap().stdout).unwrap();
    assert!(text.contains("prime256v1"), "{text}");
    assert!(
        std::fs::read_to_string(&key)
            .unwrap()
            .starts_with("-----BEGIN PRIVATE KEY-----")
    );
}

#[test]
fn a_leaf_is_issued_again_when_it_must_be() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.ensure(&requests(), now()).unwrap();
    let pair = ["tls/c1.crt", "tls/c1.key"];
    let day = |n: i64| now() + SignedDuration::from_hours(24 * n);
    assert_eq!(vault.expires("tls/c1.crt"), Some(day(365)));
    // Fewer names are covered still; an address more is not.
    assert!(
        vault
            .ensure(&[leaf(&["198.51.100.11"], 365)], now())
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        vault.ensure(&[leaf(&["198.51.100.12"], 365)], now()).unwrap(),
        pair
    );
    let same = leaf(&["198.51.100.12"], 365);
    assert!(
        vault
            .ensure(std::slice::from_ref(&same), day(240))
            .unwrap()
            .is_empty()
    );
    assert_eq!(vault.ensure(std::slice::from_ref(&same), day(245)).unwrap(), pair);
    // Another authority.
    assert!(vault.remove("tls/ca.crt"));
    let ca = SecretRequest::new(
        "tls/ca",
        SecretKind::CaCert {
            common_name: "demo".into(),
        },
    );
    assert_eq!(vault.ensure(&[same, ca], day(245)).unwrap().len(), 4);
    // No authority.
    vault.remove("tls/ca.key");
    let error = vault.ensure(&[leaf(&["198.51.100.99"], 365)], now()).unwrap_err();
    assert!(matches!(error, Error::Unknown { name } if name == "tls/ca.key"));
}

#[test]
fn damage_is_told_apart() {
    let f = folder();
    let missing = Vault::open(&f.vault(), &f.keys()).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }));
    assert!(missing.cure().unwrap().contains("backup"));
    let mut vault = f.create().unwrap();
    vault.ensure(&requests(), now()).unwrap();
    vault.save().unwrap();
    assert!(matches!(f.create().unwrap_err(), Error::Exists { .. }));

    let good = std::fs::read_to_string(f.vault()).unwrap();
    let lines = good.lines().count();
    for broken in [1, lines / 2, lines - 2] {
        let swap = |l: &str| l.chars().rev().collect::<String>();
        let text: Vec<String> = good
            .lines()
            .enumerate()
            .map(|(i, l)| if i == broken { swap(l) } else { l.to_owned() })
            .collect();
        std::fs::write(f.vault(), text.join("\n")).unwrap();
        let error = Vault::open(&f.vault(), &f.keys()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "line {broken}: {error}");
    }
    let short: String = good.lines().take(lines / 2).collect::<Vec<_>>().join("\n");
    for text in ["", "hello", &short] {
        std::fs::write(f.vault(), text).unwrap();
        let error = Vault::open(&f.vault(), &f.keys()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{text}: {error}");
    }

    std::fs::write(f.vault(), &good).unwrap();
    let other = folder();
    recipients(&other.path).unwrap();
    let error = Vault::open(&f.vault(), &other.keys()).unwrap_err();
    let own = recipients(&f.path).unwrap();
    assert!(matches!(&error, Error::NotForUs { recipients, .. } if *recipients == own));
    assert!(error.cure().unwrap().contains(&own[0]));
    assert!(matches!(
        Vault::open(&f.vault(), &[]).unwrap_err(),
        Error::NotForUs { .. }
    ));
}

#[test]
fn references_are_filled() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.import("a/b", "hunter2".into(), now()).unwrap();
    let text = format!("x = {0}; y = {0}\n", placeholder("a/b"));
    assert_eq!(references(&text).collect::<Vec<_>>(), ["a/b", "a/b"]);
    assert_eq!(vault.fill(&text).unwrap(), "x = hunter2; y = hunter2\n");
    assert_eq!(vault.fill("⟦other⟧").unwrap(), "⟦other⟧");
    let error = vault.fill("⟦secret:nope⟧").unwrap_err();
    assert!(matches!(error, Error::Unknown { name } if name == "nope"));
    assert!(matches!(
        vault.fill("⟦secret:a/b").unwrap_err(),
        Error::OpenPlaceholder { .. }
    ));
    assert!(matches!(
        vault.import("a b", "x".into(), now()).unwrap_err(),
        Error::BadName { .. }
    ));
    assert!(
        !format!("{vault:?}").contains("hunter2"),
        "secrets are not in debug output"
    );
}

#[test]
fn a_seed_makes_the_same_secrets() {
    let make = |seed| {
        let f = folder();
        let mut vault = f.create().unwrap();
        vault.set_seed(seed);
        vault.ensure(&requests(), now()).unwrap();
        let names = ["keystone/database", "hex", "cloud/id", "fernet/0"];
        names.map(|n| vault.get(n).unwrap().expose_secret().to_owned())
    };
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
}

#[test]
fn bad_recipients_are_refused_before_anything_is_made() {
    let path = Utf8Path::new("/nonexistent/vault.age");
    assert!(matches!(
        Vault::create(path, &[]).unwrap_err(),
        Error::NoRecipients
    ));
    let bad = ["age1nonsense".to_owned()];
    assert!(matches!(
        Vault::create(path, &bad).unwrap_err(),
        Error::BadRecipient { .. }
    ));
}

#[test]
fn an_older_copy_and_one_that_went_apart_are_told() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.set_author("one@a");
    vault.ensure(&requests(), now()).unwrap();
    vault.save().unwrap();
    let first = vault.version_text();
    let older = std::fs::read(f.vault()).unwrap();
    let read = |bytes: &[u8]| Vault::read(&f.vault(), bytes, &f.keys()).unwrap();

    // A save that changes no secret counts nothing, and marks are no secrets.
    vault.import("upkeep/mark", "x".to_owned().into(), now()).unwrap();
    vault.save().unwrap();
    assert_eq!(
        (vault.version().counter, vault.version_text()),
        (1, first.clone())
    );

    vault.remove("fernet/0");
    vault.ensure(&requests(), now()).unwrap();
    vault.save().unwrap();
    let second = vault.version_text();
    assert_eq!((vault.version().counter, &*vault.version().by), (2, "one@a"));
    for known in [&first, &second] {
        assert_eq!(
            Vault::open(&f.vault(), &f.keys()).unwrap().compare(known),
            Known::Ours
        );
    }
    assert_eq!(read(&older).compare(&first), Known::Ours);
    assert_eq!(read(&older).compare(&second), Known::Newer(vault.version()));

    // The same copy, changed elsewhere: as many saves, and another content.
    let elsewhere = folder();
    std::fs::create_dir_all(&elsewhere.path).unwrap();
    std::fs::write(elsewhere.vault(), &older).unwrap();
    std::fs::copy(&f.keys()[0], &elsewhere.keys()[0]).unwrap();
    let mut other = Vault::open(&elsewhere.vault(), &elsewhere.keys()).unwrap();
    for _ in 0..2 {
        other.remove("hex");
        other.ensure(&requests(), now()).unwrap();
        other.save().unwrap();
        assert_eq!(other.compare(&second), Known::Apart(vault.version()));
    }

    // Given up: the next save counts on from what the hosts know.
    let mut passing = read(&older);
    passing.pass(&vault.version());
    assert_eq!(
        (passing.compare(&second), passing.version().counter),
        (Known::Ours, 3)
    );
}

#[test]
fn a_version_holds_no_secret_and_cannot_be_invented() {
    let f = folder();
    let mut vault = f.create().unwrap();
    vault.ensure(&requests(), now()).unwrap();
    vault.save().unwrap();
    let text = vault.version_text();
    let scrubbed = vault.scrubber(&[]).unwrap().scrub(text.as_bytes());
    assert_eq!(scrubbed, text.as_bytes());
    assert_eq!(vault.fill(&placeholder(vault::VERSION)).unwrap(), text);
    let invented = text.replacen(" 1 ", " 9 ", 1);
    assert_ne!(invented, text);
    for text in [invented.as_str(), "", "9", "x 9 y - -"] {
        assert_eq!(vault.compare(text), Known::Foreign, "{text}");
    }
    assert!(vault.names().all(|name| name != "vault/saves"));
}
