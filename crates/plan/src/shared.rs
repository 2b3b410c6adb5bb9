//! Files of which only keys are ours: what is asked of them, and what of ours is
//! otherwise. Nothing else of such a file is known here, so it cannot be changed.

use std::fmt::Write as _;

use ini::Key;
use wire::{FileFact, FileWrite, KeyFact, KeyQuery, Own};

use crate::Digest;
use crate::diff::shown;

/// Our keys in the order of the file, those that are to be gone without values.
fn ours(wanted: &[Key], absent: &[(String, String)]) -> Vec<Key> {
    let mut out = wanted.to_vec();
    out.extend(absent.iter().map(|(section, name)| Key {
        section: section.clone(),
        name: name.clone(),
        values: Vec::new(),
    }));
    out
}

/// What is asked of the file: our keys. The values of one whose own holds no secret may be told.
pub(crate) fn asked(wanted: &[Key], absent: &[(String, String)]) -> Vec<KeyQuery> {
    let ours = ours(wanted, absent).into_iter();
    ours.map(|key| KeyQuery {
        plain: !key.values.is_empty() && key.values.iter().all(|v| shown(v) == *v),
        section: key.section,
        name: key.name,
    })
    .collect()
}

/// Whether a file has the content that it should have, as far as it is ours.
pub fn is_as_wanted(file: &FileWrite, now: &FileFact, digest: Digest<'_>) -> bool {
    match &file.own {
        _ if file.directory => true,
        Own::File => now.digest == digest(&file.content),
        // By another digest than this: see `render::DesiredCure`.
        Own::Edit(_) => true,
        Own::Program => now.digest == wire::PROGRAM,
        Own::Keys { wanted, absent } => {
            now.link.is_none() && differs(wanted, absent, &now.keys, digest).is_empty()
        }
    }
}

/// Our keys that are otherwise, section by section; empty where all are as they should be.
pub(crate) fn differs(
    wanted: &[Key],
    absent: &[(String, String)],
    have: &[KeyFact],
    digest: Digest<'_>,
) -> String {
    let (mut out, mut section) = (String::new(), None);
    for key in ours(wanted, absent) {
        let now = have
            .iter()
            .find(|fact| fact.section == key.section && fact.name == key.name);
        let want: Vec<String> = key.values.iter().map(|v| digest(v.as_bytes())).collect();
        let values = now.map_or(&[][..], |now| now.values.as_slice());
        if values == want {
            continue;
        }
        if section.as_ref() != Some(&key.section) {
            let _ = writeln!(out, " [{}]", key.section);
            section = Some(key.section.clone());
        }
        for at in 0..values.len() {
            let told = now.and_then(|now| now.text.as_ref()?.get(at));
            let told = told.map_or("‹a value that is not shown›", String::as_str);
            let _ = writeln!(out, "-{} = {told}", key.name);
        }
        for value in &key.values {
            let _ = writeln!(out, "+{} = {}", key.name, shown(value));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_keys_are_told_and_secrets_are_not() {
        let digest = |content: &[u8]| String::from_utf8_lossy(content).replace("⟦secret:a/b⟧", "hush");
        let wanted = [
            ("a", "x", &["1"][..]),
            ("a", "url", &["db://⟦secret:a/b⟧@h"]),
            ("b", "many", &["1", "2"]),
        ]
        .map(|(section, name, values)| Key {
            section: section.to_owned(),
            name: name.to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        });
        let absent = [("b".to_owned(), "gone".to_owned())];
        let asked: Vec<(String, bool)> = asked(&wanted, &absent)
            .into_iter()
            .map(|k| (format!("{}.{}", k.section, k.name), k.plain))
            .collect();
        let expect = [
            ("a.x", true),
            ("a.url", false),
            ("b.many", true),
            ("b.gone", false),
        ];
        assert_eq!(asked, expect.map(|(k, plain)| (k.to_owned(), plain)));
        let check = |have: &[(&str, &str, &[&str], bool)], expect: &str| {
            let have: Vec<KeyFact> = have
                .iter()
                .map(|(section, name, values, plain)| {
                    let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
                    KeyFact {
                        section: (*section).to_owned(),
                        name: (*name).to_owned(),
                        text: plain.then(|| values.clone()),
                        values,
                    }
                })
                .collect();
            assert_eq!(differs(&wanted, &absent, &have, &digest), expect);
        };
        let url: (&str, &str, &[&str], bool) = ("a", "url", &["db://hush@h"], false);
        let many: (&str, &str, &[&str], bool) = ("b", "many", &["1", "2"], true);
        check(&[("a", "x", &["1"], true), url, many], "");
        check(
            &[("a", "x", &["2", "1"], true), url, many],
            " [a]\n-x = 2\n-x = 1\n+x = 1\n",
        );
        check(
            &[
                ("a", "url", &["db://other@h"], false),
                ("b", "gone", &["1"], false),
            ],
            " [a]\n+x = 1\n-url = ‹a value that is not shown›\n+url = db://‹secret›@h\n [b]\n+many = 1\n+many = 2\n-gone = ‹a value that is not shown›\n",
        );
    }
}
