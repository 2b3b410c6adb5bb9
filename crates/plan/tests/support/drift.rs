//! Drift: what somebody changed by hand is listed as it is, and nothing else. Part
//! of the tests of laws.

use super::*;

/// The titles and changes of a plan, each as one line.
fn told(plan: &Plan) -> Vec<String> {
    let changes = plan.steps.iter().flat_map(|s| &s.changes);
    changes
        .map(|c| {
            let diff = c.diff.lines().collect::<Vec<_>>().join(" ");
            format!("{} {}: {diff}", c.glyph, c.what)
        })
        .collect()
}

/// What is told, and which steps do it, on the first cloud after `spoil`.
#[track_caller]
fn check(spoil: &dyn Fn(&mut Observed), steps: &[&str], changes: &[&str]) -> Plan {
    let (_, desired) = &CLOUDS[0];
    let mut observed = world::all(desired, world::applied);
    spoil(&mut observed);
    let plan = make(desired, &observed, Intent::Converge).unwrap();
    hold(desired, &plan);
    let changing = plan.steps.iter().filter(|s| !s.changes.is_empty());
    let ids: Vec<&str> = changing.map(|s| s.id.as_str()).collect();
    assert_eq!(ids, steps, "{}", plan::show(&plan, true));
    assert_eq!(told(&plan), changes);
    plan
}

fn answers<'a>(observed: &'a mut Observed, host: &str) -> &'a mut BTreeMap<String, Fact<Answer>> {
    &mut observed[host].as_mut().unwrap().answers
}

fn reword(observed: &mut Observed, host: &str, answer: &str, from: &str, to: &str) {
    let slot = answers(observed, host).get_mut(answer).unwrap();
    let Fact::Known(Answer::Text(text) | Answer::Http { body: text, .. }) = slot else {
        panic!("{answer}")
    };
    assert!(text.contains(from), "{text}");
    *text = text.replacen(from, to, 1);
}

fn row(observed: &mut Observed, host: &str, answer: &str, what: &str, now: Option<&str>) {
    let Fact::Known(Answer::Rows(rows)) = answers(observed, host).get_mut(answer).unwrap() else {
        panic!("{answer}")
    };
    let at = rows.iter().position(|r| r[0].as_deref() == Some(what)).unwrap();
    match now {
        Some(now) => rows[at][1] = Some(now.to_owned()),
        None => drop(rows.remove(at)),
    }
}

#[test]
fn a_weight_that_was_left_is_taken_back_when_all_else_is_done() {
    let heavy = |o: &mut Observed| {
        let rows = Answer::Rows(vec![vec![Some("3".to_owned())]]);
        answers(o, "c1").insert("galera/weight".to_owned(), Fact::Known(rows));
    };
    let weight = "~ galera: weight of c1: -3 +1";
    check(&heavy, &["store/galera/holds-c1"], &[weight]);
    let (lacks, want) = ("without INSERT, SELECT", "all on its database");
    let both = |o: &mut Observed| {
        heavy(o);
        row(o, "c2", "database/keystone", "grants of keystone", Some(lacks));
    };
    let grants = format!("~ grants of keystone: -{lacks} +{want}");
    let steps = ["database/keystone", "store/galera/holds-c1"];
    let plan = check(&both, &steps, &[&grants, weight]);
    let last = plan.steps.last().unwrap();
    assert_eq!(
        (last.id.as_str(), last.hosts.as_slice()),
        ("store/galera/holds-c1", &[world::host("c1")][..])
    );
    let others = plan.steps.iter().filter(|s| s.id != last.id);
    assert!(others.clone().count() > 0 && others.clone().all(|s| last.after.contains(&s.id)));
}

#[test]
fn a_grant_is_given_again_by_the_member_that_lacks_it() {
    let (lost, want) = ("without INSERT, SELECT", "all on its database");
    let plan = check(
        &|o| row(o, "c2", "database/keystone", "grants of keystone", Some(lost)),
        &["database/keystone"],
        &[&format!("~ grants of keystone: -{lost} +{want}")],
    );
    assert_eq!(plan.steps[0].hosts[0], "c2");
    let [Op::Sql(sql)] = plan.steps[0].ops.as_slice() else {
        panic!("{:?}", plan.steps[0].ops)
    };
    assert_eq!(sql.statements.len(), 1);
    assert!(sql.statements[0].starts_with("GRANT ALL PRIVILEGES"));
}

#[test]
fn a_dropped_user_is_made_with_its_grants() {
    check(
        &|o| {
            for host in ["c1", "c2", "c3"] {
                row(o, host, "database/keystone", "user keystone", Some("missing"));
                row(
                    o,
                    host,
                    "database/keystone",
                    "grants of keystone",
                    Some("missing"),
                );
            }
        },
        &["database/keystone"],
        &[
            "+ user keystone: +there, over TLS only",
            "+ grants of keystone: +all on its database",
        ],
    );
}

#[test]
fn a_removed_endpoint_is_told_by_its_name() {
    let (_, desired) = &CLOUDS[0];
    let url = &desired.apis[0].url;
    check(
        &|o| {
            for host in ["c1", "c2", "c3"] {
                row(o, host, "script/keystone/bootstrap/0", "endpoint public", None);
            }
        },
        &["script/keystone/bootstrap"],
        &[&format!("+ endpoint public: +{url}")],
    );
}

#[test]
fn a_broker_is_given_back_what_it_lacks() {
    check(
        &|o| {
            for host in ["c1", "c2", "c3"] {
                reword(
                    o,
                    host,
                    "rabbitmq/users",
                    "\"name\":\"keystone\"",
                    "\"name\":\"other\"",
                );
                reword(
                    o,
                    host,
                    "rabbitmq/permissions",
                    "\"read\":\".*\"",
                    "\"read\":\"\"",
                );
                reword(o, host, "rabbitmq/policies", "100000", "5");
            }
        },
        &["store/rabbitmq/holds"],
        &[
            "+ rabbitmq: user keystone: +tags: none",
            "~ rabbitmq: permissions of keystone in /: -configure: .*; write: .*; read: none +configure: .*; write: .*; read: .*",
            "~ rabbitmq: policy quorate-unread in /: -pattern: ^(versioned_)?notifications\\.; definition: {\"max-length\":5}; \
             priority: 0; apply-to: queues +pattern: ^(versioned_)?notifications\\.; definition: {\"max-length\":100000}; \
             priority: 0; apply-to: queues",
        ],
    );
}

#[test]
fn what_a_balancer_runs_with_is_put_back() {
    let plan = check(
        &|o| {
            let (from, to) = ("0 1 1 6 5000", "1 1 1 6 5000");
            reword(o, "c2", "balancer/running", from, to);
            reword(
                o,
                "c3",
                "balancer/running",
                &format!("Start_time_sec: {}", world::LAST),
                "Start_time_sec: 7",
            );
        },
        &["balancer/c2", "balancer/c3"],
        &[
            "~ balancer: server keystone-api/c1: -in maintenance by hand +ready",
            "~ balancer: the running process: -started before its file was written +of this file",
        ],
    );
    let [Op::Tell { lines, .. }] = plan.steps[0].ops.as_slice() else {
        panic!("{:?}", plan.steps[0].ops)
    };
    // It was not asked while it was out: in only by checks that come after.
    assert_eq!(
        lines,
        &[
            "set server keystone-api/c1 state drain",
            "set server keystone-api/c1 health down",
            "set server keystone-api/c1 state ready",
        ]
    );
    let [Op::Units(units)] = plan.steps[1].ops.as_slice() else {
        panic!("{:?}", plan.steps[1].ops)
    };
    assert!(units[0].reload && !units[0].restart);
}

#[test]
fn a_mask_is_taken_away_and_nothing_is_restarted() {
    let plan = check(
        &|o| {
            let units = &mut o["c2"].as_mut().unwrap().units;
            let Fact::Known(unit) = units.get_mut("corosync.service").unwrap() else {
                panic!()
            };
            "masked".clone_into(&mut unit.load);
            "masked".clone_into(&mut unit.file);
        },
        &["prepare/c2"],
        &["~ unmask and enable corosync.service: "],
    );
    assert!(plan.steps[0].effects.is_empty() && restarted_units(&plan.steps[0]).is_empty());
}

/// A mask made by hand over a unit file of ours is a link in its place.
#[test]
fn a_link_in_place_of_a_file_is_told() {
    check(
        &|o| {
            let files = &mut o["c2"].as_mut().unwrap().files;
            let path = "/etc/systemd/system/memcached.service";
            let Fact::Known(file) = files.get_mut(path).unwrap() else {
                panic!()
            };
            file.link = Some("/dev/null".to_owned());
            file.text = None;
            "0".repeat(32).clone_into(&mut file.digest);
        },
        &["change/c2"],
        &["~ /etc/systemd/system/memcached.service: a link to /dev/null is in its place"],
    );
}

#[test]
fn an_instance_that_stands_still_is_started() {
    check(
        &|o| {
            for facts in o.values_mut().flatten() {
                let Fact::Known(seen) = &mut facts.cluster else {
                    continue;
                };
                let all = seen.resources.len();
                seen.resources.retain(|r| r.id != "memcached" || !r.is_on("c2"));
                assert_eq!(seen.resources.len(), all - 1);
            }
        },
        &["instance/memcached"],
        &["~ instance memcached on c2: -stopped +running"],
    );
}

/// A resource that somebody disabled is given back before a host is changed, which
/// waits for everything to run.
#[test]
fn what_was_stopped_by_its_configuration_runs_before_hosts_are_changed() {
    let (_, desired) = &CLOUDS[0];
    let mut observed = world::all(desired, world::applied);
    for facts in observed.values_mut().flatten() {
        world::reconfigure(facts, |cib| {
            cib.replace("migration-threshold", "was-something-else")
        });
    }
    let facts = observed["c2"].as_mut().unwrap();
    let Fact::Known(file) = facts.files.get_mut("/etc/keystone/quorate-uwsgi.ini").unwrap() else {
        panic!()
    };
    file.digest = "0".repeat(32);
    let plan = make(desired, &observed, Intent::Converge).unwrap();
    hold(desired, &plan);
    let changing = plan.steps.iter().filter(|s| !s.changes.is_empty());
    let ids: Vec<&str> = changing.map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["cib/repair", "change/c2"]);
    let drain = plan.steps.iter().find(|s| s.id == "drain/c2/c1").unwrap();
    assert!(drain.after.contains(&"cib/repair".into()));
}

/// Who was taken out of a balancer by hand is let in before another host is taken out.
#[test]
fn balancers_are_put_back_before_hosts_are_changed() {
    let plan = check(
        &|o| {
            reword(o, "c2", "balancer/running", "0 1 1 6 5000", "1 1 1 6 5000");
            let files = &mut o["c3"].as_mut().unwrap().files;
            let Fact::Known(file) = files.get_mut("/etc/keystone/quorate-uwsgi.ini").unwrap() else {
                panic!()
            };
            file.link = Some("/dev/null".to_owned());
            file.digest = "0".repeat(32);
        },
        &["balancer/c2", "change/c3"],
        &[
            "~ balancer: server keystone-api/c1: -in maintenance by hand +ready",
            "~ /etc/keystone/quorate-uwsgi.ini: a link to /dev/null is in its place",
        ],
    );
    let drain = plan.steps.iter().find(|s| s.id == "drain/c3/c2").unwrap();
    assert!(drain.after.contains(&"balancer/c2".into()), "{:?}", drain.after);
}

/// Also where its balancer is to load another file in its own turn: until then it would be
/// out beside each that is changed before.
#[test]
fn balancers_are_put_back_that_load_another_file_later() {
    let plan = check(
        &|o| {
            reword(o, "c2", "balancer/running", "0 1 1 6 5000", "1 1 1 6 5000");
            let files = &mut o["c2"].as_mut().unwrap().files;
            let Fact::Known(file) = files.get_mut("/etc/haproxy/haproxy.cfg").unwrap() else {
                panic!()
            };
            file.link = Some("/dev/null".to_owned());
            file.digest = "0".repeat(32);
        },
        &["balancer/c2", "reload/c2"],
        &[
            "~ balancer: server keystone-api/c1: -in maintenance by hand +ready",
            "~ /etc/haproxy/haproxy.cfg: a link to /dev/null is in its place",
        ],
    );
    let reload = plan.steps.iter().find(|s| s.id == "reload/c2").unwrap();
    assert!(reload.after.contains(&"balancer/c2".into()));
}

/// The first example with a file that is the operator's too.
fn with_a_shared_file() -> Desired {
    let mut desired = CLOUDS[0].1.clone();
    for host in desired.hosts.values_mut() {
        let file = host.files.iter_mut().find(|f| f.write.path == SHARED).unwrap();
        let text = String::from_utf8_lossy(&file.write.content);
        file.write.own = wire::Own::Keys {
            wanted: ini::keys(&text),
            absent: vec![("token".to_owned(), "gone".to_owned())],
        };
    }
    desired
}

const SHARED: &str = "/etc/keystone/keystone.conf";

#[test]
fn of_a_shared_file_only_our_keys_are_compared() {
    let desired = with_a_shared_file();
    let check = |spoil: &dyn Fn(&mut wire::FileFact), changes: &[&str]| {
        let mut observed = world::all(&desired, world::applied);
        let files = &mut observed["c2"].as_mut().unwrap().files;
        let Some(Fact::Known(file)) = files.get_mut(SHARED) else {
            panic!("{SHARED}")
        };
        // What else stands in it makes another digest of the whole.
        file.digest = "another".to_owned();
        spoil(file);
        let plan = make(&desired, &observed, Intent::Converge).unwrap();
        hold(&desired, &plan);
        assert_eq!(told(&plan), changes, "{}", plan::show(&plan, true));
    };
    let key = |file: &mut wire::FileFact, name: &str| {
        let at = file.keys.iter().position(|k| k.name == name);
        at.unwrap_or_else(|| panic!("{name} of {:?}", file.keys))
    };
    check(&|_| (), &[]);
    check(
        &|file| {
            let at = key(file, "connection");
            file.keys[at].values = vec!["somebody's".to_owned()];
        },
        &[
            "~ /etc/keystone/keystone.conf:  [database] -connection = ‹a value that is not shown› \
           +connection = mysql+pymysql://keystone:‹secret›@198.18.0.100/keystone?charset=utf8&ssl_ca=/etc/keystone/tls/ca.pem",
        ],
    );
    check(
        &|file| {
            let mut more = file.keys[0].clone();
            more.section = "token".to_owned();
            more.name = "gone".to_owned();
            more.text = Some(vec!["1".to_owned()]);
            file.keys.push(more);
        },
        &["~ /etc/keystone/keystone.conf:  [token] -gone = 1"],
    );
}
