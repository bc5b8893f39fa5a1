//! The deterministic simulator of the library.
//!
//! A run is a function of its seed: a fleet of workers, each the real library with the real AWS SDK clients,
//! shares an embedded AWS ([`local_aws`]) on virtual time. Each worker is a process of its own: a tokio runtime
//! whose paused clock moves only when the simulator steps it, by 1 to 40 ms, in an order drawn anew for every
//! step. So a process can be stopped while the world goes on, suspended with its clock, run fast or slow, be
//! killed between any two steps, and crash before any of its requests arrives or before the reply does.
//! Requests are delayed, throttled, refused and lost on the way there and on the way back. Meanwhile a producer
//! numbers its records, shards split and merge, workers come and go. What happens is written into one history,
//! and [`invariants`] are functions over that.
//!
//! Seed `n` runs scenario `n` modulo their number (`scenario::SCENARIOS`), so that a few seeds in a row cover
//! every kind of fault.
//!
//! ```text
//! cargo test -p kcl --test simulator                                            # what CI runs: some 20 s
//! KCL_SIM_SEEDS=5000 cargo test -p kcl --test simulator -- --nocapture many     # a long run
//! KCL_SIM_FIRST=5000 KCL_SIM_SEEDS=5000 cargo test ...                          # the next 5,000 seeds
//! KCL_SIM_SEED=123 cargo test -p kcl --test simulator -- --nocapture one_seed   # one seed, with its history
//! ```
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod history;
mod invariants;
mod life;
mod process;
mod producer;
mod scenario;
mod table;
mod weather;
mod wire;
mod worker;
mod world;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use history::History;

/// As many seeds as this allows are run where their number is not given.
const BUDGET: Duration = Duration::from_secs(20);

fn asked(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how a seed is chosen from outside")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn stopwatch() -> impl Fn() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the budget is in seconds of the machine")]
    let since = std::time::Instant::now();
    move || since.elapsed()
}

/// What is wrong with a seed, with the command that shows it.
fn complaint(seed: u64, history: &History) -> Option<String> {
    let knobs = scenario::of_seed(seed);
    let broken = invariants::broken(history, knobs.is_gentle());
    let again =
        format!("KCL_SIM_SEED={seed} cargo test -p kcl --test simulator -- --nocapture one_seed");
    (!broken.is_empty())
        .then(|| format!("seed {seed} ({}):\n  {}\n  {again}", knobs.name, broken.join("\n  ")))
}

/// What a series of seeds came to.
#[derive(Default)]
struct Series {
    seeds: u64,
    entries: usize,
    repeated: usize,
    slowest: Option<(u64, u64)>,
    complaints: Vec<(u64, String)>,
}

impl Series {
    fn add(&mut self, seed: u64, history: &History) {
        self.seeds += 1;
        self.entries += history.len();
        self.repeated += invariants::duplicates(history);
        self.slowest = self.slowest.max(invariants::settling_ms(history).map(|ms| (ms, seed)));
        let complaint = complaint(seed, history);
        // At once, for a long run.
        complaint.iter().for_each(|complaint| println!("{complaint}"));
        self.complaints.extend(complaint.map(|complaint| (seed, complaint)));
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.entries += other.entries;
        self.repeated += other.repeated;
        self.slowest = self.slowest.max(other.slowest);
        self.complaints.extend(other.complaints);
    }
}

/// Runs seeds from `first` on, on all processors: a run is at home in one thread and shares nothing.
fn run_series(first: u64, goes_on: impl Fn(u64) -> bool + Sync) -> Series {
    let next = AtomicU64::new(0);
    let work = || {
        let mut series = Series::default();
        loop {
            let done = next.fetch_add(1, Relaxed);
            if !goes_on(done) {
                return series;
            }
            series.add(first + done, &world::run(first + done));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = Series::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| all.join(thread.join().unwrap()));
    });
    all.complaints.sort_unstable();
    all
}

#[test]
fn many_seeds_keep_every_invariant() {
    let elapsed = stopwatch();
    let least = scenario::SCENARIOS.len() as u64;
    let wanted = asked("KCL_SIM_SEEDS");
    let first = asked("KCL_SIM_FIRST").unwrap_or_default();
    let series = run_series(first, |done| match wanted {
        Some(wanted) => done < wanted,
        None => done < least || elapsed() < BUDGET,
    });
    let Series { seeds, entries, repeated, slowest, complaints } = series;
    println!(
        "{seeds} seeds from {first} in {:?}: {} failed, {entries} entries, {repeated} records twice, \
         slowest to settle {slowest:?} (ms, seed)",
        elapsed(),
        complaints.len(),
    );
    let complaints: Vec<_> = complaints.into_iter().map(|(_, complaint)| complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn replay_is_identical() {
    let seed = u64::try_from(scenario::SCENARIOS.len()).unwrap() - 1;
    let (first, second) = (world::run(seed), world::run(seed));
    let differ = first.iter().zip(&second).find(|(one, other)| one != other);
    if let Some((one, other)) = differ {
        panic!("seed {seed} differs from itself:\n  {one}\n  {other}");
    }
    assert_eq!(first.len(), second.len());
    assert!(first.len() > 500, "a history of {} entries proves little", first.len());
}

/// Runs the seed of `KCL_SIM_SEED`, if there is one, and prints its history.
#[test]
fn one_seed() {
    let Some(seed) = asked("KCL_SIM_SEED") else { return };
    let elapsed = stopwatch();
    let history = world::run(seed);
    for entry in &history {
        println!("{entry}");
    }
    println!("seed {seed} ({}) in {:?}", scenario::of_seed(seed).name, elapsed());
    if let Some(complaint) = complaint(seed, &history) {
        panic!("{complaint}");
    }
}
