//! A service's settings: each with its kind, default and reason, and the judgement of a
//! value that a cloud file gives.
//!
//! The kind is what files, findings, the schema and the first cloud file go by. Whether
//! values fit each other is `refuse` and the budget, not here.

use std::fmt;

use cloud::tree::Spanned;

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, at its key.
    pub name: Spanned<String>,
    /// Its value where nobody gives one.
    pub default: String,
    /// Its kind.
    pub kind: SettingKind,
    /// The reason for which somebody sets it.
    pub why: String,
}

/// The kind of a setting's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number from `least` to `most`, of a unit or none.
    Whole {
        /// The smallest that works.
        least: i64,
        /// The largest that works.
        most: i64,
        /// `ms`, `s`, `MB`; empty: a count.
        unit: String,
    },
    /// One of some words, each with its meaning.
    Word(Vec<(String, String)>),
    /// `true` or `false`.
    Switch,
    /// An IP address or a host's name.
    Address,
    /// An absolute path.
    Path,
    /// Letters, digits, `_`, `-` and `.`.
    Name,
    /// A URL.
    Url,
    /// A number of bytes with `M`, `G` or `T` and this behind it.
    Size(String),
    /// A number of `s`, `min`, `h`, `day`, `week`, `month` or `year`.
    Span,
    /// Several texts without a comma.
    List,
    /// A text on one line.
    Text,
}

/// The value that says that there is none, for a setting whose default it is.
pub const NONE: &str = "none";

/// The way in which a value does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Not of the kind.
    Kind,
    /// Below the least.
    Small,
    /// Above the most.
    Large,
}

/// Characters of a text that stands in files of lines and in programs alike.
fn all(text: &str, further: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || further.contains(c);
    !text.is_empty() && text.chars().all(fits)
}

fn starts(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A number without sign or leading zero, and what stands behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let number = digits.parse().ok().filter(|n| *n > 0)?;
    (!digits.starts_with('0')).then_some((number, rest))
}

impl SettingKind {
    /// Judges a value that is written as one text.
    pub fn judge(&self, text: &str) -> Result<(), Misfit> {
        let good = match self {
            Self::Whole { least, most, .. } => {
                let number: i64 = text.parse().map_err(|_| Misfit::Kind)?;
                if number < *least {
                    return Err(Misfit::Small);
                }
                if number > *most {
                    return Err(Misfit::Large);
                }
                true
            }
            Self::Word(words) => words.iter().any(|(word, _)| word == text),
            Self::Switch => ["true", "false"].contains(&text),
            Self::Address => {
                text.parse::<std::net::IpAddr>().is_ok()
                    || (all(text, "-.") && starts(text) && text.len() <= 253)
            }
            Self::Path => text.starts_with('/') && all(text, "/._-+@:,="),
            Self::Name => all(text, "_-.") && starts(text) && text.len() <= 255,
            Self::Url => {
                let rest = text.split_once("://").filter(|(scheme, _)| {
                    all(scheme, "+-.") && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                });
                rest.is_some_and(|(_, rest)| all(rest, "/._-~:@?&=%+,[]"))
            }
            Self::Size(ending) => number(text).is_some_and(|(_, rest)| {
                let unit = rest.strip_suffix(ending.as_str()).unwrap_or_default();
                ["M", "G", "T"].contains(&unit)
            }),
            Self::Span => number(text).is_some_and(|(_, unit)| {
                ["s", "min", "h", "day", "week", "month", "year"].contains(&unit.trim_end_matches('s'))
                    || unit == "s"
            }),
            Self::List | Self::Text => !text.is_empty() && !text.chars().any(diagnostic::is_control),
        };
        if good { Ok(()) } else { Err(Misfit::Kind) }
    }
}

/// Its values in words, for messages: "a whole number from 1 to 64".
impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { least, most, unit } => {
                write!(f, "a whole number from {least} to {most}")?;
                if unit.is_empty() {
                    Ok(())
                } else {
                    write!(f, " ({unit})")
                }
            }
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => {
                        write!(f, "{} or {last}", rest.join(", "))
                    }
                    _ => f.write_str(&words.concat()),
                }
            }
            Self::Switch => f.write_str("`true` or `false`"),
            Self::Address => f.write_str("an IP address or a host's name"),
            Self::Path => f.write_str("a path from the root, of letters, digits and `._-+@:,=`"),
            Self::Name => f.write_str("a name of letters, digits, `_`, `-` and `.`"),
            Self::Url => f.write_str("a URL, `SCHEME://HOST…`"),
            Self::Size(ending) => write!(f, "a size, such as `512M{ending}` or `4G{ending}`"),
            Self::Span => f.write_str("a time, such as `30day` or `12h`"),
            Self::List => f.write_str("a list, `[a, b]`"),
            Self::Text => f.write_str("text on one line"),
        }
    }
}

impl Setting {
    /// True if it may be without a value.
    pub fn is_optional(&self) -> bool {
        self.default == NONE
    }

    /// Judges a value of a cloud file.
    pub fn judge(&self, given: &cloud::Setting) -> Result<(), Misfit> {
        if let cloud::Setting::List(items) = given {
            let item = |item: &cloud::Setting| {
                let text = item.to_string();
                !text.contains(',') && self.kind.judge(&text).is_ok()
            };
            let good = self.kind == SettingKind::List && !items.is_empty() && items.iter().all(item);
            return if good { Ok(()) } else { Err(Misfit::Kind) };
        }
        self.judge_text(&given.to_string())
    }

    /// Judges a value of the catalogue.
    pub fn judge_text(&self, text: &str) -> Result<(), Misfit> {
        if self.is_optional() && text == NONE {
            return Ok(());
        }
        self.kind.judge(text)
    }

    /// Its values in words, `none` among them where it may be without one.
    pub fn wanted(&self) -> String {
        if self.is_optional() {
            format!("{}, or `{NONE}`", self.kind)
        } else {
            self.kind.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_takes_its_own_values_and_no_others() {
        let whole = SettingKind::Whole {
            least: 1,
            most: 64,
            unit: String::new(),
        };
        let cases: [(SettingKind, &[&str], &[&str]); 10] = [
            (
                whole,
                &["1", "64"],
                &["0", "65", "-1", "many", "2; x", "1.5", "", "0x2"],
            ),
            (
                SettingKind::Word(vec![("ceph".to_owned(), "a".to_owned())]),
                &["ceph"],
                &["Ceph", "", "ceph;"],
            ),
            (SettingKind::Switch, &["true", "false"], &["yes", "1", ""]),
            (
                SettingKind::Address,
                &["198.51.100.7", "2001:db8::1", "nfs.example.org"],
                &["a b", "-a", "a;b", "", "a\nroot_helper = sh", "$(id)"],
            ),
            (
                SettingKind::Path,
                &["/", "/srv/a-b.c"],
                &["srv", "", "/a b", "/$(id)", "/a'b", "/a\nb"],
            ),
            (
                SettingKind::Name,
                &["br-ex", "cinder_1.a"],
                &["", "-a", "a b", "a'b", "a\"b", "a/b"],
            ),
            (
                SettingKind::Url,
                &["etcd3+https://etcd.example.org:2379", "https://[2001:db8::1]/a"],
                &[
                    "etcd.example.org",
                    "https://",
                    "https://a b",
                    "https://a'b",
                    "https://$(id)",
                ],
            ),
            (
                SettingKind::Size("B".to_owned()),
                &["2GB", "512MB"],
                &["2G", "0GB", "GB", "2 GB", "02GB", "-2GB", "2B"],
            ),
            (
                SettingKind::Span,
                &["30day", "12h", "90s", "5min"],
                &["30", "day", "0day", "30 day x", "30d;"],
            ),
            (
                SettingKind::Text,
                &["soft,timeo=600", "a 'b' \"c\""],
                &["", "a\nb", "a\u{1b}[2J"],
            ),
        ];
        for (kind, good, bad) in cases {
            for text in good {
                assert_eq!(kind.judge(text), Ok(()), "{text:?} is {kind}");
            }
            for text in bad {
                assert!(kind.judge(text).is_err(), "{text:?} is not {kind}");
            }
        }
    }
}
