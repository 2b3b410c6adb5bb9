//! Logins to hosts that have something else in the place of our program, and ssh's words.

use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;

use super::*;

#[test]
fn words_of_ssh_become_cures() {
    let cases = [
        (
            "root@h: Permission denied (publickey).",
            "does not accept your key",
        ),
        ("sudo: a password is required", "sudo -n"),
        (
            "ssh: connect to host 198.18.0.9 port 22: Connection timed out",
            "is the host on",
        ),
        ("gzip: stdout: No space left on device", "make room"),
        ("Host key verification failed.", "known_hosts"),
    ];
    for (stderr, cure) in cases {
        let error = explain(&HostName::new("c1").unwrap(), Some(255), stderr);
        assert!(error.cure.contains(cure), "{stderr}: {}", error.cure);
        assert!(error.message.contains(stderr), "{}", error.message);
    }
}

#[test]
fn quoting_survives_quotes() {
    assert_eq!(quote("a'b"), "'a'\\''b'");
}

/// A program of a shell: it says a hello of a build.
fn program(dir: &Utf8Path, build: &str) -> String {
    let hello = FromAgent::Hello(Hello {
        protocol: wire::PROTOCOL,
        build: build.to_owned(),
        hostname: "c1".to_owned(),
        boot_id: String::new(),
    });
    let bytes = wire::encode(&hello).unwrap();
    let mut frame = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(bytes);
    let file = dir.join(format!("hello-{build}"));
    fs_err::write(&file, frame).unwrap();
    format!("#!/bin/sh\ncat {file}\nexec cat >/dev/null\n")
}

fn executable(path: &Utf8Path, text: &str) {
    fs_err::write(path, text).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A session comes about whatever lies on the host in the place of the program, and the
/// right one lies there then.
#[tokio::test]
async fn a_damaged_program_is_pushed_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    // The last word is run, here, as whoever runs the test.
    let ssh = dir.join("ssh");
    executable(
        &ssh,
        "#!/bin/sh\nPATH=${0%/*}:$PATH\nfor last; do :; done\nexec sh -c \"$last\"\n",
    );
    executable(&dir.join("sudo"), "#!/bin/sh\nshift\nexec \"$@\"\n");
    let (local, folder) = (dir.join("program"), dir.join("bin"));
    // The hash is of the program's text, and the hello's file is named by a fixed word.
    fs_err::write(&local, program(dir, "ours")).unwrap();
    let binary = Binary::load(&local, &dir.join("cache")).unwrap();
    program(dir, binary.hash());
    fs_err::rename(
        dir.join(format!("hello-{}", binary.hash())),
        dir.join("hello-ours"),
    )
    .unwrap();
    let right = fs_err::read_to_string(&local).unwrap();
    let other = format!("{:<width$}", program(dir, "their"), width = right.len());
    let there = folder.join(format!("quorate-{}", binary.hash()));
    let target = Target {
        name: HostName::new("c1").unwrap(),
        destination: "c1".to_owned(),
        user: None,
        port: None,
        config: None,
    };
    let means = Means {
        ssh: ssh.as_str(),
        folder: folder.as_str(),
    };
    let silent = format!("{:<width$}", "#!/bin/sh", width = right.len());
    let half = right[..right.len() / 2].to_owned();
    let cases = [
        None,
        Some(String::new()),
        Some(half),
        Some(silent),
        Some(other),
        Some(right.clone()),
    ];
    for wrong in cases {
        match &wrong {
            Some(text) => executable(&there, text),
            None => assert!(!there.exists()),
        }
        let opened = Session::open_by(means, &target, &binary).await;
        assert!(opened.is_ok(), "{wrong:?}: {:?}", opened.err());
        assert_eq!(fs_err::read_to_string(&there).unwrap(), right, "{wrong:?}");
    }
}

/// The operator's `ForwardAgent yes` for all hosts would lend the keys to each of them.
#[tokio::test]
async fn nothing_of_this_machine_is_lent_to_a_host() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let (ssh, words) = (dir.join("ssh"), dir.join("words"));
    executable(&ssh, "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"${0%/*}/words\"\n");
    let target = Target {
        name: HostName::new("c1").unwrap(),
        destination: "there".to_owned(),
        user: None,
        port: None,
        config: Some("/dev/null".into()),
    };
    let means = Means {
        ssh: ssh.as_str(),
        folder: "/nonexistent",
    };
    let push = Push {
        hash: "0",
        packed: 0,
        size: 0,
        again: false,
    };
    let mut child = log_in(means, &target, &push).unwrap();
    assert!(child.wait().await.unwrap().success());
    let words = fs_err::read_to_string(&words).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let end = words.iter().position(|w| *w == "--").unwrap();
    for option in [
        "BatchMode=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
    ] {
        let place = words.iter().position(|w| *w == option);
        assert!(
            place.is_some_and(|p| p < end && words[p - 1] == "-o"),
            "{option}: {words:?}"
        );
    }
}
