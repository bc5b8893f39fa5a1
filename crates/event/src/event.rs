//! The event in full, for those that handle or make one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EventId, Malformed};

/// Longest partition key of Kinesis, in characters
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html>).
const PARTITION_KEY_MAX: usize = 256;

/// An event on the rapids, as JSON. Fields that this version does not know are kept in `extra`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Wire")]
pub struct Event {
    /// What happened. Written as `eventType`; `eventName` is understood as well.
    pub event_type: String,
    /// Business domain of the emitter.
    pub event_domain: String,
    /// What there is to say about it; an object by convention.
    pub payload: Value,
    /// When it happened, UTC, RFC 3339 with milliseconds.
    #[serde(with = "timestamp")]
    pub timestamp: Timestamp,
    /// Identity: two events with one id are copies of each other.
    pub event_id: EventId,
    /// Id of the conversation's first event; a root event may leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<EventId>,
    /// Id of the event that was handled when this one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
    /// Whom it is about: the customer or the session, by which the work of one is kept from delaying the others'.
    /// Copied along causation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How many events lie between this one and its root; 0 at the root.
    #[serde(skip_serializing_if = "is_zero")]
    pub hops: u32,
    /// Version of the payload's schema, 1 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<u32>,
    /// Who emitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<Producer>,
    /// W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// True for probes: no side effect outside the system may follow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// Experiment → arm, copied along causation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub experiments: BTreeMap<String, String>,
    /// Everything else that was in the JSON object.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Who emitted an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// Name of the service.
    pub service: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Which of its processes.
    #[serde(default)]
    pub instance: String,
}

impl Event {
    /// Reads an event from its JSON text.
    ///
    /// # Errors
    /// [`Malformed`], when it is not an event: retrying cannot help.
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(json).map_err(|error| Malformed::from_json(json, &error))
    }

    /// The event as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with string keys: nothing in an event can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The conversation that the event belongs to: its root's id, which is its own where none is named.
    #[must_use]
    pub fn correlation(&self) -> &EventId {
        self.correlation_id.as_ref().unwrap_or(&self.event_id)
    }

    /// Kinesis partition key: one conversation stays on one shard, and so in order.
    #[must_use]
    pub fn partition_key(&self) -> String {
        let key: String = self.correlation().as_str().chars().take(PARTITION_KEY_MAX).collect();
        if key.is_empty() { "-".to_owned() } else { key }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(hops: &u32) -> bool {
    *hops == 0
}

/// The event as others may write it: both names of the type, optional fields left out or null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    event_type: Option<String>,
    event_name: Option<String>,
    #[serde(default)]
    event_domain: Option<String>,
    #[serde(default)]
    payload: Value,
    #[serde(with = "timestamp")]
    timestamp: Timestamp,
    event_id: EventId,
    correlation_id: Option<EventId>,
    causation_id: Option<EventId>,
    subject: Option<Value>,
    hops: Option<u32>,
    schema_version: Option<u32>,
    producer: Option<Producer>,
    traceparent: Option<String>,
    synthetic: Option<bool>,
    experiments: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl TryFrom<Wire> for Event {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let named = |name: &String| !name.is_empty();
        // Empty is missing here too: else all who leave them empty would be in one conversation.
        let given = |id: &EventId| !id.as_str().is_empty();
        let event_type = wire.event_type.filter(named).or(wire.event_name.filter(named));
        if wire.event_id.as_str().is_empty() {
            return Err("eventId is empty");
        }
        let mut extra = wire.extra;
        let subject = match wire.subject {
            Some(Value::String(subject)) => Some(subject),
            // Others may mean something else by the word: it goes on as it came.
            Some(other) => {
                extra.insert("subject".to_owned(), other);
                None
            }
            None => None,
        };
        Ok(Self {
            event_type: event_type.ok_or("eventType is missing or empty")?,
            event_domain: wire.event_domain.unwrap_or_default(),
            payload: wire.payload,
            timestamp: wire.timestamp,
            event_id: wire.event_id,
            correlation_id: wire.correlation_id.filter(given),
            causation_id: wire.causation_id.filter(given),
            subject,
            hops: wire.hops.unwrap_or_default(),
            schema_version: wire.schema_version,
            producer: wire.producer,
            traceparent: wire.traceparent,
            synthetic: wire.synthetic.unwrap_or_default(),
            experiments: wire.experiments.unwrap_or_default(),
            extra,
        })
    }
}

/// RFC 3339 in UTC with exactly three decimals, as the original writes it.
mod timestamp {
    use std::borrow::Cow;

    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&format_args!("{at:.3}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        text.parse().map_err(|_| {
            de::Error::custom(format_args!("timestamp {text:?} is not an RFC 3339 time"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALLY: &str = r#"{"eventType":"ViewPage","eventDomain":"TheSource","payload":{"name":"Sally"},"timestamp":"2019-05-11T23:14:31.550Z","eventId":"7dcfc14f-a197-4769-b8e0-aff2c76b8bd7"}"#;

    #[test]
    fn the_originals_event_survives_a_round_trip_unchanged() {
        let event = Event::parse(SALLY.as_bytes()).unwrap();
        assert_eq!(event.to_json(), SALLY);
        assert_eq!(event.correlation(), &event.event_id);
    }

    #[test]
    fn a_busy_domain_is_spread_over_the_shards_and_a_conversation_is_not() {
        let view = || Event::root("ViewPage", "web", serde_json::json!({}), Timestamp::UNIX_EPOCH);
        let (one, other) = (view(), view());
        assert_ne!(one.partition_key(), other.partition_key());
        let correlation_id = Some(one.event_id.clone());
        let answer = Event { correlation_id, event_domain: "offers".to_owned(), ..view() };
        assert_eq!(answer.partition_key(), one.partition_key());
    }

    #[test]
    fn event_name_is_understood_and_event_type_wins() {
        let renamed = SALLY.replace("eventType", "eventName");
        assert_eq!(Event::parse(renamed.as_bytes()).unwrap().event_type, "ViewPage");
        let both = SALLY.replacen('{', r#"{"eventName":"Other","#, 1);
        assert_eq!(Event::parse(both.as_bytes()).unwrap().event_type, "ViewPage");
    }

    #[test]
    fn unknown_fields_are_kept() {
        let json = SALLY.replacen('{', r#"{"tenant":{"id":7},"#, 1);
        let event = Event::parse(json.as_bytes()).unwrap();
        let again: Value = serde_json::from_str(&event.to_json()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(&json).unwrap());
    }

    #[test]
    fn a_subject_is_a_text_and_anything_else_of_that_name_goes_on_unchanged() {
        let with = |subject: &str| SALLY.replacen('{', &format!(r#"{{"subject":{subject},"#), 1);
        let event = Event::parse(with(r#""sally""#).as_bytes()).unwrap();
        assert_eq!(event.subject.as_deref(), Some("sally"));
        for json in [with(r#""sally""#), with(r#"{"id":7}"#), with("7")] {
            let event = Event::parse(json.as_bytes()).unwrap();
            let again: Value = serde_json::from_str(&event.to_json()).unwrap();
            assert_eq!(again, serde_json::from_str::<Value>(&json).unwrap());
        }
        assert_eq!(Event::parse(with("null").as_bytes()).unwrap().subject, None);
    }

    #[test]
    fn null_is_as_good_as_left_out() {
        let json = SALLY.replacen('{', r#"{"correlationId":null,"hops":null,"synthetic":null,"#, 1);
        assert_eq!(Event::parse(json.as_bytes()).unwrap(), Event::parse(SALLY.as_bytes()).unwrap());
    }

    #[test]
    fn what_is_wrong_with_an_event_is_said() {
        let reason = |json: &str| Event::parse(json.as_bytes()).unwrap_err().to_string();
        assert!(reason("{").contains("not JSON"), "{}", reason("{"));
        let no_type = SALLY.replace("eventType", "kind");
        assert!(reason(&no_type).contains("eventType"), "{}", reason(&no_type));
        let no_time = SALLY.replace("2019-05-11T23:14:31.550Z", "yesterday");
        assert!(reason(&no_time).contains("yesterday"), "{}", reason(&no_time));
        let no_id = SALLY.replace("eventId", "id");
        assert!(reason(&no_id).contains("eventId"), "{}", reason(&no_id));
    }
}
