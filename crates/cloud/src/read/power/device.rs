//! A device that switches a host off: its agent and the agent's options.
//!
//! Not for which hosts it is, nor in which order devices are tried.

use indexmap::IndexMap;

use crate::keys;
use crate::tree::{Entry, Fields, Kind, Node, Spanned, Walker};
use crate::types::{Keyed, PowerDevice, PowerOption};

/// The devices of a level: the level's own, or those of `together`.
pub(super) fn devices(w: &mut Walker, fields: &Fields<'_>) -> Option<Vec<PowerDevice>> {
    let Some(together) = fields.entry("together") else {
        let one = vec![device(w, fields)?];
        no_proof(w, &one);
        return Some(one);
    };
    if let Some(agent) = fields.entry("agent") {
        let message = "`power` takes `agent` or `together`, not both";
        let label = "devices that act together";
        let finding = w.error("power::agent-and-together", &together.key.span, message, label);
        let finding = finding.also(agent.key.span.clone(), "one device");
        w.push(finding.help("move the device into `together`, or into a level of its own"));
        return None;
    }
    let nodes = w.list(&together.value, "`together`")?;
    let mut read = |node: &Node| {
        let fields = w.keys(node, "a device of `together`", &keys::DEVICE)?;
        device(w, &fields)
    };
    // Not `?` within: each wrong device is said.
    let devices: Vec<Option<PowerDevice>> = nodes.iter().map(&mut read).collect();
    if devices.is_empty() {
        w.wrong_type(&together.value, "`together`", "a list of devices");
        return None;
    }
    let devices: Vec<PowerDevice> = devices.into_iter().collect::<Option<_>>()?;
    no_proof(w, &devices);
    Some(devices)
}

/// A level of which no device cuts the power. Beside one that does, the others are a
/// condition more.
fn no_proof(w: &mut Walker, devices: &[PowerDevice]) {
    let why = |d: &PowerDevice| NO_PROOF.iter().find(|(name, _)| *name == d.agent.value);
    let all: Option<Vec<_>> = devices.iter().map(|d| why(d).map(|(_, why)| (d, why))).collect();
    for (device, why) in all.into_iter().flatten() {
        let agent = &device.agent;
        let message = format!("`{agent}` is no proof of a host's death: {why}");
        let label = "its host may go on, and its work is begun elsewhere";
        let finding = w.error("fencing::cuts-nothing", &agent.span, message, label);
        w.push(finding.help("take an agent that switches the host off, such as `fence_ipmilan`"));
    }
}

fn device(w: &mut Walker, fields: &Fields<'_>) -> Option<PowerDevice> {
    let agent = w.require(fields, "agent").and_then(|n| w.text(n, "`agent`"));
    let agent = agent.filter(|agent| named(w, agent));
    let entries = fields
        .get("options")
        .and_then(|n| w.map(n, "`options`"))
        .unwrap_or_default();
    let mut options = IndexMap::new();
    for entry in entries {
        option_name(w, &entry.key);
        if let Some(value) = option(w, entry) {
            options.insert(
                entry.key.value.clone(),
                Keyed {
                    key: entry.key.span.clone(),
                    value,
                },
            );
        }
    }
    Some(PowerDevice {
        agent: agent?,
        options,
    })
}

/// True if a text is named as fence agents are.
fn named(w: &mut Walker, agent: &Spanned<String>) -> bool {
    let rest = agent.value.strip_prefix("fence_").unwrap_or_default();
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = !rest.is_empty() && rest.chars().all(letters);
    if !good {
        let message = format!("`{agent}` is not a fence agent");
        let finding = w.error(
            "fencing::bad-agent",
            &agent.span,
            message,
            "does not name an agent",
        );
        w.push(
            finding.help(
                "agents are the programs `fence_…` of the package fence-agents, such as `fence_ipmilan`",
            ),
        );
    }
    good
}

/// The agent is given its options by name: another name would be an option more.
fn option_name(w: &mut Walker, key: &Spanned<String>) {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.value.is_empty() || !key.value.chars().all(letters) {
        let message = format!("no option of a fence agent is called `{key}`");
        let finding = w.error("power::bad-option", &key.span, message, "not a name");
        w.push(finding.help("`quorate ssh HOST fence_… -o metadata` lists an agent's options"));
    }
}

fn option(w: &mut Walker, entry: &Entry) -> Option<Spanned<PowerOption>> {
    let what = format!("the option `{}`", entry.key);
    let span = entry.value.span.clone();
    if !matches!(entry.value.kind, Kind::Map(_)) {
        let text = w.text(&entry.value, &what)?;
        placeholders(w, &text);
        return Some(Spanned::new(PowerOption::Text(text.value), span));
    }
    let fields = w.keys(&entry.value, what, &keys::OPTION)?;
    let file = fields.get("file").and_then(|n| w.text(n, "`file`"));
    let secret = fields.get("secret").and_then(|n| w.text(n, "`secret`"));
    match (file, secret) {
        (Some(file), None) => {
            placeholders(w, &file);
            Some(Spanned::new(PowerOption::File(file.value), span))
        }
        (None, Some(secret)) => {
            placeholders(w, &secret);
            Some(Spanned::new(PowerOption::Secret(secret.value), span))
        }
        _ => {
            w.wrong_type(
                &entry.value,
                &fields.what,
                "text, `{ file: PATH }` or `{ secret: NAME }`",
            );
            None
        }
    }
}

/// Agents whose success is no proof: they write down that a host is dead, ask the host
/// itself, or take something else from it than its power (fence-agents 4.16, their help).
const NO_PROOF: [(&str, &str); 11] = [
    ("fence_ack_manual", "a person says so"),
    ("fence_compute", "it writes the death down and cuts nothing"),
    ("fence_crosslink", "it asks whether the host answers"),
    ("fence_dummy", "it always succeeds"),
    ("fence_evacuate", "it writes the death down and cuts nothing"),
    ("fence_heuristics_ping", "it asks whether the host answers"),
    ("fence_ifmib", "it takes a port of a switch, and the host runs on"),
    ("fence_kdump", "it waits for a message of the host itself"),
    ("fence_mpath", "it takes disks, and the host keeps its addresses"),
    ("fence_scsi", "it takes disks, and the host keeps its addresses"),
    (
        "fence_ssh",
        "it asks the host that does not answer to switch itself off",
    ),
];

/// The names in braces that a text may hold.
const PLACEHOLDERS: [&str; 2] = ["host", "address"];

fn placeholders(w: &mut Walker, text: &Spanned<String>) {
    for part in text.value.split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else {
            continue;
        };
        let word = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
        if word && !PLACEHOLDERS.contains(&name) {
            let message = format!("`{{{name}}}` stands for nothing");
            let finding = w.error("power::unknown-placeholder", &text.span, message, "not filled in");
            let help = diagnostic::did_you_mean(name, PLACEHOLDERS).map_or_else(
                || "there are `{host}` and `{address}`".to_owned(),
                |near| format!("did you mean `{{{near}}}`?"),
            );
            w.push(finding.help(help));
        }
    }
}
