//! Cuts events into publish requests.

use std::collections::HashMap;

use event::Header;

use crate::attributes::{self, Attribute};

/// Entries in a request (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
pub(crate) const ENTRIES_MAX: usize = 10;
/// Bytes of a message and of a request together: bodies and attributes (same page).
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// What SNS counts of an event: its text, and name, type and value of its attributes.
pub(crate) fn size(header: &Header<'_>) -> usize {
    let counted = |one: Attribute<'_>| one.name.len() + one.data_type.len() + one.value.len();
    header.json.len() + attributes::of(header).map(counted).sum::<usize>()
}

/// Cuts `sizes` into runs of at most [`ENTRIES_MAX`] entries and [`BYTES_MAX`] bytes, in order. Each size must
/// fit a request by itself.
pub(crate) fn runs(sizes: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::with_capacity(sizes.len().div_ceil(ENTRIES_MAX));
    let (mut start, mut bytes) = (0, 0);
    for (at, size) in sizes.iter().enumerate() {
        if at > start && (at - start == ENTRIES_MAX || bytes + size > BYTES_MAX) {
            runs.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < sizes.len() {
        runs.push(start..sizes.len());
    }
    runs
}

/// Deals records out into at most `groups_max` groups that can be published at the same time: indexes in order,
/// all of one key in one group, and no more groups than full requests.
pub(crate) fn groups(keys: &[Option<&str>], groups_max: usize) -> Vec<Vec<usize>> {
    let count = keys.len().div_ceil(ENTRIES_MAX).clamp(1, groups_max);
    let mut groups = vec![Vec::new(); count];
    let mut group_of = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        let smallest = (0..count).min_by_key(|&group| groups[group].len()).unwrap_or_default();
        let group = key.map_or(smallest, |key| *group_of.entry(key).or_insert(smallest));
        groups[group].push(index);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_key_are_published_one_after_the_other() {
        let keys: Vec<_> =
            ["a", "b", "c", "d", "e"].iter().cycle().take(45).copied().map(Some).collect();
        let groups = groups(&keys, 8);
        assert_eq!(groups.len(), 5);
        for group in &groups {
            assert!(group.is_sorted());
            assert!(group.iter().all(|&index| keys[index] == keys[group[0]]), "{group:?}");
        }
    }

    #[test]
    fn records_of_many_keys_fill_their_requests() {
        let keys: Vec<_> = (0..95).map(|number| number.to_string()).collect();
        let keys: Vec<_> = keys.iter().map(|key| Some(key.as_str())).collect();
        let sizes: Vec<_> = groups(&keys, 8).iter().map(Vec::len).collect();
        assert_eq!(sizes, [12, 12, 12, 12, 12, 12, 12, 11]);
        assert_eq!(groups(&keys[..20], 8).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10]);
        assert_eq!(groups(&[None; 3], 8), [[0, 1, 2]]);
        assert!(groups(&[], 8).is_empty());
    }

    #[test]
    fn small_events_travel_by_tens() {
        assert_eq!(runs(&[100; 25]), [0..10, 10..20, 20..25]);
        assert!(runs(&[]).is_empty());
    }

    #[test]
    fn bytes_end_a_request_before_its_entries_do() {
        let half = BYTES_MAX / 2;
        assert_eq!(runs(&[half, half, 1]), [0..2, 2..3]);
        assert_eq!(runs(&[half, half + 1, 1]), [0..1, 1..3]);
        assert_eq!(runs(&[BYTES_MAX, BYTES_MAX]), [0..1, 1..2]);
    }
}
