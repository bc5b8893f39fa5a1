//! Direct routes: which events the rapids-reader writes to a river's queue itself, beside or instead of by way of SNS.
//!
//! The control plane decides and writes, the rapids-reader reads. In the table [`Stage::rivers_table`], with the hash
//! key [`RIVER`], each river that is fed directly has a row whose attribute [`DIRECT`] is a [`Direct`] as JSON. The row
//! [`VERSION_ROW`] counts in its attribute [`VERSION`] how often any of them has changed: it is raised after the
//! change. Who has put an event of the type [`ROUTES_CHANGED`] onto every shard after that knows that all that
//! lies behind it in the shard is routed by that version, or a later one.
//!
//! [`Stage::rivers_table`]: crate::names::Stage::rivers_table

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Packet;
use crate::packet::Rule;

/// Hash key of the table, a text: the river's name.
pub const RIVER: &str = "River";
/// Attribute of a river's row, a text: its [`Direct`] as JSON. A river without it is not fed directly.
pub const DIRECT: &str = "Direct";
/// The row that counts changes; no river's name has a `#`.
pub const VERSION_ROW: &str = "#direct";
/// Attribute of that row, a number: raised after every change of any [`DIRECT`].
pub const VERSION: &str = "Version";
/// Type of the event that makes the reader look before it carries on; its payload is a [`RoutesChanged`].
pub const ROUTES_CHANGED: &str = "system.RoutesChanged";

/// What a river gets directly, and where to write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    /// URL of the river's queue.
    pub queue_url: String,
    /// An event is written once if one of these routes it.
    pub packets: Vec<Line>,
}

/// One subscription that is fed directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The event type, or the pattern of event types.
    pub topic: String,
    /// As in the command `subscribe`: an event that does not keep the preconditions among them is not written.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// The end of a bridge: SNS delivers as well, but may not do so before then, for a new filter takes up to 15 minutes
    /// (<https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>). None: always direct.
    #[serde(default, with = "until")]
    pub until: Option<Timestamp>,
}

/// The payload of [`ROUTES_CHANGED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutesChanged {
    /// The [`VERSION`] that the events behind it are to be routed by at least.
    pub version: u64,
}

impl Direct {
    /// Reads it from the attribute [`DIRECT`].
    ///
    /// # Errors
    /// What is wrong with it: retrying cannot help.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// As the attribute [`DIRECT`] has it.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and JSON values: nothing here can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Line {
    /// Whether it is written by at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// What says whether an event is meant: all but [`Verdict::NotMine`](crate::packet::Verdict::NotMine) is written.
    #[must_use]
    pub fn packet(&self) -> Packet {
        Packet::with_rules(&self.topic, self.rules.clone())
    }
}

mod until {
    use std::borrow::Cow;

    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        until: &Option<Timestamp>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        until.map(|until| until.to_string()).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<Cow<'_, str>>::deserialize(from)?;
        let parse = |text: Cow<'_, str>| {
            text.parse()
                .map_err(|_| de::Error::custom(format_args!("{text:?} is no RFC 3339 time")))
        };
        text.map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"queueUrl":"http://127.0.0.1:4566/000000000000/r1-dev","packets":[{"topic":"ViewPage","rules":[{"at":"/eventDomain","rule":"demand_value","value":"web"}],"until":null},{"topic":"Offer.*","rules":[],"until":"2026-11-23T18:00:00Z"}]}"#;

    #[test]
    fn a_route_is_read_as_it_was_written() {
        let direct = Direct::parse(JSON).unwrap();
        assert_eq!(direct.to_json(), JSON);
        let rules = Packet::of("ViewPage").demand_value("/eventDomain", "web");
        assert_eq!(direct.packets[0].packet(), rules);
        let short = r#"{"queueUrl":"q","packets":[{"topic":"A"}]}"#;
        let line = Line { topic: "A".to_owned(), rules: Vec::new(), until: None };
        assert_eq!(Direct::parse(short).unwrap().packets, [line]);
        assert!(Direct::parse(&JSON.replace("18:00", "18h00")).is_err());
    }

    #[test]
    fn a_bridge_ends_and_what_is_direct_does_not() {
        let direct = Direct::parse(JSON).unwrap();
        let [always, bridge] = &direct.packets[..] else { panic!("two lines") };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(bridge.is_open(at("2026-11-23T17:59:59Z")));
        assert!(!bridge.is_open(at("2026-11-23T18:00:00Z")));
        assert!(always.is_open(at("2036-11-23T18:00:00Z")));
    }

    #[test]
    fn the_nudge_says_which_version() {
        let changed: RoutesChanged = serde_json::from_str(r#"{"version":7}"#).unwrap();
        assert_eq!(changed, RoutesChanged { version: 7 });
        assert_eq!(serde_json::to_string(&changed).unwrap(), r#"{"version":7}"#);
    }
}
