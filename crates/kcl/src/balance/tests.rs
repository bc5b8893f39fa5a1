use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;

const FAILOVER: Duration = Duration::from_secs(10);

fn seen(key: &str, owner: Option<&str>, idle_s: u64) -> Observed {
    let lease =
        Lease { owner: owner.map(str::to_owned), ..Lease::new(key, Checkpoint::TrimHorizon) };
    Observed { lease, idle: Duration::from_secs(idle_s) }
}

fn keys(observed: &[Observed], worker: &str) -> Vec<String> {
    let owned = observed.iter().filter(|seen| seen.lease.owner.as_deref() == Some(worker));
    let held = owned.map(|seen| seen.lease.key.clone()).collect();
    taken(observed, worker, &held)
}

fn taken(observed: &[Observed], worker: &str, held: &BTreeSet<String>) -> Vec<String> {
    names(&plan(observed, Me { held, ..me(worker) }))
}

fn names(plan: &Plan<'_>) -> Vec<String> {
    plan.get.iter().map(|lease| lease.key.clone()).collect()
}

static NONE: BTreeSet<String> = BTreeSet::new();

fn me(worker: &str) -> Me<'_> {
    let (balance, leases_max, moves_max) = (Balance::Count, usize::MAX, usize::MAX);
    Me { worker, held: &NONE, failover: FAILOVER, balance, leases_max, moves_max }
}

fn owned(n: usize, owner: &str) -> Vec<Observed> {
    (0..n).map(|i| seen(&format!("{owner}{i}"), Some(owner), 0)).collect()
}

/// Leases of `owner`, one for each figure of KB a second.
fn carrying(owner: &str, throughputs: &[f64]) -> Vec<Observed> {
    let mut leases = owned(throughputs.len(), owner);
    for (lease, throughput) in leases.iter_mut().zip(throughputs) {
        lease.lease.throughput = Some(*throughput);
    }
    leases
}

fn by_throughput(worker: &str) -> Me<'_> {
    Me { balance: Balance::Throughput, ..me(worker) }
}

#[test]
fn a_single_free_lease_is_taken_at_once() {
    assert_eq!(keys(&[seen("s0", None, 0)], "a"), ["s0"]);
}

#[test]
fn a_lease_whose_owner_was_heard_of_is_left_alone() {
    assert!(keys(&[seen("s0", Some("b"), 10)], "a").is_empty());
    assert_eq!(keys(&[seen("s0", Some("b"), 11)], "a"), ["s0"]);
}

#[test]
fn a_lease_with_my_name_that_i_do_not_hold_is_taken_back_at_once() {
    assert_eq!(taken(&[seen("s0", Some("a"), 0)], "a", &BTreeSet::new()), ["s0"]);
}

#[test]
fn a_lease_with_my_name_that_another_one_still_processes_is_left_to_it() {
    let mut promised = seen("s0", Some("a"), 10);
    promised.lease.checkpoint_owner = Some("b".into());
    assert!(taken(&[promised.clone()], "a", &BTreeSet::new()).is_empty());
    promised.idle = Duration::from_secs(11);
    assert_eq!(taken(&[promised], "a", &BTreeSet::new()), ["s0"], "b is silent");
}

#[test]
fn of_three_free_leases_and_two_workers_each_takes_at_most_two() {
    let free = ["s0", "s1", "s2"].map(|key| seen(key, None, 0));
    let owned = [seen("s3", Some("a"), 0), seen("s4", Some("b"), 0)];
    let look: Vec<_> = free.into_iter().chain(owned).collect();
    assert_eq!(keys(&look, "a").len(), 2);
    assert_eq!(keys(&look, "b").len(), 2);
}

#[test]
fn a_very_old_lease_is_taken_beyond_the_share() {
    let look = [seen("s0", Some("a"), 0), seen("s1", Some("b"), 0), seen("s2", Some("c"), 31)];
    assert_eq!(keys(&look, "a"), ["s2"]);
}

#[test]
fn three_to_two_is_balance_and_four_to_none_is_not() {
    let look = [owned(2, "a"), owned(3, "b")].concat();
    assert!(keys(&look, "a").is_empty());
    assert!(keys(&look, "b").is_empty());
    assert_eq!(keys(&owned(4, "b"), "a").len(), 2);
}

#[test]
fn seven_to_one_comes_to_four_each_in_three_moves() {
    let look = [owned(1, "a"), owned(7, "b")].concat();
    let held = [String::from("a0")].into();
    let plan = plan(&look, Me { held: &held, ..me("a") });
    assert_eq!(plan.get.len(), 3);
    assert_eq!((plan.workers, plan.expired, plan.spillover), (2, 0, 0));
}

#[test]
fn no_more_leases_are_on_their_way_than_allowed() {
    let mut look = [owned(1, "a"), owned(20, "b")].concat();
    let held: BTreeSet<_> = [String::from("a0")].into();
    let me = Me { held: &held, moves_max: 3, ..me("a") };
    assert_eq!(names(&plan(&look, me)).len(), 3);
    for promised in &mut look[1..3] {
        promised.lease.owner = Some("a".into());
        promised.lease.checkpoint_owner = Some("b".into());
    }
    assert_eq!(names(&plan(&look, me)).len(), 1);
}

#[test]
fn a_lease_that_is_handed_over_already_is_not_asked_for_again() {
    let mut look = owned(4, "b");
    for promised in &mut look {
        promised.lease.checkpoint_owner = Some("c".into());
    }
    assert!(keys(&look, "a").is_empty());
}

#[test]
fn the_bound_on_leases_holds_for_free_and_taken_ones_and_what_nobody_may_take_is_told() {
    let free: Vec<_> = (0..10).map(|i| seen(&format!("s{i}"), None, 100)).collect();
    let bounded = plan(&free, Me { leases_max: 3, ..me("a") });
    assert_eq!((bounded.get.len(), bounded.spillover), (3, 7));
    let look = [owned(8, "b"), owned(3, "a")].concat();
    let held: BTreeSet<_> = (0..3).map(|i| format!("a{i}")).collect();
    let bounded = plan(&look, Me { leases_max: 3, held: &held, ..me("a") });
    assert_eq!((bounded.get.len(), bounded.spillover), (0, 5));
}

#[test]
fn a_released_lease_that_nobody_fetches_is_taken_beyond_the_share_one_at_a_time() {
    // c is leaving: it still holds one, and two of those that it gave up are left.
    let mut look = [owned(3, "a"), owned(3, "b"), owned(1, "c")].concat();
    look.extend(["s0", "s1"].map(|key| seen(key, None, 0)));
    assert!(keys(&look, "a").is_empty());
    look.iter_mut().for_each(|seen| seen.idle = Duration::from_millis(1_500));
    assert_eq!(keys(&look, "a").len(), 1);
}

#[test]
fn by_throughput_one_hot_shard_weighs_as_much_as_many_cold_ones() {
    let look = [carrying("b", &[900.0, 100.0, 100.0, 100.0]), carrying("a", &[])].concat();
    let plan = plan(&look, by_throughput("a"));
    assert_eq!(names(&plan), ["b0"], "three cold ones stay where they are");
}

#[test]
fn by_throughput_what_sways_within_the_band_moves_nothing() {
    let held: BTreeSet<_> = (0..4).map(|i| format!("a{i}")).collect();
    let look =
        |mine: f64, theirs: f64| [carrying("a", &[mine; 4]), carrying("b", &[theirs; 4])].concat();
    for (mine, theirs) in [(100.0, 100.0), (100.0, 115.0), (115.0, 100.0)] {
        let look = look(mine, theirs);
        assert!(plan(&look, Me { held: &held, ..by_throughput("a") }).get.is_empty());
    }
    let look = look(100.0, 250.0);
    assert_eq!(plan(&look, Me { held: &held, ..by_throughput("a") }).get.len(), 1);
}

#[test]
fn by_throughput_a_lease_without_a_figure_counts_as_the_average_and_an_idle_one_for_a_little() {
    let mut look = carrying("b", &[100.0, 100.0, 100.0, 100.0]);
    look[3].lease.throughput = None;
    assert_eq!(plan(&look, by_throughput("a")).get.len(), 2);
    let look = carrying("b", &[0.0; 8]);
    assert_eq!(plan(&look, by_throughput("a")).get.len(), 4, "as by count");
    let look = carrying("b", &[f64::NAN, -5.0, 10.0, 10.0]);
    assert_eq!(plan(&look, by_throughput("a")).get.len(), 2);
}

#[test]
fn nothing_live_is_stolen_while_a_lease_is_free() {
    let look = [seen("s0", Some("b"), 0), seen("s1", Some("b"), 0), seen("s2", None, 0)];
    assert_eq!(keys(&look, "a"), ["s2"]);
}

#[test]
fn a_child_waits_for_both_its_parents() {
    let parent = |key: &str, done| {
        let mut parent = seen(key, Some("b"), 0);
        if done {
            parent.lease.checkpoint = Checkpoint::ShardEnd;
        }
        parent
    };
    let mut child = seen("s2", None, 0);
    child.lease.parents = ["s0".to_owned(), "s1".to_owned()].into();
    let look = |first, second| [parent("s0", first), parent("s1", second), child.clone()];
    assert!(keys(&look(false, true), "b").is_empty());
    assert!(keys(&look(true, false), "b").is_empty());
    assert_eq!(keys(&look(true, true), "b"), ["s2"]);
    assert_eq!(keys(&[child], "b"), ["s2"], "parents that expired do not block");
}

/// Lets every worker plan in turns until nobody wants anything; how many leases moved.
fn settle(look: &mut [Observed], workers: &[String]) -> usize {
    let mut moved = 0;
    loop {
        let before = moved;
        for worker in workers {
            for key in keys(look, worker) {
                let lease = look.iter_mut().find(|seen| seen.lease.key == key).unwrap();
                lease.lease.owner = Some(worker.clone());
                moved += 1;
            }
        }
        if moved == before {
            return moved;
        }
    }
}

#[test]
fn a_rolling_restart_moves_at_most_twice_as_many_leases_as_it_must() {
    const WORKERS: usize = 12;
    const LEASES: usize = 240;
    let names: Vec<_> = (0..WORKERS).map(|at| format!("w{at:02}")).collect();
    let mut look: Vec<_> = (0..LEASES).map(|at| seen(&format!("s{at:03}"), None, 0)).collect();
    settle(&mut look, &names);
    let mut moved = 0;
    for restarted in &names {
        for seen in &mut look {
            seen.lease.owner = seen.lease.owner.take().filter(|owner| owner != restarted);
        }
        let others: Vec<_> = names.iter().filter(|name| *name != restarted).cloned().collect();
        moved += settle(&mut look, &others);
        assert!(look.iter().all(|seen| seen.lease.owner.is_some()), "a shard without reader");
        moved += settle(&mut look, &names);
    }
    let share = LEASES / WORKERS;
    let least = WORKERS * share * 2; // Away from each worker, and back to it.
    assert!(moved <= least * 2, "{moved} moves where {least} would do");
}

proptest! {
    /// Workers that plan in turns, each on a fresh look, come to rest in balance and stay there.
    #[test]
    fn planning_in_turns_ends_in_balance_and_stays(leases in 1usize..40, workers in 1usize..8, seed: u64) {
        let mut look: Vec<_> = (0..leases)
            .map(|i| {
                let owner = (seed >> (i % 60)) as usize % (workers + 1);
                let owner = (owner < workers).then(|| format!("w{owner}"));
                seen(&format!("s{i:03}"), owner.as_deref(), 0)
            })
            .collect();
        let mut moves_of_last_round = 0;
        for _ in 0..leases + workers {
            moves_of_last_round = 0;
            for worker in 0..workers {
                let worker = format!("w{worker}");
                for key in keys(&look, &worker) {
                    let lease = look.iter_mut().find(|seen| seen.lease.key == key).unwrap();
                    lease.lease.owner = Some(worker.clone());
                    moves_of_last_round += 1;
                }
            }
        }
        let count = |worker| {
            let worker = format!("w{worker}");
            look.iter().filter(|seen| seen.lease.owner.as_ref() == Some(&worker)).count()
        };
        let counts: Vec<_> = (0..workers).map(count).collect();
        prop_assert_eq!(counts.iter().sum::<usize>(), leases);
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        prop_assert_eq!(moves_of_last_round, 0);
    }

    /// The most loaded worker's load falls with every move: nothing can go round in circles.
    #[test]
    fn by_throughput_planning_in_turns_comes_to_rest(
        figures in prop::collection::vec(0.0..2_000.0_f64, 1..40), workers in 1usize..8,
    ) {
        let mut look = carrying("w0", &figures);
        look.sort_by(|a, b| a.lease.key.cmp(&b.lease.key));
        let mut moved = 0;
        for round in 0.. {
            let mut moves_of_round = 0;
            for worker in (0..workers).map(|worker| format!("w{worker}")) {
                let owned = look.iter().filter(|seen| seen.lease.owner.as_ref() == Some(&worker));
                let held = owned.map(|seen| seen.lease.key.clone()).collect();
                let me = Me { held: &held, moves_max: 2, ..by_throughput(&worker) };
                for key in names(&plan(&look, me)) {
                    let lease = look.iter_mut().find(|seen| seen.lease.key == key).unwrap();
                    lease.lease.owner = Some(worker.clone());
                    moves_of_round += 1;
                }
            }
            moved += moves_of_round;
            if moves_of_round == 0 {
                break;
            }
            prop_assert!(round < 200, "no rest after {} moves", moved);
        }
        prop_assert!(moved <= figures.len() * 2, "{} moves for {} leases", moved, figures.len());
    }
}
