//! Hooks a service into the system: says what it listens to and emits, and waits for its queue.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry as Record;
use aws_sdk_sqs::types::QueueAttributeName;
use chassis::Kit;
use event::control::Command;
use event::names::River;
use event::{Advert, Packet};
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// First and longest pause between two attempts: quick on a laptop, cheap for a cluster that waits all night.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How a service hooks in.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) kit: Kit,
    pub(crate) river: River,
    pub(crate) control: String,
    /// None where others decide about subscriptions.
    pub(crate) commands: Vec<Command>,
}

/// Where a service is once it has hooked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hooked {
    pub(crate) queue_url: String,
    /// Receives after which SQS itself moves a message to the dead-letter queue, if it does.
    pub(crate) receives_max: Option<u32>,
}

/// What the control plane is asked for.
pub(crate) fn commands(river: &River, listens_to: &[Packet], emits: Vec<Advert>) -> Vec<Command> {
    let subscribe = |packet: &Packet| Command::Subscribe {
        river: river.as_str().to_owned(),
        topic: packet.topic().to_owned(),
        rules: packet.rules().to_vec(),
    };
    let subscriptions = listens_to.iter().filter(|packet| !packet.is_own()).map(subscribe);
    subscriptions.chain(emits.into_iter().map(Command::Advertise)).collect()
}

impl Hook {
    /// Asks, and waits for the queue; none when told to stop.
    pub(crate) async fn hook_in(&self, stop: &CancellationToken) -> Option<Hooked> {
        let what = format!("control stream {}", self.control);
        patiently(&what, stop, || self.ask(&self.control)).await?;
        let what = format!("queue {}, which the control plane makes", self.river.queue());
        let queue_url = patiently(&what, stop, || self.queue_url()).await?;
        let redrive = self.redrive_policy(&queue_url).await;
        let redrive = redrive.inspect_err(|error| {
            let queue = self.river.queue();
            warn!(
                queue,
                error, "could not read the redrive policy: retries may end without a reason"
            );
        });
        let receives_max = redrive.ok().flatten().and_then(|policy| receives_max(&policy));
        Some(Hooked { queue_url, receives_max })
    }

    async fn ask(&self, stream: &str) -> Result<(), String> {
        let records = self.commands.iter().map(|command| {
            let data = Blob::new(command.to_json());
            Record::builder().data(data).partition_key(command.partition_key()).build()
        });
        let records = records.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        if records.is_empty() {
            return Ok(());
        }
        let call = self.kit.kinesis().put_records().stream_name(stream).set_records(Some(records));
        let reply = call.send().await.map_err(|error| chassis::explain(&error))?;
        // Whatever was taken may come again: the commands say how things should be, not what to change.
        let failed = reply.records().iter().find_map(|entry| entry.error_code());
        failed.map_or(Ok(()), |code| Err(code.to_owned()))
    }

    async fn queue_url(&self) -> Result<String, String> {
        let name = self.river.queue();
        let found = self.kit.sqs().get_queue_url().queue_name(&name).send().await;
        let found = found.map_err(|error| chassis::explain(&error))?;
        found.queue_url.ok_or_else(|| format!("SQS gave no URL for queue {name}"))
    }

    async fn redrive_policy(&self, queue_url: &str) -> Result<Option<String>, String> {
        let policy = QueueAttributeName::RedrivePolicy;
        let get = self.kit.sqs().get_queue_attributes().queue_url(queue_url);
        let reply = get.attribute_names(policy.clone()).send().await;
        let reply = reply.map_err(|error| chassis::explain(&error))?;
        Ok(reply.attributes.and_then(|mut attributes| attributes.remove(&policy)))
    }
}

/// What a redrive policy says about receives. SQS has the number as a text or as a number.
fn receives_max(policy: &str) -> Option<u32> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    match policy.get("maxReceiveCount")? {
        Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Tries until it works or the process stops. Says once what it waits for, and once that it came.
async fn patiently<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    stop: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Option<T> {
    let (mut pause, pause_max) = PAUSES;
    let mut told = false;
    loop {
        let error = match attempt().await {
            Ok(done) if told => {
                info!("found {what}");
                return Some(done);
            }
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        if !told {
            info!(error, "waiting for {what}");
            told = true;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = sleep(pause) => pause = (pause * 2).min(pause_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::names::Stage;

    use super::*;

    #[test]
    fn every_topic_is_asked_for_and_every_event_advertised() {
        let river = River::parse("location", &Stage::parse("dev").unwrap()).unwrap();
        let packet = Packet::of("ViewPage").demand_value("/eventDomain", "web");
        let listens_to = [packet.clone(), Packet::own("WindowDue")];
        let commands = commands(&river, &listens_to, vec![Advert::of("OfferProposed")]);
        let (river, topic) = ("location".to_owned(), "ViewPage".to_owned());
        let subscribe = Command::Subscribe { river, topic, rules: packet.rules().to_vec() };
        let advertise = Command::advertise("OfferProposed");
        assert_eq!(commands, [subscribe, advertise]);
    }

    #[test]
    fn the_receives_that_a_redrive_policy_allows_are_read_in_both_spellings() {
        assert_eq!(receives_max(r#"{"maxReceiveCount":5,"deadLetterTargetArn":"x"}"#), Some(5));
        assert_eq!(receives_max(r#"{"maxReceiveCount":"7"}"#), Some(7));
        assert_eq!(receives_max("{}"), None);
        assert_eq!(receives_max(""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_waiting() {
        let stop = CancellationToken::new();
        let mut attempts = 0;
        let waited = patiently("nothing", &stop, || {
            attempts += 1;
            if attempts == 5 {
                stop.cancel();
            }
            std::future::ready(Err::<(), _>("missing".to_owned()))
        });
        assert_eq!(waited.await, None);
        assert_eq!(attempts, 5);
    }
}
