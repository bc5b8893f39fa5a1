//! A stream: its shards, its settings, its state.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::consumer::Consumer;
use super::error::{not_found, resource_in_use};
use super::hash::{HashRange, starts};
use super::shard::{Shard, ShardId};
use crate::wire::AwsError;

/// A stream.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) arn: String,
    /// Tells it from an earlier stream of the same name.
    pub(super) generation: u64,
    pub(super) created_ms: u64,
    pub(super) retention_h: u32,
    pub(super) record_bytes_max: usize,
    pub(super) on_demand: bool,
    pub(super) encryption_key: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) shards: BTreeMap<ShardId, Shard>,
    pub(super) consumers: BTreeMap<String, Consumer>,
    /// Told on every record and reshard, for those that wait for more.
    pub(super) changed: watch::Sender<()>,
    /// The open shards, by their lowest hash key. They cover the key space.
    open: BTreeMap<u128, ShardId>,
    account: String,
    /// CREATING until then.
    active_from_ms: u64,
    /// UPDATING until then.
    updated_at_ms: u64,
    last_ms: u64,
    trimmed_to_ms: u64,
    next_shard: u32,
}

/// Whose stream it is to be, and which.
pub(super) struct Origin<'a> {
    pub(super) name: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) generation: u64,
}

impl Stream {
    pub(super) fn new(origin: &Origin<'_>, shards: u32, now_ms: u64, creating: Duration) -> Self {
        let Origin { name, region, account, generation } = *origin;
        let mut stream = Self {
            name: name.to_owned(),
            arn: format!("arn:aws:kinesis:{region}:{account}:stream/{name}"),
            generation,
            created_ms: now_ms,
            retention_h: 24,
            record_bytes_max: 1 << 20,
            on_demand: false,
            encryption_key: None,
            tags: BTreeMap::new(),
            shards: BTreeMap::new(),
            consumers: BTreeMap::new(),
            changed: watch::Sender::default(),
            open: BTreeMap::new(),
            account: account.to_owned(),
            active_from_ms: now_ms + millis(creating),
            updated_at_ms: now_ms,
            last_ms: now_ms,
            trimmed_to_ms: 0,
            next_shard: 0,
        };
        let starts: Vec<_> = starts(shards).collect();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).map_or(u128::MAX, |next| next - 1);
            stream.open(HashRange { start, end }, Vec::new(), now_ms);
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

    /// As error messages name it.
    pub(super) fn title(&self) -> String {
        format!("{} under account {}", self.name, self.account)
    }

    /// Refuses a change while another is under way.
    pub(super) fn check_active(&self, now_ms: u64) -> Result<(), AwsError> {
        match self.status(now_ms) {
            "ACTIVE" => Ok(()),
            status => Err(resource_in_use(format!(
                "Stream {} not ACTIVE, instead in state {status}",
                self.title()
            ))),
        }
    }

    /// Refuses records and readers while the stream is being created: it is not there for them.
    pub(super) fn check_created(&self, now_ms: u64) -> Result<(), AwsError> {
        if now_ms < self.active_from_ms {
            return Err(not_found(format!("Stream {} not found.", self.title())));
        }
        Ok(())
    }

    /// Says that a change was begun that takes `updating`.
    pub(super) fn update(&mut self, now_ms: u64, updating: Duration) {
        self.updated_at_ms = now_ms + millis(updating);
    }

    /// What the time is in this stream: it never goes back, whatever the clock does.
    pub(super) fn time(&mut self, clock_ms: u64) -> u64 {
        self.last_ms = self.last_ms.max(clock_ms);
        self.last_ms
    }

    /// Records older than this have expired.
    fn horizon_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(u64::from(self.retention_h) * 3_600_000)
    }

    /// From when on there can be records.
    pub(super) fn trim_horizon_ms(&self, now_ms: u64) -> u64 {
        self.created_ms.max(self.horizon_ms(now_ms))
    }

    /// Drops what has expired: records, and closed shards with them.
    pub(super) fn trim(&mut self, now_ms: u64) {
        let horizon_ms = self.horizon_ms(now_ms);
        if horizon_ms <= self.trimmed_to_ms {
            return;
        }
        self.trimmed_to_ms = horizon_ms;
        for shard in self.shards.values_mut() {
            shard.trim(horizon_ms);
        }
        self.shards.retain(|_, shard| shard.closed_ms.is_none_or(|closed| closed >= horizon_ms));
    }

    /// The open shards in the order of their ranges.
    pub(super) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.open.values().filter_map(|id| self.shards.get(id))
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The open shard that serves a hash key.
    pub(super) fn open_at(&self, hash_key: u128) -> Option<ShardId> {
        self.open.range(..=hash_key).next_back().map(|(_, id)| *id)
    }

    /// The shard of an id as a request gives it.
    pub(super) fn shard(&self, id: &str) -> Result<&Shard, AwsError> {
        ShardId::parse(id).and_then(|id| self.shards.get(&id)).ok_or_else(|| {
            not_found(format!("Shard {id} in stream {} does not exist", self.title()))
        })
    }

    pub(super) fn children(&self, id: ShardId) -> impl Iterator<Item = &Shard> {
        self.shards.values().filter(move |shard| shard.parents.contains(&id))
    }

    pub(super) fn close(&mut self, id: ShardId, now_ms: u64) {
        if let Some(shard) = self.shards.get_mut(&id) {
            shard.closed_ms = Some(now_ms);
            self.open.remove(&shard.range.start);
        }
    }

    pub(super) fn open(&mut self, range: HashRange, parents: Vec<ShardId>, now_ms: u64) {
        let id = ShardId(self.next_shard);
        self.next_shard += 1;
        let parents_made_s = parents.iter().filter_map(|id| Some(self.shards.get(id)?.made_s));
        let above_parents = parents_made_s.max().map_or(0, |made_s| made_s + 1);
        let made_s = above_parents.max(now_ms / 1_000);
        self.open.insert(range.start, id);
        self.shards.insert(id, Shard::open(id, parents, range, made_s, now_ms));
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
