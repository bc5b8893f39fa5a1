//! DynamoDB: dynoxide's engine in memory, called without its server.
//!
//! Its own server would need a port and a multi-threaded runtime; in process it follows a paused clock and runs on
//! any runtime. The table below mirrors its private one.

use std::sync::Arc;

use bytes::Bytes;
use dynoxide::storage_backend::Clock as EngineClock;
use dynoxide::{Database, DynoxideError};
use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::Clock;
use crate::wire::{AwsError, Response, json_response};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The tables of one account and region.
pub(crate) struct DynamoDb(Option<Database>);

impl DynamoDb {
    pub(crate) fn new(clock: &Clock) -> Self {
        let database = Database::memory_with_clock(Arc::new(Time(clock.clone())));
        Self(database.inspect_err(|error| tracing::error!(%error, "no DynamoDB")).ok())
    }

    pub(crate) fn handle(&self, operation: &str, body: &Bytes) -> Response {
        let answer = match &self.0 {
            Some(database) => dispatch(database, operation, body),
            None => Err(DynoxideError::InternalServerError("SQLite did not start".into())),
        };
        match answer {
            Ok(Some(json)) => json_response(StatusCode::OK, CONTENT_TYPE, json),
            Ok(None) => AwsError::bad_request("UnknownOperationException", "")
                .into_json_response(CONTENT_TYPE),
            Err(error) => {
                let status = StatusCode::from_u16(error.status_code());
                json_response(
                    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    CONTENT_TYPE,
                    error.to_json(),
                )
            }
        }
    }
}

/// The engine's JSON answer, or `None` for an operation that it does not have.
fn dispatch(
    database: &Database,
    operation: &str,
    body: &[u8],
) -> Result<Option<String>, DynoxideError> {
    let db = database;
    match operation {
        "CreateTable" => run(body, |input| db.create_table(input)),
        "DeleteTable" => run(body, |input| db.delete_table(input)),
        "DescribeTable" => run(body, |input| db.describe_table(input)),
        "UpdateTable" => run(body, |input| db.update_table(input)),
        "ListTables" => run(body, |input| db.list_tables(input)),
        "TagResource" => run(body, |input| db.tag_resource(input)),
        "UntagResource" => run(body, |input| db.untag_resource(input)),
        "ListTagsOfResource" => run(body, |input| db.list_tags_of_resource(input)),
        "DescribeTimeToLive" => run(body, |input| db.describe_time_to_live(input)),
        "UpdateTimeToLive" => run(body, |input| db.update_time_to_live(input)),
        "GetItem" => run(body, |input| db.get_item(input)),
        "PutItem" => run(body, |input| db.put_item(input)),
        "UpdateItem" => run(body, |input| db.update_item(input)),
        "DeleteItem" => run(body, |input| db.delete_item(input)),
        "Query" => run(body, |input| db.query(input)),
        "Scan" => run(body, |input| db.scan(input)),
        "BatchGetItem" => run(body, |input| db.batch_get_item(input)),
        "BatchWriteItem" => run(body, |input| db.batch_write_item(input)),
        "TransactGetItems" => run(body, |input| db.transact_get_items(input)),
        "TransactWriteItems" => run(body, |input| db.transact_write_items(input)),
        "ExecuteStatement" => run(body, |input| db.execute_statement(input)),
        "ExecuteTransaction" => run(body, |input| db.execute_transaction(input)),
        "BatchExecuteStatement" => run(body, |input| db.batch_execute_statement(input)),
        _ => Ok(None),
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    body: &[u8],
    operation: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<Option<String>, DynoxideError> {
    let input = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let output = operation(input)?;
    let json = serde_json::to_string(&output);
    json.map(Some).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The engine's request types put the class of a refusal in front of its words; its server takes that off again.
/// The rest are plain serde messages: a missing or null field is the caller's mistake, anything else is bad JSON.
fn unreadable(message: &str) -> DynoxideError {
    let words = message.rsplit_once(" at line ").map_or(message, |(words, _)| words);
    for (marker, validation) in [
        ("VALIDATION_REQUEST:", true),
        ("VALIDATION_AS_READ:", true),
        ("VALIDATION:", true),
        ("SERIALIZATION_AS_READ:", false),
        ("SERIALIZATION:", false),
    ] {
        if let Some(words) = words.strip_prefix(marker) {
            return if validation {
                DynoxideError::ValidationException(words.into())
            } else {
                DynoxideError::SerializationException(words.into())
            };
        }
    }
    let invalid = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
    if invalid.iter().any(|sign| words.contains(sign)) {
        DynoxideError::ValidationException(words.into())
    } else {
        DynoxideError::SerializationException(words.into())
    }
}

/// Our clock as the engine wants it; items expire by it.
struct Time(Clock);

impl EngineClock for Time {
    fn now_unix_secs(&self) -> u64 {
        self.0.now_ms() / 1000
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds fit in 53 bits for 285,000 years")]
    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now_ms() as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_refusal_loses_its_marker_and_its_position() {
        let error = unreadable("VALIDATION:Key is empty at line 1 column 9");
        assert_eq!(error.to_string(), "Key is empty");
        assert!(matches!(error, DynoxideError::ValidationException(_)));
    }

    #[test]
    fn a_missing_field_is_a_validation_error_and_bad_json_is_not() {
        let missing = unreadable("missing field `TableName` at line 1 column 2");
        assert!(matches!(missing, DynoxideError::ValidationException(_)));
        let broken = unreadable("expected value at line 1 column 1");
        assert!(matches!(broken, DynoxideError::SerializationException(_)));
    }
}
