//! The time that passes on the rapids, as far as the monitor has heard of it.
//!
//! What is due is judged by this clock and never by the wall's alone: a monitor that hears late, or nothing, knows
//! nothing yet, and has nobody to blame.

use jiff::{SignedDuration, Timestamp};

/// How much of what passed on the rapids is still to pass here, at most: as long as heartbeats are apart, with some
/// room. Of a backlog that was caught up with, the rest is skipped.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(20);

/// A clock that stands still while nothing is heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Of the events heard, the newest one's own time.
    newest: Option<Timestamp>,
    /// How far of that has passed here.
    used: Timestamp,
    /// The time here. It runs no faster than the wall's.
    passed: Timestamp,
    looked: Timestamp,
    started: Timestamp,
}

/// When something began: by the wall, and by the clock here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) passed: Timestamp,
}

impl Clock {
    pub(crate) fn new(wall: Timestamp) -> Self {
        Self { newest: None, used: Timestamp::MIN, passed: wall, looked: wall, started: wall }
    }

    /// An event was heard that was made at this time. A clock that is ahead is not believed.
    pub(crate) fn heard(&mut self, at: Timestamp, wall: Timestamp) {
        let at = at.min(wall);
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
    }

    /// The wall's clock has come so far. True if it was set back: what began later than now began at no known time.
    pub(crate) fn tick(&mut self, wall: Timestamp) -> bool {
        let is_set_back = wall < self.looked;
        if is_set_back {
            self.looked = wall;
            self.newest = self.newest.map(|newest| newest.min(wall));
            self.used = self.used.min(wall);
        }
        let elapsed = wall.duration_since(self.looked).max(SignedDuration::ZERO);
        self.looked = wall;
        let Some(newest) = self.newest else { return is_set_back };
        self.used = self.used.max(newest.saturating_sub(AHEAD_MAX).unwrap_or(Timestamp::MIN));
        let step = elapsed.min(newest.duration_since(self.used).max(SignedDuration::ZERO));
        let later = |at: Timestamp| at.saturating_add(step).unwrap_or(Timestamp::MAX);
        (self.used, self.passed) = (later(self.used), later(self.passed));
        is_set_back
    }

    /// The time here.
    pub(crate) fn now(&self) -> Timestamp {
        self.passed
    }

    /// Something begins.
    pub(crate) fn moment(&self, wall: Timestamp) -> Moment {
        Moment { wall, passed: self.passed }
    }

    /// Whether what was on the rapids at `at`, by the wall, was heard here.
    pub(crate) fn has_heard_of(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| newest >= at)
    }

    /// Whether so much time has passed since: on the rapids, as far as is heard, and here.
    pub(crate) fn is_over(&self, since: Moment, after: SignedDuration) -> bool {
        let due = since.wall.saturating_add(after).unwrap_or(Timestamp::MAX);
        self.has_heard_of(due) && self.passed.duration_since(since.passed) >= after
    }

    /// How far behind the wall's clock that is which was heard.
    pub(crate) fn lag(&self, wall: Timestamp) -> SignedDuration {
        let heard_to = self.newest.unwrap_or(self.started);
        wall.duration_since(heard_to).max(SignedDuration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    /// Seconds that pass here when the wall's clock goes from second to second, and events come with these delays.
    fn passes(seconds: i64, newest: impl Fn(i64) -> Option<i64>) -> i64 {
        let mut clock = Clock::new(at(0));
        for s in 1..=seconds {
            if let Some(made) = newest(s) {
                clock.heard(at(made), at(s));
            }
            clock.tick(at(s));
        }
        clock.now().duration_since(at(0)).as_secs()
    }

    #[test]
    fn time_passes_as_on_the_wall_while_something_is_heard_now_and_then() {
        assert_eq!(passes(100, Some), 100);
        let sparse = passes(300, |s| (s % 15 == 0).then_some(s));
        assert!((270..=300).contains(&sparse), "{sparse}");
        assert_eq!(passes(100, |s| Some(s - 3_600)), 100, "an hour late, and keeping up");
    }

    #[test]
    fn it_stands_still_while_nothing_is_heard_and_does_not_leap_afterwards() {
        assert_eq!(passes(100, |_| None), 0);
        let deaf = passes(100, |s| (s <= 10).then_some(s));
        assert!((10..=30).contains(&deaf), "{deaf}");
        let caught_up = passes(110, |s| (!(11..=100).contains(&s)).then_some(s));
        assert!((20..=50).contains(&caught_up), "{caught_up}");
        let slower = passes(100, |s| Some(s / 2));
        assert!((50..=70).contains(&slower), "{slower}");
    }

    #[test]
    fn a_thing_is_over_when_that_was_heard_of_and_the_time_has_passed_here() {
        let mut clock = Clock::new(at(0));
        let (began, after) = (clock.moment(at(0)), SignedDuration::from_secs(10));
        for s in 1..=30 {
            clock.heard(at(s - 15), at(s));
            clock.tick(at(s));
            assert_eq!(clock.is_over(began, after), s >= 25, "{s}");
            assert_eq!(clock.lag(at(s)).as_secs(), 15);
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_stops_nothing() {
        let mut clock = Clock::new(at(0));
        clock.heard(at(3_600), at(3_600));
        assert!(!clock.tick(at(3_600)));
        let before = clock.now();
        assert!(clock.tick(at(0)));
        for s in 1..=100 {
            clock.heard(at(s), at(s));
            assert!(!clock.tick(at(s)));
        }
        assert_eq!(clock.now().duration_since(before).as_secs(), 100);
    }

    #[test]
    fn an_event_of_the_future_is_one_of_now() {
        let mut clock = Clock::new(at(0));
        clock.heard(at(1_000_000), at(5));
        assert!(clock.has_heard_of(at(5)) && !clock.has_heard_of(at(6)));
    }
}
