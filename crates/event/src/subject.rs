//! The subject of an event as a message group of SQS.

use std::borrow::Cow;

use uuid::Uuid;

/// Longest message group id
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
const LENGTH_MAX: usize = 128;
/// Namespace of groups made from subjects that are none as they are.
const NAMESPACE: Uuid = Uuid::from_u128(0x0d5f_9e2b_7b1c_5c0e_8f52_7375_626a_6563);

/// The message group of a subject: the subject itself where SQS takes it, that is up to 128 letters, digits and
/// punctuation marks of ASCII, and otherwise a UUIDv5 of it. Equal subjects are in one group, different ones are not.
/// None for an empty one.
#[must_use]
pub fn message_group(subject: &str) -> Option<Cow<'_, str>> {
    if subject.is_empty() {
        return None;
    }
    // `is_ascii_graphic` is what the page calls alphanumeric and punctuation.
    let fits = subject.len() <= LENGTH_MAX && subject.bytes().all(|byte| byte.is_ascii_graphic());
    Some(if fits {
        Cow::Borrowed(subject)
    } else {
        Cow::Owned(Uuid::new_v5(&NAMESPACE, subject.as_bytes()).to_string())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_that_sqs_takes_is_its_own_group() {
        let longest = "x".repeat(LENGTH_MAX);
        for subject in ["sally@example.com", "{a}~!", &longest] {
            assert_eq!(message_group(subject).as_deref(), Some(subject));
        }
        assert_eq!(message_group(""), None);
    }

    proptest! {
        #[test]
        fn every_group_is_one_that_sqs_takes_and_tells_subjects_apart(
            one in "\\PC{1,200}", other in "\\PC{1,200}",
        ) {
            let (first, second) = (message_group(&one).unwrap(), message_group(&other).unwrap());
            prop_assert!((1..=LENGTH_MAX).contains(&first.len()));
            prop_assert!(first.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(one == other, first == second);
        }
    }
}
