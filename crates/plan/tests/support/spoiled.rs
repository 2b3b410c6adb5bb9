//! Ways in which hosts are not as they should be. Part of the tests of laws.

use super::*;

/// One way in which a host is not as it should be.
#[derive(Clone, Debug)]
pub enum Fault {
    FileChanged(usize),
    FileMissing(usize),
    FileMode(usize),
    FileUnknown(usize),
    PackageMissing(usize),
    UnitDisabled(usize),
    UnitDown(usize),
    Unmasked(usize),
    Sysctl(usize),
    ClusterDown,
    AnswerAbsent(usize),
    AnswerUnknown(usize),
    NoRows(usize),
    CibOld,
    Away(usize),
    Later(usize),
    Joined(usize),
    Corosync(usize),
    Bare,
    Unreachable,
    Election(usize),
}

pub fn fault() -> impl Strategy<Value = Fault> {
    let some = any::<prop::sample::Index>().prop_map(|i| i.index(10_000));
    (0..26_u8, some).prop_map(|(kind, i)| match kind {
        0 | 16 => Fault::FileChanged(i),
        1 => Fault::FileMissing(i),
        2 => Fault::FileMode(i),
        3 => Fault::FileUnknown(i),
        4 => Fault::PackageMissing(i),
        5 => Fault::UnitDisabled(i),
        6 => Fault::UnitDown(i),
        7 => Fault::Unmasked(i),
        8 => Fault::Sysctl(i),
        9 => Fault::ClusterDown,
        10 => Fault::AnswerAbsent(i),
        11 => Fault::AnswerUnknown(i),
        12 => Fault::NoRows(i),
        13 => Fault::CibOld,
        14 => Fault::Bare,
        17 | 18 => Fault::Away(i),
        19 | 20 => Fault::Later(i),
        21 => Fault::Joined(i),
        22 | 23 => Fault::Corosync(i),
        24 | 25 => Fault::Election(i),
        _ => Fault::Unreachable,
    })
}

fn pick<T>(map: &mut BTreeMap<String, T>, index: usize) -> Option<&mut T> {
    let len = map.len().max(1);
    map.values_mut().nth(index % len)
}

fn set<T>(map: &mut BTreeMap<String, T>, index: usize, value: T) {
    if let Some(slot) = pick(map, index) {
        *slot = value;
    }
}

pub fn spoil(desired: &Desired, observed: &mut Observed, host: usize, fault: &Fault) {
    let nodes: Vec<names::HostName> = desired.nodes.iter().map(|(n, _)| n.clone()).collect();
    let whole = observed
        .iter()
        .all(|(h, f)| !nodes.contains(h) || f.as_ref().is_ok_and(|f| f.cluster.known().is_some()));
    match fault {
        Fault::Away(i) if whole && observed.values().all(Result::is_ok) => {
            let vip = &desired.vips[i % desired.vips.len()].resource;
            return world::put(desired, observed, vip, &nodes[host % nodes.len()]);
        }
        Fault::Election(i) => {
            world::elect(observed);
            return world::vote(observed, [Some("Yes"), Some("No"), None][i % 3]);
        }
        Fault::Later(i) => return world::later(observed, i64::try_from(*i % 700).unwrap()),
        _ => {}
    }
    let (name, slot) = observed.get_index_mut(host % desired.hosts.len()).unwrap();
    let Ok(facts) = slot else { return };
    let masks = &desired.hosts[name].mask;
    match fault {
        Fault::FileChanged(i) => {
            if let Some(Fact::Known(file)) = pick(&mut facts.files, *i) {
                file.digest = "0".repeat(32);
                file.text = file.text.as_ref().map(|t| format!("{t}# by hand\n"));
            }
        }
        Fault::FileMissing(i) => {
            set(&mut facts.files, *i, Fact::Absent);
        }
        Fault::FileMode(i) => {
            if let Some(Fact::Known(file)) = pick(&mut facts.files, *i) {
                file.stat.mode ^= 0o002;
            }
        }
        Fault::FileUnknown(i) => {
            set(
                &mut facts.files,
                *i,
                Fact::Unknown("Input/output error".to_owned()),
            );
        }
        Fault::PackageMissing(i) => {
            set(&mut facts.packages, *i, Fact::Absent);
        }
        Fault::UnitDisabled(i) => {
            if let Some(Fact::Known(unit)) = pick(&mut facts.units, *i) {
                "disabled".clone_into(&mut unit.file);
            }
        }
        Fault::UnitDown(i) => {
            if let Some(Fact::Known(unit)) = pick(&mut facts.units, *i) {
                "failed".clone_into(&mut unit.active);
            }
        }
        Fault::Unmasked(i) => {
            if let Some(Fact::Known(unit)) = masks
                .get(i % masks.len().max(1))
                .and_then(|m| facts.units.get_mut(m))
            {
                "enabled".clone_into(&mut unit.file);
            }
        }
        Fault::Sysctl(i) => {
            set(&mut facts.sysctls, *i, Fact::Known("7".to_owned()));
        }
        Fault::ClusterDown => {
            facts.cluster = Fact::Absent;
            facts.cib = Fact::Absent;
        }
        Fault::AnswerAbsent(i) => {
            set(&mut facts.answers, *i, Fact::Absent);
        }
        Fault::AnswerUnknown(i) => {
            set(&mut facts.answers, *i, Fact::Unknown("timed out".to_owned()));
        }
        Fault::NoRows(i) => {
            if let Some(Fact::Known(Answer::Rows(rows))) = pick(&mut facts.answers, *i) {
                rows.clear();
            }
        }
        Fault::CibOld => {
            world::reconfigure(facts, |cib| {
                cib.replace("migration-threshold", "was-something-else")
                    .replace("\"60s\"", "\"61s\"")
            });
        }
        Fault::Joined(i) => {
            world::reconfigure(facts, |cib| {
                cib.replacen(
                    &world::LAST.to_string(),
                    &(world::LAST + i64::try_from(*i).unwrap()).to_string(),
                    1,
                )
            });
        }
        Fault::Away(_) | Fault::Later(_) | Fault::Election(_) => {}
        Fault::Corosync(i) => {
            if let Some(Fact::Known(Answer::Ran { stdout, .. })) = facts.answers.get_mut("corosync/running") {
                let lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
                let at = i % lines.len();
                let other = lines.iter().enumerate().map(|(n, l)| {
                    if n == at {
                        format!("{l}1\n")
                    } else {
                        format!("{l}\n")
                    }
                });
                *stdout = other.collect();
            }
        }
        Fault::Bare => *slot = Ok(world::bare(desired, name)),
        Fault::Unreachable => *slot = Err(format!("{name}: no route to host")),
    }
}
