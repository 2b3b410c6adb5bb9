//! What becomes of hash rings: the ring that hosts have is read from them, and the
//! next one follows from it (`hashring`). All hosts get the same bytes, and a ring
//! that is as it should be stays as it is written, whoever wrote it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engines::Refusal;
use hashring::{Fault, Next, Ring, Wanted};
use indexmap::IndexMap;
use render::{Desired, DesiredFile};
use wire::{Answer, Fact, Facts, NamedQuery, Query};

use crate::Observed;
use crate::refuse::refuse;

/// What became of them.
#[derive(Default)]
pub(crate) struct Rings {
    /// Contents by path, where they are not the first ring's.
    pub(crate) files: IndexMap<String, Vec<u8>>,
    /// What a change of one moves, by path.
    pub(crate) changes: IndexMap<String, String>,
    /// What is told besides.
    pub(crate) explain: Vec<String>,
}

/// The name of a ring's answer.
fn name(path: &str) -> String {
    format!("ring/{path}")
}

/// Asks for a ring's file. It is no text, and small: 8 KiB for a thousand parts.
pub(crate) fn query(path: &str) -> NamedQuery {
    let argv = ["base64", "-w0", path].map(str::to_owned).to_vec();
    NamedQuery {
        name: name(path),
        query: Query::Run {
            argv,
            timeout_ms: 5000,
        },
    }
}

/// The file as a host has it, and what it says.
fn read(facts: &Facts, path: &str) -> Result<(Ring, Vec<u8>), String> {
    match facts.answers.get(&name(path)) {
        Some(Fact::Known(Answer::Ran {
            status: 0, stdout, ..
        })) => {
            let file = BASE64_STANDARD.decode(stdout.trim()).map_err(|e| e.to_string())?;
            let ring = Ring::decode(&file).map_err(|e| e.to_string())?;
            Ok((ring, file))
        }
        Some(Fact::Known(Answer::Ran { stderr, .. })) => Err(stderr.trim().to_owned()),
        Some(Fact::Unknown(why)) => Err(why.clone()),
        _ => Err("it was not read".to_owned()),
    }
}

/// Every ring of the cloud after what was seen of it, and the reasons against that.
pub(crate) fn rings(desired: &Desired, observed: &Observed) -> (Rings, Vec<Refusal>) {
    let mut out = Rings::default();
    let mut reasons = Vec::new();
    let clock = observed
        .values()
        .flatten()
        .map(|f| f.clock)
        .max()
        .unwrap_or_default();
    let mut wanted: IndexMap<&str, (&Wanted, Vec<&str>)> = IndexMap::new();
    for (host, has) in &desired.hosts {
        for file in &has.files {
            if let Some(ring) = &file.ring {
                let (_, hosts) = wanted.entry(&file.write.path).or_insert((ring, Vec::new()));
                hosts.push(host);
            }
        }
    }
    for (path, (wanted, hosts)) in wanted {
        let mut newest: Option<(Ring, Vec<u8>)> = None;
        let seen = hosts
            .iter()
            .filter_map(|h| Some((h, observed.get(*h)?.as_ref().ok()?)));
        for (host, facts) in seen {
            if !matches!(facts.files.get(path), Some(Fact::Known(_))) {
                continue;
            }
            match read(facts, path) {
                // Of two of one age the first host's: both can be followed, but only one.
                Ok(read) if newest.as_ref().is_none_or(|(n, _)| n.version < read.0.version) => {
                    newest = Some(read);
                }
                Ok(_) => {}
                Err(why) => reasons.push(refuse(
                    "ring::unreadable",
                    format!("{host}: {path} cannot be read: {why}"),
                    "it is not written over unseen, since it says where the data are: put that of another \
                     host in its place, or take it away if another host has it",
                )),
            }
        }
        // Nobody has one: it is the first.
        let Some((ring, file)) = newest else { continue };
        match ring.next(wanted, clock) {
            Ok(Next::Same) => {
                out.files.insert(path.to_owned(), file);
            }
            Ok(Next::Later { moves, hour }) => {
                let hour = i64::try_from(hour).unwrap_or(i64::MAX);
                let minutes = (hour.saturating_mul(3600) - clock) / 60 + 1;
                out.explain.push(format!(
                    "{path}: {moves} replicas are still to move; what was moved before has its time to arrive, \
                     so run this again in {minutes} minutes"
                ));
                out.files.insert(path.to_owned(), file);
            }
            Ok(Next::Change { ring, moves }) => match ring.encode() {
                Ok(file) => {
                    let all = ring.rows.iter().map(Vec::len).sum::<usize>();
                    out.changes.insert(
                        path.to_owned(),
                        format!("{moves} of {all} replicas are kept by another device"),
                    );
                    out.files.insert(path.to_owned(), file);
                }
                Err(error) => reasons.push(refuse("ring::unreadable", error.to_string(), "report this")),
            },
            Err(fault) => reasons.push(refused(path, &fault)),
        }
    }
    (out, reasons)
}

fn refused(path: &str, fault: &Fault) -> Refusal {
    match fault {
        Fault::Loses { parts, devices } => refuse(
            "ring::loses-replicas",
            format!(
                "{path}: {} have several replicas of {parts} parts, or the only one, and are all to go at once",
                devices.join(", ")
            ),
            "take away one of them at a time, and the next when the replicators have brought back what it \
             had: let the others stay in the cloud file until then",
        ),
        Fault::Parts { is, wanted } => refuse(
            "ring::other-parts",
            format!("{path} has 2^{is} parts, and 2^{wanted} are wanted"),
            "the number of parts is for ever: set it back to what it was",
        ),
        Fault::FewDevices { devices, replicas } => refuse(
            "ring::few-devices",
            format!("{path}: {replicas} replicas have no room on {devices} devices"),
            "add devices or hosts",
        ),
    }
}

impl Rings {
    /// The file as it is to be on the hosts.
    pub(crate) fn content<'a>(&'a self, file: &'a DesiredFile) -> &'a [u8] {
        let own = self.files.get(&file.write.path).map(Vec::as_slice);
        own.unwrap_or(&file.write.content)
    }
}
