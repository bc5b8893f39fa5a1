//! Which records of a shard are settled, and up to where all of them are.
//!
//! Records are admitted in the order of the shard and settled in any order. The watermark is the position up
//! to which everything is settled: all that a checkpoint may ever say. Nothing here waits or talks.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::checkpoint::Position;

/// Entries for which room is kept when there are none: a shard that is read at its tip allocates nothing more,
/// and one that was far behind gives its memory back.
const ENTRIES_KEPT: usize = 1_024;

/// The records of one shard that were handed to this process and lie above the watermark.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// From the first unsettled record on.
    entries: VecDeque<Entry>,
    /// Ticket of the first entry: those below it are settled.
    first: u64,
    /// The last position that was admitted.
    last: Option<Position>,
    watermark: Option<Watermark>,
    unsettled: usize,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    arrived_at: Option<SystemTime>,
    bytes: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Settled,
    /// Said to be safe after the lease was lost.
    Late,
}

/// Names an admitted record to the ledger that admitted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// Everything up to and with this position is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) position: Position,
    /// When the newest of the records below it arrived, as far as that is known.
    pub(crate) arrived_at: Option<SystemTime>,
}

/// A record that does not lie behind all that were admitted: reading went wrong, and the shard must be read
/// again from its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {refused} does not lie behind {last}, which was read before it")]
pub(crate) struct NotRising {
    pub(crate) refused: Position,
    pub(crate) last: Position,
}

/// Why a record could not be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It is settled already: nothing to do.
    #[error("settled already")]
    Twice,
    /// The lease was lost: another worker delivers it again. To be counted when it is said `first`.
    #[error("settled after the lease was lost ({bytes} bytes)")]
    Late { bytes: u32, first: bool },
    /// It lies above everything that was admitted.
    #[error("never admitted")]
    Unknown,
}

impl Ledger {
    /// Takes in a record that is to be settled.
    pub(crate) fn admit(
        &mut self,
        position: Position,
        bytes: usize,
        arrived_at: Option<SystemTime>,
    ) -> Result<Ticket, NotRising> {
        self.rises(position)?;
        let ticket = Ticket(self.first + self.entries.len() as u64);
        // A record has 10 MiB at most.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.entries.push_back(Entry { position, arrived_at, bytes, state: State::Open });
        self.last = Some(position);
        self.unsettled += 1;
        Ok(ticket)
    }

    /// Takes in a position that holds nothing to deliver: an empty aggregate, records that are left out.
    pub(crate) fn admit_settled(&mut self, position: Position) -> Result<(), NotRising> {
        self.rises(position)?;
        let state = State::Settled;
        self.entries.push_back(Entry { position, arrived_at: None, bytes: 0, state });
        self.last = Some(position);
        if !self.closed {
            self.advance();
        }
        Ok(())
    }

    /// Whether a position could be admitted now.
    pub(crate) fn rises(&self, position: Position) -> Result<(), NotRising> {
        match self.last {
            Some(last) if position <= last => Err(NotRising { refused: position, last }),
            _ => Ok(()),
        }
    }

    /// Settles a record and tells its bytes.
    pub(crate) fn settle(&mut self, ticket: Ticket) -> Result<u32, Refused> {
        let index = self.index(ticket).ok_or(Refused::Twice)?;
        let entry = self.entries.get_mut(index).ok_or(Refused::Unknown)?;
        let bytes = entry.bytes;
        if self.closed && entry.state != State::Settled {
            let first = std::mem::replace(&mut entry.state, State::Late) == State::Open;
            return Err(Refused::Late { bytes, first });
        }
        if entry.state != State::Open {
            return Err(Refused::Twice);
        }
        entry.state = State::Settled;
        self.unsettled -= 1;
        self.advance();
        Ok(bytes)
    }

    /// Whether a record was settled in time.
    pub(crate) fn is_settled(&self, ticket: Ticket) -> bool {
        let Some(index) = self.index(ticket) else { return true };
        self.entries.get(index).is_some_and(|entry| entry.state == State::Settled)
    }

    /// The lease is lost: the watermark stands still from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn watermark(&self) -> Option<Watermark> {
        self.watermark
    }

    /// Records that were admitted and are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Records above the watermark, settled or not: what a crash now would have delivered again, at most.
    pub(crate) fn span(&self) -> usize {
        self.entries.len()
    }

    fn index(&self, ticket: Ticket) -> Option<usize> {
        usize::try_from(ticket.0.checked_sub(self.first)?).ok()
    }

    /// Moves the watermark over what is settled. Every entry is passed once.
    fn advance(&mut self) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.state == State::Settled) {
            self.first += 1;
            let known = self.watermark.and_then(|mark| mark.arrived_at);
            let arrived_at = entry.arrived_at.or(known);
            self.watermark = Some(Watermark { position: entry.position, arrived_at });
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(ENTRIES_KEPT);
        }
    }
}

#[cfg(test)]
mod tests;
