//! The budget's numbers as what a loss costs reads them, and the questions of balancers.
//! All times are milliseconds.

use std::collections::BTreeMap;

use pacemaker::{Primitive, Resource, UNIT_AGENT};
use render::{Asked, Desired, DesiredPart, UnitRun, Watched};

use super::Until;

/// The budget by name, and how often the cluster looks.
pub struct Times<'a> {
    numbers: BTreeMap<&'a str, u64>,
    desired: &'a Desired,
}

/// How a balancer asks a server.
pub struct Checks {
    every: u64,
    suspect: u64,
    timeout: u64,
    falls: u64,
}

impl Checks {
    /// A server that is silent is out after this, at the latest.
    pub fn silent(&self) -> u64 {
        self.every + self.timeout + self.falls * (self.suspect + self.timeout)
    }

    /// A server that refuses is out after this, at the latest.
    pub fn refused(&self) -> u64 {
        self.every + self.falls * self.suspect
    }

    /// A silent server is usually out after this: it fails between two questions.
    pub fn silent_usual(&self) -> u64 {
        self.silent() - self.every / 2
    }
}

/// Milliseconds of a number with its unit, of which those that count something have none.
fn in_ms(value: &str, unit: &str) -> Option<u64> {
    let value: f64 = value.parse().ok()?;
    let value = if unit == "s" { value * 1000.0 } else { value };
    // Written so, since there is no conversion that fails: a number of the budget is small.
    format!("{:.0}", value.round()).parse().ok()
}

/// A time with its unit as the cluster writes it: `250ms`, `5s`, `10m`, `500`.
fn with_unit(text: &str, without: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let unit = if unit.is_empty() { without } else { unit };
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|n| n * factor)
}

impl<'a> Times<'a> {
    pub fn new(desired: &'a Desired) -> Self {
        let numbers = desired.budget.0.iter();
        Self {
            numbers: numbers
                .filter_map(|n| Some((n.name.as_str(), in_ms(&n.value, &n.unit)?)))
                .collect(),
            desired,
        }
    }

    /// A number of the budget; a test sees that each that is read here is there.
    pub fn of(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or_default()
    }

    /// How a balancer asks one of its sections: the budget's numbers, and what the section
    /// has otherwise.
    pub fn checks(&self, asked: &Asked) -> Checks {
        let own = |number: Option<u32>, name| number.map_or_else(|| self.of(name), u64::from);
        let checks = &asked.checks;
        Checks {
            every: own(checks.every, "check_every"),
            suspect: own(checks.suspect, "check_suspect"),
            timeout: own(checks.timeout, "check_timeout"),
            falls: own(checks.fall, "check_fall").saturating_sub(1),
        }
    }

    /// What the cluster is told of a component that it runs.
    pub fn primitive(&self, resource: &str) -> Option<&'a Primitive> {
        let mut all = self.desired.cib.resources.iter().map(Resource::primitive);
        all.find(|p| p.id == resource)
    }

    /// After which time at the latest the cluster has asked an instance, and how long it
    /// waits for the answer.
    fn monitor(&self, resource: &str) -> (u64, u64) {
        let operations = self.primitive(resource).into_iter().flat_map(|p| &p.operations);
        let times = operations.filter(|o| o.name == "monitor").map(|o| {
            let timeout = o.options.get("timeout").and_then(|t| with_unit(t, "s"));
            (
                with_unit(&o.interval, "s").unwrap_or_default(),
                timeout.unwrap_or_default(),
            )
        });
        times.max().unwrap_or_default()
    }

    /// Until an instance that ended is back on its host, usual and worst.
    pub fn again(&self, part: &DesiredPart) -> (Until, Until) {
        let (start, slow) = (self.of("start"), self.of("start_slow"));
        match part.run {
            UnitRun::Cluster => {
                let reported = self
                    .primitive(&part.resource)
                    .is_some_and(|p| p.agent == UNIT_AGENT);
                let every = if reported {
                    self.of("unit_ended")
                } else {
                    self.monitor(&part.resource).0
                };
                let decided = every + self.of("decide");
                (Until::Ms(every / 2 + start), Until::Ms(decided + slow))
            }
            UnitRun::Systemd => {
                let pause = self.of("restart");
                (Until::Ms(pause + start), Until::Ms(pause + slow))
            }
            UnitRun::Nobody => (Until::Repaired, Until::Repaired),
        }
    }

    /// Until what a worker that stands still was given goes to another.
    pub fn silent(&self, part: &DesiredPart) -> u64 {
        let gone = self.of("broker_gone");
        if matches!(part.watched, Watched::Connected(_)) {
            gone.min(self.of("broker_silent") + self.of("worker_look"))
        } else {
            gone
        }
    }

    /// Until somebody sees that an instance stands still, and it is back; with who sees it.
    pub fn noticed(&self, part: &DesiredPart) -> (Until, Until, String) {
        let (usual, worst) = self.again(part);
        if matches!(part.watched, Watched::Connected(_)) {
            let (said, lost) = (
                self.silent(part),
                self.of("broker_gone") + self.of("worker_alone"),
            );
            return (
                Until::Ms(said) + usual,
                Until::Ms(lost.max(said)) + worst,
                "it is ended when it sends nothing (broker_silent + worker_look), or has lost its connection (broker_gone + worker_alone)".to_owned(),
            );
        }
        if matches!(part.watched, Watched::Listens(_)) {
            let look = self.of("worker_look");
            return (
                Until::Ms(2 * look) + usual,
                Until::Ms(3 * look) + worst,
                "it is ended when it does not take a connection (worker_look, at worst three times)"
                    .to_owned(),
            );
        }
        let asked = self.primitive(&part.resource);
        if asked.is_some_and(|p| p.agent != UNIT_AGENT) {
            let (_, timeout) = self.monitor(&part.resource);
            return (
                Until::Ms(timeout) + usual,
                Until::Ms(timeout) + worst,
                "the cluster's question to it finds no answer (timeout of its monitor)".to_owned(),
            );
        }
        let nobody = "nobody asks it whether it stands still".to_owned();
        (Until::Repaired, Until::Repaired, nobody)
    }

    /// When a client that began at the fault is answered, where nobody takes its
    /// connection for a time: it asks again after a while, and then after twice that.
    pub fn asked_again(&self, after: u64) -> u64 {
        let first = self.of("connect_again").max(1);
        let mut at = first;
        while at < after {
            at = at * 2 + first;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use render::{CheckTimes, Counted};

    use super::*;

    #[test]
    fn times_are_milliseconds() {
        let check = |value, unit, expect| assert_eq!(in_ms(value, unit), expect, "{value} {unit}");
        check("1.5", "s", Some(1500));
        check("2200", "ms", Some(2200));
        check("2", "checks", Some(2));
        check("none", "s", None);
        let check = |text, without, expect| assert_eq!(with_unit(text, without), expect, "{text}");
        check("250ms", "ms", Some(250));
        check("500", "ms", Some(500));
        check("10", "s", Some(10_000));
        check("10m", "ms", Some(600_000));
        check("2h", "ms", None);
    }

    fn desired(numbers: &[(&str, &str, &str)]) -> Desired {
        let numbers = numbers.iter().map(|(name, value, unit)| Counted {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            unit: (*unit).to_owned(),
            from: String::new(),
            why: String::new(),
            readers: Vec::new(),
        });
        Desired {
            budget: (numbers.collect(), Vec::new()),
            ..Desired::default()
        }
    }

    #[test]
    fn a_client_asks_again_after_twice_the_time() {
        let desired = desired(&[("connect_again", "1", "s")]);
        let times = Times::new(&desired);
        let check = |after, expect| assert_eq!(times.asked_again(after), expect, "{after}");
        check(0, 1000);
        check(1000, 1000);
        check(1001, 3000);
        check(3550, 7000);
        check(7001, 15_000);
    }

    #[test]
    fn a_section_says_how_it_is_asked() {
        let desired = desired(&[
            ("check_every", "1000", "ms"),
            ("check_suspect", "250", "ms"),
            ("check_timeout", "800", "ms"),
            ("check_fall", "2", "checks"),
        ]);
        let times = Times::new(&desired);
        let check = |checks: CheckTimes, silent, refused| {
            let found = times.checks(&Asked {
                answers: true,
                single_writer: false,
                checks: checks.clone(),
                port: None,
            });
            assert_eq!((found.silent(), found.refused()), (silent, refused), "{checks:?}");
        };
        let of = |every, suspect, timeout, fall| CheckTimes {
            every,
            suspect,
            timeout,
            fall,
            ..CheckTimes::default()
        };
        check(CheckTimes::default(), 2850, 1250);
        check(of(None, None, Some(2000), None), 5250, 1250);
        check(of(Some(500), Some(200), None, Some(2)), 2300, 700);
        check(of(Some(5000), Some(1000), None, Some(3)), 9400, 7000);
    }
}
