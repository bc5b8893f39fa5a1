//! Reads every shard of a stream: for watching, not for consuming. Nothing is saved, nothing is shared with
//! others, and whoever stops looking misses nothing but the sight.

mod merge;
mod seen;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record as KinesisRecord, ShardIteratorType};
use event::{Event, Malformed};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use self::merge::Merge;
use self::seen::Seen;
use crate::client::Resource;

/// Time between two reads of a shard, which allows five a second to all its readers
/// (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>).
const READ_INTERVAL: Duration = Duration::from_millis(200);
/// Rest of a shard that others read as well, and whose share is used up.
const THROTTLED_REST: Duration = Duration::from_secs(1);
/// Shards read at the same time: enough to hide latency.
const READS_MAX: usize = 16;
/// Most records of one read: those of all shards are in memory at once.
const RECORDS_MAX: i32 = 1_000;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// As far back as the stream goes.
    Oldest,
    /// With what comes from now on.
    Now,
    /// With what arrived at this time.
    At(Timestamp),
}

impl Start {
    /// The time where one is given, else the beginning.
    pub(crate) fn since(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Oldest, Self::At)
    }
}

/// A record of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// When Kinesis took it.
    pub(crate) arrived: Timestamp,
    pub(crate) shard: String,
    pub(crate) sequence_number: String,
    pub(crate) data: Vec<u8>,
    /// The event in it.
    pub(crate) event: Result<Event, Malformed>,
    /// Whether an event with this id was seen before.
    pub(crate) is_copy: bool,
}

/// The records of a stream in the order of their arrival, within a shard and, nearly, over all of them.
#[derive(Debug)]
pub(crate) struct Tail {
    kinesis: Client,
    stream: String,
    shards: BTreeMap<String, Shard>,
    merge: Merge,
    seen: Seen,
    next_read: Instant,
}

/// A shard, and where to read it next.
#[derive(Clone, Debug)]
struct Shard {
    start: Start,
    /// Nowhere once it has ended.
    iterator: Option<String>,
    last: Option<String>,
    rests_until: Instant,
    /// Whether the last read came to its end.
    caught_up: bool,
}

impl Tail {
    /// Looks at the shards, from the beginning of the stream; reads nothing yet.
    ///
    /// # Errors
    /// What Kinesis refuses.
    pub(crate) async fn open(kinesis: Client, stream: &str) -> anyhow::Result<Self> {
        Self::open_at(kinesis, stream, Start::Oldest).await
    }

    /// Looks at the shards; reads nothing yet.
    ///
    /// # Errors
    /// What Kinesis refuses.
    pub(crate) async fn open_at(
        kinesis: Client,
        stream: &str,
        start: Start,
    ) -> anyhow::Result<Self> {
        let mut tail = Self {
            kinesis,
            stream: stream.to_owned(),
            shards: BTreeMap::new(),
            merge: Merge::default(),
            seen: Seen::default(),
            next_read: Instant::now(),
        };
        let mut next = None;
        loop {
            let list = tail.kinesis.list_shards();
            // A later page is asked for by its token alone.
            let list = match next {
                Some(token) => list.next_token(token),
                None => list.stream_name(stream),
            };
            let page = list.send().await;
            let page = page.map_err(|error| Resource::Rapids(stream).refused(error))?;
            for shard in page.shards() {
                tail.begin(shard.shard_id(), start).await?;
            }
            next = page.next_token;
            if next.is_none() {
                return Ok(tail);
            }
        }
    }

    async fn begin(&mut self, id: &str, start: Start) -> anyhow::Result<()> {
        if self.shards.contains_key(id) {
            return Ok(());
        }
        let rests_until = Instant::now();
        let mut shard = Shard { start, iterator: None, last: None, rests_until, caught_up: false };
        shard.iterator = self.iterator(id, &shard).await?;
        self.merge.opened(id);
        self.shards.insert(id.to_owned(), shard);
        Ok(())
    }

    /// Where the shard is to be read on.
    async fn iterator(&self, id: &str, shard: &Shard) -> anyhow::Result<Option<String>> {
        let get = self.kinesis.get_shard_iterator().stream_name(&self.stream).shard_id(id);
        let get = match (&shard.last, shard.start) {
            (Some(last), _) => get
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(last),
            (None, Start::Oldest) => get.shard_iterator_type(ShardIteratorType::TrimHorizon),
            (None, Start::Now) => get.shard_iterator_type(ShardIteratorType::Latest),
            (None, Start::At(at)) => get
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(at.as_millisecond())),
        };
        let got = get.send().await.with_context(|| format!("opening shard {id}"))?;
        Ok(got.shard_iterator)
    }

    /// One read of every shard: the events that have come since the last, without those that came before.
    /// Records that are no events are passed over.
    ///
    /// # Errors
    /// What Kinesis refuses.
    pub(crate) async fn read(&mut self) -> anyhow::Result<Vec<Event>> {
        let records = self.records().await?;
        let new = records.into_iter().filter(|record| !record.is_copy);
        // Whoever cares for what is no event asks for records.
        Ok(new.filter_map(|record| record.event.ok()).collect())
    }

    /// One read of every shard, as soon as the last is long enough ago: what can be put in order by now. Nothing may
    /// have come although more is there.
    ///
    /// # Errors
    /// What Kinesis refuses.
    pub(crate) async fn records(&mut self) -> anyhow::Result<Vec<Record>> {
        sleep_until(self.next_read).await;
        let now = Instant::now();
        self.next_read = now + READ_INTERVAL;
        let may_read = |(id, shard): &(&String, &Shard)| {
            shard.iterator.is_some() && shard.rests_until <= now && self.merge.has_room(id)
        };
        let due = self.shards.iter().filter(may_read);
        let due = due.filter_map(|(id, shard)| Some((id.clone(), shard.iterator.clone()?)));
        let due: Vec<_> = due.collect();
        let kinesis = &self.kinesis;
        let reads = due.into_iter().map(async |(id, iterator)| {
            let get = kinesis.get_records().shard_iterator(iterator).limit(RECORDS_MAX);
            (id, get.send().await)
        });
        let reads: Vec<_> = stream::iter(reads).buffer_unordered(READS_MAX).collect().await;
        for (id, read) in reads {
            match read {
                Ok(read) => self.take(&id, read).await?,
                Err(error) => self.recover(&id, error).await?,
            }
        }
        Ok(self.merge.in_order().into_iter().map(|record| self.mark(record)).collect())
    }

    /// Whether the last read came to the end of every shard, and all of it was given out.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.merge.is_empty()
            && self.shards.values().all(|shard| shard.iterator.is_none() || shard.caught_up)
    }

    async fn take(&mut self, id: &str, read: GetRecordsOutput) -> anyhow::Result<()> {
        for child in read.child_shards() {
            // What it holds has all come after what its parent held.
            self.begin(child.shard_id(), Start::Oldest).await?;
        }
        let caught_up = read.millis_behind_latest == Some(0);
        if let Some(shard) = self.shards.get_mut(id) {
            shard.iterator = read.next_shard_iterator;
            shard.caught_up = caught_up;
            if let Some(last) = read.records.last() {
                shard.last = Some(last.sequence_number.clone());
            }
            let is_over = shard.iterator.is_none() || caught_up;
            self.merge.took(id, read.records.into_iter().map(|it| record(id, it)), is_over);
        }
        Ok(())
    }

    /// A read that failed for now is tried again: reading is all that a watcher does.
    async fn recover(&mut self, id: &str, error: SdkError<GetRecordsError>) -> anyhow::Result<()> {
        let known = error.as_service_error();
        if known.is_some_and(GetRecordsError::is_provisioned_throughput_exceeded_exception) {
            if let Some(shard) = self.shards.get_mut(id) {
                shard.rests_until = Instant::now() + THROTTLED_REST;
            }
            return Ok(());
        }
        // An iterator is good for five minutes: less than a machine sleeps.
        if known.is_some_and(GetRecordsError::is_expired_iterator_exception)
            && let Some(shard) = self.shards.get(id).cloned()
        {
            let iterator = self.iterator(id, &shard).await?;
            self.shards.insert(id.to_owned(), Shard { iterator, ..shard });
            return Ok(());
        }
        Err(anyhow::Error::new(error).context(format!("reading shard {id} of {}", self.stream)))
    }

    fn mark(&mut self, mut record: Record) -> Record {
        record.is_copy =
            record.event.as_ref().is_ok_and(|event| !self.seen.insert(event.event_id.clone()));
        record
    }
}

fn record(shard: &str, record: KinesisRecord) -> Record {
    let arrived = record.approximate_arrival_timestamp.and_then(|at| at.to_millis().ok());
    let arrived = arrived.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let data = record.data.into_inner();
    Record {
        arrived: arrived.unwrap_or_default(),
        shard: shard.to_owned(),
        sequence_number: record.sequence_number,
        event: Event::parse(&data),
        data,
        is_copy: false,
    }
}

#[cfg(test)]
mod tests;
