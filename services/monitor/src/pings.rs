//! Which rivers answer: a ping goes through all of them, and comes back by each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use event::{Event, EventId};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::{Clock, Moment};

/// Pings that are waited for, those of five minutes: of what was long ago, nothing is told when all is well again.
const WAITING_MAX: usize = 10;

/// Pings that are on their way.
#[derive(Debug)]
pub(crate) struct Pings {
    sent: VecDeque<Sent>,
    within: SignedDuration,
    /// Rivers that ever answered: their silence is news, whoever drank from them has gone or not.
    answering: BTreeSet<String>,
}

#[derive(Debug)]
struct Sent {
    id: EventId,
    at: Moment,
    /// Those that have not answered.
    rivers: BTreeSet<String>,
}

impl Pings {
    pub(crate) fn new(within: SignedDuration) -> Self {
        Self { sent: VecDeque::new(), within, answering: BTreeSet::new() }
    }

    /// Rivers that ever answered a ping.
    pub(crate) fn answering(&self) -> &BTreeSet<String> {
        &self.answering
    }

    /// Waits for none any more.
    pub(crate) fn forget(&mut self) {
        self.sent.clear();
    }

    /// A ping for these rivers; none where there are none.
    pub(crate) fn send(&mut self, rivers: BTreeSet<String>, now: Moment) -> Option<Event> {
        if rivers.is_empty() {
            return None;
        }
        if self.sent.len() >= WAITING_MAX {
            self.sent.pop_front();
        }
        let ping = Event::root("system.Ping", "system", json!({}), now.wall);
        self.sent.push_back(Sent { id: ping.event_id.clone(), at: now, rivers });
        Some(ping)
    }

    /// An answer: its river, and seconds since the ping. One that was not waited for, or no more, is none.
    pub(crate) fn answered<'a>(
        &mut self,
        pong: &'a Event,
        now: Timestamp,
    ) -> Option<(&'a str, f64)> {
        let river = pong.payload.get("river").and_then(Value::as_str)?;
        let sent =
            self.sent.iter_mut().find(|sent| Some(&sent.id) == pong.causation_id.as_ref())?;
        let seconds = now.duration_since(sent.at.wall).as_secs_f64().max(0.0);
        sent.rivers.remove(river).then(|| {
            self.answering.insert(river.to_owned());
            (river, seconds)
        })
    }

    /// Rivers that did not answer in time, and how often.
    pub(crate) fn lost(&mut self, clock: &Clock) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        while self.sent.front().is_some_and(|sent| clock.is_over(sent.at, self.within)) {
            for river in self.sent.pop_front().into_iter().flat_map(|sent| sent.rivers) {
                *lost.entry(river).or_default() += 1;
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    #[test]
    fn an_answer_in_time_counts_once_and_silence_is_lost() {
        let mut clock = Clock::new(at(0));
        let mut pings = Pings::new(SignedDuration::from_secs(30));
        let rivers: BTreeSet<String> = ["brand", "location"].map(str::to_owned).into();
        let ping = pings.send(rivers, clock.moment(at(0))).unwrap();
        let mut pong = Event::root("system.Pong", "system", json!({"river": "brand"}), at(1));
        assert_eq!(pings.answered(&pong, at(1)), None, "it answers nothing that was asked");
        pong.causation_id = Some(ping.event_id);
        assert_eq!(pings.answered(&pong, at(1)), Some(("brand", 1.0)));
        assert_eq!(pings.answered(&pong, at(2)), None);
        assert_eq!(pings.answering().iter().collect::<Vec<_>>(), ["brand"]);
        for s in 1..=29 {
            clock.heard(at(s), at(s));
            clock.tick(at(s));
            assert!(pings.lost(&clock).is_empty());
        }
        clock.tick(at(99));
        assert!(pings.lost(&clock).is_empty(), "nothing was heard since: nobody knows");
        clock.heard(at(100), at(100));
        clock.tick(at(100));
        assert_eq!(pings.lost(&clock), BTreeMap::from([("location".to_owned(), 1)]));
        assert!(pings.lost(&clock).is_empty());
        assert!(pings.send(BTreeSet::new(), clock.moment(at(99))).is_none());
    }
}
