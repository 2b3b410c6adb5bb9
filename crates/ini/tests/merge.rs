//! Some keys set among foreign lines: tables, and properties over texts of any shape.

use ini::{Key, keys, merge, values};
use proptest::prelude::*;

fn key(section: &str, name: &str, values: &[&str]) -> Key {
    Key {
        section: section.to_owned(),
        name: name.to_owned(),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    }
}

#[test]
fn keys_are_read_as_services_read_them() {
    let check = |text: &str, expect: &[Key]| assert_eq!(keys(text), expect, "{text}");
    check("", &[]);
    check(
        "[a]\nx=1\ny : 2 = 3\n",
        &[key("a", "x", &["1"]), key("a", "y", &["2 = 3"])],
    );
    check(
        "[a]\nx = 1\n[b]\nx = 2\n[A]\nx = 3",
        &[key("a", "x", &["1", "3"]), key("b", "x", &["2"])],
    );
    check(
        "[DEFAULT]\nx = 1\n[default]\nx = 2\n",
        &[key("DEFAULT", "x", &["1"]), key("default", "x", &["2"])],
    );
    check(
        "[a]\nx = one\n  two\n\n  three\n# x = 4\n;x = 5\n",
        &[key("a", "x", &["one\ntwo"])],
    );
    check("[a]\nx =\nno key\n = 1\n", &[key("a", "x", &[""])]);
    check(
        "x = 1\r\n[a]\r\ny = 2\r\n",
        &[key("", "x", &["1"]), key("a", "y", &["2"])],
    );
}

#[test]
fn keys_are_set_where_they_stand() {
    let check = |have: &str, want: &[Key], absent: &[(&str, &str)], expect: &str| {
        let absent: Vec<(String, String)> = absent
            .iter()
            .map(|(s, n)| ((*s).to_owned(), (*n).to_owned()))
            .collect();
        assert_eq!(merge(have, want, &absent), expect, "{have}");
    };
    let x = [key("a", "x", &["1"])];
    // As it is written, if it says the same.
    check("[A]\nx:1\n", &x, &[], "[A]\nx:1\n");
    check(
        "[a]\n# mine\nx = 2\ny = 3\n",
        &x,
        &[],
        "[a]\n# mine\nx = 1\ny = 3\n",
    );
    // The last would be taken for a single value, both for several.
    check(
        "[a]\nx = 2\ny = 3\n[b]\n[a]\nx = 1\n",
        &x,
        &[],
        "[a]\nx = 1\ny = 3\n[b]\n[a]\n",
    );
    check("[a]\nx = 2\n  more\ny = 3\n", &x, &[], "[a]\nx = 1\ny = 3\n");
    // Behind the last key of the section, before what is said of the next.
    check(
        "[a]\ny = 3\n\n# of b\n[b]\n",
        &x,
        &[],
        "[a]\ny = 3\nx = 1\n\n# of b\n[b]\n",
    );
    check("[b]\ny = 3", &x, &[], "[b]\ny = 3\n\n[a]\nx = 1\n");
    check("", &x, &[], "[a]\nx = 1\n");
    check("[a]\ny = 2", &x, &[], "[a]\ny = 2\nx = 1\n");
    check("[a]\ny = 2\n", &[], &[("a", "y"), ("a", "z")], "[a]\n");
    check(
        "[a]\nx = 1\n",
        &[key("a", "x", &["1", "2\n3", ""])],
        &[],
        "[a]\nx = 1\nx = 2\n    3\nx =\n",
    );
}

/// Names that a file and we may have both.
const NAMES: [&str; 4] = ["x", "y", "z", "other"];
const SECTIONS: [&str; 4] = ["DEFAULT", "a", "A", "b"];

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&SECTIONS[..]).prop_map(|s| format!("[{s}]")),
        (prop::sample::select(&NAMES[..]), "[a-c= :#]{0,4}").prop_map(|(n, v)| format!("{n} = {v}")),
        prop::sample::select(&NAMES[..]).prop_map(|n| format!("{n}:v")),
        Just(String::new()),
        Just("# said by somebody".to_owned()),
        Just("    goes on".to_owned()),
        Just("not to be understood".to_owned()),
        "[ -~]{0,8}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(line(), 0..24),
        prop::sample::select(&["\n", "\r\n"][..]),
        any::<bool>(),
    )
        .prop_map(|(lines, end, ended)| {
            let text = lines.join(end);
            if ended && !text.is_empty() {
                text + end
            } else {
                text
            }
        })
}

fn ours() -> impl Strategy<Value = (Vec<Key>, Vec<(String, String)>)> {
    let one = (
        prop::sample::select(&["DEFAULT", "a", "c"][..]),
        prop::sample::select(&["x", "y", "z"][..]),
        prop::collection::vec("([!-~]([ -~]{0,4}[!-~])?(\n[!-~]{1,3})?)?", 0..3),
    );
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let (mut want, mut absent): (Vec<Key>, Vec<(String, String)>) = (Vec::new(), Vec::new());
        for (section, name, values) in all {
            let known = |k: &Key| k.section == section && k.name == name;
            if want.iter().any(known) || absent.iter().any(|(s, n)| s == section && n == name) {
                continue;
            }
            if values.is_empty() {
                absent.push((section.to_owned(), name.to_owned()));
            } else {
                want.push(Key {
                    section: section.to_owned(),
                    name: name.to_owned(),
                    values,
                });
            }
        }
        (want, absent)
    })
}

fn is_ours(key: &Key, want: &[Key], absent: &[(String, String)]) -> bool {
    !values(want, &key.section, &key.name).is_empty()
        || absent.iter().any(|(s, n)| {
            *n == key.name && (*s == key.section || (s != "DEFAULT" && s.eq_ignore_ascii_case(&key.section)))
        })
}

proptest! {
    #[test]
    fn each_of_ours_reads_as_we_want_it(text in text(), (want, absent) in ours()) {
        let merged = keys(&merge(&text, &want, &absent));
        for key in &want {
            prop_assert_eq!(values(&merged, &key.section, &key.name), &key.values[..]);
        }
        for (section, name) in &absent {
            prop_assert!(values(&merged, section, name).is_empty());
        }
    }

    #[test]
    fn a_second_merge_changes_nothing(text in text(), (want, absent) in ours()) {
        let once = merge(&text, &want, &absent);
        prop_assert_eq!(merge(&once, &want, &absent), once);
    }

    #[test]
    fn foreign_keys_and_lines_stay(text in text(), (want, absent) in ours()) {
        let merged = merge(&text, &want, &absent);
        let foreign = |text: &str| -> Vec<Key> {
            keys(text).into_iter().filter(|k| !is_ours(k, &want, &absent)).collect()
        };
        prop_assert_eq!(foreign(&merged), foreign(&text));
        // What is neither a key's nor a header's line is there as before, in its order:
        // the text without our keys, with and without the merge.
        let ours: Vec<(String, String)> =
            want.iter().map(|k| (k.section.clone(), k.name.clone())).chain(absent.clone()).collect();
        let (bare, left) = (merge(&text, &[], &ours), merge(&merged, &[], &ours));
        let mut rest = left.split_inclusive('\n').map(str::trim_end);
        for line in bare.split_inclusive('\n').map(str::trim_end) {
            prop_assert!(rest.any(|l| l == line), "{:?} is gone from {:?}", line, merged);
        }
    }

    #[test]
    fn nothing_of_ours_changes_nothing(text in text()) {
        prop_assert_eq!(merge(&text, &[], &[]), text.clone());
        prop_assert_eq!(merge(&text, &keys(&text), &[]), text);
    }
}
