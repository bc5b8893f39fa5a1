//! Where an archive is: a folder, or a prefix of an S3 bucket.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;

/// Where it is when nobody says otherwise: a folder of the working directory, for a laptop.
pub const DEFAULT_PLACE: &str = "rapids-archive";

/// A place that is none, or cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// A URL of something else.
    #[error("{0:?} is neither a folder, nor file:///…, nor s3://bucket/prefix")]
    Scheme(String),
    /// Nothing is there, and it is not to be made.
    #[error(
        "there is no archive in {0:?}: start `archive` with RAPIDS_ARCHIVE={0}, or name another place"
    )]
    Missing(String),
    /// The folder could not be made.
    #[error("could not make the folder {folder:?} for the archive")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store's client could not be made.
    #[error("could not use {place:?} as an archive")]
    Store {
        /// The place.
        place: String,
        /// Why.
        source: object_store::Error,
    },
}

/// Whether a folder that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is: for who writes.
    Make,
    /// It is not: for who reads.
    Refuse,
}

/// Opens the store of an archive; all paths in it are below the archive's root. For S3, region, credentials and
/// endpoint are those of the environment: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, a web identity, the
/// credentials of a container or of the instance.
///
/// # Errors
/// [`NoPlace`]. Nothing is asked of S3 yet.
pub fn open(place: &str, missing: Missing) -> Result<Arc<dyn ObjectStore>, NoPlace> {
    let failed = |source| NoPlace::Store { place: place.to_owned(), source };
    if let Some(rest) = place.strip_prefix("s3://") {
        if rest.is_empty() || rest.starts_with('/') {
            return Err(NoPlace::Scheme(place.to_owned()));
        }
        return in_s3(AmazonS3Builder::from_env(), rest).map_err(failed);
    }
    let folder = match place.split_once("://") {
        None => place,
        Some(("file", path)) if path.starts_with('/') => path,
        Some(_) => return Err(NoPlace::Scheme(place.to_owned())),
    };
    if !Path::new(folder).is_dir() {
        if missing == Missing::Refuse {
            return Err(NoPlace::Missing(place.to_owned()));
        }
        let failed = |source| NoPlace::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(failed)?))
}

/// The store below `bucket/prefix`.
fn in_s3(s3: AmazonS3Builder, rest: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // An endpoint without TLS is used when one is configured: that is an emulator, or inside of a network.
    let s3 = s3.with_bucket_name(bucket).with_allow_http(true).build()?;
    Ok(Arc::new(PrefixStore::new(s3, prefix.trim_matches('/'))))
}

#[cfg(test)]
mod tests;
