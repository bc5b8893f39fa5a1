//! A message of a dead-letter queue: what it was, and why it is there.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName as SystemAttribute,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::Event;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::notification::Body;

/// Attributes that say why a message is there, and not what it is: `quarantine` and the service kit write them.
const OF_THE_REASON: [&str; 11] = [
    "reason",
    "kind",
    "river",
    "service",
    "receives",
    "encoding",
    "part",
    "parts",
    "shard",
    "sequence_number",
    "partition_key",
];

/// A received message.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) receipt: String,
    pub(super) body: String,
    attributes: HashMap<String, MessageAttributeValue>,
    system: HashMap<SystemAttribute, String>,
}

impl Letter {
    /// The message; none without a handle, by which alone it could be settled.
    pub(super) fn of(message: Message) -> Option<Self> {
        Some(Self {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle?,
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes.unwrap_or_default(),
            system: message.attributes.unwrap_or_default(),
        })
    }

    /// A message attribute that is a text.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.string_value()
    }

    /// When SQS first took it.
    pub(super) fn sent(&self) -> Option<Timestamp> {
        let ms = self.system.get(&SystemAttribute::SentTimestamp)?.parse().ok()?;
        Timestamp::from_millisecond(ms).ok()
    }

    /// How often it was received, this time included.
    pub(super) fn receives(&self) -> u32 {
        let count = self.system.get(&SystemAttribute::ApproximateReceiveCount);
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// Its message group.
    pub(super) fn group(&self) -> Option<&str> {
        self.system.get(&SystemAttribute::MessageGroupId).map(String::as_str)
    }

    /// Which part it is of what, and of how many; none where it is all.
    pub(super) fn part(&self) -> Option<(String, usize, usize)> {
        let number = |name| self.word(name).and_then(|text| text.parse::<usize>().ok());
        let (part, parts) = (number("part")?, number("parts")?);
        let whole = format!("{}/{}", self.word("shard")?, self.word("sequence_number")?);
        (parts > 1).then_some((whole, part, parts))
    }

    /// Its bytes, as they came to where they got stuck.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self.word("encoding") {
            Some("empty") => Vec::new(),
            Some("base64") => {
                STANDARD.decode(&self.body).unwrap_or_else(|_| self.body.clone().into_bytes())
            }
            _ => self.body.clone().into_bytes(),
        }
    }

    /// Its attributes without those of the reason: what it was sent with.
    pub(super) fn own_attributes(&self) -> HashMap<String, MessageAttributeValue> {
        let mut own = self.attributes.clone();
        // Where nobody of ours put it there, the words are the sender's own.
        if own.contains_key("kind") {
            own.retain(|name, _| !OF_THE_REASON.contains(&name.as_str()));
        }
        own
    }

    /// The attributes that are texts.
    fn words(&self) -> BTreeMap<&str, &str> {
        self.attributes
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.string_value()?)))
            .collect()
    }
}

/// Something whole: a message, or all parts of what was too large for one.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// At least one.
    pub(super) letters: Vec<Letter>,
    pub(super) bytes: Vec<u8>,
}

impl Parcel {
    /// One message.
    pub(super) fn of(letter: Letter) -> Self {
        Self { bytes: letter.bytes(), letters: vec![letter] }
    }

    /// Parts, in their order.
    pub(super) fn joined(letters: Vec<Letter>) -> Self {
        Self { bytes: letters.iter().flat_map(Letter::bytes).collect(), letters }
    }

    fn first(&self) -> Option<&Letter> {
        self.letters.first()
    }

    /// A message attribute.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.first()?.word(name)
    }

    /// Id of its first message.
    pub(super) fn id(&self) -> &str {
        self.first().map_or("", |letter| &letter.id)
    }

    /// When SQS first took it.
    pub(super) fn sent(&self) -> Option<Timestamp> {
        self.first()?.sent()
    }

    /// The text in it, out of the notification that SNS wraps around an event.
    pub(super) fn published(&self) -> Option<String> {
        match serde_json::from_slice(&self.bytes) {
            Ok(Body::Notification(notification)) => Some(notification.message),
            _ => String::from_utf8(self.bytes.clone()).ok(),
        }
    }

    /// The event in it.
    pub(super) fn event(&self) -> Option<Event> {
        Event::parse(self.published()?.as_bytes()).ok()
    }

    /// Why it is there, in a word and for people.
    pub(super) fn reason(&self) -> (&str, &str) {
        let unknown = "received too often, or not delivered by SNS";
        (self.word("kind").unwrap_or("-"), self.word("reason").unwrap_or(unknown))
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let (kind, reason) = self.reason();
        let first = self.first();
        let text = std::str::from_utf8(&self.bytes).map(Value::from);
        let text = text.unwrap_or_else(|_| json!({ "base64": STANDARD.encode(&self.bytes) }));
        let body: Value = serde_json::from_slice(&self.bytes).unwrap_or(text);
        json!({
            "messageId": self.id(),
            "kind": kind,
            "reason": reason,
            "receives": first.map_or(0, Letter::receives),
            "sentAt": self.sent().map(|at| format!("{at:.3}")),
            "attributes": first.map(Letter::words),
            "body": body,
        })
    }

    /// Reason first, then what it is.
    pub(super) fn lines(&self) -> Vec<String> {
        let (kind, reason) = self.reason();
        let sent = self.sent().map_or_else(String::new, |at| format!("{at:.3}"));
        let receives = self.first().map_or(0, Letter::receives);
        let id = self.id();
        let mut lines = vec![format!("{sent}  {kind}: {reason}")];
        lines.push(format!("  message {id}, received {receives} times"));
        let words = self.first().map(Letter::words).unwrap_or_default();
        let others = words.iter().filter(|(name, _)| !["kind", "reason"].contains(*name));
        let others: Vec<_> = others.map(|(name, value)| format!("{name}={value}")).collect();
        if !others.is_empty() {
            lines.push(format!("  {}", others.join(" ")));
        }
        let text = self
            .published()
            .unwrap_or_else(|| format!("{} bytes that are no text", self.bytes.len()));
        lines.push(format!("  {text}"));
        lines
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SALLY: &str = r#"{"eventType":"ViewPage","eventDomain":"web","payload":{"name":"Sally"},"timestamp":"2019-05-11T23:14:31.550Z","eventId":"7dcf"}"#;

    pub(in crate::watch::dlq) fn letter(body: &str, words: &[(&str, &str)]) -> Letter {
        let mut message = Message::builder().message_id("m1").receipt_handle("r1").body(body);
        for (name, value) in words {
            let value = MessageAttributeValue::builder().data_type("String").string_value(*value);
            message = message.message_attributes(*name, value.build().unwrap());
        }
        let message = message
            .attributes(SystemAttribute::SentTimestamp, "1700000000000")
            .attributes(SystemAttribute::ApproximateReceiveCount, "3");
        Letter::of(message.build()).unwrap()
    }

    #[test]
    fn what_quarantine_encoded_is_read_as_it_came() {
        let bytes = |body, encoding| Parcel::of(letter(body, &[("encoding", encoding)])).bytes;
        assert_eq!(bytes("{oops", "text"), b"{oops");
        assert_eq!(bytes("//4=", "base64"), b"\xff\xfe");
        assert_eq!(bytes("(empty)", "empty"), b"");
    }

    #[test]
    fn parts_are_told_and_joined() {
        let part = |body, number| {
            let words =
                [("shard", "s"), ("sequence_number", "7"), ("parts", "2"), ("part", number)];
            letter(body, &[&words[..], &[("encoding", "base64")]].concat())
        };
        let (one, two) = (part("YWI=", "1"), part("Yw==", "2"));
        assert_eq!(two.part(), Some(("s/7".to_owned(), 2, 2)));
        assert_eq!(Parcel::joined(vec![one, two]).bytes, b"abc");
        assert_eq!(letter("x", &[("part", "1"), ("parts", "1")]).part(), None);
    }

    #[test]
    fn only_the_reason_is_taken_off() {
        let names = |words: &[(&str, &str)]| {
            let mut names: Vec<_> = letter("x", words).own_attributes().into_keys().collect();
            names.sort();
            names
        };
        let ours = [("kind", "k"), ("reason", "r"), ("river", "x"), ("event_type", "ViewPage")];
        assert_eq!(names(&ours), ["event_type"]);
        assert_eq!(names(&[("river", "x"), ("event_type", "ViewPage")]), ["event_type", "river"]);
    }

    #[test]
    fn the_event_is_found_in_or_without_its_notification() {
        assert_eq!(Parcel::of(letter(SALLY, &[])).event().unwrap().event_type, "ViewPage");
        let wrapped = json!({
            "Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": SALLY, "Timestamp": "t",
        });
        let wrapped = Parcel::of(letter(&wrapped.to_string(), &[]));
        assert_eq!(wrapped.event().unwrap().event_type, "ViewPage");
        assert!(Parcel::of(letter("{oops", &[])).event().is_none());
    }

    #[test]
    fn it_is_shown_with_its_reason() {
        let parcel =
            Parcel::of(letter("{oops", &[("kind", "not_json"), ("reason", "not JSON: end")]));
        let lines = parcel.lines();
        assert_eq!(lines[0], "2023-11-14T22:13:20.000Z  not_json: not JSON: end");
        assert_eq!(lines[1], "  message m1, received 3 times");
        assert_eq!(lines[2], "  {oops");
        assert_eq!(parcel.json()["body"], "{oops");
        assert_eq!(Parcel::of(letter("{}", &[])).json()["kind"], "-");
    }
}
