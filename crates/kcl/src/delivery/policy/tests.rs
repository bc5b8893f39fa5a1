use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::SequenceNumber;

const HOUR: u64 = 3_600;

fn at(sequence: u64) -> Position {
    let sequence = SequenceNumber::parse(&sequence.to_string()).unwrap();
    Position { sequence, sub_sequence: 0 }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(100 * HOUR)
}

/// A record that arrived so many seconds ago.
fn aged(sequence: u64, seconds: u64) -> Record {
    Record {
        position: at(sequence),
        partition_key: None,
        explicit_hash_key: None,
        data: Bytes::new(),
        arrived_at: Some(now() - Duration::from_secs(seconds)),
    }
}

fn young(many: u64) -> Vec<Record> {
    (0..many).map(|n| aged(n, 0)).collect()
}

fn part(failure: &Failure, records: &[Record], tries: u32, attempts: Attempts) -> Parting {
    match after(failure, records, tries, attempts, now()) {
        Verdict::Part(parting) => parting,
        Verdict::Stop => panic!("stopped"),
    }
}

fn most(most: u32) -> Attempts {
    Attempts { most: Some(most), ..Attempts::default() }
}

#[test]
fn a_failed_batch_comes_again_for_ever_by_default() {
    let parting = part(&Failure::retry("no"), &young(3), 1_000, Attempts::default());
    assert_eq!(parting, Parting { again: vec![vec![0, 1, 2]], counts: true, ..Parting::default() });
}

#[test]
fn a_batch_is_dead_after_its_last_attempt() {
    let failure = Failure::retry("no");
    assert_eq!(part(&failure, &young(2), 2, most(3)).again, [[0, 1]]);
    assert_eq!(part(&failure, &young(2), 3, most(3)).dead, [0, 1]);
}

#[test]
fn only_the_records_that_failed_come_again() {
    let failure = Failure::partial(vec![at(2), at(1)], "no");
    let parting = part(&failure, &young(4), 1, most(3));
    assert_eq!((parting.accepted, parting.again), (vec![0, 3], vec![vec![1, 2]]));
    let parting = part(&failure, &young(4), 3, most(3));
    assert_eq!((parting.accepted, parting.dead), (vec![0, 3], vec![1, 2]));
}

#[test]
fn a_failure_of_no_record_is_none() {
    let parting = part(&Failure::partial(Vec::new(), "no"), &young(2), 3, most(3));
    assert_eq!(parting, Parting { accepted: vec![0, 1], counts: true, ..Parting::default() });
}

#[test]
fn a_foreign_position_makes_the_whole_batch_fail() {
    let failure = Failure::partial(vec![at(1), at(99)], "no");
    let parting = part(&failure, &young(3), 1, Attempts::default());
    assert_eq!((parting.accepted, parting.again), (vec![], vec![vec![0, 1, 2]]));
}

#[test]
fn only_records_that_are_too_old_are_given_up_for_their_age() {
    let attempts = Attempts { age_max: Some(Duration::from_secs(HOUR)), ..Attempts::default() };
    let mut records = vec![aged(0, 2 * HOUR), aged(1, HOUR + 1), aged(2, HOUR), aged(3, 0)];
    records.push(Record { arrived_at: None, ..aged(4, 0) });
    let parting = part(&Failure::retry("no"), &records, 1, attempts);
    assert_eq!((parting.dead, parting.again), (vec![0, 1], vec![vec![2, 3, 4]]));
}

#[test]
fn a_batch_is_halved_even_after_its_last_attempt_and_halving_takes_none() {
    let attempts = Attempts { bisect: true, ..most(1) };
    let parting = part(&Failure::retry("no"), &young(5), 1, attempts);
    let again = vec![vec![0, 1, 2], vec![3, 4]];
    assert_eq!(parting, Parting { again, counts: false, ..Parting::default() });
    assert_eq!(part(&Failure::retry("no"), &young(1), 1, attempts).dead, [0]);
}

#[test]
fn what_the_processor_named_is_halved_only_before_it_is_dead() {
    let attempts = Attempts { bisect: true, ..most(2) };
    let failure = Failure::partial(vec![at(0), at(1)], "no");
    for (tries, again) in [(1, vec![vec![0, 1]]), (2, vec![vec![0], vec![1]])] {
        let parting = part(&failure, &young(3), tries, attempts);
        assert_eq!((parting.accepted, parting.dead, parting.again), (vec![2], vec![], again));
    }
}

#[test]
fn a_fatal_failure_stops_whatever_is_left_of_attempts() {
    let verdict = after(&Failure::fatal("no"), &young(2), 9, most(1), now());
    assert_eq!(verdict, Verdict::Stop);
}

#[test]
fn the_pause_that_a_failure_asks_for_is_kept() {
    let asked = Duration::from_secs(77);
    assert_eq!(pause(&Failure::retry("no").after(asked), 3, 0.5), asked);
}

proptest! {
    #[test]
    fn pauses_grow_within_their_bounds(tries: u32, jitter in 0.0..1.0) {
        let pause = pause(&Failure::retry("no"), tries, jitter);
        prop_assert!((PAUSE_LEAST..=PAUSE_MOST).contains(&pause));
        prop_assert!(pause <= PAUSE_LEAST.saturating_mul(2_u32.saturating_pow(tries)));
    }

    #[test]
    fn every_record_goes_one_way_and_in_order(
        ages in prop::collection::vec(0..2 * HOUR, 1..40),
        named in prop::option::of(prop::collection::vec(0_u64..45, 0..9)),
        tries in 1_u32..5,
        most in prop::option::of(1_u32..5),
        age_max in prop::option::of(0..2 * HOUR),
        bisect: bool,
    ) {
        let records: Vec<_> = ages.iter().zip(0..).map(|(age, n)| aged(n, *age)).collect();
        let failure = match named {
            Some(named) => Failure::partial(named.into_iter().map(at).collect(), "no"),
            None => Failure::retry("no"),
        };
        let attempts = Attempts { most, age_max: age_max.map(Duration::from_secs), bisect };
        let parting = part(&failure, &records, tries, attempts);
        let again: Vec<_> = parting.again.concat();
        for list in [&parting.accepted, &parting.dead, &again] {
            prop_assert!(list.is_sorted_by(|a, b| a < b));
        }
        let mut all = [parting.accepted, parting.dead.clone(), again].concat();
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..records.len()));
        prop_assert!(parting.again.iter().all(|list| !list.is_empty()));
        let may_die = most.is_some_and(|most| tries >= most) || age_max.is_some();
        prop_assert!(parting.dead.is_empty() || may_die);
        // Poison never takes a neighbour along.
        prop_assert!(!bisect || parting.dead.len() <= 1);
    }
}
