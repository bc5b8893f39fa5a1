//! One shard, from its checkpoint to its end: read, deliver, save the place.

mod finish;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::aggregate;
use crate::budget::{Budget, Permit};
use crate::checkpoint::{Checkpoint, Position};
use crate::clock::Now;
use crate::consumer::{Consumer, End};
use crate::delivery::{Delivery, Drained, Offer};
use crate::error::Error;
use crate::lease::held::HeldLease;
use crate::lease::table::LeaseTable;
use crate::lease::{HashRange, Lease};
use crate::metrics::{Fate, Metrics};
use crate::processor::{Ended, Processor, ShardContext};
use crate::record::Record;
use crate::retrieval::{self, Page, Source, Start};
use crate::settings::Settings;
use crate::shards::Shard;

/// How often an unfinished parent is looked at. KCL: `parentShardPollIntervalMillis`, 10 s.
const PARENT_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// What the tasks of all shards share.
pub(crate) struct Resources<P> {
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) table: LeaseTable,
    pub(crate) processor: Arc<P>,
    pub(crate) budget: Budget,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) now: Now,
    pub(crate) consumer_arn: Option<Arc<str>>,
    /// Bytes of all shards since this was last set to 0.
    pub(crate) carried: AtomicU64,
}

/// Everything that reading one shard takes.
pub(crate) struct ShardTask<P> {
    shard: ShardContext,
    /// Shards that have to be processed to their end before this one.
    parents: BTreeSet<String>,
    /// The part of the key space that is the shard's.
    hash_range: Option<HashRange>,
    /// Up to where the lease says that all is done.
    resume: Option<Position>,
    saved: Saved,
    held: HeldLease,
    delivery: Delivery<Permit>,
    resources: Arc<Resources<P>>,
    stop: CancellationToken,
    handed_since: Option<Instant>,
}

/// What was saved last, and when.
struct Saved {
    position: Option<Position>,
    at: Instant,
}

/// What there is to do next.
enum Next {
    Page(Page),
    NoPage(Error),
    Save,
    /// There is something to save, in time.
    Moved,
    /// Everything up to the end of the shard is settled.
    Finish,
    Leave(Ended),
}

impl<P> Resources<P> {
    pub(crate) fn new(consumer: &Consumer<P>, table: LeaseTable) -> Self {
        let (settings, metrics) = (consumer.settings.clone(), consumer.metrics.clone());
        Self {
            kinesis: consumer.kinesis.clone(),
            table,
            processor: consumer.processor.clone(),
            budget: Budget::new(settings.bytes_in_flight_max, metrics.clone()),
            settings,
            metrics,
            now: consumer.now.clone(),
            consumer_arn: consumer.consumer_arn.clone(),
            carried: AtomicU64::new(0),
        }
    }

    /// The time to write down for leases that begin now: that of Kinesis, if one of them begins at the tip.
    pub(crate) async fn now_for(&self, leases: &[Lease]) -> Result<SystemTime, Error> {
        let is_latest = |it: &Lease| it.checkpoint == Checkpoint::Latest && it.initial_at.is_none();
        if !leases.iter().any(is_latest) {
            return Ok((self.now)());
        }
        let time = retrieval::time(&self.kinesis, &self.settings.stream, &*self.metrics).await?;
        Ok(time.unwrap_or_else(|| (self.now)()))
    }
}

impl<P: Processor> ShardTask<P> {
    pub(crate) fn new(
        resources: &Arc<Resources<P>>,
        lease: &Lease,
        held: HeldLease,
        handed_since: Option<Instant>,
        stop: CancellationToken,
    ) -> Self {
        let lost = held.lost().clone();
        let (id, validity) = (lease.key.as_str().into(), Some(held.validity().clone()));
        let shard = ShardContext { id, fence: lease.counter, lost, validity };
        let Resources { processor, settings, metrics, now, .. } = &**resources;
        let resume = match lease.checkpoint {
            Checkpoint::At(position) => Some(position),
            _ => None,
        };
        Self {
            delivery: Delivery::start(processor, &shard, settings, metrics, now),
            parents: lease.parents.clone(),
            hash_range: lease.hash_range,
            resume,
            saved: Saved { position: resume, at: Instant::now() },
            shard,
            held,
            resources: resources.clone(),
            stop,
            handed_since,
        }
    }

    pub(crate) async fn run(self, start: Start) -> End {
        let (lost, shard) = (self.held.lost().clone(), self.shard.clone());
        let processor = self.resources.processor.clone();
        let work = async {
            processor.started(&shard).await;
            Box::pin(self.read_to_end(start)).await
        };
        // Dropping the work is what losing a lease means: nothing it holds may reach the table any more,
        // and the next owner starts at the checkpoint.
        let end = tokio::select! {
            biased;
            () = lost.cancelled() => (Ended::Lost, None),
            end = work => end,
        };
        info!(shard = &*shard.id, ended = ?end.0, "stopped reading a shard");
        processor.ended(&shard, end.0).await;
        end
    }

    async fn read_to_end(mut self, start: Start) -> End {
        if let Some(ended) = self.wait_for_parents().await {
            return self.leave(ended, None).await;
        }
        let Resources { kinesis, settings, budget, metrics, consumer_arn, .. } = &*self.resources;
        let source = Source::open(
            kinesis.clone(),
            settings.clone(),
            budget.clone(),
            metrics.clone(),
            self.shard.id.clone(),
            start,
            consumer_arn.clone(),
        );
        // A stream keeps the read that is under way while something else is done.
        let pages = stream::unfold(source, async |mut source| Some((source.next().await, source)));
        let mut pages = Box::pin(pages);
        let mut children = None;
        let ended = loop {
            match self.next(&mut pages, children.is_some()).await {
                Next::Page(mut page) => {
                    children = page.end.take();
                    if let Err(error) = self.deliver(page) {
                        error!(shard = &*self.shard.id, error = %error, "read a shard out of order");
                        break Ended::Lost; // The next to take the lease reads on from the checkpoint.
                    }
                }
                Next::NoPage(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(shard = &*self.shard.id, error, "could not read a shard");
                }
                Next::Save => self.save().await,
                Next::Moved => {}
                Next::Finish => return (self.finish(children.unwrap_or_default()).await, None),
                Next::Leave(ended) => break ended,
            }
        };
        drop(pages);
        self.leave(ended, children).await
    }

    /// A lease may be assigned before its time. A parent without a lease has expired. KCL: `BlockOnParentShardTask`.
    async fn wait_for_parents(&self) -> Option<Ended> {
        for parent in &self.parents {
            loop {
                match self.resources.table.get(parent).await {
                    Ok(lease) if lease.as_ref().is_none_or(Lease::is_finished) => break,
                    Ok(_) => {}
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        warn!(shard = &*self.shard.id, parent, error, "could not look at a parent");
                    }
                }
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return Some(Ended::Stopped),
                    () = self.held.asked().cancelled() => return Some(Ended::HandedOver),
                    () = sleep(PARENT_INTERVAL) => {}
                }
            }
        }
        None
    }

    async fn next(
        &self,
        pages: &mut (impl futures_util::Stream<Item = Result<Page, Error>> + Unpin),
        at_end: bool,
    ) -> Next {
        let unsaved =
            self.delivery.watermark().is_some_and(|w| Some(w.position) != self.saved.position);
        let save_at = self.saved.at + self.resources.settings.checkpoint_interval;
        let page = async {
            if at_end || !self.delivery.room().await {
                std::future::pending::<()>().await;
            }
            pages.next().await
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Leave(Ended::Stopped),
            () = self.held.asked().cancelled() => Next::Leave(Ended::HandedOver),
            _ = self.delivery.failed() => Next::Leave(Ended::Stopped),
            () = sleep_until(save_at), if unsaved => Next::Save,
            drained = self.delivery.drained(), if at_end => match drained {
                Drained::All => Next::Finish,
                Drained::Part | Drained::Failed => Next::Leave(Ended::Stopped),
            },
            _ = self.delivery.moved(self.saved.position), if !unsaved => Next::Moved,
            page = page => match page {
                Some(Ok(page)) => Next::Page(page),
                Some(Err(error)) => Next::NoPage(error),
                None => Next::Leave(Ended::Stopped),
            },
        }
    }

    /// Takes a page apart and puts its records into the lanes.
    fn deliver(&mut self, page: Page) -> Result<(), crate::delivery::NotRising> {
        let metrics = &self.resources.metrics;
        if let Some(since) = self.handed_since.take() {
            metrics.handed_over(since.elapsed());
        }
        let Page { records, mut permit, millis_behind_latest, .. } = page;
        metrics.behind(&self.shard.id, Duration::from_millis(millis_behind_latest));
        let bytes = records.iter().map(|record| record.data.len() as u64).sum();
        self.held.carried(bytes);
        self.resources.carried.fetch_add(bytes, Relaxed);
        let of_kinesis = records.len();
        let (mut unpacked, read_to) = self.unpack(records);
        if unpacked.len() > of_kinesis {
            permit.cover(unpacked.iter().map(Record::bytes_held).sum());
        }
        // Read again from the checkpoint's record, as it may hold more than was settled.
        let resume = self.resume;
        unpacked.retain(|record| resume.is_none_or(|done| record.position > done));
        let skipped_to = read_to.filter(|&position| resume.is_none_or(|done| position > done));
        if unpacked.is_empty() && skipped_to.is_none() {
            return Ok(());
        }
        self.delivery.offer(Offer {
            records: unpacked,
            millis_behind_latest,
            skipped_to,
            hold: permit,
        })
    }

    /// Takes aggregates apart. Gives the last position that there is, too.
    fn unpack(&self, records: Vec<Record>) -> (Vec<Record>, Option<Position>) {
        let (shard, metrics) = (&*self.shard.id, &self.resources.metrics);
        let outside = self.resources.settings.outside_shard;
        let mut unpacked = Vec::with_capacity(records.len());
        let mut read_to = None;
        for record in records {
            let (position, bytes) = (record.position, record.data.len() as u64);
            let became = aggregate::unpack(record, self.hash_range, outside, &mut unpacked);
            read_to = Some(became.last);
            let (dropped, dropped_bytes) = became.outside;
            if dropped > 0 {
                metrics.records(Fate::OutsideShard, dropped, dropped_bytes);
            }
            if became.is_damaged {
                metrics.records(Fate::Damaged, 1, bytes);
                warn!(shard, %position, "an aggregate cannot be read: it is delivered whole");
            }
        }
        (unpacked, read_to)
    }

    /// Saves the place. What fails for now is tried again with the next movement.
    async fn save(&mut self) {
        let Some(watermark) = self.delivery.watermark() else { return };
        self.saved.at = Instant::now();
        if Some(watermark.position) == self.saved.position {
            return;
        }
        if self.held.checkpoint(Checkpoint::At(watermark.position)).await.is_ok() {
            self.saved.position = Some(watermark.position);
            let age =
                watermark.arrived_at.and_then(|at| (self.resources.now)().duration_since(at).ok());
            if let Some(age) = age {
                self.resources.metrics.checkpoint_age(&self.shard.id, age);
            }
        }
    }

    /// Finishes what is under way, saves the place and gives the lease away.
    async fn leave(mut self, ended: Ended, children: Option<Vec<Shard>>) -> End {
        self.delivery.stop_retrying();
        let drained = timeout(self.resources.settings.drain, self.delivery.drained()).await;
        let failure = self.delivery.stopped_by();
        match (drained, children) {
            (Ok(Drained::All), Some(children)) => return (self.finish(children).await, failure),
            (Err(_), _) => {
                let seconds = self.resources.settings.drain.as_secs();
                warn!(shard = &*self.shard.id, seconds, "gave up records that took too long");
            }
            _ => {}
        }
        self.save().await;
        let asked = self.held.asked().is_cancelled();
        self.held.release().await;
        let ended = if asked && ended == Ended::Stopped { Ended::HandedOver } else { ended };
        (ended, failure)
    }
}
