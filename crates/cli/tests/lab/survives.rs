//! A cloud with one API: applied, used, cut host by host, cut whole, and a
//! control that shows that the checker does see lost writes.

use std::fmt::Write as _;
use std::time::Duration;

use lab::{Actor, EventKind};
use vault::ExposeSecret as _;

use crate::caches;
use crate::cloud::{Cloud, HOSTS};
use crate::observed::facts;
use crate::reexec;
use crate::said::{Said, program, run, tell, until, wait};
use crate::writers::{self, Seen, Writers};

/// An API that is away longer is not alive; measured are a few seconds.
const LIVENESS: Duration = Duration::from_mins(1);
const FENCED: Duration = Duration::from_mins(2);
const WHOLE: Duration = Duration::from_mins(4);
/// A control without a loss is chance; so often it is not.
const CONTROLS: usize = 4;

#[test]
#[ignore = "lab"]
fn one_api_survives() {
    let cloud = Cloud::new("st-main", 20);
    cloud.up();
    applied_once(&cloud);
    usable(&cloud);
    caches::unread(&cloud);
    let mut table = String::from("longest time without a good answer, by the host that was cut\n");
    for host in HOSTS {
        let seen = one_cut(&cloud, host);
        write!(table, "  {host}").unwrap();
        for probe in ["get", "token", "sql", "publish"] {
            write!(table, "  {probe} {:>6} ms", seen.longest(probe).as_millis()).unwrap();
        }
        table.push('\n');
    }
    reinstalled(&cloud);
    reexec::nothing_is_restarted(&cloud, 3, "true");
    let seen = all_cut(&cloud, writers::all(&cloud), "everything is cut");
    seen.kept();
    for host in HOSTS {
        let writes = writers::kept_on(&cloud, host, &seen.history);
        assert!(
            writes.lost.is_empty() && writes.unknown.is_empty(),
            "{host}: {writes:?}"
        );
        tell(&format!(
            "{host} has all {} acknowledged rows",
            writes.acknowledged
        ));
    }
    control(&cloud);
    tell(&table);
}

/// The second `apply` has nothing to do, and nothing printed holds a secret.
pub fn applied_once(cloud: &Cloud) {
    let first = cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let second = cloud.say(&["apply", "--yes"]).good();
    assert!(second.out.contains(": 0 changes in "), "{second}");
    let plan = cloud.say(&["plan", "--detailed-exitcode"]).good();
    secretless(cloud, &[&first, &second, &plan]);
}

/// No secret is in what is printed, nor in the journals.
fn secretless(cloud: &Cloud, said: &[&Said]) {
    let observed = [
        cloud.say(&["observe"]).good(),
        cloud.say(&["observe", "--output", "json"]).good(),
        cloud.say(&["status"]).good(),
    ];
    let vault = cloud.vault();
    let mut texts: Vec<(String, String)> = said
        .iter()
        .copied()
        .chain(&observed)
        .map(|s| (s.line.clone(), s.all()))
        .collect();
    for run in fs_err::read_dir(cloud.state().join("runs")).unwrap() {
        for file in fs_err::read_dir(run.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let text = fs_err::read_to_string(&path).unwrap();
            texts.push((path.display().to_string(), text));
        }
    }
    for name in vault.names() {
        let secret = vault.get(name).unwrap().expose_secret();
        // Certificates are public, and the cluster's id is in its name.
        if secret.contains("BEGIN CERTIFICATE") || name == "corosync/cluster-id" {
            continue;
        }
        // Keys have lines, and a text for programs would hold them otherwise.
        let pieces = secret.lines().filter(|l| !l.starts_with("-----"));
        for piece in pieces {
            for (origin, text) in &texts {
                assert!(!text.contains(piece), "{name} is in {origin}");
            }
        }
    }
}

/// The stock client on a host, which verifies the certificate.
pub fn usable(cloud: &Cloud) {
    let file = cloud.file();
    let on_host = |command: &str| {
        let words = ["ssh", "--file", file.to_str().unwrap(), "c1", command];
        run(program(), &words)
    };
    let token = on_host(". /root/openrc && openstack token issue -f value -c id").good();
    assert!(token.out.trim().len() > 60, "{token}");
    let list = on_host(". /root/openrc && openstack endpoint list -f value -c URL").good();
    let url = format!("https://{}/v3", cloud.url("keystone", 5000));
    assert_eq!(list.out.lines().collect::<Vec<_>>(), [&url; 3], "{list}");
    // It does verify: with an authority of the host's own it refuses.
    let other = on_host(
        ". /root/openrc && openssl req -x509 -newkey ed25519 -nodes -subj /CN=other \
         -keyout /dev/null -out /run/other.pem 2>/dev/null && \
         OS_CACERT=/run/other.pem openstack token issue",
    );
    assert!(
        !other.ok() && other.all().to_lowercase().contains("certificate"),
        "{other}"
    );
    tell("the stock client works, with verification");
}

/// Switched on over the BMC how often.
fn fenced(cloud: &Cloud, host: &str) -> usize {
    let events = lab::events(&cloud.name).unwrap();
    events
        .iter()
        .filter(|e| e.host == host && e.event == EventKind::On && e.by == Actor::Bmc)
        .count()
}

/// A host loses its power while writers write: it is fenced, and all is whole again by itself.
pub fn one_cut(cloud: &Cloud, host: &str) -> Seen {
    cloud.forget_boots();
    let before = fenced(cloud, host);
    let probes = writers::all(cloud);
    writers::clean(&probes);
    let writers = Writers::start(probes.clone());
    let cut = writers.mark(&format!("cut {host}"));
    cloud.lab("cut", &[host]).good();
    writers.until_answer("get", cut, LIVENESS);
    until("the fence that switches it on again", FENCED, || {
        let events = cloud.lab("events", &[]);
        if fenced(cloud, host) > before {
            Ok(())
        } else {
            Err(format!("{events}\n{:#?}", cloud.status()))
        }
    });
    writers.mark(&format!("{host} is switched on"));
    cloud.until_redundant(WHOLE);
    writers.mark("redundant");
    writers.until_good(LIVENESS);
    let seen = writers.stop();
    seen.kept();
    let gap = seen.longest("get");
    assert!(gap < LIVENESS, "the API was away for {gap:?}\n{}", seen.report);
    seen
}

/// A package installed again restarts nothing and takes nothing back.
fn reinstalled(cloud: &Cloud) {
    let look = || {
        let who = cloud.shell("c2", "ps -o pid=,lstart= -C mariadbd").good();
        let units = facts(cloud)["c2"]["facts"]["units"].clone();
        (who.out, units)
    };
    let before = look();
    cloud
        .shell(
            "c2",
            "DEBIAN_FRONTEND=noninteractive apt-get install --reinstall -y --no-download mariadb-server",
        )
        .good();
    let after = look();
    assert_eq!(before.0, after.0, "mariadbd is another process");
    assert_eq!(
        before.1, after.1,
        "a unit was touched by a package:\n{:#}\n{:#}",
        before.1, after.1
    );
    cloud.redundant().unwrap();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    tell("mariadb-server installed again restarts nothing");
}

/// Cuts all hosts at once while writers write, switches them on, and waits
/// until the cloud is back: by itself, or by `recover`.
pub fn all_cut(cloud: &Cloud, probes: Vec<probe::Probe>, title: &str) -> Seen {
    cloud.forget_boots();
    writers::clean(&probes);
    let writers = Writers::start(probes);
    // Some writes first, so that there is something to lose.
    let begin = writers.mark("writing");
    writers.until_answer("sql", begin + 2_000_000_000, LIVENESS);
    writers.mark(title);
    cloud.lab("cut", &HOSTS).good();
    cloud.lab("on", &HOSTS).good();
    writers.mark("all are on");
    if let Err(last) = wait(WHOLE, &mut || cloud.redundant()) {
        tell(&format!("not back by itself, so `recover`:\n{last}"));
        let said = cloud.say(&["recover", "--yes"]).good();
        tell(said.out.trim());
        cloud.until_redundant(WHOLE);
    }
    writers.mark("redundant");
    writers.until_good(LIVENESS);
    writers.stop()
}

/// With commits that are not synced, a cut of everything must lose some: else
/// the checker, or the cut, proves nothing.
fn control(cloud: &Cloud) {
    for round in 1..=CONTROLS {
        for host in HOSTS {
            cloud
                .shell(host, "mariadb -e 'SET GLOBAL innodb_flush_log_at_trx_commit = 0'")
                .good();
        }
        let writer = writers::sql(cloud, &cloud.vip("galera"), 10);
        let seen = all_cut(cloud, vec![writer], "control: everything is cut");
        let fate = seen.report.probes.iter().find_map(|p| p.writes.clone());
        let lost = fate.unwrap().lost.len();
        tell(&format!("control {round}: {lost} acknowledged writes lost"));
        if lost > 0 {
            assert!(
                !seen.report.failures(&probe::Bar { gap: None }).is_empty(),
                "{}",
                seen.report
            );
            return;
        }
    }
    panic!("{CONTROLS} cuts with unsynced commits, and no loss was ever seen");
}
