use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn page(records: &[Value]) -> String {
    let page = json!({
        "ChildShards": [],
        "MillisBehindLatest": 0,
        "NextShardIterator": "AAAA",
        "Records": records,
    });
    page.to_string()
}

fn record(number: u64, key: &str, data: &[u8]) -> Value {
    json!({
        "ApproximateArrivalTimestamp": 1_700_000_000.25,
        "Data": STANDARD.encode_to_string(data),
        "EncryptionType": "KMS",
        "PartitionKey": key,
        "SequenceNumber": number.to_string(),
    })
}

#[test]
fn a_page_as_kinesis_writes_it_is_read_with_all_that_a_record_has() {
    let text = page(&[record(7, "ä key", b"\0one"), record(8, "b", b"")]);
    let (records, span) = records(text.as_bytes()).unwrap();
    assert_eq!(&text[span.start - RECORDS.len()..span.start], r#""Records":["#);
    assert_eq!(&text[span.end..=span.end], "]");
    let first = &records[0];
    assert_eq!(first.position.to_string(), "7");
    assert_eq!(first.partition_key.as_ref().unwrap().as_str(), "ä key");
    assert_eq!(&first.data[..], b"\0one");
    let at = first.arrived_at.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(at, Duration::from_millis(1_700_000_000_250));
    assert_eq!((records.len(), records[1].data.len()), (2, 0));
}

#[test]
fn a_page_without_records_is_one() {
    assert_eq!(records(page(&[]).as_bytes()).unwrap().0, []);
}

#[test]
fn a_record_without_a_key_or_a_time_is_read() {
    let text = page(&[json!({"Data": "", "SequenceNumber": "7"})]);
    let (records, _) = records(text.as_bytes()).unwrap();
    assert_eq!((&records[0].partition_key, records[0].arrived_at), (&None, None));
}

#[test]
fn what_is_written_otherwise_is_left_to_the_sdk() {
    let with = |member: &str, value: Value| {
        let mut record = record(7, "a", b"one");
        record[member] = value;
        page(&[self::record(6, "a", b"zero"), record])
    };
    let whole = page(&[record(7, "a", b"one")]);
    for text in [
        with("PartitionKey", json!("a\"b")),
        with("PartitionKey", json!("a\nb")),
        with("PartitionKey", Value::Null),
        with("Data", json!("no base64!")),
        with("Data", json!("b25")),
        with("SequenceNumber", json!("seven")),
        with("SequenceNumber", json!(7)),
        with("ApproximateArrivalTimestamp", json!("today")),
        with("ApproximateArrivalTimestamp", json!(-1e300)),
        with("New", json!({"a": 1})),
        with("New", json!(true)),
        page(&[json!({"Data": ""})]),
        page(&[json!({"SequenceNumber": "7"})]),
        page(&[json!({})]),
        page(&[json!([])]),
        page(&[json!(1)]),
        whole.replace(':', ": "),
        json!({"Records": null}).to_string(),
        "{}".to_owned(),
        String::new(),
    ] {
        assert_eq!(records(text.as_bytes()), None, "{text}");
    }
    let end = whole.len() - 2; // What follows on the list is not read here.
    for cut in 0..end {
        assert_eq!(records(&whole.as_bytes()[..cut]), None, "{}", &whole[..cut]);
    }
}

#[test]
fn small_records_share_room_and_large_ones_do_not() {
    let small: Vec<_> = (0..100).map(|number| record(number, "key", &[1; 300])).collect();
    let large = record(100, "key", &[2; 20_000]);
    let (records, _) = records(page(&[small, vec![large]].concat()).as_bytes()).unwrap();
    let first = records[0].data.as_ptr_range();
    let distance = |record: &Record| record.data.as_ptr().addr().abs_diff(first.start.addr());
    assert!(records[1..100].iter().all(|record| distance(record) < SHARED_BYTES));
    assert_eq!(records[100].data, vec![2; 20_000]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_page_is_read_as_it_was_written(
        written in prop::collection::vec(("[a-zé ]{0,20}", prop::collection::vec(any::<u8>(), 0..40_000)), 0..8),
    ) {
        let page = page(&written.iter().zip(0..).map(|((key, data), at)| record(at, key, data)).collect::<Vec<_>>());
        let (records, _) = records(page.as_bytes()).unwrap();
        let read: Vec<_> = records.iter().map(|record| {
            (record.partition_key.as_ref().unwrap().as_str().to_owned(), record.data.to_vec())
        }).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn bytes_of_any_kind_are_refused_or_read_and_never_a_panic(mut at in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut page = page(&[record(7, "key", b"some data"), record(8, "key", b"more")]).into_bytes();
        for (place, byte) in at.drain(..) {
            let place = place % page.len();
            page[place] = byte;
        }
        drop(records(&page));
    }
}
