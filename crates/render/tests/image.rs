//! The release's own tools judge what is rendered: `haproxy -c`, `corosync -t`,
//! `crm_verify`, and `crm_simulate`, which is Pacemaker's scheduler itself.
//!
//! They are taken from the lab's image, never from this machine. Each test works
//! in an overlay of its own over the image, which is not changed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use names::ResourceId;
use pacemaker::{Monitor, Resource};
use render::Desired;
use tempfile::TempDir;

/// The image whose tools are used: the newest that has all of them.
fn image() -> PathBuf {
    let mut roots: Vec<_> = std::fs::read_dir("/var/cache/quorate/lab")
        .into_iter()
        .flatten()
        .map(|e| e.unwrap().path())
        .filter(|p| {
            ["haproxy", "corosync", "crm_simulate"]
                .iter()
                .all(|t| p.join("root/usr/sbin").join(t).exists())
        })
        .map(|p| (p.metadata().unwrap().modified().unwrap(), p.join("root")))
        .collect();
    roots.sort();
    let newest = roots.pop();
    assert!(
        newest.is_some(),
        "no lab image with the release's tools: run `quorate lab up examples/three-controllers.yaml` first"
    );
    newest.unwrap().1
}

/// A writable view of the image; gone when dropped.
struct Root {
    folder: TempDir,
}

impl Root {
    fn new() -> Self {
        let folder = TempDir::with_prefix("quorate-image-").unwrap();
        let at = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            image().display(),
            at("upper"),
            at("work")
        );
        let output = Command::new("mount")
            .args(["-t", "overlay", "quorate-image", "-o", &options, &at("root")])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "root is needed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self { folder }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, argv: &[&str]) -> Output {
        self.run_as("localhost", argv)
    }

    /// Runs a program on a host of that name.
    fn run_as(&self, host: &str, argv: &[&str]) -> Output {
        Command::new("unshare")
            .args([
                "--uts",
                "sh",
                "-c",
                "echo \"$1\" >/proc/sys/kernel/hostname && shift && exec chroot \"$@\"",
                "sh",
            ])
            .arg(host)
            .arg(self.path("/"))
            .arg("env")
            .args([
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8",
                "TZ=UTC",
            ])
            .args(argv)
            .output()
            .unwrap()
    }

    /// Runs what must succeed; gives its output.
    fn must(&self, argv: &[&str]) -> String {
        let output = self.run(argv);
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{argv:?}: {}\n{}{}",
            output.status,
            told(&output.stdout),
            told(&output.stderr)
        );
        told(&output.stdout)
    }

    /// A throw-away certificate, its key behind it.
    fn certificate(&self) -> String {
        self.must(&[
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-keyout",
            "/tmp/test.key",
            "-out",
            "/tmp/test.crt",
        ]);
        let read = |path| std::fs::read_to_string(self.path(path)).unwrap();
        read("/tmp/test.crt") + &read("/tmp/test.key")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path("/")).status();
    }
}

/// A host's file with something in the place of each secret.
fn content(desired: &Desired, host: &str, path: &str) -> String {
    let file = desired.hosts[host]
        .files
        .iter()
        .find(|f| f.write.path == path)
        .unwrap();
    let text = String::from_utf8(file.write.content.to_vec()).unwrap();
    let mut parts = text.split('\u{27e6}');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| {
        out + "00112233445566778899aabbccddeeff" + part.split_once('\u{27e7}').unwrap().1
    })
}

#[test]
#[ignore = "lab"]
fn image_haproxy_takes_the_configuration() {
    let root = Root::new();
    let certificate = root.certificate();
    let mut judged = 0;
    for (cloud, desired) in examples::clouds() {
        for (host, wanted) in &desired.hosts {
            if !wanted
                .files
                .iter()
                .any(|f| f.write.path == "/etc/haproxy/haproxy.cfg")
            {
                continue;
            }
            let text = content(&desired, host, "/etc/haproxy/haproxy.cfg");
            for path in text
                .split_whitespace()
                .filter(|w| w.starts_with("/etc/haproxy/") && w.contains(".pem"))
            {
                root.write(path, &certificate);
            }
            // Lists that the configuration reads.
            let lists = (wanted.files.iter()).filter(|f| {
                f.write
                    .path
                    .strip_prefix("/etc/haproxy/")
                    .is_some_and(|name| name.rsplit_once('.').is_some_and(|(_, kind)| kind == "list"))
            });
            for list in lists {
                root.write(&list.write.path, content(&desired, host, &list.write.path));
            }
            root.write("/etc/haproxy/haproxy.cfg", &text);
            let output = root.run(&["haproxy", "-c", "-V", "-f", "/etc/haproxy/haproxy.cfg"]);
            let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && !told.contains("[WARNING]"),
                "{cloud}, {host}:\n{told}\n{text}"
            );
            judged += 1;
        }
    }
    assert!(judged > 9);
}

#[test]
#[ignore = "lab"]
fn image_corosync_takes_the_configuration() {
    let root = Root::new();
    for (cloud, desired) in examples::clouds() {
        for (host, _) in &desired.nodes {
            // Corosync finds its own node in the list by the host's name. What it
            // has against the file it tells its log.
            let text = content(&desired, host, "/etc/corosync/corosync.conf");
            root.write(
                "/etc/corosync/corosync.conf",
                text.replace("to_stderr: no", "to_stderr: yes"),
            );
            root.write("/etc/corosync/authkey", "0".repeat(256));
            let output = root.run_as(host, &["corosync", "-t", "-f"]);
            let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && !told.contains("warning"),
                "{cloud}, {host}: {told}\n{text}"
            );
        }
    }
}

#[test]
#[ignore = "lab"]
fn image_crm_verify_finds_nothing() {
    let root = Root::new();
    for (cloud, desired) in examples::clouds() {
        // All, and the layer that goes first.
        let layer = desired.cib.only(&|id| !desired.gated.iter().any(|g| g == id));
        for cib in [desired.cib.clone(), layer] {
            let part = Desired {
                cib,
                ..desired.clone()
            };
            root.write("/tmp/cib.xml", joined(&part));
            let output = root.run(&["crm_verify", "-V", "-x", "/tmp/cib.xml"]);
            let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            let resources = part.cib.resources.len();
            assert!(
                output.status.success() && told.trim().is_empty(),
                "{cloud}, {resources} resources: {told}"
            );
        }
    }
}

/// The cluster as all nodes make it when they have joined and nothing runs; the
/// scores are those that the agents of promotable resources give.
fn joined(desired: &Desired) -> String {
    let mut status = String::from("<status>");
    for (node, id) in &desired.nodes {
        let _ = write!(
            status,
            "<node_state id=\"{id}\" uname=\"{node}\" in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\" \
             crm-debug-origin=\"test\"><transient_attributes id=\"{id}\"><instance_attributes id=\"status-{id}\">"
        );
        for resource in &desired.cib.resources {
            if promotable(resource) {
                let name = &resource.primitive().id;
                let _ = write!(
                    status,
                    "<nvpair id=\"status-{id}-{name}\" name=\"master-{name}\" value=\"100\"/>"
                );
            }
        }
        status.push_str("</instance_attributes></transient_attributes></node_state>");
    }
    status.push_str("</status>");
    desired
        .cib
        .document(&desired.nodes)
        .replace("<status/>", &status)
        .replacen("<cib ", "<cib have-quorum=\"1\" dc-uuid=\"1\" ", 1)
}

fn promotable(resource: &Resource) -> bool {
    matches!(resource, Resource::Clone(c) if c.meta.get("promotable").is_some_and(|v| v == "true"))
}

/// Lets the scheduler work with these injections; the transcript, and the state in `to`.
fn simulate(root: &Root, from: &str, to: &str, inject: &[&str]) -> String {
    let base = ["crm_simulate", "-x", from, "-S", "-O", to];
    let transcript = root.must(&[&base, inject].concat());
    let rest = transcript
        .split("Performing Requested Modifications")
        .last()
        .unwrap_or(&transcript);
    let stable = rest.lines().filter(|l| !l.contains("execution date"));
    stable.fold(String::new(), |out, line| out + line.trim_end() + "\n")
}

fn monitor(root: &Root, cib: &str) -> Monitor {
    let xml = root.must(&[&format!("CIB_file={cib}"), "crm_mon", "-1", "--output-as=xml"]);
    Monitor::parse(&xml).unwrap()
}

/// Everything runs wherever it may among `alive`, and nowhere else.
fn assert_whole(cloud: &str, desired: &Desired, monitor: &Monitor, alive: &[&str]) {
    for resource in &desired.cib.resources {
        let p = resource.primitive();
        let role = if promotable(resource) {
            "Promoted"
        } else {
            "Started"
        };
        let running: BTreeSet<&str> = monitor.nodes_of(&p.id, role).into_iter().collect();
        let allowed: BTreeSet<&str> = alive
            .iter()
            .filter(|node| {
                !desired
                    .cib
                    .locations
                    .iter()
                    .any(|l| l.resource == resource.id() && l.node == **node && l.score == "-INFINITY")
            })
            .copied()
            .collect();
        match resource {
            Resource::Primitive(_) => {
                assert_eq!(
                    running.len(),
                    1,
                    "{cloud}, {alive:?} alive: {} runs on {running:?}",
                    p.id
                );
                assert!(
                    running.is_subset(&allowed),
                    "{cloud}: {} runs on {running:?}",
                    p.id
                );
            }
            Resource::Clone(_) => assert_eq!(running, allowed, "{cloud}, {alive:?} alive: {}", p.id),
        }
    }
    assert!(
        monitor.resources.iter().all(|r| !r.failed && !r.blocked),
        "{cloud}"
    );
}

/// What must happen before `action`, out of the transition's graph.
fn waits_for(dot: &str, action: &str) -> BTreeSet<String> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in dot.lines() {
        if let Some((from, to)) = line.split_once(" -> ") {
            let (from, to) = (
                from.trim().trim_matches('"'),
                to.split('"').nth(1).unwrap_or_default(),
            );
            edges.entry(to).or_default().push(from);
        }
    }
    let mut out = BTreeSet::new();
    let mut next = vec![action];
    while let Some(to) = next.pop() {
        for from in edges.get(to).into_iter().flatten() {
            if out.insert((*from).to_owned()) {
                next.push(from);
            }
        }
    }
    out
}

/// The scheduler starts everything, and after the loss of any one host runs
/// everything on the others; addresses move without waiting for fencing.
#[test]
#[ignore = "lab"]
fn image_scheduler_survives_the_loss_of_any_host() {
    let root = Root::new();
    for (cloud, desired) in examples::clouds() {
        let golden = |name: &str, text: &str| {
            if cloud == "three-controllers" {
                compare::text(&format!("tests/golden/scheduler/{name}.txt"), text);
            }
        };
        let nodes: Vec<&str> = desired.nodes.iter().map(|(n, _)| n.as_str()).collect();
        root.write("/tmp/joined.xml", joined(&desired));
        golden("start", &simulate(&root, "/tmp/joined.xml", "/tmp/up.xml", &[]));
        assert_whole(&cloud, &desired, &monitor(&root, "/tmp/up.xml"), &nodes);
        let rest = simulate(&root, "/tmp/up.xml", "/tmp/idle.xml", &[]);
        assert!(
            !rest.contains("Transition Summary:\n  *"),
            "{cloud} does not come to rest:\n{rest}"
        );
        // Of one alone none is left.
        for lost in nodes.iter().filter(|_| nodes.len() > 1) {
            let alive: Vec<&str> = nodes.iter().filter(|n| *n != lost).copied().collect();
            let fail = ["--node-fail", *lost];
            golden(
                &format!("lost-{lost}"),
                &simulate(&root, "/tmp/up.xml", "/tmp/lost.xml", &fail),
            );
            assert_whole(&cloud, &desired, &monitor(&root, "/tmp/lost.xml"), &alive);
            let rest = simulate(&root, "/tmp/lost.xml", "/tmp/idle.xml", &[]);
            assert!(
                !rest.contains("Transition Summary:\n  *"),
                "{cloud} without {lost} does not come to rest:\n{rest}"
            );
            addresses_do_not_wait(&root, &cloud, &desired, lost);
            // It comes back: everything is everywhere again, and no address moves.
            let held = holders(&monitor(&root, "/tmp/lost.xml"));
            let back = back(&root, &desired, lost);
            golden(&format!("back-{lost}"), &back);
            let monitor = monitor(&root, "/tmp/back.xml");
            assert_whole(&cloud, &desired, &monitor, &nodes);
            assert_eq!(
                holders(&monitor),
                held,
                "{cloud}: an address moved when {lost} came back"
            );
        }
    }
}

/// Who holds which address.
fn holders(monitor: &Monitor) -> BTreeMap<ResourceId, Option<String>> {
    let vips = monitor.resources.iter().filter(|r| r.id.starts_with("vip-"));
    vips.map(|r| (r.id.clone(), r.nodes.first().cloned())).collect()
}

/// The lost node joins anew, with its agents' scores.
fn back(root: &Root, desired: &Desired, lost: &str) -> String {
    let xml = std::fs::read_to_string(root.path("/tmp/lost.xml")).unwrap();
    let joined = joined(desired);
    let start = joined.find(&format!("uname=\"{lost}\" in_ccm")).unwrap();
    let start = joined[..start].rfind("<node_state").unwrap();
    let end = start + joined[start..].find("</node_state>").unwrap() + "</node_state>".len();
    let fresh = &joined[start..end];
    // The old state, whatever is in it, gives way to that of a node that just came.
    let from = xml.find("<status").unwrap();
    let at = from + xml[from..].find(&format!("uname=\"{lost}\"")).unwrap();
    let old_start = xml[..at].rfind("<node_state").unwrap();
    let tag_end = old_start + xml[old_start..].find('>').unwrap();
    let old_end = if xml[..tag_end].ends_with('/') {
        tag_end + 1
    } else {
        old_start + xml[old_start..].find("</node_state>").unwrap() + "</node_state>".len()
    };
    root.write(
        "/tmp/returns.xml",
        format!("{}{fresh}{}", &xml[..old_start], &xml[old_end..]),
    );
    simulate(root, "/tmp/returns.xml", "/tmp/back.xml", &[])
}

fn addresses_do_not_wait(root: &Root, cloud: &str, desired: &Desired, lost: &str) {
    root.must(&[
        "crm_simulate",
        "-x",
        "/tmp/up.xml",
        "--node-fail",
        lost,
        "-D",
        "/tmp/graph.dot",
    ]);
    let dot = std::fs::read_to_string(root.path("/tmp/graph.dot")).unwrap();
    assert!(dot.contains("stonith"), "{cloud}: {lost} is not fenced");
    for resource in desired
        .cib
        .resources
        .iter()
        .filter(|r| r.id().starts_with("vip-"))
    {
        let start = format!("{}_start_0 ", resource.id());
        let actions = dot
            .lines()
            .filter_map(|l| l.split('"').nth(1))
            .filter(|a| a.starts_with(&start));
        for action in actions.collect::<BTreeSet<_>>() {
            let before = waits_for(&dot, action);
            let fencing: Vec<_> = before.iter().filter(|a| a.contains("stonith")).collect();
            assert!(fencing.is_empty(), "{cloud}: `{action}` waits for {fencing:?}");
        }
    }
}

/// A validator that takes anything would prove nothing above.
#[test]
#[ignore = "lab"]
fn image_crm_verify_is_no_nodder() {
    let root = Root::new();
    let (_, desired) = examples::example("three-controllers");
    let wrong = joined(&desired).replacen("first-action=\"start\"", "first-action=\"begin\"", 1);
    root.write("/tmp/cib.xml", wrong);
    assert!(
        !root
            .run(&["crm_verify", "-V", "-x", "/tmp/cib.xml"])
            .status
            .success()
    );
}
