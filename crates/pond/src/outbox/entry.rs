//! What is written of a commit: its events, under a key that sorts by time.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use aws_sdk_dynamodb::types::AttributeValue;
use event::Event;
use jiff::Timestamp;

use crate::item::{self, Item, PK, SK};

/// Partitions of an outbox: a partition takes 1,000 writes a second, and a sweep asks each of them.
pub(super) const SHARDS: u64 = 8;
const EVENTS: &str = "events";
const AT: &str = "at";
/// Largest entry, in bytes: an item has at most 400 KB, and room is left for the reason of a refusal
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
pub(super) const ENTRY_MAX: usize = 392 * 1024;

/// The events of one commit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) pk: String,
    pub(super) sk: String,
    pub(super) at: Timestamp,
    /// Each as JSON.
    pub(super) events: Vec<String>,
}

impl Entry {
    /// An entry under a key that no other has.
    pub(super) fn new(outbox: &str, at: Timestamp, events: &[Event]) -> Self {
        let mut hasher = DefaultHasher::new();
        // What belongs together is swept in order. Which shard it is does not matter: a sweep asks all.
        events.first().map(Event::correlation).hash(&mut hasher);
        let sk = format!("{}#{:016x}", time(at), fastrand::u64(..));
        let events = events.iter().map(Event::to_json).collect();
        Self { pk: pk(outbox, hasher.finish() % SHARDS), sk, at, events }
    }

    pub(super) fn to_item(&self) -> Item {
        let events = self.events.iter().map(item::text).collect();
        let mut item = item::key(&self.pk, &self.sk);
        item.insert(AT.to_owned(), item::text(self.at.to_string()));
        item.insert(EVENTS.to_owned(), AttributeValue::L(events));
        item
    }

    /// The entry that an item is, or the attribute that cannot be read.
    pub(super) fn from_item(item: &Item) -> Result<Self, &'static str> {
        let text = |name: &'static str| item::text_of(item, name).map(str::to_owned).ok_or(name);
        let events = item.get(EVENTS).and_then(|events| events.as_l().ok()).ok_or(EVENTS)?;
        let events = events.iter().map(|event| event.as_s().cloned().map_err(|_| EVENTS));
        let at = text(AT)?.parse().map_err(|_| AT)?;
        Ok(Self { pk: text(PK)?, sk: text(SK)?, at, events: events.collect::<Result<_, _>>()? })
    }

    /// The events, or why one cannot be read.
    pub(super) fn parse(&self) -> Result<Vec<Event>, event::Malformed> {
        self.events.iter().map(|json| Event::parse(json.as_bytes())).collect()
    }

    /// Bytes of the item, as DynamoDB counts them
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
    pub(super) fn size(&self) -> usize {
        let names = PK.len() + SK.len() + EVENTS.len() + AT.len();
        let events: usize = self.events.iter().map(|event| event.len() + 1).sum();
        names + self.pk.len() + self.sk.len() + self.at.to_string().len() + 3 + events
    }
}

pub(super) fn pk(outbox: &str, shard: u64) -> String {
    format!("OUTBOX#{outbox}#{shard}")
}

/// A fixed width and an unsigned number, so that text sorts as time does.
pub(super) fn time(at: Timestamp) -> String {
    format!("{:020}", i128::from(at.as_microsecond()) - i128::from(i64::MIN))
}
