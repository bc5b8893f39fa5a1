//! Queues of SQS: what a river's should be, what it is, and the calls that change it.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::delete_queue::DeleteQueueError;
use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError;
use aws_sdk_sqs::types::QueueAttributeName;
use event::names::River;

use crate::blueprint::Blueprint;
use crate::error::Error;
use crate::policy;

/// Attributes of a queue, by the names of the SQS API.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Retention of dead-letter queues: the longest that SQS has, 14 days. A message keeps the time at which it was
/// first sent, so that anything less would eat into the time that people have.
const DEAD_LETTER_RETENTION_S: u64 = 14 * 24 * 3_600;

const POLICY: &str = "Policy";
const KMS_KEY: &str = "KmsMasterKeyId";
const SQS_KEY: &str = "SqsManagedSseEnabled";

/// A queue as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) attributes: Attributes,
}

/// What the attributes of a river's queue should be.
pub(crate) fn wanted(blueprint: &Blueprint, river: &River) -> Attributes {
    let (arns, dead_letter) = (&blueprint.arns, river.dead_letter_queue());
    let redrive = policy::queue_redrive(arns, &dead_letter, blueprint.max_receive_count);
    let mut attributes = guarded(blueprint, &river.queue(), blueprint.retention_s);
    attributes.insert("VisibilityTimeout".to_owned(), blueprint.visibility_s.to_string());
    attributes.insert("RedrivePolicy".to_owned(), redrive);
    attributes
}

/// What the attributes of a river's dead-letter queue should be. SNS may send there too: what it could not
/// deliver to the river.
pub(crate) fn wanted_dead_letter(blueprint: &Blueprint, river: &River) -> Attributes {
    guarded(blueprint, &river.dead_letter_queue(), DEAD_LETTER_RETENTION_S)
}

/// What all queues have: retention, policy and encryption.
fn guarded(blueprint: &Blueprint, name: &str, retention_s: u64) -> Attributes {
    let encryption = match &blueprint.kms_key {
        Some(key) => (KMS_KEY, key.clone()),
        None => (SQS_KEY, "true".to_owned()),
    };
    let attributes = [
        ("MessageRetentionPeriod", retention_s.to_string()),
        (POLICY, policy::queue_policy(&blueprint.arns, name)),
        encryption,
    ];
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Those of `wanted` that `found` lacks or has otherwise, as they are to be set. What is not wanted is left alone.
pub(crate) fn missing(wanted: Attributes, found: &Attributes) -> Attributes {
    let differs = |(name, value): &(String, String)| {
        let encrypted = name == SQS_KEY && key_of_others(found).is_some();
        !encrypted && !has(found, name, value)
    };
    let whole = |(name, value): (String, String)| {
        let value = match found.get(POLICY).filter(|_| name == POLICY) {
            Some(found) => policy::with_statements_of(&value, found),
            None => value,
        };
        (name, value)
    };
    wanted.into_iter().filter(differs).map(whole).collect()
}

/// Whether an attribute is as it should be. A policy may say more than it should, as long as it says that.
pub(crate) fn has(found: &Attributes, name: &str, wanted: &str) -> bool {
    found.get(name).is_some_and(|found| match name {
        POLICY => policy::says(found, wanted),
        _ => policy::same(found, wanted),
    })
}

/// What others did to a queue and may have done on purpose: it is told and left.
pub(crate) fn foreign(name: &str, wanted: &Attributes, found: &Attributes) -> Vec<String> {
    let mut findings = Vec::new();
    let policies = wanted.get(POLICY).zip(found.get(POLICY));
    if let Some((wanted, found)) = policies {
        findings.extend(policy::foreign_statements(found, wanted).into_iter().map(|statement| {
            format!("queue {name} has a statement in its policy that is not of the control plane: {statement}")
        }));
    }
    if let Some(key) = key_of_others(found).filter(|_| wanted.contains_key(SQS_KEY)) {
        findings.push(format!(
            "queue {name} is encrypted with {key}, which the control plane was not told of (kms_key): it is left so, \
             and the key's policy must let sns.amazonaws.com use it"
        ));
    }
    for (attribute, usual) in [("DelaySeconds", "0"), ("MaximumMessageSize", "1048576")] {
        let value = found.get(attribute).map_or(usual, String::as_str);
        if value != usual && !(attribute == "MaximumMessageSize" && value == "262144") {
            findings.push(format!("queue {name} has {attribute} {value}, where {usual} is usual"));
        }
    }
    findings
}

/// The customer's key that a queue is encrypted with.
fn key_of_others(found: &Attributes) -> Option<&str> {
    found.get(KMS_KEY).map(String::as_str).filter(|key| !key.is_empty())
}

/// The queues of an account.
#[derive(Clone, Debug)]
pub(crate) struct Queues(pub(crate) Client);

impl Queues {
    /// The queue `name`, if there is one.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Queue>, Error> {
        let found = match self.0.get_queue_url().queue_name(name).send().await {
            Ok(found) => found,
            Err(error) => {
                let known = error.as_service_error();
                if known.is_some_and(GetQueueUrlError::is_queue_does_not_exist) {
                    return Ok(None);
                }
                return Err(Error::of_call("SQS GetQueueUrl", name, error));
            }
        };
        let url = found.queue_url;
        let url = url.ok_or_else(|| Error::incomplete("SQS GetQueueUrl", name, "QueueUrl"))?;
        let all = QueueAttributeName::All;
        let found = self.0.get_queue_attributes().queue_url(&url).attribute_names(all).send().await;
        let found = found.map_err(|error| Error::of_call("SQS GetQueueAttributes", name, error))?;
        let attributes = found.attributes.unwrap_or_default().into_iter();
        let attributes =
            attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect();
        Ok(Some(Queue { url, attributes }))
    }

    /// Makes the queue `name`, and returns its URL. Without attributes: a queue that was made meanwhile by
    /// somebody else is then found and not refused.
    pub(crate) async fn create(&self, name: &str) -> Result<String, Error> {
        let made = self.0.create_queue().queue_name(name).send().await;
        let made = made.map_err(|error| Error::of_call("SQS CreateQueue", name, error))?;
        made.queue_url.ok_or_else(|| Error::incomplete("SQS CreateQueue", name, "QueueUrl"))
    }

    /// Sets attributes of the queue at `url`.
    pub(crate) async fn set(&self, url: &str, attributes: &Attributes) -> Result<(), Error> {
        let mut set = self.0.set_queue_attributes().queue_url(url);
        for (name, value) in attributes {
            set = set.attributes(QueueAttributeName::from(name.as_str()), value);
        }
        set.send().await.map_err(|error| Error::of_call("SQS SetQueueAttributes", url, error))?;
        Ok(())
    }

    /// Deletes the queue at `url`, with what is in it. One that is gone is no error.
    pub(crate) async fn delete(&self, url: &str) -> Result<(), Error> {
        let Err(error) = self.0.delete_queue().queue_url(url).send().await else { return Ok(()) };
        let known = error.as_service_error();
        if known.is_some_and(DeleteQueueError::is_queue_does_not_exist) {
            return Ok(());
        }
        Err(Error::of_call("SQS DeleteQueue", url, error))
    }
}

#[cfg(test)]
mod tests {
    use event::names::Stage;

    use super::*;

    fn river() -> River {
        River::parse("r1", &Stage::parse("dev").unwrap()).unwrap()
    }

    #[test]
    fn a_river_keeps_four_days_and_its_dead_letters_fourteen() {
        let blueprint = Blueprint::test();
        let attributes = wanted(&blueprint, &river());
        assert_eq!(attributes["MessageRetentionPeriod"], "345600");
        assert_eq!(attributes["VisibilityTimeout"], "30");
        assert_eq!(attributes["SqsManagedSseEnabled"], "true");
        assert!(attributes["RedrivePolicy"].contains("123456789012:r1-dev-dlq"));
        assert!(attributes["Policy"].contains("123456789012:r1-dev\""));
        let attributes = wanted_dead_letter(&blueprint, &river());
        assert_eq!(attributes["MessageRetentionPeriod"], "1209600");
        assert!(attributes["Policy"].contains("123456789012:r1-dev-dlq\""));
        assert!(!attributes.contains_key("RedrivePolicy"));
    }

    #[test]
    fn a_key_takes_the_place_of_sqss_own() {
        let blueprint = Blueprint { kms_key: Some("alias/rapids".to_owned()), ..Blueprint::test() };
        for attributes in [wanted(&blueprint, &river()), wanted_dead_letter(&blueprint, &river())] {
            assert_eq!(attributes["KmsMasterKeyId"], "alias/rapids");
            assert!(!attributes.contains_key("SqsManagedSseEnabled"));
        }
    }

    #[test]
    fn only_what_differs_is_missing() {
        let wanted = wanted(&Blueprint::test(), &river());
        let mut found = wanted.clone();
        found.insert("DelaySeconds".to_owned(), "0".to_owned());
        let spaced = found["Policy"].replace(',', ", ");
        found.insert("Policy".to_owned(), spaced);
        assert_eq!(missing(wanted.clone(), &found), Attributes::new());
        found.insert("VisibilityTimeout".to_owned(), "31".to_owned());
        found.remove("RedrivePolicy");
        let missing = missing(wanted, &found);
        assert_eq!(missing.keys().collect::<Vec<_>>(), ["RedrivePolicy", "VisibilityTimeout"]);
    }

    #[test]
    fn what_others_allowed_stays_and_what_is_ours_is_put_back() {
        let wanted = wanted(&Blueprint::test(), &river());
        let other = r#"{"Sid":"Audit","Effect":"Allow","Principal":{"AWS":"1"},"Action":"sqs:*","Resource":"q"}"#;
        let mut found = wanted.clone();
        let edited = wanted["Policy"]
            .replace("DeliverFromRapids", "Mine")
            .replace(r#""Statement":["#, &format!(r#""Statement":[{other},"#));
        found.insert("Policy".to_owned(), edited);
        let set = missing(wanted.clone(), &found);
        assert_eq!(set.keys().collect::<Vec<_>>(), ["Policy"]);
        assert!(set["Policy"].contains("Audit") && set["Policy"].contains("DeliverFromRapids"));
        found.extend(set);
        assert_eq!(missing(wanted.clone(), &found), Attributes::new());
        let findings = foreign("r1-dev", &wanted, &found).join("; ");
        assert!(findings.contains("Audit") && findings.contains("Mine"), "{findings}");
    }

    #[test]
    fn a_key_that_others_chose_is_not_taken_away() {
        let wanted = wanted(&Blueprint::test(), &river());
        let mut found = wanted.clone();
        found.remove("SqsManagedSseEnabled");
        assert_eq!(missing(wanted.clone(), &found).len(), 1);
        found.insert("KmsMasterKeyId".to_owned(), "alias/theirs".to_owned());
        assert_eq!(missing(wanted.clone(), &found), Attributes::new());
        assert!(foreign("r1-dev", &wanted, &found)[0].contains("alias/theirs"));
    }
}
