//! Where records wait for their turn, and which of them come together.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::ledger::Ticket;
use crate::processor::{Batch, ShardContext};
use crate::record::{PartitionKey, Record};
use crate::settings::Lanes;

/// A share of the process's byte budget, given back when dropped.
pub(crate) trait Hold: Send + Sync + 'static {
    /// Takes the part for so many bytes out, or what is left if that is less.
    fn split(&mut self, bytes: usize) -> Self;
}

/// Least bytes of a page that are given back to the budget by themselves. Kinesis records are far smaller, and
/// the budget counts in units of 1 KiB: one permit for each would be more bookkeeping than records.
const PARCEL_BYTES_LEAST: usize = 64 << 10;

/// Neighbours of a page that share a part of its room. All sub-records of an aggregated record are in one, as
/// its memory goes when the last of them does.
pub(crate) struct Parcel<H> {
    _hold: H,
    millis_behind_latest: u64,
}

/// A record on its way, with what is to be done when it is settled.
pub(crate) struct Item<H> {
    pub(crate) record: Record,
    pub(crate) tag: Tag<H>,
}

/// What is to be done when a record is settled: tell the ledger, give back the room.
pub(crate) struct Tag<H> {
    pub(crate) ticket: Ticket,
    parcel: Arc<Parcel<H>>,
}

/// Records that are handed over together: those of the batch, and their tags in the same order.
pub(crate) struct Piece<H> {
    pub(crate) batch: Batch,
    pub(crate) tags: Vec<Tag<H>>,
    /// Attempts that are used up.
    pub(crate) tries: u32,
}

/// Records that wait for the tasks of a lane, in the order of the shard.
pub(crate) struct Queue<H> {
    items: Mutex<VecDeque<Item<H>>>,
    news: Notify,
}

/// How many queues there are, and how many tasks for each.
pub(crate) fn layout(lanes: Lanes) -> (usize, usize) {
    match lanes {
        Lanes::One => (1, 1),
        Lanes::ByKey(many) => (many.max(1).into(), 1),
        Lanes::Unordered(many) => (1, many.max(1).into()),
    }
}

/// The queue of a record: always the same for a key. Records without key take turns.
pub(crate) fn queue_of(key: Option<&PartitionKey>, turn: usize, queues: usize) -> usize {
    let Some(key) = key else { return turn % queues };
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // Below `queues`, which is a `usize`.
    usize::try_from(hasher.finish() % queues as u64).unwrap_or(0)
}

/// Puts the records of a page together with their tickets and their room.
pub(crate) fn wrap<H: Hold>(
    records: Vec<Record>,
    tickets: Vec<Ticket>,
    mut hold: H,
    millis_behind_latest: u64,
) -> Vec<Item<H>> {
    let ends = parcel_ends(&records);
    let mut records = records.into_iter().zip(tickets);
    let mut items = Vec::with_capacity(records.len());
    for (count, bytes) in ends {
        let part = hold.split(bytes);
        let parcel = Arc::new(Parcel { _hold: part, millis_behind_latest });
        let tag = |ticket| Tag { ticket, parcel: parcel.clone() };
        let wrap = |(record, ticket)| Item { record, tag: tag(ticket) };
        items.extend(records.by_ref().take(count).map(wrap));
    }
    items
}

/// The parcels of a page: how many records, how many bytes.
fn parcel_ends(records: &[Record]) -> Vec<(usize, usize)> {
    let mut parcels = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for aggregate in records.chunk_by(|a, b| a.sequence_number() == b.sequence_number()) {
        count += aggregate.len();
        bytes += aggregate.iter().map(Record::bytes_held).sum::<usize>();
        if bytes >= PARCEL_BYTES_LEAST {
            parcels.push((std::mem::take(&mut count), std::mem::take(&mut bytes)));
        }
    }
    if count > 0 {
        parcels.push((count, bytes));
    }
    parcels
}

impl<H> Queue<H> {
    pub(crate) fn new() -> Self {
        Self { items: Mutex::default(), news: Notify::new() }
    }

    pub(crate) fn push(&self, more: Vec<Item<H>>) {
        if more.is_empty() {
            return;
        }
        let mut items = self.items();
        if items.is_empty() {
            *items = more.into();
        } else {
            items.extend(more);
        }
        drop(items);
        self.news.notify_one();
    }

    /// Takes the next records, at most so many. Waits until there is one; loses none when dropped.
    pub(crate) async fn take(&self, most: usize) -> Vec<Item<H>> {
        loop {
            let items = self.take_now(most);
            if !items.is_empty() {
                return items;
            }
            self.news.notified().await;
        }
    }

    fn take_now(&self, most: usize) -> Vec<Item<H>> {
        let mut items = self.items();
        if items.len() <= most {
            // With its buffer, which a page far behind the tip has made large.
            return std::mem::take(&mut *items).into();
        }
        let taken = items.drain(..most).collect();
        drop(items);
        // There is more: for the next task of the lane, if it has several.
        self.news.notify_one();
        taken
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<Item<H>>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> Piece<H> {
    pub(crate) fn new(shard: ShardContext, items: Vec<Item<H>>) -> Self {
        let behind = items.last().map_or(0, |item| item.tag.parcel.millis_behind_latest);
        let (records, tags) = items.into_iter().map(|item| (item.record, item.tag)).unzip();
        let batch = Batch { millis_behind_latest: behind, ..Batch::new(shard, records) };
        Self { batch, tags, tries: 0 }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.batch.records.iter().map(|record| record.data.len() as u64).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.tags.iter().map(|tag| tag.ticket)
    }

    /// Takes the lists of records out, each as a piece of its own. Each index is in one list, each list rises.
    pub(crate) fn divide<'a>(self, lists: impl Iterator<Item = &'a Vec<usize>>) -> Vec<Self> {
        let Self { batch, tags, tries } = self;
        let Batch { shard, records, millis_behind_latest, attempt } = batch;
        let mut items: Vec<_> = records.into_iter().zip(tags).map(Some).collect();
        let mut pick = |list: &Vec<usize>| {
            let picked = list.iter().filter_map(|&index| items.get_mut(index)?.take());
            let (records, tags) = picked.unzip();
            let batch = Batch { shard: shard.clone(), records, millis_behind_latest, attempt };
            Self { batch, tags, tries }
        };
        lists.map(&mut pick).collect()
    }
}
