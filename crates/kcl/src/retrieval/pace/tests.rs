use proptest::prelude::*;

use super::*;

const READ_INTERVAL: Duration = Duration::from_millis(220);
const IDLE_INTERVAL: Duration = Duration::from_millis(500);
const MEGABYTE: usize = 1 << 20;

/// Plays calls in virtual time; nothing sleeps.
struct Play {
    pace: Pace,
    now: Instant,
    began: Instant,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        Self { pace: Pace::new(READ_INTERVAL, IDLE_INTERVAL, now), now, began: now }
    }

    /// Makes a call as soon as allowed. When it was made.
    fn call(&mut self, call: Call, took: Duration) -> Duration {
        self.now = self.now.max(self.pace.at(call));
        self.pace.begin(call, self.now);
        let at = self.now - self.began;
        self.now += took;
        self.pace.end(call, self.now);
        at
    }

    fn read(&mut self, bytes: usize, at_tip: bool) -> Duration {
        let at = self.call(Call::GetRecords, Duration::ZERO);
        self.pace.read(bytes, at_tip, self.now);
        at
    }

    /// Time from this read to the next.
    fn gap(&mut self, bytes: usize, at_tip: bool) -> Duration {
        let at = self.read(bytes, at_tip);
        self.pace.at(Call::GetRecords) - self.began - at
    }
}

#[test]
fn an_empty_shard_is_asked_less_and_less_often_until_a_record_comes() {
    let mut play = Play::new();
    let gaps: Vec<_> = (0..5).map(|_| play.gap(0, true).as_millis()).collect();
    assert_eq!(gaps, [220, 440, 500, 500, 500]);
    assert_eq!(play.gap(1, true), READ_INTERVAL);
    assert_eq!(play.gap(0, true), READ_INTERVAL);
}

#[test]
fn an_empty_answer_behind_the_tip_is_no_reason_to_wait() {
    let mut play = Play::new();
    for _ in 0..20 {
        assert_eq!(play.gap(0, false), READ_INTERVAL);
    }
}

#[test]
fn ten_megabytes_are_followed_by_five_seconds_of_rest() {
    let mut play = Play::new();
    assert_eq!(play.gap(10 * MEGABYTE, false), Duration::from_secs(5));
}

#[test]
fn throttling_is_over_a_second_after_its_end_at_the_latest() {
    let mut play = Play::new();
    for _ in 0..50 {
        play.call(Call::GetRecords, Duration::ZERO);
        play.pace.refused(true, 1.0, play.now);
        assert!(play.pace.at(Call::GetRecords) <= play.now + THROTTLED_MOST);
        assert!(play.pace.at(Call::GetShardIterator) > play.now, "one pause for both");
    }
    play.read(1, false);
    play.pace.refused(true, 1.0, play.now);
    assert_eq!(play.pace.paused_until - play.now, PAUSE_LEAST, "it begins anew after success");
}

#[derive(Clone, Debug)]
enum Step {
    Read {
        bytes: usize,
        at_tip: bool,
        took: u64,
    },
    Throttled {
        part: f64,
    },
    Failed {
        part: f64,
    },
    Open {
        took: u64,
    },
    /// Nobody called for so long.
    Away {
        millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop_oneof![Just(0), 0..10 * MEGABYTE], any::<bool>(), 0..400_u64)
            .prop_map(|(bytes, at_tip, took)| Step::Read { bytes, at_tip, took }),
        2 => (0.0..=1.0).prop_map(|part| Step::Throttled { part }),
        1 => (0.0..=1.0).prop_map(|part| Step::Failed { part }),
        2 => (0..400_u64).prop_map(|took| Step::Open { took }),
        1 => (0..3_000_u64).prop_map(|millis| Step::Away { millis }),
    ]
}

/// Whether Kinesis, that may count a call at any time between its begin and its end, can count more than five in
/// a second.
fn crowded(calls: &[(Duration, Duration)]) -> bool {
    let late_to_early =
        calls.windows(CALLS_MAX + 1).map(|six| six[CALLS_MAX].0.saturating_sub(six[0].1));
    late_to_early.min().is_some_and(|least| least < Duration::from_secs(1))
}

proptest! {
    #[test]
    fn no_second_holds_more_than_five_calls_and_no_stretch_more_than_its_bytes(
        interval in 1_u64..400,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut play = Play::new();
        play.pace.read_interval = Duration::from_millis(interval);
        let (mut reads, mut opens, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            let (call, took) = match &step {
                Step::Read { took, .. } => (Call::GetRecords, *took),
                Step::Open { took } => (Call::GetShardIterator, *took),
                Step::Throttled { .. } | Step::Failed { .. } => (Call::GetRecords, 5),
                Step::Away { millis } => {
                    play.now += Duration::from_millis(*millis);
                    continue;
                }
            };
            let at = play.call(call, Duration::from_millis(took));
            let ended = play.now - play.began;
            match step {
                Step::Read { bytes, at_tip, .. } => {
                    play.pace.read(bytes, at_tip, play.now);
                    sizes.push((at, bytes));
                }
                Step::Throttled { part } => play.pace.refused(true, part, play.now),
                Step::Failed { part } => play.pace.refused(false, part, play.now),
                Step::Open { .. } | Step::Away { .. } => play.pace.opened(),
            }
            if call == Call::GetRecords { &mut reads } else { &mut opens }.push((at, ended));
        }
        prop_assert!(!crowded(&reads), "{reads:?}");
        prop_assert!(!crowded(&opens), "{opens:?}");
        for (first, (from, _)) in sizes.iter().enumerate() {
            let mut sum = 0;
            for (to, bytes) in &sizes[first..] {
                #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
                let paid = sum as f64 / BYTES_PER_SECOND;
                let passed = (*to - *from).as_secs_f64();
                prop_assert!(paid <= passed + 1e-6, "{sum} bytes in {passed} s");
                sum += bytes;
            }
        }
    }
}
