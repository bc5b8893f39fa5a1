use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn seen(started: Instant, latency: Duration, fared: Fared) -> Observation {
    Observation { started, ended: started + latency, fared, kind: 0, demand: true }
}

/// Feeds handlers one after the other, each of this latency.
fn feed(limiter: &mut Limiter, at: &mut Instant, latency: Duration, times: usize) {
    for _ in 0..times {
        limiter.on(seen(*at, latency, Fared::Well));
        *at += latency;
    }
}

fn anything() -> impl Strategy<Value = (u64, u64, u8, usize, bool)> {
    (0u64..2_000, 0u64..60_000, 0u8..3, 0usize..4, any::<bool>())
}

/// The observations of such a history, begun in order.
fn history(parts: &[(u64, u64, u8, usize, bool)], start: Instant) -> Vec<Observation> {
    let mut at = start;
    let observation = |&(pause, latency, fared, kind, demand): &(u64, u64, u8, usize, bool)| {
        at += MS * u32::try_from(pause).unwrap();
        let fared = [Fared::Well, Fared::Ill, Fared::Pressed][usize::from(fared)];
        let ended = at + MS * u32::try_from(latency).unwrap();
        Observation { started: at, ended, fared, kind, demand }
    };
    parts.iter().map(observation).collect()
}

proptest! {
    #[test]
    fn the_limit_stays_between_floor_and_maximum_whatever_happens(
        least in 0usize..20, most in 0usize..200, parts in prop::collection::vec(anything(), 0..400),
    ) {
        let mut limiter = Limiter::new(least, most);
        let (least, most) = (least.max(1), most.max(least).max(1));
        for observation in history(&parts, Instant::now()) {
            let before = limiter.limit();
            let limit = limiter.on(observation);
            prop_assert!((least..=most).contains(&limit), "{limit}");
            prop_assert!(limit <= before + 1 && limit >= (before / 2).max(least));
        }
    }

    #[test]
    fn the_limit_recovers_after_the_pressure_ends_whatever_it_was(
        most in 1usize..50, latency in 0u64..5_000, parts in prop::collection::vec(anything(), 0..400),
    ) {
        let start = Instant::now();
        let mut limiter = Limiter::new(1, most);
        for observation in history(&parts, start) {
            limiter.on(observation);
        }
        let mut at = start + Duration::from_hours(24);
        // The baseline has to follow first, then there is a window for each step.
        let steps = 1_000 + (1..=most).map(|limit| limit.max(WINDOW_LEAST)).sum::<usize>();
        feed(&mut limiter, &mut at, MS * u32::try_from(latency).unwrap(), steps);
        prop_assert_eq!(limiter.limit(), most);
    }

    #[test]
    fn a_steady_load_never_lowers_the_limit(
        most in 1usize..50, base in 1u32..1_000, noise in prop::collection::vec(1.0..2.9f64, 1..500),
    ) {
        let mut limiter = Limiter::new(1, most);
        let mut at = Instant::now();
        for factor in noise {
            feed(&mut limiter, &mut at, (MS * base).mul_f64(factor), 1);
            prop_assert_eq!(limiter.limit(), most);
        }
    }

    #[test]
    fn without_demand_the_limit_does_not_rise(
        parts in prop::collection::vec(anything(), 0..400),
    ) {
        let mut limiter = Limiter::new(1, 64);
        let mut before = 64;
        for observation in history(&parts, Instant::now()) {
            let limit = limiter.on(Observation { demand: false, ..observation });
            prop_assert!(limit <= before);
            before = limit;
        }
    }
}

#[test]
fn many_signs_of_one_round_trip_halve_the_limit_once() {
    let mut limiter = Limiter::new(1, 64);
    let start = Instant::now();
    for _ in 0..64 {
        limiter.on(seen(start, 50 * MS, Fared::Pressed));
    }
    assert_eq!(limiter.limit(), 32);
    assert_eq!(limiter.on(seen(start + 50 * MS, 50 * MS, Fared::Pressed)), 16);
}

#[test]
fn latency_far_above_its_own_baseline_halves_the_limit_and_becomes_the_baseline() {
    let mut limiter = Limiter::new(1, 64);
    let mut at = Instant::now();
    feed(&mut limiter, &mut at, 20 * MS, 500);
    assert_eq!(limiter.limit(), 64);
    feed(&mut limiter, &mut at, 200 * MS, SAMPLES);
    assert_eq!(limiter.limit(), 32);
    feed(&mut limiter, &mut at, 200 * MS, 5_000);
    assert_eq!(limiter.limit(), 64, "what lasts is no pressure");
}

#[test]
fn a_few_slow_events_and_slow_events_of_a_slow_kind_decide_nothing() {
    let mut limiter = Limiter::new(1, 64);
    let mut at = Instant::now();
    for round in 0..100 {
        feed(&mut limiter, &mut at, 10 * MS, 12);
        feed(&mut limiter, &mut at, 1_000 * MS, usize::from(round % 4 == 0) * 5);
    }
    for _ in 0..200 {
        limiter.on(Observation { kind: 1, ..seen(at, 2_000 * MS, Fared::Well) });
    }
    assert_eq!(limiter.limit(), 64);
}

#[test]
fn a_failure_that_has_nothing_to_do_with_load_changes_nothing() {
    let mut limiter = Limiter::new(1, 8);
    for _ in 0..100 {
        assert_eq!(limiter.on(seen(Instant::now(), MS, Fared::Ill)), 8);
    }
}

/// What a downstream did in a simulated time.
struct Ran {
    done: usize,
    throttled: usize,
    highest: usize,
    lowest: usize,
}

/// Runs for `seconds`, with more events than anybody can handle. The downstream takes `capacity` calls at once, for
/// 50 ms each, and refuses what is beyond, after 20 ms of the caller's own attempts.
fn run(limiter: &mut Limiter, at: &mut Instant, capacity: usize, seconds: u32) -> Ran {
    let mut ran = Ran { done: 0, throttled: 0, highest: 0, lowest: usize::MAX };
    let end = *at + Duration::from_secs(seconds.into());
    let mut working = BinaryHeap::new();
    let mut taken = 0;
    while *at < end {
        while working.len() < limiter.limit() {
            let fits = taken < capacity;
            taken += usize::from(fits);
            let latency = if fits { 50 * MS } else { 20 * MS };
            working.push(std::cmp::Reverse((*at + latency, *at, fits)));
        }
        let Some(std::cmp::Reverse((ended, started, fits))) = working.pop() else { break };
        *at = ended;
        taken -= usize::from(fits);
        let fared = if fits { Fared::Well } else { Fared::Pressed };
        limiter.on(Observation { started, ended, fared, kind: 0, demand: true });
        ran.done += usize::from(fits);
        ran.throttled += usize::from(!fits);
        ran.highest = ran.highest.max(limiter.limit());
        ran.lowest = ran.lowest.min(limiter.limit());
    }
    ran
}

#[test]
fn throughput_settles_near_the_capacity_of_the_downstream_with_few_throttles() {
    for capacity in [1, 3, 20, 75] {
        let (mut limiter, mut at) = (Limiter::new(1, 200), Instant::now());
        run(&mut limiter, &mut at, capacity, 30);
        let ran = run(&mut limiter, &mut at, capacity, 300);
        let possible = capacity * 300 * 20;
        assert!(ran.done * 10 >= possible * 7, "{} of {possible}", ran.done);
        assert!(ran.throttled * 100 <= ran.done * 6, "{} in {}", ran.throttled, ran.done);
        assert!(ran.highest <= capacity + 1 && ran.lowest >= (capacity / 2).max(1));
    }
}

#[test]
fn the_limit_follows_a_capacity_that_goes_and_comes_back() {
    let (mut limiter, mut at) = (Limiter::new(1, 40), Instant::now());
    run(&mut limiter, &mut at, 100, 10);
    assert_eq!(limiter.limit(), 40);
    run(&mut limiter, &mut at, 5, 10);
    assert!(limiter.limit() <= 6, "{}", limiter.limit());
    run(&mut limiter, &mut at, 100, 10);
    assert_eq!(limiter.limit(), 40);
}
