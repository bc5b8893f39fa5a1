//! The catalogue as an AsyncAPI 3.0 document (<https://www.asyncapi.com/docs/reference/specification/v3.0.0>).
//!
//! A channel for each topic, whose address is the event type; a message, which is the envelope with the payload that
//! the topic's schema describes; an operation for each river and each topic that it receives.

mod yaml;

use std::collections::BTreeMap;

use event::names::{River, Stage};
use event::{Event, EventId};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(super) use self::yaml::yaml;
use super::report::meet;
use super::rows::Topic;
use crate::watch::rows::Subscription;

/// The dialect of all schemas, written as AsyncAPI names those that it does not know itself.
const DIALECT: &str = "application/schema+json;version=draft-2020-12";
/// The name of the envelope among the schemas.
const ENVELOPE: &str = "Event";
/// The name of this program where examples need an emitter.
const EMITTER: &str = "catalogue";

/// The document, the same for the same rows.
pub(super) fn document(stage: &Stage, topics: &[Topic], subscriptions: &[Subscription]) -> Value {
    let mut keys = Keys::default();
    let envelope =
        serde_json::from_str(include_str!("../../../crates/event/schema/event.schema.json"));
    let (mut channels, mut messages) = (Map::new(), Map::new());
    let mut schemas = Map::from_iter([(
        keys.of(ENVELOPE),
        schema(envelope.unwrap_or_default(), &format!("#/components/schemas/{ENVELOPE}/schema")),
    )]);
    let (mut names, mut operations) = (Keys::default(), Map::new());
    for topic in topics {
        let key = keys.of(&topic.name);
        if let Some(payload) = &topic.entry.schema {
            let home = format!("#/components/schemas/{key}/schema");
            schemas.insert(key.clone(), schema(payload.clone(), &home));
        }
        messages.insert(key.clone(), message(topic, &key));
        channels.insert(key.clone(), channel(topic, &key));
        for row in subscriptions.iter().filter(|row| meet(&row.topic, &topic.name)) {
            let name = names.of(&format!("{}.{key}", row.river));
            operations.insert(name, operation(stage, row, topic, &key));
        }
    }
    let latest = |topic: &Topic| topic.schema_at.clone().max(topic.advertised_at.clone());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("Topics of stage {stage}"),
            // Whatever was changed last.
            "version": topics.iter().filter_map(latest).max().unwrap_or_else(|| "0".to_owned()),
            "description": format!(
                "Events on the Kinesis stream {}, which reach each river (an SQS queue) that is subscribed to them.",
                stage.rapids()
            ),
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

/// Keys that a document takes, one for each name.
#[derive(Debug, Default)]
struct Keys(BTreeMap<String, usize>);

impl Keys {
    /// Of the letters that keys may have: `^[\w\d\.\-_]+$`; what was taken before gets a number.
    fn of(&mut self, name: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let key: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
        let mut candidate = key.clone();
        while self.0.contains_key(&candidate) {
            let taken = self.0.entry(key.clone()).or_default();
            *taken += 1;
            candidate = format!("{key}.{taken}");
        }
        self.0.insert(candidate.clone(), 1);
        candidate
    }
}

fn channel(topic: &Topic, key: &str) -> Value {
    let mut channel = json!({
        "address": topic.name,
        "messages": {key: {"$ref": format!("#/components/messages/{key}")}},
    });
    say(&mut channel, "description", topic.entry.description.as_deref());
    say(&mut channel, "x-owner", topic.entry.owner.as_deref());
    say(&mut channel, "x-advertised-at", topic.advertised_at.as_deref());
    channel
}

fn message(topic: &Topic, key: &str) -> Value {
    let payload = match topic.entry.schema {
        Some(_) => json!({"$ref": format!("#/components/schemas/{key}/schema")}),
        None => json!({}),
    };
    let event_type = match topic.name.strip_suffix('*') {
        Some(_) => json!({"type": "string"}),
        None => json!({"const": topic.name}),
    };
    let whole = json!({
        "allOf": [
            {"$ref": format!("#/components/schemas/{ENVELOPE}/schema")},
            {"required": ["payload"], "properties": {"eventType": event_type, "payload": payload}},
        ],
    });
    let mut message = json!({
        "name": topic.name,
        "contentType": "application/json",
        "payload": {"schemaFormat": DIALECT, "schema": whole},
    });
    say(&mut message, "summary", topic.entry.description.as_deref());
    say(&mut message, "x-owner", topic.entry.owner.as_deref());
    if let Some(example) = example(topic) {
        message["examples"] = json!([{"name": "example", "payload": example}]);
    }
    message
}

/// The example in an envelope, of the time at which the topic was advertised.
fn example(topic: &Topic) -> Option<Value> {
    let payload = topic.entry.example.clone()?;
    let at = topic.advertised_at.as_deref().and_then(|at| at.parse().ok());
    let event_type = topic.name.trim_end_matches('*');
    let mut event = Event::root(event_type, EMITTER, payload, at.unwrap_or(Timestamp::UNIX_EPOCH));
    // The same each time.
    event.event_id = EventId::derived(EMITTER, &EventId::from(topic.name.as_str()), "example", "");
    serde_json::from_str(&event.to_json()).ok()
}

fn operation(stage: &Stage, row: &Subscription, topic: &Topic, key: &str) -> Value {
    let mut operation = json!({
        "action": "receive",
        "channel": {"$ref": format!("#/channels/{key}")},
        "summary": format!("River {} receives {}", row.river, topic.name),
        "messages": [{"$ref": format!("#/channels/{key}/messages/{key}")}],
        "x-river": row.river,
        "x-topic": row.topic,
        "x-status": row.status,
    });
    let queue = River::parse(&row.river, stage).ok().map(|river| river.queue());
    say(&mut operation, "x-queue", queue.as_deref());
    if !row.rules.is_empty() {
        operation["x-rules"] = json!(row.rules);
    }
    operation
}

fn say(object: &mut Value, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        object[name] = text.into();
    }
}

/// A schema at its place in the document. References point to places of a schema by itself, so they are moved there.
fn schema(mut schema: Value, home: &str) -> Value {
    rebase(&mut schema, home);
    if let Some(keywords) = schema.as_object_mut() {
        // References would be taken for ones within it.
        keywords.remove("$id");
    }
    json!({"schemaFormat": DIALECT, "schema": schema})
}

fn rebase(schema: &mut Value, home: &str) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(|value| rebase(value, home)),
        Value::Object(map) => {
            for (name, value) in map {
                match (name.as_str(), value) {
                    // Values, which are no schemas whatever they look like.
                    ("const" | "enum" | "default" | "examples", _) => {}
                    ("$ref", Value::String(target)) => {
                        if let Some(pointer) = target.strip_prefix('#') {
                            *target = format!("{home}{pointer}");
                        }
                    }
                    (_, value) => rebase(value, home),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use event::catalogue::Entry;

    use super::*;

    fn topic(name: &str) -> Topic {
        let schema = json!({
            "$id": "urn:a", "properties": {"a": {"$ref": "#/$defs/text"}, "b": {"const": {"$ref": "#"}}},
            "$defs": {"text": {"type": "string"}},
        });
        let entry = Entry {
            schema: Some(schema),
            description: Some("Somebody looks.".into()),
            owner: Some("web".into()),
            example: Some(json!({"a": "x"})),
        };
        let advertised_at = Some("2026-11-23T20:00:00Z".to_owned());
        Topic { name: name.into(), entry, advertised_at, ..Topic::default() }
    }

    fn row(river: &str, topic: &str) -> Subscription {
        let (river, topic, status) = (river.into(), topic.into(), "active".into());
        Subscription { river, topic, status, reason: None, rules: Vec::new() }
    }

    #[test]
    fn a_topic_is_a_channel_with_a_message_and_each_river_an_operation() {
        let stage = Stage::parse("dev").unwrap();
        let document =
            document(&stage, &[topic("ViewPage")], &[row("r1", "View*"), row("r2", "Other")]);
        let channel = &document["channels"]["ViewPage"];
        assert_eq!(channel["address"], "ViewPage");
        assert_eq!(channel["x-owner"], "web");
        let message = &document["components"]["messages"]["ViewPage"];
        assert_eq!(message["examples"][0]["payload"]["payload"], json!({"a": "x"}));
        assert_eq!(message["examples"][0]["payload"]["timestamp"], "2026-11-23T20:00:00.000Z");
        let schema = &document["components"]["schemas"]["ViewPage"]["schema"];
        assert_eq!(
            schema["properties"]["a"]["$ref"],
            "#/components/schemas/ViewPage/schema/$defs/text"
        );
        assert_eq!(schema["properties"]["b"]["const"]["$ref"], "#");
        assert!(schema.get("$id").is_none());
        let operations = document["operations"].as_object().unwrap();
        assert_eq!(operations.keys().collect::<Vec<_>>(), ["r1.ViewPage"]);
        assert_eq!(operations["r1.ViewPage"]["x-queue"], "r1-dev");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let stage = Stage::parse("dev").unwrap();
        let topics = ["Offer*", "Offer/", "Event", "Größe"].map(topic);
        let document = document(&stage, &topics, &[row("r1", "*")]);
        let mut waiting = vec![&document];
        let mut count = 0;
        while let Some(value) = waiting.pop() {
            if let Some(Value::String(target)) = value.get("$ref")
                && target != "#"
            {
                assert!(document.pointer(&target[1..]).is_some(), "{target}");
                count += 1;
            }
            waiting.extend(value.as_array().into_iter().flatten());
            waiting.extend(value.as_object().into_iter().flat_map(Map::values));
        }
        assert_eq!(
            count,
            4 * 6,
            "a channel's message, two of an operation, two of a payload, one of a schema"
        );
        assert_eq!(document["channels"].as_object().unwrap().len(), 4);
        assert_eq!(document["info"]["version"], "2026-11-23T20:00:00Z");
    }
}
