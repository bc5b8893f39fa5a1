//! Publishes what was left behind.

use std::time::Duration;

use event::Event;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::entry::{self, Entry, SHARDS};
use super::{Outbox, Unpublished};
use crate::Error;
use crate::item::{self, Item, SK};

/// Entries of one request: DynamoDB hands out 1 MB at most, and that much is in memory.
pub(super) const PAGE_MAX: i32 = 25;
/// So many entries in a row that cannot be published now mean that nothing can.
const FAILURES_MAX: u32 = 3;
/// Longest pause between sweeps while the rapids or the table refuse.
const PAUSE_MOST: Duration = Duration::from_secs(60);

/// How the sweeper goes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Age from which an entry is taken to be left behind. Less than a publishing takes makes copies, which are
    /// harmless; clocks of processes may differ by so much.
    pub after: SignedDuration,
    /// Time between sweeps, on average: each pause is between half of it and one and a half.
    pub every: Duration,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries that were published and deleted.
    pub published: usize,
    /// Entries that can never be published, and were moved aside.
    pub refused: usize,
    /// Entries that could not be published now.
    pub left: usize,
    /// Whether the sweep ended early, because nothing could be published.
    pub gave_up: bool,
}

/// Where sweeps of a process are.
#[derive(Debug, Default)]
struct Places {
    /// The last sort key that was looked at, where a sweep gave up or was stopped. The next one goes on there: entries
    /// that cannot be published must not hide those behind them.
    after: [Option<String>; SHARDS as usize],
}

impl Default for Sweep {
    fn default() -> Self {
        Self { after: SignedDuration::from_secs(30), every: Duration::from_secs(10) }
    }
}

impl Outbox {
    /// Publishes and deletes entries that were left behind, until `stop`: for the background of the service, in each of
    /// its processes. What is under way at `stop` is finished.
    pub async fn sweep<P, F>(&self, settings: Sweep, stop: CancellationToken, publish: P)
    where
        P: Fn(Vec<Event>) -> F,
        F: Future<Output = Result<(), Unpublished>>,
    {
        let (mut places, mut failures) = (Places::default(), 0);
        loop {
            let pause = pause(settings.every, failures, fastrand::f64());
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            let swept = self.sweep_from(&mut places, settings.after, &stop, &publish).await;
            let failed = match swept {
                Ok(swept) => {
                    if swept != Swept::default() {
                        info!(outbox = &*self.name, ?swept, "published what was left behind");
                    }
                    swept.gave_up
                }
                Err(error) => {
                    warn!(outbox = &*self.name, %error, "could not sweep");
                    true
                }
            };
            failures = if failed { failures + 1 } else { 0 };
        }
    }

    /// One sweep over all entries that are older than `after`.
    ///
    /// # Errors
    /// [`Error::Aws`]; entries that were published before it are deleted, or will be once more.
    pub async fn sweep_once<P, F>(&self, after: SignedDuration, publish: P) -> Result<Swept, Error>
    where
        P: Fn(Vec<Event>) -> F,
        F: Future<Output = Result<(), Unpublished>>,
    {
        let never = CancellationToken::new();
        self.sweep_from(&mut Places::default(), after, &never, &publish).await
    }

    /// How old the oldest entry is, none when there is none: what a gauge shows, to be watched.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`].
    pub async fn oldest(&self) -> Result<Option<SignedDuration>, Error> {
        let now = self.pond.now();
        let mut oldest = None;
        for shard in 0..SHARDS {
            let first = self.page(shard, now, None, 1).await?;
            if let Some(item) = first.first() {
                let entry = Entry::from_item(item);
                let pk = entry::pk(&self.name, shard);
                let at = entry.map_err(|attribute| self.pond.unreadable(&pk, attribute))?.at;
                oldest = oldest.max(Some(now.duration_since(at)));
            }
        }
        Ok(oldest)
    }

    async fn sweep_from<P, F>(
        &self,
        places: &mut Places,
        after: SignedDuration,
        stop: &CancellationToken,
        publish: &P,
    ) -> Result<Swept, Error>
    where
        P: Fn(Vec<Event>) -> F,
        F: Future<Output = Result<(), Unpublished>>,
    {
        let before = self.pond.now().saturating_sub(after).unwrap_or(Timestamp::MIN);
        let (mut swept, mut failures) = (Swept::default(), 0);
        // Two sweepers that start together are seldom at the same entry.
        let first = fastrand::u64(..SHARDS);
        for shard in (first..SHARDS).chain(0..first) {
            let place = &mut places.after[shard as usize];
            loop {
                let page = self.page(shard, before, place.as_deref(), PAGE_MAX).await?;
                if page.is_empty() {
                    *place = None;
                    break;
                }
                for item in &page {
                    if stop.is_cancelled() {
                        return Ok(swept);
                    }
                    *place = item::text_of(item, SK).map(str::to_owned);
                    let left = swept.left;
                    self.settle(item, publish, &mut swept).await?;
                    failures = if swept.left > left { failures + 1 } else { 0 };
                    if failures >= FAILURES_MAX {
                        return Ok(Swept { gave_up: true, ..swept });
                    }
                }
            }
        }
        Ok(swept)
    }

    /// Publishes and deletes an entry, or moves it aside, or leaves it.
    async fn settle<P, F>(&self, item: &Item, publish: &P, swept: &mut Swept) -> Result<(), Error>
    where
        P: Fn(Vec<Event>) -> F,
        F: Future<Output = Result<(), Unpublished>>,
    {
        let read = Entry::from_item(item).map_err(|attribute| format!("no usable {attribute}"));
        let read = read.and_then(|entry| Ok((entry.parse().map_err(|e| e.to_string())?, entry)));
        let (events, entry) = match read {
            Ok(read) => read,
            Err(reason) => {
                swept.refused += 1;
                return self.move_aside(item, &reason).await;
            }
        };
        match publish(events).await {
            Ok(()) => {
                swept.published += 1;
                self.delete(&entry.pk, &entry.sk).await
            }
            Err(why @ Unpublished::Never(_)) => {
                swept.refused += 1;
                self.move_aside(item, &why.to_string()).await
            }
            Err(Unpublished::Later(why)) => {
                swept.left += 1;
                warn!(outbox = &*self.name, entry = entry.sk, %why, "left an entry for later");
                Ok(())
            }
        }
    }

    /// Entries of a shard from before this time, the oldest first, behind the sort key `after`.
    async fn page(
        &self,
        shard: u64,
        before: Timestamp,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Vec<Item>, Error> {
        let pk = entry::pk(&self.name, shard);
        let query = self.pond.client.query().table_name(&*self.pond.table).consistent_read(true);
        let query = query
            .key_condition_expression("pk = :pk AND sk < :before")
            .expression_attribute_values(":pk", item::text(&pk))
            // Entries of the very microsecond are before it: their keys go on.
            .expression_attribute_values(":before", item::text(entry::time(before) + "$"))
            .set_exclusive_start_key(after.map(|sk| item::key(&pk, sk)))
            .limit(limit);
        let page = query.send().await;
        let page = page.map_err(|error| Error::aws(&self.pond.table, "reading entries", error))?;
        Ok(page.items.unwrap_or_default())
    }
}

/// The pause before a sweep, after so many in a row that failed; `chance` is from 0 to 1.
fn pause(every: Duration, failures: u32, chance: f64) -> Duration {
    let longer = every.saturating_mul(1 << failures.min(16));
    // A service that sweeps seldom does not begin to sweep often when nothing works.
    longer.min(PAUSE_MOST.max(every)).mul_f64(0.5 + chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_grow_while_nothing_works() {
        let seconds = |every, failures, chance| {
            pause(Duration::from_secs(every), failures, chance).as_secs_f64()
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        close(seconds(10, 0, 0.0), 5.0);
        close(seconds(10, 0, 1.0), 15.0);
        close(seconds(10, 2, 0.5), 40.0);
        close(seconds(10, u32::MAX, 0.5), 60.0);
        close(seconds(300, 5, 0.5), 300.0);
    }
}
