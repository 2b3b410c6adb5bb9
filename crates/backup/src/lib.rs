//! Backups of a cloud: one sealed file a backup, what it says of itself, and
//! the place where several are kept.
//!
//! A backup is a tar archive, encrypted with age for those who can read the
//! cloud's vault. First in it is `manifest.json`, which names every other part
//! with its size and hash. Without quorate: `age -d -i KEY FILE | tar x`.
//!
//! Where the parts come from and go to is not this crate's concern: it talks to
//! no host of the cloud. It knows no store and no service either.

mod access;
mod archive;
mod bucket;
mod error;
mod folder;
mod manifest;

pub use access::Access;
pub use archive::{Content, Source, read_part, verify, write};
pub use bucket::{Bucket, SCHEME};
pub use error::Error;
pub use folder::{Folder, Kept};
pub use manifest::{CIB, CLOUD_FILE, DATABASES, FORMAT, Manifest, Part, Position, VAULT};
