//! Refusals in the words of Kinesis, and the JSON of requests and answers.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Reply;
use crate::wire::AwsError;

/// Reads a request's JSON.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body)
        .map_err(|error| AwsError::bad_request("SerializationException", error.to_string()))
}

/// Writes an answer's JSON.
pub(super) fn reply(answer: &impl Serialize) -> Reply {
    serde_json::to_string(answer)
        .map_err(|error| AwsError::bad_request("InternalFailure", error.to_string()))
}

pub(super) fn invalid_argument(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidArgumentException", message)
}

pub(super) fn resource_in_use(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("ResourceInUseException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("ResourceNotFoundException", message)
}

pub(super) fn limit_exceeded(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("LimitExceededException", message)
}

/// What a caller asks for and this emulation leaves out: told, because it would be believed otherwise.
pub(super) fn not_served(what: &str) -> AwsError {
    invalid_argument(format!("local-aws does not serve {what}."))
}

/// A violated constraint on one member of a request.
pub(super) fn validation(member: &str, value: &str, constraint: &str) -> AwsError {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    );
    AwsError::bad_request("ValidationException", message)
}

/// `value` if it lies within `from..=to`, as the number of things on a page must.
pub(super) fn within(member: &str, value: i64, from: usize, to: usize) -> Result<usize, AwsError> {
    let legal = usize::try_from(value).ok().filter(|value| (from..=to).contains(value));
    legal.ok_or_else(|| {
        let constraint = if value < 1 || usize::try_from(value).is_ok_and(|value| value < from) {
            format!("Member must have value greater than or equal to {from}")
        } else {
            format!("Member must have value less than or equal to {to}")
        };
        validation(member, &value.to_string(), &constraint)
    })
}

/// A name that may hold 1 to 128 letters, digits, `_`, `.` and `-`.
pub(super) fn legal_name<'n>(member: &str, name: &'n str) -> Result<&'n str, AwsError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.len() > 128 {
        let constraint = "Member must have length less than or equal to 128";
        return Err(validation(member, name, constraint));
    }
    if name.is_empty() || !name.bytes().all(legal) {
        let constraint = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
        return Err(validation(member, name, constraint));
    }
    Ok(name)
}

/// A time as the JSON protocol carries it: seconds, milliseconds behind the point.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit exactly")]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// A time of a request, in milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(super) fn from_seconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}
