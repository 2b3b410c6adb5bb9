//! A backup is read back as it was written, and not at all where it was cut,
//! altered, or is for somebody else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use backup::{Content, Error, FORMAT, Folder, Manifest, Part, Source, read_part, verify, write};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    recipients: Vec<String>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recipients = vault::recipients(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        Self { dir, recipients }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).unwrap().join(name)
    }

    fn identity(&self) -> Vec<Utf8PathBuf> {
        vec![self.path("vault.key")]
    }

    /// A backup with two parts, one of several of age's pieces.
    fn make(&self, change: impl FnOnce(&mut Manifest)) -> Result<Utf8PathBuf, Error> {
        let large: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut manifest = Manifest {
            format: FORMAT,
            quorate: "0.1.0".to_owned(),
            cloud: "a".to_owned(),
            id: "id".to_owned(),
            generation: "g".to_owned(),
            release: "r".to_owned(),
            distribution: "d".to_owned(),
            region: "x".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            member: String::new(),
            position: None,
            databases: vec![],
            parts: vec![Part::of("small", b"hello"), Part::of("large", &large)],
        };
        change(&mut manifest);
        let path = self.path("a.backup");
        let content = Content {
            manifest,
            sources: vec![
                Source::Bytes(b"hello".to_vec()),
                Source::Stream(Box::new(std::io::Cursor::new(large))),
            ],
        };
        write(&path, &self.recipients, content)?;
        Ok(path)
    }
}

#[test]
fn what_was_written_is_read() {
    let place = Place::new();
    let path = place.make(|_| {}).unwrap();
    let manifest = verify(&path, &place.identity()).unwrap();
    assert_eq!(manifest.parts.len(), 2);
    assert_eq!(manifest.backup_id().unwrap().len(), 64);
    let mut out = Vec::new();
    read_part(&path, &place.identity(), "small", &mut out).unwrap();
    assert_eq!(out, b"hello");
    // Never over another one.
    assert!(place.make(|_| {}).is_err());
}

#[test]
fn every_cut_is_seen() {
    let place = Place::new();
    let path = place.make(|_| {}).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Also just at the ends of age's pieces: a header, then 64 KiB and a tag each.
    let pieces = (0..4).map(|n| whole.len() - 1 - n * (65536 + 16));
    for length in [0, 1, 50, 170, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .chain(pieces)
    {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = verify(&path, &place.identity()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{length}: {error}");
        assert!(error.cure().unwrap().contains("nothing was touched"));
    }
}

#[test]
fn every_altered_byte_is_seen() {
    let place = Place::new();
    let path = place.make(|_| {}).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let error = verify(&path, &place.identity()).unwrap_err();
        // In the header it may look like one for somebody else.
        assert!(
            matches!(error, Error::Damaged { .. } | Error::Key(_)),
            "{at}: {error}"
        );
    }
    // More behind its end is no whole backup either.
    std::fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
    assert!(verify(&path, &place.identity()).is_err());
}

#[test]
fn another_key_another_format_another_manifest() {
    let (place, other) = (Place::new(), Place::new());
    let path = place.make(|_| {}).unwrap();
    let error = verify(&path, &other.identity()).unwrap_err();
    assert!(
        matches!(error, Error::Key(vault::Error::NotForUs { .. })),
        "{error}"
    );
    std::fs::remove_file(&path).unwrap();

    let path = place.make(|m| m.format = 9).unwrap();
    let error = verify(&path, &place.identity()).unwrap_err();
    assert!(matches!(error, Error::Format { found: 9, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();

    // What is copied is not what was announced: nothing is left under the name.
    let error = place.make(|m| m.parts[1].blake3 = "0".repeat(64)).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    let error = place.make(|m| m.parts[1].size += 1).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    let names: Vec<_> = std::fs::read_dir(place.dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_folder_keeps_the_newest_of_its_own() {
    let place = Place::new();
    let folder = Folder::new(&place.path("kept"), "a");
    assert!(folder.list().unwrap().is_empty());
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    for second in [3, 1, 2] {
        std::fs::write(folder.file(at(second)).unwrap(), "x").unwrap();
    }
    let others = [
        "a-b-19700101T000000Z.tar.age",
        "a.tar.age",
        "notes",
        "a-x.tar.age",
    ];
    for other in others {
        std::fs::write(place.path("kept").join(other), "").unwrap();
    }
    let gone = folder.prune(2).unwrap();
    assert_eq!(gone.len(), 1);
    let left: Vec<String> = folder.list().unwrap().into_iter().map(|k| k.at).collect();
    assert_eq!(left, ["19700101T000002Z", "19700101T000003Z"]);
    for other in others {
        assert!(place.path("kept").join(other).exists(), "{other}");
    }
}
