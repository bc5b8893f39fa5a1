//! When a window is to be closed.

use jiff::{SignedDuration, Timestamp};

/// How long a window may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From the time of the view.
    pub(crate) length: SignedDuration,
    /// From when the engine first heard of it.
    pub(crate) least: SignedDuration,
    pub(crate) most: SignedDuration,
}

/// Beyond this, a timestamp says nothing about when offers will come: the event is replayed, or was sent by a
/// clock that is wrong.
const LIVE: SignedDuration = SignedDuration::from_secs(30);

/// When to close the window of a view that happened at `happened` and was first heard of at `heard`.
///
/// The customer has waited since the view, so event time counts; that others are slow, or clocks not the same,
/// must neither leave offers no time nor make the customer wait for ever.
pub(crate) fn deadline(happened: Timestamp, heard: Timestamp, bounds: Bounds) -> Timestamp {
    let after = |at: Timestamp, by| at.saturating_add(by).unwrap_or(Timestamp::MAX);
    let start = if heard.duration_since(happened).abs() <= LIVE { happened } else { heard };
    after(start, bounds.length).clamp(after(heard, bounds.least), after(heard, bounds.most))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In milliseconds after the view was heard of, which happened `happened_ms` before or after that.
    fn due_ms(happened_ms: i64) -> i64 {
        let ms = SignedDuration::from_millis;
        let bounds = Bounds { length: ms(2_000), least: ms(300), most: ms(5_000) };
        let heard = 1_700_000_000_000;
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        deadline(at(heard + happened_ms), at(heard), bounds).as_millisecond() - heard
    }

    #[test]
    fn event_time_decides_within_bounds() {
        assert_eq!(due_ms(0), 2_000);
        assert_eq!(due_ms(-500), 1_500);
        assert_eq!(due_ms(-1_900), 300);
        assert_eq!(due_ms(-29_000), 300);
        assert_eq!(due_ms(1_000), 3_000);
        assert_eq!(due_ms(10_000), 5_000);
    }

    #[test]
    fn a_replayed_view_and_one_from_the_future_get_the_ordinary_time() {
        assert_eq!(due_ms(-31_000), 2_000);
        assert_eq!(due_ms(-7 * 365 * 86_400_000), 2_000);
        assert_eq!(due_ms(3_600_000), 2_000);
    }
}
