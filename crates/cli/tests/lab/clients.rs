//! Clients of an API as they are: bodies of unknown length, headers that lie, a guesser of
//! passwords, and a load beside a cut. What the balancers make of them is asked on hosts.

use std::net::UdpSocket;
use std::time::Duration;

use probe::{Connection, Http, Kind, Outcome, Probe, Retry};

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Seen, Writers, login};

const WHOLE: Duration = Duration::from_mins(4);
/// Limit for an answer to whoever guesses passwords.
const ANSWERED: Duration = Duration::from_secs(20);
/// Wrong logins, 60 of which are on the way at a time where each takes a second.
const GUESSES: usize = 200;
const EVERY: Duration = Duration::from_millis(16);
/// An address of nobody's: not a host of the cloud, and not the machine of the lab.
const STRANGER: u8 = 77;

#[test]
#[ignore = "lab"]
fn long_clients_are_served_as_they_are() {
    let cloud = Cloud::new("st-clients", 86);
    cloud.up_with(&["--with", "curl"]);
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    chunked(&cloud);
    forwarded(&cloud);
    guessed(&cloud);
    loaded(&cloud);
    cloud.down();
}

/// `curl` on the first controller; its standard input is a text.
fn curl(cloud: &Cloud, words: &str, input: &str) -> String {
    let script = format!(
        ". /root/openrc; printf %s \"$1\" | curl --silent --show-error --max-time 20 --cacert \"$OS_CACERT\" {words}"
    );
    let said = cloud.lab("shell", &["c1", "sh", "-c", &script, "sh", input]);
    said.good().out
}

fn version(cloud: &Cloud) -> String {
    format!("https://{}/v3", cloud.url("keystone", 5000))
}

/// A body whose length nobody has told, as Java's clients and proxies send it.
fn chunked(cloud: &Cloud) {
    let body = login(&cloud.secret("keystone/admin"));
    let url = format!("{}/auth/tokens", version(cloud));
    for protocol in ["1.1", "2"] {
        let words = format!(
            "--http{protocol} --header 'Content-Type: application/json' --request POST --upload-file - --output \
             /dev/null --write-out '%{{http_code}} %{{http_version}}' {url}"
        );
        assert_eq!(
            curl(cloud, &words, &body),
            format!("201 {protocol}"),
            "over {protocol}"
        );
    }
    tell("a body in chunks is taken over HTTP/1.1 and HTTP/2");
}

/// Headers by which a proxy names itself come from anybody, and lead nobody elsewhere. Whoever
/// asked stands in the log of the API.
fn forwarded(cloud: &Cloud) {
    let lies = "--header 'Forwarded: host=evil.example;proto=http' --header 'X-Forwarded-Host: evil.example' \
                --header 'X-Forwarded-For: 203.0.113.9' --header 'X-Forwarded-Proto: http'";
    let url = version(cloud);
    let said = curl(cloud, &format!("{lies} {url}"), "");
    assert!(said.contains(&url) && !said.contains("evil.example"), "{said}");
    let path = "/v3/story-of-a-client";
    let url = format!("https://{}{path}", cloud.url("keystone", 5000));
    curl(cloud, &format!("{lies} --output /dev/null {url}"), "");
    let logged = until("the request to be logged", Duration::from_secs(20), || {
        let log = format!("journalctl --unit quorate-keystone --output cat --since=-1min | grep {path}");
        let all: String = HOSTS.map(|host| cloud.shell(host, &log).out).concat();
        if all.is_empty() { Err(all) } else { Ok(all) }
    });
    // Over its own virtual address a host is known by that.
    let from = [cloud.address("c1"), cloud.vip("keystone")];
    assert!(
        from.iter().any(|a| logged.contains(a)) && !logged.contains("203.0.113.9"),
        "{logged}"
    );
    tell(&format!(
        "who asked stands in the log, and no header changes it: {}",
        logged.trim()
    ));
}

/// The address by which this machine asks the cloud.
fn ours(cloud: &Cloud) -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect((cloud.vip("keystone"), 5000)).unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

fn requests(cloud: &Cloud, name: &str, every: Duration, password: &str, status: u16) -> Probe {
    let http = Http {
        method: "POST".to_owned(),
        url: format!("{}/auth/tokens", version(cloud)),
        ca_pem: Some(cloud.secret("tls/trust.crt")),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned().into())],
        body: Some(login(password).into()),
        expect_status: vec![status],
        connection: Connection::Fresh,
        retry: Retry::None,
    };
    Probe {
        name: name.to_owned(),
        every,
        timeout: ANSWERED,
        kind: Kind::Http(http),
    }
}

/// A guesser of passwords is braked and answered at once; who has the right one, from
/// elsewhere, meanwhile logs in.
fn guessed(cloud: &Cloud) {
    // The first guess ends the wait for a good answer; then the brake works.
    let guesses = requests(cloud, "guess", EVERY, "wrong", 401);
    let writers = Writers::start(vec![guesses]);
    let stranger = cloud.address("c1").rsplit_once('.').unwrap().0.to_owned() + &format!(".{STRANGER}");
    let body = login(&cloud.secret("keystone/admin"));
    let add = format!(
        "set -- $(ip -br -4 address | grep -F {}/) && ip address add {stranger}/32 dev ${{1%%@*}}",
        cloud.address("c1")
    );
    cloud.shell("c1", &add).good();
    for _ in 0..5 {
        let words = format!(
            "--interface {stranger} --header 'Content-Type: application/json' --data @- --output /dev/null \
             --write-out '%{{http_code}} %{{time_total}}' {}/auth/tokens",
            version(cloud)
        );
        let said = curl(cloud, &words, &body);
        tell(&format!("meanwhile a login of another: {said}"));
        assert!(said.starts_with("201 "), "{said}");
    }
    until("the guesses to be made", WHOLE, || {
        let made = writers.made("guess");
        if made >= GUESSES {
            Ok(())
        } else {
            Err(made.to_string())
        }
    });
    let seen = writers.stop();
    let (mut taken, mut braked, mut turned_away) = (0, 0, 0);
    for record in seen.history.of("guess") {
        let took = Duration::from_nanos(record.end_ns - record.start_ns);
        assert!(took < ANSWERED, "{record:?}");
        match &record.outcome {
            Outcome::Ok => taken += 1,
            Outcome::Failed(why) if why == "status 429" => braked += 1,
            Outcome::Failed(why) if why == "status 503" => turned_away += 1,
            other => panic!("{other:?} to {} from {}", record.seq, ours(cloud)),
        }
    }
    tell(&format!(
        "of {} wrong logins {taken} were looked at, {braked} braked, {turned_away} turned away",
        taken + braked + turned_away
    ));
    if turned_away > 0 {
        let log = "journalctl --unit haproxy --output cat --since=-2min | grep ' 503 ' | head -5";
        tell(&HOSTS.map(|host| cloud.shell(host, log).out).concat());
    }
    assert!(
        braked > taken + turned_away,
        "{taken} looked at, {turned_away} turned away, {braked} braked"
    );
    // The brake lets go: the same client with the right password.
    let right = requests(
        cloud,
        "right",
        Duration::from_millis(500),
        &cloud.secret("keystone/admin"),
        201,
    );
    Writers::start(vec![right]).stop();
}

/// Two tokens a second and twenty version pages, while each controller is cut: slow it may
/// be, or without a balancer for a moment, but no balancer says that nobody is there.
fn loaded(cloud: &Cloud) {
    for host in HOSTS {
        let mut probes: Vec<Probe> = writers::all(cloud);
        probes.retain(|p| ["get", "token"].contains(&p.name.as_str()));
        for probe in &mut probes {
            if probe.name == "token" {
                probe.every = Duration::from_millis(500);
            }
        }
        let writers = Writers::start(probes);
        writers.mark(&format!("{host} is cut"));
        cloud.lab("cut", &[host]).good();
        cloud.until_redundant(WHOLE);
        writers.until_good(WHOLE);
        unavailable(&writers.stop(), host);
        cloud.forget_boots();
    }
}

#[track_caller]
fn unavailable(seen: &Seen, host: &str) {
    let failed = |r: &&probe::Record| matches!(&r.outcome, Outcome::Failed(why) if why == "status 503");
    for probe in ["get", "token"] {
        let all = seen.history.of(probe).count();
        let refused = seen.history.of(probe).filter(failed).count();
        tell(&format!(
            "{host} was cut: {refused} of {all} of `{probe}` were 503"
        ));
        assert_eq!(refused, 0, "{}", seen.report);
    }
}
