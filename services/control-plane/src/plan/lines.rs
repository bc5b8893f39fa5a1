//! What the rapids-reader is to write to a river's queue itself: everything of a river that is fed directly, and of
//! one that is fed by SNS what SNS may not deliver yet.

use std::time::Duration;

use event::names::Topic;
use event::route::Line;
use jiff::{SignedDuration, Timestamp};

use super::{Route, View};
use crate::policy;
use crate::subscription::FILTER_POLICY;
use crate::tables::Status;

/// The lines of `view`, in the order of their topics. `refiltered` says that the filter of its subscription is about to
/// become another.
pub(super) fn wanted(view: &View, route: Route, bridge: Duration, refiltered: bool) -> Vec<Line> {
    let topics = view.wanted_topics();
    let end = |topic: &Topic| match route {
        Route::Direct => Some(None),
        Route::Sns => bridge_until(view, topic, bridge, refiltered).map(Some),
    };
    let line = |topic: &Topic| {
        let rules = view.rules.get(topic).cloned().unwrap_or_default();
        Some(Line { topic: topic.as_str().to_owned(), rules, until: end(topic)? })
    };
    topics.filter_map(line).collect()
}

/// The end of a topic's bridge; none if there is none.
fn bridge_until(
    view: &View,
    topic: &Topic,
    bridge: Duration,
    refiltered: bool,
) -> Option<Timestamp> {
    if bridge.is_zero() {
        return None;
    }
    let bridge = SignedDuration::try_from(bridge).ok()?;
    let whole = view.now.checked_add(bridge).ok()?;
    let lines = view.row.direct.as_ref().map(|direct| &direct.packets);
    let line = lines.and_then(|lines| lines.iter().find(|line| line.topic == topic.as_str()));
    let existing = match line {
        // It was fed directly, and SNS is about to begin.
        Some(Line { until: None, .. }) => Some(whole),
        Some(Line { until: Some(until), .. }) => Some(*until).filter(|until| *until > view.now),
        None => None,
    };
    // SNS may not have heard of the filter before when it is told of the next: what waits for one waits for both.
    let begins = is_new_to_sns(view, topic) || (refiltered && existing.is_some());
    if !begins {
        return existing;
    }
    // A bridge that has just begun is not begun again at each look; it is longer than SNS takes by that much.
    let begun = existing.filter(|until| whole.duration_since(*until) <= bridge / 16);
    begun.or(Some(whole))
}

/// Whether SNS is about to be told of the topic, or was told so a moment ago.
fn is_new_to_sns(view: &View, topic: &Topic) -> bool {
    if view.topics.get(topic) == Some(&Status::Pending) {
        return true;
    }
    let filter = view.subscription.as_ref().and_then(|found| found.attributes.get(FILTER_POLICY));
    let wanted = view.filters.get(topic).cloned().unwrap_or_default();
    !filter.is_some_and(|filter| policy::lets_through(filter, topic, &wanted))
}
