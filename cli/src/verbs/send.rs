//! `send`: one event onto the rapids.

use aws_sdk_kinesis::primitives::Blob;
use event::Event;
use event::names::Topic;
use jiff::Timestamp;
use serde_json::json;

use crate::client::Resource;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// Longest partition key of Kinesis, in characters
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>).
const PARTITION_KEY_MAX: usize = 256;

/// Publishes an event. The original is silent about it, so its id goes to standard error.
pub(super) async fn run(session: &Session, event: &str, source: &str, data: &str) -> Result<()> {
    let event = compose(event, source, data, session.now()?)?;
    put(session, &event).await?;
    if session.output.json {
        session.output.print(&json!({ "eventId": event.event_id }))?;
    } else {
        session.output.note(&format!("sent {}", event.event_id));
    }
    Ok(())
}

/// Puts an event onto the rapids. The partition key is the source, as in the original.
pub(crate) async fn put(session: &Session, event: &Event) -> anyhow::Result<()> {
    let rapids = &session.names.rapids;
    let put = session
        .aws
        .kinesis
        .put_record()
        .stream_name(rapids)
        .partition_key(&event.event_domain)
        .data(Blob::new(event.to_json()));
    put.send().await.map_err(|error| Resource::Rapids(rapids).refused(error))?;
    Ok(())
}

/// The event that the words of a command line describe.
fn compose(event: &str, source: &str, data: &str, at: Timestamp) -> Result<Event> {
    let topic = Topic::parse(event)?;
    if !(1..=PARTITION_KEY_MAX).contains(&source.chars().count()) {
        let refusal = format!(
            "source {source:?} is refused: it is the event's partition key, 1 to {PARTITION_KEY_MAX} \
             characters (Kinesis)"
        );
        return Err(Failure::Usage(refusal));
    }
    let payload = serde_json::from_str(data).map_err(|error| {
        Failure::Usage(format!(
            "data is not JSON: {error}; nothing was sent. Quote it as for a shell: '{{\"name\":\"Sally\"}}'"
        ))
    })?;
    Ok(Event::root(topic.as_str(), source, payload, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(event: &str, source: &str, data: &str) -> Result<Event> {
        compose(event, source, data, Timestamp::from_millisecond(1_557_616_471_550).unwrap())
    }

    #[test]
    fn an_event_has_the_fields_of_the_original_and_no_more() {
        let event = composed("ViewPage", "TheSource", r#"{"name":"Sally"}"#).unwrap();
        let start = r#"{"eventType":"ViewPage","eventDomain":"TheSource","payload":{"name":"Sally"},"timestamp":"2019-05-11T23:14:31.550Z","eventId":""#;
        let json = event.to_json();
        let id = json.strip_prefix(start).unwrap_or_else(|| panic!("{json}"));
        assert_eq!(id.len(), r#"7dcfc14f-a197-4769-b8e0-aff2c76b8bd7"}"#.len(), "{json}");
    }

    #[test]
    fn broken_data_is_refused_with_its_position() {
        let refusal = composed("ViewPage", "TheSource", r#"{"name":}"#).unwrap_err();
        assert!(matches!(refusal, Failure::Usage(_)));
        assert!(refusal.line().contains("line 1 column 9"), "{}", refusal.line());
        assert!(refusal.line().contains("nothing was sent"), "{}", refusal.line());
    }

    #[test]
    fn an_event_that_nobody_could_subscribe_to_is_refused() {
        for (event, source) in [("", "s"), ("View Page", "s"), ("ViewPage", "")] {
            assert!(composed(event, source, "{}").is_err(), "{event:?} {source:?}");
        }
        assert!(composed("ViewPage", &"x".repeat(257), "{}").is_err());
        assert!(composed("ViewPage", &"ü".repeat(256), "{}").is_ok());
    }
}
