//! The JSON documents that SNS and SQS want: as text to be sent, compared as values.

use std::collections::BTreeMap;

use event::EVENT_TYPE_ATTRIBUTE;
use event::filter::{FilterPolicy, Scope};
use event::names::Topic;
use event::packet::AttributeFilter;
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

/// The topics that a river wants, and what SNS is to check of the events of each.
pub(crate) type Topics = BTreeMap<Topic, AttributeFilter>;

/// Lets events of these topics through that keep their conditions. Conditions that would make it more than SNS takes
/// are left to the services, which check them anyway.
pub(crate) fn filter(topics: &Topics) -> String {
    let conditional = policy(topics);
    if FilterPolicy::parse(&conditional, Scope::Attributes).is_ok() {
        return conditional;
    }
    let plain = topics.keys().map(|topic| (topic.clone(), AttributeFilter::default()));
    policy(&plain.collect())
}

/// Topics with the same conditions stand together; several groups are joined by "or".
fn policy(topics: &Topics) -> String {
    let mut groups = BTreeMap::<String, (&AttributeFilter, Vec<Value>)>::new();
    for (topic, filter) in topics {
        let group = groups.entry(json!(filter.0).to_string()).or_insert((filter, Vec::new()));
        group.1.push(condition(topic));
    }
    let mut policies: Vec<_> = groups
        .into_values()
        .map(|(filter, topics)| {
            let mut policy = json!(filter.0);
            policy[EVENT_TYPE_ATTRIBUTE] = topics.into();
            policy
        })
        .collect();
    match policies.len() {
        1 => policies.remove(0).to_string(),
        _ => json!({ "$or": policies }).to_string(),
    }
}

/// What the event type has to be.
fn condition(topic: &Topic) -> Value {
    match topic.as_str().strip_suffix('*') {
        None => topic.as_str().into(),
        Some("") => json!({ "exists": true }),
        Some(prefix) => json!({ "prefix": prefix }),
    }
}

/// Whether a river's filter policy lets events of `topic` through on these conditions.
pub(crate) fn lets_through(policy: &str, topic: &Topic, filter: &AttributeFilter) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return false };
    let alternatives = match &policy["$or"] {
        Value::Array(alternatives) => alternatives.clone(),
        _ => vec![policy],
    };
    alternatives.into_iter().any(|mut alternative| {
        let Some(conditions) = alternative.as_object_mut() else { return false };
        let types = conditions.remove(EVENT_TYPE_ATTRIBUTE);
        let is_listed = types.as_ref().and_then(Value::as_array);
        let is_listed = is_listed.is_some_and(|types| types.contains(&condition(topic)));
        is_listed && (conditions.is_empty() || alternative == json!(filter.0))
    })
}

/// The statements of a policy; AWS allows a single one outside of a list.
fn statements(policy: &str) -> Vec<Value> {
    let policy = serde_json::from_str::<Value>(policy).unwrap_or_default();
    match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    }
}

/// Whether `found` says what `wanted` says, and perhaps more.
pub(crate) fn says(found: &str, wanted: &str) -> bool {
    let found = statements(found);
    statements(wanted).iter().all(|statement| found.contains(statement))
}

/// `wanted`, with the statements of `found` that are not its own under an older wording.
pub(crate) fn with_statements_of(wanted: &str, found: &str) -> String {
    let mut policy = serde_json::from_str::<Value>(wanted).unwrap_or_default();
    let mut all = foreign_statements(found, wanted);
    all.extend(statements(wanted));
    policy["Statement"] = all.into();
    policy.to_string()
}

/// Statements of `found` that are not of `wanted`, by their ids.
pub(crate) fn foreign_statements(found: &str, wanted: &str) -> Vec<Value> {
    let wanted = statements(wanted);
    let is_ours = |statement: &Value| {
        wanted.iter().any(|ours| statement == ours || statement["Sid"] == ours["Sid"])
    };
    statements(found).into_iter().filter(|statement| !is_ours(statement)).collect()
}

/// Whether two documents mean the same: AWS gives them back in a layout of its own.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    a == b || value(a).is_some_and(|a| Some(a) == value(b))
}

#[cfg(test)]
mod tests {
    use event::Packet;

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
        let topics = ["b", "a", "\"c"].map(Packet::of);
        assert_eq!(filter(&wanted(&topics)), r#"{"event_type":["\"c","a","b"]}"#);
    }

    #[test]
    fn a_pattern_is_a_prefix_and_a_star_is_everything() {
        let filter = filter(&wanted(&[Packet::of("system.*"), Packet::of("*")]));
        assert_eq!(filter, r#"{"event_type":[{"exists":true},{"prefix":"system."}]}"#);
    }

    #[test]
    fn topics_with_the_same_conditions_stand_together() {
        let live = |topic| Packet::of(topic).reject_value("/synthetic", true);
        let one = filter(&wanted(&[live("A"), live("B")]));
        assert_eq!(one, r#"{"event_type":["A","B"],"synthetic":[{"exists":false}]}"#);
        let both = filter(&wanted(&[live("A"), Packet::of("B"), live("C")]));
        assert_eq!(
            both,
            r#"{"$or":[{"event_type":["A","C"],"synthetic":[{"exists":false}]},{"event_type":["B"]}]}"#
        );
        FilterPolicy::parse(&both, Scope::Attributes).unwrap();
    }

    #[test]
    fn conditions_that_are_too_many_for_sns_are_left_to_the_services() {
        let packet = |n| Packet::of(format!("T{n:03}")).demand_any("/experiments/e", ["a", "b"]);
        let at_most = filter(&wanted(&(0..75).map(packet).collect::<Vec<_>>()));
        assert!(at_most.contains("arm"));
        let too_many = filter(&wanted(&(0..76).map(packet).collect::<Vec<_>>()));
        assert!(!too_many.contains("arm") && too_many.contains("T075"));
    }

    fn wanted(packets: &[Packet]) -> Topics {
        let topic = |packet: &Packet| Topic::parse(packet.topic()).unwrap();
        packets.iter().map(|packet| (topic(packet), packet.filter())).collect()
    }

    #[test]
    fn layout_makes_no_difference() {
        assert!(same(r#"{"a":1,"b":[2]}"#, "{ \"b\": [2],\n \"a\": 1 }"));
        assert!(!same(r#"{"a":1}"#, r#"{"a":"1"}"#));
        assert!(same("30", "30") && !same("x", "y"));
    }
}
