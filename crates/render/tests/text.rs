//! Texts of the operator stay where they were put: whatever a cloud file says, what is
//! accepted adds to a file of keys only what was asked for, and is one word to a shell.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use catalog::Catalog;
use diagnostic::{Diagnostic, Source};
use model::Model;
use proptest::prelude::*;
use render::Desired;

/// A service whose text stands in a program of each kind.
const WORDS: [(&str, &str); 6] = [
    (
        "openstack/words/service.yaml",
        "name: words\nsummary: Words\nneeds: [haproxy, keystone]\nsettings: { word: { is: none, kind: text, why: a word } }\nfiles:\n  \
         - { from: words.sh.j2, to: /etc/words.sh, on: api }\n  - { from: words.json.j2, to: /etc/words.json, on: api }\n  \
         - { from: words.conf.yaml, to: /etc/words.conf, on: api }\n  - { from: words.py.j2, to: /etc/words.py, on: api }\n  \
         - { from: words.sql.j2, to: /etc/words.sql, on: api }\n",
    ),
    (
        "openstack/words/words.py.j2",
        "import sys\nword = {{ settings.word | python }}\nsys.stdout.buffer.write(word.encode())\n",
    ),
    ("openstack/words/words.sql.j2", "{{ settings.word | sql }}"),
    (
        "openstack/words/words.sh.j2",
        "word={{ settings.word | sh }}\nprintf %s \"$word\"\n",
    ),
    (
        "openstack/words/words.json.j2",
        "{ \"word\": {{ settings.word | json }} }\n",
    ),
    (
        "openstack/words/words.conf.yaml",
        "a: { word: \"{{ settings.word }}\", fixed: { value: \"1\", own: it is fixed } }\nb: { last: \"2\" }\n",
    ),
];

const HEAD: &str = "cloud: demo\nrelease: \"2025.1\"\nhosts: { c1: { role: controller, address: 198.18.0.11 } }\n\
                    vips: { pool: 198.18.0.100-198.18.0.119 }\nservices: [keystone, words]\n";

/// A text as YAML has it between quotes: as JSON has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Rendered files of a cloud file; `None` where it is refused.
fn rendered(end: &str) -> Option<Desired> {
    rendered_of(&format!("{HEAD}{end}\n"))
}

fn rendered_of(text: &str) -> Option<Desired> {
    let source = Source::new("cloud.yaml", text.to_owned());
    let (cloud, findings) = cloud::parse(&source);
    let wrong = |findings: &[Diagnostic]| findings.iter().any(Diagnostic::is_error);
    let cloud = cloud.filter(|_| !wrong(&findings))?;
    let (model, findings) = Model::resolve(&cloud, &source, &CATALOG);
    let model = model.filter(|_| !wrong(&findings))?;
    let (desired, findings) = render::render(&model);
    (!wrong(&findings)).then_some(desired)
}

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
    let mut files = catalog::embedded();
    for (path, text) in WORDS {
        files.insert(path.to_owned(), text.to_owned());
    }
    let (catalog, findings) = Catalog::load(files);
    assert!(findings.is_empty(), "{}", diagnostic::draw(&findings, false, 100));
    Arc::new(catalog)
});

fn file(desired: &Desired, path: &str) -> String {
    let file = desired.hosts["c1"].files.iter().find(|f| f.write.path == path);
    String::from_utf8(file.unwrap().write.content.to_vec()).unwrap()
}

/// Sections and keys of every file of keys that a cloud has, with the values.
fn keys(desired: &Desired, path: &str) -> BTreeMap<(String, String), Vec<String>> {
    let keys = ini::keys(&file(desired, path));
    keys.into_iter()
        .map(|k| ((k.section, k.name), k.values))
        .collect()
}

/// Text that stands before and behind as often as letters do in files of lines and in programs.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        3 => "[a-zA-Z0-9 _.:/-]{1,6}",
        1 => Just("\n[b]\nlast = 3".to_owned()),
        1 => Just("\r".to_owned()),
        1 => Just("\u{85}x = y".to_owned()),
        1 => Just("'; id; '".to_owned()),
        1 => Just("$(id)`id`".to_owned()),
        1 => Just("\"\\".to_owned()),
        1 => Just("]=[".to_owned()),
        1 => Just("{{ secret('cookie') }}".to_owned()),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(pieces, 1..4).prop_map(|p| p.concat())
}

/// The value of the literal with which a text begins as MariaDB reads it, and the rest.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('\'')?.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                out.push('\'');
            }
            '\'' => return Some((out, &text[at + 2..])),
            '\\' => match chars.next()?.1 {
                '0' => out.push('\0'),
                'b' => out.push('\u{8}'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'Z' => out.push('\u{1a}'),
                wild @ ('%' | '_') => out.extend(['\\', wild]),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

/// Places of a cloud file whose words reach the balancers, and a good word of each.
const BALANCED: [(&str, &str); 6] = [
    ("connections", "4000"),
    ("per-client", "70"),
    ("brake", "50"),
    ("client-timeout", "90"),
    ("host", "c9"),
    ("address", "198.18.0.12"),
];

/// The balancers' file where one word of the cloud file is another.
fn balanced(place: &str, word: &str) -> Option<String> {
    let (mut host, mut address, mut settings) = ("c1".to_owned(), "198.18.0.11".to_owned(), String::new());
    match place {
        "host" => host = quoted(word),
        "address" => address = quoted(word),
        // As numbers are written, and as texts.
        _ if word.bytes().all(|b| b.is_ascii_digit()) => settings = format!("{place}: {word}"),
        _ => settings = format!("{place}: {}", quoted(word)),
    }
    let text = format!(
        "cloud: demo\nrelease: \"2025.1\"\nhosts: {{ {host}: {{ role: controller, address: {address} }} }}\n\
         vips: {{ pool: 198.18.0.100-198.18.0.119 }}\nservices: [keystone]\n\
         settings: {{ haproxy: {{ {settings} }} }}\n"
    );
    let desired = rendered_of(&text)?;
    let files = &desired.hosts.first()?.1.files;
    let file = files
        .iter()
        .find(|f| f.write.path == "/etc/haproxy/haproxy.cfg")?;
    String::from_utf8(file.write.content.to_vec()).ok()
}

/// Words of each line, and characters that mean something to HAProxy.
fn skeleton(text: &str) -> (Vec<usize>, usize) {
    let lines = text.split('\n').map(|line| line.split_whitespace().count());
    (
        lines.collect(),
        text.matches(['"', '\'', '\\', '$', '#', '{', '}']).count(),
    )
}

#[test]
fn words_reach_the_balancers() {
    let plain = balanced("connections", "8000").unwrap();
    for (place, word) in BALANCED {
        let other = balanced(place, word).unwrap();
        assert_ne!(other, plain, "{place} reaches no balancer");
        assert_eq!(skeleton(&other), skeleton(&plain), "{place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_override_adds_its_own_key_and_no_other(section in text(), key in text(), value in text(), named in any::<bool>()) {
        let before = keys(&rendered("").unwrap(), "/etc/words.conf");
        // As often as not a place that is good, or else little is ever accepted.
        let (section, key) = if named { ("a".to_owned(), "more".to_owned()) } else { (section, key) };
        let end = format!(
            "config: {{ /etc/words.conf: {{ {}: {{ {}: {} }} }} }}", quoted(&section), quoted(&key), quoted(&value)
        );
        let Some(desired) = rendered(&end) else { return Ok(()) };
        let after = keys(&desired, "/etc/words.conf");
        prop_assert_eq!(&after[&("a".to_owned(), "fixed".to_owned())], &["1".to_owned()]);
        let mut expected = before;
        expected.insert((section, key), vec![value.trim().to_owned()]);
        prop_assert_eq!(after, expected);
    }

    #[test]
    fn a_setting_is_one_value_wherever_it_stands(word in text()) {
        let before = keys(&rendered("").unwrap(), "/etc/words.conf");
        let end = format!("settings: {{ words: {{ word: {} }} }}", quoted(&word));
        let Some(desired) = rendered(&end) else { return Ok(()) };
        let mut expected = before;
        expected.insert(("a".to_owned(), "word".to_owned()), vec![word.trim().to_owned()]);
        prop_assert_eq!(keys(&desired, "/etc/words.conf"), expected);
        let json: serde_json::Value = serde_json::from_str(&file(&desired, "/etc/words.json")).unwrap();
        prop_assert_eq!(json["word"].as_str(), Some(word.as_str()));
        let shell = Command::new("sh").arg("-c").arg(file(&desired, "/etc/words.sh")).output().unwrap();
        prop_assert!(shell.status.success(), "{:?}", shell);
        prop_assert_eq!(String::from_utf8(shell.stdout).unwrap(), word);
    }

    #[test]
    fn a_text_is_one_literal_of_python_and_sql(word in text()) {
        let end = format!("settings: {{ words: {{ word: {} }} }}", quoted(&word));
        let Some(desired) = rendered(&end) else { return Ok(()) };
        let python = Command::new("python3").arg("-c").arg(file(&desired, "/etc/words.py")).output().unwrap();
        prop_assert!(python.status.success(), "{:?}", python);
        prop_assert_eq!(String::from_utf8(python.stdout).unwrap(), word.clone());
        let sql = file(&desired, "/etc/words.sql");
        prop_assert_eq!(literal(sql.trim_end_matches('\n')), Some((word, "")));
    }

    /// HAProxy has no filter: what reaches it is refused by its kind, or is one word there.
    #[test]
    fn what_reaches_the_balancers_is_one_word(
        place in 0..BALANCED.len(),
        word in prop_oneof![3 => text(), 1 => "[a-z0-9-]{1,6}", 1 => "[0-9]{1,4}"],
    ) {
        let Some(found) = balanced(BALANCED[place].0, &word) else { return Ok(()) };
        let plain = balanced("connections", "8000").unwrap();
        prop_assert_eq!(skeleton(&found), skeleton(&plain), "{}: {:?}", BALANCED[place].0, word);
    }

    #[test]
    fn a_region_is_one_word(region in text()) {
        let Some(desired) = rendered(&format!("region: {}", quoted(&region))) else { return Ok(()) };
        let script = format!("{}printf %s \"$OS_REGION_NAME\"", file(&desired, "/root/openrc"));
        let shell = Command::new("sh").arg("-c").arg(script).output().unwrap();
        prop_assert_eq!(String::from_utf8(shell.stdout).unwrap(), region);
    }
}
