//! Where a service keeps what is too large for its database, by a setting: what its
//! configuration and the cluster then say. Of these only the default is run on hosts.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/examples.rs"]
mod examples;

use render::Desired;

fn cloud(services: &str, settings: &str) -> Desired {
    let text = format!(
        "cloud: demo\nrelease: \"2025.1\"\nhosts:\n  c1: {{ role: controller, address: 198.18.0.11 }}\n  \
         c2: {{ role: controller, address: 198.18.0.12 }}\n  c3: {{ role: controller, address: 198.18.0.13 }}\n\
         vips: {{ pool: 198.18.0.100-198.18.0.119 }}\nservices: {services}\nsettings: {{ glance: {settings} }}\n"
    );
    examples::desired_of(&examples::model_of("demo", &text, &[]))
}

fn text(desired: &Desired, path: &str) -> String {
    let file = desired.hosts["c2"].files.iter().find(|f| f.write.path == path);
    String::from_utf8(file.unwrap().write.content.to_vec()).unwrap()
}

/// The lines of the section that says where images are.
fn section(desired: &Desired) -> Vec<String> {
    let conf = text(desired, "/etc/glance/glance-api.conf");
    let (_, rest) = conf.split_once("\n[images]\n").unwrap();
    let lines = rest.lines().take_while(|l| !l.starts_with('['));
    lines.filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[test]
fn images_lie_where_the_setting_says() {
    let check = |settings: &str, backend: &str, expect: &[&str]| {
        let desired = cloud("[keystone, glance]", settings);
        assert_eq!(section(&desired), expect, "{settings}");
        let conf = text(&desired, "/etc/glance/glance-api.conf");
        assert!(
            conf.contains(&format!("enabled_backends = images:{backend}\n")),
            "{conf}"
        );
    };
    check(
        "{ store: rbd, rbd_pool: pictures }",
        "rbd",
        &[
            "rbd_store_pool = pictures",
            "rbd_store_user = glance",
            "rbd_store_ceph_conf = /etc/ceph/ceph.conf",
        ],
    );
    check(
        "{ store: s3, s3_host: \"https://objects.example.org\" }",
        "s3",
        &[
            "s3_store_host = https://objects.example.org",
            "s3_store_bucket = glance",
            "s3_store_create_bucket_on_put = true",
        ],
    );
    check(
        "{ store: shared, shared_device: \"nfs.example.org:/images\" }",
        "file",
        &["filesystem_store_datadir = /var/lib/glance/images"],
    );
}

/// The keys are the operator's, beside the unit, and in no file of ours.
#[test]
fn keys_of_another_cloud_stay_on_the_host() {
    let desired = cloud(
        "[keystone, glance]",
        "{ store: s3, s3_host: \"https://objects.example.org\" }",
    );
    let unit = text(&desired, "/etc/systemd/system/quorate-glance.service");
    assert!(unit.contains("EnvironmentFile=/etc/glance/store.env\n"), "{unit}");
    let files = &desired.hosts["c2"].files;
    assert!(files.iter().all(|f| f.write.path != "/etc/glance/store.env"));
}

/// A shared file system is there before whoever writes to it, on every host.
#[test]
fn the_cluster_mounts_a_shared_file_system_first() {
    let cib = |settings: &str| {
        let desired = cloud("[keystone, glance, swift]", settings);
        desired.cib.document(&desired.nodes)
    };
    let shared = cib("{ store: shared, shared_device: \"nfs.example.org:/images\" }");
    assert!(shared.contains("type=\"Filesystem\""), "{shared}");
    assert!(
        shared.contains("name=\"device\" value=\"nfs.example.org:/images\""),
        "{shared}"
    );
    assert!(shared.contains("first=\"glance-images-clone\""), "{shared}");
    assert!(!cib("{ store: swift }").contains("Filesystem"));
}

/// The agent of the databases with programs of a test in the place of the real ones: files
/// in `dir` say who the server and Corosync see; what is said of this member is in `said`.
fn member(dir: &std::path::Path, action: &str, status: &str, online: &str) -> (i32, String) {
    use std::os::unix::fs::PermissionsExt as _;

    let desired = cloud("[keystone, glance]", "{ store: rbd, rbd_pool: pictures }");
    let agent = text(&desired, "/usr/lib/ocf/resource.d/quorate/galera");
    let members = "/etc/mysql/mariadb.conf.d/99-quorate-members.cnf";
    assert!(agent.contains(members), "{agent}");
    let here = dir.join("members.cnf");
    fs_err::write(&here, "wsrep_cluster_address = gcomm://c1,c2,c3\n").unwrap();
    let agent = agent.replace(members, here.to_str().unwrap());
    let heartbeat = dir.join("resource.d/heartbeat");
    fs_err::create_dir_all(&heartbeat).unwrap();
    let programs = [
        ("agent", agent),
        ("renice", "#!/bin/sh\n".to_owned()),
        // Others are asked whether they take writes.
        (
            "bash",
            "#!/bin/sh\n[ ! -e \"$QUORATE_STATE/silent\" ] || exit 1\n\
             [ -e \"$QUORATE_STATE/lost\" ] && echo 'HTTP/1.1 503 Unavailable' || echo 'HTTP/1.1 200 OK'\n"
                .to_owned(),
        ),
        (
            "mariadb",
            format!(
                "#!/bin/sh\n[ -n '{status}' ] || exit 1\ncase \"$*\" in *STATUS*) printf 'wsrep_cluster_status\\t{status}\\n' ;; \
             *) printf 'c1\\nc2\\nc3\\n' ;; esac\n"
            ),
        ),
        ("crm_node", format!("#!/bin/sh\necho '{online}'\n")),
        (
            "crm_mon",
            "#!/bin/sh\n[ ! -e \"$QUORATE_STATE/promoted\" ] || \
             echo '<resource id=\"galera\" resource_agent=\"x\" role=\"Promoted\" target_role=\"x\"/>'\n"
                .to_owned(),
        ),
        (
            "crm_attribute",
            "#!/bin/sh\necho \"$*\" >> \"$QUORATE_STATE/said\"\n\
             case \"$*\" in *galera-last-committed*--query*) cat \"$QUORATE_STATE/position\" ;; *master-galera*--query*) cat \"$QUORATE_STATE/score\" ;; \
             *--query*) cat \"$QUORATE_STATE/begins\" ;; esac\n"
                .to_owned(),
        ),
        // The writer of attributes has the score that is given, and writes it if asked again.
        (
            "attrd_updater",
            "#!/bin/sh\ncd \"$QUORATE_STATE\"\ncase \"$*\" in --refresh) cp given score ;; \
             *) [ -e given ] && echo \"name=\\\"x\\\" host=\\\"c2\\\" value=\\\"$(cat given)\\\"\" ;; esac\n"
                .to_owned(),
        ),
        // A promotion lasts while there is a copy, and ends as a file says.
        (
            "resource.d/heartbeat/galera",
            "#!/bin/sh\nend=$QUORATE_STATE/end\necho \"$OCF_RESKEY_CRM_meta_timeout\" > \"$QUORATE_STATE/time\"\n\
             echo \"$1\" >> \"$QUORATE_STATE/did\"\n\
             [ \"$1\" = promote ] || exit 0\necho copies >&2\n\
             grep safe \"$QUORATE_DATA/grastate.dat\" > \"$QUORATE_STATE/asked\" 2>/dev/null\n\
             while [ -e \"$QUORATE_STATE/copy\" ]; do sleep 0.1; done\n[ ! -e \"$end\" ] || exit \"$(cat \"$end\")\"\n"
                .to_owned(),
        ),
    ];
    for (name, script) in programs {
        let path = dir.join(name);
        fs_err::write(&path, script).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let ran = std::process::Command::new(dir.join("agent"))
        .arg(action)
        .env("PATH", path)
        .env("OCF_ROOT", dir)
        .env("QUORATE_STATE", dir)
        .env("QUORATE_PATIENCE", "1")
        .env("QUORATE_DATA", dir.join("data"))
        .env("OCF_RESOURCE_INSTANCE", "galera:0")
        .env("OCF_RESKEY_pid", dir.join("pid"))
        .env("OCF_RESKEY_CRM_meta_timeout", "120000")
        .status()
        .unwrap();
    let said = fs_err::read_to_string(dir.join("said")).unwrap_or_default();
    let _ = fs_err::remove_file(dir.join("said"));
    (ran.code().unwrap(), said)
}

/// A member that saw the last majority to its end may begin without the others' positions;
/// one that left it, or that others may have passed, may not.
#[test]
fn who_never_left_the_last_majority_may_begin() {
    let check = |steps: &[(&str, &str, &str)], begins: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mut said = String::new();
        for (action, status, online) in steps {
            let (ended, now) = member(dir.path(), action, status, online);
            assert_eq!(ended, 0, "{action}");
            said = now;
        }
        assert_eq!(
            said.contains("--name galera-safe-to-bootstrap --update 1"),
            begins,
            "{steps:?}: {said}"
        );
    };
    // It is c2 that tells. Both others are cut at once; one comes back.
    let whole = ("monitor", "Primary", "c1 c2 c3");
    check(
        &[
            whole,
            ("demote", "non-Primary", "c2"),
            ("stop", "", "c2"),
            ("start", "", "c1 c2"),
        ],
        true,
    );
    check(
        &[
            whole,
            ("monitor", "non-Primary", "c2"),
            ("stop", "non-Primary", "c2"),
            ("start", "", "c2 c3"),
        ],
        true,
    );
    // Demoted with quorum left, it is not started anew.
    check(
        &[
            whole,
            ("monitor", "non-Primary", "c2"),
            ("demote", "", "c2"),
            ("monitor", "", "c1 c2"),
        ],
        true,
    );
    // Quorum is lost before the database misses the others. And power fails before the first
    // monitor has seen the majority.
    check(
        &[
            whole,
            ("demote", "Primary", "c2"),
            ("stop", "", "c2"),
            ("start", "", "c1 c2"),
        ],
        true,
    );
    check(
        &[
            ("promote", "Primary", "c1 c2 c3"),
            ("demote", "non-Primary", "c2"),
            ("start", "", "c2 c3"),
        ],
        true,
    );
    // Stopped in order; never seen in a majority; parted from others that are there.
    check(
        &[whole, ("stop", "Primary", "c1 c2 c3"), ("start", "", "c2")],
        false,
    );
    check(&[("stop", "non-Primary", "c2"), ("start", "", "c2")], false);
    // Corosync does not tell whom it hears.
    check(&[whole, ("demote", "Primary", ""), ("start", "", "c2")], false);
    check(
        &[whole, ("demote", "non-Primary", ""), ("start", "", "c2")],
        false,
    );
    check(
        &[
            whole,
            ("demote", "non-Primary", "c1 c2 c3"),
            ("stop", "", "c2"),
            ("start", "", "c2"),
        ],
        false,
    );
    // It was true for one start of the server. That one failed, and others may have gone on.
    check(
        &[
            whole,
            ("demote", "non-Primary", "c2"),
            ("start", "", "c1 c2"),
            ("promote", "", "c1 c2"),
            ("stop", "", "c1 c2"),
            ("start", "", "c1 c2"),
        ],
        false,
    );
    // What was true ends with the next majority.
    let again = [
        whole,
        ("demote", "non-Primary", "c2"),
        ("start", "", "c1 c2"),
        whole,
        ("stop", "Primary", "c1 c2 c3"),
    ];
    check(&[&again[..], &[("start", "", "c2")]].concat(), false);
}

/// The server asks its own file whether it may begin: it says so for that one start of it.
#[test]
fn the_server_of_one_that_may_begin_is_told_so() {
    let check = |steps: &[(&str, &str, &str)], ends: &str, asked: &str, left: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data/grastate.dat");
        fs_err::create_dir(dir.path().join("data")).unwrap();
        fs_err::write(&file, "seqno:   -1\nsafe_to_bootstrap: 0\n").unwrap();
        fs_err::write(dir.path().join("begins"), "true").unwrap();
        fs_err::write(dir.path().join("end"), ends).unwrap();
        for (action, status, online) in steps {
            member(dir.path(), action, status, online);
        }
        let read = |name: &str| fs_err::read_to_string(dir.path().join(name)).unwrap();
        assert!(
            read("asked").ends_with(asked),
            "{steps:?} {ends}: {}",
            read("asked")
        );
        assert!(read("data/grastate.dat").ends_with(left), "{steps:?} {ends}");
    };
    let (whole, lost) = (
        ("monitor", "Primary", "c1 c2 c3"),
        ("demote", "non-Primary", "c2"),
    );
    let (yes, no) = ("safe_to_bootstrap: 1\n", "safe_to_bootstrap: 0\n");
    let promote = ("promote", "", "c1 c2");
    check(&[whole, lost, promote], "0", yes, yes);
    check(&[whole, lost, promote], "1", yes, no);
    check(&[whole, lost, promote, promote], "1", no, no);
    check(&[whole, promote], "0", no, no);
}

/// Members that join each other wait in turns and for ever: beside one that is promoted and
/// takes no writes a member tells its position and looks for nobody to join.
#[test]
fn nobody_joins_one_that_joins_nobody() {
    let check = |promoted: bool, others: &str, begins: bool, asked: bool| {
        for action in ["start", "monitor"] {
            let dir = tempfile::tempdir().unwrap();
            let put = |name: &str, text: &str| fs_err::write(dir.path().join(name), text).unwrap();
            if promoted {
                put("promoted", "");
            }
            put(others, "");
            if begins {
                put("begins", "true");
            }
            put("position", "9");
            assert_eq!(member(dir.path(), action, "", "c1 c2 c3").0, 0);
            let did = fs_err::read_to_string(dir.path().join("did")).unwrap_or_default();
            let told = format!("{action}: promoted {promoted}, others {others}, begins {begins}: {did}");
            assert_eq!(did.contains(action), asked, "{told}");
            assert_eq!(did.contains("demote"), !asked && action == "start", "{told}");
            if !asked && action == "monitor" {
                fs_err::remove_file(dir.path().join("position")).unwrap();
                assert_eq!(member(dir.path(), action, "", "c1 c2 c3").0, 7, "{told}");
            }
        }
    };
    check(true, "lost", false, false);
    check(true, "serve", false, true);
    check(false, "lost", false, true);
    check(true, "lost", true, true);
    // A member that has just come is heard by nobody, and joins them.
    check(true, "silent", false, true);
}

/// A copy that was cut is no history, and cannot even be asked for a position: its member comes
/// like a new one. One that is whole is left alone, whatever lies about.
#[test]
fn a_copy_that_was_cut_is_begun_again() {
    const NIL: &str = "00000000-0000-0000-0000-000000000000";
    let check = |uuid: Option<&str>, sign: Option<&str>, left: bool| {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs_err::create_dir_all(data.join("mysql")).unwrap();
        if let Some(uuid) = uuid {
            let text = format!("# GALERA saved state\nversion: 2.1\nuuid:    {uuid}\nseqno:   -1\n");
            fs_err::write(data.join("grastate.dat"), text).unwrap();
        }
        if let Some(sign) = sign {
            fs_err::write(data.join(sign), "").unwrap();
        }
        for action in ["monitor", "start"] {
            assert!(data.join("mysql").exists(), "{action}");
            assert_eq!(member(dir.path(), action, "", "c1 c2 c3").0, 0);
        }
        assert_eq!(data.join("mysql").exists(), left, "{uuid:?} {sign:?}");
    };
    let copies = Some("sst_in_progress");
    check(Some(NIL), copies, false);
    check(Some(NIL), None, true);
    check(Some("5b4b7b3a-0000-0000-0000-000000000001"), copies, true);
    check(None, copies, true);
    // A new member's first tables were not made to their end.
    check(None, Some("quorate-begun"), false);
}

/// The first member gives it the score to be promoted, perhaps before the cluster knows it:
/// the same score again is no change, so it asks for it to be written, whenever it comes.
#[test]
fn a_member_has_the_score_written_that_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let score = || fs_err::read_to_string(dir.path().join("score")).ok();
    let act = |action: &str, status: &str| member(dir.path(), action, status, "c1 c2 c3").0;
    assert_eq!((act("start", ""), act("monitor", ""), score()), (0, 0, None));
    let given = |value: &str| fs_err::write(dir.path().join("given"), value).unwrap();
    for action in ["start", "monitor"] {
        given("100");
        assert_eq!(
            (act(action, ""), score().as_deref()),
            (0, Some("100")),
            "{action}"
        );
        // A score that is there is left alone, and so is one that was taken back.
        given("5");
        assert_eq!((act(action, ""), score().as_deref()), (0, Some("100")));
        fs_err::remove_file(dir.path().join("score")).unwrap();
        given("");
        assert_eq!((act(action, ""), score()), (0, None));
    }
    // Promoted, it needs none.
    given("100");
    assert_eq!((act("monitor", "Primary"), score()), (0, None));
}

/// The cluster decides nothing else while an operation runs: a promotion is over in seconds,
/// however long the copy lasts, and monitors tell how that ended.
#[test]
fn a_promotion_does_not_last_as_long_as_a_copy() {
    const PROMOTED: i32 = 8;
    const FAILED: i32 = 9;
    let dir = tempfile::tempdir().unwrap();
    let act = |action: &str| member(dir.path(), action, "", "c1 c2 c3").0;
    let ends = |status: &str| {
        fs_err::write(dir.path().join("end"), status).unwrap();
        fs_err::remove_file(dir.path().join("copy")).unwrap();
        for _ in 0..100 {
            if dir.path().join("galera-joining.ended").exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the promotion does not end");
    };
    let copies = || fs_err::write(dir.path().join("copy"), "").unwrap();
    // No copy: over at once, well or not.
    assert_eq!(act("promote"), 0);
    fs_err::write(dir.path().join("end"), "1").unwrap();
    assert_eq!(act("promote"), 1);
    // A copy that ends well, and one that does not.
    for (status, then) in [("0", 0), ("1", FAILED)] {
        copies();
        assert_eq!(act("promote"), 0);
        assert_eq!((act("monitor"), act("monitor")), (PROMOTED, PROMOTED));
        ends(status);
        assert_eq!((act("monitor"), act("monitor")), (then, 0), "{status}");
    }
    // Stopped under way, nothing of it is left; killed, it has failed.
    copies();
    assert_eq!((act("promote"), act("stop"), act("monitor")), (0, 0, 0));
    assert_eq!(act("promote"), 0);
    let promotion = fs_err::read_to_string(dir.path().join("galera-joining")).unwrap();
    let group = format!("-{}", promotion.trim());
    let killed = std::process::Command::new("kill")
        .args(["-KILL", "--", &group])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!((act("monitor"), act("monitor")), (FAILED, 0));
    // A server that answers and is not with the others has failed, but not at once; so has
    // one that copies where nobody takes writes.
    let finds = |status: &str| member(dir.path(), "monitor", status, "c1 c2 c3").0;
    let moment = || std::thread::sleep(std::time::Duration::from_secs(3));
    for lost in ["non-Primary", ""] {
        copies();
        assert_eq!(act("promote"), 0);
        moment();
        assert_eq!((finds("Disconnected"), finds("Primary")), (PROMOTED, PROMOTED));
        moment();
        assert_eq!(finds(""), PROMOTED);
        fs_err::write(dir.path().join("lost"), "").unwrap();
        assert_eq!(finds(lost), PROMOTED);
        moment();
        assert_eq!((finds(lost), finds("")), (FAILED, 0));
        fs_err::remove_file(dir.path().join("lost")).unwrap();
    }
    // A member that has just come is answered by nobody, however long its copy lasts.
    copies();
    fs_err::write(dir.path().join("silent"), "").unwrap();
    assert_eq!(act("promote"), 0);
    for _ in 0..3 {
        assert_eq!(finds(""), PROMOTED);
        moment();
    }
    ends("0");
    assert_eq!(finds(""), 0);
    fs_err::write(dir.path().join("end"), "1").unwrap();
    copies();
    // The first member of all is there once its promotion is over.
    fs_err::write(dir.path().join("begins"), "true\n").unwrap();
    let copy = dir.path().join("copy");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_secs(3));
            fs_err::remove_file(copy).unwrap();
        });
        assert_eq!(act("promote"), 1);
    });
}

/// The agent ends a server by force shortly before its time is over: it is told of less than
/// the cluster gives, since what is done before takes some of it.
#[test]
fn a_stop_is_over_in_its_time() {
    let check = |action: &str, status: &str, expect: std::ops::RangeInclusive<u32>| {
        let dir = tempfile::tempdir().unwrap();
        member(dir.path(), "monitor", "Primary", "c1 c2 c3");
        assert_eq!(member(dir.path(), action, status, "c1 c2 c3").0, 0);
        let time = fs_err::read_to_string(dir.path().join("time")).unwrap();
        let time = time.trim().parse().unwrap();
        assert!(expect.contains(&time), "{action} {status}: {time}");
    };
    check("monitor", "Primary", 120_000..=120_000);
    check("stop", "Primary", 108_000..=110_000);
    // Others are heard: it is looked for three seconds whether they are gone.
    check("demote", "non-Primary", 100_000..=107_000);
}
