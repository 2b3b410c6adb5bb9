//! Where a cloud's backups lie: a folder of this machine, or a bucket. One that is
//! meant for a bucket is made and proved here first, and sent then: what could not be
//! sent stays, and goes with the next.

use backup::{Access, Bucket, Folder, Kept, SCHEME};
use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Failure;
use crate::project::Project;
use crate::say;

/// A place for backups of one cloud.
pub enum Place {
    /// A folder.
    Folder(Folder),
    /// A bucket, and the folder from which backups are sent there.
    Bucket(Box<Bucket>, Folder),
}

impl Place {
    /// Where the operator says now, or in the cloud file, or beside the vault.
    pub fn of(project: &Project, to: Option<&str>) -> Result<Self, Failure> {
        let cloud = &project.model.cloud;
        let beside = project.file.parent().unwrap_or(Utf8Path::new(""));
        let name = cloud.name.value.as_str();
        let path = match (to, &cloud.upkeep.backup.to) {
            (Some(to), _) => to.to_owned(),
            (None, Some(to)) if to.value.starts_with(SCHEME) => to.value.clone(),
            (None, Some(to)) => beside.join(&to.value).into_string(),
            (None, None) => project.state.join("backups").into_string(),
        };
        if path.starts_with(SCHEME) {
            let bucket = Bucket::open(&path, name, &Access::find()?)?;
            let outgoing = Folder::new(&project.state.join("outgoing"), name);
            return Ok(Self::Bucket(Box::new(bucket), outgoing));
        }
        Ok(Self::Folder(Folder::new(Utf8Path::new(&path), name)))
    }

    /// The folder in which a new one is written.
    pub fn writes(&self) -> &Folder {
        match self {
            Self::Folder(folder) | Self::Bucket(_, folder) => folder,
        }
    }

    /// All that are there, the oldest first.
    pub async fn list(&self) -> Result<Vec<Kept>, Failure> {
        Ok(match self {
            Self::Folder(folder) => folder.list()?,
            Self::Bucket(bucket, _) => bucket.list().await?,
        })
    }

    /// Sends what waits here to be sent; where it lies then. Nothing where it lies already.
    pub async fn send(&self) -> Result<Vec<Utf8PathBuf>, Failure> {
        let Self::Bucket(bucket, outgoing) = self else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for waiting in outgoing.list()? {
            match bucket.put(&waiting.path).await {
                Ok(place) => out.push(place),
                Err(error) => {
                    let cure = error.cure().unwrap_or_default();
                    let kept = format!(
                        "it lies whole in `{}`, and the next backup sends it too",
                        waiting.path
                    );
                    return Err(Failure::World {
                        message: error.to_string(),
                        hints: vec![cure, kept],
                    });
                }
            }
            fs_err::remove_file(&waiting.path)?;
        }
        Ok(out)
    }

    /// Removes all but the newest `keep`; those that went.
    pub async fn prune(&self, keep: usize) -> Result<Vec<Kept>, Failure> {
        Ok(match self {
            Self::Folder(folder) => folder.prune(keep)?,
            Self::Bucket(bucket, _) => bucket.prune(keep).await?,
        })
    }
}

/// A backup that lies in a bucket, brought here: the folder goes with what it holds.
pub async fn fetch(project: &Project, backup: &Utf8Path) -> Result<tempfile::TempDir, Failure> {
    let name = backup.file_name().unwrap_or_default();
    let place = backup.as_str().strip_suffix(name).unwrap_or_default();
    let cloud = project.model.cloud.name.value.as_str();
    let bucket = Bucket::open(place, cloud, &Access::find()?)?;
    let folder = tempfile::Builder::new()
        .prefix(".incoming-")
        .tempdir_in(&project.state)?;
    let to = Utf8Path::from_path(folder.path()).map(|folder| folder.join(name));
    let to = to.ok_or_else(|| std::io::Error::other("the state folder's name is no text"))?;
    say::errln!("{backup}: bringing it here");
    bucket.get(name, &to).await?;
    Ok(folder)
}
