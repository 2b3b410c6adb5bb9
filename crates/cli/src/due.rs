//! What is due of the work that needs the operator's vault, by what the vault and
//! the backups themselves say. No calendar is kept, so none can be lost; nothing is
//! done here.

use cloud::Upkeep;
use jiff::{SignedDuration, Timestamp};
use vault::{SecretString, Vault};

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
}
