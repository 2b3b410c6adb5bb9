//! A host and its fence device die together: the cluster waits for a proof that nobody gives,
//! until a person gives a word in place of it. It is refused while any path hears the host,
//! and the next death asks for another.

use std::time::Duration;

use crate::cloud::Cloud;
use crate::said::{Said, tell, until};
use crate::writers::{self, Writers};

/// From a loss until the cluster holds the host dead and its device was tried.
const PENDS: Duration = Duration::from_mins(2);
const SERVES: Duration = Duration::from_mins(1);
const WHOLE: Duration = Duration::from_mins(5);
const HOST: &str = "c2";

#[test]
#[ignore = "lab"]
fn long_a_death_is_confirmed_by_a_person() {
    let cloud = Cloud::new("st-confirms", 95);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let early = word(&cloud, HOST);
    assert!(!early.ok() && early.err.contains("host::not-pending"), "{early}");
    password(&cloud, "wrong");
    let writers = Writers::start(writers::all(&cloud));
    heard(&cloud);
    cloud.lab("cut", &[HOST]).good();
    pends(&cloud);
    writers.mark("the word is given");
    let said = word(&cloud, HOST).good();
    tell(&format!("{}{}", said.err, said.out));
    assert!(said.out.contains("the cluster goes on without it"), "{said}");
    writers.until_good(SERVES);
    writers.stop().kept();

    again(&cloud);
    password(&cloud, &cloud.secret("lab/bmc-password"));
    cloud
        .shell("c1", &format!("crm_resource --cleanup --resource fence-{HOST}-1"))
        .good();
    // The device gives its proof now, and power with it.
    cloud.until_redundant(WHOLE);
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    cloud.down();
}

/// The fence device of the host has this password.
fn password(cloud: &Cloud, password: &str) {
    let set = format!(
        "crm_resource --resource fence-{HOST}-1 --set-parameter password --parameter-value {password}"
    );
    cloud.shell("c1", &set).good();
}

/// `host confirm-dead` with a name typed.
fn word(cloud: &Cloud, typed: &str) -> Said {
    cloud.say(&["host", "confirm-dead", HOST, "--typed", typed, "--file"])
}

/// Fencing of the host pends, and no path hears it: the name alone is missing.
fn pends(cloud: &Cloud) {
    until("fencing to pend", PENDS, || {
        let said = word(cloud, "c9");
        if said.err.contains("that is not `c2`") {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    let status = cloud.status().unwrap();
    assert!(
        ["exposed", "down"].iter().any(|v| status["verdict"] == *v),
        "{status:#}"
    );
}

/// A host that left the membership, and is alive: the word is refused, with each path.
fn heard(cloud: &Cloud) {
    cloud.shell(HOST, "pkill --signal STOP -x corosync").good();
    let refused = until("a refusal", PENDS, || {
        let said = word(cloud, HOST);
        assert!(!said.ok(), "a host that lives was confirmed dead: {said}");
        if said.err.contains("host::heard") {
            Ok(said)
        } else {
            Err(said.to_string())
        }
    });
    tell(&refused.err);
    for path in ["ssh", &cloud.address(HOST)] {
        assert!(refused.err.contains(path), "no {path} in {refused}");
    }
}

/// It returns, and dies once more: nothing is left of the word.
fn again(cloud: &Cloud) {
    let _ = cloud.lab("on", &[HOST]);
    cloud.forget_boots();
    cloud.until_member(HOST, "online", WHOLE);
    cloud.lab("cut", &[HOST]).good();
    pends(cloud);
    tell("the next death asks for another word");
}
