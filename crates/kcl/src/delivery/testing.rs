//! A shard's engine with everything around it played, for the tests of this module and of those on top.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Delivery, Hold, Offer};
use crate::checkpoint::{Position, SequenceNumber};
use crate::clock::Now;
use crate::metrics::{Fate, Metrics};
use crate::processor::{Batch, Failure, Processor, ShardContext};
use crate::record::Record;
use crate::settings::{Lanes, Settings};

/// Far longer, in virtual time, than anything here should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1_000);

pub(crate) fn at(sequence: u64) -> Position {
    let sequence = SequenceNumber::parse(&sequence.to_string()).unwrap();
    Position { sequence, sub_sequence: 0 }
}

/// The number that `at` made a position of.
pub(crate) fn number(record: &Record) -> u64 {
    record.sequence_number().to_string().parse().unwrap()
}

pub(crate) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(number).collect()
}

pub(crate) fn record(sequence: u64, key: &str, bytes: usize) -> Record {
    Record {
        position: at(sequence),
        partition_key: (!key.is_empty()).then(|| key.into()),
        explicit_hash_key: None,
        data: Bytes::from(vec![0; bytes]),
        arrived_at: Some(SystemTime::UNIX_EPOCH),
    }
}

/// Records of ten bytes without key.
pub(crate) fn records(sequences: impl IntoIterator<Item = u64>) -> Vec<Record> {
    sequences.into_iter().map(|sequence| record(sequence, "", 10)).collect()
}

pub(crate) fn settings(lanes: Lanes) -> Settings {
    Settings { lanes, ..Settings::new("stream", "leases", "worker") }
}

/// A part of a budget that counts what is out.
pub(crate) struct Share {
    out: Arc<AtomicUsize>,
    bytes: usize,
}

impl Hold for Share {
    fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { out: self.out.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.out.fetch_sub(self.bytes, Relaxed);
    }
}

/// What was counted, by fate: calls, records, bytes.
#[derive(Default)]
pub(crate) struct Counts(Mutex<BTreeMap<Fate, (u64, u64, u64)>>);

impl Metrics for Counts {
    fn records(&self, fate: Fate, records: u64, bytes: u64) {
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry(fate).or_default();
        *count = (count.0 + 1, count.1 + records, count.2 + bytes);
    }
}

impl Counts {
    pub(crate) fn of(&self, fate: Fate) -> (u64, u64, u64) {
        self.0.lock().unwrap().get(&fate).copied().unwrap_or_default()
    }
}

/// A delivery and what is around it. The wall time starts at the epoch, with virtual time.
pub(crate) struct World {
    pub(crate) delivery: Delivery<Share>,
    pub(crate) out: Arc<AtomicUsize>,
    pub(crate) counts: Arc<Counts>,
}

impl World {
    pub(crate) fn new(processor: &Arc<impl Processor>, settings: Settings) -> Self {
        let counts = Arc::new(Counts::default());
        let metrics: Arc<dyn Metrics> = counts.clone();
        let start = Instant::now();
        let now: Now = Arc::new(move || SystemTime::UNIX_EPOCH + start.elapsed());
        let shard = ShardContext::new("shard", 7);
        let delivery = Delivery::start(processor, &shard, &Arc::new(settings), &metrics, &now);
        Self { delivery, out: Arc::default(), counts }
    }

    /// As [`Self::new`], with the records offered as one page.
    pub(crate) fn with(
        processor: &Arc<impl Processor>,
        settings: Settings,
        records: Vec<Record>,
    ) -> Self {
        let mut world = Self::new(processor, settings);
        world.offer(records);
        world
    }

    pub(crate) fn page(&self, records: Vec<Record>) -> Offer<Share> {
        Self::page_of(&self.out, records)
    }

    pub(crate) fn page_of(out: &Arc<AtomicUsize>, records: Vec<Record>) -> Offer<Share> {
        let bytes = records.iter().map(|record| record.data.len()).sum();
        out.fetch_add(bytes, Relaxed);
        let hold = Share { out: out.clone(), bytes };
        Offer { records, millis_behind_latest: 0, skipped_to: None, hold }
    }

    pub(crate) fn offer(&mut self, records: Vec<Record>) {
        let page = self.page(records);
        self.delivery.offer(page).unwrap();
    }

    pub(crate) fn place(&self) -> Option<Position> {
        self.delivery.watermark().map(|mark| mark.position)
    }

    pub(crate) fn bytes_out(&self) -> usize {
        self.out.load(Relaxed)
    }

    /// Calls, records and bytes.
    pub(crate) fn count(&self, fate: Fate) -> (u64, u64, u64) {
        self.counts.of(fate)
    }
}

/// Lets everything run that does not wait for time.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

/// A processor that answers at once what `verdict` says, and writes down what happened.
pub(crate) struct Scripted<F> {
    pub(crate) calls: Mutex<Vec<Call>>,
    verdict: F,
}

/// What was asked of a processor, by the numbers of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Accepted(Vec<u64>),
    Refused(Vec<u64>),
    Dead(Vec<u64>),
    DeadRefused(Vec<u64>),
}

/// What a scripted processor is asked.
pub(crate) enum Asked {
    /// To process, with the batch's attempt.
    Process(u32),
    /// To take dead letters.
    DeadLetter,
}

impl<F> Scripted<F>
where
    F: Fn(Asked, &[u64]) -> Result<(), Failure> + Send + Sync + 'static,
{
    pub(crate) fn new(verdict: F) -> Arc<Self> {
        Arc::new(Self { calls: Mutex::default(), verdict })
    }

    fn ask(
        &self,
        asked: Asked,
        batch: &Batch,
        calls: [fn(Vec<u64>) -> Call; 2],
    ) -> Result<(), Failure> {
        let numbers = numbers(&batch.records);
        let answer = (self.verdict)(asked, &numbers);
        self.calls.lock().unwrap().push(calls[usize::from(answer.is_err())](numbers));
        answer
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl<F> Processor for Scripted<F>
where
    F: Fn(Asked, &[u64]) -> Result<(), Failure> + Send + Sync + 'static,
{
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.ask(Asked::Process(batch.attempt), batch, [Call::Accepted, Call::Refused])
    }

    async fn dead_letter(&self, batch: &Batch, _: &Failure) -> Result<(), Failure> {
        self.ask(Asked::DeadLetter, batch, [Call::Dead, Call::DeadRefused])
    }
}
