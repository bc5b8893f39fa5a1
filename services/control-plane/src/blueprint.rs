//! What every river of a stage has in common.

use std::time::Duration;

use crate::arn::Arns;
use crate::config::Config;

/// The settings of a river's resources, with the names they refer to.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub(crate) arns: Arns,
    /// Key that encrypts queues; where there is none, SQS encrypts with its own.
    pub(crate) kms_key: Option<String>,
    pub(crate) visibility_s: u64,
    pub(crate) retention_s: u64,
    pub(crate) max_receive_count: u16,
    pub(crate) raw_delivery: bool,
    /// How long the rapids-reader writes what SNS may not deliver yet.
    pub(crate) bridge: Duration,
}

impl Blueprint {
    pub(crate) fn new(config: &Config, arns: Arns) -> Self {
        Self {
            arns,
            kms_key: config.kms_key.clone(),
            visibility_s: config.queue.visibility.as_secs(),
            retention_s: config.queue.retention.as_secs(),
            max_receive_count: config.dead_letter.max_receive_count,
            raw_delivery: config.raw_delivery,
            bridge: config.bridge,
        }
    }
}

#[cfg(test)]
impl Blueprint {
    /// With the default settings, in an account of its own.
    pub(crate) fn test() -> Self {
        let arns = Arns::of_topic("arn:aws:sns:us-east-1:123456789012:Rapids-dev").unwrap();
        Self::new(&Config::default(), arns)
    }
}
