//! What routing needs of an event, read without copying it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The fields by which an event is routed, borrowed from its bytes.
///
/// The reader parses this and passes the bytes on as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The event's JSON text.
    pub json: &'a str,
    /// `eventType`, or `eventName` where that is missing.
    pub event_type: Cow<'a, str>,
    /// `subject`, where it is a text and not empty.
    pub subject: Option<Cow<'a, str>>,
    /// Whether `synthetic` is true.
    pub synthetic: bool,
    /// `experiments`: experiment and arm, those that are texts.
    pub experiments: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Why bytes are not an event. Retrying cannot help: such a record is quarantined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes are not UTF-8.
    #[error("not UTF-8 text: {0}")]
    NotText(String),
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not an event: not an object, or a field is missing or of the wrong kind.
    #[error("not an event: {0}")]
    NotAnEvent(String),
}

impl Malformed {
    /// The kind in one word, for metric labels and quarantine attributes.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotText(_) => "not_text",
            Self::NotJson(_) => "not_json",
            Self::NotAnEvent(_) => "not_an_event",
        }
    }

    pub(crate) fn from_json(bytes: &[u8], error: &serde_json::Error) -> Self {
        if let Err(error) = std::str::from_utf8(bytes) {
            return Self::NotText(error.to_string());
        }
        match error.classify() {
            serde_json::error::Category::Data => Self::NotAnEvent(error.to_string()),
            _ => Self::NotJson(error.to_string()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
    #[serde(borrow)]
    event_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    subject: Loose<'a>,
    #[serde(borrow, default)]
    synthetic: Loose<'a>,
    #[serde(borrow, default)]
    experiments: Loose<'a>,
}

/// serde borrows a `Cow` only where it stands alone, not inside an `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A field that does not decide about the event as a whole: of another kind than it should be, it counts as missing.
#[derive(Debug, Default)]
enum Loose<'a> {
    Text(Cow<'a, str>),
    True,
    Texts(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    #[default]
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Self::Value, E> {
        Ok(if is { Loose::True } else { Loose::Other })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some((Text(name), value)) = map.next_entry()? {
            if let Loose::Text(text) = value {
                texts.push((name, text));
            }
        }
        Ok(Loose::Texts(texts))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }
}

impl<'a> Header<'a> {
    /// Reads the header of the event in `bytes`.
    ///
    /// # Errors
    /// [`Malformed`], when the bytes are not a JSON object with a type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let json =
            std::str::from_utf8(bytes).map_err(|error| Malformed::NotText(error.to_string()))?;
        let wrong = |error| Malformed::from_json(bytes, &error);
        // serde reads a struct from a list of its fields' values as well.
        if !json.trim_ascii_start().starts_with('{') {
            serde_json::from_str::<IgnoredAny>(json).map_err(wrong)?;
            return Err(Malformed::NotAnEvent("not an object".to_owned()));
        }
        let wire: Wire<'a> = serde_json::from_str(json).map_err(wrong)?;
        let named = |name: &Text<'a>| !name.0.is_empty();
        let event_type = wire.event_type.filter(named).or(wire.event_name.filter(named));
        let event_type = event_type
            .ok_or_else(|| Malformed::NotAnEvent("eventType is missing or empty".to_owned()))?;
        Ok(Self {
            json,
            event_type: event_type.0,
            subject: match wire.subject {
                Loose::Text(subject) if !subject.is_empty() => Some(subject),
                _ => None,
            },
            synthetic: matches!(wire.synthetic, Loose::True),
            experiments: match wire.experiments {
                Loose::Texts(arms) => arms,
                _ => Vec::new(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_borrowed_from_the_bytes() {
        let header = Header::parse(br#"{"payload":{"eventType":"x"},"eventType":"ViewPage"}"#);
        assert!(matches!(header.unwrap().event_type, Cow::Borrowed("ViewPage")));
    }

    #[test]
    fn an_escaped_type_is_read_as_well() {
        let header = Header::parse(br#"{"eventName":"View\u0050age"}"#).unwrap();
        assert_eq!(header.event_type, "ViewPage");
    }

    #[test]
    fn what_sns_filters_by_is_read_as_well_and_does_no_harm_where_it_is_wrong() {
        let json =
            br#"{"eventType":"A","subject":"sally","synthetic":true,"experiments":{"r":"bold","n":1,"s":"b\u0061"}}"#;
        let header = Header::parse(json).unwrap();
        assert_eq!(header.subject.as_deref(), Some("sally"));
        assert!(header.synthetic);
        assert_eq!(header.experiments, [("r".into(), "bold".into()), ("s".into(), "ba".into())]);
        for wrong in
            ["null", "7", "-7.5", "\"\"", "[1,[2],{\"a\":1}]", "{}", "{\"a\":{\"b\":[1]}}", "false"]
        {
            let json = format!(
                r#"{{"subject":{wrong},"synthetic":{wrong},"experiments":{wrong},"eventType":"A"}}"#
            );
            let header = Header::parse(json.as_bytes()).unwrap();
            let read = (header.subject, header.synthetic, header.experiments);
            assert_eq!(read, (None, false, Vec::new()), "{wrong}");
        }
    }

    #[test]
    fn each_kind_of_bad_record_has_its_reason() {
        let kind = |bytes: &[u8]| Header::parse(bytes).unwrap_err().kind();
        assert_eq!(kind(&[0xff, 0xfe]), "not_text");
        assert_eq!(kind(b"hello"), "not_json");
        assert_eq!(kind(b"{\"eventType\":\"A\"} trailing"), "not_json");
        assert_eq!(kind(b"[1]"), "not_an_event");
        assert_eq!(kind(b"[\"ViewPage\",null]"), "not_an_event");
        assert_eq!(kind(b"{}"), "not_an_event");
        assert_eq!(kind(b"{\"eventType\":7}"), "not_an_event");
        assert_eq!(kind(b"{\"eventType\":\"\"}"), "not_an_event");
    }
}
