//! What a service wants to hear, declared once and used three times: to check an event in the process, to derive
//! the SNS filter of its river, and as its entry in the catalogue.
//!
//! A declaration has rules of three kinds. **Preconditions** (`demand_…`, `reject_…`) say which events are meant:
//! one that does not match is somebody else's, silently. **Validations** (`require_…`, `forbid_…`) say what a meant
//! event must look like: what is wrong with it is reported, all of it at once. **Interests** say what is read
//! besides; they check nothing, and tell who would miss a field.
//!
//! A place in an event is a JSON pointer from its top, such as `/eventDomain` or `/payload/location/city`; without
//! the leading slash it is a path into the payload: `location/city`. Null, `""`, `[]` and `{}` are as good as
//! missing; `0` and `false` are values.

mod filter;
mod place;
mod problem;
mod rule;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use filter::{ARM_ATTRIBUTE, AttributeFilter, SYNTHETIC_ATTRIBUTE, arm};
pub use problem::{Problem, Problems};
pub use rule::{Check, Parser, Rule};

use crate::Event;
use crate::names::{InvalidName, Topic};
use place::absolute;

/// A declaration: one event type, and the rules for events of it.
///
/// ```
/// use event::packet::Packet;
///
/// let packet = Packet::of("ViewPage")
///     .reject_value("/synthetic", true)       // not for probes
///     .require_key("name")                    // the payload's
///     .require_any("channel", ["web", "app"])
///     .interested_in("location/city");
/// # assert_eq!(packet.topic(), "ViewPage");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    topic: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    #[serde(skip)]
    own: bool,
}

/// What an event is to a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Meant, and as it should be.
    Mine,
    /// Not meant: of another type, or a precondition does not hold.
    NotMine,
    /// Meant, but not as it should be.
    Invalid(Problems),
}

impl Packet {
    /// Events of this type. `*` is every type, `system.*` is every type that begins with `system.`
    #[must_use]
    pub fn of(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), rules: Vec::new(), own: false }
    }

    /// Events of this type that the service sends to its own river, such as alarms: nobody else sends them, and the
    /// river is not subscribed to them.
    #[must_use]
    pub fn own(topic: impl Into<String>) -> Self {
        Self { own: true, ..Self::of(topic) }
    }

    /// A declaration as the catalogue has it.
    #[must_use]
    pub fn with_rules(topic: impl Into<String>, rules: Vec<Rule>) -> Self {
        Self { rules, ..Self::of(topic) }
    }

    /// Precondition: there is something at this place.
    #[must_use]
    pub fn demand_key(self, at: &str) -> Self {
        self.with(at, Check::DemandKey)
    }

    /// Precondition: this value is at this place.
    #[must_use]
    pub fn demand_value(self, at: &str, value: impl Into<Value>) -> Self {
        self.with(at, Check::DemandValue { value: value.into() })
    }

    /// Precondition: one of these values is at this place.
    #[must_use]
    pub fn demand_any<V: Into<Value>>(self, at: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.with(at, Check::DemandAny { values: all(values) })
    }

    /// Precondition: a text that begins so is at this place.
    #[must_use]
    pub fn demand_prefix(self, at: &str, prefix: impl Into<String>) -> Self {
        self.with(at, Check::DemandPrefix { prefix: prefix.into() })
    }

    /// Precondition: there is nothing at this place.
    #[must_use]
    pub fn reject_key(self, at: &str) -> Self {
        self.with(at, Check::RejectKey)
    }

    /// Precondition: something else than this value, or nothing, is at this place.
    #[must_use]
    pub fn reject_value(self, at: &str, value: impl Into<Value>) -> Self {
        self.with(at, Check::RejectValue { value: value.into() })
    }

    /// Validation: there is something at this place.
    #[must_use]
    pub fn require_key(self, at: &str) -> Self {
        self.with(at, Check::RequireKey)
    }

    /// Validation: this value is at this place.
    #[must_use]
    pub fn require_value(self, at: &str, value: impl Into<Value>) -> Self {
        self.with(at, Check::RequireValue { value: value.into() })
    }

    /// Validation: one of these values is at this place.
    #[must_use]
    pub fn require_any<V: Into<Value>>(
        self,
        at: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.with(at, Check::RequireAny { values: all(values) })
    }

    /// Validation: a list with all of these values, and perhaps others, is at this place.
    #[must_use]
    pub fn require_all<V: Into<Value>>(
        self,
        at: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.with(at, Check::RequireAll { values: all(values) })
    }

    /// Validation: a list is at this place, and each of its elements keeps the rules that `items` declares. Their
    /// places are paths into the element; the empty path is the element itself.
    #[must_use]
    pub fn require_array(self, at: &str, items: impl FnOnce(Self) -> Self) -> Self {
        let element = items(Self::of(""));
        let items = element.rules.into_iter().map(Rule::of_element).collect();
        self.with(at, Check::RequireArray { items })
    }

    /// Validation: what is at this place can be read as a `T`. The empty path is the whole payload. The catalogue
    /// has the type's name alone.
    #[must_use]
    pub fn require_parsed<T: DeserializeOwned>(self, at: &str) -> Self {
        self.with(at, Check::RequireParsed { r#type: Parser::of::<T>() })
    }

    /// Validation: there is nothing at this place.
    #[must_use]
    pub fn forbid_key(self, at: &str) -> Self {
        self.with(at, Check::ForbidKey)
    }

    /// Interest: what is at this place is read, if there is something.
    #[must_use]
    pub fn interested_in(self, at: &str) -> Self {
        self.with(at, Check::InterestedIn)
    }

    /// The event type, or the pattern of event types.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The rules, in the order in which they were declared.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether its events come from the service itself, see [`Packet::own`].
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// What of the preconditions SNS can check for the river, see [`AttributeFilter`].
    #[must_use]
    pub fn filter(&self) -> AttributeFilter {
        AttributeFilter::of(&self.rules)
    }

    /// Checks the topic's name.
    ///
    /// # Errors
    /// [`InvalidName`], with the rule.
    pub fn validate(&self) -> Result<(), InvalidName> {
        Topic::parse(&self.topic).map(drop)
    }

    /// What the event is to the service, by this declaration alone.
    #[must_use]
    pub fn check(&self, event: &Event) -> Verdict {
        if !Topic::covers(&self.topic, &event.event_type) {
            return Verdict::NotMine;
        }
        let look_up = |at: &str| event.at(at);
        let broken = |rule: &&Rule| !rule.problems(&look_up).is_empty();
        let (preconditions, others): (Vec<_>, Vec<_>) =
            self.rules.iter().partition(|rule| rule.is_precondition());
        if preconditions.iter().any(broken) {
            return Verdict::NotMine;
        }
        let problems: Vec<_> = others.iter().flat_map(|rule| rule.problems(&look_up)).collect();
        if problems.is_empty() { Verdict::Mine } else { Verdict::Invalid(Problems(problems)) }
    }

    fn with(mut self, at: &str, check: Check) -> Self {
        self.rules.push(Rule { at: absolute(at), check });
        self
    }
}

/// What an event is to a service with these declarations: its own if it is by one of them; what is wrong with it is
/// told of the first that means it.
#[must_use]
pub fn check(packets: &[Packet], event: &Event) -> Verdict {
    let mut invalid = Verdict::NotMine;
    for packet in packets {
        match packet.check(event) {
            Verdict::Mine => return Verdict::Mine,
            verdict if invalid == Verdict::NotMine => invalid = verdict,
            _ => {}
        }
    }
    invalid
}

fn all<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Vec<Value> {
    values.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests;
