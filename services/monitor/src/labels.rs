//! What events say, as labels.

use chassis::LabelValues;
use event::Event;

/// Offerers, bases, segments, tiers.
const FEW: usize = 30;
/// Versions and arms come and go, and a monitor runs for long.
const MANY: usize = 200;
/// Rivers of a stage: more than the filter policies that an SNS topic may have.
const RIVERS_MAX: usize = 300;

pub(crate) fn few() -> LabelValues {
    LabelValues::new(FEW)
}

pub(crate) fn many() -> LabelValues {
    LabelValues::new(MANY)
}

pub(crate) fn rivers() -> LabelValues {
    LabelValues::new(RIVERS_MAX)
}

/// `true` or `false`.
pub(crate) fn synthetic(event: &Event) -> &'static str {
    if event.synthetic { "true" } else { "false" }
}

/// The arms that an event is in, `experiment:arm`; empty outside of experiments.
pub(crate) fn arm(event: &Event) -> String {
    let arms = event.experiments.iter().map(|(name, arm)| event::packet::arm(name, arm));
    arms.collect::<Vec<_>>().join(",")
}
