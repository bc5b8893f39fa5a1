//! Tells the rapids-readers of new routes where they cannot miss it: on every shard of the rapids.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardFilter, ShardFilterType};
use event::Event;
use event::route::{ROUTES_CHANGED, RoutesChanged};
use jiff::Timestamp;
use serde_json::json;

use crate::error::Error;

/// Records in one request
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>).
const ENTRIES_MAX: usize = 500;

/// Puts nudges onto the rapids.
#[derive(Clone, Debug)]
pub(crate) struct Nudges {
    pub(crate) kinesis: Client,
    pub(crate) rapids: String,
}

impl Nudges {
    /// Puts one onto every open shard. A shard that is split meanwhile has it before its children begin.
    pub(crate) async fn put(&self, version: u64, now: Timestamp) -> Result<(), Error> {
        let event =
            Event::root(ROUTES_CHANGED, "control-plane", json!(RoutesChanged { version }), now);
        let data = event.to_json();
        for hash_keys in open_shards(&self.kinesis, &self.rapids).await?.chunks(ENTRIES_MAX) {
            let entry = |shard: &OpenShard| {
                let entry = PutRecordsRequestEntry::builder().data(Blob::new(data.as_str()));
                let entry = entry.partition_key("control-plane");
                let entry = entry.explicit_hash_key(shard.starting_hash_key.to_string());
                entry.build().expect("data and a key")
            };
            let put = self.kinesis.put_records().stream_name(&self.rapids);
            let put = put.set_records(Some(hash_keys.iter().map(entry).collect())).send().await;
            let put =
                put.map_err(|error| Error::of_call("Kinesis PutRecords", &self.rapids, error))?;
            // Those that were taken are put once more with the others: a nudge may come twice.
            let failed = put.records.iter().find_map(|record| record.error_message.as_deref());
            if put.failed_record_count.unwrap_or_default() > 0 {
                let source = failed.unwrap_or("some records were not taken").into();
                let (call, target) = ("Kinesis PutRecords", self.rapids.clone());
                return Err(Error::Unavailable { call, target, source });
            }
        }
        Ok(())
    }
}

/// A shard that takes records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpenShard {
    pub(crate) starting_hash_key: u128,
    pub(crate) id: String,
}

/// The shards of a stream that take records, by their hash keys.
pub(crate) async fn open_shards(kinesis: &Client, stream: &str) -> Result<Vec<OpenShard>, Error> {
    let latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
    let latest = latest.expect("a type");
    let mut shards = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let list = kinesis.list_shards();
        // A later page is asked for by its token alone.
        let list = match next {
            Some(token) => list.next_token(token),
            None => list.stream_name(stream).shard_filter(latest.clone()),
        };
        let page = list.send().await;
        let page = page.map_err(|error| Error::of_call("Kinesis ListShards", stream, error))?;
        shards.extend(page.shards.unwrap_or_default().into_iter().filter_map(|shard| {
            let is_open = shard.sequence_number_range.as_ref()?.ending_sequence_number.is_none();
            let starting_hash_key = shard.hash_key_range?.starting_hash_key.parse().ok()?;
            is_open.then_some(OpenShard { starting_hash_key, id: shard.shard_id })
        }));
        next = page.next_token;
        if next.is_none() {
            shards.sort_unstable();
            return Ok(shards);
        }
    }
}
