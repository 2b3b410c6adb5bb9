//! The datagrams that observers send to each other: a head, rows of a table, and a code.
//!
//! Not the memory of what came, which is `peers`, and not who may send it.
//!
//! A word names the session of its receiver. A receiver that does not find its own there
//! takes nothing of it but the sender's session, to be named in its own words: what was
//! recorded in an earlier session of either says nothing, without any clock.

use serde::{Deserialize, Serialize};

use crate::key::{CODE, Key};

const MAGIC: [u8; 4] = *b"QHG\x01";
/// Bytes of rows in one datagram; with its head and code it crosses any link whole.
const ROOM: usize = 1_000;
/// Bytes that are received at once, for heads with the longest names.
pub const LONGEST: usize = 4_096;

/// Head of a datagram of gossip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word<'a> {
    /// Controller that sent it.
    pub from: &'a str,
    /// Controller that it was sent to.
    pub to: &'a str,
    /// Network that it was sent on.
    pub network: &'a str,
    /// Session of the sender: one of its observer's lives.
    pub session: [u8; 16],
    /// Session of the receiver as the sender knows it, zeros where it knows none.
    pub known: [u8; 16],
    /// Rises by one with each datagram of a session.
    pub sequence: u64,
    /// Longest time of the last 10 s in which the sender did not look, ms.
    pub late_ms: u64,
    /// Networks, and for how long the sender listens there, ms; `None`: it does not.
    #[serde(borrow)]
    pub listens: Vec<(&'a str, Option<u64>)>,
}

/// One VM host in a datagram of gossip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<'a> {
    /// Name of the host.
    pub host: &'a str,
    /// Boot and time since it, ms; `None`: it was never heard.
    pub boot: Option<([u8; 16], u64)>,
    /// Codes of [`crate::beat::Health`].
    pub health: [u8; 3],
    /// Networks that the host and the sender have.
    pub paths: Vec<Link>,
}

/// One network of a [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Place in [`Word::listens`].
    pub network: u8,
    /// Time since the last datagram.
    pub age: Age,
    /// Answer of the host's kernel and its age, ms; `None` where it was not asked.
    pub echo: Option<(bool, u64)>,
}

/// Time since the last datagram, as the sender knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Age {
    /// In ms.
    Known(u64),
    /// None came.
    Never,
    /// The sender did not listen for long enough.
    Unknown,
}

/// Rows in as few datagrams as they fit into; one without rows if there are none.
pub fn chunks<'a>(rows: impl Iterator<Item = Row<'a>>) -> Vec<Vec<u8>> {
    let mut chunks = vec![];
    let mut chunk = vec![];
    for row in rows {
        // Rows hold numbers and text only: there is nothing that postcard refuses.
        let Ok(bytes) = postcard::to_stdvec(&row) else {
            continue;
        };
        if !chunk.is_empty() && chunk.len() + bytes.len() > ROOM {
            chunks.push(std::mem::take(&mut chunk));
        }
        chunk.extend(bytes);
    }
    chunks.push(chunk);
    chunks
}

impl<'a> Word<'a> {
    /// The datagram of this head and rows, authenticated.
    pub fn write(&self, rows: &[u8], key: &Key) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        // As with rows. A datagram of no head is malformed, and so counts for nothing.
        out.extend(postcard::to_stdvec(self).unwrap_or_default());
        out.extend(rows);
        key.sign(&mut out);
        out
    }

    /// Head and rows of a datagram that may be forged; `None` when malformed.
    pub fn read(datagram: &'a [u8]) -> Option<(Self, Rows<'a>)> {
        let said = datagram.get(..datagram.len().checked_sub(CODE)?)?;
        let (word, rows) = postcard::take_from_bytes(said.strip_prefix(&MAGIC)?).ok()?;
        Some((word, Rows(rows)))
    }
}

/// Rows of a datagram, read one by one; they end where one is malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let (row, rest) = postcard::take_from_bytes(self.0).ok()?;
        self.0 = rest;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::KEY;

    fn word(names: &[String; 3]) -> Word<'_> {
        let [from, to, network] = names;
        Word {
            from,
            to,
            network,
            session: [1; 16],
            known: [2; 16],
            sequence: 3,
            late_ms: 4,
            listens: vec![(network, Some(5)), ("storage", None)],
        }
    }

    type Owned = (String, Option<([u8; 16], u64)>, [u8; 3], Vec<Link>);

    fn any_row() -> impl Strategy<Value = Owned> {
        let age = prop_oneof![
            any::<u64>().prop_map(Age::Known),
            Just(Age::Never),
            Just(Age::Unknown)
        ];
        let echo = any::<Option<(bool, u64)>>();
        let link = (any::<u8>(), age, echo).prop_map(|(network, age, echo)| Link { network, age, echo });
        let boot = any::<Option<([u8; 16], u64)>>();
        (
            "[a-z]{1,63}",
            boot,
            any::<[u8; 3]>(),
            prop::collection::vec(link, 0..4),
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            names in ["[a-z]{1,63}", "[a-z]{1,63}", "[a-z]{1,63}"],
            rows in prop::collection::vec(any_row(), 0..60),
        ) {
            let key = Key::new(&[1; KEY]);
            let rows: Vec<Row> = rows
                .iter()
                .map(|(host, boot, health, paths)| Row { host, boot: *boot, health: *health, paths: paths.clone() })
                .collect();
            let mut read = vec![];
            for chunk in chunks(rows.iter().cloned()) {
                let datagram = word(&names).write(&chunk, &key);
                prop_assert!(datagram.len() < LONGEST);
                prop_assert!(key.proven(&datagram).is_some());
                let (head, told) = Word::read(&datagram).unwrap();
                prop_assert_eq!(head, word(&names));
                read.extend(told.map(|r| (r.host.to_owned(), r.boot, r.health, r.paths)));
            }
            let expect: Vec<_> = rows.into_iter().map(|r| (r.host.to_owned(), r.boot, r.health, r.paths)).collect();
            prop_assert_eq!(read, expect);
        }

        #[test]
        fn garbage_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut datagram = MAGIC.to_vec();
            datagram.extend(&bytes);
            if let Some((_, rows)) = Word::read(&datagram) {
                prop_assert!(rows.count() <= bytes.len());
            }
            prop_assert!(Rows(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn a_word_without_rows_is_sent_too() {
        assert_eq!(chunks(std::iter::empty()), [Vec::<u8>::new()]);
    }
}
