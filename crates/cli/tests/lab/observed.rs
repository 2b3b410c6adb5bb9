//! What hosts say of themselves, and what of it may differ between two runs.

use serde_json::{Map, Value, json};

use crate::cloud::Cloud;

/// `quorate observe`, by host.
#[track_caller]
pub fn facts(cloud: &Cloud) -> Value {
    let said = cloud.say(&["observe", "--output", "json"]).good();
    serde_json::from_str(&said.out).unwrap()
}

/// All that two runs of the same cloud must agree on, as lines to compare.
#[track_caller]
pub fn settled(cloud: &Cloud) -> String {
    let mut hosts = facts(cloud);
    for host in hosts.as_object_mut().unwrap().values_mut() {
        mask(host["facts"].as_object_mut().unwrap());
    }
    let mut status = cloud.status().unwrap();
    for vip in status["vips"].as_array_mut().unwrap() {
        // Who holds an address is the cluster's choice.
        vip["host"] = json!(vip["host"].is_string());
    }
    // An address away from home is remarked.
    status.as_object_mut().unwrap().remove("remarks");
    for api in status["apis"].as_array_mut().unwrap() {
        sort(&mut api["instances"]);
    }
    format!("{hosts:#}\n{status:#}")
}

fn mask(facts: &mut Map<String, Value>) {
    for volatile in ["boot_id", "clock", "memory_kib", "disk_free", "disk_size"] {
        facts.remove(volatile);
    }
    // Virtual addresses are where the cluster has put them, see `status`.
    let floating = |a: &Value| {
        let address = a["address"].as_str().unwrap_or_default();
        let last = address.rsplit('.').next().and_then(|n| n.parse().ok());
        last.is_some_and(|n: u8| (100..120).contains(&n)) || address.starts_with("fe80:")
    };
    let addresses = facts["addresses"].as_array_mut().unwrap();
    addresses.retain(|a| !floating(a));
    sort(&mut facts["addresses"]);
    let listeners = facts["listeners"].as_array_mut().unwrap();
    listeners.retain(|l| l["port"].as_u64().unwrap_or_default() < 32_768);
    sort(&mut facts["listeners"]);
    for (name, unit) in facts["units"].as_object_mut().unwrap() {
        if let Some(unit) = unit["Known"].as_object_mut() {
            for volatile in ["pid", "since", "restarts"] {
                unit.remove(volatile);
            }
            // A timer runs on one host, by the cluster's choice.
            if name.strip_suffix(".timer").is_some() {
                unit.remove("active");
            }
        }
    }
    for (name, answer) in facts["answers"].as_object_mut().unwrap() {
        answered(name, answer);
    }
    // The cluster's own file counts its epochs; its content is compared below.
    let cib_file = &mut facts["files"]["/var/lib/pacemaker/cib/cib.xml"]["Known"];
    assert!(
        cib_file["digest"].is_string(),
        "the cluster's file was not observed: {cib_file}"
    );
    for volatile in ["digest", "size"] {
        cib_file[volatile] = json!("‹masked›");
    }
    // Whether it runs; what runs where is in `status`.
    facts["cluster"] = json!(facts["cluster"]["Known"].is_object());
    // Times of events, and the order in which members remember what they ran.
    let cib = &mut facts["cib"]["Known"];
    if let Some(cib) = cib.as_object_mut() {
        for volatile in ["quiet", "remembered", "had_quorum"] {
            assert!(cib.remove(volatile).is_some(), "{volatile} was not observed");
        }
    }
}

/// Takes out of an answer what differs between two clusters of the same cloud.
fn answered(name: &str, answer: &mut Value) {
    let known = &mut answer["Known"];
    if let Some(http) = known.get_mut("Http").and_then(Value::as_object_mut) {
        http.remove("headers");
    }
    if let Some(rows) = known.get_mut("Rows") {
        for row in rows.as_array_mut().unwrap() {
            let volatile = matches!(
                row[0].as_str(),
                Some("wsrep_last_committed" | "wsrep_cluster_state_uuid")
            );
            if volatile {
                row[1] = json!("‹masked›");
            }
        }
        sort(rows);
    }
    // When it was started and when its file was written, and how its servers are this second.
    if name.starts_with("balancer/") {
        *known = json!("‹masked›");
        return;
    }
    if let Some(text) = known.get_mut("Text").filter(|_| name.ends_with("/grastate")) {
        let lines = text.as_str().unwrap_or_default().lines();
        let keys: Vec<&str> = lines.filter_map(|l| l.split(':').next()).collect();
        *text = json!(keys);
    }
    // Some of a store's folder, in no order; that it holds something is what engines read.
    for part in ["/Listing/folders", "/Listing/others"] {
        if let Some(names) = known.pointer_mut(part) {
            *names = json!(*names != json!([]));
        }
    }
    if let Some(ran) = known.get_mut("Ran") {
        let mut lines: Vec<&str> = ran["stdout"].as_str().unwrap_or_default().lines().collect();
        // The hour at which votequorum was asked, and how often members came and went.
        lines.retain(|line| !line.starts_with("Date:") && !line.starts_with("Ring ID:"));
        lines.sort_unstable();
        ran["stdout"] = json!(lines);
    }
}

fn sort(array: &mut Value) {
    if let Some(array) = array.as_array_mut() {
        array.sort_by_key(Value::to_string);
    }
}

/// The lines that only one of two texts has.
pub fn difference(one: &str, other: &str) -> String {
    let only = |sign: char, a: &str, b: &str| -> Vec<String> {
        let b: std::collections::BTreeSet<&str> = b.lines().collect();
        let lines = a.lines().filter(|l| !b.contains(l));
        lines.map(|l| format!("{sign} {l}")).collect()
    };
    [only('-', one, other), only('+', other, one)].concat().join("\n")
}
