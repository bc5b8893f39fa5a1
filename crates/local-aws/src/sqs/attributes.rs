//! What can be set on a queue.
//!
//! Ranges and defaults from
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::error::Error;

/// The settable attributes of a queue, each valid.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    values: BTreeMap<String, String>,
    fifo: bool,
}

/// When a message that is received once more goes elsewhere instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redrive {
    pub(super) target_arn: String,
    pub(super) receives_max: u32,
}

const RANGES: [(&str, RangeInclusive<u64>); 6] = [
    ("DelaySeconds", 0..=900),
    ("KmsDataKeyReusePeriodSeconds", 60..=86_400),
    ("MaximumMessageSize", 1_024..=1_048_576),
    ("MessageRetentionPeriod", 60..=1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0..=20),
    ("VisibilityTimeout", 0..=43_200),
];

const DEFAULTS: [(&str, &str); 6] = [
    ("DelaySeconds", "0"),
    ("MaximumMessageSize", "1048576"),
    ("MessageRetentionPeriod", "345600"),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("SqsManagedSseEnabled", "true"),
    ("VisibilityTimeout", "30"),
];

const FIFO_DEFAULTS: [(&str, &str); 4] = [
    ("ContentBasedDeduplication", "false"),
    ("DeduplicationScope", "queue"),
    ("FifoQueue", "true"),
    ("FifoThroughputLimit", "perQueue"),
];

impl Attributes {
    /// The defaults, with `given` over them.
    pub(super) fn create(fifo: bool, given: &BTreeMap<String, String>) -> Result<Self, Error> {
        let defaults = DEFAULTS.iter().chain(FIFO_DEFAULTS.iter().filter(|_| fifo));
        let values = defaults.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut attributes = Self { values, fifo };
        attributes.set(given)?;
        Ok(attributes)
    }

    /// Changes all of `given`, or nothing. An empty value removes a policy or a key.
    pub(super) fn set(&mut self, given: &BTreeMap<String, String>) -> Result<(), Error> {
        for (name, value) in given {
            check(name, value, self.fifo)?;
        }
        for (name, value) in given {
            if value.is_empty() {
                self.values.remove(name);
            } else {
                self.values.insert(name.clone(), value.clone());
            }
        }
        Ok(())
    }

    /// The first of `given` that is set otherwise.
    pub(super) fn conflict(&self, given: &BTreeMap<String, String>) -> Option<String> {
        let differs = |name: &String, value: &String| match self.values.get(name) {
            Some(current) => !same(current, value),
            None => !value.is_empty(),
        };
        given.iter().find(|(name, value)| differs(name, value)).map(|(name, _)| name.clone())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A number that has a default, so that it is always there.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    pub(super) fn redrive(&self) -> Option<Redrive> {
        self.get("RedrivePolicy").and_then(redrive)
    }
}

/// AWS compares documents by content, not by their spaces and the order of their keys.
fn same(left: &str, right: &str) -> bool {
    let document = |text: &str| serde_json::from_str::<Value>(text).ok();
    left == right || document(left).is_some_and(|left| Some(left) == document(right))
}

fn check(name: &str, value: &str, fifo: bool) -> Result<(), Error> {
    let invalid = || Err(Error::InvalidAttributeValue(name.into()));
    if let Some((_, range)) = RANGES.iter().find(|(known, _)| *known == name) {
        return match value.parse() {
            Ok(number) if range.contains(&number) => Ok(()),
            _ => invalid(),
        };
    }
    let valid = match name {
        "Policy" | "KmsMasterKeyId" | "RedriveAllowPolicy" => true,
        "RedrivePolicy" => value.is_empty() || redrive(value).is_some(),
        "SqsManagedSseEnabled" => is_boolean(value),
        "FifoQueue" if fifo => value == "true",
        "ContentBasedDeduplication" if fifo => is_boolean(value),
        "DeduplicationScope" if fifo => matches!(value, "messageGroup" | "queue"),
        "FifoThroughputLimit" if fifo => matches!(value, "perMessageGroupId" | "perQueue"),
        _ => return Err(Error::InvalidAttributeName(name.into())),
    };
    if valid { Ok(()) } else { invalid() }
}

fn is_boolean(value: &str) -> bool {
    matches!(value, "true" | "false")
}

/// AWS takes the count as a number and as a string; the CDK writes the first, CloudFormation the second.
fn redrive(policy: &str) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let count = &policy["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    let receives_max = u32::try_from(count).ok().filter(|count| (1..=1000).contains(count))?;
    Some(Redrive { target_arn: policy["deadLetterTargetArn"].as_str()?.into(), receives_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn a_receive_count_may_be_a_number_or_a_string() {
        for count in ["5", "\"5\""] {
            let policy = format!("{{\"deadLetterTargetArn\":\"arn\",\"maxReceiveCount\":{count}}}");
            let attributes =
                Attributes::create(false, &given(&[("RedrivePolicy", &policy)])).unwrap();
            assert_eq!(
                attributes.redrive(),
                Some(Redrive { target_arn: "arn".into(), receives_max: 5 })
            );
        }
    }

    #[test]
    fn values_out_of_range_and_names_unknown_are_refused() {
        let refused = |name: &str, value: &str| {
            Attributes::create(false, &given(&[(name, value)])).unwrap_err()
        };
        assert_eq!(
            refused("DelaySeconds", "901"),
            Error::InvalidAttributeValue("DelaySeconds".into())
        );
        assert_eq!(
            refused("MaximumMessageSize", "many"),
            Error::InvalidAttributeValue("MaximumMessageSize".into())
        );
        assert_eq!(refused("Colour", "blue"), Error::InvalidAttributeName("Colour".into()));
        assert_eq!(
            refused("DeduplicationScope", "queue"),
            Error::InvalidAttributeName("DeduplicationScope".into())
        );
    }

    #[test]
    fn a_change_that_is_half_wrong_changes_nothing() {
        let mut attributes = Attributes::create(false, &BTreeMap::new()).unwrap();
        attributes.set(&given(&[("DelaySeconds", "7"), ("VisibilityTimeout", "-1")])).unwrap_err();
        assert_eq!(attributes.number("DelaySeconds"), 0);
    }

    #[test]
    fn documents_are_compared_by_content() {
        let attributes = Attributes::create(false, &given(&[("Policy", r#"{"a":1,"b":2}"#)]));
        let attributes = attributes.unwrap();
        assert_eq!(attributes.conflict(&given(&[("Policy", r#"{ "b": 2, "a": 1 }"#)])), None);
        assert_eq!(
            attributes.conflict(&given(&[("VisibilityTimeout", "31")])),
            Some("VisibilityTimeout".into())
        );
    }
}
