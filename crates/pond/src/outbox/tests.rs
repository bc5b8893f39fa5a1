use event::Event;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::outbox::entry::time;

fn reason(code: &str) -> CancellationReason {
    CancellationReason::builder().code(code).build()
}

fn of(codes: &[&str]) -> Meaning {
    meaning(&codes.iter().map(|code| reason(code)).collect::<Vec<_>>())
}

#[test]
fn the_reasons_of_a_cancelled_commit_are_told_apart() {
    let (none, failed, conflict) = ("None", "ConditionalCheckFailed", "TransactionConflict");
    assert_eq!(of(&[none, failed]), Meaning::Done);
    assert_eq!(of(&[failed, failed]), Meaning::Done);
    assert_eq!(of(&[failed, none]), Meaning::Refused(vec![reason(failed)]));
    assert_eq!(
        of(&[conflict, failed, none]),
        Meaning::Refused(vec![reason(conflict), reason(failed)])
    );
    assert_eq!(of(&[conflict, none]), Meaning::Again);
    assert_eq!(of(&[none, "ThrottlingError"]), Meaning::Again);
    assert_eq!(of(&[none, none]), Meaning::Refused(vec![reason(none)]));
    assert_eq!(of(&[]), Meaning::Refused(vec![]));
}

#[test]
fn an_entry_is_read_as_it_was_written_and_no_two_have_one_key() {
    let at = Timestamp::from_second(7).unwrap();
    let events =
        [Event::root("A", "test", json!({"n": 1}), at), Event::root("B", "test", json!({}), at)];
    let entry = Entry::new("o", at, &events);
    let read = Entry::from_item(&entry.to_item()).unwrap();
    assert_eq!(read, entry);
    assert_eq!(read.parse().unwrap(), events);
    assert_ne!(Entry::new("o", at, &events).sk, entry.sk);
    let mut item = entry.to_item();
    item.insert("events".into(), item::text("odd"));
    assert_eq!(Entry::from_item(&item), Err("events"));
}

#[test]
fn keys_sort_as_times_do() {
    let times = [-5, 0, 9, 10, 1_000_000_000].map(|second| Timestamp::from_second(second).unwrap());
    assert!(times.map(time).is_sorted());
}
