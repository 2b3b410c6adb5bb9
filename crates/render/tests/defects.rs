//! Fourteen defects of a published deployment, written as a catalogue or a cloud
//! file: each is caught by a finding, or cannot be said. The page
//! `docs/concepts/defects.md` is made of this table.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use catalog::Catalog;
use diagnostic::{Diagnostic, Source};
use model::Model;
use pacemaker::{OrderKind, Resource};
use render::Desired;

/// A defect and what became of it.
struct Defect {
    /// What was wrong.
    was: &'static str,
    /// The findings that catch it.
    caught: &'static [&'static str],
    /// Why the rest of it cannot be said; empty: the findings catch all of it.
    impossible: &'static str,
    /// Writes it and looks.
    test: fn(&Defect),
}

impl Defect {
    /// A cloud and an overlay give these findings and no other errors.
    fn finds(&self, codes: &[&str], cloud: &str, overlay: &[(&str, &str)]) {
        let (_, findings) = judge(cloud, overlay);
        let found: BTreeSet<&str> = findings.iter().map(|f| f.code).collect();
        assert_eq!(
            found,
            codes.iter().copied().collect(),
            "{}: {findings:?}",
            self.was
        );
        for code in codes {
            assert!(self.caught.contains(code), "{code} is not told of: {}", self.was);
        }
        assert!(findings.iter().all(|f| f.help.is_some()), "no cure: {}", self.was);
    }
}

const CLOUD: &str = r#"
cloud: demo
release: "2025.1"
hosts:
  c1: { role: controller, address: 198.18.0.11 }
  c2: { role: controller, address: 198.18.0.12 }
  c3: { role: controller, address: 198.18.0.13 }
vips: { pool: 198.18.0.100-198.18.0.119 }
services: [keystone]
"#;

/// The same at addresses that are no lab's, so that fencing must be said.
fn own_hosts(more: &str) -> String {
    CLOUD.replace("198.18.0.", "10.0.0.") + more
}

/// The same with a service of an overlay.
fn with(service: &str) -> String {
    CLOUD.replace("[keystone]", &format!("[keystone, {service}]"))
}

fn judge(cloud: &str, overlay: &[(&str, &str)]) -> (Option<(Model, Desired)>, Vec<Diagnostic>) {
    let mut files = catalog::embedded();
    for (path, text) in overlay {
        files.insert((*path).to_owned(), (*text).to_owned());
    }
    let (catalog, mut findings) = Catalog::load(files);
    let source = Source::new("cloud.yaml", cloud);
    let (cloud, more) = cloud::parse(&source);
    findings.extend(more);
    let Some(cloud) = cloud.filter(|_| !findings.iter().any(Diagnostic::is_error)) else {
        return (None, findings);
    };
    let (model, more) = Model::resolve(&cloud, &source, &Arc::new(catalog));
    findings.extend(more);
    let made = model.map(|model| {
        let (desired, more) = render::render(&model);
        findings.extend(more);
        (model, desired)
    });
    (made, findings)
}

/// A cloud that is right, with what follows from it.
fn right(cloud: &str, overlay: &[(&str, &str)]) -> (Model, Desired) {
    let (made, findings) = judge(cloud, overlay);
    assert!(findings.is_empty(), "{findings:?}");
    made.unwrap()
}

fn file(desired: &Desired, host: &str, path: &str) -> String {
    let files = &desired.hosts[host].files;
    let file = files.iter().find(|f| f.write.path == path).unwrap();
    String::from_utf8(file.write.content.to_vec()).unwrap()
}

const DEFECTS: [Defect; 14] = [
    Defect {
        was: "The balancer binds one port for two APIs and another one never, to which a service's configuration points.",
        caught: &["catalog::duplicate-port", "catalog::port-without-endpoint"],
        impossible: "",
        test: |d| {
            let service = "name: stack\ncomponents:\n  \
                 api: { kind: stateless, runs-on: api, unit: stack-api.service, endpoint: { port: 28004 } }\n  \
                 watch: { kind: stateless, runs-on: api, unit: stack-watch.service, endpoint: { port: PORT } }\n\
                 files: [{ from: stack.conf.yaml, to: /etc/stack.conf, on: api }]\n";
            let conf = "DEFAULT: { watch_url: \"http://{{ vips.stack | url_host }}:8003\" }\n";
            let twice = service.replace("PORT", "28004");
            let files = [
                ("openstack/stack/service.yaml", twice.as_str()),
                ("openstack/stack/stack.conf.yaml", conf),
            ];
            d.finds(d.caught, &with("stack"), &files);
            let once = service.replace("PORT", "8003");
            let files = [
                ("openstack/stack/service.yaml", once.as_str()),
                ("openstack/stack/stack.conf.yaml", conf),
            ];
            right(&with("stack"), &files);
        },
    },
    Defect {
        was: "The names of two frontends are swapped; it works only as both ports are balanced.",
        caught: &[],
        impossible: "A frontend's name, port, check and servers are those of one component: there is no place to \
                     write them apart.",
        test: |_| {
            let service = "name: image\ncomponents:\n  \
                 api: { kind: stateless, runs-on: api, unit: image-api.service, endpoint: { port: 9299, check: /a } }\n  \
                 registry: { kind: stateless, runs-on: api, unit: image-registry.service, endpoint: { port: 9191, check: /r } }\n";
            let (model, desired) = right(&with("image"), &[("openstack/image/service.yaml", service)]);
            let text = file(&desired, "c1", "/etc/haproxy/haproxy.cfg");
            let mut seen = 0;
            for served in model.served() {
                let start = format!("\nlisten {}\n", served.resource);
                let section = text
                    .split_once(&start)
                    .unwrap()
                    .1
                    .split("\nlisten ")
                    .flat_map(|s| s.split("\nbackend "))
                    .next()
                    .unwrap();
                let port = served.endpoint.port.value;
                let binds: Vec<&str> = section
                    .lines()
                    .map(str::trim)
                    .filter(|l| l.starts_with("bind "))
                    .collect();
                let servers: Vec<&str> = section
                    .lines()
                    .map(str::trim)
                    .filter(|l| l.starts_with("server "))
                    .collect();
                assert_eq!((binds.len(), servers.len()), (1, served.members.len()));
                assert!(binds[0].contains(&format!(":{port}")), "{section}");
                assert!(
                    servers.iter().all(|s| s.contains(&format!(":{port} "))),
                    "{section}"
                );
                let asked = match served.endpoint.process_port() {
                    Some(port) => format!("tcp-check connect port {port}\n"),
                    None => format!("uri {} ", served.endpoint.check),
                };
                assert!(served.endpoint.check.is_empty() || section.contains(&asked));
                seen += 1;
            }
            assert_eq!(text.matches("\nlisten ").count(), seen);
            assert!(text.contains("\nlisten image-api\n") && text.contains("\nlisten image-registry\n"));
        },
    },
    Defect {
        was: "All scripts read an address under a misspelt name that does not exist, so it is empty.",
        caught: &[
            "catalog::unknown-address",
            "catalog::template",
            "service::not-in-cloud",
        ],
        impossible: "",
        test: |d| {
            let service = "name: meter\nfiles: [{ from: meter.conf.yaml, to: /etc/meter.conf, on: api }]\n";
            let conf = |text: &str| format!("DEFAULT: {{ url: \"{text}\" }}\n");
            for (text, code) in [
                ("{{ vips.keyston }}", "catalog::unknown-address"),
                ("{{ address_of_keystone }}", "catalog::template"),
            ] {
                let conf = conf(text);
                let files = [
                    ("openstack/meter/service.yaml", service),
                    ("openstack/meter/meter.conf.yaml", conf.as_str()),
                ];
                d.finds(&[code], &with("meter"), &files);
            }
            let pinned = CLOUD.replace("119 }", "119, pins: { keyston: 198.18.0.110 } }");
            d.finds(&["service::not-in-cloud"], &pinned, &[]);
        },
    },
    Defect {
        was: "The broker's cookie stands in a resource, and another one in a file of variables.",
        caught: &["catalog::literal-secret"],
        impossible: "A secret has one name and the vault makes it once, so two places that name it have the same.",
        test: |d| {
            let service = "name: queue\nsecrets: { cookie: password-40 }\ncomponents:\n  main:\n    kind: clustered\n    \
                 runs-on: messaging\n    unit: queue.service\n    resource: { params: { cookie: \"COOKIE\" } }\n\
                 files: [{ from: cookie.j2, to: /var/lib/queue/.cookie, on: messaging }]\n";
            let template = ("openstack/queue/cookie.j2", "{{ secret('cookie') }}");
            let literal = service.replace("COOKIE", "DPMDALGUKEOMPTHWPYKC");
            d.finds(
                d.caught,
                &with("queue"),
                &[("openstack/queue/service.yaml", &literal), template],
            );
            let named = service.replace("COOKIE", "{{ secret('cookie') }}");
            let (_, desired) = right(
                &with("queue"),
                &[("openstack/queue/service.yaml", &named), template],
            );
            let resource = desired
                .cib
                .resources
                .iter()
                .find(|r| r.primitive().id == "queue")
                .unwrap();
            for host in ["c1", "c2", "c3"] {
                assert_eq!(
                    file(&desired, host, "/var/lib/queue/.cookie"),
                    resource.primitive().params["cookie"]
                );
            }
        },
    },
    Defect {
        was: "A second run of an installer erases packages, kills services and drops a database.",
        caught: &["catalog::step-without-guard", "file::unknown-key"],
        impossible: "A step runs only where its guard does not hold, and a plan of what was just applied is empty. \
                     The catalogue has no word that erases.",
        test: |d| {
            let unguarded = "name: net\ndatabase: net\nsteps: [{ name: schema, run: [net-db, upgrade], on: api, after: [database] }]\n";
            d.finds(
                &["catalog::step-without-guard"],
                &with("net"),
                &[("openstack/net/service.yaml", unguarded)],
            );
            let erasing = "name: net\nfiles: [{ from: /common/ca.pem.j2, to: /etc/net/ca.pem, on: api, absent: true }]\n";
            let dropping = "name: net\nerase: [net]\n";
            for service in [erasing, dropping] {
                let (_, findings) = judge(CLOUD, &[("openstack/net/service.yaml", service)]);
                assert!(
                    findings.iter().any(|f| f.code == "file::unknown-key"),
                    "{findings:?}"
                );
            }
            let (_, desired) = right(CLOUD, &[]);
            assert!(!desired.scripts.is_empty());
            assert!(desired.scripts.iter().all(|s| !s.guards.is_empty()));
        },
    },
    Defect {
        was: "The first controller exports the one share that holds images and volumes.",
        caught: &["catalog::one-host", "role::single-host"],
        impossible: "",
        test: |d| {
            let service = "name: image\nfiles: [{ from: share.j2, to: /etc/image/share, on: api }]\n";
            let share = "{{ roles.storage[0].address }}:/export/images\n";
            let files = [
                ("openstack/image/service.yaml", service),
                ("openstack/image/share.j2", share),
            ];
            let (_, findings) = judge(&with("image"), &files);
            assert!(
                findings.iter().any(|f| f.code == "catalog::one-host"),
                "{findings:?}"
            );
            let one = CLOUD.replacen("controller", "[database, messaging, cache, balancer, api]", 1);
            let one = one.replace(" controller,", " [messaging, cache, balancer, api],");
            d.finds(&["role::single-host"], &one, &[]);
        },
    },
    Defect {
        was: "Fence devices name no hosts, and computes are only written down as dead: instances are started again \
              beside a host that was never switched off.",
        caught: &["fencing::missing", "power::same-for-all", "fencing::cuts-nothing"],
        impossible: "Each device of a plan names the one host that it switches.",
        test: |d| {
            d.finds(&["fencing::missing"], &own_hosts(""), &[]);
            let same = "power: { agent: fence_redfish, options: { ip: 10.0.1.1 } }\n";
            d.finds(&["power::same-for-all"], &own_hosts(same), &[]);
            let recorded = "power: [{ agent: fence_compute, options: { domain: a } }, { agent: fence_ipmilan, options: { ip: \"{host}\" } }]\n";
            d.finds(&["fencing::cuts-nothing"], &own_hosts(recorded), &[]);
            for (cloud, desired) in examples::clouds().into_iter().filter(|(_, d)| d.nodes.len() > 1) {
                let devices = desired
                    .cib
                    .resources
                    .iter()
                    .filter(|r| r.primitive().agent.starts_with("stonith:"));
                let hosts = devices.map(|r| r.primitive().params["pcmk_host_list"].as_str());
                let hosts: Vec<&str> = hosts.collect();
                assert!(
                    desired.nodes.iter().all(|(n, _)| hosts.contains(&n.as_str())),
                    "{cloud}"
                );
                assert!(hosts.iter().all(|h| desired.hosts.contains_key(*h)), "{cloud}");
            }
        },
    },
    Defect {
        was: "Constraints ask for a node attribute that nobody sets, and the result that was published was made by \
              other scripts.",
        caught: &["catalog::unknown-role", "catalog::unknown-after"],
        impossible: "Constraints name hosts and resources of the same configuration; there are no rules over \
                     attributes. What the examples render to is in the repository, and a test renders it again.",
        test: |d| {
            let role = "name: part\ncomponents: { main: { kind: stateless, runs-on: osprole, unit: part.service } }\n";
            d.finds(
                &["catalog::unknown-role"],
                CLOUD,
                &[("openstack/part/service.yaml", role)],
            );
            let after = "name: part\ncomponents: { main: { kind: stateless, runs-on: api, unit: part.service, after: [gone] } }\n";
            d.finds(
                &["catalog::unknown-after"],
                CLOUD,
                &[("openstack/part/service.yaml", after)],
            );
            for (cloud, desired) in examples::clouds().into_iter().filter(|(_, d)| d.nodes.len() > 1) {
                let document = desired.cib.document(&desired.nodes);
                assert!(
                    document.contains("<rsc_location") && !document.contains("<rule"),
                    "{cloud}"
                );
            }
        },
    },
    Defect {
        was: "One chain of starts through all services: where one fails, none behind it starts.",
        caught: &["catalog::after-circle"],
        impossible: "An order between services is optional: it holds where both start, and a failure travels along \
                     none. Only a promotion is waited for, and losing it stops nobody.",
        test: |d| {
            let part = |name: &str, after: &str| {
                format!(
                    "name: {name}\ncomponents: {{ main: {{ kind: stateless, runs-on: api, unit: {name}.service, after: [{after}] }} }}\n"
                )
            };
            let (one, two, three) = (part("one", "galera"), part("two", "one"), part("three", "two"));
            let files = [
                ("openstack/one/service.yaml", one.as_str()),
                ("openstack/two/service.yaml", two.as_str()),
                ("openstack/three/service.yaml", three.as_str()),
            ];
            let (_, desired) = right(&with("one, two, three"), &files);
            let order = |first: &str, then: &str| {
                let mut orders = desired.cib.orders.iter();
                orders.find(|o| o.first == first && o.then == then).unwrap().kind
            };
            assert_eq!(order("one-clone", "two-clone"), OrderKind::Optional);
            assert_eq!(order("two-clone", "three-clone"), OrderKind::Optional);
            assert_eq!(order("galera-clone", "one-clone"), OrderKind::Mandatory);
            let document = desired.cib.document(&desired.nodes);
            let binding = document
                .split('<')
                .filter(|e| e.starts_with("rsc_order") && e.contains("Mandatory"));
            assert!(binding.clone().count() > 0);
            for order in binding {
                assert!(
                    order.contains("promote") && order.contains("symmetrical=\"false\""),
                    "{order}"
                );
            }
            let back = part("one", "three");
            let circle = [("openstack/one/service.yaml", back.as_str()), files[1], files[2]];
            d.finds(&["catalog::after-circle"], CLOUD, &circle);
        },
    },
    Defect {
        was: "Clones of balancer and file system lack `interleave`: a restart on one host restarts everything \
              everywhere.",
        caught: &["catalog::clone-without-interleave"],
        impossible: "Every clone is interleaved where nothing is said.",
        test: |d| {
            let service = "name: part\ncomponents:\n  \
                 main: { kind: stateless, runs-on: api, unit: part.service, resource: { clone: { interleave: \"false\" } } }\n";
            d.finds(d.caught, CLOUD, &[("openstack/part/service.yaml", service)]);
            let (_, desired) = right(
                &with("part"),
                &[(
                    "openstack/part/service.yaml",
                    &service.replace("{ interleave: \"false\" }", "{}"),
                )],
            );
            let clones: Vec<_> = desired
                .cib
                .resources
                .iter()
                .filter_map(|r| match r {
                    Resource::Clone(clone) => Some(clone),
                    Resource::Primitive(_) => None,
                })
                .collect();
            assert!(clones.iter().any(|c| c.primitive.id == "part"));
            assert!(clones.iter().all(|c| c.meta["interleave"] == "true"));
        },
    },
    Defect {
        was: "Endless stickiness: after a recovery no virtual address ever goes back.",
        caught: &["catalog::endless-stickiness"],
        impossible: "An address prefers its home and stays by a number; coming home is a step of a plan.",
        test: |d| {
            let service = "name: part\ncomponents:\n  \
                 main: { kind: stateless, runs-on: api, unit: part.service, resource: { meta: { resource-stickiness: INFINITY } } }\n";
            d.finds(d.caught, CLOUD, &[("openstack/part/service.yaml", service)]);
            for (cloud, desired) in examples::clouds() {
                for vip in &desired.vips {
                    let resource = desired
                        .cib
                        .resources
                        .iter()
                        .find(|r| r.id() == vip.resource)
                        .unwrap();
                    let stays: i64 = resource.primitive().meta["resource-stickiness"].parse().unwrap();
                    assert!(stays < 1_000_000, "{cloud}");
                    let mut home = desired
                        .cib
                        .locations
                        .iter()
                        .filter(|l| l.resource == vip.resource);
                    assert!(
                        home.any(|l| Some(l.node.as_str()) == vip.home.as_deref()),
                        "{cloud}: {} has no home",
                        vip.resource
                    );
                }
            }
        },
    },
    Defect {
        was: "A cookie directive in a frontend that passes bytes does nothing.",
        caught: &["catalog::http-in-tcp"],
        impossible: "",
        test: |d| {
            let service = "name: web\ncomponents:\n  main:\n    kind: stateless\n    runs-on: api\n    unit: web.service\n    \
                 endpoint: { port: 8443, mode: tcp, options: [\"cookie SERVERID insert\"] }\n";
            d.finds(d.caught, CLOUD, &[("openstack/web/service.yaml", service)]);
        },
    },
    Defect {
        was: "Tokens of a kind long gone beside a token that opens everything, debug on, root with the password \
              `root`, any host name allowed, a page of statistics for admin and admin.",
        caught: &[
            "catalog::unsafe-value",
            "catalog::literal-secret",
            "config::unsafe",
        ],
        impossible: "",
        test: |d| {
            let service = "name: web\nfiles: [{ from: web.conf.yaml, to: /etc/web.conf, on: api }, { from: web.py.j2, to: /etc/web.py, on: api }]\n";
            let good = (
                "DEFAULT: { debug: \"false\" }\n",
                "ALLOWED_HOSTS = ['{{ vips.keystone }}']\n",
            );
            let write = |conf: &str, py: &str| {
                judge(
                    &with("web"),
                    &[
                        ("openstack/web/service.yaml", service),
                        ("openstack/web/web.conf.yaml", conf),
                        ("openstack/web/web.py.j2", py),
                    ],
                )
            };
            let codes =
                |(_, findings): (_, Vec<Diagnostic>)| findings.iter().map(|f| f.code).collect::<Vec<_>>();
            assert_eq!(codes(write(good.0, good.1)), Vec::<&str>::new());
            for conf in [
                "DEFAULT: { debug: true }\n",
                "DEFAULT: { admin_token: \"{{ settings.x }}\" }\n",
                "token: { provider: uuid }\n",
            ] {
                assert_eq!(codes(write(conf, good.1)), ["catalog::unsafe-value"], "{conf}");
            }
            assert_eq!(
                codes(write(good.0, "ALLOWED_HOSTS = ['*']\n")),
                ["catalog::unsafe-value"]
            );
            assert_eq!(
                codes(write(good.0, "stats auth admin:admin\n")),
                ["catalog::literal-secret"]
            );
            let root = "database: { connection: \"mysql://root:root@db/x\" }\n";
            assert_eq!(codes(write(root, good.1)), ["catalog::literal-secret"]);
            let debug = format!(
                "{CLOUD}config: {{ /etc/keystone/keystone.conf: {{ DEFAULT: {{ debug: true }} }} }}\n"
            );
            d.finds(&["config::unsafe"], &debug, &[]);
        },
    },
    Defect {
        was: "All hosts follow the clock of one, which follows its own.",
        caught: &["time::few-servers"],
        impossible: "Without time servers each host is a peer of all others.",
        test: |d| {
            let one = format!("{CLOUD}time: {{ servers: ntp.example.org }}\n");
            d.finds(d.caught, &one, &[]);
            let (_, desired) = right(CLOUD, &[]);
            for host in ["c1", "c2", "c3"] {
                let conf = file(&desired, host, "/etc/chrony/chrony.conf");
                assert_eq!(
                    conf.lines().filter(|l| l.starts_with("peer ")).count(),
                    2,
                    "{conf}"
                );
                assert!(conf.contains("\nlocal stratum 10 orphan\n"), "{conf}");
            }
        },
    },
];

#[test]
fn each_is_caught_or_cannot_be_said() {
    for defect in &DEFECTS {
        assert!(!defect.caught.is_empty() || !defect.impossible.is_empty());
        (defect.test)(defect);
    }
}

#[test]
fn the_page_is_as_the_table() {
    let mut page = String::from(
        "# Fourteen defects\n\n<!-- Generated from crates/render/tests/defects.rs: \
         QUORATE_BLESS=1 cargo test -p render --test defects -->\n\n\
         A published set of scripts builds an OpenStack control plane on Pacemaker and HAProxy, and people have \
         followed it. It has these defects. Each was written as a catalogue or a cloud file for quorate, and a test \
         shows that it is caught by a finding or cannot be said at all. `quorate explain CODE` tells more of a \
         finding.\n\n| | the defect | caught by | cannot be said |\n|---|---|---|---|\n",
    );
    for (defect, number) in DEFECTS.iter().zip(1..) {
        let codes: Vec<String> = defect
            .caught
            .iter()
            .map(|c| format!("[`{c}`](../reference/findings.md#{})", c.replace(':', "")))
            .collect();
        writeln!(
            page,
            "| {number} | {} | {} | {} |",
            defect.was,
            codes.join(", "),
            defect.impossible
        )
        .unwrap();
        for code in defect.caught {
            assert!(diagnostic::explanations().any(|e| e.code == *code), "{code}");
        }
    }
    compare::text("docs/concepts/defects.md", &page);
}
