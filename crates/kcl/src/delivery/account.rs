//! What the lanes of a shard and its task tell each other: settled records, room, the end of work.
//!
//! All of it is one value in a `watch` channel: who waits, waits for a condition over it, and no wake-up can
//! be lost or mistaken. Lanes are woken elsewhere, as most of what changes here is no news to them.

use tokio::sync::watch;

use super::ledger::{Ledger, NotRising, Refused, Ticket, Watermark};
use crate::checkpoint::Position;
use crate::processor::Failure;
use crate::record::Record;

/// Bytes that wait for a lane when no further page is taken. One page is in the hands of the shard's task at
/// that time: a second of what Kinesis gives a shard (2 MB a second) is ready, and more only holds memory.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Records that wait for a lane when no further page is taken: one read's most.
const WAITING_RECORDS_MAX: usize = 10_000;
/// Records above the watermark when no further page is taken: while one record fails in its lane the others
/// go on so far. That many are delivered twice after a crash; their entries in the ledger take 4 MB.
pub(crate) const SPAN_MAX: usize = 1 << 16;

/// The account of one shard, shared by its lanes, its task and whoever acknowledges single records.
pub(crate) struct Account(watch::Sender<Sums>);

#[derive(Default)]
struct Sums {
    ledger: Ledger,
    /// What waits for a lane.
    waiting_records: usize,
    waiting_bytes: usize,
    /// Lanes that have not ended.
    lanes: usize,
    failure: Option<Failure>,
}

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// What could not be settled, as the lease was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) all: Tally,
    /// The part of it that is to be counted: nobody tried before.
    pub(crate) first: Tally,
}

/// How it stands with everything that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// All of it is settled: the shard may be saved as ended, if that was its end.
    All,
    /// It is not, and no more will be: retrying was stopped.
    Part,
    /// The processor stopped the consumer.
    Failed,
}

impl Tally {
    fn add(&mut self, bytes: u32) {
        self.records += 1;
        self.bytes += u64::from(bytes);
    }
}

impl Sums {
    fn has_room(&self) -> bool {
        self.waiting_bytes < WAITING_BYTES_MAX
            && self.waiting_records < WAITING_RECORDS_MAX
            && self.ledger.span() < SPAN_MAX
    }

    fn drained(&self) -> Option<Drained> {
        match (self.ledger.unsettled(), self.lanes, &self.failure) {
            (0, _, None) => Some(Drained::All),
            (_, 0, None) => Some(Drained::Part),
            // Batches of other lanes may still be accepted.
            (_, 0, Some(_)) => Some(Drained::Failed),
            _ => None,
        }
    }
}

impl Account {
    pub(crate) fn new(lanes: usize) -> Self {
        Self(watch::Sender::new(Sums { lanes, ..Sums::default() }))
    }

    /// Takes in a page, whole or not at all, and gives each record its ticket.
    pub(crate) fn admit(
        &self,
        records: &[Record],
        skipped_to: Option<Position>,
    ) -> Result<Vec<Ticket>, NotRising> {
        // What lies below the last record is skipped with it.
        let last = records.last().map(|record| record.position);
        let skipped_to = skipped_to.filter(|&position| Some(position) > last);
        rising(records.iter().map(|record| record.position))?;
        let mut admitted = Ok(Vec::new());
        self.0.send_if_modified(|sums| {
            let before = sums.ledger.watermark();
            admitted = sums.admit(records, skipped_to);
            sums.ledger.watermark() != before
        });
        admitted
    }

    /// A lane has taken records that waited.
    pub(crate) fn taken(&self, records: usize, bytes: usize) {
        self.0.send_if_modified(|sums| {
            let had_room = sums.has_room();
            sums.waiting_records = sums.waiting_records.saturating_sub(records);
            sums.waiting_bytes = sums.waiting_bytes.saturating_sub(bytes);
            sums.has_room() && !had_room
        });
    }

    /// Settles records, those that can be.
    pub(crate) fn settle(&self, tickets: impl IntoIterator<Item = Ticket>) -> Late {
        let mut late = Late::default();
        self.0.send_if_modified(|sums| {
            let before = sums.ledger.watermark();
            for ticket in tickets {
                if let Err(Refused::Late { bytes, first }) = sums.ledger.settle(ticket) {
                    late.all.add(bytes);
                    if first {
                        late.first.add(bytes);
                    }
                }
            }
            // All that is waited for comes with it: room above it, and the last record settled.
            sums.ledger.watermark() != before
        });
        late
    }

    pub(crate) fn is_settled(&self, ticket: Ticket) -> bool {
        self.0.borrow().ledger.is_settled(ticket)
    }

    /// The lease is gone: nothing is settled any more.
    pub(crate) fn close(&self) {
        self.0.send_modify(|sums| sums.ledger.close());
    }

    /// A lane works no more.
    pub(crate) fn lane_ended(&self) {
        self.0.send_modify(|sums| sums.lanes = sums.lanes.saturating_sub(1));
    }

    /// The processor stops the consumer. The first failure is kept.
    pub(crate) fn fail(&self, failure: Failure) {
        self.0.send_modify(|sums| _ = sums.failure.get_or_insert(failure));
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.borrow().failure.clone()
    }

    pub(crate) fn watermark(&self) -> Option<Watermark> {
        self.0.borrow().ledger.watermark()
    }

    /// Until a further page may be taken in; false when no lane is there to work on it.
    pub(crate) async fn room(&self) -> bool {
        let sums = |sums: &Sums| (sums.has_room() || sums.lanes == 0).then_some(sums.lanes > 0);
        self.until(sums).await
    }

    /// Until the watermark is another than this one.
    pub(crate) async fn moved(&self, from: Option<Position>) -> Watermark {
        self.until(|sums| sums.ledger.watermark().filter(|mark| Some(mark.position) != from)).await
    }

    pub(crate) async fn drained(&self) -> Drained {
        self.until(Sums::drained).await
    }

    pub(crate) async fn failed(&self) -> Failure {
        self.until(|sums| sums.failure.clone()).await
    }

    async fn until<T>(&self, condition: impl Fn(&Sums) -> Option<T>) -> T {
        let mut sums = self.0.subscribe();
        loop {
            if let Some(met) = condition(&sums.borrow_and_update()) {
                return met;
            }
            if sums.changed().await.is_err() {
                // The sender is `self`: it cannot be gone.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Sums {
    fn admit(
        &mut self,
        records: &[Record],
        skipped_to: Option<Position>,
    ) -> Result<Vec<Ticket>, NotRising> {
        // Within the page they rise: when the first one can be admitted, all can.
        let admit = |record: &Record| {
            let (bytes, arrived_at) = (record.data.len(), record.arrived_at);
            let ticket = self.ledger.admit(record.position, bytes, arrived_at)?;
            self.waiting_bytes += bytes;
            self.waiting_records += 1;
            Ok(ticket)
        };
        let tickets = records.iter().map(admit).collect::<Result<_, _>>()?;
        skipped_to.map_or(Ok(()), |position| self.ledger.admit_settled(position))?;
        Ok(tickets)
    }
}

/// Whether positions rise strictly.
fn rising(positions: impl Iterator<Item = Position>) -> Result<(), NotRising> {
    let mut last = None;
    for position in positions {
        match last.replace(position) {
            Some(last) if position <= last => return Err(NotRising { refused: position, last }),
            _ => {}
        }
    }
    Ok(())
}
