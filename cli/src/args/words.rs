//! Words of the command line that stand for a time or for a condition on an event.

use std::time::Duration;

use event::Event;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A point in time, as people give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// `10m`: so long before now.
    Ago(Duration),
    /// `2026-11-23T08:00:00Z`, or `2026-11-23` for midnight UTC.
    At(Timestamp),
    /// `beginning`: as far back as the rapids go.
    Beginning,
}

impl Moment {
    /// Reads a word.
    ///
    /// # Errors
    /// What would be accepted.
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        if word == "beginning" {
            return Ok(Self::Beginning);
        }
        if let Ok(at) = word.parse() {
            return Ok(Self::At(at));
        }
        if let Some(at) = word.parse::<Date>().ok().and_then(midnight) {
            return Ok(Self::At(at));
        }
        chassis::duration::parse(word).map(Self::Ago).map_err(|_| {
            "expected how long ago, such as 10m or 2h, a time such as 2026-11-23T08:00:00Z, or `beginning`"
                .to_owned()
        })
    }

    /// The time itself; none for the beginning.
    pub(crate) fn before(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Ago(ago) => {
                let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
                now.checked_sub(ago).ok()
            }
            Self::At(at) => Some(at),
            Self::Beginning => None,
        }
    }
}

fn midnight(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// A condition: this value is at this place of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pointer: String,
    wanted: String,
}

impl Place {
    /// Reads `POINTER=VALUE`. A pointer without slash begins in the payload, as in the declarations of services.
    ///
    /// # Errors
    /// What would be accepted.
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        let (pointer, wanted) = word.split_once('=').ok_or_else(|| {
            "expected POINTER=VALUE, such as /payload/name=Sally or /subject=sally".to_owned()
        })?;
        let slash = if pointer.starts_with('/') { "" } else { "/payload/" };
        Ok(Self { pointer: format!("{slash}{pointer}"), wanted: wanted.to_owned() })
    }

    /// Whether an event has it. A text is compared without its quotes; `POINTER=` is true where nothing is.
    pub(crate) fn is_in(&self, event: &Event) -> bool {
        self.is(event.at(&self.pointer).as_deref())
    }

    /// Whether JSON has it that need not be an event.
    pub(crate) fn is_within(&self, json: &Value) -> bool {
        self.is(json.pointer(&self.pointer))
    }

    fn is(&self, found: Option<&Value>) -> bool {
        match found {
            None | Some(Value::Null) => self.wanted.is_empty(),
            Some(Value::String(text)) => *text == self.wanted,
            Some(other) => serde_json::from_str::<Value>(&self.wanted).is_ok_and(|it| it == *other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_a_time_ago_a_time_or_the_beginning() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let before = |word: &str| Moment::parse(word).unwrap().before(now);
        assert_eq!(before("10m"), Some("2026-11-23T11:50:00Z".parse().unwrap()));
        assert_eq!(before("2026-11-23T08:00:00Z"), Some("2026-11-23T08:00:00Z".parse().unwrap()));
        assert_eq!(before("2026-11-22"), Some("2026-11-22T00:00:00Z".parse().unwrap()));
        assert_eq!(before("beginning"), None);
        assert!(Moment::parse("10").unwrap_err().contains("10m"));
        assert!(Moment::parse("yesterday").is_err());
    }

    #[test]
    fn a_place_is_compared_as_text_or_as_json() {
        let payload = json!({"name": "Sally", "age": 7, "vip": true});
        let event = Event::root("ViewPage", "web", payload, Timestamp::UNIX_EPOCH);
        let holds = |word: &str| Place::parse(word).unwrap().is_in(&event);
        assert!(holds("/payload/name=Sally") && holds("name=Sally") && holds("age=7"));
        assert!(holds("vip=true") && holds("/eventDomain=web") && holds("/subject="));
        assert!(!holds("name=Harry") && !holds("age=07") && !holds("name=") && !holds("/x=1"));
        assert!(Place::parse("/payload/name").is_err());
    }
}
