//! Real files in temporary directories, and one really full disk.

use super::*;

fn file(path: &Path, content: &str, mode: u32) -> FileWrite {
    let me = |id: u32| id.to_string();
    FileWrite {
        path: path.to_string_lossy().into_owned(),
        content: content.into(),
        owner: me(rustix::process::getuid().as_raw()),
        group: me(rustix::process::getgid().as_raw()),
        mode,
        directory: false,
        own: Own::File,
    }
}

fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn changed_means_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etc/deep/a.conf");
    let check = |content: &str, mode: u32, changed: u32| {
        assert_eq!(
            write(&[file(&path, content, mode)]),
            Ok(changed),
            "{content} {mode:o}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
    };
    check("one", 0o640, 1);
    check("one", 0o640, 0);
    check("one", 0o600, 1);
    check("two", 0o600, 1);
    assert_eq!(listing(path.parent().unwrap()), ["a.conf"]);
    let all = [path.to_string_lossy().into_owned(), "/nonexistent/x".to_owned()];
    // What is in a directory keeps it.
    let folder = [path.parent().unwrap().to_string_lossy().into_owned()];
    assert_eq!(remove(&folder), Ok(0));
    assert_eq!(remove(&all), Ok(1));
    assert_eq!(remove(&all), Ok(0));
    assert_eq!(remove(&folder), Ok(1));
}

#[test]
fn a_link_is_replaced_and_its_target_left() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, "same").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let key = [7; 32];
    let seen = fact(&key, link.to_str().unwrap(), Wanted::Text, &Names::read()).unwrap();
    assert_eq!(seen.link.as_deref(), target.to_str());
    assert_eq!(write(&[file(&link, "same", 0o644)]), Ok(1));
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
    assert_eq!(fs::read_to_string(&target).unwrap(), "same");
}

#[test]
fn directories() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let mut want = file(&path, "", 0o750);
    want.directory = true;
    assert_eq!(write(std::slice::from_ref(&want)), Ok(1));
    assert_eq!(write(std::slice::from_ref(&want)), Ok(0));
    assert_eq!(
        fact(&[0; 32], &want.path, Wanted::Digest, &Names::read())
            .unwrap()
            .digest,
        DIRECTORY
    );
    let error = write(&[file(&path, "x", 0o640)]).unwrap_err();
    assert_eq!(
        error.message,
        format!("cannot write {}: a directory is there", want.path)
    );
}

#[test]
fn an_unknown_owner_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut want = file(&dir.path().join("f"), "x", 0o640);
    want.owner = "no-such-user".to_owned();
    let error = write(&[want]).unwrap_err();
    assert!(
        error.message.ends_with("there is no user `no-such-user` here"),
        "{error}"
    );
    assert!(listing(dir.path()).is_empty());
}

#[test]
fn facts_of_all_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f").to_string_lossy().into_owned();
    fs::write(&path, "hello").unwrap();
    let missing = dir.path().join("none").to_string_lossy().into_owned();
    let key = [1; 32];
    let facts = facts(
        &key,
        &[path.clone(), missing.clone()],
        std::slice::from_ref(&path),
        &[],
        &BTreeMap::new(),
    );
    let seen = facts[&path].known().unwrap();
    assert_eq!(
        (seen.digest.as_str(), seen.size),
        (wire::digest(&key, b"hello").as_str(), 5)
    );
    assert_eq!(seen.text.as_deref(), Some("hello"));
    assert!(facts[&missing].is_absent());
    let asked = [path.clone()];
    let facts = super::facts(&key, &asked, &[], &asked, &BTreeMap::new());
    let seen = facts[&path].known().unwrap();
    assert_eq!(
        (seen.text.as_deref(), seen.lines.as_slice()),
        (None, &[wire::digest(&key, b"hello")][..])
    );
}

#[test]
fn a_text_is_told_only_where_it_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f").to_string_lossy().into_owned();
    fs::write(&path, "hello").unwrap();
    let key = [1; 32];
    let asked = [path.clone()];
    let check = |have: &[u8], text: Option<&str>, lines: usize| {
        let same = BTreeMap::from([(path.clone(), wire::digest(&key, have))]);
        let told = |texts, lines| {
            let facts = super::facts(&key, &asked, texts, lines, &BTreeMap::new());
            differing(facts, &same)[&path].known().unwrap().clone()
        };
        assert_eq!(told(&asked, &[]).text.as_deref(), text);
        assert_eq!(told(&[], &asked).lines.len(), lines);
    };
    check(b"hello", None, 0);
    check(b"other", Some("hello"), 1);
}

/// A full disk, for real: only root can mount one.
#[test]
fn a_full_disk_leaves_the_old_file_and_says_how_much() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path();
    let flags = nix::mount::MsFlags::empty();
    if nix::mount::mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some("size=64k")).is_err() {
        return;
    }
    let path = target.join("f");
    let small = write(&[file(&path, "old", 0o644)]);
    let large = write(&[file(&path, &"x".repeat(1 << 20), 0o644)]);
    let (left, kept) = (listing(target), fs::read_to_string(&path).unwrap());
    nix::mount::umount(target).unwrap();
    assert_eq!(small, Ok(1));
    let message = large.unwrap_err().message;
    assert!(
        message.contains("no space left on device (needs 1048576 bytes, "),
        "{message}"
    );
    assert_eq!((left, kept), (vec!["f".to_owned()], "old".to_owned()));
}

/// Our keys are set, the operator's lines stay, and no more of them is told than was asked for.
#[test]
fn a_shared_file_keeps_what_is_not_ours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.conf");
    let mut want = file(&path, "# head\n\n[a]\nx = 1\npassword = hush\n", 0o640);
    let key = |name: &str, value: &str| ini::Key {
        section: "a".to_owned(),
        name: name.to_owned(),
        values: vec![value.to_owned()],
    };
    want.own = Own::Keys {
        wanted: vec![key("x", "1"), key("password", "hush")],
        absent: vec![("a".to_owned(), "gone".to_owned())],
    };
    let check = |have: Option<&str>, changed: u32, expect: &str| {
        if let Some(have) = have {
            fs::write(&path, have).unwrap();
        }
        assert_eq!(write(std::slice::from_ref(&want)), Ok(changed));
        assert_eq!(fs::read_to_string(&path).unwrap(), expect);
    };
    check(None, 1, "# head\n\n[a]\nx = 1\npassword = hush\n");
    check(None, 0, "# head\n\n[a]\nx = 1\npassword = hush\n");
    let merged = "[a]\n# mine\ny=2\nx = 1\npassword = hush\n\n[b]\nx = 3\n";
    check(
        Some("[a]\n# mine\ny=2\nx = 0\ngone = 1\n\n[b]\nx = 3\n"),
        1,
        merged,
    );
    check(None, 0, merged);
    let ask = |name: &str, plain| KeyQuery {
        section: "a".to_owned(),
        name: name.to_owned(),
        plain,
    };
    let name = want.path.clone();
    let asked = BTreeMap::from([(
        name.clone(),
        vec![ask("x", true), ask("password", false), ask("z", true)],
    )]);
    let key = [1; 32];
    let facts = facts(&key, std::slice::from_ref(&name), &[], &[], &asked);
    let fact = |name: &str, value: &str, text: Option<&str>| KeyFact {
        section: "a".to_owned(),
        name: name.to_owned(),
        values: vec![wire::digest(&key, value.as_bytes())],
        text: text.map(|t| vec![t.to_owned()]),
    };
    assert_eq!(
        facts[&name].known().unwrap().keys,
        [fact("x", "1", Some("1")), fact("password", "hush", None)]
    );
    fs::write(&path, [0xff]).unwrap();
    let message = write(std::slice::from_ref(&want)).unwrap_err().message;
    assert_eq!(
        message,
        format!("cannot write {name}: what is there is no text in UTF-8")
    );
    let target = dir.path().join("target");
    fs::rename(&path, &target).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let message = write(&[want]).unwrap_err().message;
    assert!(
        message.contains("a link is there, and the file is shared"),
        "{message}"
    );
}

/// Only a file that is known is changed, and only to what it is known to become.
#[test]
fn a_text_is_replaced_in_a_known_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lib.py");
    let sum = |text: &str| format!("{:x}", Sha256::digest(text.as_bytes()));
    let (ill, cured) = ("a\nsleep(1)\n", "a\nsleep(0)\n");
    let mut want = file(&path, "", 0o644);
    want.own = Own::Edit(Edit {
        from: "sleep(1)".to_owned(),
        to: "sleep(0)".to_owned(),
        known: vec![(sum("older"), sum("other")), (sum(ill), sum(cured))],
    });
    assert_eq!(write(std::slice::from_ref(&want)), Ok(0));
    assert!(!path.exists());
    let check = |have: &str, changed: u32, expect: &str| {
        fs::write(&path, have).unwrap();
        assert_eq!(write(std::slice::from_ref(&want)), Ok(changed), "{have}");
        assert_eq!(fs::read_to_string(&path).unwrap(), expect);
    };
    check(ill, 1, cured);
    check(cured, 0, cured);
    check("a\nsleep(1) \n", 0, "a\nsleep(1) \n");
    fs::write(&path, "older").unwrap();
    let message = write(&[want]).unwrap_err().message;
    assert!(message.contains("the change would make"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "older");
}
