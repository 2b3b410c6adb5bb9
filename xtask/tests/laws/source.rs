//! As much of Rust's lexical structure as the laws need: what is comment, what
//! is text in quotes, what is compiled for tests only. Not a parser: it is run
//! on code that the compiler has taken.

use std::path::{Path, PathBuf};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Code,
    Text,
    Comment,
}

/// A source file, each character with its class.
pub struct Code(Vec<(char, Class)>);

impl Code {
    /// Classifies a file.
    pub fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
        let mut out = Vec::with_capacity(chars.len());
        let mut i = 0;
        while i < chars.len() {
            let (class, end) = match at(i) {
                '/' if at(i + 1) == '/' => (Class::Comment, line_end(&chars, i)),
                '/' if at(i + 1) == '*' => (Class::Comment, block_end(&chars, i)),
                '"' => (Class::Text, text_end(&chars, i, '"')),
                'r' if !word_before(&chars, i) && raw_hashes(&chars, i).is_some() => (
                    Class::Text,
                    raw_end(&chars, i, raw_hashes(&chars, i).unwrap_or(0)),
                ),
                // A character, not a lifetime: it closes after one, or after an escape.
                '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => (Class::Text, text_end(&chars, i, '\'')),
                _ => (Class::Code, i + 1),
            };
            out.extend((i..end.min(chars.len())).map(|j| (at(j), class)));
            i = end;
        }
        Self(out)
    }

    fn keep(&self, keep: impl Fn(usize, Class) -> bool) -> String {
        let blank = |(i, (c, class)): (usize, &(char, Class))| {
            if *c == '\n' || keep(i, *class) { *c } else { ' ' }
        };
        self.0.iter().enumerate().map(blank).collect()
    }

    /// The code alone, in its place.
    pub fn without_comments_and_strings(&self) -> String {
        self.keep(|_, class| class == Class::Code)
    }

    /// Code and texts in quotes, in their places, without items for tests.
    pub fn without_comments_and_tests(&self) -> String {
        let tests = self.test_items();
        self.keep(|i, class| class != Class::Comment && !tests.iter().any(|t| t.contains(&i)))
    }

    /// Files that a file declares as modules for tests.
    pub fn test_modules(&self, file: &Path) -> Vec<PathBuf> {
        let dir = file.parent().unwrap_or(Path::new(""));
        let own = match file.file_stem().and_then(|s| s.to_str()) {
            Some("lib" | "main" | "mod") | None => dir.to_owned(),
            Some(stem) => dir.join(stem),
        };
        let mut found = vec![];
        for item in self.test_items() {
            let text: String = self
                .0
                .iter()
                .skip(item.start)
                .take(item.len())
                .map(|(c, _)| *c)
                .collect();
            let Some(name) = text
                .trim_end()
                .strip_suffix(';')
                .and_then(|t| t.rsplit_once("mod "))
            else {
                continue;
            };
            let path = text
                .split_once("#[path")
                .and_then(|(_, rest)| rest.split('"').nth(1));
            match path {
                Some(path) => found.push(dir.join(path)),
                None => found.extend([
                    own.join(format!("{}.rs", name.1)),
                    own.join(name.1).join("mod.rs"),
                ]),
            }
        }
        found
    }

    /// Where items under `#[cfg(test)]` stand.
    fn test_items(&self) -> Vec<std::ops::Range<usize>> {
        let code: Vec<char> = self.without_comments_and_strings().chars().collect();
        let mark: Vec<char> = "#[cfg(test)]".chars().collect();
        let mut found: Vec<std::ops::Range<usize>> = vec![];
        let mut i = 0;
        while i + mark.len() <= code.len() {
            if code.get(i..i + mark.len()) == Some(mark.as_slice()) {
                let end = item_end(&code, i + mark.len());
                found.push(i..end);
                i = end;
            } else {
                i += 1;
            }
        }
        found
    }
}

/// After an attribute: to the `;` that ends the item, or to the brace that closes it.
fn item_end(code: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    for (i, c) in code.iter().enumerate().skip(from) {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *c == '}' {
                    return i + 1;
                }
            }
            ';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    code.len()
}

fn word_before(chars: &[char], i: usize) -> bool {
    // `br"…"` is as raw as `r"…"`.
    let before = |n: usize| {
        i.checked_sub(n)
            .and_then(|j| chars.get(j))
            .copied()
            .unwrap_or(' ')
    };
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let prefix = before(1) == 'b' && !word(before(2));
    word(before(1)) && !prefix
}

fn line_end(chars: &[char], from: usize) -> usize {
    (from..chars.len())
        .find(|i| chars.get(*i) == Some(&'\n'))
        .unwrap_or(chars.len())
}

fn block_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = from;
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
            (Some('*'), Some('/')) => {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn text_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut i = from + 1;
    while let Some(c) = chars.get(i) {
        if *c == '\\' {
            i += 1;
        } else if *c == quote {
            return i + 1;
        }
        i += 1;
    }
    chars.len()
}

/// The number of hashes of a raw text that begins here.
fn raw_hashes(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars.iter().skip(from + 1).take_while(|c| **c == '#').count();
    (chars.get(from + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let mut i = from + hashes + 2;
    while i < chars.len() {
        let closes = chars.get(i) == Some(&'"') && (1..=hashes).all(|n| chars.get(i + n) == Some(&'#'));
        if closes {
            return i + hashes + 1;
        }
        i += 1;
    }
    chars.len()
}

/// The words of a line of code.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
}

/// Whether a line names `word`, however written: `nova`, `nova_compute`,
/// `NovaApi`, `nova's`; not `innovation`, not `heated`.
pub fn names(line: &str, word: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.match_indices(word).any(|(start, _)| {
        let end = start + word.len();
        let first = line.get(start..).and_then(|l| l.chars().next()).unwrap_or(' ');
        let before = line
            .get(..start)
            .and_then(|l| l.chars().next_back())
            .unwrap_or(' ');
        let after = line.get(end..).and_then(|l| l.chars().next()).unwrap_or(' ');
        let begins = !before.is_alphabetic() || (first.is_uppercase() && before.is_lowercase());
        let ends = !after.is_lowercase() || word_of_daemon(line, end);
        begins && ends
    })
}

/// `mysqld`, `mariadbd`: the server of the name.
fn word_of_daemon(line: &str, end: usize) -> bool {
    let mut rest = line.get(end..).unwrap_or_default().chars();
    rest.next() == Some('d') && rest.next().is_none_or(|c| !c.is_lowercase())
}

mod tests {
    use super::*;

    #[test]
    fn comments_texts_and_tests_are_told_apart() {
        let code = Code::new(
            "let a = 'x'; // keystone\nlet b = \"// no comment\"; /* one /* two */ three */\nlet c = r#\"\"quoted\"\"#;\n\
             fn f<'a>(x: &'a str) {}\n#[cfg(test)]\nmod tests {\n fn g() { let s = \"}\"; }\n}\nfn h() {}\n",
        );
        let shown = code.without_comments_and_tests();
        assert!(!shown.contains("keystone"), "{shown}");
        assert!(shown.contains("// no comment"), "{shown}");
        assert!(!shown.contains("three"), "{shown}");
        assert!(!shown.contains("fn g"), "{shown}");
        assert!(shown.contains("fn h() {}"), "{shown}");
        let bare = code.without_comments_and_strings();
        assert!(!bare.contains("quoted"), "{bare}");
        assert!(bare.contains("fn f<'a>(x: &'a str) {}"), "{bare}");
    }

    #[test]
    fn test_modules_are_found() {
        let code = Code::new(
            "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod more;\nmod real;\n",
        );
        let found = code.test_modules(Path::new("src/a.rs"));
        assert_eq!(
            found,
            ["src/a_tests.rs", "src/a/more.rs", "src/a/more/mod.rs"].map(PathBuf::from)
        );
    }

    #[test]
    fn names_are_found_however_written() {
        for line in [
            "nova",
            "x.nova_compute()",
            "NovaApi",
            "openNova",
            "\"nova-api\"",
            "the nova's",
        ] {
            assert!(names(line, "nova"), "{line}");
        }
        for line in ["innovation", "novae", "casanova"] {
            assert!(!names(line, "nova"), "{line}");
        }
        assert!(names("/usr/sbin/mysqld", "mysql"));
        assert!(!names("redistribute", "redis"));
    }
}
