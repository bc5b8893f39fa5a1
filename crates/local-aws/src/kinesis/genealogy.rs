//! How shards split and merge: parents are closed, children cover their range.

use super::error::invalid_argument;
use super::hash::{HashRange, starts};
use super::shard::{Shard, ShardId};
use super::stream::Stream;
use crate::wire::AwsError;

impl Stream {
    /// Splits a shard as a caller asks
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SplitShard.html>).
    pub(super) fn split(&mut self, id: &str, at: u128, now_ms: u64) -> Result<(), AwsError> {
        let shard = self.eligible(id)?;
        let HashRange { start, end } = shard.range;
        if at <= start.saturating_add(1) || at >= end {
            let message = format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {id} in stream {} is not both greater than one plus the shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}.",
                self.title()
            );
            return Err(invalid_argument(message));
        }
        self.cut(shard.id, at, now_ms);
        Ok(())
    }

    /// Merges two shards as a caller asks
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_MergeShards.html>).
    pub(super) fn merge(&mut self, id: &str, adjacent: &str, now_ms: u64) -> Result<(), AwsError> {
        let (a, b) = (self.eligible(id)?, self.eligible(adjacent)?);
        let meet = |low: HashRange, high: HashRange| low.end.checked_add(1) == Some(high.start);
        if !meet(a.range, b.range) && !meet(b.range, a.range) {
            let message = format!(
                "Shards {id} and {adjacent} in stream {} are not an adjacent pair of shards eligible for merging",
                self.title()
            );
            return Err(invalid_argument(message));
        }
        self.join(a.id, b.id, now_ms);
        Ok(())
    }

    /// Splits and merges until there are `count` open shards of equal width.
    pub(super) fn update_count(&mut self, count: u32, now_ms: u64) {
        let wanted: Vec<_> = starts(count).collect();
        for &start in &wanted {
            let across = self.open_at(start).and_then(|id| self.shards.get(&id));
            let across = across.filter(|shard| shard.range.start != start);
            if let Some(id) = across.map(|shard| shard.id) {
                self.cut(id, start, now_ms);
            }
        }
        loop {
            let open: Vec<_> =
                self.open_shards().map(|shard| (shard.range.start, shard.id)).collect();
            // Both lists are in order.
            let surplus = open.windows(2).find(|pair| wanted.binary_search(&pair[1].0).is_err());
            let Some([(_, low), (_, high)]) = surplus else { return };
            self.join(*low, *high, now_ms);
        }
    }

    fn cut(&mut self, id: ShardId, at: u128, now_ms: u64) {
        let Some(HashRange { start, end }) = self.shards.get(&id).map(|shard| shard.range) else {
            return;
        };
        self.close(id, now_ms);
        self.open(HashRange { start, end: at - 1 }, vec![id], now_ms);
        self.open(HashRange { start: at, end }, vec![id], now_ms);
        self.changed.send_replace(());
    }

    fn join(&mut self, id: ShardId, adjacent: ShardId, now_ms: u64) {
        let ranges = [id, adjacent].map(|id| self.shards.get(&id).map(|shard| shard.range));
        let [Some(a), Some(b)] = ranges else { return };
        self.close(id, now_ms);
        self.close(adjacent, now_ms);
        let range = HashRange { start: a.start.min(b.start), end: a.end.max(b.end) };
        self.open(range, vec![id, adjacent], now_ms);
        self.changed.send_replace(());
    }

    /// A shard that may become a parent: an open one.
    fn eligible(&self, id: &str) -> Result<Parent, AwsError> {
        let Shard { id: known, range, closed_ms, .. } = self.shard(id)?;
        if closed_ms.is_some() {
            let message = format!(
                "Shard {id} in stream {} has already been merged or split, and thus is not eligible for merging or splitting.",
                self.title()
            );
            return Err(invalid_argument(message));
        }
        Ok(Parent { id: *known, range: *range })
    }
}

struct Parent {
    id: ShardId,
    range: HashRange,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stream::Origin;
    use super::*;

    const NOW_MS: u64 = 1_795_392_000_000;

    fn stream(shards: u32) -> Stream {
        let origin =
            Origin { name: "s", region: "us-east-1", account: "000000000000", generation: 1 };
        Stream::new(&origin, shards, NOW_MS, Duration::ZERO)
    }

    /// The invariants of a stream's shards.
    fn check(stream: &Stream) {
        let mut next = Some(0);
        for shard in stream.open_shards() {
            assert!(shard.is_open());
            assert_eq!(Some(shard.range.start), next, "no gap and no overlap");
            next = shard.range.end.checked_add(1);
        }
        assert_eq!(next, None, "up to the highest key");
        let open = stream.shards.values().filter(|shard| shard.is_open()).count();
        assert_eq!(open, stream.open_count());
        for shard in stream.shards.values() {
            let first = shard.sequence(0, shard.opened_ms).to_string();
            for parent in &shard.parents {
                let parent = &stream.shards[parent];
                let end = parent.sequence(parent.tip(), parent.closed_ms.unwrap()).to_string();
                assert!(first > end, "{} begins above {}", shard.id, parent.id);
            }
            let children = stream.children(shard.id).count();
            assert_eq!(children == 0, shard.is_open(), "closed shards alone have children");
        }
    }

    #[test]
    fn whatever_is_split_and_merged_the_open_shards_cover_the_key_space() {
        for seed in 0..40 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut stream = stream(random.u32(1..9));
            for step in 0..40 {
                let now_ms = NOW_MS + step / 4;
                let open: Vec<_> =
                    stream.open_shards().map(|shard| (shard.id.to_string(), shard.range)).collect();
                let (id, range) = &open[random.usize(..open.len())];
                // Refusals are fine: they must change nothing.
                match random.u8(..3) {
                    0 => drop(stream.split(id, random.u128(range.start..=range.end), now_ms)),
                    1 => drop(stream.merge(id, &open[random.usize(..open.len())].0, now_ms)),
                    _ => stream.update_count(random.u32(1..9), now_ms),
                }
                check(&stream);
            }
        }
    }

    #[test]
    fn a_split_leaves_each_child_more_than_one_key() {
        let mut stream = stream(1);
        let id = ShardId(0).to_string();
        for at in [0, 1, u128::MAX] {
            assert!(stream.split(&id, at, NOW_MS).is_err(), "at {at}");
        }
        stream.split(&id, 2, NOW_MS).unwrap();
        assert!(stream.split(&id, 9, NOW_MS).is_err(), "a closed shard");
        check(&stream);
    }

    #[test]
    fn shards_that_do_not_touch_and_a_shard_with_itself_cannot_be_merged() {
        let mut stream = stream(3);
        let [a, b, c] = [0, 1, 2].map(|index| ShardId(index).to_string());
        assert!(stream.merge(&a, &c, NOW_MS).is_err());
        assert!(stream.merge(&a, &a, NOW_MS).is_err());
        stream.merge(&c, &b, NOW_MS).unwrap();
        assert_eq!(stream.shards[&ShardId(3)].parents, [ShardId(2), ShardId(1)]);
        check(&stream);
    }
}
