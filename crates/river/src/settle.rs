//! How a delivery ends: decided here, on plain values; done elsewhere.

use std::error::Error;
use std::time::Duration;

use event::packet::Problems;
use quarantine::Reason;

use crate::config::VISIBILITY_MOST;
use crate::handler::{Failure, Kind, Outcome};

/// Shortest pause before an event comes again: less would spin, and SQS counts in whole seconds.
const PAUSE_LEAST: Duration = Duration::from_secs(1);

/// When to stop trying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Receives of a message, after which it is quarantined.
    pub(crate) attempts_max: u32,
    /// Longest pause between two attempts.
    pub(crate) pause_max: Duration,
}

/// How a delivery ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Done with: it does not come again.
    Delete,
    /// It comes again after this time, in whole seconds.
    Retry(Duration),
    /// Into the dead-letter queue, then deleted.
    Quarantine(Reason),
    /// Others have it already: nothing to settle.
    Lost,
}

/// What was decided about a delivery, and how it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) settlement: Settlement,
    /// The `outcome` label of `rapids_river_messages_total`.
    pub(crate) label: &'static str,
    /// What failed, to be logged; nothing went wrong where empty.
    pub(crate) failure: Option<String>,
    /// What is wrong with the event, where it breaks the rules of the declaration.
    pub(crate) problems: Option<Problems>,
}

impl Verdict {
    fn quiet(settlement: Settlement, label: &'static str) -> Self {
        Self { settlement, label, failure: None, problems: None }
    }

    pub(crate) fn quarantine(kind: &'static str, text: impl Into<String>) -> Self {
        let settlement = Settlement::Quarantine(Reason { kind, text: text.into() });
        Self::quiet(settlement, kind)
    }

    /// Meant for the service, but not as it should be.
    pub(crate) fn invalid(problems: Problems) -> Self {
        let verdict = Self::quarantine("invalid", problems.to_string());
        Self { problems: Some(problems), ..verdict }
    }

    /// Meant for somebody else: let go.
    pub(crate) fn not_mine() -> Self {
        Self::quiet(Settlement::Delete, "ignored")
    }

    /// A ping, answered or not.
    pub(crate) fn pong(result: Result<(), Failure>, receives: u32, limits: Limits) -> Self {
        match result {
            Ok(()) => Self::quiet(Settlement::Delete, "pong"),
            Err(failure) => judge(Err(failure), receives, limits, fastrand::f64()),
        }
    }

    pub(crate) fn lost() -> Self {
        Self::quiet(Settlement::Lost, "lost")
    }
}

/// Decides how a delivery ends that was received `receives` times. `random` is uniform in 0..1.
pub(crate) fn judge(
    result: Result<Outcome, Failure>,
    receives: u32,
    limits: Limits,
    random: f64,
) -> Verdict {
    let exhausted = receives >= limits.attempts_max;
    match result {
        Ok(Outcome::Answered(_)) => Verdict::quiet(Settlement::Delete, "ok"),
        Ok(Outcome::Ignored) => Verdict::quiet(Settlement::Delete, "ignored"),
        Ok(Outcome::Duplicate) => Verdict::quiet(Settlement::Delete, "duplicate"),
        Ok(Outcome::RetryAfter(_)) if exhausted => {
            gave_up(receives, "the service asked for yet another retry")
        }
        Ok(Outcome::RetryAfter(after)) => {
            Verdict::quiet(Settlement::Retry(whole_seconds(after)), "retry")
        }
        Ok(Outcome::Poison(reason)) => Verdict::quarantine("poison", reason),
        Err(Failure(Kind::Final { kind, reason })) => Verdict::quarantine(kind, reason),
        Err(Failure(Kind::Retry(error))) => {
            let pause = backoff(receives, limits.pause_max, random);
            failed(error.as_ref(), receives, limits, pause)
        }
        Err(Failure(Kind::RetryAfter { error, after })) => {
            failed(error.as_ref(), receives, limits, whole_seconds(after))
        }
    }
}

fn failed(
    error: &(dyn Error + 'static),
    receives: u32,
    limits: Limits,
    pause: Duration,
) -> Verdict {
    let failure = chassis::explain(error);
    if receives >= limits.attempts_max {
        return gave_up(receives, &failure);
    }
    let verdict = Verdict::quiet(Settlement::Retry(pause), "failed");
    Verdict { failure: Some(failure), ..verdict }
}

fn gave_up(receives: u32, last: &str) -> Verdict {
    Verdict::quarantine("exhausted", format!("given up after {receives} attempts: {last}"))
}

/// Pause before the next attempt: exponential in the number of receives, with full jitter, so that what failed
/// together does not come again together.
pub(crate) fn backoff(receives: u32, pause_max: Duration, random: f64) -> Duration {
    let doublings = receives.saturating_sub(1).min(16);
    let ceiling = (PAUSE_LEAST * 2u32.pow(doublings)).min(pause_max);
    whole_seconds(ceiling.mul_f64(random))
}

/// SQS takes whole seconds, and no more than it has left of its 12 hours.
fn whole_seconds(pause: Duration) -> Duration {
    let pause = pause.min(VISIBILITY_MOST);
    let up = u64::from(pause.subsec_nanos() > 0);
    Duration::from_secs(pause.as_secs() + up).clamp(PAUSE_LEAST, VISIBILITY_MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { attempts_max: 3, pause_max: Duration::from_secs(60) };

    fn settled(result: Result<Outcome, Failure>, receives: u32) -> Settlement {
        judge(result, receives, LIMITS, 0.5).settlement
    }

    #[test]
    fn what_is_handled_or_not_ours_or_a_copy_is_deleted() {
        for outcome in [Outcome::done(), Outcome::Ignored, Outcome::Duplicate] {
            assert_eq!(settled(Ok(outcome), 99), Settlement::Delete);
        }
    }

    #[test]
    fn a_failure_is_retried_until_the_attempts_are_used_up() {
        let failure = || Err(Failure::retry("the table is gone"));
        assert!(matches!(settled(failure(), 2), Settlement::Retry(_)));
        let Settlement::Quarantine(reason) = settled(failure(), 3) else { panic!("not given up") };
        assert_eq!(reason.kind, "exhausted");
        assert_eq!(reason.text, "given up after 3 attempts: the table is gone");
        let later = Ok(Outcome::RetryAfter(Duration::from_secs(9)));
        assert!(matches!(settled(later, 3), Settlement::Quarantine(_)));
    }

    #[test]
    fn poison_is_quarantined_at_once_with_its_reason() {
        for result in [Ok(Outcome::Poison("x".into())), Err(Failure::poison("x"))] {
            let reason = Reason { kind: "poison", text: "x".into() };
            assert_eq!(settled(result, 1), Settlement::Quarantine(reason));
        }
    }

    #[test]
    fn a_failure_names_its_own_pause_and_is_given_up_all_the_same() {
        let failure = || Err(Failure::retry_after("closed until nine", Duration::from_secs(90)));
        assert_eq!(settled(failure(), 1), Settlement::Retry(Duration::from_secs(90)));
        assert!(matches!(settled(failure(), 3), Settlement::Quarantine(_)));
    }

    #[test]
    fn what_this_service_can_never_do_is_told_apart_from_poison() {
        let Settlement::Quarantine(reason) = settled(Err(Failure::permanent("no such shop")), 1)
        else {
            panic!("it would be retried")
        };
        assert_eq!((reason.kind, &*reason.text), ("permanent", "no such shop"));
    }

    #[test]
    fn a_wanted_pause_is_rounded_up_and_kept_within_what_sqs_takes() {
        let pause = |after| settled(Ok(Outcome::RetryAfter(after)), 1);
        let seconds = |s| Settlement::Retry(Duration::from_secs(s));
        assert_eq!(pause(Duration::ZERO), seconds(1));
        assert_eq!(pause(Duration::from_millis(1_200)), seconds(2));
        assert_eq!(pause(Duration::MAX), Settlement::Retry(VISIBILITY_MOST));
    }

    proptest! {
        #[test]
        fn a_pause_lies_between_a_second_and_its_ceiling(
            receives in 0u32..1_000, max_s in 1u64..4_000, random in 0.0..1.0f64,
        ) {
            let pause = backoff(receives, Duration::from_secs(max_s), random).as_secs();
            let ceiling = 1u64 << receives.saturating_sub(1).min(16);
            prop_assert!((1..=ceiling.min(max_s).max(1)).contains(&pause), "{}", pause);
        }
    }
}
