//! One commit, as it is written to the log.

use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of the log that this code writes and understands.
pub(crate) const FORMAT: u32 = 1;

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct File {
    /// Its path below the archive's root.
    pub path: String,
    /// Number of its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

impl File {
    /// Its path as the store has it; what is encoded in it stays as it is.
    ///
    /// # Errors
    /// A path that the store cannot have.
    pub fn location(&self) -> Result<Path, object_store::path::Error> {
        Path::parse(&self.path)
    }
}

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// New events.
    Append,
    /// The same rows in fewer files.
    Compact,
}

/// A change of the set of live files. It happens as a whole or not at all, because it is one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the log.
    pub format: u32,
    /// Whose it is: by this a writer knows its own entry when the store did not tell it how the write ended.
    pub id: Uuid,
    /// When it was written, by the writer's clock.
    pub at: Timestamp,
    /// What for.
    pub why: Why,
    /// Files that are live from now on.
    pub add: Vec<File>,
    /// Paths of files that are not live any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl Entry {
    pub(crate) fn append(id: Uuid, at: Timestamp, add: Vec<File>) -> Self {
        Self { format: FORMAT, id, at, why: Why::Append, add, remove: Vec::new() }
    }

    pub(crate) fn compact(id: Uuid, at: Timestamp, from: Vec<String>, to: File) -> Self {
        Self { format: FORMAT, id, at, why: Why::Compact, add: vec![to], remove: from }
    }
}
