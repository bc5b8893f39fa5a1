//! An event in the making: what its author says, before the kit fills in the rest.

use jiff::Timestamp;
use serde_json::Value;

use crate::{Event, EventId, Producer};

/// Most events between a root and its latest descendant: a longer chain is a loop.
pub const MAX_HOPS: u32 = 32;

/// What a service says when it answers an event: a type, a payload, and the rule by which it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    event_type: String,
    payload: Value,
    rule: String,
    distinguishing: String,
    cause: Option<(EventId, u32)>,
}

/// Who answers, and when.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The emitting process.
    pub producer: &'a Producer,
    /// Business domain of the emitter.
    pub domain: &'a str,
    /// Time of the answer.
    pub at: Timestamp,
}

impl Draft {
    /// An answer made by `rule`: one rule makes one such event in a conversation, see [`Draft::distinct`].
    #[must_use]
    pub fn new(event_type: impl Into<String>, rule: impl Into<String>, payload: Value) -> Self {
        Self {
            event_type: event_type.into(),
            payload,
            rule: rule.into(),
            distinguishing: String::new(),
            cause: None,
        }
    }

    /// Tells apart several events that one rule makes in one conversation.
    #[must_use]
    pub fn distinct(mut self, by: impl Into<String>) -> Self {
        self.distinguishing = by.into();
        self
    }

    /// Names the event that it follows from, and how far that is from its root, where this is not whichever event is
    /// handled when it is made: what follows from several is then the same, whichever of them came last.
    #[must_use]
    pub fn caused_by(mut self, event: EventId, hops: u32) -> Self {
        self.cause = Some((event, hops));
        self
    }

    /// The id that the finished event will have in the conversation of `cause`.
    #[must_use]
    pub fn id(&self, service: &str, cause: &Event) -> EventId {
        EventId::derived(service, cause.correlation(), &self.rule, &self.distinguishing)
    }

    /// The finished event, caused by `cause`. The same draft, service and conversation give the same id.
    #[must_use]
    pub fn answer(self, cause: &Event, origin: Origin<'_>) -> Event {
        let (caused_by, hops) =
            self.cause.clone().unwrap_or_else(|| (cause.event_id.clone(), cause.hops));
        Event {
            event_id: self.id(&origin.producer.service, cause),
            event_type: self.event_type,
            event_domain: origin.domain.to_owned(),
            payload: self.payload,
            timestamp: origin.at,
            correlation_id: Some(cause.correlation().clone()),
            causation_id: Some(caused_by),
            subject: cause.subject.clone(),
            hops: hops.saturating_add(1),
            schema_version: None,
            producer: Some(origin.producer.clone()),
            traceparent: cause.traceparent.clone(),
            synthetic: cause.synthetic,
            experiments: cause.experiments.clone(),
            extra: serde_json::Map::new(),
        }
    }
}

impl Event {
    /// An event that nothing caused.
    #[must_use]
    pub fn root(
        event_type: impl Into<String>,
        domain: impl Into<String>,
        payload: Value,
        at: Timestamp,
    ) -> Self {
        Self {
            event_type: event_type.into(),
            event_domain: domain.into(),
            payload,
            timestamp: at,
            event_id: EventId::root(at),
            correlation_id: None,
            causation_id: None,
            subject: None,
            hops: 0,
            schema_version: None,
            producer: None,
            traceparent: None,
            synthetic: false,
            experiments: std::collections::BTreeMap::new(),
            extra: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_carries_conversation_cause_and_marks() {
        let at = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        let mut root = Event::root("ViewPage", "web", json!({"name": "Sally"}), at);
        root.synthetic = true;
        root.subject = Some("sally".into());
        root.experiments.insert("ranking".into(), "bold".into());
        let producer =
            Producer { service: "location".into(), version: "1".into(), instance: "a".into() };
        let origin = Origin { producer: &producer, domain: "location", at };
        let draft = Draft::new("OfferProposed", "baseline", json!({})).distinct("weekend");
        let first = draft.clone().answer(&root, origin);
        let second = Draft::new("Next", "r", json!({})).answer(&first, origin);
        assert_eq!(first.event_id, draft.answer(&root, origin).event_id);
        assert_eq!(second.correlation_id.as_ref(), Some(&root.event_id));
        assert_eq!(second.causation_id.as_ref(), Some(&first.event_id));
        assert_eq!((first.hops, second.hops), (1, 2));
        assert!(second.synthetic);
        assert_eq!(second.subject.as_deref(), Some("sally"));
        assert_eq!(second.experiments, root.experiments);
    }
}
