//! Places in an event: JSON pointers.

use std::borrow::Cow;

use serde_json::Value;

use crate::Event;

/// Where the payload is.
pub(super) const PAYLOAD: &str = "/payload";

/// The pointer for a place as its author writes it: from the top of the event with a leading slash, else from the
/// payload.
pub(super) fn absolute(at: &str) -> String {
    match at {
        "" => PAYLOAD.to_owned(),
        at if at.starts_with('/') => at.to_owned(),
        at => format!("/payload/{at}"),
    }
}

/// Something that says something: null and what is empty are as good as missing, `0` and `false` are not.
pub(super) fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Event {
    /// What is at a place in the event's JSON, by its pointer (RFC 6901); none where nothing is, or something empty.
    ///
    /// The fields that the kit fills in are there only where they are written: `/hops` of a root is missing, and so
    /// is `/synthetic` unless it is true. `/eventName` is not a place, whatever the event was read from.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<Cow<'_, Value>> {
        let (field, rest) = match pointer.strip_prefix('/')?.split_once('/') {
            Some((field, rest)) => (field, &pointer[pointer.len() - rest.len() - 1..]),
            None => (&pointer[1..], ""),
        };
        let text = |text: &str| Some(Cow::Owned(Value::from(text)));
        let found = match field {
            "payload" => self.payload.pointer(rest).map(Cow::Borrowed),
            "experiments" => within(&serde_json::to_value(&self.experiments).ok()?, rest),
            "producer" => within(&serde_json::to_value(self.producer.as_ref()?).ok()?, rest),
            field if !rest.is_empty() => self.extra.get(field)?.pointer(rest).map(Cow::Borrowed),
            "eventType" => text(&self.event_type),
            "eventDomain" => text(&self.event_domain),
            "eventId" => text(self.event_id.as_str()),
            "correlationId" => text(self.correlation_id.as_ref()?.as_str()),
            "causationId" => text(self.causation_id.as_ref()?.as_str()),
            "timestamp" => text(&format!("{:.3}", self.timestamp)),
            "traceparent" => text(self.traceparent.as_ref()?),
            "subject" => text(self.subject.as_ref()?),
            "schemaVersion" => Some(Cow::Owned(self.schema_version?.into())),
            "hops" => (self.hops > 0).then(|| Cow::Owned(self.hops.into())),
            "synthetic" => self.synthetic.then(|| Cow::Owned(true.into())),
            field => self.extra.get(&unescaped(field)).map(Cow::Borrowed),
        };
        found.filter(|value| !is_missing(value))
    }
}

fn within(value: &Value, rest: &str) -> Option<Cow<'static, Value>> {
    value.pointer(rest).cloned().map(Cow::Owned)
}

/// The name that a pointer's segment stands for.
pub(super) fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
