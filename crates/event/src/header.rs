//! What routing needs of an event, read without copying it.

use std::borrow::Cow;

use serde::Deserialize;

/// The fields by which an event is routed, borrowed from its bytes.
///
/// The reader parses this and passes the bytes on as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The event's JSON text.
    pub json: &'a str,
    /// `eventType`, or `eventName` where that is missing.
    pub event_type: Cow<'a, str>,
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
}

/// serde borrows a `Cow` only where it stands alone, not inside an `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Header<'a> {
    /// Reads the header of the event in `bytes`.
    ///
    /// # Errors
    /// [`Malformed`], when the bytes are not a JSON object with a type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let json =
            std::str::from_utf8(bytes).map_err(|error| Malformed::NotText(error.to_string()))?;
        let wire: Wire<'a> =
            serde_json::from_str(json).map_err(|error| Malformed::from_json(bytes, &error))?;
        let named = |name: &Text<'a>| !name.0.is_empty();
        wire.event_type
            .filter(named)
            .or(wire.event_name.filter(named))
            .map(|event_type| Self { json, event_type: event_type.0 })
            .ok_or_else(|| Malformed::NotAnEvent("eventType is missing or empty".to_owned()))
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
    fn each_kind_of_bad_record_has_its_reason() {
        let kind = |bytes: &[u8]| Header::parse(bytes).unwrap_err().kind();
        assert_eq!(kind(&[0xff, 0xfe]), "not_text");
        assert_eq!(kind(b"hello"), "not_json");
        assert_eq!(kind(b"{\"eventType\":\"A\"} trailing"), "not_json");
        assert_eq!(kind(b"[1]"), "not_an_event");
        assert_eq!(kind(b"{}"), "not_an_event");
        assert_eq!(kind(b"{\"eventType\":7}"), "not_an_event");
        assert_eq!(kind(b"{\"eventType\":\"\"}"), "not_an_event");
    }
}
