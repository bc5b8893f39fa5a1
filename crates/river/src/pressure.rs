//! Tells failures that are made by load from those that are not.

use std::error::Error;

use crate::handler::{Failure, Kind};
use crate::limit::Fared;
use crate::rapids::NotPublished;

/// Error codes by which services of AWS say that they are asked too often. The first fourteen are those of the SDK's own
/// retry classifier (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>); the others are
/// those of the services that a handler is likely to call.
const THROTTLES: [&str; 19] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "KMSThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "ThrottlingError",
    "ServiceUnavailable",
];

/// How a handler fared that ended in this failure.
///
/// The SDK has an error type for each operation and no trait object for what they share, so the code is looked for
/// where every one of them says it: in the words of the chain of causes. That finds it as well in a failure whose
/// author kept nothing but the text.
pub(crate) fn fared(failure: &Failure) -> Fared {
    let error = match &failure.0 {
        Kind::Retry(error) | Kind::RetryAfter { error, .. } => error.as_ref(),
        Kind::Final { .. } => return Fared::Ill,
    };
    if is_unaccepted(error) || says_throttled(error) { Fared::Pressed } else { Fared::Ill }
}

/// Whether the rapids took no more, whatever the reason: more answers would not help them.
fn is_unaccepted(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(link) = next {
        if matches!(link.downcast_ref(), Some(NotPublished::NotAccepted { .. })) {
            return true;
        }
        next = link.source();
    }
    false
}

fn says_throttled(error: &(dyn Error + 'static)) -> bool {
    let said = chassis::explain(error);
    let mut words = said.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| THROTTLES.contains(&word))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::send_message::SendMessageError;
    use aws_sdk_sqs::types::error::{QueueDoesNotExist, RequestThrottled};

    use super::*;

    /// As a library in between wraps it.
    #[derive(Debug, thiserror::Error)]
    #[error("could not write")]
    struct Wrapped(#[source] Box<dyn Error + Send + Sync>);

    fn fared(error: impl Into<Failure>) -> Fared {
        super::fared(&error.into())
    }

    #[test]
    fn a_throttle_is_found_however_deep_and_whether_the_sdk_knows_it() {
        let known = SendMessageError::RequestThrottled(RequestThrottled::builder().build());
        assert_eq!(fared(Wrapped(Wrapped(known.into()).into())), Fared::Pressed);
        let unknown = |code| {
            let metadata = ErrorMetadata::builder().code(code).message("later").build();
            Wrapped(SendMessageError::generic(metadata).into())
        };
        for code in ["SlowDown", "RequestLimitExceeded", "ProvisionedThroughputExceededException"] {
            assert_eq!(fared(unknown(code)), Fared::Pressed, "{code}");
        }
        assert_eq!(fared(unknown("AccessDenied")), Fared::Ill);
    }

    #[test]
    fn rapids_that_take_no_more_are_pressure() {
        let (stream, last) = ("Rapids-dev".to_owned(), "InternalFailure".to_owned());
        let busy = NotPublished::NotAccepted { stream, accepted: 0, events: 1, last };
        assert_eq!(super::fared(&busy.into_failure()), Fared::Pressed);
    }

    #[test]
    fn what_would_fail_alone_as_well_is_no_pressure() {
        let gone = SendMessageError::QueueDoesNotExist(QueueDoesNotExist::builder().build());
        assert_eq!(fared(gone), Fared::Ill);
        assert_eq!(fared(std::io::Error::other("no such file")), Fared::Ill);
        assert_eq!(super::fared(&Failure::poison("SlowDown")), Fared::Ill);
        assert_eq!(super::fared(&Failure::retry("they said SlowDown, twice")), Fared::Pressed);
    }
}
