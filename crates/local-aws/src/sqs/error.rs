//! What SQS refuses, in its own words.

use http::{HeaderValue, StatusCode};

use crate::wire::{AwsError, Response};

use super::CONTENT_TYPE;

/// A refusal. Codes from <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>
/// and the pages of the operations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("The specified queue does not exist.")]
    NonExistentQueue,
    #[error(
        "A queue already exists with the same name and a different value for attribute {attribute}"
    )]
    QueueAlreadyExists { attribute: String },
    #[error(
        "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    )]
    QueueDeletedRecently,
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    #[error("Invalid value for the parameter {0}.")]
    InvalidAttributeValue(String),
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(String),
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    InvalidMessageContents,
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    #[error("Message does not exist or is not available for visibility timeout change.")]
    MessageNotInflight,
    #[error("There should be at least one entry in the request.")]
    EmptyBatchRequest,
    #[error("Maximum number of entries per request are 10. You have sent {0}.")]
    TooManyEntriesInBatchRequest(usize),
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    #[error("Batch requests cannot be longer than 1048576 bytes. You have sent {0} bytes.")]
    BatchRequestTooLong(usize),
    #[error("Too many messages are in flight: 120000 at the most.")]
    OverLimit,
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds.")]
    PurgeQueueInProgress(String),
    #[error("{0}")]
    ResourceNotFound(String),
    #[error("local-aws cannot read the request: {0}.")]
    Serialization(String),
    #[error("local-aws does not serve the SQS operation {0}.")]
    UnknownOperation(String),
}

impl Error {
    /// The shape in the service's model, and the code that the query protocol had for it. Clients match on the
    /// second, which travels in a header of its own.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::NonExistentQueue => {
                ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
            }
            Self::QueueAlreadyExists { .. } => ("QueueNameExists", "QueueAlreadyExists"),
            Self::QueueDeletedRecently => {
                ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently")
            }
            Self::InvalidAttributeName(_) => ("InvalidAttributeName", "InvalidAttributeName"),
            Self::InvalidAttributeValue(_) => ("InvalidAttributeValue", "InvalidAttributeValue"),
            Self::InvalidParameterValue(_) => ("InvalidParameterValue", "InvalidParameterValue"),
            Self::MissingParameter(_) => ("MissingParameter", "MissingParameter"),
            Self::InvalidMessageContents => ("InvalidMessageContents", "InvalidMessageContents"),
            Self::ReceiptHandleIsInvalid => ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
            Self::MessageNotInflight => {
                ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight")
            }
            Self::EmptyBatchRequest => {
                ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest")
            }
            Self::TooManyEntriesInBatchRequest(_) => (
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            ),
            Self::BatchEntryIdsNotDistinct(_) => {
                ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
            }
            Self::InvalidBatchEntryId => {
                ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId")
            }
            Self::BatchRequestTooLong(_) => {
                ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong")
            }
            Self::OverLimit => ("OverLimit", "OverLimit"),
            Self::PurgeQueueInProgress(_) => {
                ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress")
            }
            Self::ResourceNotFound(_) => ("ResourceNotFoundException", "ResourceNotFoundException"),
            Self::Serialization(_) => ("SerializationException", "SerializationException"),
            Self::UnknownOperation(_) => ("UnknownOperationException", "InvalidAction"),
        }
    }

    /// The code that clients match on.
    pub(super) fn code(&self) -> &'static str {
        self.names().1
    }

    pub(super) fn into_response(self) -> Response {
        let status = match self {
            Self::OverLimit | Self::PurgeQueueInProgress(_) => StatusCode::FORBIDDEN,
            Self::ResourceNotFound(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        let (shape, code) = self.names();
        let error = AwsError {
            status,
            code: format!("com.amazonaws.sqs#{shape}"),
            message: self.to_string(),
        };
        let mut response = error.into_json_response(CONTENT_TYPE);
        if let Ok(code) = HeaderValue::from_str(&format!("{code};Sender")) {
            response.headers_mut().insert("x-amzn-query-error", code);
        }
        response
    }
}
