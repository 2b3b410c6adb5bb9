//! Names on a host whose `nsswitch.conf` names a module that a static program
//! cannot load: one that asks the C library freely dies of SIGFPE there (seen with
//! `hesiod` and `compat` of Debian 13). The agent must read `/etc/hosts`.
//!
//! Needs root and an image of the lab.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

const IMAGES: &str = "/var/cache/quorate/lab";

fn image() -> Option<PathBuf> {
    let entries = std::fs::read_dir(IMAGES).ok()?.flatten();
    let mut roots: Vec<PathBuf> = entries.map(|e| e.path().join("root")).collect();
    roots.retain(|r| r.join("etc/nsswitch.conf").exists());
    roots.sort();
    roots.pop()
}

/// Runs the program in a root of its own over the image, which stays as it is.
fn resolve(image: &Path, lookups: &str, name: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    // What is mounted goes with the namespace.
    let script = r#"set -eu
mount -t tmpfs tmpfs "$DIR"
mkdir "$DIR/upper" "$DIR/work" "$DIR/root"
mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$DIR/upper,workdir=$DIR/work" "$DIR/root"
echo "hosts: $LOOKUPS" >"$DIR/root/etc/nsswitch.conf"
echo '192.0.2.77 only.in.this.file' >>"$DIR/root/etc/hosts"
cp "$PROGRAM" "$DIR/root/quorate"
exec chroot "$DIR/root" /quorate agent resolve "$NAME""#;
    Command::new("unshare")
        .args(["--mount", "--net", "--", "sh", "-c", script])
        .env("DIR", dir.path())
        .env("IMAGE", image)
        .env("LOOKUPS", lookups)
        .env("PROGRAM", env!("CARGO_BIN_EXE_quorate"))
        .env("NAME", name)
        .output()
        .unwrap()
}

#[test]
#[ignore = "lab"]
fn a_module_for_names_that_cannot_be_loaded_is_passed_over() {
    let image = image().unwrap();
    for lookups in ["files", "hesiod files", "compat files"] {
        let said = resolve(&image, lookups, "only.in.this.file");
        assert!(said.status.success(), "{lookups}: {said:?}");
        let out = String::from_utf8_lossy(&said.stdout);
        assert_eq!(out.trim(), "192.0.2.77", "{lookups}: {said:?}");
    }
    let unknown = resolve(&image, "hesiod files", "not.in.this.file");
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("not.in.this.file"), "{unknown:?}");
}
