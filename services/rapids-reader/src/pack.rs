//! Cuts events into publish requests.

use event::{EVENT_TYPE_ATTRIBUTE, Header};

/// Entries in a request (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
pub(crate) const ENTRIES_MAX: usize = 10;
/// Bytes of a message and of a request together: bodies and attributes (same page).
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// What SNS counts of an event: its text, and name, type and value of its one attribute.
pub(crate) fn size(header: &Header<'_>) -> usize {
    header.json.len() + EVENT_TYPE_ATTRIBUTE.len() + "String".len() + header.event_type.len()
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

#[cfg(test)]
mod tests {
    use super::*;

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
