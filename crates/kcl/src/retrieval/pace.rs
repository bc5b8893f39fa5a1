//! When a shard may be asked again: decided without asking anyone for the time.
//!
//! Kinesis allows a shard 5 `GetRecords` and 5 `GetShardIterator` a second, and 2 MB of records a second for all
//! who poll it; after an answer of 10 MB it refuses for 5 s
//! (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>). Staying within costs nothing:
//! a refused call would have waited as long, and would have taken its turn from the other consumers.

use std::time::Duration;

use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Calls of one kind in a second.
const CALLS_MAX: usize = 5;
/// That second, and a little: Kinesis has another clock.
const WINDOW: Duration = Duration::from_millis(1_010);
/// Bytes of records a second.
const BYTES_PER_SECOND: f64 = (2 << 20) as f64;
/// The first pause after a refusal doubles up to the most. Throttling ends as suddenly as it begins: no pause of a
/// second or more. Errors last longer.
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const THROTTLED_MOST: Duration = Duration::from_secs(1);
const FAILED_MOST: Duration = Duration::from_secs(5);

/// The pace of one shard.
#[derive(Debug)]
pub(super) struct Pace {
    read_interval: Duration,
    idle_interval: Duration,
    reads: Window,
    opens: Window,
    /// The next read by the interval that holds just now.
    due: Instant,
    /// When the bytes that were read are paid for.
    paid_at: Instant,
    /// No call before this: the last one was refused.
    paused_until: Instant,
    /// Empty answers at the tip, and refused calls, in a row.
    idle: u32,
    failures: u32,
}

/// The calls with a limit of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    GetShardIterator,
    GetRecords,
}

/// When each of the last calls of a kind ended, or began where it has not ended.
#[derive(Debug, Default)]
struct Window {
    calls: [Option<Instant>; CALLS_MAX],
    /// The oldest.
    next: usize,
}

impl Pace {
    pub(super) fn new(read_interval: Duration, idle_interval: Duration, now: Instant) -> Self {
        Self {
            read_interval,
            idle_interval: idle_interval.max(read_interval),
            reads: Window::default(),
            opens: Window::default(),
            due: now,
            paid_at: now,
            paused_until: now,
            idle: 0,
            failures: 0,
        }
    }

    /// When the next call may be made.
    pub(super) fn at(&self, call: Call) -> Instant {
        match call {
            Call::GetShardIterator => self.opens.free_at().max(Some(self.paused_until)),
            Call::GetRecords => {
                self.reads.free_at().max(Some(self.paused_until.max(self.due).max(self.paid_at)))
            }
        }
        .unwrap_or(self.paused_until)
    }

    /// A call is made. It counts from here, even if nobody waits for its answer.
    pub(super) fn begin(&mut self, call: Call, now: Instant) {
        self.window(call).begin(now);
        if call == Call::GetRecords {
            self.due = now + self.read_interval;
        }
    }

    /// The call was answered or refused. Kinesis may have counted it as late as this.
    pub(super) fn end(&mut self, call: Call, now: Instant) {
        self.window(call).end(now);
    }

    /// A read gave so many bytes. At the tip without records the interval grows, else it is the short one: an
    /// empty answer behind the tip means that records are still to be found.
    pub(super) fn read(&mut self, bytes: usize, at_tip: bool, now: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "an answer has some megabytes")]
        let cost = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND);
        self.paid_at = self.paid_at.max(now) + cost;
        self.failures = 0;
        self.idle = if bytes == 0 && at_tip { self.idle.saturating_add(1) } else { 0 };
        let grown = self.read_interval * 2_u32.saturating_pow(self.idle.saturating_sub(1).min(8));
        self.due += grown.min(self.idle_interval).saturating_sub(self.read_interval);
    }

    /// An iterator was given.
    pub(super) fn opened(&mut self) {
        self.failures = 0;
    }

    /// The last call was refused: nothing is called for a part, between 0 and 1, of a time that doubles. One
    /// pause for all calls of the shard.
    pub(super) fn refused(&mut self, throttled: bool, part: f64, now: Instant) {
        let most = if throttled { THROTTLED_MOST } else { FAILED_MOST };
        let ceiling = most.min(PAUSE_LEAST * 2_u32.saturating_pow(self.failures.min(8)));
        self.failures = self.failures.saturating_add(1);
        self.paused_until = now + ceiling.mul_f64(part.clamp(0.0, 1.0));
    }

    fn window(&mut self, call: Call) -> &mut Window {
        match call {
            Call::GetShardIterator => &mut self.opens,
            Call::GetRecords => &mut self.reads,
        }
    }
}

impl Window {
    fn free_at(&self) -> Option<Instant> {
        self.calls[self.next].map(|oldest| oldest + WINDOW)
    }

    fn begin(&mut self, now: Instant) {
        self.calls[self.next] = Some(now);
        self.next = (self.next + 1) % CALLS_MAX;
    }

    fn end(&mut self, now: Instant) {
        self.calls[(self.next + CALLS_MAX - 1) % CALLS_MAX] = Some(now);
    }
}
