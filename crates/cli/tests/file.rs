//! The verbs that need no host: a cloud file is made, checked and described.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::path::Path;
use std::process::{Command, Output};

const FLAGS: [&str; 6] = [
    "--controllers",
    "c1=198.51.100.11,c2=198.51.100.12,c3=198.51.100.13",
    "--vips",
    "198.51.100.100-198.51.100.119",
    "--fencing",
    "fence_ipmilan",
];

/// Nobody is there to be asked.
fn quorate(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.current_dir(folder).stdin(std::process::Stdio::null());
    command.args(args).output().unwrap()
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_file_is_made_once_and_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["init"], FLAGS.as_slice()].concat();
    let made = quorate(folder.path(), &args);
    assert_eq!(status(&made), Some(0), "{made:?}");
    let text = std::fs::read_to_string(folder.path().join("cloud.yaml")).unwrap();
    let schema = text.lines().next().unwrap().split('=').nth(1).unwrap().to_owned();
    let schema = std::fs::read(folder.path().join(schema)).unwrap();
    assert_eq!(schema, quorate(folder.path(), &["schema"]).stdout);
    let checked = quorate(folder.path(), &["check"]);
    assert_eq!(status(&checked), Some(0), "{checked:?}");
    let again = quorate(folder.path(), &args);
    assert_eq!(status(&again), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there already"));
    let same = std::fs::read_to_string(folder.path().join("cloud.yaml")).unwrap();
    assert_eq!(same, text);
    let printed = quorate(folder.path(), &[&["init", "-"], FLAGS.as_slice()].concat());
    assert!(text.ends_with(&String::from_utf8_lossy(&printed.stdout).into_owned()));
}

#[test]
fn what_is_not_said_or_is_wrong_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = quorate(folder.path(), &["init"]);
    assert_eq!(status(&nothing), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("--controllers"));
    let even = FLAGS.map(|f| f.trim_end_matches(",c3=198.51.100.13"));
    let even = quorate(folder.path(), &[&["init"], even.as_slice()].concat());
    assert_eq!(status(&even), Some(2));
    assert!(String::from_utf8_lossy(&even.stderr).contains("quorum::even-controllers"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_catalogue_is_checked_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let service = folder.path().join("mine/openstack/shop");
    std::fs::create_dir_all(&service).unwrap();
    let write = |port: u16, text: &str| {
        let yaml = format!(
            "name: shop\ncomponents: {{ api: {{ kind: stateless, runs-on: api, unit: shop.service, endpoint: {{ port: {port} }} }} }}\n\
             files: [{{ from: shop.conf.j2, to: /etc/shop.conf, on: api }}]\n"
        );
        std::fs::write(service.join("service.yaml"), yaml).unwrap();
        std::fs::write(service.join("shop.conf.j2"), text).unwrap();
    };
    let check = || quorate(folder.path(), &["check", "--catalog", "mine"]);
    write(8099, "host = {{ host.name }}\n");
    let good = check();
    assert_eq!(status(&good), Some(0), "{good:?}");
    for (port, text, said) in [
        (5000, "x\n", "catalog::duplicate-port"),
        (8099, "host = {{ host.nmae }}\n", "catalog::template"),
    ] {
        write(port, text);
        let wrong = check();
        let stderr = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert_eq!(status(&wrong), Some(2), "{stderr}");
        assert!(
            stderr.contains(said) && stderr.contains("mine/openstack/shop/"),
            "{stderr}"
        );
    }
}
