//! Rows written many at a time.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
use aws_sdk_dynamodb::types::WriteRequest;
use tokio::time::sleep;

use crate::{Error, Pond};

/// Most rows of one request
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
pub(super) const ROWS_MAX: usize = 25;
/// Attempts at what DynamoDB does not take at once: ten to twenty seconds beside those of the SDK, in which a table
/// that follows the load has grown.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// Writes rows with different keys, at most [`ROWS_MAX`].
pub(super) async fn write(pond: Pond, mut rows: Vec<WriteRequest>) -> Result<(), Error> {
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            let ceiling = PAUSE_LEAST.saturating_mul(1 << attempt).min(PAUSE_MOST);
            sleep(ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
        let call = pond.client.batch_write_item().request_items(&*pond.table, rows.clone());
        rows = match call.send().await {
            Ok(reply) => left(reply.unprocessed_items),
            Err(error) if is_throttled(&error) => rows,
            Err(error) => return Err(Error::aws(&pond.table, "writing rows", error)),
        };
        if rows.is_empty() {
            return Ok(());
        }
    }
    let (table, rows, attempts) = (pond.table.to_string(), rows.len(), ATTEMPTS_MAX);
    Err(Error::NotTaken { table, rows, attempts })
}

/// What DynamoDB did not take of a request that succeeded.
fn left(unprocessed: Option<HashMap<String, Vec<WriteRequest>>>) -> Vec<WriteRequest> {
    unprocessed.unwrap_or_default().into_values().flatten().collect()
}

fn is_throttled(error: &SdkError<BatchWriteItemError>) -> bool {
    const BUSY: [&str; 4] = [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
    ];
    let code = error.as_service_error().and_then(|error| error.code());
    code.is_some_and(|code| BUSY.contains(&code))
}
