//! Who puts records, some of them in aggregates of the KPL.

use std::collections::BTreeMap;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use kcl::Aggregator;

use crate::history::{Numbered, Place, What};
use crate::worker::payload;

const KEYS: u16 = 24;
/// Most records of one request.
const RECORDS_MAX: u64 = 12;
/// Larger than any aggregate here.
const AGGREGATE_BYTES: usize = 1 << 20;

/// Numbers the records.
#[derive(Default)]
pub(crate) struct Producer {
    put: u64,
    /// Where each key goes, as far as it was seen since the last reshard: an aggregate is for one shard.
    homes: BTreeMap<u16, String>,
}

/// One record of Kinesis: a record, or an aggregate of several.
pub(crate) struct Parcel {
    records: Vec<(u64, u16)>,
    entry: PutRecordsRequestEntry,
}

impl Parcel {
    pub(crate) fn entry(&self) -> PutRecordsRequestEntry {
        self.entry.clone()
    }
}

impl Producer {
    /// What to put in one request. All records of a key are in one parcel or each in its own, so that they keep
    /// their order.
    pub(crate) fn parcels(&mut self, aggregates: bool, dice: &mut fastrand::Rng) -> Vec<Parcel> {
        let mut alone = Vec::new();
        let mut together: BTreeMap<&str, Vec<(u64, u16)>> = BTreeMap::new();
        for _ in 0..dice.u64(1..RECORDS_MAX) {
            self.put += 1;
            let record = (self.put, dice.u16(0..KEYS));
            match self.homes.get(&record.1).filter(|_| aggregates) {
                Some(home) => together.entry(home).or_default().push(record),
                None => alone.push(record),
            }
        }
        let alone = alone.into_iter().map(|(number, key)| {
            let entry = PutRecordsRequestEntry::builder().partition_key(name(key));
            let entry = entry.data(Blob::new(payload(number, key))).build().expect("an entry");
            Parcel { records: vec![(number, key)], entry }
        });
        alone.chain(together.into_values().map(aggregate)).collect()
    }

    /// Takes note of where a parcel went: one entry for each record.
    pub(crate) fn arrived(&mut self, parcel: Parcel, reply: PutRecordsResultEntry) -> Vec<What> {
        let sequence = reply.sequence_number.expect("a number");
        let shard = reply.shard_id.expect("a shard");
        self.homes.extend(parcel.records.iter().map(|(_, key)| (*key, shard.clone())));
        let put = |(at, (number, key))| {
            let record = Numbered { number, key, place: Place::new(&sequence, at) };
            What::Put { shard: shard.clone(), record }
        };
        (0..).zip(parcel.records).map(put).collect()
    }

    /// Keys may go elsewhere from now on.
    pub(crate) fn resharded(&mut self) {
        self.homes.clear();
    }
}

fn name(key: u16) -> String {
    format!("key-{key}")
}

fn aggregate(records: Vec<(u64, u16)>) -> Parcel {
    let mut aggregator = Aggregator::new(AGGREGATE_BYTES);
    for (number, key) in &records {
        let full = aggregator.add(&name(*key), None, payload(*number, *key)).expect("room");
        assert_eq!(full, None, "room for all");
    }
    let aggregate = aggregator.finish().expect("records");
    Parcel { records, entry: aggregate.into_entry().expect("an entry") }
}
