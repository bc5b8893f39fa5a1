//! Cuts a list of records into requests.

use std::ops::Range;

/// Most records in a PutRecords request
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>).
pub(crate) const RECORDS_MAX: usize = 500;
/// Most bytes in one, partition keys included: half of what Kinesis takes by now, and all it took before 2025.
pub(crate) const BYTES_MAX: usize = 5 << 20;

/// Runs of neighbours that fit into one request each. A record larger than a request stands alone, for Kinesis
/// to say what it thinks of it.
pub(crate) fn runs(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, size) in sizes.iter().enumerate() {
        if index > start && (index - start == RECORDS_MAX || bytes + size > BYTES_MAX) {
            runs.push(start..index);
            (start, bytes) = (index, 0);
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_full_by_count_or_by_bytes() {
        assert!(runs(&[]).is_empty());
        assert_eq!(runs(&[1; 501]), [0..500, 500..501]);
        assert_eq!(runs(&[BYTES_MAX - 1, 1, 1]), [0..2, 2..3]);
        assert_eq!(runs(&[1, BYTES_MAX + 1, 1]), [0..1, 1..2, 2..3]);
    }

    proptest! {
        #[test]
        fn every_record_is_in_exactly_one_request_in_order(
            sizes in prop::collection::vec(0usize..3 << 20, 0..1_200),
        ) {
            let runs = runs(&sizes);
            let all: Vec<usize> = runs.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
            for run in runs {
                prop_assert!(run.len() <= RECORDS_MAX);
                let bytes: usize = sizes[run.clone()].iter().sum();
                prop_assert!(bytes <= BYTES_MAX || run.len() == 1);
            }
        }
    }
}
