//! Answers of `GetRecords`, rendered once. Serving one is a copy in which the sequence numbers are moved on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::cbor;

/// Most bytes of records in an answer, and most records.
const PAGE_BYTES_MAX: usize = 10 << 20;
const PAGE_RECORDS_MAX: usize = 10_000;
/// Digits of a page's number, in its records' sequence numbers and in the iterator that leads to it.
const DIGITS: usize = 10;
/// An iterator is some 200 characters long.
const ITERATOR_REST: usize = 190;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `application/x-amz-json-1.1`, the payloads in base64: what the SDK speaks.
    Json,
    /// `application/x-amz-cbor-1.1`: what the SDKs for Java speak.
    Cbor,
}

/// A page of one shard, to be served again and again as its next one.
pub(crate) struct Pages {
    pub(crate) wire: Wire,
    pub(crate) record_bytes: usize,
    body: Vec<u8>,
    /// Where the page's number stands.
    numbers: Vec<usize>,
    /// Where the number of the next one stands.
    next: usize,
}

impl Pages {
    /// Full pages of this record.
    pub(crate) fn full(wire: Wire, data: &[u8]) -> Self {
        let records = (PAGE_BYTES_MAX / data.len()).min(PAGE_RECORDS_MAX);
        Self::of(wire, data, records)
    }

    /// Pages of so many times this record.
    pub(crate) fn of(wire: Wire, data: &[u8], records: usize) -> Self {
        match wire {
            Wire::Json => Self::json(data, records),
            Wire::Cbor => Self::cbor(data, records),
        }
    }

    fn json(data: &[u8], records: usize) -> Self {
        let mut body = b"{\"MillisBehindLatest\":0,\"NextShardIterator\":\"".to_vec();
        let next = body.len();
        body.extend(iterator(0).as_bytes());
        body.extend(b"\",\"Records\":[");
        let record_bytes = data.len();
        let data = STANDARD.encode(data);
        let mut numbers = Vec::with_capacity(records);
        for record in 0..records {
            let comma = if record == 0 { "" } else { "," };
            let head = format!(
                "{comma}{{\"ApproximateArrivalTimestamp\":1.767225600123E9,\"Data\":\"{data}\",\
                 \"PartitionKey\":\"{}\",\"SequenceNumber\":\"49",
                key(record)
            );
            body.extend(head.as_bytes());
            numbers.push(body.len());
            body.extend(format!("{}\"}}", number(record)).as_bytes());
        }
        body.extend(b"]}");
        Self { wire: Wire::Json, record_bytes, body, numbers, next }
    }

    fn cbor(data: &[u8], records: usize) -> Self {
        let mut body = Vec::new();
        cbor::write_head(&mut body, cbor::MAP, 3);
        cbor::write_text(&mut body, "MillisBehindLatest");
        cbor::write_head(&mut body, cbor::UNSIGNED, 0);
        cbor::write_text(&mut body, "NextShardIterator");
        let iterator = iterator(0);
        cbor::write_text(&mut body, &iterator);
        let next = body.len() - iterator.len();
        cbor::write_text(&mut body, "Records");
        cbor::write_head(&mut body, cbor::ARRAY, records);
        let mut numbers = Vec::with_capacity(records);
        for record in 0..records {
            cbor::write_head(&mut body, cbor::MAP, 4);
            cbor::write_text(&mut body, "ApproximateArrivalTimestamp");
            cbor::write_head(&mut body, cbor::TAG, 1);
            cbor::write_head(&mut body, cbor::UNSIGNED, 1_767_225_600_123);
            cbor::write_text(&mut body, "Data");
            cbor::write_head(&mut body, cbor::BYTES, data.len());
            body.extend(data);
            cbor::write_text(&mut body, "PartitionKey");
            cbor::write_text(&mut body, &key(record));
            cbor::write_text(&mut body, "SequenceNumber");
            let sequence = format!("49{}", number(record));
            cbor::write_text(&mut body, &sequence);
            numbers.push(body.len() - sequence.len() + 2);
        }
        Self { wire: Wire::Cbor, record_bytes: data.len(), body, numbers, next }
    }

    /// The page of this number.
    pub(crate) fn serve(&self, page: u64) -> Bytes {
        let mut body = self.body.clone();
        let digits = |page: u64| format!("{page:0DIGITS$}");
        let this = digits(page);
        for &at in &self.numbers {
            body[at..at + DIGITS].copy_from_slice(this.as_bytes());
        }
        body[self.next..self.next + DIGITS].copy_from_slice(digits(page + 1).as_bytes());
        body.into()
    }

    pub(crate) fn records(&self) -> usize {
        self.numbers.len()
    }
}

/// The iterator that leads to a page.
pub(crate) fn iterator(page: u64) -> String {
    format!("{page:0DIGITS$}{}", "A".repeat(ITERATOR_REST))
}

/// The page that a request names by its iterator.
pub(crate) fn page_of(request: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"ShardIterator\":\"";
    let at = request.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    std::str::from_utf8(request.get(at..at + DIGITS)?).ok()?.parse().ok()
}

/// Room for the page's number, then the record's: 54 digits, which follow on two more.
fn number(record: usize) -> String {
    format!("{:0DIGITS$}{record:044}", 0)
}

fn key(record: usize) -> String {
    format!("customer-{:07}", record % 1_000)
}
