//! A lease that is held: one task owns it, renews it and makes every write to it.
//!
//! Renewals and checkpoints share the counter, so they come from one task, one after the other. Time is
//! counted from before a write was sent: what others see of it, they see later. Before they may take the
//! lease, [`HeldLease::lost`] is cancelled, and with it whatever reads the shard.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::checkpoint::Checkpoint;
use crate::lease::Lease;
use crate::lease::table::{LeaseTable, Outcome};
use crate::lease::transition::Transition;

/// One writer waits for its write before it asks for the next.
const COMMANDS_MAX: usize = 1;
/// Pause after a write that failed for now.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A write that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// The lease is not ours any more.
    Lost,
    /// DynamoDB could not be asked; the lease is still ours.
    ForNow,
}

/// The handle of the task that reads the shard.
pub(crate) struct HeldLease {
    commands: mpsc::Sender<Command>,
    lost: CancellationToken,
    keeper: JoinHandle<()>,
}

struct Command {
    transition: Transition,
    reply: oneshot::Sender<Result<(), NotWritten>>,
}

struct Keeper {
    table: LeaseTable,
    lease: Lease,
    failover: Duration,
    renewed_at: Instant,
    next_renewal: Instant,
    commands: mpsc::Receiver<Command>,
    lost: CancellationToken,
}

impl HeldLease {
    /// Keeps `lease`, that was taken by a write sent at `taken_at`.
    pub(crate) fn keep(
        table: LeaseTable,
        lease: Lease,
        failover: Duration,
        taken_at: Instant,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let lost = CancellationToken::new();
        let keeper = Keeper {
            table,
            lease,
            failover,
            renewed_at: taken_at,
            next_renewal: taken_at + failover / 3,
            commands: receiver,
            lost: lost.clone(),
        };
        Self { commands, lost, keeper: tokio::spawn(keeper.run()) }
    }

    /// Cancelled once the lease is not ours any more, or may soon not be.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    pub(crate) async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), NotWritten> {
        self.write(Transition::Checkpoint(checkpoint)).await
    }

    pub(crate) async fn note_children(&self, children: BTreeSet<String>) -> Result<(), NotWritten> {
        self.write(Transition::Children(children)).await
    }

    /// Gives the lease up, so that another worker need not wait for it to expire.
    pub(crate) async fn release(self) {
        if self.write(Transition::Evict).await == Err(NotWritten::ForNow) {
            warn!("could not release a lease: it expires by itself");
        }
        drop(self.commands);
        // Ends by itself once there is nobody left to give it commands.
        if let Err(error) = self.keeper.await {
            warn!(error = %error, "the keeper of a lease ended badly");
        }
    }

    async fn write(&self, transition: Transition) -> Result<(), NotWritten> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command { transition, reply }).await;
        sent.map_err(|_| NotWritten::Lost)?;
        answer.await.unwrap_or(Err(NotWritten::Lost))
    }
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let command = tokio::select! {
                biased;
                () = sleep_until(self.next_renewal) => None,
                command = self.commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return,
                },
            };
            let transition = command.as_ref().map_or(&Transition::Renew, |c| &c.transition);
            let written = self.write(transition).await;
            let ends = written == Err(NotWritten::Lost) || transition == &Transition::Evict;
            if written == Err(NotWritten::Lost) {
                self.lost.cancel();
            }
            if let Some(command) = command {
                command.reply.send(written).ok(); // Nobody waits once the reading task was dropped.
            }
            if ends {
                return;
            }
        }
    }

    async fn write(&mut self, transition: &Transition) -> Result<(), NotWritten> {
        let (shard, sent_at, deadline) = (&self.lease.key, Instant::now(), self.deadline());
        if sent_at >= deadline {
            warn!(shard, "gave up a lease that could not be renewed in time");
            return Err(NotWritten::Lost);
        }
        match timeout_at(deadline, self.table.apply(transition, &self.lease)).await {
            Ok(Ok(Outcome::Applied(lease))) => {
                self.lease = lease;
                self.renewed_at = sent_at;
                self.next_renewal = sent_at + self.failover / 3;
                Ok(())
            }
            Ok(Ok(Outcome::Conflict(current))) => {
                let owner = current.and_then(|lease| lease.owner);
                warn!(shard, owner, "lost a lease to another worker");
                Err(NotWritten::Lost)
            }
            Ok(Err(error)) => {
                self.next_renewal = Instant::now() + RETRY_PAUSE;
                warn!(shard, error = &error as &dyn std::error::Error, "could not write a lease");
                Err(NotWritten::ForNow)
            }
            Err(_) => {
                warn!(shard, "gave up a lease: DynamoDB did not answer in time");
                Err(NotWritten::Lost)
            }
        }
    }

    /// When reading must have stopped: a tenth before others may take the lease.
    fn deadline(&self) -> Instant {
        self.renewed_at + self.failover - self.failover / 10
    }
}
