//! What can go wrong, told by what the caller does about it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Any error, kept as the cause of ours.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a consumer could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream is not there: create it, or correct its name. Leases are kept.
    #[error("stream {stream} does not exist in this account and region")]
    StreamNotFound {
        /// The stream's name.
        stream: String,
    },
    /// Kinesis refused a call or was not reached; the SDK's retries are used up.
    #[error("Kinesis {operation} on stream {stream} failed")]
    Kinesis {
        /// The API operation.
        operation: &'static str,
        /// The stream's name.
        stream: String,
        /// What the SDK said.
        source: Cause,
    },
    /// DynamoDB refused a call or was not reached; the SDK's retries are used up.
    #[error("DynamoDB {operation} on lease table {table} failed")]
    LeaseTable {
        /// The API operation, or the lease transition.
        operation: &'static str,
        /// The table's name.
        table: String,
        /// What the SDK said.
        source: Cause,
    },
    /// The processor asked for the consumer to stop; leases are released, and nothing after the last place that
    /// was saved is lost.
    #[error("the processor stopped the consumer at shard {shard}: {reason}")]
    Processor {
        /// The shard whose batch it was.
        shard: String,
        /// What it said.
        reason: String,
    },
    /// The thread that renews leases could not be started.
    #[error("no thread for renewing leases")]
    RenewalThread(#[source] std::io::Error),
    /// The lease table did not become active in time.
    #[error("lease table {table} is not active after {seconds} s")]
    LeaseTableNotActive {
        /// The table's name.
        table: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

/// Whether a call was refused because there were too many.
pub(crate) fn is_throttle<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(
        error.code(),
        Some(
            "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "LimitExceededException"
                | "KMSThrottlingException"
        )
    )
}
