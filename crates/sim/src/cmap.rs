//! Keys with which Corosync runs, as `corosync-cmapctl` tells them. Tests of the planner
//! include this file too.

use std::fmt::Write as _;

/// Output of `corosync-cmapctl` after a file of this text was loaded, secrets filled in.
pub(crate) fn cmap(conf: &str) -> String {
    let mut out = String::new();
    let mut place: Vec<String> = Vec::new();
    let mut nodes = 0;
    let mut say = |key: &str, value: &str| {
        let kind = if value.parse::<u32>().is_ok() {
            "u32"
        } else {
            "str"
        };
        let _ = writeln!(out, "{key} ({kind}) = {value}");
    };
    for line in conf.lines().map(str::trim) {
        match (line.strip_suffix(" {"), line.split_once(": ")) {
            (Some("node"), _) => {
                place.push(format!("node.{nodes}"));
                nodes += 1;
            }
            (Some(name), _) => place.push(name.to_owned()),
            (None, Some((key, value))) => {
                let key = format!("{}.{key}", place.join("."));
                say(&key, value);
                if key == "totem.token" || key == "totem.consensus" {
                    say(&format!("runtime.config.{key}"), value);
                }
                if key == "totem.token" {
                    let timeout = value.parse::<u32>().unwrap_or_default() / 2;
                    say(
                        "runtime.config.totem.interface.0.knet_ping_timeout",
                        &timeout.to_string(),
                    );
                }
            }
            (None, None) if line == "}" => drop(place.pop()),
            (None, None) => {}
        }
    }
    say("config.reload_status", "1");
    out
}
