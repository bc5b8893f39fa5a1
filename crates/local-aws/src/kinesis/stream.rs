//! A stream, its shards, and how they split and merge.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::hash::{HashRange, starts};
use super::sequence::Sequence;
use super::throttle::Throttle;
use super::{invalid_argument, resource_in_use};
use crate::wire::AwsError;

/// A stream.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created_ms: u64,
    pub(super) retention_h: u32,
    pub(super) record_bytes_max: usize,
    pub(super) on_demand: bool,
    pub(super) encryption_key: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// By id; ids are given out in order.
    pub(super) shards: BTreeMap<String, Shard>,
    pub(super) consumers: BTreeMap<String, Consumer>,
    /// Told on every record and reshard, for those that wait for more.
    pub(super) changed: watch::Sender<()>,
    /// CREATING until then.
    active_from_ms: u64,
    /// UPDATING until then.
    updated_at_ms: u64,
    last_ms: u64,
    next_counter: u64,
    next_shard: u64,
}

/// A shard. Closed ones stay until their records have expired.
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) adjacent_parent: Option<String>,
    pub(super) range: HashRange,
    pub(super) first: Sequence,
    /// Set when closed.
    pub(super) last: Option<Sequence>,
    pub(super) records: VecDeque<Record>,
    pub(super) throttle: Throttle,
}

/// A record, its data in base64 as it came and goes.
pub(super) struct Record {
    pub(super) sequence: Sequence,
    pub(super) partition_key: String,
    pub(super) data: String,
    pub(super) bytes: usize,
}

/// A registered consumer of enhanced fan-out.
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created_ms: u64,
    pub(super) active_from_ms: u64,
    /// Latest subscription of each shard: when it was made, and its number.
    pub(super) subscriptions: BTreeMap<String, (u64, u64)>,
}

impl Shard {
    pub(super) fn is_open(&self) -> bool {
        self.last.is_none()
    }

    /// Index of the first record at or after `counter`.
    pub(super) fn position(&self, counter: u64) -> usize {
        self.records.partition_point(|record| record.sequence.counter < counter)
    }

    pub(super) fn is_child_of(&self, id: &str) -> bool {
        [&self.parent, &self.adjacent_parent].into_iter().flatten().any(|parent| parent == id)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut sequences = json!({ "StartingSequenceNumber": self.first.to_string() });
        if let Some(last) = self.last {
            sequences["EndingSequenceNumber"] = json!(last.to_string());
        }
        let mut shard = json!({
            "ShardId": self.id,
            "HashKeyRange": self.range.to_json(),
            "SequenceNumberRange": sequences,
        });
        if let Some(parent) = &self.parent {
            shard["ParentShardId"] = json!(parent);
        }
        if let Some(adjacent) = &self.adjacent_parent {
            shard["AdjacentParentShardId"] = json!(adjacent);
        }
        shard
    }
}

impl Stream {
    pub(super) fn new(
        name: &str,
        arn: String,
        shards: u32,
        now_ms: u64,
        creating: Duration,
    ) -> Self {
        let mut stream = Self {
            name: name.to_owned(),
            arn,
            created_ms: now_ms,
            retention_h: 24,
            record_bytes_max: 1 << 20,
            on_demand: false,
            encryption_key: None,
            tags: BTreeMap::new(),
            shards: BTreeMap::new(),
            consumers: BTreeMap::new(),
            changed: watch::Sender::default(),
            active_from_ms: now_ms + millis(creating),
            updated_at_ms: now_ms,
            last_ms: now_ms,
            next_counter: 1,
            next_shard: 0,
        };
        let starts: Vec<_> = starts(shards).collect();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).map_or(u128::MAX, |next| next - 1);
            stream.open(HashRange { start, end }, [None, None], now_ms);
        }
        stream
    }

    pub(super) fn status(&self, now_ms: u64) -> &'static str {
        if now_ms < self.active_from_ms {
            "CREATING"
        } else if now_ms < self.updated_at_ms {
            "UPDATING"
        } else {
            "ACTIVE"
        }
    }

    /// Records older than this have expired.
    pub(super) fn horizon_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(u64::from(self.retention_h) * 3_600_000)
    }

    /// Drops what has expired: records, and closed shards with them.
    pub(super) fn trim(&mut self, now_ms: u64) {
        let horizon = self.horizon_ms(now_ms);
        for shard in self.shards.values_mut() {
            while shard.records.front().is_some_and(|record| record.sequence.ms < horizon) {
                shard.records.pop_front();
            }
        }
        self.shards.retain(|_, shard| shard.last.is_none_or(|last| last.ms >= horizon));
    }

    /// The next sequence number. Time within a stream never goes back, whatever the clock does.
    pub(super) fn next_sequence(&mut self, now_ms: u64) -> Sequence {
        self.last_ms = self.last_ms.max(now_ms);
        let counter = self.next_counter;
        self.next_counter += 1;
        Sequence { ms: self.last_ms, counter }
    }

    /// The counter that the next record will get at the least.
    pub(super) fn tip(&self) -> u64 {
        self.next_counter
    }

    pub(super) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values().filter(|shard| shard.is_open())
    }

    pub(super) fn split(&mut self, id: &str, at: u128, now_ms: u64) -> Result<(), AwsError> {
        let range = self.open_shard(id)?.range;
        if at <= range.start || at > range.end {
            let message = format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {id} is not both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                range.start, range.end
            );
            return Err(invalid_argument(message));
        }
        self.close(id, now_ms);
        let parents = || [Some(id.to_owned()), None];
        self.open(HashRange { start: range.start, end: at - 1 }, parents(), now_ms);
        self.open(HashRange { start: at, end: range.end }, parents(), now_ms);
        Ok(())
    }

    pub(super) fn merge(&mut self, id: &str, adjacent: &str, now_ms: u64) -> Result<(), AwsError> {
        let (a, b) = (self.open_shard(id)?.range, self.open_shard(adjacent)?.range);
        let meet = |low: HashRange, high: HashRange| low.end.checked_add(1) == Some(high.start);
        if !meet(a, b) && !meet(b, a) {
            let message = format!(
                "Shards {id} and {adjacent} in stream {} are not an adjacent pair of shards eligible for merging",
                self.name
            );
            return Err(invalid_argument(message));
        }
        self.close(id, now_ms);
        self.close(adjacent, now_ms);
        let range = HashRange { start: a.start.min(b.start), end: a.end.max(b.end) };
        self.open(range, [Some(id.to_owned()), Some(adjacent.to_owned())], now_ms);
        Ok(())
    }

    /// Splits and merges until there are `count` open shards of equal width.
    pub(super) fn update_count(&mut self, count: u32, now_ms: u64) -> Result<(), AwsError> {
        let wanted: Vec<_> = starts(count).collect();
        for &start in &wanted {
            let across =
                self.open_shards().find(|s| s.range.contains(start) && s.range.start != start);
            if let Some(id) = across.map(|shard| shard.id.clone()) {
                self.split(&id, start, now_ms)?;
            }
        }
        loop {
            let mut open: Vec<_> =
                self.open_shards().map(|s| (s.range.start, s.id.clone())).collect();
            open.sort();
            let surplus = open.windows(2).find(|pair| !wanted.contains(&pair[1].0));
            let Some([(_, low), (_, high)]) = surplus else { return Ok(()) };
            self.merge(low, high, now_ms)?;
        }
    }

    /// Refuses a change while another is under way, and begins one that takes `updating`.
    pub(super) fn begin_update(&mut self, now_ms: u64, updating: Duration) -> Result<(), AwsError> {
        let status = self.status(now_ms);
        if status != "ACTIVE" {
            let message =
                format!("Stream {} under account is in state {status}, not ACTIVE.", self.name);
            return Err(resource_in_use(message));
        }
        self.updated_at_ms = now_ms + millis(updating);
        Ok(())
    }

    fn open_shard(&self, id: &str) -> Result<&Shard, AwsError> {
        let shard = self.shard(id)?;
        if !shard.is_open() {
            let message = format!("Shard {id} in stream {} has already been closed", self.name);
            return Err(invalid_argument(message));
        }
        Ok(shard)
    }

    pub(super) fn shard(&self, id: &str) -> Result<&Shard, AwsError> {
        self.shards.get(id).ok_or_else(|| {
            let message = format!("Could not find shard {id} in stream {}.", self.name);
            AwsError::bad_request("ResourceNotFoundException", message)
        })
    }

    fn close(&mut self, id: &str, now_ms: u64) {
        let last = self.next_sequence(now_ms);
        if let Some(shard) = self.shards.get_mut(id) {
            shard.last = Some(last);
        }
        self.changed.send_replace(());
    }

    fn open(&mut self, range: HashRange, parents: [Option<String>; 2], now_ms: u64) {
        let id = format!("shardId-{:012}", self.next_shard);
        self.next_shard += 1;
        let [parent, adjacent_parent] = parents;
        let shard = Shard {
            id: id.clone(),
            parent,
            adjacent_parent,
            range,
            first: self.next_sequence(now_ms),
            last: None,
            records: VecDeque::new(),
            throttle: Throttle::default(),
        };
        self.shards.insert(id, shard);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
