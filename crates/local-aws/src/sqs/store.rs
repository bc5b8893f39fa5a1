//! The messages of a queue and where each of them is: ready, delayed or in flight.
//!
//! No I/O and no clock: every method is told the time, in milliseconds since the Unix epoch.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::groups::Groups;
use super::message::Message;

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const IN_FLIGHT_MAX: usize = 120_000;
/// However often it is extended, no receive hides a message for longer.
const VISIBILITY_TOTAL_MAX_MS: u64 = 12 * 60 * 60 * 1000;

/// A message that the queue took.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) message: Message,
    /// When the sender sent it; a dead-letter queue keeps it.
    pub(super) sent_ms: u64,
    /// How often it was handed out.
    pub(super) receives: u32,
    pub(super) first_received_ms: Option<u64>,
    /// Of a FIFO queue.
    pub(super) sequence_number: Option<String>,
    /// The queue that gave it up.
    pub(super) source_arn: Option<String>,
}

/// One hand-out of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) number: u64,
    pub(super) receives: u32,
}

/// What a receive took out of the queue.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) received: Vec<(Receipt, Stored)>,
    /// Messages that were handed out too often already.
    pub(super) given_up: Vec<Stored>,
}

/// How a receive takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Take {
    pub(super) max: usize,
    pub(super) visibility_ms: u64,
    /// Messages handed out this often are given up instead. `None` without a dead-letter queue.
    pub(super) receives_max: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At this turn in the line.
    Ready(u64),
    Delayed {
        until_ms: u64,
    },
    InFlight {
        until_ms: u64,
        since_ms: u64,
    },
}

#[derive(Debug)]
struct Slot {
    stored: Stored,
    place: Place,
}

/// All messages, by the number that the queue gave them.
#[derive(Debug, Default)]
pub(super) struct Store {
    slots: BTreeMap<u64, Slot>,
    /// Turn to number. On a FIFO queue the two are the same, so that a message which comes back keeps its place.
    ready: BTreeMap<u64, u64>,
    delayed: BTreeSet<(u64, u64)>,
    in_flight: BTreeSet<(u64, u64)>,
    groups: Groups,
    next: u64,
    fifo: bool,
}

impl Store {
    pub(super) fn new(fifo: bool) -> Self {
        Self { fifo, ..Self::default() }
    }

    /// Adds a message that can be received from `visible_ms` on.
    pub(super) fn put(&mut self, stored: Stored, visible_ms: u64, now_ms: u64) {
        let number = self.fresh();
        self.slots.insert(number, Slot { stored, place: Place::Ready(number) });
        if visible_ms > now_ms {
            self.move_to(number, Some(Place::Delayed { until_ms: visible_ms }));
        } else {
            self.ready.insert(number, number);
        }
    }

    /// Lets `now_ms` come: hidden messages appear, old ones are forgotten.
    pub(super) fn tick(&mut self, now_ms: u64, retention_ms: u64) {
        let old = |slot: &Slot| slot.stored.sent_ms.saturating_add(retention_ms) <= now_ms;
        while let Some((&number, _)) = self.slots.first_key_value().filter(|(_, slot)| old(slot)) {
            self.remove(number);
        }
        for number in
            due(&self.delayed, now_ms).chain(due(&self.in_flight, now_ms)).collect::<Vec<_>>()
        {
            self.make_ready(number);
        }
    }

    /// When the next hidden message appears.
    pub(super) fn next_change_ms(&self) -> Option<u64> {
        self.delayed
            .first()
            .into_iter()
            .chain(self.in_flight.first())
            .map(|&(until, _)| until)
            .min()
    }

    /// Hands out ready messages, in the order of their turns; on a standard queue those of noisy groups last.
    pub(super) fn take(&mut self, how: Take, now_ms: u64) -> Result<Taken, Error> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return Err(Error::OverLimit);
        }
        let mut taken = Taken::default();
        let held_back =
            if self.fifo { self.locked_groups() } else { self.groups.noisy(self.in_flight.len()) };
        self.hand_out(how, now_ms, &mut taken, |group| !held_back.contains(group));
        if !self.fifo && !held_back.is_empty() {
            self.hand_out(how, now_ms, &mut taken, |group| held_back.contains(group));
        }
        Ok(taken)
    }

    /// Hands out messages of `wanted` groups; the empty name stands for none.
    fn hand_out(
        &mut self,
        how: Take,
        now_ms: u64,
        taken: &mut Taken,
        wanted: impl Fn(&str) -> bool,
    ) {
        let mut turn = 0;
        while taken.received.len() < how.max {
            let Some((&at, &number)) = self.ready.range(turn..).next() else { break };
            turn = at + 1;
            let Some(slot) = self.slots.get_mut(&number) else { continue };
            if !wanted(slot.stored.message.group.as_deref().unwrap_or_default()) {
                continue;
            }
            if how.receives_max.is_some_and(|max| slot.stored.receives >= max) {
                taken.given_up.extend(self.remove(number));
                continue;
            }
            slot.stored.receives += 1;
            slot.stored.first_received_ms.get_or_insert(now_ms);
            let receipt = Receipt { number, receives: slot.stored.receives };
            taken.received.push((receipt, slot.stored.clone()));
            let until_ms = now_ms + how.visibility_ms;
            if how.visibility_ms > 0 {
                self.move_to(number, Some(Place::InFlight { until_ms, since_ms: now_ms }));
            }
        }
    }

    /// Deletes what was handed out under `receipt`. Whether it was the latest hand-out: an older receipt deletes
    /// nothing, as AWS may have it.
    pub(super) fn delete(&mut self, receipt: Receipt) -> bool {
        let latest = self.is_latest(receipt);
        if latest {
            self.remove(receipt.number);
        }
        latest
    }

    /// Hides a message in flight until `visibility_ms` from now; 0 makes it ready.
    pub(super) fn change_visibility(
        &mut self,
        receipt: Receipt,
        visibility_ms: u64,
        now_ms: u64,
    ) -> Result<(), Error> {
        let place = self.slots.get(&receipt.number).map(|slot| slot.place);
        let Some(Place::InFlight { since_ms, .. }) = place.filter(|_| self.is_latest(receipt))
        else {
            return Err(Error::MessageNotInflight);
        };
        let until_ms = now_ms + visibility_ms;
        if until_ms > since_ms + VISIBILITY_TOTAL_MAX_MS {
            let message =
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
            return Err(Error::InvalidParameterValue(message.into()));
        }
        if visibility_ms == 0 {
            self.make_ready(receipt.number);
        } else {
            self.move_to(receipt.number, Some(Place::InFlight { until_ms, since_ms }));
        }
        Ok(())
    }

    /// Takes out everything that is ready, at most `max`, as a redrive task does.
    pub(super) fn drain_ready(&mut self, max: usize) -> Vec<Stored> {
        let numbers: Vec<u64> = self.ready.values().take(max).copied().collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, fifo: self.fifo, ..Self::default() };
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn is_latest(&self, receipt: Receipt) -> bool {
        let slot = self.slots.get(&receipt.number);
        slot.is_some_and(|slot| slot.stored.receives == receipt.receives)
    }

    /// A group with a message in flight gives out no other: that is the order which FIFO promises.
    fn locked_groups(&self) -> BTreeSet<String> {
        if !self.fifo {
            return BTreeSet::new();
        }
        let group =
            |&(_, number): &(u64, u64)| self.slots.get(&number)?.stored.message.group.clone();
        self.in_flight.iter().filter_map(group).collect()
    }

    fn make_ready(&mut self, number: u64) {
        let turn = if self.fifo { number } else { self.fresh() };
        self.move_to(number, Some(Place::Ready(turn)));
    }

    fn remove(&mut self, number: u64) -> Option<Stored> {
        self.move_to(number, None);
        self.slots.remove(&number).map(|slot| slot.stored)
    }

    fn move_to(&mut self, number: u64, place: Option<Place>) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        match slot.place {
            Place::Ready(turn) => {
                self.ready.remove(&turn);
            }
            Place::Delayed { until_ms } => {
                self.delayed.remove(&(until_ms, number));
            }
            Place::InFlight { until_ms, .. } => {
                self.in_flight.remove(&(until_ms, number));
                slot.stored.message.group.iter().for_each(|group| self.groups.leave(group));
            }
        }
        let Some(place) = place else { return };
        slot.place = place;
        match place {
            Place::Ready(turn) => {
                self.ready.insert(turn, number);
            }
            Place::Delayed { until_ms } => {
                self.delayed.insert((until_ms, number));
            }
            Place::InFlight { until_ms, .. } => {
                self.in_flight.insert((until_ms, number));
                slot.stored.message.group.iter().for_each(|group| self.groups.enter(group));
            }
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn due(hidden: &BTreeSet<(u64, u64)>, now_ms: u64) -> impl Iterator<Item = u64> + '_ {
    hidden.range(..=(now_ms, u64::MAX)).map(|&(_, number)| number)
}

#[cfg(test)]
mod tests;
