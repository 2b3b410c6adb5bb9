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
const WORDS: [(&str, &str); 4] = [
    (
        "openstack/words/service.yaml",
        "name: words\nsummary: Words\nneeds: [haproxy, keystone]\nsettings: { word: { is: none, kind: text, why: a word } }\nfiles:\n  \
         - { from: words.sh.j2, to: /etc/words.sh, on: api }\n  - { from: words.json.j2, to: /etc/words.json, on: api }\n  \
         - { from: words.conf.yaml, to: /etc/words.conf, on: api }\n",
    ),
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
    let source = Source::new("cloud.yaml", format!("{HEAD}{end}\n"));
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
    fn a_region_is_one_word(region in text()) {
        let Some(desired) = rendered(&format!("region: {}", quoted(&region))) else { return Ok(()) };
        let script = format!("{}printf %s \"$OS_REGION_NAME\"", file(&desired, "/root/openrc"));
        let shell = Command::new("sh").arg("-c").arg(script).output().unwrap();
        prop_assert_eq!(String::from_utf8(shell.stdout).unwrap(), region);
    }
}
