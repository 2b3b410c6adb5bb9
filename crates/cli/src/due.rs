//! What is due of the work that needs the operator's vault, by what the vault and
//! the backups themselves say. No calendar is kept, so none can be lost; nothing is
//! done here.

use cloud::Upkeep;
use jiff::{SignedDuration, Timestamp};
use status::Problem;
use vault::{SecretString, Vault};

/// A certificate that ends within so many days is told in the verdict.
const SOON: u32 = 30;

/// Says in the vault that a change of it may not be on all hosts yet. It is saved
/// together with that change, so there is no moment at which only one of both is.
const UNFINISHED: &str = "upkeep/unfinished";

/// Work that recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// An earlier change of secrets was interrupted.
    Finish,
    /// Rings of keys are turned.
    Keys,
    /// Certificates are issued again.
    Certificates,
    /// The authority is replaced.
    Authority,
    /// A backup is made.
    Backup,
}

impl Work {
    /// For people.
    pub fn says(self) -> &'static str {
        match self {
            Self::Finish => "what was interrupted",
            Self::Keys => "keys",
            Self::Certificates => "certificates",
            Self::Authority => "authority",
            Self::Backup => "backup",
        }
    }
}

fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(count) * 24)
}

fn after(from: Timestamp, count: u32) -> Timestamp {
    from.checked_add(days(count)).unwrap_or(Timestamp::MAX)
}

/// Each kind of work and since (or from) when it is due, the soonest first. A cloud
/// that has none of a kind (no ring) does not name it.
///
/// `rings`: names of secrets, in the order in which they turn. `backup`: when the
/// newest was begun; without one it is due since the authority was made.
pub fn all(
    vault: &Vault,
    rings: &[Vec<String>],
    upkeep: &Upkeep,
    backup: Option<Timestamp>,
) -> Vec<(Work, Timestamp)> {
    let mut out = Vec::new();
    if let Some(since) = vault.created(UNFINISHED) {
        out.push((Work::Finish, since));
    }
    // The last of a ring is made anew at each turn.
    let turned = rings.iter().filter_map(|ring| vault.created(ring.last()?)).min();
    if let Some(turned) = turned {
        out.push((Work::Keys, after(turned, upkeep.keys_every)));
    }
    let authority = format!("{}.crt", crate::rotate::CA);
    let issued = vault.names().filter(|name| *name != authority);
    if let Some(at) = issued.filter_map(|name| vault.renewal(name)).min() {
        out.push((Work::Certificates, at));
    }
    if let Some(at) = vault.renewal(&authority) {
        out.push((Work::Authority, at));
    }
    let never = vault.created(&authority).unwrap_or(Timestamp::UNIX_EPOCH);
    out.push((
        Work::Backup,
        backup.map_or(never, |at| after(at, upkeep.backup.every)),
    ));
    out.sort_by_key(|(work, at)| (*at, *work));
    out
}

/// The same for a verdict: what is overdue or ends soon, and what is to be done within
/// [`SOON`] days. Keys and backups recur so often that they are told when they are late by
/// as much again.
pub fn told(
    vault: &Vault,
    rings: &[Vec<String>],
    upkeep: &Upkeep,
    backup: Option<Timestamp>,
    now: Timestamp,
) -> (Vec<Problem>, Vec<String>) {
    let (mut problems, mut remarks) = (ends(vault, now), Vec::new());
    let ending = !problems.is_empty();
    let day = |at: Timestamp| at.strftime("%Y-%m-%d");
    for (work, at) in all(vault, rings, upkeep, backup) {
        let late = match work {
            // It takes minutes.
            Work::Finish => at.checked_add(SignedDuration::from_hours(1)).unwrap_or(at),
            Work::Keys => after(at, upkeep.keys_every),
            // The first is due with the cloud itself.
            Work::Backup if backup.is_none() => after(at, 2 * upkeep.backup.every),
            Work::Backup => after(at, upkeep.backup.every),
            Work::Certificates | Work::Authority => {
                if at <= after(now, SOON) && !ending {
                    remarks.push(format!(
                        "{} are to be renewed by {}: `quorate upkeep` does it",
                        work.says(),
                        day(at)
                    ));
                }
                continue;
            }
        };
        if late <= now {
            let what = format!("{} are overdue since {}", work.says(), day(at));
            let what = match work {
                Work::Finish => format!("a change of secrets was interrupted on {}", day(at)),
                Work::Backup if backup.is_none() => "there is no backup".to_owned(),
                Work::Backup => format!("a backup is overdue since {}", day(at)),
                _ => what,
            };
            problems.push(Problem::Overdue { what });
        }
    }
    (problems, remarks)
}

/// Certificates that end within [`SOON`] days, the authority's own among them.
fn ends(vault: &Vault, now: Timestamp) -> Vec<Problem> {
    let all = vault
        .names()
        .filter_map(|name| Some((name, vault.expires(name)?)));
    let soon = all.filter(|(_, at)| *at <= after(now, SOON));
    soon.map(|(name, at)| Problem::Ends {
        what: format!("the certificate {name}"),
        on: at.strftime("%Y-%m-%d").to_string(),
        days: (at.as_second() - now.as_second()).div_euclid(86_400),
    })
    .collect()
}

/// Says that a change begins, or one that is under way goes on.
pub fn begin(vault: &mut Vault, now: Timestamp) -> Result<(), vault::Error> {
    if vault.get(UNFINISHED).is_some() {
        return Ok(());
    }
    vault.import(
        UNFINISHED,
        SecretString::from("a change of secrets is not on all hosts yet"),
        now,
    )
}

/// Says that it is on all hosts.
pub fn finished(vault: &mut Vault) {
    vault.remove(UNFINISHED);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud::BackupUpkeep;
    use vault::{SecretKind, SecretRequest};

    const EVERY: Upkeep = Upkeep {
        keys_every: 7,
        backup: BackupUpkeep {
            every: 1,
            keep: 14,
            to: None,
        },
    };

    fn at(day: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(day * 24)
    }

    fn vault() -> (tempfile::TempDir, Vault) {
        let (dir, mut vault) = crate::rotate::tests::empty();
        let ca = SecretKind::CaCert {
            common_name: "quorate test".to_owned(),
        };
        let leaf = SecretKind::Leaf {
            ca: crate::rotate::CA.to_owned(),
            common_name: "c1".to_owned(),
            names: Vec::new(),
            ips: Vec::new(),
            days: 825,
        };
        let requests = [
            SecretRequest::new(crate::rotate::CA, ca),
            SecretRequest::new("tls/c1", leaf),
        ];
        vault.ensure(&requests, at(0)).unwrap();
        for key in ["a/1", "a/2", "a/0"] {
            vault.import(key, SecretString::from(key), at(0)).unwrap();
        }
        (dir, vault)
    }

    fn rings() -> [Vec<String>; 1] {
        [["a/1", "a/2", "a/0"].map(str::to_owned).to_vec()]
    }

    #[test]
    fn the_vault_says_what_is_due() {
        let (_dir, mut vault) = vault();
        // A third of their time before they end: 825 and 3653 days.
        let (leaf, authority) = (
            (Work::Certificates, at(550)),
            (Work::Authority, at(3653) - days(3653) / 3),
        );
        assert_eq!(
            all(&vault, &rings(), &EVERY, None),
            [(Work::Backup, at(0)), (Work::Keys, at(7)), leaf, authority]
        );
        assert_eq!(
            all(&vault, &rings(), &EVERY, Some(at(9))),
            [(Work::Keys, at(7)), (Work::Backup, at(10)), leaf, authority]
        );
        begin(&mut vault, at(8)).unwrap();
        begin(&mut vault, at(9)).unwrap();
        crate::rotate::ring(&mut vault, &rings()[0]);
        vault.import("a/0", SecretString::from("new"), at(8)).unwrap();
        assert_eq!(
            all(&vault, &rings(), &EVERY, Some(at(9))),
            [
                (Work::Finish, at(8)),
                (Work::Backup, at(10)),
                (Work::Keys, at(15)),
                leaf,
                authority
            ]
        );
        finished(&mut vault);
        assert_eq!(
            all(&vault, &[], &EVERY, Some(at(9))),
            [(Work::Backup, at(10)), leaf, authority]
        );
    }

    #[test]
    fn what_is_late_or_ends_soon_is_told() {
        let (_dir, vault) = vault();
        let check = |day: i64, backup: Option<i64>, problems: &[&str], remarks: usize| {
            let (found, notes) = told(&vault, &rings(), &EVERY, backup.map(at), at(day));
            let texts: Vec<String> = found.iter().map(Problem::text).collect();
            assert_eq!(texts, problems, "day {day}");
            assert_eq!(notes.len(), remarks, "day {day}: {notes:?}");
        };
        check(0, None, &[], 0);
        check(1, None, &[], 0);
        check(2, None, &["there is no backup"], 0);
        check(8, Some(7), &[], 0);
        check(9, Some(7), &["a backup is overdue since 1970-01-09"], 0);
        check(13, Some(13), &[], 0);
        check(14, Some(14), &["keys are overdue since 1970-01-08"], 0);
        let keys = "keys are overdue since 1970-01-08";
        // Renewed from day 550 on, and at its end after day 825.
        check(519, Some(519), &[keys], 0);
        check(521, Some(521), &[keys], 1);
        check(790, Some(790), &[keys], 1);
        let ends = "the certificate tls/c1.crt ends on 1972-04-05, in 10 days";
        check(815, Some(815), &[ends, keys], 0);
        let ended = "the certificate tls/c1.crt ended on 1972-04-05";
        check(826, Some(826), &[ended, keys], 0);
    }
}
