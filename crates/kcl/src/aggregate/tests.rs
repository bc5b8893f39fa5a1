use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::checkpoint::{Position, SequenceNumber};
use crate::lease::HashRange;
use crate::record::{PartitionKey, Record};
use crate::settings::OutsideShard;
use decode::Unpacked;

const WHOLE: HashRange = HashRange { start: 0, end: u128::MAX };
const LARGE: usize = 1 << 20;

fn of_kinesis(data: impl Into<Bytes>) -> Record {
    let sequence = SequenceNumber::parse("4954").unwrap();
    Record {
        position: Position { sequence, sub_sequence: 0 },
        partition_key: Some(PartitionKey::from("outer")),
        explicit_hash_key: None,
        data: data.into(),
        arrived_at: None,
    }
}

fn unpack_all(record: Record) -> (Vec<Record>, Unpacked) {
    let mut records = Vec::new();
    let unpacked = unpack(record, Some(WHOLE), OutsideShard::Deliver, &mut records);
    (records, unpacked)
}

fn aggregate(users: &[(&str, Option<u128>, &[u8])]) -> Aggregated {
    let mut aggregator = Aggregator::new(LARGE);
    for (key, hash_key, data) in users {
        assert_eq!(aggregator.add(key, *hash_key, data.to_vec()).unwrap(), None);
    }
    aggregator.finish().unwrap()
}

fn wrap(message: &[u8]) -> Bytes {
    [MAGIC.as_slice(), message, &md5(message)].concat().into()
}

fn three() -> Aggregated {
    aggregate(&[("a", None, b"one"), ("b", Some(7), b""), ("a", None, b"three")])
}

#[test]
fn an_aggregate_is_taken_apart_in_order_with_keys_and_positions_and_without_copying() {
    let record = of_kinesis(three().data);
    let bytes = record.data.as_ptr_range();
    let (records, unpacked) = unpack_all(record.clone());
    let parts: Vec<_> = records
        .iter()
        .map(|it| {
            let key = it.partition_key.as_ref().unwrap().as_str();
            (it.position.sub_sequence, key, it.explicit_hash_key, &it.data[..])
        })
        .collect();
    assert_eq!(
        parts,
        [(0, "a", None, &b"one"[..]), (1, "b", Some(7), b""), (2, "a", None, b"three")]
    );
    assert!(records.iter().all(|it| it.sequence_number() == record.sequence_number()));
    assert_eq!(unpacked.last.sub_sequence, 2);
    for part in [
        &records[0].data[..],
        &records[2].data,
        records[0].partition_key.as_ref().unwrap().as_bytes(),
    ] {
        assert!(bytes.contains(&part.as_ptr()), "a copy");
    }
}

#[test]
fn a_record_with_the_magic_but_another_md5_is_passed_on_untouched() {
    let mut data = three().data.to_vec();
    *data.last_mut().unwrap() ^= 1;
    for data in [data, MAGIC.to_vec(), [MAGIC.as_slice(), &[0; DIGEST - 1]].concat(), Vec::new()] {
        let record = of_kinesis(data);
        let (records, unpacked) = unpack_all(record.clone());
        assert_eq!(records, [record]);
        assert!(!unpacked.is_damaged);
    }
}

#[test]
fn an_aggregate_that_cannot_be_read_is_delivered_whole_and_told() {
    let good = Message {
        partition_keys: vec![Bytes::from_static(b"a")],
        explicit_hash_keys: vec![Bytes::from_static(b"7")],
        records: vec![UserRecord {
            partition_key: Some(0),
            explicit_hash_key: Some(0),
            data: Some(Bytes::from_static(b"one")),
        }],
    };
    assert!(!unpack_all(of_kinesis(wrap(&good.encode_to_vec()))).1.is_damaged);
    let broken = |change: fn(&mut Message)| {
        let mut message = good.clone();
        let sound = message.records[0].clone();
        message.records.insert(0, sound); // Not even what is sound is taken out of it.
        change(&mut message);
        message.encode_to_vec()
    };
    let cut = good.encode_to_vec();
    for message in [
        cut[..cut.len() - 1].to_vec(),
        broken(|it| it.records[1].partition_key = Some(1)),
        broken(|it| it.records[1].partition_key = None),
        broken(|it| it.records[1].explicit_hash_key = Some(u64::MAX)),
        broken(|it| it.records[1].data = None),
        broken(|it| it.partition_keys[0] = Bytes::from_static(b"\xff")),
        broken(|it| it.explicit_hash_keys[0] = Bytes::from_static(b"seven")),
    ] {
        let record = of_kinesis(wrap(&message));
        let (records, unpacked) = unpack_all(record.clone());
        assert_eq!(records, [record]);
        assert!(unpacked.is_damaged);
    }
}

#[test]
fn user_records_outside_the_shard_are_delivered_or_dropped_one_by_one_as_the_settings_say() {
    let low = HashRange { start: 0, end: 99 };
    let users: &[(&str, _, &[u8])] = &[
        ("a", Some(7), b"in"),
        ("b", Some(100), b"out"),
        ("c", None, b"by md5"),
        ("d", Some(99), b"in"),
    ];
    let record = of_kinesis(aggregate(users).data);
    let unpack = |record: &Record, range, outside| {
        let mut records = Vec::new();
        let unpacked = unpack(record.clone(), range, outside, &mut records);
        let positions: Vec<_> = records.iter().map(|it| it.position.sub_sequence).collect();
        (positions, unpacked)
    };
    let (all, unpacked) = unpack(&record, Some(low), OutsideShard::Deliver);
    assert_eq!((all, unpacked.outside), (vec![0, 1, 2, 3], (0, 0)));
    let (inside, unpacked) = unpack(&record, Some(low), OutsideShard::Drop);
    assert_eq!((inside, unpacked.outside), (vec![0, 3], (2, 9)));
    assert_eq!(unpack(&record, None, OutsideShard::Drop).0, [0, 1, 2, 3], "nothing to tell it by");
    let auto = Record { partition_key: None, ..record };
    assert_eq!(
        unpack(&auto, Some(low), OutsideShard::Drop).0,
        [0, 1, 2, 3],
        "AUTO distributes anyhow"
    );
}

#[test]
fn the_last_position_is_told_even_when_the_last_record_is_dropped() {
    let record = of_kinesis(aggregate(&[("a", Some(7), b"in"), ("b", Some(100), b"out")]).data);
    let range = Some(HashRange { start: 0, end: 99 });
    let mut records = Vec::new();
    let unpacked = unpack(record, range, OutsideShard::Drop, &mut records);
    assert_eq!((records.len(), unpacked.last.sub_sequence), (1, 1));
}

#[test]
fn an_empty_aggregate_delivers_nothing_and_has_a_position_to_acknowledge() {
    let record = of_kinesis(wrap(b""));
    let (records, unpacked) = unpack_all(record.clone());
    assert!(records.is_empty() && !unpacked.is_damaged);
    assert_eq!(unpacked.last, record.position);
}

#[test]
fn a_record_without_a_partition_key_is_delivered_aggregated_or_not() {
    let keyless = |data: Bytes| Record { partition_key: None, ..of_kinesis(data) };
    assert_eq!(unpack_all(keyless(three().data)).0.len(), 3);
    let plain = keyless(Bytes::from_static(b"plain"));
    assert_eq!(unpack_all(plain.clone()).0, [plain]);
}

#[test]
fn what_the_aggregation_modules_of_aws_made_is_read_and_made_byte_for_byte() {
    let fixtures = include_str!("../../tests/fixtures/aggregates.json");
    let fixtures: serde_json::Value = serde_json::from_str(fixtures).unwrap();
    let aggregates = fixtures["aggregates"].as_array().unwrap();
    assert!(aggregates.len() >= 3);
    for aggregate in aggregates {
        let bytes = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let (records, unpacked) = unpack_all(of_kinesis(bytes(&aggregate["data"])));
        assert!(!unpacked.is_damaged);
        let expected = aggregate["records"].as_array().unwrap();
        assert_eq!(records.len(), expected.len());
        for (record, expected) in records.iter().zip(expected) {
            assert_eq!(record.data, bytes(&expected["data"]));
            let key = record.partition_key.as_ref().unwrap();
            assert_eq!(key.as_str(), expected["partitionKey"].as_str().unwrap());
            let hash_key = record.explicit_hash_key.map(|key| key.to_string());
            assert_eq!(hash_key.as_deref(), expected["explicitHashKey"].as_str());
        }
        let mut again = Aggregator::new(LARGE);
        for record in records {
            let key = record.partition_key.unwrap();
            again.add(key.as_str(), record.explicit_hash_key, record.data).unwrap();
        }
        assert_eq!(again.finish().unwrap().data, bytes(&aggregate["data"]));
    }
}

#[test]
fn a_user_record_alone_stays_as_it_is_unless_it_looks_like_an_aggregate() {
    let alone = aggregate(&[("a", Some(7), b"one")]);
    assert_eq!((&alone.data[..], alone.explicit_hash_key), (&b"one"[..], Some(7)));
    let odd = three().data;
    let wrapped = aggregate(&[("a", None, &odd)]);
    let (records, _) = unpack_all(of_kinesis(wrapped.data));
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].data, odd);
}

#[test]
fn a_full_aggregate_is_returned_and_the_record_that_did_not_fit_begins_the_next() {
    let mut aggregator = Aggregator::new(1_000);
    let mut sent = Vec::new();
    for number in 0..100_u32 {
        let data = vec![b'x'; 90];
        sent.extend(aggregator.add(&format!("key-{number}"), None, data).unwrap());
    }
    sent.extend(aggregator.finish());
    assert_eq!(aggregator.finish(), None);
    assert!(sent.len() > 5);
    assert!(sent.iter().all(|it| it.data.len() + it.partition_key.len() <= 1_000));
    assert!(sent[0].data.len() > 850, "{} bytes", sent[0].data.len());
    assert_eq!(sent.iter().map(|it| it.user_records).sum::<usize>(), 100);
}

#[test]
fn a_user_record_larger_than_an_aggregate_is_refused_and_the_others_stay() {
    let mut aggregator = Aggregator::new(100);
    aggregator.add("a", None, "one").unwrap();
    let error = aggregator.add("b", None, vec![0; 100]).unwrap_err();
    assert_eq!(error, NotAdded::TooLarge { bytes: 101, most: 100 });
    assert_eq!(aggregator.finish().unwrap().user_records, 1);
}

#[test]
fn a_partition_key_that_kinesis_refuses_is_refused() {
    let mut aggregator = Aggregator::new(LARGE);
    assert_eq!(aggregator.add("", None, "x"), Err(NotAdded::PartitionKey(0)));
    assert_eq!(aggregator.add(&"é".repeat(257), None, "x"), Err(NotAdded::PartitionKey(257)));
    assert_eq!(aggregator.add(&"é".repeat(256), None, "x"), Ok(None));
}

#[test]
fn a_record_that_none_of_the_shards_takes_is_refused() {
    let mut aggregators = Aggregators::new([HashRange { start: 0, end: 9 }], LARGE);
    assert_eq!(aggregators.add("a", Some(10), "x"), Err(NotAdded::NoShard { hash_key: 10 }));
}

fn users() -> impl Strategy<Value = Vec<(String, Option<u128>, Vec<u8>)>> {
    let user =
        ("[a-e]{1,3}|é{1,80}", any::<Option<u128>>(), prop::collection::vec(any::<u8>(), 0..200));
    prop::collection::vec(user, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_aggregated_comes_out_within_the_bound(users in users(), most in 500_usize..5_000) {
        let mut aggregator = Aggregator::new(most);
        let mut sent = Vec::new();
        for (key, hash_key, data) in &users {
            sent.extend(aggregator.add(key, *hash_key, data.clone()).unwrap());
        }
        sent.extend(aggregator.finish());
        let mut back = Vec::new();
        for aggregated in sent {
            prop_assert!(aggregated.data.len() + aggregated.partition_key.len() <= most);
            let (count, hash_key) = (aggregated.user_records, aggregated.explicit_hash_key);
            let key = PartitionKey::from(aggregated.partition_key.as_str());
            let outer = Record { partition_key: Some(key), explicit_hash_key: hash_key, ..of_kinesis(aggregated.data) };
            let (records, unpacked) = unpack_all(outer);
            prop_assert!(!unpacked.is_damaged);
            prop_assert_eq!(records.len(), count);
            back.extend(records);
        }
        let back: Vec<_> = back.iter().map(|it| {
            (it.partition_key.as_ref().unwrap().as_str().to_owned(), it.explicit_hash_key, it.data.to_vec())
        }).collect();
        prop_assert_eq!(back, users);
    }

    #[test]
    fn no_user_record_lands_outside_its_shard_and_each_key_keeps_its_order(users in users(), cuts in prop::collection::vec(1..u128::MAX, 0..5)) {
        let mut starts: Vec<_> = cuts.into_iter().chain([0]).collect();
        starts.sort_unstable();
        starts.dedup();
        let end = |at: usize| starts.get(at + 1).map_or(u128::MAX, |next| next - 1);
        let ranges: Vec<_> = starts.iter().enumerate().map(|(at, &start)| HashRange { start, end: end(at) }).collect();
        let mut aggregators = Aggregators::new(ranges.clone(), 700);
        let mut sent = Vec::new();
        for (number, (key, hash_key, _)) in users.iter().enumerate() {
            sent.extend(aggregators.add(key, *hash_key, number.to_string()).unwrap());
        }
        sent.extend(aggregators.finish());
        let mut last_of_key = std::collections::HashMap::new();
        let mut count = 0;
        for aggregated in sent {
            let hash_key = aggregated.explicit_hash_key.unwrap_or_else(|| hash_key(aggregated.partition_key.as_bytes()));
            let range = ranges.iter().find(|range| (range.start..=range.end).contains(&hash_key)).copied();
            let key = PartitionKey::from(aggregated.partition_key.as_str());
            let outer = Record { partition_key: Some(key), explicit_hash_key: aggregated.explicit_hash_key, ..of_kinesis(aggregated.data) };
            let mut records = Vec::new();
            let unpacked = unpack(outer, range, OutsideShard::Drop, &mut records);
            prop_assert_eq!(unpacked.outside.0, 0);
            for record in records {
                let number: usize = std::str::from_utf8(&record.data).unwrap().parse().unwrap();
                let key = (record.partition_key.clone(), record.explicit_hash_key);
                prop_assert!(last_of_key.insert(key, number).is_none_or(|last| last < number));
                count += 1;
            }
        }
        prop_assert_eq!(count, users.len());
    }

    #[test]
    fn whatever_bytes_come_either_all_of_them_are_taken_apart_or_they_are_delivered_whole(
        message in prop::collection::vec(any::<u8>(), 0..300), flip: usize, users in users(),
    ) {
        let mut aggregator = Aggregator::new(LARGE);
        for (key, hash_key, data) in &users {
            aggregator.add(key, *hash_key, data.clone()).unwrap();
        }
        let sound = aggregator.finish().unwrap().data;
        let mut flipped = sound[MAGIC.len().min(sound.len())..sound.len().saturating_sub(DIGEST).max(MAGIC.len()).min(sound.len())].to_vec();
        if !flipped.is_empty() {
            let at = flip % flipped.len();
            flipped[at] ^= 1 << (flip % 8);
        }
        for message in [message, flipped] {
            let record = of_kinesis(wrap(&message));
            let (records, unpacked) = unpack_all(record.clone());
            if unpacked.is_damaged {
                prop_assert_eq!(records, [record]);
            } else {
                let expected = Message::decode(message.as_slice()).unwrap().records.len();
                prop_assert_eq!(records.len(), expected);
            }
        }
    }
}
