//! `SubscribeToShard`: records pushed over an event stream as they come.

use std::convert::Infallible;
use std::time::Duration;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures_util::stream::{self, Stream as Frames, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::consumer::Subscribed;
use super::error::{not_found, parse, reply, resource_in_use};
use super::read::{Position, RECORDS_MAX, Run, run};
use super::sequence::Sequence;
use super::shard::ShardId;
use super::stream::Stream;
use super::{CONTENT_TYPE, Kinesis, StreamRef};
use crate::wire::{AwsError, Response};

/// A second subscription of a consumer to a shard within this is refused
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html>).
const RESUBSCRIBE_MS: u64 = 5_000;
/// An event comes at least this often, empty if need be, so that readers see their lag and a live connection.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Data in an event: what a shard gives a consumer in a second. A frame of the encoding ends at 16 MiB.
const BYTES_MAX: usize = 2 << 20;

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
    /// Of the stream: one that was made anew is another.
    generation: u64,
    consumer_arn: String,
    shard: String,
    /// Which of the consumer's subscriptions to the shard this is: a later one ends it.
    number: u64,
    from: u64,
    changed: watch::Receiver<()>,
    heartbeat: Instant,
    ends: Instant,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    New,
    Open,
    /// The last message was sent.
    Over,
}

/// What a look at the shard shows.
enum Look {
    /// An event to push, and whether it is the last.
    Event { event: String, from: u64, last: bool },
    /// Nothing new.
    Nothing,
    /// A later subscription took over.
    TakenOver,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(flatten)]
    run: &'a Run<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_sequence_number: Option<Sequence>,
}

impl Kinesis {
    pub(super) fn subscribe_to_shard(&self, body: &[u8]) -> Result<Response, AwsError> {
        let request: SubscribeToShard = parse(body)?;
        let named = StreamRef::of_arn(&request.consumer_arn);
        let (generation, number, from, changed) = self.with_stream(&named, |stream, now_ms| {
            let shard = stream.shard(&request.shard_id)?;
            let from = request.starting_position.counter(stream, shard, now_ms)?;
            let number = admit(stream, shard.id, &request.consumer_arn, now_ms)?;
            Ok((stream.generation, number, from, stream.changed.subscribe()))
        })?;
        let now = Instant::now();
        let subscription = Subscription {
            kinesis: self.clone(),
            generation,
            consumer_arn: request.consumer_arn,
            shard: request.shard_id,
            number,
            from,
            changed,
            heartbeat: now + HEARTBEAT,
            ends: now + self.0.settings.subscription_lifetime,
            stage: Stage::New,
        };
        let mut response =
            http::Response::new(BodyExt::boxed(StreamBody::new(subscription.frames())));
        let event_stream = http::HeaderValue::from_static("application/vnd.amazon.eventstream");
        response.headers_mut().insert(http::header::CONTENT_TYPE, event_stream);
        Ok(response)
    }
}

/// Enters a subscription, unless the one before is too young. Its number.
fn admit(stream: &mut Stream, shard: ShardId, arn: &str, now_ms: u64) -> Result<u64, AwsError> {
    let title = stream.title();
    let consumer = stream.consumers.values_mut().find(|consumer| consumer.arn == arn);
    let consumer = consumer
        .ok_or_else(|| not_found(format!("Consumer {arn} of stream {title} not found.")))?;
    if !consumer.is_active(now_ms) {
        let message = format!("Consumer {} of stream {title} is not ACTIVE.", consumer.name);
        return Err(resource_in_use(message));
    }
    let before = consumer.subscriptions.get(&shard);
    if before.is_some_and(|before| now_ms < before.at_ms + RESUBSCRIBE_MS) {
        let message =
            format!("Another active subscription exists for this consumer: {title}:{shard}:{arn}.");
        return Err(resource_in_use(message));
    }
    let number = before.map_or(0, |before| before.number + 1);
    consumer.subscriptions.insert(shard, Subscribed { at_ms: now_ms, number });
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
        if self.stage == Stage::New {
            self.stage = Stage::Open;
            return event("initial-response", "{}".to_owned());
        }
        while self.stage == Stage::Open {
            // Before the look: what comes after it must wake.
            self.changed.mark_unchanged();
            match self.look() {
                Ok(Look::Event { event: body, from, last }) => {
                    self.from = from;
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    if last {
                        self.stage = Stage::Over;
                    }
                    return event("SubscribeToShardEvent", body);
                }
                Ok(Look::Nothing) => {}
                Ok(Look::TakenOver) => return None,
                Err(error) => {
                    self.stage = Stage::Over;
                    return exception(&error);
                }
            }
            tokio::select! {
                biased;
                () = sleep_until(self.ends) => return None,
                // Fails when the stream was deleted, which the next look tells.
                _ = self.changed.changed() => {}
                () = sleep_until(self.heartbeat) => {}
            }
        }
        None
    }

    fn look(&self) -> Result<Look, AwsError> {
        self.kinesis.with_stream(&StreamRef::of_arn(&self.consumer_arn), |stream, now_ms| {
            let shard = stream.shard(&self.shard)?;
            let mut consumers = stream.consumers.values();
            let consumer = consumers.find(|consumer| consumer.arn == self.consumer_arn);
            let consumer = consumer.filter(|_| stream.generation == self.generation);
            let consumer = consumer
                .ok_or_else(|| not_found(format!("Consumer {} not found.", self.consumer_arn)))?;
            let current = consumer.subscriptions.get(&shard.id);
            if current.is_none_or(|current| current.number != self.number) {
                return Ok(Look::TakenOver);
            }
            let run = run(stream, shard, self.from, (RECORDS_MAX, BYTES_MAX), now_ms);
            let last = run.child_shards.is_some();
            if run.records.is_empty() && !last && Instant::now() < self.heartbeat {
                return Ok(Look::Nothing);
            }
            // Reading goes on after the number before the next one.
            let continuation = (!last).then(|| shard.sequence(run.next.saturating_sub(1), now_ms));
            let event = reply(&Event { run: &run, continuation_sequence_number: continuation })?;
            Ok(Look::Event { event, from: run.next, last })
        })
    }
}

fn event(event_type: &'static str, body: String) -> Option<Bytes> {
    frame("event", (":event-type", event_type.to_owned()), body)
}

/// The refusal that ends a subscription.
fn exception(error: &AwsError) -> Option<Bytes> {
    let body = serde_json::json!({ "message": error.message });
    frame("exception", (":exception-type", error.code.clone()), body.to_string())
}

/// `None`, which ends the subscription at the continuation of the event before, for a message above the 16 MiB of a
/// frame.
fn frame(message_type: &'static str, kind: (&'static str, String), body: String) -> Option<Bytes> {
    let header = |name, value: String| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(Bytes::from(body))
        .add_header(header(":message-type", message_type.to_owned()))
        .add_header(header(kind.0, kind.1))
        .add_header(header(":content-type", CONTENT_TYPE.to_owned()));
    let mut frame = Vec::new();
    write_message_to(&message, &mut frame).ok()?;
    Some(Bytes::from(frame))
}
