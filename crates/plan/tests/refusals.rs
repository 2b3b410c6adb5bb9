//! Hosts that belong to somebody else, as the planner sees them.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use wire::{Fact, FileFact, Stat};

const CONF: &str = "/etc/corosync/corosync.conf";

/// Debian's packaged file is nobody's; a file that resembles it is somebody's.
#[test]
fn only_the_packaged_example_is_nobodys() {
    let packaged = compare::read("tests/captured/corosync.conf-packaged");
    let (_, desired) = examples::example("three-controllers");
    let desired = world::known_by(desired);
    let check = |what: &str, text: &str, runs: bool, refused: bool| {
        let mut observed = world::all(&desired, world::bare);
        let facts = observed["c2"].as_mut().unwrap();
        let fact = FileFact {
            digest: world::digest(text.as_bytes()),
            size: text.len() as u64,
            stat: Stat {
                owner: "root".to_owned(),
                group: "root".to_owned(),
                mode: 0o644,
            },
            link: None,
            lines: Vec::new(),
            text: Some(text.to_owned()),
            keys: Vec::new(),
        };
        facts.files.insert(CONF.to_owned(), Fact::Known(fact));
        if runs {
            facts.cluster = world::applied(&desired, "c2").cluster;
        }
        let codes: Vec<&str> = world::plan(&desired, &observed)
            .err()
            .into_iter()
            .flatten()
            .map(|r| r.code)
            .collect();
        assert_eq!(
            codes.contains(&"host::another-cluster"),
            refused,
            "{what}: {codes:?}"
        );
    };
    check("the example", &packaged, false, false);
    check("the example, running", &packaged, true, true);
    let with = |from: &str, to: &str| {
        assert!(packaged.contains(from), "{from}");
        packaged.replacen(from, to, 1)
    };
    let theirs = with("cluster_name: debian", "cluster_name: debian-prod");
    check("another name", &theirs, false, true);
    let moved = with("ring0_addr: 127.0.0.1", "ring0_addr: 192.0.2.7");
    check("a member elsewhere", &moved, false, true);
    let second = with(
        "nodelist {",
        "nodelist {\n\tnode {\n\t\tname: node2\n\t\tnodeid: 2\n\t\tring0_addr: 192.0.2.8\n\t}\n",
    );
    check("a second member", &second, false, true);
    let secure = with("crypto_cipher: none", "crypto_cipher: aes256");
    check("encrypted", &secure, false, true);
    let logs = with("debug: off", "debug: off\n\t# more\n");
    check("a comment", &logs, false, false);
}
