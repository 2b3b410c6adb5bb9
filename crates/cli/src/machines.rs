//! Names of the VMs that run on hosts, asked of each host. Not for their owners' data, which
//! only the API has.

use fleet::Sessions;
use plan::Machines;
use render::Desired;
use tokio::task::JoinSet;
use wire::{Answer, Fact, Op, Query, Reply};

/// VMs on each host that has the program that tells them; hosts without a session are left out.
pub async fn ask(desired: &Desired, sessions: &Sessions) -> Machines {
    let mut tasks = JoinSet::new();
    for (host, wanted) in &desired.hosts {
        let Some(Ok(session)) = sessions.get(host) else {
            continue;
        };
        for guests in &wanted.guests {
            let (host, session) = (host.clone(), session.clone());
            let query = Query::Run {
                argv: guests.list.clone(),
                timeout_ms: 20_000,
            };
            tasks.spawn(async move { (host, session.call(Op::Ask(query), None).await) });
        }
    }
    let mut out = Machines::new();
    for (host, reply) in tasks.join_all().await {
        let names = match reply {
            Ok(Reply::Answer(fact)) => named(&fact),
            Ok(_) => Err("the agent answered something else".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let all = out.entry(host).or_insert_with(|| Ok(Vec::new()));
        match (all, names) {
            (Ok(all), Ok(names)) => all.extend(names),
            (all, Err(why)) => *all = Err(why),
            (Err(_), Ok(_)) => {}
        }
    }
    out
}

/// Names, one a line, that a program printed.
fn named(fact: &Fact<Answer>) -> Result<Vec<String>, String> {
    match fact {
        Fact::Known(Answer::Ran {
            status: 0, stdout, ..
        }) => {
            let lines = stdout.lines().map(str::trim).filter(|l| !l.is_empty());
            Ok(lines.map(str::to_owned).collect())
        }
        Fact::Known(Answer::Ran { stderr, .. }) => Err(stderr.trim().to_owned()),
        Fact::Known(_) => Err("it answered something else".to_owned()),
        Fact::Absent => Err("the program is not there".to_owned()),
        Fact::Unknown(why) => Err(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(status: i32, stdout: &str) -> Fact<Answer> {
        Fact::Known(Answer::Ran {
            status,
            stdout: stdout.to_owned(),
            stderr: "no connection\n".to_owned(),
        })
    }

    #[test]
    fn machines_that_are_not_told_are_not_taken_for_none() {
        assert_eq!(named(&ran(0, "\n")), Ok(Vec::new()));
        assert_eq!(
            named(&ran(0, "instance-1\ninstance-2\n\n")),
            Ok(vec!["instance-1".to_owned(), "instance-2".to_owned()])
        );
        assert_eq!(named(&ran(1, "")), Err("no connection".to_owned()));
        assert!(named(&Fact::Absent).is_err());
    }
}
