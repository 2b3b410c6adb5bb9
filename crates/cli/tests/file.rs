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
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("power::missing-file"), "{said}");
    std::fs::write(folder.path().join("bmc-password"), "secret").unwrap();
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

/// A cloud file of three hosts with this at its end.
fn with(end: &str) -> String {
    format!(
        "cloud: demo\nrelease: \"2025.1\"\nhosts:\n  c1: {{ role: controller, address: 198.51.100.11 }}\n  \
         c2: {{ role: controller, address: 198.51.100.12 }}\n  c3: {{ role: controller, address: 198.51.100.13 }}\n\
         vips: {{ pool: 198.51.100.100-198.51.100.119 }}\nservices: [keystone]\n{end}\n"
    )
}

/// The findings of a cloud file, as JSON and as drawn.
fn findings(folder: &Path, text: &str) -> (serde_json::Value, String) {
    std::fs::write(folder.join("cloud.yaml"), text).unwrap();
    let json = quorate(folder, &["check", "-o", "json"]);
    let drawn = quorate(folder, &["check"]);
    (
        serde_json::from_slice(&json.stdout).unwrap(),
        String::from_utf8(drawn.stderr).unwrap(),
    )
}

fn codes(findings: &serde_json::Value) -> Vec<&str> {
    let all = findings.as_array().unwrap().iter();
    all.map(|f| f["code"].as_str().unwrap()).collect()
}

#[test]
fn what_a_file_quotes_does_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (json, drawn) = findings(
        folder.path(),
        &with("region: \"a\\e]0;owned\\a\\N\"\n\"b\\x9b2Jc\": 1"),
    );
    assert_eq!(
        codes(&json),
        [
            "file::control-character",
            "file::control-character",
            "file::unknown-key",
            "region::bad-name",
            "fencing::missing"
        ]
    );
    assert!(
        !drawn.contains(|c: char| c.is_control() && c != '\n'),
        "{drawn:?}"
    );
    let message = json[2]["message"].as_str().unwrap();
    assert!(message.contains('\u{9b}'), "JSON says what there is: {message:?}");
}

#[test]
fn a_large_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let begin = std::time::Instant::now();
    let large = format!(
        "config: {{ /etc/keystone/keystone.conf: {{ DEFAULT: {{ a: {} }} }} }}",
        "x".repeat(20_000_000)
    );
    std::fs::write(folder.path().join("cloud.yaml"), with(&large)).unwrap();
    let checked = quorate(folder.path(), &["check"]);
    assert_eq!(status(&checked), Some(2));
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("file::too-large") && said.len() < 2000, "{said}");
    // Eight seconds before there was a bound.
    assert!(
        begin.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn files_beside_the_cloud_file_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = with(
        "power: { agent: fence_ipmilan, options: { ip: \"bmc-{host}\", password: { file: \"bmc-{host}.txt\" } } }\n\
         ssh: { config: there.conf }",
    );
    let (json, _) = findings(folder.path(), &text);
    assert_eq!(
        codes(&json),
        [
            "power::missing-file",
            "ssh::missing-config",
            "power::missing-file",
            "power::missing-file"
        ]
    );
    // The name stands in a comment before as well: the option's value is meant.
    let commented = format!("# there.conf\n{text}");
    let (json, _) = findings(folder.path(), &commented);
    let finding = json
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["code"] == "ssh::missing-config");
    let line = commented
        .lines()
        .position(|l| l.contains("config: there.conf"))
        .unwrap()
        + 1;
    assert_eq!(finding.unwrap()["places"][0]["line"], line);
    for name in ["bmc-c1.txt", "bmc-c2.txt", "bmc-c3.txt", "there.conf"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    let (json, _) = findings(folder.path(), &text);
    assert_eq!(codes(&json), [""; 0]);
}

#[test]
fn keys_turn_no_faster_than_tokens_end() {
    let folder = tempfile::tempdir().unwrap();
    let judged = |expiration: u64, days: u64| {
        let power = "power: { agent: fence_ipmilan, options: { ip: \"bmc-{host}\" } }";
        let config =
            format!("config: {{ /etc/keystone/keystone.conf: {{ token: {{ expiration: {expiration} }} }} }}");
        let (json, _) = findings(
            folder.path(),
            &with(&format!("{power}\n{config}\nupkeep: {{ keys-every: {days} }}")),
        );
        let all = json.as_array().unwrap().iter();
        all.map(|f| {
            format!(
                "{} {}",
                f["code"].as_str().unwrap(),
                f["severity"].as_str().unwrap()
            )
        })
        .collect::<Vec<_>>()
    };
    let day = 86_400;
    assert_eq!(judged(21 * day, 1), ["settings::refused error"]);
    assert_eq!(
        judged(day, 1),
        ["settings::refused warning"],
        "two days more for long work"
    );
    assert_eq!(judged(day, 2), ["settings::refused warning"]);
    assert_eq!(judged(day, 3), [""; 0]);
    assert_eq!(judged(21 * day, 23), [""; 0]);
}

/// A file that is broken meanwhile is told, and the looks go on.
#[test]
fn a_cloud_is_followed_through_what_fails() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cloud.yaml"), "cloud: [\n").unwrap();
    let checked = quorate(folder.path(), &["status", "--check"]);
    assert_eq!(status(&checked), Some(3), "{checked:?}");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        said.starts_with("QUORATE UNKNOWN - ") && said.lines().count() == 1,
        "{said}"
    );
    let log = folder.path().join("log");
    let out = std::fs::File::create(&log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(["status", "--watch"]).current_dir(folder.path());
    command.stdin(std::process::Stdio::null()).stdout(out);
    let mut followed = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let clocks = || {
        let text = std::fs::read_to_string(&log).unwrap();
        let clock = |line: &&str| line.len() == 8 && line.bytes().filter(|b| *b == b':').count() == 2;
        text.lines().filter(clock).count()
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while clocks() < 2 && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let (looks, ended) = (clocks(), followed.try_wait().unwrap());
    followed.kill().unwrap();
    followed.wait().unwrap();
    assert!(looks >= 2 && ended.is_none(), "{looks} looks, {ended:?}");
}
