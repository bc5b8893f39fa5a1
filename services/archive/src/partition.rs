//! Which folder an event belongs to: its type and the hour of its own timestamp.
//!
//! Both are part of the event, so a copy of it comes to the same folder whenever and wherever it is written.

use std::fmt::{self, Write as _};

use event::Event;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The folder of all rows.
pub(crate) const DATA: &str = "data";
/// Longest name of a folder for an event type; file systems take 255 bytes, and the rest is `event_type=`.
const NAME_MAX: usize = 240;

/// Events of one type within one hour, UTC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// Type of the events.
    pub event_type: String,
    /// Day of their timestamps.
    pub date: Date,
    /// Hour of their timestamps, 0 to 23.
    pub hour: i8,
}

/// An event type that makes no folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event type of {0} bytes, as the name of a folder, is too long for the archive: at most {NAME_MAX}"
)]
pub struct TooLong(usize);

impl Partition {
    /// Where an event belongs.
    ///
    /// # Errors
    /// [`TooLong`], which no retry helps.
    pub fn of(event: &Event) -> Result<Self, TooLong> {
        let name = encoded(&event.event_type);
        if name.len() > NAME_MAX {
            return Err(TooLong(name.len()));
        }
        let at = event.timestamp.to_zoned(TimeZone::UTC).datetime();
        Ok(Self { event_type: event.event_type.clone(), date: at.date(), hour: at.hour() })
    }

    /// The partition of a file of rows; none when the path is no such file's.
    #[must_use]
    pub fn of_file(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(DATA)?.strip_prefix('/')?.split('/');
        let event_type = decoded(parts.next()?.strip_prefix("event_type=")?)?;
        let date = parts.next()?.strip_prefix("date=")?.parse().ok()?;
        let hour = parts.next()?.strip_prefix("hour=")?.parse().ok()?;
        let file = parts.next()?;
        let whole = (0..24).contains(&hour) && file.ends_with(".parquet") && parts.next().is_none();
        whole.then_some(Self { event_type, date, hour })
    }

    /// Path of a file in it.
    pub(crate) fn file(&self, name: impl fmt::Display) -> String {
        let (event_type, date, hour) = (encoded(&self.event_type), self.date, self.hour);
        format!("{DATA}/event_type={event_type}/date={date}/hour={hour:02}/{name}.parquet")
    }
}

/// Letters, digits, `.`, `_` and `-` as they are, each other byte as `%` and two hexadecimal digits.
fn encoded(event_type: &str) -> String {
    let mut name = String::with_capacity(event_type.len());
    for byte in event_type.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            name.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            write!(name, "%{byte:02X}").ok();
        }
    }
    name
}

fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(event_type: &str, at: Timestamp) -> Event {
        Event::root(event_type, "test", json!({}), at)
    }

    #[test]
    fn a_folder_is_named_as_other_tools_expect_it() {
        let at = "2026-11-23T14:59:59.999Z".parse().unwrap();
        let partition = Partition::of(&event("ViewPage", at)).unwrap();
        let path = partition.file("a");
        assert_eq!(path, "data/event_type=ViewPage/date=2026-11-23/hour=14/a.parquet");
    }

    #[test]
    fn the_end_of_time_has_its_hour_too() {
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            let partition = Partition::of(&event("X", at)).unwrap();
            assert_eq!(Partition::of_file(&partition.file("a")), Some(partition));
        }
    }

    #[test]
    fn a_type_that_makes_no_folder_is_refused() {
        let at = Timestamp::UNIX_EPOCH;
        assert!(Partition::of(&event(&"x".repeat(NAME_MAX), at)).is_ok());
        assert!(Partition::of(&event(&"/".repeat(NAME_MAX / 2), at)).is_err());
    }

    #[test]
    fn what_is_no_file_of_rows_has_no_partition() {
        for path in [
            "log/1.json",
            "data/event_type=X/date=2026-11-23/hour=24/a.parquet",
            "data/x",
            "data/event_type=X/date=2026-11-23/hour=01/b/a.parquet",
            "data/event_type=%4/date=2026-11-23/hour=01/a.parquet",
        ] {
            assert_eq!(Partition::of_file(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_event_type_comes_back_from_its_folder(event_type in ".{1,20}", second in 0_i64..4_000_000_000) {
            let at = Timestamp::from_second(second).unwrap();
            let partition = Partition::of(&event(&event_type, at)).unwrap();
            let path = partition.file("a");
            let object = object_store::path::Path::parse(&path).unwrap();
            prop_assert_eq!(object.as_ref(), &path);
            prop_assert_eq!(Partition::of_file(&path), Some(partition));
        }
    }
}
