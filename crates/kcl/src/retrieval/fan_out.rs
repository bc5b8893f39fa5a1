//! Reading a shard by `SubscribeToShard`.
//!
//! One event at a time is taken from the connection, and the next one only when there was room for it in the
//! budget: then the windows of HTTP/2 fill, and Kinesis waits. An event is therefore held before it is counted,
//! one for each shard. The other way round, with room taken first, every idle shard would keep the room of an
//! event for the seconds until the next one comes.

use std::time::Duration;

use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream as Pushed,
};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, warn};

use super::calls::{Calls, Refused, Why};
use super::place::Place;
use super::{Page, Start, bytes, record};
use crate::budget::Budget;
use crate::checkpoint::{InvalidCheckpoint, SequenceNumber};
use crate::error::{Cause, Error};
use crate::metrics::Api;
use crate::record::Record;
use crate::shards::Shard;

/// A consumer's second subscription to a shard within 5 s of a successful one is refused
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html>).
const SUBSCRIBE_INTERVAL: Duration = Duration::from_secs(5);
/// Events come every few seconds, empty if need be. After this a connection counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(5);
const THROTTLED_MOST: Duration = Duration::from_secs(1);

/// A shard that is pushed.
pub(super) struct FanOut {
    calls: Calls,
    consumer_arn: Arc<str>,
    budget: Budget,
    place: Place,
    events: Option<EventReceiver<Pushed, SubscribeToShardEventStreamError>>,
    /// Taken from the connection, not yet returned.
    event: Option<Event>,
    /// Since when an event is waited for.
    waiting_since: Option<Instant>,
    /// No subscription before this.
    due: Instant,
    /// Refusals and breaks since the last event.
    failures: u32,
}

/// An event, decoded.
struct Event {
    records: Vec<Record>,
    bytes: usize,
    /// Where to go on when the connection ends: it moves even when no record comes.
    continuation: Option<SequenceNumber>,
    millis_behind_latest: u64,
    end: Option<Vec<Shard>>,
}

impl FanOut {
    pub(super) fn new(calls: Calls, arn: Arc<str>, budget: Budget, start: Start) -> Self {
        Self {
            calls,
            consumer_arn: arn,
            budget,
            place: Place::new(start),
            events: None,
            event: None,
            waiting_since: None,
            due: Instant::now(),
            failures: 0,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Page, Error> {
        loop {
            if let Some(bytes) = self.event.as_ref().map(|event| event.bytes) {
                let mut permit = self.budget.reserve(bytes).await;
                // Only now: while it waited for room, this future could be dropped.
                if let Some(event) = self.event.take() {
                    permit.cover(bytes);
                    let records = self.place.unseen(event.records);
                    self.place.pass(&records, event.continuation);
                    let Event { millis_behind_latest, end, .. } = event;
                    return Ok(Page { records, permit, millis_behind_latest, end });
                }
            }
            self.event = Some(self.pull().await?);
        }
    }

    /// The next event, of this subscription or of a new one.
    async fn pull(&mut self) -> Result<Event, Error> {
        loop {
            let Some(events) = &mut self.events else {
                self.subscribe().await?;
                continue;
            };
            let deadline = *self.waiting_since.get_or_insert_with(Instant::now) + SILENCE_MAX;
            match timeout_at(deadline, events.recv()).await {
                Ok(Ok(Some(Pushed::SubscribeToShardEvent(event)))) => {
                    self.waiting_since = None;
                    return self.event(event).await;
                }
                Ok(Ok(Some(_))) => {} // Of a kind that this version does not know.
                Ok(Ok(None)) => {
                    debug!(shard = &*self.calls.shard, "the subscription is over");
                    self.close();
                }
                Ok(Err(error)) => {
                    let why = error.as_service_error().map_or(Why::Other, why);
                    let error = self.calls.unusable(Api::SubscribeToShard, error);
                    return Err(self.failed(Refused { why, error }).await);
                }
                Err(_) => {
                    let seconds = SILENCE_MAX.as_secs();
                    return Err(self.unusable(format!("no event came for {seconds} s")));
                }
            }
        }
    }

    async fn subscribe(&mut self) -> Result<(), Error> {
        sleep_until(self.due).await;
        let spot = self.place.spot();
        let position = StartingPosition::builder().r#type(spot.kind);
        let position = position.set_timestamp(spot.timestamp).set_sequence_number(spot.sequence);
        let position = position.build().map_err(|error| self.unusable(error))?;
        let subscribe = self.calls.kinesis.subscribe_to_shard().starting_position(position);
        let subscribe = subscribe.consumer_arn(&*self.consumer_arn).shard_id(&*self.calls.shard);
        match self.calls.call(Api::SubscribeToShard, subscribe.send()).await {
            Ok(reply) => {
                self.events = Some(reply.event_stream);
                self.waiting_since = None;
                self.due = Instant::now() + SUBSCRIBE_INTERVAL;
                if let Some(now) = self.calls.now() {
                    self.place.opened(now);
                }
                Ok(())
            }
            Err(refused) if refused.why == Why::Throttled => {
                self.pause(THROTTLED_MOST);
                Ok(())
            }
            Err(refused) if refused.why == Why::Invalid && self.rewind(&refused) => Ok(()),
            Err(refused) => Err(self.failed(refused).await),
        }
    }

    async fn event(&mut self, event: SubscribeToShardEvent) -> Result<Event, Error> {
        let children: Vec<_> = event.child_shards().iter().map(Shard::from).collect();
        let continuation = (!event.continuation_sequence_number.is_empty())
            .then(|| SequenceNumber::parse(&event.continuation_sequence_number));
        let continuation = continuation.transpose().map_err(|error| self.unusable(error))?;
        let records: Result<Vec<Record>, InvalidCheckpoint> =
            event.records.into_iter().map(record).collect();
        let records = records.map_err(|error| self.unusable(error))?;
        self.failures = 0;
        let end = match continuation {
            Some(_) => None,
            None => self.end(children, &records).await?,
        };
        let millis_behind_latest = u64::try_from(event.millis_behind_latest).unwrap_or_default();
        Ok(Event { bytes: bytes(&records), records, continuation, millis_behind_latest, end })
    }

    /// The children of a shard whose last event has come: from the event, or listed where that names none.
    /// Without children it has not ended; records that came are returned, and what follows is a new subscription.
    async fn end(
        &mut self,
        named: Vec<Shard>,
        records: &[Record],
    ) -> Result<Option<Vec<Shard>>, Error> {
        self.close();
        if !named.is_empty() {
            return Ok(Some(named));
        }
        match self.calls.children().await {
            Ok(children) if !children.is_empty() => Ok(Some(children)),
            _ if !records.is_empty() => Ok(None),
            Ok(_) => Err(self.unusable("the shard told of no continuation and of no children")),
            Err(error) => Err(self.unusable(error)),
        }
    }

    /// Whether reading can go on at the oldest record, the place itself having been refused.
    fn rewind(&mut self, refused: &Refused) -> bool {
        let lost = self.place.start().clone();
        if !self.place.rewind() {
            return false;
        }
        let error = &refused.error as &dyn std::error::Error;
        let shard = &*self.calls.shard;
        warn!(
            shard,
            ?lost,
            error,
            "a gap: the place is gone, reading goes on at the oldest record"
        );
        true
    }

    async fn failed(&mut self, refused: Refused) -> Error {
        self.close();
        match refused.why {
            // Of another worker, which had the lease before: it ends with that worker's connection.
            Why::InUse => {
                self.due = self.due.max(Instant::now() + SUBSCRIBE_INTERVAL);
                refused.error
            }
            Why::NotFound => {
                self.pause(PAUSE_MOST);
                self.calls.missing(refused).await
            }
            _ => {
                self.pause(PAUSE_MOST);
                refused.error
            }
        }
    }

    fn unusable(&mut self, source: impl Into<Cause>) -> Error {
        self.close();
        self.pause(PAUSE_MOST);
        self.calls.unusable(Api::SubscribeToShard, source)
    }

    /// What was pushed and not taken is pushed again to the next subscription.
    fn close(&mut self) {
        self.events = None;
        self.waiting_since = None;
    }

    fn pause(&mut self, most: Duration) {
        let ceiling = most.min(PAUSE_LEAST * 2_u32.pow(self.failures.min(8)));
        self.failures = self.failures.saturating_add(1);
        self.due = self.due.max(Instant::now() + ceiling.mul_f64(fastrand::f64()));
    }
}

/// Why a subscription was ended. The events of a stream carry no code.
fn why(error: &SubscribeToShardEventStreamError) -> Why {
    if error.is_resource_not_found_exception() {
        Why::NotFound
    } else if error.is_resource_in_use_exception() {
        Why::InUse
    } else {
        Why::Other
    }
}
