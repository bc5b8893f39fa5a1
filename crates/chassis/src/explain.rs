//! Errors in one line for people.

use std::error::Error;
use std::io;

use aws_smithy_types::error::ErrorMetadata;

/// What the SDK and its HTTP client say of themselves on the way to the cause; it tells nobody anything.
const FILLERS: [&str; 10] = [
    "service error",
    "dispatch failure",
    "io error",
    "other",
    "timeout",
    "unhandled error",
    "client error (Connect)",
    "client error (SendRequest)",
    "tcp connect error",
    "the credential provider was not enabled",
];

/// What the SDK says of mistakes that everybody makes once, and what is said instead.
const TRANSLATIONS: [(&str, &str); 2] = [
    (
        "no credentials found in chain",
        "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
         or give the process a role",
    ),
    ("Missing Region", "no AWS region is set: set AWS_REGION, or a region in the profile"),
];

/// One line that names the cause: every link of the chain that says something, outermost first.
///
/// Made for errors of the AWS SDK, plain or wrapped (for an `anyhow::Error`, pass `error.as_ref()`):
/// `could not reach AWS at http://127.0.0.1:9: connection refused`,
/// `ResourceNotFoundException: Stream Rapids-dev not found`.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut links: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(link) = next {
        let said = say(link);
        let repeated = links.last().is_some_and(|last| last.ends_with(&said));
        if !is_filler(&said) && !repeated {
            links.push(said);
        }
        next = link.source();
    }
    if links.is_empty() { error.to_string() } else { links.join(": ") }
}

fn say(link: &(dyn Error + 'static)) -> String {
    if let Some(metadata) = link.downcast_ref::<ErrorMetadata>() {
        let code = metadata.code().unwrap_or("an answer without an error code (is this AWS?)");
        return metadata
            .message()
            .map_or_else(|| code.to_owned(), |said| format!("{code}: {said}"));
    }
    // Some messages are wrapped over several lines.
    let said = link.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((_, plain)) = TRANSLATIONS.iter().find(|(theirs, _)| said.contains(theirs)) {
        return (*plain).to_owned();
    }
    if link.is::<io::Error>() { plain_io(&said) } else { said }
}

/// `Connection refused (os error 111)` without the number, and as the middle of a sentence.
fn plain_io(said: &str) -> String {
    let said = said.split(" (os error").next().unwrap_or(said);
    let mut letters = said.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn is_filler(said: &str) -> bool {
    said.is_empty() || FILLERS.contains(&said) || said.starts_with("unhandled error (")
}

#[cfg(test)]
mod tests {
    use aws_config::Region;
    use aws_config::retry::RetryConfig;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;
    use crate::aws_config;

    #[test]
    fn context_is_kept_and_repetition_is_not() {
        let refused = io::Error::from_raw_os_error(111);
        let error = anyhow::Error::from(refused).context("could not bind 0.0.0.0:9464");
        assert_eq!(explain(error.as_ref()), "could not bind 0.0.0.0:9464: connection refused");
        let twice = anyhow::anyhow!("no such table").context("no such table");
        assert_eq!(explain(twice.as_ref()), "no such table");
    }

    #[test]
    fn a_refusal_of_aws_is_code_and_message() {
        let metadata = ErrorMetadata::builder().code("AccessDenied").message("not you").build();
        let error = aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError::generic(metadata);
        assert_eq!(explain(&error), "AccessDenied: not you");
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_is_named() {
        let config = aws_config()
            .await
            .into_builder()
            .region(Region::new("us-east-1"))
            .endpoint_url("http://127.0.0.1:9")
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .retry_config(RetryConfig::disabled())
            .build();
        let error = aws_sdk_sqs::Client::new(&config).list_queues().send().await.unwrap_err();
        assert_eq!(
            explain(&error),
            "could not reach AWS at http://127.0.0.1:9: connection refused"
        );
    }
}
