//! Lines of an INI file, made only where a reader gets back just what was meant.
//!
//! Readers differ: oslo.config's, Python's `configparser`, MariaDB's, systemd's. What any
//! of them would take for another line, another key or another section is unfit.

use std::fmt;

/// The reason why a name or value cannot stand in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It holds this character.
    Holds(char),
    /// It begins with this character.
    Begins(char),
    /// White space at an end, which readers take away.
    Spaces,
    /// Nothing.
    Empty,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds('\n' | '\r') => f.write_str("has more than one line"),
            Self::Holds(c) if c.is_control() => write!(f, "holds the character U+{:04X}", u32::from(*c)),
            Self::Holds(c) => write!(f, "holds `{c}`"),
            Self::Begins(c) => write!(f, "begins with `{c}`"),
            Self::Spaces => f.write_str("has a space at an end"),
            Self::Empty => f.write_str("is empty"),
        }
    }
}

fn name(text: &str, not_within: &[char]) -> Result<(), Unfit> {
    if text.is_empty() {
        return Err(Unfit::Empty);
    }
    if let Some(c) = text.chars().find(|c| c.is_control() || not_within.contains(c)) {
        return Err(Unfit::Holds(c));
    }
    if text.trim() != text {
        return Err(Unfit::Spaces);
    }
    Ok(())
}

/// True if a text can be a section's name.
pub fn is_section(text: &str) -> Result<(), Unfit> {
    name(text, &['[', ']'])
}

/// True if a text can be a key. Its first character tells a reader that the line is one.
pub fn is_key(text: &str) -> Result<(), Unfit> {
    name(text, &['=', ':'])?;
    match text.chars().next() {
        Some(c) if c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '*') => Ok(()),
        Some(c) => Err(Unfit::Begins(c)),
        None => Err(Unfit::Empty),
    }
}

/// The line that begins a section.
pub fn header(section: &str) -> Result<String, Unfit> {
    is_section(section)?;
    Ok(format!("[{section}]\n"))
}

/// A key's line.
pub fn line(key: &str, value: &str) -> Result<String, Unfit> {
    is_key(key)?;
    if let Some(c) = value.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(Unfit::Holds(c));
    }
    Ok(format!("{key} = {value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_another_line_is_not_made() {
        for value in [
            "true\n[token]\nprovider = uuid",
            "a\r[b]",
            "a\u{85}b",
            "\u{1b}[2J",
        ] {
            assert!(line("debug", value).is_err(), "{value:?}");
        }
        for key in [
            "provider = x",
            "a:b",
            "[token]",
            "#a",
            ";a",
            "!include /etc/x",
            "",
            " a",
            "a\nb",
            "@a",
        ] {
            assert!(line(key, "x").is_err(), "{key:?}");
        }
        for section in ["a]\n[b", "a]", "[a", "", " a"] {
            assert!(header(section).is_err(), "{section:?}");
        }
        assert_eq!(line("/v3", "a = b # [c]").as_deref(), Ok("/v3 = a = b # [c]\n"));
        assert_eq!(header("filter:cache").as_deref(), Ok("[filter:cache]\n"));
    }
}
