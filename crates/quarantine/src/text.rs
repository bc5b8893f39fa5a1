//! What SQS takes as text.

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::MessageAttributeValue;

/// Attributes count towards the size of a message; nobody reads more of a reason.
const ATTRIBUTE_CHARS_MAX: usize = 1_000;

/// `value` as a message attribute: cut to a length that people read, and without what SQS refuses.
///
/// # Errors
/// None that a caller can cause; the SDK's builder has the type.
pub fn attribute(value: &str) -> Result<MessageAttributeValue, BuildError> {
    let replace = |c| if is_allowed(c) { c } else { char::REPLACEMENT_CHARACTER };
    let value: String = value.chars().take(ATTRIBUTE_CHARS_MAX).map(replace).collect();
    MessageAttributeValue::builder().data_type("String").string_value(value).build()
}

/// Characters that SQS takes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
pub(crate) fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_made_fit_for_an_attribute() {
        let value = |text: &str| attribute(text).unwrap().string_value.unwrap();
        assert_eq!(value("a\0b\u{ffff}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(value(&"x".repeat(2_000)).len(), 1_000);
    }
}
