//! A folder with backups: their names, and how many are kept.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use jiff::Timestamp;

use crate::Error;

const SUFFIX: &str = ".tar.age";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A backup that is kept, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its file.
    pub path: Utf8PathBuf,
    /// When it was begun, as in its name.
    pub at: String,
    /// Bytes.
    pub size: u64,
}

impl Kept {
    /// When it was begun; none of one whose name tells no time.
    pub fn begun(&self) -> Option<Timestamp> {
        let time = jiff::civil::DateTime::strptime(TIME, &self.at).ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    }
}

/// The time in the name of a backup of a cloud; none of what is not one.
pub(crate) fn time_of<'n>(cloud: &str, name: &'n str) -> Option<&'n str> {
    let at = name
        .strip_prefix(cloud)?
        .strip_prefix('-')?
        .strip_suffix(SUFFIX)?;
    // Of `a` and `a-b` each has its own only: a time has no further dash.
    jiff::civil::DateTime::strptime(TIME, at).is_ok().then_some(at)
}

/// Backups of one cloud in a folder.
#[derive(Clone, Debug)]
pub struct Folder {
    path: Utf8PathBuf,
    cloud: String,
}

impl Folder {
    /// The backups of `cloud` in `path`, which need not be there.
    pub fn new(path: &Utf8Path, cloud: &str) -> Self {
        Self {
            path: path.to_owned(),
            cloud: cloud.to_owned(),
        }
    }

    /// Makes the folder, for its owner only, and gives the file of a new backup.
    pub fn file(&self, at: Timestamp) -> Result<Utf8PathBuf, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        Ok(self
            .path
            .join(format!("{}-{}{SUFFIX}", self.cloud, at.strftime(TIME))))
    }

    /// All that are there, the oldest first. What has another name is no backup of this cloud.
    pub fn list(&self) -> Result<Vec<Kept>, Error> {
        let mut out = Vec::new();
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(out),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(path) = Utf8PathBuf::from_path_buf(entry.path()) else {
                continue;
            };
            let Some(at) = path.file_name().and_then(|name| time_of(&self.cloud, name)) else {
                continue;
            };
            out.push(Kept {
                at: at.to_owned(),
                size: entry.metadata()?.len(),
                path,
            });
        }
        out.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(out)
    }

    /// Removes all but the newest `keep`; those that went.
    pub fn prune(&self, keep: usize) -> Result<Vec<Kept>, Error> {
        let mut all = self.list()?;
        all.truncate(all.len().saturating_sub(keep));
        for old in &all {
            fs::remove_file(&old.path)?;
        }
        Ok(all)
    }
}
