//! A lease that is held: one task owns it, renews it and makes every write to it.
//!
//! Renewals and checkpoints share the counter, so they come from one task, one after the other. Time is
//! counted from before a write was sent: what others see of it, they see later. Before they may take the
//! lease, [`HeldLease::lost`] is cancelled, and with it whatever reads the shard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::checkpoint::Checkpoint;
use crate::lease::Lease;
use crate::lease::table::{LeaseTable, Outcome};
use crate::lease::transition::Transition;
use crate::lease::validity::Validity;
use crate::metrics::{Loss, Metrics};

/// One writer waits for its write before it asks for the next.
const COMMANDS_MAX: usize = 1;
/// Pause after a write that failed for now.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How often a release is tried: without it the lease stands still until it expires, but who stops must not wait
/// as long for DynamoDB.
const RELEASE_ATTEMPTS_MAX: u32 = 4;
/// Weight of the newest measurement of the throughput. KCL: `LeaseStatsRecorder`, 0.5.
const NEWEST: f64 = 0.5;

/// A write that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// The lease is not ours any more.
    Lost,
    /// DynamoDB could not be asked; the lease is still ours.
    ForNow,
}

/// How leases are kept by one worker.
#[derive(Clone)]
pub(crate) struct Keeping {
    /// The lease table, through a client that does not try again by itself.
    pub(crate) table: LeaseTable,
    pub(crate) worker: Arc<str>,
    pub(crate) failover: Duration,
    /// Whether the throughput of a shard is written down for whoever balances by it.
    pub(crate) throughput: bool,
    pub(crate) metrics: Arc<dyn Metrics>,
    /// Where the keepers run.
    pub(crate) runtime: Handle,
}

/// The handle of the task that reads the shard.
pub(crate) struct HeldLease {
    commands: mpsc::Sender<Command>,
    lost: CancellationToken,
    asked: CancellationToken,
    hint: Arc<Notify>,
    carried: Arc<AtomicU64>,
    validity: Validity,
    keeper: JoinHandle<()>,
}

struct Command {
    wish: Wish,
    reply: oneshot::Sender<Result<(), NotWritten>>,
}

enum Wish {
    Write(Transition),
    /// To whoever asked for it, or to nobody.
    Release,
}

struct Keeper {
    keeping: Keeping,
    lease: Lease,
    /// Writes to the lease as it is known here whose outcome is not: any one of them may have happened.
    in_doubt: Vec<(Transition, Instant)>,
    renewed_at: Instant,
    next_renewal: Instant,
    commands: mpsc::Receiver<Command>,
    lost: CancellationToken,
    asked: CancellationToken,
    hint: Arc<Notify>,
    carried: Arc<AtomicU64>,
    validity: Validity,
    measured_at: Instant,
}

impl HeldLease {
    /// Keeps `lease`, that was taken by a write sent at `taken_at`.
    pub(crate) fn keep(keeping: &Keeping, lease: Lease, taken_at: Instant) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (lost, asked) = (CancellationToken::new(), CancellationToken::new());
        let (hint, carried) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let validity = Validity::until(deadline(taken_at, keeping.failover));
        let keeper = Keeper {
            keeping: keeping.clone(),
            lease,
            in_doubt: Vec::new(),
            renewed_at: taken_at,
            next_renewal: taken_at + keeping.failover / 3,
            commands: receiver,
            lost: lost.clone(),
            asked: asked.clone(),
            hint: hint.clone(),
            carried: carried.clone(),
            validity: validity.clone(),
            measured_at: taken_at,
        };
        let keeper = keeping.runtime.spawn(keeper.run());
        Self { commands, lost, asked, hint, carried, validity, keeper }
    }

    /// Cancelled once the lease is not ours any more, or may soon not be.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Until when the lease is ours, whoever runs first.
    pub(crate) fn validity(&self) -> &Validity {
        &self.validity
    }

    /// Cancelled once another worker has asked for the lease.
    pub(crate) fn asked(&self) -> &CancellationToken {
        &self.asked
    }

    /// Renews as soon as possible when told, as somebody may have asked for the lease.
    pub(crate) fn hint(&self) -> Arc<Notify> {
        self.hint.clone()
    }

    /// Counts bytes that the shard carried.
    pub(crate) fn carried(&self, bytes: u64) {
        self.carried.fetch_add(bytes, Relaxed);
    }

    pub(crate) async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), NotWritten> {
        self.wish(Wish::Write(Transition::Checkpoint(checkpoint))).await
    }

    pub(crate) async fn note_children(&self, children: BTreeSet<String>) -> Result<(), NotWritten> {
        self.wish(Wish::Write(Transition::Children(children))).await
    }

    /// Gives the lease to whoever asked for it, or up, so that another worker need not wait for it to expire.
    pub(crate) async fn release(self) {
        if self.wish(Wish::Release).await == Err(NotWritten::ForNow) {
            warn!("could not release a lease: it expires by itself");
        }
        drop(self.commands);
        // Ends by itself once there is nobody left to give it commands.
        if let Err(error) = self.keeper.await {
            warn!(error = %error, "the keeper of a lease ended badly");
        }
    }

    async fn wish(&self, wish: Wish) -> Result<(), NotWritten> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command { wish, reply }).await;
        sent.map_err(|_| NotWritten::Lost)?;
        answer.await.unwrap_or(Err(NotWritten::Lost))
    }
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let renewal = self.next_renewal.min(self.deadline()).min(self.next_measure());
            let command = tokio::select! {
                biased;
                () = sleep_until(renewal) => None,
                command = self.commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return,
                },
                () = self.hint.notified() => None,
            };
            let Some(Command { wish, reply }) = command else {
                if self.renew().await == Err(NotWritten::Lost) {
                    return;
                }
                continue;
            };
            let (written, ends) = match wish {
                Wish::Write(transition) => (self.write(&transition).await, false),
                Wish::Release => (self.release().await, true),
            };
            reply.send(written).ok(); // Nobody waits once the reading task was dropped.
            if ends || written == Err(NotWritten::Lost) {
                return;
            }
        }
    }

    async fn renew(&mut self) -> Result<(), NotWritten> {
        let throughput = self.keeping.throughput.then(|| self.measure());
        self.write(&Transition::Renew { throughput }).await
    }

    async fn release(&mut self) -> Result<(), NotWritten> {
        let mut attempt = 1;
        loop {
            match self.try_write(&self.releasing()).await {
                Some(Err(NotWritten::ForNow)) if attempt < RELEASE_ATTEMPTS_MAX => {
                    attempt += 1;
                    sleep(RETRY_PAUSE).await;
                }
                Some(written) => return written,
                // An attempt got through, its reply did not.
                None if self.lease.holder() != Some(&*self.keeping.worker) => return Ok(()),
                // Asked for since the last renewal, or not any more: then it goes to whom it was asked by, or
                // to nobody.
                None => {}
            }
        }
    }

    fn releasing(&self) -> Transition {
        match self.lease.checkpoint_owner {
            Some(_) => Transition::HandOver,
            None => Transition::Evict,
        }
    }

    /// Writes. A conflict with a write of our own whose reply was lost is none: once more, then.
    async fn write(&mut self, transition: &Transition) -> Result<(), NotWritten> {
        loop {
            if let Some(written) = self.try_write(transition).await {
                return written;
            }
        }
    }

    /// Writes, and tells everybody who holds a token what that showed. `None` to try at once again.
    async fn try_write(&mut self, transition: &Transition) -> Option<Result<(), NotWritten>> {
        let (sent_at, deadline) = (Instant::now(), self.deadline());
        if sent_at >= deadline {
            return Some(Err(self.lose(Loss::Expired, "it could not be renewed in time")));
        }
        match timeout_at(deadline, self.keeping.table.apply(transition, &self.lease)).await {
            Ok(Ok(Outcome::Applied(lease))) => {
                let given_away = matches!(transition, Transition::HandOver | Transition::Evict);
                if !given_away && lease.holder() != Some(&*self.keeping.worker) {
                    let holder = lease.holder();
                    return Some(Err(self.lose(Loss::Taken, &format!("it is held by {holder:?}"))));
                }
                self.see(lease, sent_at);
                Some(Ok(()))
            }
            Ok(Ok(Outcome::Conflict(Some(current)))) if self.is_wished_for(&current) => {
                self.see(current, self.renewed_at);
                None
            }
            Ok(Ok(Outcome::Conflict(current))) => {
                if let Some((lease, sent_at)) = current.as_ref().and_then(|row| self.own(row)) {
                    self.see(lease, sent_at);
                    return None;
                }
                let by = current.and_then(|lease| lease.owner).unwrap_or_default();
                Some(Err(self.lose(Loss::Taken, &format!("it was taken by {by:?}"))))
            }
            Ok(Err(error)) => {
                self.in_doubt.push((transition.clone(), sent_at));
                self.next_renewal = Instant::now() + RETRY_PAUSE;
                let (shard, error) = (&self.lease.key, &error as &dyn std::error::Error);
                warn!(shard, error, "could not write a lease");
                Some(Err(NotWritten::ForNow))
            }
            Err(_) => Some(Err(self.lose(Loss::Expired, "DynamoDB did not answer in time"))),
        }
    }

    /// The row, if it is what one of our own writes made of the lease, and when that was sent.
    fn own(&self, current: &Lease) -> Option<(Lease, Instant)> {
        let mut in_doubt = self.in_doubt.iter();
        let made_by = in_doubt.find(|(doubtful, _)| doubtful.has_happened(&self.lease, current))?;
        Some((current.clone(), made_by.1))
    }

    /// Whether the row is the one that we know, but for another worker's wish to have it, made or taken back.
    fn is_wished_for(&self, current: &Lease) -> bool {
        current.counter == self.lease.counter
            && current.holder() == self.lease.holder()
            && current.holder() == Some(&*self.keeping.worker)
    }

    /// Takes the row as what is known, shown to others by a write sent at `sent_at`.
    fn see(&mut self, lease: Lease, sent_at: Instant) {
        if lease.counter != self.lease.counter {
            self.in_doubt.clear();
            self.renewed_at = sent_at;
            self.next_renewal = sent_at + self.keeping.failover / 3;
            self.validity.extend(self.deadline());
        }
        self.lease = lease;
        if self.lease.checkpoint_owner.is_some() && !self.asked.is_cancelled() {
            let next = self.lease.owner.as_deref();
            info!(shard = self.lease.key, next, "asked to hand a lease over");
            self.asked.cancel();
        }
    }

    fn lose(&self, loss: Loss, why: &str) -> NotWritten {
        warn!(shard = self.lease.key, why, "lost a lease");
        self.keeping.metrics.lease_lost(loss);
        self.lost.cancel();
        NotWritten::Lost
    }

    /// KB a second since the last renewal, smoothed.
    fn measure(&mut self) -> f64 {
        let bytes = u32::try_from(self.carried.swap(0, Relaxed)).unwrap_or(u32::MAX);
        let elapsed = self.measured_at.elapsed().as_secs_f64().max(f64::EPSILON);
        self.measured_at = Instant::now();
        let newest = f64::from(bytes) / 1024.0 / elapsed;
        self.lease.throughput.map_or(newest, |old| old * (1.0 - NEWEST) + newest * NEWEST)
    }

    /// When what the shard carries is to be written down at the latest: checkpoints of a busy shard, which are
    /// renewals, do not tell it.
    fn next_measure(&self) -> Instant {
        let never = self.next_renewal;
        if self.keeping.throughput { self.measured_at + self.keeping.failover } else { never }
    }

    /// When reading must have stopped: a tenth before others may take the lease.
    fn deadline(&self) -> Instant {
        deadline(self.renewed_at, self.keeping.failover)
    }
}

fn deadline(renewed_at: Instant, failover: Duration) -> Instant {
    renewed_at + failover - failover / 10
}

#[cfg(test)]
mod tests;
