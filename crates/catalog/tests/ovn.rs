//! OVN's script that forgets members, tried in its own language with the databases made up.

use std::path::Path;
use std::process::Command;

#[test]
fn members_of_hosts_that_left_are_forgotten() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let out = Command::new("python3")
        .args(["-B", "ovn_left.py"])
        .current_dir(tests)
        .output()
        .expect("python3 is there, as on every host of a cloud");
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&said));
}
