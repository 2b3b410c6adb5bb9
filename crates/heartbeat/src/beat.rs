//! The datagram of a VM host: its form, and its check in constant time.
//!
//! Not the judge of whether it counts: [`crate::table`] knows who may send what from where.
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `QHB` and the version, 1 |
//! | 1 | instance storage: 0 unknown, 1 none, 2 answers, 3 hangs, 4 fails |
//! | 1 | unit: 0 unknown, 1 none, 2 active, 3 inactive |
//! | 1 | crash dump: 0 unknown, 1 none, 2 armed, 3 under way |
//! | 1 | length of the host's name |
//! | 8 | sequence, by one more each round; it goes on after the sender's restart |
//! | 8 | time since boot, ms, suspended time included |
//! | 16 | boot id |
//! | 16 | address that it is sent to, IPv4 mapped into IPv6 |
//! | 1 | length of the network's name |
//! | | host, network |
//! | 32 | HMAC-SHA256 of all of this by the host's key |
//!
//! Numbers are in network order. The address binds it to one observer: recorded on its way to
//! one, it says nothing to another.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wire::Fact;

use crate::key::{CODE, Key};

const MAGIC: [u8; 4] = *b"QHB\x01";
/// Bytes of the longest datagram.
pub const LONGEST: usize = 57 + 2 * 255 + CODE;

/// State of the storage that instances lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// It answered within the limit.
    Answers,
    /// It has not answered for more than 3 s.
    Hangs,
    /// It answered with an error.
    Fails,
}

/// State of the unit that runs instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// systemd calls it active.
    Active,
    /// systemd calls it otherwise.
    Inactive,
}

/// State of the host's crash dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dump {
    /// A kernel for it is loaded.
    Armed,
    /// It is being written.
    UnderWay,
}

/// Health of a host by its own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The storage that instances lie on; `Absent`: none is configured.
    pub storage: Fact<Storage>,
    /// The unit that runs instances; `Absent`: systemd has none of the name.
    pub unit: Fact<Unit>,
    /// Its crash dump; `Absent`: none would be written.
    pub dump: Fact<Dump>,
}

/// Content of one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat<'a> {
    /// Name of the host that it claims to be of.
    pub host: &'a str,
    /// Network that it was sent on.
    pub network: &'a str,
    /// Address that it was sent to.
    pub to: IpAddr,
    /// Boot of the host.
    pub boot: [u8; 16],
    /// Round of the sender.
    pub sequence: u64,
    /// Time since the host's boot, ms.
    pub up_ms: u64,
    /// Health by the host's own account.
    pub health: Health,
}

impl<'a> Beat<'a> {
    /// The content of a datagram that may be forged; `None` when malformed.
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let said = datagram.get(..datagram.len().checked_sub(CODE)?)?;
        let (magic, rest) = said.split_first_chunk()?;
        let ([storage, unit, dump, host], rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (up, rest) = rest.split_first_chunk()?;
        let (boot, rest) = rest.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk::<16>()?;
        let (network, rest) = rest.split_first()?;
        let (host, rest) = rest.split_at_checked(usize::from(*host))?;
        if *magic != MAGIC || rest.len() != usize::from(*network) {
            return None;
        }
        Some(Self {
            host: str::from_utf8(host).ok()?,
            network: str::from_utf8(rest).ok()?,
            to: IpAddr::from(*to).to_canonical(),
            boot: *boot,
            sequence: u64::from_be_bytes(*sequence),
            up_ms: u64::from_be_bytes(*up),
            health: Health::read([*storage, *unit, *dump]),
        })
    }

    /// The datagram, authenticated; `None` when a name is longer than 255 bytes.
    pub fn write(&self, key: &Key) -> Option<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend(self.health.codes());
        out.push(u8::try_from(self.host.len()).ok()?);
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.up_ms.to_be_bytes());
        out.extend(self.boot);
        out.extend(mapped(self.to));
        out.push(u8::try_from(self.network.len()).ok()?);
        out.extend(self.host.as_bytes());
        out.extend(self.network.as_bytes());
        key.sign(&mut out);
        Some(out)
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn unknown<T>(code: u8) -> Fact<T> {
    Fact::Unknown(match code {
        0 => "the host does not know".to_owned(),
        _ => format!("the host says {code}, which is of another version"),
    })
}

impl Health {
    /// The health that codes of storage, unit and dump stand for.
    pub fn read([storage, unit, dump]: [u8; 3]) -> Self {
        Self {
            storage: match storage {
                1 => Fact::Absent,
                2 => Fact::Known(Storage::Answers),
                3 => Fact::Known(Storage::Hangs),
                4 => Fact::Known(Storage::Fails),
                other => unknown(other),
            },
            unit: match unit {
                1 => Fact::Absent,
                2 => Fact::Known(Unit::Active),
                3 => Fact::Known(Unit::Inactive),
                other => unknown(other),
            },
            dump: match dump {
                1 => Fact::Absent,
                2 => Fact::Known(Dump::Armed),
                3 => Fact::Known(Dump::UnderWay),
                other => unknown(other),
            },
        }
    }

    /// The codes of storage, unit and dump; 0 for what is unknown.
    pub fn codes(&self) -> [u8; 3] {
        let storage = match self.storage {
            Fact::Unknown(_) => 0,
            Fact::Absent => 1,
            Fact::Known(Storage::Answers) => 2,
            Fact::Known(Storage::Hangs) => 3,
            Fact::Known(Storage::Fails) => 4,
        };
        let unit = match self.unit {
            Fact::Unknown(_) => 0,
            Fact::Absent => 1,
            Fact::Known(Unit::Active) => 2,
            Fact::Known(Unit::Inactive) => 3,
        };
        let dump = match self.dump {
            Fact::Unknown(_) => 0,
            Fact::Absent => 1,
            Fact::Known(Dump::Armed) => 2,
            Fact::Known(Dump::UnderWay) => 3,
        };
        [storage, unit, dump]
    }

    /// The health of a host that has not told any, with the reason.
    pub fn unknown(why: &str) -> Self {
        Self {
            storage: Fact::Unknown(why.to_owned()),
            unit: Fact::Unknown(why.to_owned()),
            dump: Fact::Unknown(why.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::KEY;

    fn beat() -> Beat<'static> {
        Beat {
            host: "compute-1",
            network: "management",
            to: "198.51.100.7".parse().unwrap(),
            boot: [3; 16],
            sequence: 9,
            up_ms: 1_000,
            health: Health::read([2, 3, 1]),
        }
    }

    #[test]
    fn a_beat_is_of_this_form() {
        let datagram = beat().write(&Key::new(&[1; KEY])).unwrap();
        let (said, code) = datagram.split_at(datagram.len() - CODE);
        let mut expect = b"QHB\x01\x02\x03\x01\x09".to_vec();
        expect.extend([0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 3, 0xe8]);
        expect.extend([3; 16]);
        expect.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7]);
        expect.extend(b"\x0acompute-1management");
        assert_eq!((said, code.len()), (expect.as_slice(), 32));
    }

    #[test]
    fn codes_of_another_version_are_unknown() {
        let told = Health::read([9, 0, 2]);
        let unknown = "the host says 9, which is of another version";
        assert_eq!(told.storage, Fact::Unknown(unknown.to_owned()));
        assert_eq!(told.unit, Fact::Unknown("the host does not know".to_owned()));
        assert_eq!(told.codes(), [0, 0, 2]);
    }

    #[test]
    fn a_longer_name_than_255_bytes_is_not_written() {
        let key = Key::new(&[1; KEY]);
        for (length, expect) in [(255, true), (256, false)] {
            let name = "a".repeat(length);
            let written = Beat {
                host: &name,
                ..beat()
            }
            .write(&key);
            assert_eq!(written.is_some_and(|d| d.len() <= LONGEST), expect, "{length}");
        }
    }

    fn any_beat() -> impl Strategy<Value = (String, String, IpAddr, [u8; 16], u64, u64, [u8; 3])> {
        let address = prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from)
        ];
        (
            "\\PC{0,40}",
            "\\PC{0,40}",
            address,
            any::<[u8; 16]>(),
            any::<u64>(),
            any::<u64>(),
            [0_u8..5, 0_u8..4, 0_u8..4],
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read((host, network, to, boot, sequence, up_ms, codes) in any_beat()) {
            let health = Health::read(codes);
            let beat = Beat { host: &host, network: &network, to: to.to_canonical(), boot, sequence, up_ms, health };
            let key = Key::new(&[1; KEY]);
            let datagram = beat.write(&key).unwrap();
            prop_assert_eq!(Beat::read(&datagram), Some(beat));
            prop_assert!(key.proven(&datagram).is_some());
            prop_assert!(Key::new(&[2; KEY]).proven(&datagram).is_none());
        }

        /// Any bit that differs makes it a forgery, and what is cut off makes it malformed or one.
        #[test]
        fn no_other_datagram_is_proven(bit in 0_usize..8 * 108, cut in 0_usize..108) {
            let key = Key::new(&[1; KEY]);
            let mut datagram = beat().write(&key).unwrap();
            prop_assert_eq!(datagram.len(), 108);
            prop_assert!(key.proven(&datagram[..cut]).is_none());
            datagram[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key.proven(&datagram).is_none());
        }

        #[test]
        fn garbage_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
            let mut datagram = if magic { MAGIC.to_vec() } else { vec![] };
            datagram.extend(bytes);
            // Either malformed, or of exactly the length that it tells.
            if let Some(beat) = Beat::read(&datagram) {
                prop_assert_eq!(datagram.len(), 57 + beat.host.len() + beat.network.len() + CODE);
            }
        }
    }
}
