//! What can go wrong with a command, told by what is done about it.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Asking again cannot help: the command is quarantined.
    #[error("{what} is refused: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// In whose words.
        why: String,
    },
    /// The command asks for what the platform's own rules forbid: it is quarantined.
    #[error("{what} is refused: {why}")]
    Unfit {
        /// What was asked for.
        what: String,
        /// By which rule.
        why: String,
    },
    /// Asking again may help: the command is tried again.
    #[error("{call} {target} failed")]
    Unavailable {
        /// The API operation, with its service.
        call: &'static str,
        /// The queue, table, topic or subscription.
        target: String,
        /// What the SDK said; its retries are used up.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What SNS says when there can be no more filter policies, or no more subscriptions
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html>).
const LIMITS: [&str; 2] = ["FilterPolicyLimitExceeded", "SubscriptionLimitExceeded"];
/// What SNS says of a parameter that it does not take.
const INVALID: &str = "InvalidParameter";

/// Whether the command asks for something that AWS will not have. Whatever is not listed here is taken for
/// something that an operator or time will put right, a missing permission included: then nothing is lost.
fn is_refusal(code: &str, message: &str) -> bool {
    let code = code.trim_end_matches("Exception");
    // Of all parameters only the filter is made from commands.
    let filter = message.contains("FilterPolicy") || message.contains("ilter policy");
    LIMITS.contains(&code) || (code == INVALID && filter)
}

impl Error {
    /// Tells a refusal from a failure.
    pub(crate) fn of_call<E>(call: &'static str, target: &str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let target = target.to_owned();
        let code = error.code().unwrap_or_default();
        let message = error.message().unwrap_or_default();
        if is_refusal(code, message) {
            let why = format!("{code}: {message}");
            return Self::Refused { what: format!("{call} {target}"), why };
        }
        Self::Unavailable { call, target, source: error.into() }
    }

    /// An answer of AWS that lacks what its documentation promises.
    pub(crate) fn incomplete(call: &'static str, target: &str, missing: &'static str) -> Self {
        let source = format!("the answer has no {missing}").into();
        Self::Unavailable { call, target: target.to_owned(), source }
    }

    /// The same refusal, of something else.
    pub(crate) fn about(self, what: impl std::fmt::Display) -> Self {
        match self {
            Self::Refused { why, .. } => Self::Refused { what: what.to_string(), why },
            other => other,
        }
    }

    /// Whether SNS has no room for another subscription: what it says.
    pub(crate) fn limit(&self) -> Option<&str> {
        match self {
            Self::Refused { why, .. } if LIMITS.iter().any(|limit| why.starts_with(limit)) => {
                Some(why)
            }
            _ => None,
        }
    }

    /// Whether asking again cannot help.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Unfit { .. } => true,
            Self::Unavailable { .. } => false,
        }
    }

    /// Who refused, in one word, for counting.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unfit { .. } => "unfit",
            Self::Refused { .. } | Self::Unavailable { .. } => "refused_by_aws",
        }
    }

    /// One line with the cause.
    pub(crate) fn explain(&self) -> String {
        chassis::explain(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_command_asks_for_can_be_refused() {
        assert!(is_refusal("FilterPolicyLimitExceeded", "too many"));
        assert!(is_refusal("SubscriptionLimitExceededException", "too many"));
        assert!(is_refusal(
            "InvalidParameter",
            "Invalid parameter: FilterPolicy: Filter policy is too complex"
        ));
        let stale = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes";
        assert!(!is_refusal("InvalidParameter", stale));
        for code in ["AuthorizationError", "Throttled", "KMSAccessDenied", "NotFound", ""] {
            assert!(!is_refusal(code, "no"), "{code}");
        }
    }
}
