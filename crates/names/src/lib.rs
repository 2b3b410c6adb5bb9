//! Names as types: a host is not taken for a resource, nor either for any text.
//!
//! Names that an operator writes are made only by checking the text; those that the code
//! makes up of others (`text_type!`) are of any text. What a name refers to (is there such a
//! service?) is not known here. It depends on no other crate of ours, so that all can use it.

pub mod or_empty;
mod text;

/// What is wrong with a name, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    /// Words for under the caret.
    pub label: String,
    /// The cure.
    pub help: String,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:expr) => {
        $crate::text_type! {
            $(#[$doc])*
            $type
        }

        impl $type {
            /// The name, if it is one.
            pub fn new(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> Result<(), BadName> = $check;
                check(text).map(|()| Self(text.into()))
            }
        }

        /// A name that is read is checked again.
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                Self::new(&text).map_err(|bad| serde::de::Error::custom(format!("{text:?}: {}", bad.label)))
            }
        }
    };
}

name! {
    /// The cloud's name: it names directories, lab interfaces and the cluster.
    ///
    /// At most 15 characters: with a dash and 16 digits of the cloud's id it makes
    /// 32, the most that cluster group names may have, and 15 is the most that
    /// Linux allows for an interface.
    CloudName, |text| word(text, 15)
}

name! {
    /// A host's short name: an RFC 1123 label in lower case, as `hostname` says it.
    ///
    /// Without a domain, since cluster members and broker nodes are known by the
    /// short name, and in lower case, since not all of them ignore case.
    HostName, |text| word_from(text, 63, true).and_then(|()| of_itself(text))
}

name! {
    /// A service's name: a folder of the catalogue.
    ServiceName, |text| word(text, 63)
}

name! {
    /// A network's name.
    NetworkName, |text| word(text, 63)
}

text_type! {
    /// The id of a resource of the cluster, a primitive's or its clone's. Where systemd runs the
    /// component instead, the name that it would have: balancers and plans know it by that.
    ResourceId of any text
}

impl NetworkName {
    /// The network that every host is in and that carries everything unless
    /// told otherwise.
    pub const MANAGEMENT: &str = "management";

    /// [`NetworkName::MANAGEMENT`] as a name.
    pub fn management() -> Self {
        Self(Self::MANAGEMENT.into())
    }
}

/// Names that `/etc/hosts` gives to every host itself: another would then be reached there.
const OF_ITSELF: [&str; 7] = [
    "localhost",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-allnodes",
    "ip6-allrouters",
];

fn of_itself(text: &str) -> Result<(), BadName> {
    if OF_ITSELF.contains(&text) {
        return Err(BadName {
            label: "every host's name for itself".to_owned(),
            help: "each host would take the others for itself: give it a name of its own".to_owned(),
        });
    }
    Ok(())
}

fn word(text: &str, most: usize) -> Result<(), BadName> {
    word_from(text, most, false)
}

/// Lower case, digits, dashes inside; `digit`: may start with a digit.
fn word_from(text: &str, most: usize, digit: bool) -> Result<(), BadName> {
    let lower = text.to_lowercase();
    let bad = |label: &str, help: &str| {
        Err(BadName {
            label: label.to_owned(),
            help: help.to_owned(),
        })
    };
    if text.len() > most {
        let label = format!("{} characters", text.chars().count());
        return Err(BadName {
            label,
            help: format!("use at most {most} characters"),
        });
    }
    if lower != text {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let near = lower.replace(|c| !fits(c), "-");
        return Err(BadName {
            label: "has capitals".to_owned(),
            help: format!("write `{}`", near.trim_matches('-')),
        });
    }
    if text.contains('.') && digit {
        let short = text.split('.').next().unwrap_or_default();
        return Err(BadName {
            label: "has a domain".to_owned(),
            help: format!("write the short name, `{short}`; addresses are given by `address`"),
        });
    }
    if let Some(c) = text
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
    {
        return bad(
            &format!("`{c}` is not allowed"),
            "use lower-case letters, digits and dashes",
        );
    }
    if text.starts_with('-') || text.ends_with('-') {
        return bad("has a dash at its end", "start and end with a letter or digit");
    }
    if !digit && !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return bad("does not start with a letter", "start with a letter");
    }
    if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) {
        return bad(
            "is a number",
            "a name of digits only is taken for an address: add a letter",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn a_name_is_asked_and_written_as_its_text() {
        let host = HostName::new("c1").unwrap();
        assert!(HashMap::from([(host.clone(), 1)]).contains_key("c1"));
        assert!(BTreeMap::from([(host.clone(), 1)]).contains_key("c1"));
        let text = String::from("c1");
        assert_eq!(host, *"c1");
        assert_eq!("c1", host);
        assert_eq!(host, text);
        assert_eq!(text, host);
        assert_eq!(serde_json::to_string(&host).unwrap(), "\"c1\"");
        assert_eq!(format!("{host:?} {host:>4}"), "\"c1\"   c1");
        assert_eq!([host.clone(), host].join(" "), "c1 c1");
    }

    #[test]
    fn what_is_read_is_checked() {
        let read = |text: &str| serde_json::from_str::<HostName>(text);
        assert_eq!(read("\"c1\"").unwrap(), "c1");
        let why = read("\"C1\"").unwrap_err().to_string();
        assert!(why.starts_with("\"C1\": has capitals"), "{why}");
        assert!(read("\"\"").is_err());
    }
}
