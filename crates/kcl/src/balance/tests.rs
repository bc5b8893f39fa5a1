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
    let me = Me { worker, held, failover: FAILOVER };
    plan(observed, me).into_iter().map(|lease| lease.key.clone()).collect()
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
    let owned = |n: usize, owner: &'static str| {
        (0..n).map(move |i| seen(&format!("{owner}{i}"), Some(owner), 0))
    };
    let look: Vec<_> = owned(2, "a").chain(owned(3, "b")).collect();
    assert!(keys(&look, "a").is_empty());
    assert!(keys(&look, "b").is_empty());
    let look: Vec<_> = owned(4, "b").collect();
    assert_eq!(keys(&look, "a").len(), 2);
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
}
