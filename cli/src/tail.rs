//! Reads every shard of a stream from its beginning: for watching, not for consuming. Nothing is saved, nothing
//! is shared with others, and whoever stops looking misses nothing but the sight.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use event::{Event, EventId};

/// The events of a stream, once each, in the order of their arrival within a shard.
#[derive(Debug)]
pub(crate) struct Tail {
    kinesis: Client,
    stream: String,
    /// Where to read next, by shard; nowhere for a shard that has ended.
    iterators: BTreeMap<String, Option<String>>,
    seen: BTreeSet<EventId>,
}

impl Tail {
    /// Looks at the shards; reads nothing yet.
    ///
    /// # Errors
    /// What Kinesis refuses.
    pub(crate) async fn open(kinesis: Client, stream: &str) -> anyhow::Result<Self> {
        let mut tail = Self {
            kinesis,
            stream: stream.to_owned(),
            iterators: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        let mut next = None;
        loop {
            let list = tail.kinesis.list_shards();
            // A later page is asked for by its token alone.
            let list = match next {
                Some(token) => list.next_token(token),
                None => list.stream_name(stream),
            };
            let page = list.send().await.with_context(|| format!("listing shards of {stream}"))?;
            for shard in page.shards() {
                tail.begin(shard.shard_id()).await?;
            }
            next = page.next_token;
            if next.is_none() {
                return Ok(tail);
            }
        }
    }

    async fn begin(&mut self, shard: &str) -> anyhow::Result<()> {
        if self.iterators.contains_key(shard) {
            return Ok(());
        }
        let first = self
            .kinesis
            .get_shard_iterator()
            .stream_name(&self.stream)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon);
        let first = first.send().await.with_context(|| format!("opening shard {shard}"))?;
        self.iterators.insert(shard.to_owned(), first.shard_iterator);
        Ok(())
    }

    /// One read of every shard: the events that have come since the last, without those that came before.
    /// Records that are no events are passed over.
    ///
    /// # Errors
    /// What Kinesis refuses.
    pub(crate) async fn read(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        let shards: Vec<String> = self.iterators.keys().cloned().collect();
        for shard in shards {
            let Some(Some(iterator)) = self.iterators.get(&shard) else { continue };
            let read = self.kinesis.get_records().shard_iterator(iterator).send().await;
            let read = read.with_context(|| format!("reading shard {shard}"))?;
            let come = read.records().iter().filter_map(|record| {
                // Whoever cares for what is no event looks into the quarantine of the rapids-reader.
                Event::parse(record.data().as_ref()).ok()
            });
            for event in come {
                if self.seen.insert(event.event_id.clone()) {
                    events.push(event);
                }
            }
            for child in read.child_shards() {
                self.begin(child.shard_id()).await?;
            }
            self.iterators.insert(shard, read.next_shard_iterator);
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::Blob;
    use jiff::Timestamp;
    use local_aws::LocalAws;
    use serde_json::json;

    use super::*;

    const STREAM: &str = "Rapids-dev";

    async fn stream() -> (LocalAws, Client) {
        let aws = LocalAws::new();
        let kinesis = Client::new(&aws.sdk_config());
        kinesis.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
        (aws, kinesis)
    }

    async fn put(kinesis: &Client, data: &str) {
        let put = kinesis.put_record().stream_name(STREAM).partition_key("k");
        put.data(Blob::new(data)).send().await.unwrap();
    }

    fn event(event_type: &str) -> Event {
        Event::root(event_type, "test", json!({}), Timestamp::from_second(1).unwrap())
    }

    #[tokio::test]
    async fn every_event_is_seen_once_whatever_else_lies_there() {
        let (_aws, kinesis) = stream().await;
        let (first, second) = (event("First"), event("Second"));
        for data in [&first.to_json(), &first.to_json(), "no event", &second.to_json()] {
            put(&kinesis, data).await;
        }
        let mut tail = Tail::open(kinesis.clone(), STREAM).await.unwrap();
        assert_eq!(tail.read().await.unwrap(), [first.clone(), second]);
        put(&kinesis, &first.to_json()).await;
        assert_eq!(tail.read().await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_children_of_a_shard_are_followed() {
        let (_aws, kinesis) = stream().await;
        let mut tail = Tail::open(kinesis.clone(), STREAM).await.unwrap();
        let split = kinesis.split_shard().stream_name(STREAM);
        let split = split.shard_to_split("shardId-000000000000");
        split.new_starting_hash_key((1_u128 << 127).to_string()).send().await.unwrap();
        let late = event("Late");
        put(&kinesis, &late.to_json()).await;
        // The first read ends the parent, the second reads the children.
        let mut seen = tail.read().await.unwrap();
        seen.extend(tail.read().await.unwrap());
        assert_eq!(seen, [late]);
    }
}
