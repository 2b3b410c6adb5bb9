//! Words about machines of users: commands that move them come in a pair, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

use catalog::{Catalog, Files};

/// Codes of what is wrong with these words, and whether machines can be moved.
fn check(words: &str, codes: &[&str], moves: bool) {
    let text = format!(
        "name: case\ncomponents:\n  main: {{ kind: per-host, runs-on: compute, unit: a.service, run: systemd }}\n\
         guests:\n  on: compute\n  list: [list]\n  shut: [shut]\n{words}"
    );
    let (catalog, findings) = Catalog::load(Files::from([("openstack/case/service.yaml".to_owned(), text)]));
    let found: Vec<&str> = findings.iter().map(|f| f.code).collect();
    assert_eq!(found, codes, "{words}");
    let guests = catalog.services["case"].guests.as_ref();
    assert_eq!(guests.is_some_and(|g| g.moves.is_some()), moves, "{words}");
}

#[test]
fn machines_are_moved_by_a_pair_of_commands() {
    let empty = "  empty: { run: [empty, \"{host}\"], on: api, timeout: 60 }\n";
    let fill = "  fill: { run: [fill, \"{host}\"], on: api }\n";
    check("", &[], false);
    check(&format!("{empty}{fill}"), &[], true);
    // One that only empties would leave hosts that nobody takes back.
    check(empty, &["file::missing-key"], false);
    check(fill, &["file::missing-key"], false);
    let bare = "  fill: { run: [fill] }\n";
    check(&format!("{empty}{bare}"), &["file::missing-key"], false);
    let nobody = fill.replace("api", "toaster");
    check(&format!("{empty}{nobody}"), &["catalog::unknown-role"], true);
    let more = fill.replace("on: api", "on: api, after: [case]");
    check(&format!("{empty}{more}"), &["file::unknown-key"], true);
}
