//! Work that recurs: a service unit that does it once and a timer that starts it.
//! Both lie on every host of the role; the timer runs on one, by the cluster's choice.

use catalog::Periodic;
use model::{Model, Placed};
use wire::{FileWrite, Own};

use crate::DesiredFile;
use crate::context::{Scope, Templates};

/// Where units lie that are written here.
const UNITS: &str = "/etc/systemd/system";

/// A word of `ExecStart=` (systemd.service(5), "Command lines"): quoted, nothing expanded.
fn word(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%$".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("\"{text}\"")
    }
}

/// The work, and that it ends with its timer: a move leaves none behind on the old host.
fn service(service: &str, periodic: &Periodic, argv: &[String]) -> String {
    let name = &periodic.name.value;
    let command: Vec<String> = argv.iter().map(|w| word(w)).collect();
    format!(
        "# Written by quorate from its catalogue.\n\
         [Unit]\nDescription={service}: {name}\nPartOf={}\n\n\
         [Service]\nType=oneshot\nUser={}\nExecStart={}\nTimeoutStartSec={}\n",
        periodic.unit(service, "timer"),
        periodic.user,
        command.join(" "),
        periodic.timeout,
    )
}

/// When it is done. Not at once for all services: an hour's spread, the same each time.
fn timer(service: &str, periodic: &Periodic) -> String {
    let (name, every) = (&periodic.name.value, periodic.every);
    let spread = every.spread();
    format!(
        "# Written by quorate from its catalogue. The cluster runs it on one host at a time.\n\
         [Unit]\nDescription={service}: {name}, {}\n\n\
         [Timer]\nOnCalendar={}\nRandomizedDelaySec={spread}\nFixedRandomDelay=true\n",
        every.as_str(),
        every.as_str(),
    )
}

/// The paths of its units.
pub fn paths(service: &str, periodic: &Periodic) -> [String; 2] {
    ["service", "timer"].map(|kind| format!("{UNITS}/{}", periodic.unit(service, kind)))
}

/// The units of one service's work on a host.
pub fn files(model: &Model, templates: &mut Templates, placed: &Placed, host: &str) -> Vec<DesiredFile> {
    let name = &placed.service.name.value;
    let scope = Scope {
        service: name,
        host: Some(host),
        item: None,
    };
    let mut out = Vec::new();
    for periodic in placed.service.periodic.values() {
        let here = model.is_on(host, &periodic.on);
        if !here || !templates.holds(&scope, &periodic.when) {
            continue;
        }
        let argv: Vec<String> = periodic.run.iter().map(|w| templates.text(&scope, w)).collect();
        let texts = [service(name, periodic, &argv), timer(name, periodic)];
        let both = paths(name, periodic).into_iter().zip(texts);
        out.extend(both.map(|(path, text)| DesiredFile {
            secret: false,
            write: FileWrite {
                path,
                content: text.into(),
                owner: "root".to_owned(),
                group: "root".to_owned(),
                mode: 0o644,
                directory: false,
                own: Own::File,
            },
            service: name.clone(),
            once: false,
            names: false,
            ring: None,
            identity: String::new(),
            restart: Vec::new(),
            reload: Vec::new(),
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn words_are_told_as_they_are() {
        let check = |text: &str, expect: &str| assert_eq!(word(text), expect);
        check("nova-manage", "nova-manage");
        check("--before=-30 days", "\"--before=-30 days\"");
        check("", "\"\"");
        check("50%", "50%%");
        check("$HOME", "$$HOME");
        check("a\"b\\", "\"a\\\"b\\\\\"");
    }
}
