//! Keeping the leases in step with the stream: makes those that are missing, deletes those that have served, and
//! names a part of the key space that nobody reads.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::balance::Observed;
use crate::consumer::coordinator::Coordinator;
use crate::consumer::seen::is_auditor;
use crate::error::Error;
use crate::lease::table::Outcome;
use crate::lease::transition::Transition;
use crate::lease::{HashRange, Lease};
use crate::processor::Processor;
use crate::retrieval;
use crate::shards::{self, Coverage, Shard};

/// How often the list of shards is compared with the leases. KCL: 60 s.
const SHARD_SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// How often, while some hash key has no lease or a row does not say which are its own.
const URGENT_SYNC_INTERVAL: Duration = Duration::from_secs(2);
/// After so long with a hole every worker compares, whoever should.
const HOLE_FOR_ALL: Duration = Duration::from_secs(8);
/// How often a hole is told in the log. The first time, it has been there for one look.
const TELL_INTERVAL: Duration = Duration::from_secs(20);
/// For how long a shard must have been missing from the list before its unfinished lease is deleted: a list may
/// be behind a reshard. KCL: `garbageLeaseCleanupIntervalMillis`, 30 min.
const GONE_FOR: Duration = Duration::from_secs(30 * 60);

/// What a worker remembers of its audits.
#[derive(Default)]
pub(super) struct Audit {
    synced_at: Option<Instant>,
    hole: Option<Hole>,
    /// Leases whose shards are not in the list, and since when.
    unlisted: HashMap<String, Instant>,
}

struct Hole {
    since: Instant,
    told_at: Option<Instant>,
}

/// What a look says about the key space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finding {
    Whole,
    /// There is no lease at all: a new application.
    Empty,
    /// Seen for the first time: a table that was read while a shard ended may look so.
    NewHole,
    Hole,
    Unknown,
}

impl Audit {
    /// For how long some hash key has had no lease.
    pub(super) fn hole(&self) -> Option<Duration> {
        self.hole.as_ref().map(|hole| hole.since.elapsed())
    }

    fn find(&mut self, leases: &[Lease], stream: &str) -> Finding {
        if leases.is_empty() {
            self.hole.get_or_insert(Hole { since: Instant::now(), told_at: None });
            return Finding::Empty;
        }
        let holes = match shards::coverage(leases) {
            Coverage::Holes(holes) => holes,
            coverage => {
                if let Some(hole) = self.hole.take().filter(|hole| hole.told_at.is_some()) {
                    let seconds = hole.since.elapsed().as_secs();
                    info!(stream, seconds, "every hash key has a lease again");
                }
                let unknown = coverage == Coverage::Unknown;
                return if unknown { Finding::Unknown } else { Finding::Whole };
            }
        };
        let Some(hole) = &mut self.hole else {
            self.hole = Some(Hole { since: Instant::now(), told_at: None });
            return Finding::NewHole;
        };
        if hole.told_at.is_none_or(|at| at.elapsed() >= TELL_INTERVAL) {
            hole.told_at = Some(Instant::now());
            let seconds = hole.since.elapsed().as_secs();
            let holes = named(&holes);
            error!(
                stream,
                seconds,
                holes,
                "nobody reads the records with these hash keys: their shard has no lease. It gets one as soon \
                 as Kinesis lists the shard; see `aws kinesis list-shards`"
            );
        }
        Finding::Hole
    }

    fn is_due(&self, finding: Finding, is_auditor: bool) -> bool {
        let (interval, mine) = match finding {
            Finding::Whole | Finding::NewHole => (SHARD_SYNC_INTERVAL, is_auditor),
            Finding::Unknown => (URGENT_SYNC_INTERVAL, is_auditor),
            Finding::Empty => (Duration::ZERO, true),
            Finding::Hole => {
                let is_old = self.hole().is_some_and(|age| age >= HOLE_FOR_ALL);
                (URGENT_SYNC_INTERVAL, is_auditor || is_old)
            }
        };
        mine && self.synced_at.is_none_or(|at| at.elapsed() >= interval)
    }

    /// Takes note of which leases have no shard in the list.
    fn note_unlisted(&mut self, shards: &[Shard], leases: &[Lease]) {
        let is_listed = |key: &str| shards.iter().any(|shard| shard.id == key);
        let unlisted = leases.iter().filter(|lease| !is_listed(&lease.key));
        let since = |key: &str| self.unlisted.get(key).copied().unwrap_or_else(Instant::now);
        self.unlisted = unlisted.map(|lease| (lease.key.clone(), since(&lease.key))).collect();
    }

    fn is_gone(&self, lease: &Lease) -> bool {
        self.unlisted.get(&lease.key).is_some_and(|since| since.elapsed() >= GONE_FOR)
    }
}

impl<P: Processor> Coordinator<P> {
    /// Compares the leases with the shards, when it is time and this worker's turn. Gives the leases as they
    /// are then.
    pub(super) async fn audit(&mut self, observed: Vec<Observed>) -> Result<Vec<Observed>, Error> {
        let (worker, failover) = (self.keeping.worker.clone(), self.keeping.failover);
        let is_auditor = is_auditor(&observed, &worker, failover);
        let leases: Vec<_> = observed.iter().map(|seen| seen.lease.clone()).collect();
        let finding = self.audit.find(&leases, &self.consumer.settings.stream);
        if !self.audit.is_due(finding, is_auditor) {
            return Ok(observed);
        }
        let leases = self.sync(leases, finding).await?;
        self.audit.synced_at = Some(Instant::now());
        if finding != Finding::Whole {
            self.audit.find(&leases, &self.consumer.settings.stream);
        }
        Ok(self.seen.observe(leases))
    }

    async fn sync(
        &mut self,
        mut leases: Vec<Lease>,
        finding: Finding,
    ) -> Result<Vec<Lease>, Error> {
        let settings = &self.consumer.settings;
        let shards =
            retrieval::list(&self.consumer.kinesis, &settings.stream, &*self.consumer.metrics)
                .await?;
        let missing = match shards::missing(&shards, &leases, settings.initial_position) {
            Ok(missing) => missing,
            Err(incomplete) => {
                let error = &incomplete as &dyn std::error::Error;
                warn!(stream = settings.stream, error, "no lease is made or deleted before it is");
                return Ok(leases);
            }
        };
        self.note_ranges(&shards, &mut leases).await?;
        // While every hash key is covered, what seems to be missing is on its way: its parents will bring it.
        let is_unknown =
            finding == Finding::Unknown && shards::coverage(&leases) == Coverage::Unknown;
        if matches!(finding, Finding::Empty | Finding::Hole) || is_unknown {
            let now = self.resources.now_for(&missing).await?;
            for mut lease in missing {
                lease.initial_at = lease.begins_at(settings.initial_position, now);
                let made = self.table.apply(&Transition::Create, &lease).await?;
                if let Outcome::Applied(lease) = made {
                    info!(shard = lease.key, checkpoint = %lease.checkpoint, "made a lease");
                    leases.push(lease);
                }
            }
        }
        self.delete_garbage(&shards, &mut leases).await?;
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    /// Fills in what rows of old do not say.
    async fn note_ranges(&self, shards: &[Shard], leases: &mut [Lease]) -> Result<(), Error> {
        let ranges = shards::unknown_ranges(shards, leases).into_iter();
        let ranges: Vec<_> = ranges.map(|(lease, range)| (lease.clone(), range)).collect();
        for (lease, range) in ranges {
            let noted = self.table.apply(&Transition::HashRange(range), &lease).await?;
            if let Outcome::Applied(noted) = noted
                && let Some(lease) = leases.iter_mut().find(|lease| lease.key == noted.key)
            {
                lease.hash_range = noted.hash_range;
            }
        }
        Ok(())
    }

    async fn delete_garbage(
        &mut self,
        shards: &[Shard],
        leases: &mut Vec<Lease>,
    ) -> Result<(), Error> {
        self.audit.note_unlisted(shards, leases);
        let garbage = shards::garbage(shards, leases, |lease| self.audit.is_gone(lease));
        let garbage: Vec<_> = garbage.into_iter().cloned().collect();
        for lease in garbage {
            if !lease.is_finished() {
                warn!(
                    shard = lease.key,
                    checkpoint = %lease.checkpoint,
                    "Kinesis has not had this shard for long: its lease goes"
                );
            }
            if let Outcome::Applied(_) = self.table.apply(&Transition::Delete, &lease).await? {
                leases.retain(|it| it.key != lease.key);
            }
        }
        Ok(())
    }
}

fn named(holes: &[HashRange]) -> String {
    let name = |hole: &HashRange| format!("{}-{}", hole.start, hole.end);
    holes.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    fn shard(id: &str) -> Shard {
        Shard { id: id.into(), parents: [].into(), hash_range: None, open: true }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_gone_after_half_an_hour_in_no_list_and_is_not_when_it_was_in_one_since() {
        let lease = Lease::new("shardId-gone", Checkpoint::parse("4954", 0).unwrap());
        let (leases, others) = ([lease.clone()], [shard("shardId-000000000000")]);
        let mut audit = Audit::default();
        for minute in 0..30 {
            audit.note_unlisted(&others, &leases);
            assert!(!audit.is_gone(&lease), "after {minute} minutes");
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert!(audit.is_gone(&lease));
        audit.note_unlisted(&[shard("shardId-gone")], &leases);
        audit.note_unlisted(&others, &leases);
        assert!(!audit.is_gone(&lease));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hole_is_acted_on_by_the_auditor_at_the_second_look_and_by_anyone_when_it_stays() {
        let range = HashRange { start: 0, end: 9 };
        let lease = Lease {
            hash_range: Some(range),
            ..Lease::new("shardId-000000000000", Checkpoint::TrimHorizon)
        };
        let whole =
            Lease { hash_range: Some(HashRange { start: 0, end: u128::MAX }), ..lease.clone() };
        let leases = &[lease];
        let mut audit = Audit { synced_at: Some(Instant::now()), ..Audit::default() };
        tokio::time::advance(URGENT_SYNC_INTERVAL).await;
        let finding = audit.find(leases, "events");
        assert!(finding == Finding::NewHole && !audit.is_due(finding, true));
        let finding = audit.find(leases, "events");
        assert!(finding == Finding::Hole);
        assert!(audit.is_due(finding, true) && !audit.is_due(finding, false));
        tokio::time::advance(HOLE_FOR_ALL).await;
        let finding = audit.find(leases, "events");
        assert!(audit.is_due(finding, false));
        assert_eq!(audit.hole(), Some(HOLE_FOR_ALL));
        assert!(audit.find(&[whole], "events") == Finding::Whole);
        assert_eq!(audit.hole(), None, "the next hole is a new one");
    }
}
