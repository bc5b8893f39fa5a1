//! The vectors of `crates/event/schema/vectors`, which authors in other languages test against, held by this code.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use event::control::Command;
use event::names::{River, Stage};
use event::packet::{Packet, Problems, Verdict};
use event::{Draft, Event, EventId, Experiment, Header, MAX_HOPS, Malformed, Origin, Producer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// One of the files: what it is about, for people, and its vectors.
#[derive(Deserialize)]
struct File<V> {
    vectors: Vec<V>,
}

fn vectors<V: DeserializeOwned>(json: &str) -> Vec<V> {
    let File { vectors } = serde_json::from_str(json).unwrap();
    assert!(!vectors.is_empty());
    vectors
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    name: String,
    text: Option<String>,
    base64: Option<String>,
    routed: Value,
    event: Value,
    correlation: Option<String>,
    partition_key: Option<String>,
}

impl Record {
    fn bytes(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => BASE64_STANDARD.decode(base64).unwrap(),
            _ => panic!("{}: a record has a text, or bytes in base64", self.name),
        }
    }
}

fn refused(malformed: &Malformed) -> Value {
    json!({ "refused": malformed.kind() })
}

#[test]
fn every_record_is_read_and_routed_as_its_vector_says() {
    for record in vectors::<Record>(include_str!("../schema/vectors/events.json")) {
        let (bytes, name) = (record.bytes(), &record.name);
        let routed = Header::parse(&bytes).map(|header| json!(header.event_type));
        assert_eq!(routed.unwrap_or_else(|error| refused(&error)), record.routed, "{name}");
        let event = Event::parse(&bytes);
        let read = event.as_ref().map(|event| serde_json::from_str(&event.to_json()).unwrap());
        assert_eq!(read.unwrap_or_else(refused), record.event, "{name}");
        let correlation = event.as_ref().ok().map(|event| event.correlation().to_string());
        assert_eq!(correlation, record.correlation, "{name}");
        assert_eq!(event.ok().map(|event| event.partition_key()), record.partition_key, "{name}");
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for record in vectors::<Record>(include_str!("../schema/vectors/events.json")) {
        let Ok(event) = Event::parse(&record.bytes()) else { continue };
        let written = event.to_json();
        assert_eq!(Event::parse(written.as_bytes()).unwrap().to_json(), written, "{}", record.name);
    }
}

#[derive(Deserialize)]
struct Derived {
    name: String,
    service: String,
    correlation: EventId,
    rule: String,
    distinguishing: String,
    hashed: String,
    id: EventId,
}

#[test]
fn every_id_is_derived_as_its_vector_says() {
    for vector in vectors::<Derived>(include_str!("../schema/vectors/ids.json")) {
        let Derived { name, service, correlation, rule, distinguishing, hashed, id } = vector;
        assert_eq!(EventId::derived(&service, &correlation, &rule, &distinguishing), id, "{name}");
        // What the file says of how it is done is true as well.
        let parts = [&service, correlation.as_str(), &rule, &distinguishing];
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let part = |part: &str| format!("{:016x}{}", part.len(), hex(part.as_bytes()));
        assert_eq!(parts.map(part).concat(), hashed, "{name}");
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    name: String,
    cause: Value,
    draft: DraftOf,
    origin: OriginOf,
    event: Value,
    partition_key: String,
    #[serde(default = "yes")]
    publish: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DraftOf {
    event_type: String,
    rule: String,
    distinguishing: String,
    payload: Value,
}

#[derive(Deserialize)]
struct OriginOf {
    producer: Producer,
    domain: String,
    at: String,
}

fn yes() -> bool {
    true
}

#[test]
fn every_answer_is_made_as_its_vector_says() {
    for vector in vectors::<Answer>(include_str!("../schema/vectors/answers.json")) {
        let Answer { name, cause, draft, origin, event, partition_key, publish } = vector;
        let cause = Event::parse(cause.to_string().as_bytes()).unwrap();
        let OriginOf { producer, domain, at } = origin;
        let origin = Origin { producer: &producer, domain: &domain, at: at.parse().unwrap() };
        let draft = Draft::new(draft.event_type, draft.rule, draft.payload)
            .distinct(draft.distinguishing)
            .answer(&cause, origin);
        assert_eq!(serde_json::from_str::<Value>(&draft.to_json()).unwrap(), event, "{name}");
        assert_eq!(draft.partition_key(), partition_key, "{name}");
        assert_eq!(draft.hops <= MAX_HOPS, publish, "{name}");
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    name: String,
    text: String,
    command: Option<Value>,
    partition_key: Option<String>,
    refused: Option<String>,
}

/// The kinds of refusal are the control plane's, which runs these vectors too.
#[test]
fn every_command_is_read_or_refused_as_its_vector_says() {
    let dev = Stage::parse("dev").unwrap();
    for vector in vectors::<Told>(include_str!("../schema/vectors/commands.json")) {
        let Told { name, text, command, partition_key, refused } = vector;
        let read = Command::parse(text.as_bytes()).ok();
        assert_eq!(
            read.is_none(),
            matches!(refused.as_deref(), Some("malformed" | "unknown_command")),
            "{name}"
        );
        let valid = read.filter(|command| command.validate(&dev).is_ok());
        assert_eq!(valid.is_none(), refused.is_some(), "{name}");
        let key = valid.as_ref().map(|command| command.partition_key().to_owned());
        assert_eq!(key, partition_key, "{name}");
        assert_eq!(valid.map(|command| serde_json::to_value(command).unwrap()), command, "{name}");
    }
}

#[derive(Deserialize)]
struct Declared {
    name: String,
    packet: Packet,
    event: Value,
    verdict: String,
    #[serde(default)]
    problems: Vec<Value>,
    filter: Value,
}

#[test]
fn every_declaration_takes_what_its_vector_says() {
    for vector in vectors::<Declared>(include_str!("../schema/vectors/packets.json")) {
        let Declared { name, packet, event, verdict, problems, filter } = vector;
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let (word, told) = match packet.check(&event) {
            Verdict::Mine => ("mine", Vec::new()),
            Verdict::NotMine => ("not_mine", Vec::new()),
            Verdict::Invalid(Problems(told)) => ("invalid", told),
        };
        assert_eq!(word, verdict, "{name}");
        let told = told.iter().map(|told| json!({"pointer": told.pointer, "rule": told.rule}));
        assert_eq!(told.collect::<Vec<_>>(), problems, "{name}");
        assert_eq!(json!(packet.filter().0), filter, "{name}");
    }
}

#[derive(Deserialize)]
struct Assigned {
    experiment: Experiment,
    unit: String,
    arm: String,
}

#[test]
fn every_unit_is_in_the_arm_that_its_vector_says() {
    for vector in vectors::<Assigned>(include_str!("../schema/vectors/experiments.json")) {
        let Assigned { experiment, unit, arm } = vector;
        assert_eq!(experiment.assign(&unit), arm, "{} {unit}", experiment.name);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    stage: String,
    #[serde(default)]
    refused: bool,
    river: Option<String>,
    rapids: Option<String>,
    control: Option<String>,
    queue: Option<String>,
    dead_letter_queue: Option<String>,
}

#[test]
fn every_resource_is_called_as_its_vector_says() {
    for vector in vectors::<Named>(include_str!("../schema/vectors/names.json")) {
        let stage = Stage::parse(&vector.stage);
        assert_eq!(stage.is_err(), vector.refused, "{}", vector.stage);
        let Ok(stage) = stage else { continue };
        let river = River::parse(&vector.river.unwrap(), &stage).unwrap();
        assert_eq!(Some(stage.rapids()), vector.rapids);
        assert_eq!(Some(stage.control()), vector.control);
        assert_eq!(Some(river.queue()), vector.queue);
        assert_eq!(Some(river.dead_letter_queue()), vector.dead_letter_queue);
    }
}
