//! Faults that parts of services tell of themselves, by commands of the catalogue. Not for
//! stores and brokers, whose engines know what their answers mean.

use names::HostName;
use render::Desired;
use wire::{Answer, Fact};

use crate::{Observed, Problem};

/// Each fault once, with the hosts that tell it.
pub(crate) fn problems(desired: &Desired, observed: &Observed) -> Vec<Problem> {
    let mut out: Vec<(String, String, Vec<HostName>)> = Vec::new();
    for faults in &desired.faults {
        for host in &faults.hosts {
            let Some(Ok(facts)) = observed.get(host) else {
                continue;
            };
            // A command that failed tells nothing: the component itself is judged elsewhere.
            let Some(Fact::Known(Answer::Ran {
                status: 0, stdout, ..
            })) = facts.answers.get(&faults.answer)
            else {
                continue;
            };
            for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
                let (what, cure) = line.split_once('\t').unwrap_or((line, ""));
                match out.iter_mut().find(|(w, c, _)| w == what && c == cure) {
                    Some((_, _, hosts)) => hosts.push(host.clone()),
                    None => out.push((what.to_owned(), cure.to_owned(), vec![host.clone()])),
                }
            }
        }
    }
    let told = out.into_iter();
    told.map(|(what, cure, hosts)| Problem::Told { hosts, what, cure })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use render::DesiredFaults;
    use wire::Query;

    fn facts(status: i32, stdout: &str) -> wire::Facts {
        let facts = serde_json::json!({
            "hostname": "", "boot_id": "", "os": "Absent", "clock": 0, "memory_kib": 0, "disk_free": {},
            "disk_size": {}, "addresses": [], "listeners": [], "files": {}, "units": {}, "packages": {},
            "sysctls": {}, "answers": {}, "cluster": "Absent", "cib": "Absent"
        });
        let mut facts: wire::Facts = serde_json::from_value(facts).unwrap();
        let ran = Answer::Ran {
            status,
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        facts.answers.insert("faults/x/y".to_owned(), Fact::Known(ran));
        facts
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    #[test]
    fn what_several_tell_is_one_problem_and_what_fails_tells_nothing() {
        let desired = Desired {
            faults: vec![DesiredFaults {
                answer: "faults/x/y".to_owned(),
                hosts: ["c1", "c2", "c3", "c4"].map(host).to_vec(),
                query: Query::Cluster,
            }],
            ..Desired::default()
        };
        let line = "a member lags\trestart it\n";
        let mut observed = Observed::new();
        observed.insert(host("c1"), Ok(facts(0, line)));
        observed.insert(host("c2"), Ok(facts(0, &format!("{line}\nanother\n"))));
        observed.insert(host("c3"), Ok(facts(1, "broken\n")));
        observed.insert(host("c4"), Err("it does not answer".to_owned()));
        let told = |hosts: &[&str], what: &str, cure: &str| Problem::Told {
            hosts: hosts.iter().map(|h| host(h)).collect(),
            what: what.to_owned(),
            cure: cure.to_owned(),
        };
        assert_eq!(
            problems(&desired, &observed),
            [
                told(&["c1", "c2"], "a member lags", "restart it"),
                told(&["c2"], "another", "")
            ]
        );
    }
}
