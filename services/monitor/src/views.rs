//! What became of each view: a selection in time, an empty one, or none.

use std::collections::{HashMap, VecDeque};

use event::{Event, EventId};
use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::labels;

/// Conversations that are looked at; the oldest beyond are not judged. An hour of thirty views a second.
const OPEN_MAX: usize = 100_000;

/// Conversations whose view or selection came a short time ago.
#[derive(Debug)]
pub(crate) struct Views {
    open: HashMap<EventId, View>,
    /// When each was first heard of, in that order.
    order: VecDeque<(Moment, EventId)>,
    offered_within: SignedDuration,
    judged_after: SignedDuration,
}

#[derive(Debug, Default)]
struct View {
    /// When the page was viewed, and for whom.
    viewed: Option<(Timestamp, bool)>,
    /// Its first selection: when, and the arms.
    selected: Option<(Timestamp, String)>,
    /// When the first selection with an offer was made, for any slot.
    offered: Option<Timestamp>,
    /// Whether its time to offer was told.
    timed: bool,
}

/// Time from a view to its first selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offered {
    pub(crate) seconds: f64,
    pub(crate) arm: String,
    pub(crate) synthetic: bool,
}

/// What a view came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// `offered`, `empty` or `missing`.
    pub(crate) result: &'static str,
    pub(crate) synthetic: bool,
}

impl Views {
    pub(crate) fn new(config: &Config) -> Self {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self {
            open: HashMap::new(),
            order: VecDeque::new(),
            offered_within: signed(config.offered_within),
            judged_after: signed(config.judged_after),
        }
    }

    /// A page was viewed. Its selection may have come before it.
    pub(crate) fn viewed(&mut self, event: &Event, now: Moment) -> Option<Offered> {
        let view = self.view(event.correlation(), now);
        view.viewed.get_or_insert((event.timestamp, event.synthetic));
        view.time()
    }

    /// Offers were selected, or none.
    pub(crate) fn selected(&mut self, event: &Event, some: bool, now: Moment) -> Option<Offered> {
        let view = self.view(event.correlation(), now);
        view.selected.get_or_insert_with(|| (event.timestamp, labels::arm(event)));
        if some {
            view.offered(event.timestamp);
        }
        view.time()
    }

    /// A selection was put in the place of another.
    pub(crate) fn amended(&mut self, event: &Event, some: bool) {
        if let Some(view) = self.open.get_mut(event.correlation()).filter(|_| some) {
            view.offered(event.timestamp);
        }
    }

    /// Judges what is due. A selection whose view was never heard of, as after a start, is no view.
    pub(crate) fn judge(&mut self, clock: &Clock) -> Vec<Judged> {
        let mut judged = Vec::new();
        while let Some((heard, _)) = self.order.front() {
            let is_due = clock.is_over(*heard, self.judged_after);
            if !is_due && self.order.len() <= OPEN_MAX {
                break;
            }
            let Some((_, id)) = self.order.pop_front() else { break };
            if let Some(view) = self.open.remove(&id).filter(|_| is_due) {
                judged.extend(view.judged(self.offered_within));
            }
        }
        judged
    }

    fn view(&mut self, conversation: &EventId, now: Moment) -> &mut View {
        if !self.open.contains_key(conversation) {
            self.order.push_back((now, conversation.clone()));
        }
        self.open.entry(conversation.clone()).or_default()
    }
}

impl View {
    /// There is an offer from then on.
    fn offered(&mut self, at: Timestamp) {
        self.offered = Some(self.offered.map_or(at, |before| before.min(at)));
    }

    /// Once both are known, and once only.
    fn time(&mut self) -> Option<Offered> {
        let ((viewed, synthetic), (selected, arm)) = (self.viewed?, self.selected.as_ref()?);
        if std::mem::replace(&mut self.timed, true) {
            return None;
        }
        let seconds = selected.duration_since(viewed).as_secs_f64().max(0.0);
        Some(Offered { seconds, arm: arm.clone(), synthetic })
    }

    fn judged(&self, within: SignedDuration) -> Option<Judged> {
        let (viewed, synthetic) = self.viewed?;
        let in_time =
            |at: Option<Timestamp>| at.is_some_and(|at| at.duration_since(viewed) <= within);
        let result = if in_time(self.offered) {
            "offered"
        } else if in_time(self.selected.as_ref().map(|(at, _)| *at)) {
            "empty"
        } else {
            "missing"
        };
        Some(Judged { result, synthetic })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    /// The clock of a monitor that hears all at once, at this time.
    fn clock(ms: i64) -> Clock {
        let mut clock = Clock::new(at(0));
        for ms in (0..=ms).step_by(100) {
            clock.heard(at(ms), at(ms));
            clock.tick(at(ms));
        }
        clock
    }

    fn moment(ms: i64) -> Moment {
        Moment { wall: at(ms), passed: at(ms) }
    }

    fn view(ms: i64) -> Event {
        Event::root("ViewPage", "web", Value::Null, at(ms))
    }

    fn selection(view: &Event, ms: i64) -> Event {
        let correlation_id = Some(view.event_id.clone());
        Event { correlation_id, ..Event::root("OffersSelected", "offers", Value::Null, at(ms)) }
    }

    fn views() -> Views {
        Views::new(&Config::default())
    }

    fn result(views: &mut Views) -> Vec<&'static str> {
        assert_eq!(views.judge(&clock(9_900)), []);
        views.judge(&clock(30_000)).iter().map(|judged| judged.result).collect()
    }

    #[test]
    fn a_view_with_offers_in_time_is_covered_whichever_is_heard_first() {
        for view_first in [true, false] {
            let (mut views, view) = (views(), view(0));
            let selection = selection(&view, 2_000);
            let told = if view_first {
                assert_eq!(views.viewed(&view, moment(10)), None);
                views.selected(&selection, true, moment(2_100))
            } else {
                assert_eq!(views.selected(&selection, true, moment(2_100)), None);
                views.viewed(&view, moment(2_200))
            };
            let offered = Offered { seconds: 2.0, arm: String::new(), synthetic: false };
            assert_eq!(told, Some(offered));
            assert_eq!(result(&mut views), ["offered"]);
        }
    }

    #[test]
    fn a_view_without_offers_or_too_late_or_without_a_selection_is_not_covered() {
        let cases = [
            (Some(2_000), false, "empty"),
            (Some(5_001), true, "missing"),
            (None, false, "missing"),
        ];
        for (selected, some, expected) in cases {
            let (mut views, view) = (views(), view(0));
            views.viewed(&view, moment(10));
            if let Some(ms) = selected {
                views.selected(&selection(&view, ms), some, moment(ms));
            }
            assert_eq!(result(&mut views), [expected]);
        }
    }

    #[test]
    fn an_empty_selection_that_is_amended_in_time_is_an_offer() {
        for (ms, expected) in [(4_000, "offered"), (5_001, "empty")] {
            let (mut views, view) = (views(), view(0));
            views.viewed(&view, moment(10));
            views.selected(&selection(&view, 2_000), false, moment(2_000));
            views.amended(&selection(&view, ms), true);
            assert_eq!(result(&mut views), [expected]);
        }
    }

    #[test]
    fn a_monitor_that_hears_nothing_judges_nothing() {
        let (mut views, view) = (views(), view(0));
        let mut clock = clock(100);
        views.viewed(&view, clock.moment(at(100)));
        for ms in (200..=60_000).step_by(100) {
            clock.tick(at(ms));
            assert_eq!(views.judge(&clock), []);
        }
        views.selected(&selection(&view, 2_000), true, clock.moment(at(60_000)));
        clock.heard(at(60_000), at(60_000));
        clock.tick(at(70_000));
        assert_eq!(views.judge(&clock)[0].result, "offered");
    }

    #[test]
    fn several_slots_are_one_view_that_is_timed_once() {
        let (mut views, view) = (views(), view(0));
        views.viewed(&view, moment(10));
        assert!(views.selected(&selection(&view, 2_000), false, moment(2_000)).is_some());
        assert_eq!(views.selected(&selection(&view, 2_500), true, moment(2_500)), None);
        assert_eq!(result(&mut views), ["offered"]);
    }

    #[test]
    fn a_selection_whose_view_was_before_the_start_is_not_judged() {
        let mut views = views();
        views.selected(&selection(&view(0), 2_000), true, moment(2_000));
        assert_eq!(result(&mut views), [""; 0]);
    }

    #[test]
    fn memory_is_bounded_and_what_is_too_much_is_not_judged() {
        let mut views = views();
        for _ in 0..OPEN_MAX + 5 {
            views.viewed(&view(0), moment(0));
        }
        assert_eq!(views.judge(&clock(0)), []);
        assert_eq!((views.open.len(), views.order.len()), (OPEN_MAX, OPEN_MAX));
    }
}
