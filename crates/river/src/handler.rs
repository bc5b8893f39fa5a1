//! What the author of a service writes.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use chassis::Validate;
use event::{Advert, Draft, Event, Packet};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::Context;

/// A service on a river: declares what it hears and says, and answers one event at a time.
///
/// `handle` may be called for one event more than once, at the same time in two processes, and may be cancelled
/// wherever it waits. What it writes has to bear that: ids of drafts are derived, facts only grow, an inbox
/// remembers.
pub trait Handler: Sized + Send + Sync + 'static {
    /// The river it drinks from, unless the configuration names another.
    const RIVER: &'static str;
    /// Event types that it puts onto the rapids; they are advertised.
    const EMITS: &'static [&'static str];
    /// Business domain of what it emits.
    const DOMAIN: &'static str;
    /// Its own settings, beside those of the kit; [`crate::NoConfig`] for none.
    type Config: DeserializeOwned + Serialize + Default + Validate + Send + 'static;

    /// What it wants to hear, an event type each: its river is subscribed to them, SNS checks what it can of their
    /// preconditions, and only events that keep all rules come to [`Handler::handle`]. One that is not meant is
    /// let go and counted; one that is wrong goes to the dead-letter queue with everything that is wrong with it.
    fn listens_to() -> Vec<Packet>;

    /// What the catalogue is told of what it emits, where services are configured to advertise: the names alone, unless
    /// it says more, such as a schema. One for each of [`Handler::EMITS`]; what is missing is told by its name.
    #[must_use]
    fn adverts() -> Vec<Advert> {
        Vec::new()
    }

    /// Opens ponds, registers metrics, reads rules. Spawns nothing.
    ///
    /// # Errors
    /// Whatever makes a start pointless.
    fn build(
        config: Self::Config,
        context: &Context,
    ) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Decides what an event comes to that keeps the rules of [`Handler::listens_to`].
    ///
    /// # Errors
    /// A [`Failure`] for now, after which the event comes again, or for good.
    fn handle(&self, event: &Event) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// The answers to `cause` are on the rapids: the moment to write that down. Then the event is deleted.
    ///
    /// # Errors
    /// A [`Failure`], after which the event comes again.
    fn answered(
        &self,
        cause: &Event,
        answers: &[Event],
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (cause, answers);
        async { Ok(()) }
    }

    /// Whether the service could do its work now: its rules are loaded, its pond answers. Asked before each
    /// heartbeat, which tells the result; more than five seconds are a failure.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn self_check(&self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Work of its own beside handling events, from start to `stop`. It must not be the only one who knows of
    /// something: a process can end at any time.
    fn background(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send {
        let _ = stop;
        async {}
    }
}

/// What an event came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Handled; these go onto the rapids, if any.
    Answered(Vec<Draft>),
    /// Not meant for this service.
    Ignored,
    /// A copy of an event that was handled before.
    Duplicate,
    /// Too early: to be handled again after this time, in whole seconds from 1 s to 11 h.
    RetryAfter(Duration),
    /// Can never be handled, and why: goes to the dead-letter queue.
    Poison(String),
}

impl Outcome {
    /// Handled, with nothing to say.
    #[must_use]
    pub fn done() -> Self {
        Self::Answered(Vec::new())
    }

    /// Handled, with one answer.
    #[must_use]
    pub fn answer(draft: Draft) -> Self {
        Self::Answered(vec![draft])
    }
}

/// What kept a handler from an outcome.
///
/// There are three classes, by what helps:
///
/// - *retry*: time. Every error becomes one by `?`; the event comes again, later each time, as often as `attempts_max`
///   says. [`Failure::retry_after`] names the pause, as the one who refused it did.
/// - *permanent*: a person. Nothing is wrong with the event, but this service cannot handle it, as it is set up, ever:
///   [`Failure::permanent`], quarantined at once, to be sent back when that has changed.
/// - *poison*: nothing. The event itself is wrong: [`Failure::poison`] and [`payload`], quarantined at once.
#[derive(Debug)]
pub struct Failure(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    /// May work later.
    Retry(Box<dyn Error + Send + Sync>),
    /// May work after this time, and not before.
    RetryAfter { error: Box<dyn Error + Send + Sync>, after: Duration },
    /// Can never work: the kind in one word, and the reason.
    Final { kind: &'static str, reason: String },
}

impl Failure {
    /// The event can never be handled, and why.
    #[must_use]
    pub fn poison(reason: impl Into<String>) -> Self {
        Self::last("poison", reason)
    }

    /// Not this time, and why.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self(Kind::Retry(reason.into().into()))
    }

    /// Not this time, and why; after this time, in whole seconds from 1 s to 11 h. It still counts as an attempt.
    #[must_use]
    pub fn retry_after(reason: impl Into<String>, after: Duration) -> Self {
        Self(Kind::RetryAfter { error: reason.into().into(), after })
    }

    /// Not by this service as it is now, however often it tries, and why: a customer that is not there, a right that
    /// it does not have.
    #[must_use]
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::last("permanent", reason)
    }

    pub(crate) fn last(kind: &'static str, reason: impl Into<String>) -> Self {
        Self(Kind::Final { kind, reason: reason.into() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Retry(error) | Kind::RetryAfter { error, .. } => {
                f.write_str(&chassis::explain(error.as_ref()))
            }
            Kind::Final { reason, .. } => f.write_str(reason),
        }
    }
}

// `Failure` is no `Error` itself, or this would meet the reflexive `From`.
impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Kind::Retry(Box::new(error)))
    }
}

/// Reads the payload of an event. One that is left out, or null, is read as an empty object.
///
/// # Errors
/// A final [`Failure`] that names the field: what is written wrong once is so at every retry.
pub fn payload<T: DeserializeOwned>(event: &Event) -> Result<T, Failure> {
    let empty = Value::Object(Map::new());
    let payload = if event.payload.is_null() { &empty } else { &event.payload };
    T::deserialize(payload).map_err(|error| {
        Failure::poison(format!("the payload of {} cannot be used: {error}", event.event_type))
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct View {
        name: Option<String>,
    }

    fn view(payload: Value) -> Result<View, Failure> {
        super::payload(&Event::root("ViewPage", "web", payload, Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn a_payload_that_is_left_out_is_empty() {
        assert_eq!(view(Value::Null).unwrap().name, None);
        assert_eq!(view(json!({"name": "Sally"})).unwrap().name.as_deref(), Some("Sally"));
    }

    #[test]
    fn a_payload_that_cannot_be_used_is_final_and_says_why() {
        let Kind::Final { kind, reason } = view(json!({"name": 7})).unwrap_err().0 else {
            panic!("it would be retried");
        };
        assert_eq!(kind, "poison");
        assert!(reason.contains("ViewPage") && reason.contains("integer `7`"), "{reason}");
    }

    #[test]
    fn an_error_that_comes_by_a_question_mark_is_retried() {
        fn failing() -> Result<(), Failure> {
            Err(std::io::Error::other("the table is gone"))?;
            Ok(())
        }
        assert!(matches!(failing().unwrap_err().0, Kind::Retry(_)));
    }
}
