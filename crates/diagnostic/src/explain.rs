//! What a finding means, at more length than the finding itself has room for.
//!
//! One table, `findings.md`: `quorate explain` prints from it and the reference
//! page is made of it. Not for what is wrong with a given file.

/// The table: a heading with the code, then its text.
const TABLE: &str = include_str!("findings.md");

/// A code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `area::what`.
    pub code: &'static str,
    /// One paragraph, on one line.
    pub text: &'static str,
}

/// All of them, in the order of their codes.
pub fn explanations() -> impl Iterator<Item = Explanation> {
    TABLE
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(code, text)| Explanation {
            code,
            text: text.trim(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_text_and_they_are_in_order() {
        let all: Vec<Explanation> = explanations().collect();
        assert!(all.len() > 80, "{}", all.len());
        for pair in all.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} is out of order", pair[1].code);
        }
        for one in all {
            assert!(one.text.len() > 30 && one.text.ends_with(['.', '?']), "{one:?}");
        }
    }
}
