//! What goes wrong with a pond. All of it may work later; nothing was half done that matters.

use std::error;

use aws_sdk_dynamodb::error::SdkError;

/// The state could not be read or written; the event that wanted it is to be retried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// DynamoDB did not do it.
    #[error("table {table}: {action} failed")]
    Aws {
        /// The table.
        table: String,
        /// What was to be done.
        action: &'static str,
        /// What the SDK said.
        #[source]
        source: Box<dyn error::Error + Send + Sync>,
    },
    /// An item is there, but not as this version writes it.
    #[error("table {table}: {item} has no usable {attribute}; was it written by another version?")]
    Unreadable {
        /// The table.
        table: String,
        /// Partition key of the item.
        item: String,
        /// The attribute.
        attribute: String,
    },
    /// Others wrote the same item all the time.
    #[error("table {table}: too many others wrote {item} at once")]
    Contended {
        /// The table.
        table: String,
        /// Partition key of the item.
        item: String,
    },
    /// DynamoDB did not take all of a batch.
    #[error("table {table} left {rows} rows of a batch over at each of {attempts} attempts")]
    NotTaken {
        /// The table.
        table: String,
        /// Rows that are not written.
        rows: usize,
        /// How often they were tried.
        attempts: u32,
    },
    /// The table did not become usable in time.
    #[error("table {table} is not active after {waited_s} s")]
    NotActive {
        /// The table.
        table: String,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
}

impl Error {
    pub(crate) fn aws<E, R>(table: &str, action: &'static str, error: SdkError<E, R>) -> Self
    where
        E: error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        Self::Aws { table: table.to_owned(), action, source: error.into() }
    }
}
