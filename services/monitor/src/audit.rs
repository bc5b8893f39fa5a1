//! Which events should have come to which river, and have not.
//!
//! Of the events that the monitor hears, one in some is audited ([`EventId::is_audited`]). By what rivers want it is known
//! who should get it; services tell of those that they settled, or gave back for another attempt. What a river has
//! not accounted for though its queue was empty long after it, or though it accounted for others that came very much
//! later, is missing there. Nothing is said of a river that never tells, or does so no more: what waits in it is not
//! lost.

use std::collections::{BTreeMap, HashMap, VecDeque};

use event::packet::{Rule, Verdict};
use event::{Event, EventId, Packet};
use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Moment};

/// Events that some river has still to account for, and of accounts that came before their event.
const PENDING_MAX: usize = 100_000;
/// Those of one river: one that accounts for nothing leaves room for the others.
const PENDING_OF_RIVER_MAX: usize = 20_000;
/// What was settled is told within this time: heartbeats are 15 s apart, and may be tried again.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(120);
/// A queue that is never empty may hold an event for long behind others, such as one customer's backlog. So many times
/// as long as behind an empty one is waited there.
const BEHIND_OTHERS: i32 = 4;
/// A river whose wishes have changed is audited when every reader must know of them.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// What services say of themselves is not audited.
const SYSTEM: &str = "system.";

/// The books.
#[derive(Debug)]
pub(crate) struct Audit {
    rivers: BTreeMap<String, River>,
    pending: HashMap<EventId, Pending>,
    /// Rivers that accounted for an event which has not come here yet.
    early: HashMap<EventId, Vec<String>>,
    early_order: VecDeque<(Timestamp, EventId)>,
    missing_after: SignedDuration,
}

#[derive(Debug)]
struct River {
    wish: Wish,
    /// Events that are made from then on are audited.
    since: Timestamp,
    /// When it last told, if it ever did.
    told: Option<Timestamp>,
    /// When the newest event that it accounted for came here.
    reached: Timestamp,
    /// When its queue was last seen empty, by the wall; and of what was settled until then, all is told.
    empty: Timestamp,
    /// When it was seen empty since then.
    emptied: Option<Timestamp>,
    /// Events that it has still to account for.
    pending: usize,
}

/// What a river is to get.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wish {
    /// By its subscriptions.
    pub(crate) packets: Vec<Packet>,
    /// By the experiments of whose arms it is.
    pub(crate) arms: Vec<Rule>,
}

#[derive(Debug)]
struct Pending {
    heard: Moment,
    event_type: String,
    rivers: Vec<String>,
}

/// An event that did not come to a river.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) river: String,
    pub(crate) event_id: EventId,
    pub(crate) event_type: String,
}

/// How many audited events, by river.
pub(crate) type Counts = BTreeMap<String, u64>;

impl Audit {
    pub(crate) fn new(missing_after: SignedDuration) -> Self {
        Self {
            rivers: BTreeMap::new(),
            pending: HashMap::new(),
            early: HashMap::new(),
            early_order: VecDeque::new(),
            missing_after,
        }
    }

    /// What rivers want now. Of a river that wants something else than before, nobody can tell what it should have got
    /// meanwhile: these are returned.
    pub(crate) fn wanted(&mut self, now: &BTreeMap<String, Wish>, wall: Timestamp) -> Counts {
        let same = |(name, river): (&String, &River)| now.get(name) == Some(&river.wish);
        let changed: Vec<_> =
            self.rivers.iter().filter(|it| !same(*it)).map(|(name, _)| name.clone()).collect();
        let mut unknown = Counts::new();
        for name in changed {
            let doubtful = self.doubt(&name);
            if doubtful > 0 {
                unknown.insert(name.clone(), doubtful);
            }
            self.rivers.remove(&name);
        }
        let since = wall.saturating_add(SETTLED_AFTER).unwrap_or(Timestamp::MAX);
        for (name, wish) in now {
            self.rivers.entry(name.clone()).or_insert_with(|| River {
                wish: wish.clone(),
                since,
                told: None,
                reached: Timestamp::MIN,
                empty: Timestamp::MIN,
                emptied: None,
                pending: 0,
            });
        }
        unknown
    }

    /// The queue of a river was seen empty.
    pub(crate) fn emptied(&mut self, name: &str, wall: Timestamp) {
        if let Some(river) = self.rivers.get_mut(name) {
            river.emptied.get_or_insert(wall);
        }
    }

    /// An event came here: the rivers that had accounted for it before, and those whose account cannot be kept.
    pub(crate) fn heard(
        &mut self,
        event: &Event,
        is_elsewhere: impl Fn(&str) -> bool,
        now: Moment,
    ) -> (Counts, Counts) {
        let (mut acknowledged, mut unknown) = (Counts::new(), Counts::new());
        if !event.event_id.is_audited() || event.event_type.starts_with(SYSTEM) {
            return (acknowledged, unknown);
        }
        let early = self.early.remove(&event.event_id).unwrap_or_default();
        let mut rivers = Vec::new();
        for (name, river) in &mut self.rivers {
            let tells = river.told.is_some() && event.timestamp >= river.since;
            if !tells || !river.gets(event) || is_elsewhere(name) {
                continue;
            }
            if early.contains(name) {
                river.reached = river.reached.max(now.passed);
                *acknowledged.entry(name.clone()).or_default() += 1;
            } else if self.pending.len() < PENDING_MAX && river.pending < PENDING_OF_RIVER_MAX {
                river.pending += 1;
                rivers.push(name.clone());
            } else {
                *unknown.entry(name.clone()).or_default() += 1;
            }
        }
        if !rivers.is_empty() {
            let event_type = event.event_type.clone();
            let pending = Pending { heard: now, event_type, rivers };
            self.pending.insert(event.event_id.clone(), pending);
        }
        (acknowledged, unknown)
    }

    /// A river accounts for these events: how many of them were waited for.
    pub(crate) fn acknowledged(&mut self, name: &str, ids: &[EventId], now: Timestamp) -> u64 {
        let Some(river) = self.rivers.get_mut(name) else { return 0 };
        river.told = Some(now);
        let mut awaited = 0;
        for id in ids {
            let Some(pending) = self.pending.get_mut(id) else {
                if self.early_order.len() < PENDING_MAX {
                    self.early.entry(id.clone()).or_default().push(name.to_owned());
                    self.early_order.push_back((now, id.clone()));
                }
                continue;
            };
            river.reached = river.reached.max(pending.heard.passed);
            let before = pending.rivers.len();
            pending.rivers.retain(|waiting| waiting != name);
            if pending.rivers.len() < before {
                awaited += 1;
                river.pending = river.pending.saturating_sub(1);
            }
            if pending.rivers.is_empty() {
                self.pending.remove(id);
            }
        }
        awaited
    }

    /// A process on the river lives: one that tells would tell, if there were anything.
    pub(crate) fn lives(&mut self, name: &str, now: Timestamp) {
        if let Some(told) = self.rivers.get_mut(name).and_then(|river| river.told.as_mut()) {
            *told = now;
        }
    }

    /// Who could tell what became of this river's events is gone: how many nobody will know of.
    pub(crate) fn doubt(&mut self, name: &str) -> u64 {
        let mut unknown = 0;
        self.pending.retain(|_, pending| {
            let before = pending.rivers.len();
            pending.rivers.retain(|waiting| waiting != name);
            unknown += u64::from(pending.rivers.len() < before);
            !pending.rivers.is_empty()
        });
        if let Some(river) = self.rivers.get_mut(name) {
            river.pending = 0;
        }
        unknown
    }

    /// What is missing now, and how many nobody will know of, because their river tells no more.
    pub(crate) fn judge(&mut self, clock: &Clock) -> (Vec<Missing>, Counts) {
        let now = clock.now();
        while self
            .early_order
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > self.missing_after)
        {
            if let Some((_, id)) = self.early_order.pop_front() {
                self.early.remove(&id);
            }
        }
        let mute = |river: &River| {
            river.told.is_some_and(|at| now.duration_since(at) > self.missing_after)
        };
        let mute: Vec<_> = self
            .rivers
            .iter()
            .filter(|(_, river)| mute(river))
            .map(|(name, _)| name.clone())
            .collect();
        let mut unknown = Counts::new();
        for name in mute {
            if let Some(river) = self.rivers.get_mut(&name) {
                river.told = None;
            }
            unknown.insert(name.clone(), self.doubt(&name));
        }
        for river in self.rivers.values_mut() {
            let all_told = |emptied: &mut Timestamp| {
                clock.has_heard_of(emptied.saturating_add(TOLD_WITHIN).unwrap_or(Timestamp::MAX))
            };
            if let Some(emptied) = river.emptied.take_if(all_told) {
                river.empty = emptied;
            }
        }
        (self.missing(), unknown)
    }

    /// Events that some river has not accounted for yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    fn missing(&mut self) -> Vec<Missing> {
        let (rivers, after) = (&mut self.rivers, self.missing_after);
        let mut missing = Vec::new();
        self.pending.retain(|id, pending| {
            let passed = |name: &String| {
                let Some(river) = rivers.get(name) else { return false };
                river.empty.duration_since(pending.heard.wall) >= after
                    || river.reached.duration_since(pending.heard.passed) >= after * BEHIND_OTHERS
            };
            let (gone, waiting) = pending.rivers.drain(..).partition(passed);
            pending.rivers = waiting;
            let gone: Vec<String> = gone;
            for name in &gone {
                if let Some(river) = rivers.get_mut(name) {
                    river.pending = river.pending.saturating_sub(1);
                }
            }
            missing.extend(gone.into_iter().map(|river| Missing {
                river,
                event_id: id.clone(),
                event_type: pending.event_type.clone(),
            }));
            !pending.rivers.is_empty()
        });
        missing
    }
}

impl River {
    fn gets(&self, event: &Event) -> bool {
        self.wish.packets.iter().any(|packet| packet.check(event) != Verdict::NotMine)
    }
}

#[cfg(test)]
mod tests;
