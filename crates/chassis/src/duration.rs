//! Durations in configuration: `250ms`, `2s`, `5m`, `1h`, `14d`. For `#[serde(with = "chassis::duration")]`.
//!
//! A number with one unit. A bare number is refused: nobody should have to guess whether 10 means seconds.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

const EXPECTED: &str = "a whole number with its unit, ms, s, m, h or d, for example 250ms";

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The duration as text, in the largest unit that holds it exactly; what is below a millisecond is cut off.
#[must_use]
pub fn to_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, size): &&(&str, u64)| ms > 0 && ms.is_multiple_of(*size);
    match UNITS.iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", ms / size),
        None => "0s".to_owned(),
    }
}

/// Reads a duration.
///
/// # Errors
/// What was read, and what is expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is not a duration: expected {EXPECTED}");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let size = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| size);
    let ms = number.parse::<u64>().ok().zip(size).and_then(|(n, size)| n.checked_mul(*size));
    ms.map(Duration::from_millis).ok_or_else(refused)
}

/// Writes the duration as text; for serde.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(*duration))
}

/// Reads a duration from text; for serde.
///
/// # Errors
/// When it is none, with what is expected.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    // Any, so that a bare number is told what is missing rather than that it is no string.
    deserializer.deserialize_any(Text)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_in_the_largest_unit_that_holds_it() {
        for text in ["0s", "250ms", "2s", "90s", "5m", "1h", "14d"] {
            assert_eq!(to_text(parse(text).unwrap()), text);
        }
        assert_eq!(to_text(Duration::from_secs(3_600)), "1h");
        assert_eq!(to_text(Duration::from_micros(1_500)), "1ms");
    }

    #[test]
    fn what_is_no_duration_is_told_with_what_is_expected() {
        for text in ["", "10", "s", "1.5s", "-1s", "10 s", "1w", "99999999999999999999s"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(text) && error.contains("for example 250ms"), "{error}");
        }
    }
}
