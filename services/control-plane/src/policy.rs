//! The JSON documents that SNS and SQS want: as text to be sent, compared as values.

use std::collections::BTreeSet;

use event::EVENT_TYPE_ATTRIBUTE;
use event::names::Topic;
use serde_json::{Value, json};

use crate::arn::Arns;

/// Allows the SNS topic, and nobody else through SNS, to put messages into the queue `name`. The account is
/// named as well so that a topic re-created elsewhere under the same name is no way in
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html>).
pub(crate) fn queue_policy(arns: &Arns, name: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "DeliverFromRapids",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": arns.queue(name),
            "Condition": {
                "ArnEquals": { "aws:SourceArn": arns.topic() },
                "StringEquals": { "aws:SourceAccount": arns.account() },
            },
        }],
    })
    .to_string()
}

/// Moves a message to the dead-letter queue once it was received that often. The count is a number: SQS takes a
/// string as well, but gives back what it was given.
pub(crate) fn queue_redrive(
    arns: &Arns,
    dead_letter_queue: &str,
    max_receive_count: u16,
) -> String {
    json!({
        "deadLetterTargetArn": arns.queue(dead_letter_queue),
        "maxReceiveCount": max_receive_count,
    })
    .to_string()
}

/// Where SNS puts a message that it cannot deliver. Without it such a message is lost
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html>).
pub(crate) fn subscription_redrive(arns: &Arns, dead_letter_queue: &str) -> String {
    json!({ "deadLetterTargetArn": arns.queue(dead_letter_queue) }).to_string()
}

/// Lets events of these types through.
pub(crate) fn filter(topics: &BTreeSet<Topic>) -> String {
    let topics: Vec<_> = topics.iter().map(Topic::as_str).collect();
    json!({ EVENT_TYPE_ATTRIBUTE: topics }).to_string()
}

/// Whether two documents mean the same: AWS gives them back in a layout of its own.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    a == b || value(a).is_some_and(|a| Some(a) == value(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::Blueprint;

    #[test]
    fn only_the_rapids_topic_of_this_account_may_send() {
        let policy = queue_policy(&Blueprint::test().arns, "r1-dev");
        let expected = r#"{"Version":"2012-10-17","Statement":[{"Sid":"DeliverFromRapids","Effect":"Allow",
            "Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage",
            "Resource":"arn:aws:sqs:us-east-1:123456789012:r1-dev","Condition":{
            "ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:123456789012:Rapids-dev"},
            "StringEquals":{"aws:SourceAccount":"123456789012"}}}]}"#;
        assert!(same(&policy, expected), "{policy}");
    }

    #[test]
    fn the_receive_count_is_a_number() {
        let policy = queue_redrive(&Blueprint::test().arns, "r1-dev-dlq", 5);
        assert!(policy.contains(r#""maxReceiveCount":5"#), "{policy}");
    }

    #[test]
    fn a_filter_lists_its_topics_in_order() {
        let topics = ["b", "a", "\"c"].map(|name| Topic::parse(name).unwrap()).into();
        assert_eq!(filter(&topics), r#"{"event_type":["\"c","a","b"]}"#);
    }

    #[test]
    fn layout_makes_no_difference() {
        assert!(same(r#"{"a":1,"b":[2]}"#, "{ \"b\": [2],\n \"a\": 1 }"));
        assert!(!same(r#"{"a":1}"#, r#"{"a":"1"}"#));
        assert!(same("30", "30") && !same("x", "y"));
    }
}
