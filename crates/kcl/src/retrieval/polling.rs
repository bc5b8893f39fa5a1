//! Reading a shard by `GetRecords`.

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::answer::Answer;
use super::calls::{Calls, Refused, Why};
use super::pace::{Call, Pace};
use super::place::Place;
use super::{Page, Start, bytes, record};
use crate::budget::{Budget, Permit};
use crate::error::Error;
use crate::metrics::Api;
use crate::record::Record;
use crate::settings::Settings;
use crate::shards::Shard;

/// The most that one answer holds: the room to have before asking
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
const READ_BYTES_MAX: usize = 10 << 20;

/// A shard that is polled.
pub(super) struct Polling {
    calls: Calls,
    budget: Budget,
    pace: Pace,
    place: Place,
    iterator: Option<String>,
    records_max: i32,
    answer: Answer,
}

impl Polling {
    pub(super) fn new(calls: Calls, settings: &Settings, budget: Budget, start: Start) -> Self {
        let (read, idle) = (settings.read_interval, settings.idle_interval);
        Self {
            calls,
            budget,
            pace: Pace::new(read, idle, Instant::now()),
            place: Place::new(start),
            iterator: None,
            records_max: i32::try_from(settings.records_max).unwrap_or(i32::MAX),
            answer: Answer::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Page, Error> {
        loop {
            // Nobody waits for his turn with room that others could use.
            sleep_until(self.pace.at(Call::GetRecords)).await;
            let permit = self.budget.reserve(READ_BYTES_MAX).await;
            if let Some(page) = self.read(permit).await? {
                return Ok(page);
            }
        }
    }

    /// One read. `None` when it was throttled.
    async fn read(&mut self, permit: Permit) -> Result<Option<Page>, Error> {
        loop {
            let opened = self.iterator.is_none();
            let Some(iterator) = self.iterator().await? else { return Ok(None) };
            sleep_until(self.pace.at(Call::GetRecords)).await;
            self.pace.begin(Call::GetRecords, Instant::now());
            let get = self.calls.kinesis.get_records();
            let get = get.shard_iterator(iterator).limit(self.records_max);
            let get = get.customize().interceptor(self.answer.clone());
            let answer = self.calls.call(Api::GetRecords, get.send()).await;
            self.pace.end(Call::GetRecords, Instant::now());
            let refused = match answer {
                Ok(reply) => return self.page(reply, permit).await.map(Some),
                Err(refused) => refused,
            };
            match refused.why {
                // It lives for 5 minutes, and room may have come later than that.
                Why::Expired if !opened => {
                    info!(
                        shard = &*self.calls.shard,
                        "opening a new iterator: the old one expired"
                    );
                    self.iterator = None;
                }
                Why::Throttled => {
                    self.pause(true);
                    return Ok(None);
                }
                _ => return Err(self.failed(refused).await),
            }
        }
    }

    /// The iterator at hand or a new one. `None` when it was refused for now.
    async fn iterator(&mut self) -> Result<Option<String>, Error> {
        if let Some(iterator) = &self.iterator {
            return Ok(Some(iterator.clone()));
        }
        sleep_until(self.pace.at(Call::GetShardIterator)).await;
        self.pace.begin(Call::GetShardIterator, Instant::now());
        let spot = self.place.spot();
        let open = self.calls.kinesis.get_shard_iterator();
        let open = open.stream_name(&self.calls.stream).shard_id(&*self.calls.shard);
        let open = open.shard_iterator_type(spot.kind).set_timestamp(spot.timestamp);
        let open = open.set_starting_sequence_number(spot.sequence);
        let answer = self.calls.call(Api::GetShardIterator, open.send()).await;
        self.pace.end(Call::GetShardIterator, Instant::now());
        let refused = match answer {
            Ok(reply) if reply.shard_iterator.is_some() => {
                self.pace.opened();
                if let Some(now) = self.calls.now() {
                    self.place.opened(now);
                }
                self.iterator.clone_from(&reply.shard_iterator);
                return Ok(reply.shard_iterator);
            }
            Ok(_) => return Err(self.unusable(Api::GetShardIterator, "no iterator was given")),
            Err(refused) => refused,
        };
        match refused.why {
            Why::Throttled => {
                self.pause(true);
                Ok(None)
            }
            Why::Invalid if self.rewind(&refused) => Ok(None),
            _ => Err(self.failed(refused).await),
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

    async fn page(&mut self, reply: GetRecordsOutput, mut permit: Permit) -> Result<Page, Error> {
        let records = match self.answer.take() {
            Some(records) => Ok(records),
            None => reply.records.into_iter().map(record).collect::<Result<Vec<Record>, _>>(),
        };
        // The iterator stays: the same answer is asked for again.
        let records = records.map_err(|error| self.unusable(Api::GetRecords, error))?;
        let size = bytes(&records);
        permit.cover(size);
        let behind = reply.millis_behind_latest.and_then(|ms| u64::try_from(ms).ok());
        let millis_behind_latest = behind.unwrap_or_default();
        self.pace.read(size, millis_behind_latest == 0, Instant::now());
        let end = match reply.next_shard_iterator {
            Some(_) => None,
            None => self.children(reply.child_shards.unwrap_or_default(), &records).await?,
        };
        self.iterator = reply.next_shard_iterator;
        let records = self.place.unseen(records);
        self.place.pass(&records, None);
        Ok(Page { records, permit, millis_behind_latest, end })
    }

    /// The children of a shard that gave no next iterator: from the answer, or listed where that names none.
    /// Without children it has not ended, whatever the answer says; records that came are returned, and what is
    /// asked next is a new iterator.
    async fn children(
        &mut self,
        named: Vec<aws_sdk_kinesis::types::ChildShard>,
        records: &[Record],
    ) -> Result<Option<Vec<Shard>>, Error> {
        if !named.is_empty() {
            return Ok(Some(named.iter().map(Shard::from).collect()));
        }
        let listed = self.calls.children().await;
        if !matches!(&listed, Ok(children) if !children.is_empty()) {
            self.pause(false);
            self.iterator = None;
        }
        match listed {
            Ok(children) if !children.is_empty() => Ok(Some(children)),
            _ if !records.is_empty() => Ok(None),
            Ok(_) => {
                let source = "the shard gave no next iterator, but has no children";
                Err(self.calls.unusable(Api::GetRecords, source))
            }
            Err(error) => Err(error),
        }
    }

    async fn failed(&mut self, refused: Refused) -> Error {
        self.pause(false);
        match refused.why {
            Why::NotFound => {
                self.iterator = None;
                self.calls.missing(refused).await
            }
            // An iterator of a stream that was made anew is refused for ever.
            Why::Invalid | Why::Expired => {
                self.iterator = None;
                refused.error
            }
            _ => refused.error,
        }
    }

    fn unusable(&mut self, api: Api, source: impl Into<crate::error::Cause>) -> Error {
        self.pause(false);
        self.calls.unusable(api, source)
    }

    fn pause(&mut self, throttled: bool) {
        self.pace.refused(throttled, fastrand::f64(), Instant::now());
        debug!(shard = &*self.calls.shard, throttled, "the next call waits");
    }
}
