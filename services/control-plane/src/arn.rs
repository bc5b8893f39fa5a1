//! Amazon Resource Names of queues, from that of the topic that feeds them.

/// What the resources of one stage have in common: partition, region, account.
///
/// A queue's ARN holds nothing else but its name, so that a plan can name a queue that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arns {
    topic: String,
    partition: String,
    region: String,
    account: String,
}

/// A text that is not the ARN of an SNS topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the ARN of an SNS topic, such as arn:aws:sns:us-east-1:123456789012:Rapids-dev"
)]
pub(crate) struct InvalidArn(String);

impl Arns {
    /// Takes apart the ARN of the topic.
    pub(crate) fn of_topic(topic: &str) -> Result<Self, InvalidArn> {
        let parts: Vec<_> = topic.split(':').collect();
        match parts[..] {
            ["arn", partition, "sns", region, account, name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty()) =>
            {
                Ok(Self {
                    topic: topic.to_owned(),
                    partition: partition.to_owned(),
                    region: region.to_owned(),
                    account: account.to_owned(),
                })
            }
            _ => Err(InvalidArn(topic.to_owned())),
        }
    }

    /// The topic's own.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The account of the topic and of every queue.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// That of the queue `name`.
    pub(crate) fn queue(&self, name: &str) -> String {
        format!("arn:{}:sqs:{}:{}:{name}", self.partition, self.region, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_lives_where_its_topic_lives() {
        let arns = Arns::of_topic("arn:aws-cn:sns:cn-north-1:123456789012:Rapids-dev").unwrap();
        assert_eq!(arns.queue("r1-dev"), "arn:aws-cn:sqs:cn-north-1:123456789012:r1-dev");
    }

    #[test]
    fn only_the_arn_of_a_topic_will_do() {
        for text in ["Rapids-dev", "arn:aws:sqs:r:a:q", "arn:aws:sns::a:t", "arn:aws:sns:r:a:t:sub"]
        {
            assert!(Arns::of_topic(text).unwrap_err().to_string().contains(text));
        }
    }
}
