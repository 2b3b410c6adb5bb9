//! Laws of the balancers' file, for every address of every example: the protocols that
//! are offered, the headers that are believed, bounds on clients, and the way of requests
//! while all servers are out.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeMap;

use render::Desired;

/// `listen NAME` or `backend NAME`, and the lines below it.
type Sections = BTreeMap<String, Vec<String>>;

fn sections(desired: &Desired) -> Sections {
    let host = desired.balancers.first().unwrap();
    let file = desired.hosts[host]
        .files
        .iter()
        .find(|f| f.write.path == "/etc/haproxy/haproxy.cfg");
    let text = String::from_utf8(file.unwrap().write.content.to_vec()).unwrap();
    let mut out = Sections::new();
    let mut name = String::new();
    for line in text
        .lines()
        .filter(|l| !l.is_empty() && !l.trim_start().starts_with('#'))
    {
        if line.starts_with(' ') {
            out.entry(name.clone()).or_default().push(line.trim().to_owned());
        } else {
            line.clone_into(&mut name);
        }
    }
    out
}

fn each(check: impl Fn(&str, &Desired, &Sections)) {
    for (name, desired) in examples::clouds() {
        let sections = sections(&desired);
        check(&name, &desired, &sections);
    }
}

fn has(lines: &[String], what: &str) -> bool {
    lines.iter().any(|l| l == what)
}

/// `host address` of its servers.
fn servers(lines: &[String]) -> Vec<String> {
    let words = lines.iter().filter_map(|l| l.strip_prefix("server "));
    words
        .map(|l| l.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Bytes that are passed on are of the protocol that the server speaks: nothing is agreed
/// on before it is asked. A stream that is upgraded begins with HTTP/1.1.
#[test]
fn a_protocol_is_offered_only_where_it_is_spoken() {
    each(|example, _, sections| {
        for (name, lines) in sections {
            let alpn = lines
                .iter()
                .find_map(|l| l.split_once(" alpn ").map(|(_, words)| words));
            let upgraded = lines.iter().any(|l| l.starts_with("timeout tunnel "));
            match (has(lines, "mode http"), upgraded) {
                (false, _) => assert_eq!(alpn, None, "{example}: {name}"),
                (true, true) => assert_eq!(alpn, Some("http/1.1"), "{example}: {name}"),
                (true, false) if name.starts_with("listen ") => {
                    assert_eq!(alpn, Some("h2,http/1.1"), "{example}: {name}");
                }
                (true, false) => {}
            }
        }
    });
}

/// Headers of proxies are ours alone, in whichever spelling.
#[test]
fn nobody_says_for_us_where_a_request_came_from() {
    each(|example, _, sections| {
        let apis = sections
            .iter()
            .filter(|(n, l)| n.starts_with("listen ") && has(l, "mode http"));
        for (name, lines) in apis {
            let at = |what: &str| lines.iter().position(|l| l.starts_with(what));
            let deleted = at("http-request del-header ^(forwarded|x[-_]forwarded[-_].*|proxy)$ -m reg");
            let set = at("http-request set-header X-Forwarded-Proto https");
            assert!(
                deleted.is_some() && deleted < set,
                "{example}: {name}: {lines:#?}"
            );
            assert!(has(lines, "option forwardfor"), "{example}: {name}");
        }
    });
}

/// The same servers are asked without checks while all are out; only for requests that
/// any instance answers, and nothing is sent a second time.
#[test]
fn all_out_stateless_apis_alone_are_asked_unchecked() {
    each(|example, desired, sections| {
        for balanced in &desired.balanced {
            let lines = &sections[&format!("listen {}", balanced.resource)];
            let plain = has(lines, "mode http") && !lines.iter().any(|l| l.starts_with("timeout tunnel "));
            let several = balanced.members.len() > 1;
            assert_eq!(
                balanced.fallback.is_some(),
                plain && several && !balanced.single_writer,
                "{example}: {}",
                balanced.resource
            );
            let Some(fallback) = &balanced.fallback else {
                assert!(!lines.iter().any(|l| l.starts_with("use_backend")), "{example}");
                continue;
            };
            assert!(
                has(lines, &format!("use_backend {fallback} if {{ nbsrv eq 0 }}")),
                "{example}: {lines:#?}"
            );
            let there = &sections[&format!("backend {fallback}")];
            assert_eq!(servers(lines), servers(there), "{example}: {fallback}");
            assert!(
                there.iter().all(|l| !l.contains(" check")),
                "{example}: {there:#?}"
            );
            // Only where no connection came about, so nothing was sent.
            assert!(has(there, "retry-on conn-failure"), "{example}: {there:#?}");
            let both: Vec<String> = balanced.servers("c1").collect();
            assert_eq!(
                both,
                [format!("{}/c1", balanced.resource), format!("{fallback}/c1")]
            );
        }
        let named = desired.balanced.iter().filter_map(|b| b.fallback.as_ref());
        let built = sections.keys().filter(|n| n.ends_with("-fallback")).count();
        assert_eq!(named.count(), built, "{example}");
    });
}

/// Requests wait at the balancer for a thread that is free: a server whose threads are all
/// busy shakes hands too late, and the client was told that nobody is there.
#[test]
fn no_server_is_sent_more_than_it_works_on() {
    each(|example, _, sections| {
        for name in ["listen keystone-api", "backend keystone-api-fallback"] {
            let Some(lines) = sections.get(name) else { continue };
            let uwsgi = sections["listen keystone-api"]
                .iter()
                .any(|l| l.starts_with("tcp-check connect port"));
            let bounded = lines
                .iter()
                .filter(|l| l.starts_with("server "))
                .all(|l| l.ends_with(" maxconn 10"));
            assert_eq!(bounded, uwsgi, "{example}: {lines:#?}");
        }
    });
}

/// Logins are bounded for each client, and a way around by another spelling is not open.
#[test]
fn logins_have_a_brake() {
    each(|example, _, sections| {
        let lines = &sections["listen keystone-api"];
        let spelled = has(lines, "acl costly1 path,url_dec -m reg ^/+v3/+auth/+tokens/*$");
        let counted =
            "http-request track-sc0 src if { method POST } costly1 !{ src -f /etc/haproxy/hosts.list }";
        let told = has(lines, "http-response sc-inc-gpc0(0) if { status 401 }");
        assert!(spelled && has(lines, counted) && told, "{example}: {lines:#?}");
        let denied = lines
            .iter()
            .find(|l| l.starts_with("http-request deny deny_status 429"))
            .unwrap();
        for bound in [
            "sc0_conn_cur gt 32",
            "sc0_http_req_rate gt 100",
            "sc0_gpc0_rate gt 10",
        ] {
            assert!(denied.contains(bound), "{example}: {denied}");
        }
    });
}

/// A server of every API takes bodies of unknown length, and its log has the client's address.
#[test]
fn every_uwsgi_is_told_of_chunks_and_clients() {
    each(|example, desired, _| {
        for (host, wanted) in &desired.hosts {
            for file in &wanted.files {
                let text = String::from_utf8_lossy(&file.write.content);
                let says = |line: &str| text.lines().any(|l| l.starts_with(line));
                if says("[uwsgi]") {
                    let path = &file.write.path;
                    assert!(says("log-x-forwarded-for = true"), "{example}: {host}:{path}");
                    // One application reads chunks by itself.
                    let chunks =
                        says("wsgi-file = /usr/lib/quorate/chunked.wsgi") || says("chunked-input-limit");
                    assert!(chunks, "{example}: {host}:{path}");
                }
            }
        }
    });
}

/// The wrapper of applications, run by the language that it is in.
#[test]
fn a_body_in_chunks_is_handed_on_with_its_length() {
    const TEST: &str = r#"
import runpy, sys
f = runpy.run_path(sys.argv[1])
def app(env, start):
    start("200 OK", [])
    return [env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0)), str("HTTP_TRANSFER_ENCODING" in env).encode()]
def ask(env, parts):
    seen, parts = [], iter(parts)
    read = lambda: next(parts, b"")
    return seen, f["length_known"](app, read)(env, lambda status, headers: seen.append(status))
class In:
    def read(self, n): return b"x" * n
assert ask({"HTTP_TRANSFER_ENCODING": "chunked"}, [b"ab", b"c"]) == (["200 OK"], [b"abc", b"False"])
assert ask({"HTTP_TRANSFER_ENCODING": "Chunked"}, []) == (["200 OK"], [b"", b"False"])
assert ask({"CONTENT_LENGTH": "2", "wsgi.input": In()}, [b"no"]) == (["200 OK"], [b"xx", b"False"])
assert ask({"HTTP_TRANSFER_ENCODING": "chunked"}, [b"y" * (1 << 20)] * 17)[0] == ["413 Content Too Large"]
"#;
    let program = compare::root().join("catalog/infra/haproxy/chunked.wsgi");
    let ran = std::process::Command::new("python3")
        .args(["-c", TEST])
        .arg(program)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// Text of a file that the first host with it gets.
fn file<'a>(desired: &'a Desired, path: &str) -> Option<&'a str> {
    let mut files = desired.hosts.values().flat_map(|h| &h.files);
    let file = files.find(|f| f.write.path == path)?;
    std::str::from_utf8(&file.write.content).ok()
}

/// The number after a word.
fn number(line: &str, word: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    words.find(|w| *w == word)?;
    words.next()?.parse().ok()
}

/// A console is a process: strangers who open many take neither the balancers' connections
/// nor the host's memory.
#[test]
fn strangers_at_the_consoles_take_no_host_along() {
    let consoles = std::cell::Cell::new(0);
    each(|name, desired, sections| {
        let Some(lines) = sections.get("listen nova-novncproxy") else {
            return;
        };
        consoles.set(consoles.get() + 1);
        let most = |lines: &[String]| lines.iter().find_map(|l| number(l, "maxconn"));
        let listener: Vec<String> = lines
            .iter()
            .filter(|l| l.starts_with("maxconn"))
            .cloned()
            .collect();
        let all = most(&listener).unwrap();
        let cfg = file(desired, "/etc/haproxy/haproxy.cfg").unwrap();
        let whole = cfg.lines().find_map(|l| number(l, "maxconn")).unwrap();
        assert!(all * 10 <= whole, "{name}: {all} of {whole} connections");
        let one = lines
            .iter()
            .find_map(|l| number(l, "gt").filter(|_| l.contains("sc0_conn_cur")));
        assert!(
            one.is_some_and(|one| one * 4 <= all),
            "{name}: one client may take {one:?}"
        );
        let unit = file(desired, "/etc/systemd/system/quorate-nova-novncproxy.service").unwrap();
        let tasks = unit.lines().find_map(|l| l.strip_prefix("TasksMax=")).unwrap();
        let tasks: u32 = tasks.parse().unwrap();
        let servers = lines.iter().filter(|l| l.starts_with("server "));
        for server in servers {
            let at_once = number(server, "maxconn");
            // Its own processes stand beside those of the consoles.
            assert!(
                at_once.is_some_and(|n| n * 2 < tasks),
                "{name}: {server}, {tasks} tasks"
            );
        }
        assert!(unit.contains("\nMemoryMax="), "{name}");
    });
    assert!(consoles.get() > 0);
}

/// A server of one's own health answers one after the other: a stranger with a thousand
/// connections would have its instance taken for lost.
#[test]
fn health_is_told_to_no_stranger() {
    let mut units = 0;
    for name in examples::EXAMPLES {
        let (model, desired) = examples::example(name);
        let vips: Vec<&String> = desired.vips.iter().map(|v| &v.address).collect();
        let addresses = |role: cloud::Role| {
            let hosts = model.cloud.hosts.iter().filter(move |h| h.has(role));
            hosts.flat_map(|h| h.addresses.values().map(|a| a.value.to_string()))
        };
        for (path, role) in [
            ("quorate-galera-health.service", cloud::Role::Database),
            ("quorate-nova-novnc-health.service", cloud::Role::Api),
        ] {
            let Some(unit) = file(&desired, &format!("/etc/systemd/system/{path}")) else {
                continue;
            };
            units += 1;
            assert!(unit.contains("\nIPAddressDeny=any\n"), "{name}: {unit}");
            let heard = unit.lines().filter_map(|l| l.strip_prefix("IPAddressAllow="));
            let heard: Vec<&str> = heard.flat_map(str::split_whitespace).collect();
            assert!(heard.contains(&"localhost"), "{name}: {heard:?}");
            for needed in addresses(cloud::Role::Balancer).chain(addresses(role)) {
                assert!(
                    heard.contains(&needed.as_str()),
                    "{name}: {path}: {needed} is not heard"
                );
            }
            // And each is an address of the cloud's own, not a network.
            let own: Vec<String> = model
                .cloud
                .hosts
                .iter()
                .flat_map(|h| h.addresses.values().map(|a| a.value.to_string()))
                .collect();
            for one in heard.iter().filter(|one| **one != "localhost") {
                let known = own.iter().any(|a| a == one) || vips.iter().any(|v| v == one);
                assert!(known, "{name}: {path} hears {one}");
            }
        }
    }
    assert!(units >= 15, "{units} units only");
}
