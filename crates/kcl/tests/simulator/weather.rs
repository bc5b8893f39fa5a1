//! What can befall a request, and when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::history::Who;
use crate::scenario::Knobs;

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Served,
    Throttled,
    /// Answered with a 500, nothing done.
    Failed,
    /// A read is told that its iterator expired; what is no read is served.
    Expired,
    /// It never arrives, and the connection breaks.
    LostRequest,
    /// It is served, and the connection breaks before the reply.
    LostReply,
}

impl Fate {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::LostRequest => "lost",
            Self::LostReply => "reply lost",
        }
    }
}

/// What the dice say of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forecast {
    pub(crate) fate: Fate,
    /// On its way there.
    pub(crate) before: Duration,
    /// On the way back.
    pub(crate) after: Duration,
}

/// A time in which requests do not come through.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Whose requests; everyone's if `None`.
    who: Option<Who>,
    /// Prefix of the target: which service; any if empty.
    service: &'static str,
    until_ms: u64,
}

/// The network between the workers and the services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Weather {
    knobs: Knobs,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calm: bool,
    cuts: Vec<Cut>,
}

impl Weather {
    pub(crate) fn new(knobs: Knobs) -> Self {
        Self { knobs, state: Arc::default() }
    }

    /// No more faults, and nothing is slow: a lease may be lost to that.
    pub(crate) fn calm_down(&self) {
        *self.lock() = State { calm: true, cuts: Vec::new() };
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.lock().calm
    }

    pub(crate) fn cut(&self, who: Option<Who>, service: &'static str, until_ms: u64) {
        self.lock().cuts.push(Cut { who, service, until_ms });
    }

    /// How long a request that would arrive now does not, if so.
    pub(crate) fn cut_off(&self, who: Who, target: &str, now_ms: u64) -> Option<Duration> {
        let state = self.lock();
        let meets = |cut: &&Cut| {
            cut.who.is_none_or(|cut| cut == who)
                && target.starts_with(cut.service)
                && now_ms < cut.until_ms
        };
        let until = state.cuts.iter().filter(meets).map(|cut| cut.until_ms).max()?;
        Some(Duration::from_millis(until - now_ms))
    }

    /// Draws what befalls a request.
    pub(crate) fn forecast(&self, dice: &mut fastrand::Rng) -> Forecast {
        let knobs = &self.knobs;
        let chance = dice.u32(0..1000);
        let slow = dice.u32(0..1000) < knobs.slow_network && !self.is_calm();
        let most = if slow { 1_500 } else { 12 };
        let mut way = || Duration::from_millis(dice.u64(1..=most));
        let (before, after) = (way(), way());
        if self.is_calm() {
            return Forecast { fate: Fate::Served, before, after };
        }
        let odds = [
            (knobs.throttled, Fate::Throttled),
            (knobs.failed, Fate::Failed),
            (knobs.expired, Fate::Expired),
            (knobs.lost_requests, Fate::LostRequest),
            (knobs.lost_replies, Fate::LostReply),
        ];
        let mut sum = 0;
        let fate = odds.into_iter().find(|(odds, _)| {
            sum += odds;
            chance < sum
        });
        Forecast { fate: fate.map_or(Fate::Served, |(_, fate)| fate), before, after }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
