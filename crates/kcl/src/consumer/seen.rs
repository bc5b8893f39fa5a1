//! What a worker remembers from look to look, and what it concludes without asking anyone.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::Observed;
use crate::lease::Lease;

/// The shortest time between two looks: what a released lease waits for its next owner.
pub(super) const LOOK_LEAST: Duration = Duration::from_millis(500);
/// A look costs half a read unit for 8 KB, some 16 rows: with this much time for each row, looking costs less
/// than ten read units a second however many leases there are.
const LOOK_FOR_EACH_ROW: Duration = Duration::from_millis(4);

/// Counter of each lease, and since when it stands there, by this worker's clock.
#[derive(Default)]
pub(super) struct Seen(HashMap<String, (u64, Instant)>);

impl Seen {
    pub(super) fn observe(&mut self, leases: Vec<Lease>) -> Vec<Observed> {
        let now = Instant::now();
        let keys: BTreeSet<_> = leases.iter().map(|lease| lease.key.clone()).collect();
        self.0.retain(|key, _| keys.contains(key));
        let observe = |lease: Lease| {
            let seen = self.0.entry(lease.key.clone()).or_insert((lease.counter, now));
            if seen.0 != lease.counter {
                *seen = (lease.counter, now);
            }
            Observed { idle: now - seen.1, lease }
        };
        leases.into_iter().map(observe).collect()
    }
}

/// Time between two looks at a table of so many rows.
pub(super) fn look_interval(rows: usize, failover: Duration) -> Duration {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    let most = (failover / 3).max(LOOK_LEAST.min(failover / 3));
    LOOK_FOR_EACH_ROW.saturating_mul(rows).max(LOOK_LEAST).min(most)
}

/// Whether this worker is the one that compares the shards with the leases: of those whose leases are renewed,
/// the first by name; anyone, where there is none. Two at once do no harm, as every write is conditional.
pub(super) fn is_auditor(observed: &[Observed], worker: &str, failover: Duration) -> bool {
    let alive = observed.iter().filter(|seen| seen.idle <= failover);
    let first = alive.filter_map(|seen| seen.lease.holder()).min();
    first.is_none_or(|first| first == worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    const FAILOVER: Duration = Duration::from_secs(10);

    fn seen(owner: Option<&str>, idle_s: u64) -> Observed {
        let lease = Lease {
            owner: owner.map(str::to_owned),
            ..Lease::new("shardId-000000000000", Checkpoint::TrimHorizon)
        };
        Observed { lease, idle: Duration::from_secs(idle_s) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_stands_still_from_when_its_counter_was_first_seen_and_not_by_its_row() {
        let lease = |counter| Lease { counter, ..seen(Some("b"), 0).lease };
        let mut known = Seen::default();
        let mut idle = |counter| known.observe(vec![lease(counter)])[0].idle;
        assert_eq!(
            idle(7),
            Duration::ZERO,
            "a worker that has just started knows nothing of silence"
        );
        tokio::time::advance(FAILOVER).await;
        assert_eq!(idle(7), FAILOVER);
        assert_eq!(idle(8), Duration::ZERO, "it moved");
        tokio::time::advance(FAILOVER * 2).await;
        assert_eq!(idle(8), FAILOVER * 2);
    }

    #[test]
    fn the_first_living_worker_by_name_audits_and_anyone_where_there_is_none() {
        let observed = [seen(Some("a"), 11), seen(Some("b"), 2), seen(Some("c"), 1), seen(None, 0)];
        assert!(is_auditor(&observed, "b", FAILOVER));
        assert!(!is_auditor(&observed, "a", FAILOVER));
        assert!(!is_auditor(&observed, "c", FAILOVER));
        assert!(is_auditor(&observed[3..], "c", FAILOVER));
    }

    #[test]
    fn looks_are_prompt_for_small_tables_and_cheap_for_large_ones() {
        let ms =
            |rows, failover_ms| look_interval(rows, Duration::from_millis(failover_ms)).as_millis();
        assert_eq!(ms(10, 10_000), 500);
        assert_eq!(ms(400, 10_000), 1_600);
        assert_eq!(ms(5_000, 10_000), 3_333);
        assert_eq!(ms(10, 1_000), 333);
    }
}
