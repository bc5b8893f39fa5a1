//! What can go wrong between the archive and its store.

use object_store::path::Path;

/// Why something could not be read from the archive or written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused, or could not be reached. Nothing is half done: try again.
    #[error("could not {doing} {path} in the archive")]
    Store {
        /// What was tried: `read`, `write`, `list`, `delete`.
        doing: &'static str,
        /// What it was tried with.
        path: Path,
        /// What the store said.
        source: object_store::Error,
    },
    /// A file of the log is not what this version writes: nobody may go on, or events would be lost or doubled.
    #[error("{path} in the archive cannot be used: {reason}")]
    Log {
        /// The file.
        path: Path,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of rows could not be written or read.
    #[error("the rows of {path} could not be {doing}")]
    Rows {
        /// What was tried: `read`, `written`.
        doing: &'static str,
        /// The file.
        path: Path,
        /// What Parquet said.
        source: parquet::errors::ParquetError,
    },
    /// A commit took so long that files which it refers to might be taken for abandoned ones.
    #[error("the archive's store took longer than {0} s for a commit")]
    TooLong(u64),
    /// Sorting or encoding was cut off.
    #[error("the work on {0} was cut off")]
    CutOff(Path),
}

impl Error {
    /// For `map_err` at a call to the store.
    pub(crate) fn store(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(object_store::Error) -> Self + use<> {
        let path = path.clone();
        move |source| Self::Store { doing, path, source }
    }

    /// For `map_err` at a call to Parquet or Arrow.
    pub(crate) fn rows<E: Into<parquet::errors::ParquetError>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.clone();
        move |source| Self::Rows { doing, path, source: source.into() }
    }
}
