//! Event ids: time-ordered for roots, derived from content for everything else.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Uuid};

/// Identity of an event. Ours are UUIDs; an id from elsewhere is kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(String);

/// Namespace of derived ids, so that they cannot meet the UUIDv5s of another system.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f8f_1d1c_5a0e_5d0b_9a53_72ad_7069_6473);

/// Of so many events, one is audited.
const AUDITED_ONE_IN: u64 = 8;

impl EventId {
    /// Id of an event that nothing caused: UUIDv7, so that ids sort by time.
    #[must_use]
    pub fn root(at: Timestamp) -> Self {
        let seconds = u64::try_from(at.as_second()).unwrap_or_default();
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or_default();
        let stamp = uuid::Timestamp::from_unix(NoContext, seconds, nanos);
        Self(Uuid::new_v7(stamp).to_string())
    }

    /// Id of an event that `service` derives by `rule` in the conversation `correlation`: UUIDv5, so that a
    /// redelivery, a retry and a second instance all make the same id, and every inbox can drop the copy.
    ///
    /// `distinguishing` tells apart several events of one rule in one conversation.
    #[must_use]
    pub fn derived(service: &str, correlation: &Self, rule: &str, distinguishing: &str) -> Self {
        let mut name = Vec::new();
        for part in [service, correlation.as_str(), rule, distinguishing] {
            // Lengths first, so that no two lists of parts read the same.
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        Self(Uuid::new_v5(&NAMESPACE, &name).to_string())
    }

    /// Whether the event's way is audited: one of [`AUDITED_ONE_IN`], the same ones for everybody who asks.
    #[must_use]
    pub fn is_audited(&self) -> bool {
        // FNV-1a: ids from elsewhere need not be random in any one place.
        let hash = self.0.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The low bits of a product depend on the low bits of its factors alone.
        (hash >> 32) % AUDITED_ONE_IN == 0
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for EventId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for EventId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_in_eight_ids_is_audited_and_always_the_same() {
        let id = |n: u32| EventId::derived("s", &EventId::from("c"), "r", &n.to_string());
        let audited = (0..8_000).filter(|n| id(*n).is_audited()).count();
        assert!((850..1_150).contains(&audited), "{audited}");
        // Processes of other builds have to agree.
        let first: Vec<_> = (0..60).filter(|n| id(*n).is_audited()).collect();
        assert_eq!(first, [15, 30, 39, 53]);
    }

    #[test]
    fn a_derived_id_is_the_same_every_time_and_differs_with_each_part() {
        let root = EventId::from("c");
        let id = |service, rule, data| EventId::derived(service, &root, rule, data);
        assert_eq!(id("location", "baseline", ""), id("location", "baseline", ""));
        assert_ne!(id("location", "baseline", ""), id("brand", "baseline", ""));
        assert_ne!(id("location", "baseline", ""), id("location", "segment", ""));
        assert_ne!(id("location", "baseline", "a"), id("location", "baseline", "b"));
        assert_ne!(id("ab", "c", ""), id("a", "bc", ""));
    }

    #[test]
    fn the_derived_id_is_part_of_the_wire_format() {
        let id = EventId::derived("location", &EventId::from("root"), "baseline", "");
        assert_eq!(id.as_str(), "04b19e33-43fb-5d24-829b-eca171b86fee");
    }

    #[test]
    fn root_ids_sort_by_time() {
        let at = |ms| EventId::root(Timestamp::from_millisecond(ms).unwrap());
        assert!(at(1_700_000_000_000) < at(1_700_000_000_001));
    }
}
