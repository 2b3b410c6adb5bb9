//! Labs come and go, also when they are killed half-way, and leave nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};

/// What the machine holds, without what other labs hold, which come and go.
fn inventory(mine: &[&str]) -> BTreeSet<String> {
    let others: Vec<String> = lab::list()
        .unwrap()
        .into_iter()
        .map(|l| l.name)
        .filter(|n| !mine.contains(&n.as_str()))
        .collect();
    let theirs: Vec<String> = others
        .iter()
        .flat_map(|name| lab::residue(name).unwrap())
        .collect();
    let all = lab::inventory().unwrap().into_iter();
    all.filter(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let short = words.get(..2).unwrap_or(&words).join(" ");
        let named = |name: &String| {
            line.contains(&format!("qlab.{name}."))
                || line.contains(&format!("/{name}/"))
                || line.ends_with(&format!(" {name}"))
        };
        !theirs.contains(&short) && !others.iter().any(named)
    })
    .collect()
}

#[track_caller]
fn nothing_new(before: &BTreeSet<String>, mine: &[&str]) {
    for name in mine {
        assert_eq!(lab::residue(name).unwrap(), Vec::<String>::new());
    }
    let after = inventory(mine);
    let new: Vec<&String> = after.difference(before).collect();
    assert!(new.is_empty(), "left behind: {new:#?}");
}

/// The processes of a lab that power its hosts or serve its BMC, by number.
fn keepers(lab: &str) -> Vec<i32> {
    let mut found = vec![];
    for entry in fs_err::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|&b| b == 0).collect();
        let verb = |verb: &[u8]| words.iter().skip(1).take(2).eq([&b"lab"[..], verb].iter());
        if (verb(b"host-supervisor") || verb(b"bmc")) && words.get(3) == Some(&lab.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

fn end(pids: &[i32]) {
    for &pid in pids {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

#[test]
#[ignore = "lab"]
fn nothing_left() {
    let names = ["st-left", "st-left-b"];
    let (one, two) = (Cloud::new(names[0], 28), Cloud::new(names[1], 29));
    let before = inventory(&names);
    one.up();
    one.down();
    nothing_new(&before, &names);
    tell("up and down leave nothing");

    // Killed while it comes up.
    let mut up = one.spawn(&["lab", "up"], "up.log");
    let found = until("a process of a lab half-way up", Duration::from_mins(1), || {
        let found = keepers(&one.name);
        if found.is_empty() {
            Err(one.log("up.log"))
        } else {
            Ok(found)
        }
    });
    up.kill().unwrap();
    up.wait().unwrap();
    end(&found);
    one.down();
    nothing_new(&before, &names);
    tell("an `up` that was killed leaves nothing after `down`");

    // Killed when it is up, with another one beside it whose name begins the same.
    one.up();
    two.up();
    for cloud in [&one, &two] {
        for host in HOSTS {
            assert_eq!(cloud.shell(host, "hostname").good().out.trim(), host);
        }
    }
    let found = keepers(&one.name);
    assert_eq!(
        found.len(),
        HOSTS.len() + 1,
        "a supervisor each, and the BMC: {found:?}"
    );
    end(&found);
    one.down();
    let listed: Vec<String> = lab::list().unwrap().into_iter().map(|l| l.name).collect();
    assert!(
        listed.contains(&two.name) && !listed.contains(&one.name),
        "{listed:?}"
    );
    two.say(&["observe"]).good();
    two.down();
    nothing_new(&before, &names);
    tell("two side by side, one without its supervisors, leave nothing");
}
