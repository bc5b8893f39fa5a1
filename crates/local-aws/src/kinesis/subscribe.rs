//! `SubscribeToShard`: records pushed over an event stream as they come.

use std::convert::Infallible;
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures_util::stream::{self, Stream as Frames, StreamExt};
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::consumer::stream_of;
use super::read::{BYTES_MAX, Position, RECORDS_MAX, run};
use super::sequence::Sequence;
use super::stream::Stream;
use super::{CONTENT_TYPE, Kinesis, invalid_argument, parse, resource_in_use};
use crate::wire::{AwsError, Response};

/// A second subscription of a consumer to a shard within this is refused
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html>).
const RESUBSCRIBE_MS: u64 = 5_000;
/// An event comes at least this often, empty if need be.
const HEARTBEAT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    shard_id: String,
    starting_position: Position,
}

/// A subscription under way.
struct Subscription {
    kinesis: Kinesis,
    consumer_arn: String,
    shard: String,
    /// Which of the consumer's subscriptions to the shard this is: a later one ends it.
    number: u64,
    from: u64,
    changed: watch::Receiver<()>,
    heartbeat: Instant,
    ends: Instant,
    began: bool,
    ended: bool,
}

/// What a look at the shard shows.
enum Look {
    /// An event to push; the subscription ends after it if told so.
    Event { event: Value, from: u64, last: bool },
    /// Nothing new.
    Nothing,
    /// The subscription was taken over, or shard, consumer or stream are gone.
    Over,
}

impl Kinesis {
    pub(super) fn subscribe_to_shard(&self, body: &[u8]) -> Result<Response, AwsError> {
        let request: SubscribeToShard = parse(body)?;
        let named = stream_of(&request.consumer_arn);
        let (number, from, mut changed) = self.with_stream(&named, |stream, now_ms| {
            let shard = stream.shard(&request.shard_id)?;
            let from = request.starting_position.counter(stream, shard, now_ms)?;
            let number = admit(stream, &request, now_ms)?;
            Ok((number, from, stream.changed.subscribe()))
        })?;
        changed.mark_changed();
        let now = Instant::now();
        let subscription = Subscription {
            kinesis: self.clone(),
            consumer_arn: request.consumer_arn,
            shard: request.shard_id,
            number,
            from,
            changed,
            heartbeat: now + HEARTBEAT,
            ends: now + self.0.settings.subscription_lifetime,
            began: false,
            ended: false,
        };
        let mut response =
            http::Response::new(BodyExt::boxed(StreamBody::new(subscription.frames())));
        *response.status_mut() = StatusCode::OK;
        let event_stream = http::HeaderValue::from_static("application/vnd.amazon.eventstream");
        response.headers_mut().insert(http::header::CONTENT_TYPE, event_stream);
        Ok(response)
    }
}

/// Enters a subscription, unless the one before is too young. Its number.
fn admit(stream: &mut Stream, request: &SubscribeToShard, now_ms: u64) -> Result<u64, AwsError> {
    let mut consumers = stream.consumers.values_mut();
    let consumer = consumers.find(|consumer| consumer.arn == request.consumer_arn);
    let consumer = consumer.ok_or_else(|| {
        let message = format!("Consumer {} not found.", request.consumer_arn);
        AwsError::bad_request("ResourceNotFoundException", message)
    })?;
    let shard = &request.shard_id;
    if now_ms < consumer.active_from_ms {
        return Err(resource_in_use(format!("Consumer {} is being created.", consumer.name)));
    }
    let before = consumer.subscriptions.get(shard).copied();
    if before.is_some_and(|(at_ms, _)| now_ms < at_ms + RESUBSCRIBE_MS) {
        let message = format!("Another active subscription exists for this consumer: {shard}.");
        return Err(resource_in_use(message));
    }
    let number = before.map_or(0, |(_, number)| number + 1);
    consumer.subscriptions.insert(shard.clone(), (now_ms, number));
    stream.changed.send_replace(());
    Ok(number)
}

impl Subscription {
    fn frames(self) -> impl Frames<Item = Result<Frame<Bytes>, Infallible>> + Send {
        let frames = stream::unfold(self, |mut subscription| async move {
            let message = subscription.next().await?;
            Some((Ok(Frame::data(message)), subscription))
        });
        StreamExt::fuse(frames) // A body may be polled after its end.
    }

    /// The next message, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.began {
            self.began = true;
            return Some(message("initial-response", &json!({})));
        }
        while !self.ended {
            self.changed.mark_unchanged();
            match self.look() {
                Ok(Look::Event { event, from, last }) => {
                    (self.from, self.ended) = (from, last);
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return Some(message("SubscribeToShardEvent", &event));
                }
                Ok(Look::Nothing) => {}
                Ok(Look::Over) | Err(_) => return None,
            }
            tokio::select! {
                biased;
                () = sleep_until(self.ends) => return None,
                changed = self.changed.changed() => changed.ok()?,
                () = sleep_until(self.heartbeat) => {}
            }
        }
        None
    }

    fn look(&self) -> Result<Look, AwsError> {
        self.kinesis.with_stream(&stream_of(&self.consumer_arn), |stream, now_ms| {
            let mut consumers = stream.consumers.values();
            let consumer = consumers.find(|consumer| consumer.arn == self.consumer_arn);
            let current = consumer.and_then(|consumer| consumer.subscriptions.get(&self.shard));
            if current.is_none_or(|(_, number)| *number != self.number) {
                return Ok(Look::Over);
            }
            let shard = stream.shard(&self.shard)?;
            let run = run(stream, shard, self.from, RECORDS_MAX, now_ms);
            debug_assert!(run.bytes <= BYTES_MAX.max(stream.record_bytes_max + 1024));
            if run.count == 0 && run.children.is_none() && Instant::now() < self.heartbeat {
                return Ok(Look::Nothing);
            }
            let last = run.children.is_some();
            let mut event = json!({
                "Records": run.records,
                "MillisBehindLatest": run.millis_behind,
            });
            match run.children {
                Some(children) => event["ChildShards"] = children,
                None => event["ContinuationSequenceNumber"] = json!(before(run.next, now_ms)?),
            }
            Ok(Look::Event { event, from: run.next, last })
        })
    }
}

/// The number after which `counter` comes.
fn before(counter: u64, ms: u64) -> Result<String, AwsError> {
    let counter = counter.checked_sub(1).ok_or_else(|| invalid_argument("No such position."))?;
    Ok(Sequence { ms, counter }.to_string())
}

fn message(event_type: &'static str, payload: &Value) -> Bytes {
    let header = |name, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(Bytes::from(payload.to_string()))
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", event_type))
        .add_header(header(":content-type", CONTENT_TYPE));
    let mut frame = Vec::new();
    // Fails for a message of 16 MiB; ours end at 10 MB of data.
    if write_message_to(&message, &mut frame).is_err() {
        frame.clear();
    }
    Bytes::from(frame)
}
