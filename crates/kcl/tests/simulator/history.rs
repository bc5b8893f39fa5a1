//! What happened in a run, in the order in which it happened: the only thing that invariants look at.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// One life of one worker: a process from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    /// Number of the worker, which keeps its name from life to life.
    pub(crate) worker: u8,
    /// Which of its lives.
    pub(crate) life: u16,
}

impl Who {
    /// The name under which it holds leases.
    pub(crate) fn name(self) -> String {
        format!("worker-{}", self.worker)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker-{}.{}", self.worker, self.life)
    }
}

/// A numbered record. Its order within its key is that of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) key: u16,
    pub(crate) place: Place,
}

/// A sequence number, padded so that text order is its order, and the index within an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    sequence: String,
    sub_sequence: u64,
}

impl Place {
    pub(crate) fn new(sequence: &str, sub_sequence: u64) -> Self {
        Self { sequence: format!("{sequence:0>60}"), sub_sequence }
    }
}

/// How far a lease's row says that its shard is processed. The order is that of the KCL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// `TRIM_HORIZON`, `LATEST` or `AT_TIMESTAMP`.
    Start,
    At(Place),
    End,
}

/// A row of the lease table, read without the library's help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) owner: Option<String>,
    /// During a hand-over: who still processes; the owner is who comes next.
    pub(crate) checkpoint_owner: Option<String>,
    pub(crate) counter: u64,
    pub(crate) mark: Mark,
    pub(crate) parents: BTreeSet<String>,
    pub(crate) children: BTreeSet<String>,
}

impl Row {
    /// Who may process and save places.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.checkpoint_owner.as_deref().or(self.owner.as_deref())
    }
}

/// What became of a call of the processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// These records are safe.
    Accepted(Vec<Numbered>),
    Failed,
    Panicked,
    /// The library gave the call up.
    Dropped,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// `run` returned after SIGTERM.
    Exited,
    /// `kill -9` between two of its steps.
    Killed,
    /// Before its request reached the service.
    BeforeRequest,
    /// After the service had acted, before the reply came.
    BeforeReply,
}

impl Death {
    /// A crash at one of the two moments of a request.
    pub(crate) fn any(dice: &mut fastrand::Rng) -> Self {
        if dice.bool() { Self::BeforeRequest } else { Self::BeforeReply }
    }
}

/// How a process is kept from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standstill {
    /// SIGSTOP: its clocks go on without it.
    Stopped,
    /// The machine was suspended: its monotonic clock stood still as well.
    Suspended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a history is read once and dropped")]
pub(crate) enum What {
    /// The run begins. `taking` says that workers may take leases from others that live.
    /// `latest` that what was put before a shard's lease was made is none of theirs.
    Scenario {
        name: &'static str,
        taking: bool,
        latest: bool,
    },
    /// A record is in the stream.
    Put {
        shard: String,
        record: Numbered,
    },
    /// A shard came into being, by creation, split or merge.
    Shard {
        id: String,
        parents: Vec<String>,
    },
    /// A process started.
    Born(Who),
    Died(Who, Death),
    /// SIGTERM.
    Told(Who),
    /// `run` could not begin.
    BuildFailed(Who, String),
    /// `run` came to an end of its own.
    RunFailed(Who, String),
    /// The process does not run for so many milliseconds.
    Stands(Who, Standstill, u64),
    /// It runs again.
    Resumes(Who),
    /// A worker's time of day is off by so many milliseconds from now on.
    Hour(Who, i64),
    /// From now until another such entry the worker cannot reach the service.
    Cut(Option<Who>, &'static str, u64),
    /// A request left a worker; `fate` tells what became of it.
    Request {
        who: Who,
        number: u64,
        operation: String,
        fate: &'static str,
    },
    /// A row changed by a write that `who` had sent at `sent_ms` of its own clock.
    Row {
        who: Who,
        shard: String,
        before: Option<Row>,
        after: Option<Row>,
        sent_ms: u64,
    },
    /// The processor was called.
    Begun {
        who: Who,
        call: u64,
        shard: String,
        fence: u64,
        records: Vec<Numbered>,
        local_ms: u64,
    },
    /// Records that are safe before their call is over, or in the dead-letter queue.
    Took {
        who: Who,
        shard: String,
        records: Vec<Numbered>,
    },
    Done {
        who: Who,
        call: u64,
        shard: String,
        done: Done,
    },
    /// No more faults from here on.
    Calm,
    /// Everything was processed and every open shard has an owner that lives.
    Settled,
    /// It did not come to that in time.
    Unsettled(String),
    /// The end, and which shards still had an owner after all workers had exited.
    Over {
        owned: Vec<String>,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Milliseconds since the start of the run, by the world's clock.
    pub(crate) at_ms: u64,
    pub(crate) what: What,
}

impl Entry {
    /// What is safe from here on: the shard and the records.
    pub(crate) fn accepted(&self) -> &[Numbered] {
        match &self.what {
            What::Took { records, .. } | What::Done { done: Done::Accepted(records), .. } => {
                records
            }
            _ => &[],
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}.{:03} ", self.at_ms / 1000, self.at_ms % 1000)?;
        match &self.what {
            What::Row { who, shard, before, after, sent_ms } => {
                let row =
                    |row: &Option<Row>| row.as_ref().map_or("none".to_owned(), Row::to_string);
                let (before, after) = (row(before), row(after));
                write!(f, "{who} wrote {shard}: {before} -> {after}, sent at its {sent_ms} ms")
            }
            What::Begun { who, call, shard, fence, records, local_ms } => {
                let numbers = numbers(records);
                write!(
                    f,
                    "{who} begins call {call} of {shard} with {numbers}, fence {fence}, at its {local_ms} ms"
                )
            }
            What::Done { who, call, shard, done: Done::Accepted(records) } => {
                write!(f, "{who} accepts {} in call {call} of {shard}", numbers(records))
            }
            What::Took { who, shard, records } => {
                write!(f, "{who} took {} of {shard}", numbers(records))
            }
            What::Done { who, call, shard, done } => {
                write!(f, "{who} ends call {call} of {shard}: {done:?}")
            }
            What::Put { shard, record: Numbered { number, key, place } } => {
                write!(f, "put {number} of key {key} into {shard} at {place}")
            }
            What::Request { who, number, operation, fate } => {
                write!(f, "{who} request {number} {operation}: {fate}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.owner.as_deref().unwrap_or("nobody");
        write!(f, "[{owner} #{}", self.counter)?;
        if let Some(holder) = &self.checkpoint_owner {
            write!(f, " from {holder}")?;
        }
        match &self.mark {
            Mark::Start => write!(f, " at its start]"),
            Mark::At(place) => write!(f, " at {place}]"),
            Mark::End => write!(f, " ended]"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digits in which the records of one shard differ.
        let from = self.sequence.len().saturating_sub(32);
        let to = self.sequence.len().saturating_sub(16);
        write!(f, "…{}", &self.sequence[from..to])?;
        if self.sub_sequence > 0 { write!(f, "/{}", self.sub_sequence) } else { Ok(()) }
    }
}

fn numbers(records: &[Numbered]) -> String {
    let numbers: Vec<_> =
        records.iter().map(|Numbered { number, key, .. }| format!("{number}({key})")).collect();
    numbers.join(" ")
}

/// A run's history.
pub(crate) type History = Vec<Entry>;

/// Where everyone writes down what happens. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Recording>>);

#[derive(Default)]
struct Recording {
    history: History,
    /// The world's time when the running step began.
    base_ms: u64,
    /// The same moment by the clock of the process that runs.
    since: Option<Instant>,
}

impl Recorder {
    /// A step begins at `base_ms` of the world's clock, `since` of the process's own.
    pub(crate) fn step(&self, base_ms: u64, since: Option<Instant>) {
        let mut recording = self.lock();
        recording.base_ms = base_ms;
        recording.since = since;
    }

    /// The world's time, in milliseconds since the start of the run.
    pub(crate) fn now_ms(&self) -> u64 {
        self.lock().now_ms()
    }

    pub(crate) fn record(&self, what: What) {
        let mut recording = self.lock();
        let at_ms = recording.now_ms();
        recording.history.push(Entry { at_ms, what });
    }

    /// What happened since entry `from`.
    pub(crate) fn since(&self, from: usize) -> History {
        self.lock().history.get(from..).unwrap_or_default().to_vec()
    }

    pub(crate) fn take(&self) -> History {
        std::mem::take(&mut self.lock().history)
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    fn now_ms(&self) -> u64 {
        let within = self.since.map(|since| Instant::now().saturating_duration_since(since));
        self.base_ms + within.map_or(0, millis)
    }
}

pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
