use super::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn stored(body: &str, group: Option<&str>) -> Stored {
    let message = Message { body: body.into(), group: group.map(Into::into), ..Message::default() };
    Stored {
        id: body.into(),
        message,
        sent_ms: 0,
        receives: 0,
        first_received_ms: None,
        sequence_number: None,
        source_arn: None,
    }
}

fn standard(bodies: &[&str]) -> Store {
    let mut store = Store::new(false);
    for body in bodies {
        store.put(stored(body, None), 0, 0);
    }
    store
}

fn take(max: usize, visibility_ms: u64) -> Take {
    Take { max, visibility_ms, receives_max: None }
}

fn bodies(taken: &Taken) -> Vec<&str> {
    taken.received.iter().map(|(_, stored)| stored.message.body.as_str()).collect()
}

#[test]
fn a_message_in_flight_is_hidden_until_its_timeout_ends() {
    let mut store = standard(&["a"]);
    assert_eq!(bodies(&store.take(take(10, 30), 0).unwrap()), ["a"]);
    assert_eq!(store.next_change_ms(), Some(30));
    store.tick(29, DAY_MS);
    assert!(store.take(take(10, 30), 29).unwrap().received.is_empty());
    store.tick(30, DAY_MS);
    let again = store.take(take(10, 30), 30).unwrap();
    assert_eq!(again.received[0].1.receives, 2);
    assert_eq!(again.received[0].1.first_received_ms, Some(0));
}

#[test]
fn a_delayed_message_is_counted_as_such_and_appears_when_due() {
    let mut store = Store::new(false);
    store.put(stored("a", None), 5, 0);
    assert_eq!((store.ready(), store.delayed(), store.in_flight()), (0, 1, 0));
    store.tick(5, DAY_MS);
    assert_eq!((store.ready(), store.delayed(), store.in_flight()), (1, 0, 0));
}

#[test]
fn the_receipt_of_an_earlier_hand_out_deletes_nothing() {
    let mut store = standard(&["a"]);
    let first = store.take(take(1, 10), 0).unwrap().received[0].0;
    store.tick(10, DAY_MS);
    let second = store.take(take(1, 10), 10).unwrap().received[0].0;
    assert!(!store.delete(first));
    assert_eq!(store.in_flight(), 1);
    assert!(store.delete(second));
    assert_eq!(store.in_flight(), 0);
}

#[test]
fn a_message_that_appeared_again_can_still_be_deleted_by_its_last_receipt() {
    let mut store = standard(&["a"]);
    let receipt = store.take(take(1, 10), 0).unwrap().received[0].0;
    store.tick(10, DAY_MS);
    assert!(store.delete(receipt));
    assert_eq!(store.ready(), 0);
}

#[test]
fn visibility_can_be_extended_to_twelve_hours_from_the_receive_and_ended_at_once() {
    let mut store = standard(&["a"]);
    let receipt = store.take(take(1, 10), 0).unwrap().received[0].0;
    let rest = VISIBILITY_TOTAL_MAX_MS - 5;
    assert!(store.change_visibility(receipt, rest + 1, 5).is_err());
    store.change_visibility(receipt, rest, 5).unwrap();
    store.change_visibility(receipt, 0, 6).unwrap();
    assert_eq!(store.ready(), 1);
    assert_eq!(store.change_visibility(receipt, 10, 7), Err(Error::MessageNotInflight));
}

#[test]
fn a_message_handed_out_too_often_is_given_up_and_the_next_is_received() {
    let mut store = standard(&["poison"]);
    let how = Take { receives_max: Some(1), ..take(1, 10) };
    store.take(how, 0).unwrap();
    store.tick(10, DAY_MS);
    store.put(stored("sound", None), 10, 10);
    let taken = store.take(how, 10).unwrap();
    assert_eq!(bodies(&taken), ["sound"]);
    assert_eq!(taken.given_up[0].message.body, "poison");
    assert_eq!(store.ready(), 0);
}

#[test]
fn a_standard_message_that_comes_back_waits_behind_the_others() {
    let mut store = standard(&["a", "b"]);
    store.take(take(1, 10), 0).unwrap();
    store.tick(10, DAY_MS);
    assert_eq!(bodies(&store.take(take(2, 10), 10).unwrap()), ["b", "a"]);
}

#[test]
fn a_group_in_flight_gives_out_nothing_and_keeps_its_order() {
    let mut store = Store::new(true);
    for (body, group) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
        store.put(stored(body, Some(group)), 0, 0);
    }
    assert_eq!(bodies(&store.take(take(2, 10), 0).unwrap()), ["a1", "a2"]);
    assert_eq!(bodies(&store.take(take(10, 20), 0).unwrap()), ["b1"]);
    store.tick(10, DAY_MS);
    assert_eq!(bodies(&store.take(take(10, 10), 10).unwrap()), ["a1", "a2", "a3"]);
}

#[test]
fn a_message_older_than_the_retention_is_forgotten() {
    let mut store = standard(&["a"]);
    store.tick(DAY_MS - 1, DAY_MS);
    assert_eq!(store.ready(), 1);
    store.tick(DAY_MS, DAY_MS);
    assert_eq!(store.ready(), 0);
    assert!(store.take(take(1, 1), DAY_MS).unwrap().received.is_empty());
}

#[test]
fn a_receive_without_timeout_leaves_the_message_ready() {
    let mut store = standard(&["a"]);
    store.take(take(1, 0), 0).unwrap();
    assert_eq!((store.ready(), store.in_flight()), (1, 0));
}

/// Any order of operations: no message is lost, none is in two places, and the counts add up.
#[test]
fn every_message_is_in_exactly_one_place_whatever_happens() {
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut store = Store::new(random.bool());
        let (mut now, mut put, mut gone) = (0, 0, 0);
        let mut receipts = Vec::new();
        for _ in 0..100 {
            now += random.u64(0..5);
            store.tick(now, DAY_MS);
            match random.u8(0..5) {
                0 | 1 => {
                    let group = random.bool().then_some("g");
                    store.put(stored("m", group), now + random.u64(0..10), now);
                    put += 1;
                }
                2 => {
                    let how = Take { receives_max: Some(3), ..take(2, random.u64(0..10)) };
                    let taken = store.take(how, now).unwrap();
                    gone += taken.given_up.len();
                    receipts.extend(taken.received.into_iter().map(|(receipt, _)| receipt));
                }
                3 if !receipts.is_empty() => {
                    let receipt = receipts.swap_remove(random.usize(..receipts.len()));
                    gone += usize::from(store.delete(receipt));
                }
                _ => {
                    let receipt = receipts.last().copied();
                    // Refused when the message is not in flight, which is one of the orders to try.
                    receipt.map(|receipt| {
                        store.change_visibility(receipt, random.u64(0..10), now).ok()
                    });
                }
            }
            let placed = store.ready() + store.delayed() + store.in_flight();
            assert_eq!((placed, store.slots.len()), (put - gone, put - gone), "seed {seed}");
        }
    }
}

/// Puts `count` messages of a group into a store, numbered.
fn put(store: &mut Store, group: &str, count: usize) {
    for number in 0..count {
        store.put(stored(&format!("{group}{number}"), Some(group)), 0, 0);
    }
}

#[test]
fn quiet_groups_are_handed_out_before_noisy_ones_and_noisy_ones_before_nothing() {
    let mut store = Store::new(false);
    put(&mut store, "noisy", 31);
    put(&mut store, "quiet", 2);
    store.put(stored("none", None), 0, 0);
    store.take(take(29, 10), 0).unwrap();
    assert_eq!(bodies(&store.take(take(1, 10), 0).unwrap()), ["noisy29"], "29 are not noisy");
    let next = store.take(take(10, 10), 0).unwrap();
    assert_eq!(bodies(&next), ["quiet0", "quiet1", "none", "noisy30"]);
}

#[test]
fn a_noisy_group_is_quiet_again_when_its_messages_are_settled() {
    let mut store = Store::new(false);
    put(&mut store, "noisy", 32);
    put(&mut store, "quiet", 1);
    let taken = store.take(take(30, 10), 0).unwrap();
    store.delete(taken.received[0].0);
    assert_eq!(bodies(&store.take(take(1, 10), 0).unwrap()), ["noisy30"]);
    store.change_visibility(taken.received[1].0, 0, 0).unwrap();
    assert_eq!(bodies(&store.take(take(1, 10), 0).unwrap()), ["noisy31"]);
}
