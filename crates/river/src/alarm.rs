//! An event that a service sends itself, to come after a while: a timer that survives the process.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_sqs::Client;
use event::{Event, message_group};

/// Longest delay of a message in SQS
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
const DELAY_MAX: Duration = Duration::from_secs(900);

/// Sends events to the service's own river, and to nobody else. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alarm {
    sqs: Client,
    /// Known once the service has hooked in, and so before it handles anything.
    queue_url: Arc<OnceLock<String>>,
}

/// The river did not take the event.
#[derive(Debug, thiserror::Error)]
#[error("the own river took no alarm: {0}")]
pub struct NotRung(String);

impl Alarm {
    pub(crate) fn new(sqs: Client) -> Self {
        Self { sqs, queue_url: Arc::default() }
    }

    pub(crate) fn hooked_in(&self, queue_url: &str) {
        self.queue_url.get_or_init(|| queue_url.to_owned());
    }

    /// Sends `event` to the own river, to be received by one of the service's processes once `after` is over:
    /// in whole seconds, rounded up, 15 minutes at most. Once this has returned `Ok`, it will come.
    ///
    /// # Errors
    /// [`NotRung`], also before the service has hooked in.
    pub async fn ring(&self, event: &Event, after: Duration) -> Result<(), NotRung> {
        let Some(queue_url) = self.queue_url.get() else {
            return Err(NotRung("the service has not hooked in yet".to_owned()));
        };
        let send = self.sqs.send_message().queue_url(queue_url).message_body(event.to_json());
        let group = event.subject.as_deref().and_then(message_group);
        let send = send.set_message_group_id(group.map(Cow::into_owned));
        let sent = send.delay_seconds(seconds(after)).send().await;
        sent.map(drop).map_err(|error| NotRung(chassis::explain(&error)))
    }
}

fn seconds(after: Duration) -> i32 {
    let after = after.min(DELAY_MAX);
    let up = u64::from(after.subsec_nanos() > 0);
    i32::try_from(after.as_secs() + up).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_and_limited() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(5_001)), 6);
        assert_eq!(seconds(Duration::from_secs(5)), 5);
        assert_eq!(seconds(Duration::MAX), 900);
    }
}
