//! Cuts events into requests, of SNS and of SQS alike.

use std::collections::HashMap;

use event::Header;

use crate::attributes::{self, Attribute};

/// Entries in a request (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
pub(crate) const ENTRIES_MAX: usize = 10;

/// What both count of an event: its text, and name, type and value of its attributes.
pub(crate) fn size(header: &Header<'_>) -> usize {
    let counted = |one: Attribute<'_>| one.name.len() + one.data_type.len() + one.value.len();
    header.json.len() + attributes::of(header).map(counted).sum::<usize>()
}

/// Cuts `sizes` into runs of at most [`ENTRIES_MAX`] entries and `bytes_max` bytes, in order. Each size must fit a
/// request by itself.
pub(crate) fn runs(sizes: &[usize], bytes_max: usize) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::with_capacity(sizes.len().div_ceil(ENTRIES_MAX));
    let (mut start, mut bytes) = (0, 0);
    for (at, size) in sizes.iter().enumerate() {
        if at > start && (at - start == ENTRIES_MAX || bytes + size > bytes_max) {
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

/// Deals records out into at most `groups_max` groups that can be sent at the same time: indexes in order, all of one
/// key in one group, and no more groups than full requests. A request is filled before another is begun: it is paid
/// for whole.
pub(crate) fn groups(keys: &[Option<&str>], groups_max: usize) -> Vec<Vec<usize>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut unit_of = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        let new = units.len();
        let unit = key.map_or(new, |key| *unit_of.entry(key).or_insert(new));
        match units.get_mut(unit) {
            Some(unit) => unit.push(index),
            None => units.push(vec![index]),
        }
    }
    let count = keys.len().div_ceil(ENTRIES_MAX).clamp(1, groups_max);
    let mut groups = vec![Vec::new(); count];
    for unit in units {
        let room =
            |group: usize| groups[group].len().next_multiple_of(ENTRIES_MAX) - groups[group].len();
        let tightest = (0..count).filter(|&at| room(at) >= unit.len()).min_by_key(|&at| room(at));
        let smallest = || (0..count).min_by_key(|&at| groups[at].len()).unwrap_or_default();
        let chosen = tightest.unwrap_or_else(smallest);
        groups[chosen].extend(unit);
    }
    groups.retain(|group| !group.is_empty());
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1_000;

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
        assert_eq!(sizes, [20, 15, 10, 10, 10, 10, 10, 10], "ten requests, and not sixteen");
        assert_eq!(groups(&keys[..20], 8).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10]);
        assert_eq!(groups(&[None; 3], 8), [[0, 1, 2]]);
        assert!(groups(&[], 8).is_empty());
    }

    #[test]
    fn records_without_a_key_and_small_keys_fill_up_what_large_ones_leave() {
        let large = std::iter::repeat_n(Some("large"), 14);
        let keys: Vec<_> =
            large.chain([Some("a"), None, Some("b"), Some("a"), None, None]).collect();
        let sizes: Vec<_> = groups(&keys, 2).iter().map(Vec::len).collect();
        assert_eq!(sizes, [20]);
    }

    #[test]
    fn small_events_travel_by_tens() {
        assert_eq!(runs(&[1; 25], BYTES_MAX), [0..10, 10..20, 20..25]);
        assert!(runs(&[], BYTES_MAX).is_empty());
    }

    #[test]
    fn bytes_end_a_request_before_its_entries_do() {
        let half = BYTES_MAX / 2;
        assert_eq!(runs(&[half, half, 1], BYTES_MAX), [0..2, 2..3]);
        assert_eq!(runs(&[half, half + 1, 1], BYTES_MAX), [0..1, 1..3]);
        assert_eq!(runs(&[BYTES_MAX, BYTES_MAX], BYTES_MAX), [0..1, 1..2]);
    }
}
