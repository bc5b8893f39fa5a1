use std::collections::BTreeMap;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::settings::InitialPosition;

const TRIM: InitialPosition = InitialPosition::TrimHorizon;
const LATEST: InitialPosition = InitialPosition::Latest;
const AT: InitialPosition = InitialPosition::AtTimestamp(SystemTime::UNIX_EPOCH);
const PARTS: u128 = 6;

/// From part to part of six, both inclusive.
fn range(from: u128, to: u128) -> HashRange {
    let width = u128::MAX / PARTS;
    let end = if to + 1 == PARTS { u128::MAX } else { (to + 1) * width - 1 };
    HashRange { start: from * width, end }
}

fn shard(id: &str, parents: &[&str], hash_range: HashRange, open: bool) -> Shard {
    let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
    Shard { id: id.into(), parents, hash_range: Some(hash_range), open }
}

/// The tree of the documentation of `HierarchicalShardSyncer`.
fn tree() -> Vec<Shard> {
    vec![
        shard("0", &[], range(0, 0), false),
        shard("1", &[], range(1, 1), false),
        shard("2", &[], range(2, 2), false),
        shard("3", &[], range(3, 3), false),
        shard("4", &[], range(4, 4), true),
        shard("5", &[], range(5, 5), false),
        shard("6", &["0", "1"], range(0, 1), false),
        shard("7", &["2", "3"], range(2, 3), false),
        shard("8", &["6", "7"], range(0, 3), true),
        shard("9", &["5"], HashRange { end: range(5, 5).start + 9, ..range(5, 5) }, true),
        shard("10", &["5"], HashRange { start: range(5, 5).start + 10, ..range(5, 5) }, true),
    ]
}

fn leases(ids: &[&str]) -> Vec<Lease> {
    let tree = tree();
    let shards = tree.iter().filter(|shard| ids.contains(&shard.id.as_str()));
    shards.map(|shard| shard.lease(Checkpoint::TrimHorizon)).collect()
}

fn at(lease: Lease) -> Lease {
    Lease { checkpoint: Checkpoint::parse("4954", 0).unwrap(), ..lease }
}

fn finished(lease: Lease) -> Lease {
    Lease { checkpoint: Checkpoint::ShardEnd, ..lease }
}

fn made(shards: &[Shard], leases: &[Lease], initial: InitialPosition) -> Vec<(String, Checkpoint)> {
    let missing = missing(shards, leases, initial).unwrap();
    let mut made: Vec<_> = missing.into_iter().map(|lease| (lease.key, lease.checkpoint)).collect();
    made.sort();
    made
}

fn all_at(ids: &[&str], checkpoint: Checkpoint) -> Vec<(String, Checkpoint)> {
    let mut ids: Vec<_> = ids.iter().map(|&id| (id.to_owned(), checkpoint)).collect();
    ids.sort();
    ids
}

#[test]
fn an_empty_table_gets_the_oldest_shards_or_for_latest_the_open_ones() {
    let oldest = ["0", "1", "2", "3", "4", "5"];
    assert_eq!(made(&tree(), &[], TRIM), all_at(&oldest, Checkpoint::TrimHorizon));
    assert_eq!(made(&tree(), &[], AT), all_at(&oldest, Checkpoint::AtTimestamp));
    assert_eq!(made(&tree(), &[], LATEST), all_at(&["4", "8", "9", "10"], Checkpoint::Latest));
}

#[test]
fn of_the_tree_of_the_kcl_with_leases_4_5_and_7_latest_makes_6_and_the_others_make_0_and_1() {
    let leases = leases(&["4", "5", "7"]);
    assert_eq!(made(&tree(), &leases, LATEST), all_at(&["6"], Checkpoint::Latest));
    assert_eq!(made(&tree(), &leases, TRIM), all_at(&["0", "1"], Checkpoint::TrimHorizon));
    assert_eq!(made(&tree(), &leases, AT), all_at(&["0", "1"], Checkpoint::AtTimestamp));
}

#[test]
fn a_lease_carries_the_parents_and_the_range_of_its_shard() {
    let leases = missing(&tree(), &leases(&["4", "6", "7"]), LATEST).unwrap();
    assert_eq!(leases[0].parents, tree()[10].parents);
    assert_eq!(leases[0].hash_range, tree()[10].hash_range);
}

#[test]
fn whole_coverage_asks_for_nothing_even_where_ancestors_were_cleaned_up() {
    for initial in [TRIM, LATEST, AT] {
        assert!(made(&tree(), &leases(&["4", "8", "9", "10"]), initial).is_empty());
        assert!(made(&tree(), &leases(&["4", "6", "7", "5"]), initial).is_empty());
    }
}

#[test]
fn children_of_finished_shards_begin_at_their_oldest_record_whatever_the_initial_position() {
    let mut leases = leases(&["4", "5", "6", "7"]);
    leases.iter_mut().for_each(|lease| *lease = finished(lease.clone()));
    for initial in [TRIM, LATEST, AT] {
        let expected = all_at(&["8", "9", "10"], Checkpoint::TrimHorizon);
        assert_eq!(made(&tree(), &leases, initial), expected);
    }
}

#[test]
fn a_child_that_is_listed_before_its_parent_is_closed_is_left_for_later() {
    let mut shards = tree();
    shards[5].open = true;
    let expected = all_at(&["4", "5", "8"], Checkpoint::Latest);
    assert_eq!(made(&shards, &[], LATEST), expected);
    shards[5].open = false;
    assert_eq!(made(&shards, &[], LATEST), all_at(&["4", "8", "9", "10"], Checkpoint::Latest));
}

#[test]
fn a_list_that_lacks_part_of_the_key_space_makes_nothing_and_says_which() {
    let mut shards = tree();
    shards.retain(|shard| shard.id != "9");
    let error = missing(&shards, &[], TRIM).unwrap_err();
    assert_eq!(error.hole, tree()[9].hash_range.unwrap());
    assert!(error.to_string().contains(&error.hole.start.to_string()));
}

#[test]
fn a_shard_that_expired_unread_is_followed_by_everything_after_it_even_for_latest() {
    // 5 was being read, and retention overtook its reader; 9 and 10 may not begin at their tip.
    let shards: Vec<_> = tree().into_iter().filter(|shard| shard.id != "5").collect();
    let leases = leases(&["4", "5", "8"]);
    assert_eq!(made(&shards, &leases, LATEST), all_at(&["9", "10"], Checkpoint::TrimHorizon));
    let mut named_by_none = shards;
    named_by_none
        .iter_mut()
        .filter(|shard| ["9", "10"].contains(&shard.id.as_str()))
        .for_each(|shard| shard.parents.clear());
    assert_eq!(
        made(&named_by_none, &leases, LATEST),
        all_at(&["9", "10"], Checkpoint::TrimHorizon)
    );
}

#[test]
fn the_audit_names_every_hole_and_finished_shards_cover_nothing() {
    assert_eq!(coverage(&leases(&["4", "5", "6", "7"])), Coverage::Whole);
    assert_eq!(coverage(&leases(&["8", "4", "9", "10"])), Coverage::Whole);
    assert_eq!(coverage(&[]), Coverage::Holes(vec![range(0, 5)]));
    assert_eq!(
        coverage(&leases(&["0", "2", "3", "4"])),
        Coverage::Holes(vec![range(1, 1), range(5, 5)])
    );
    let mut with_finished = leases(&["4", "5", "6", "7"]);
    with_finished[1] = finished(with_finished[1].clone());
    assert_eq!(coverage(&with_finished), Coverage::Holes(vec![range(5, 5)]));
}

#[test]
fn leases_without_a_range_cannot_be_audited_and_get_theirs_from_the_list() {
    let mut leases = leases(&["4", "5", "6", "7"]);
    leases[2].hash_range = None;
    assert_eq!(coverage(&leases), Coverage::Unknown);
    let found = unknown_ranges(&tree(), &leases);
    assert_eq!(found, [(&leases[2], range(0, 1))]);
}

fn deleted(leases: &[Lease], is_gone: bool) -> Vec<&str> {
    garbage(&tree(), leases, |_| is_gone).into_iter().map(|lease| lease.key.as_str()).collect()
}

#[test]
fn a_finished_lease_stays_until_every_child_has_moved_and_no_parent_is_left() {
    let [a, b, child] = leases(&["6", "7", "8"]).try_into().unwrap();
    let (a, b) = (finished(a), finished(b));
    assert!(deleted(&[a.clone(), b.clone(), child.clone()], false).is_empty());
    assert!(deleted(&[a.clone(), b.clone()], false).is_empty(), "a child has no lease");
    assert_eq!(deleted(&[a.clone(), b.clone(), at(child.clone())], false), ["6", "7"]);
    assert_eq!(deleted(&[a.clone(), b.clone(), finished(child.clone())], false), ["6", "7"]);
    let parent = finished(leases(&["0"]).remove(0));
    let with_parent = [parent, a.clone(), b.clone(), at(child.clone())];
    assert_eq!(deleted(&with_parent, false), ["0", "7"], "from the oldest on");
    let unfinished = Lease { checkpoint: Checkpoint::TrimHorizon, ..b };
    assert_eq!(deleted(&[a, unfinished, at(child)], false), ["6"]);
}

#[test]
fn of_a_split_both_children_must_have_moved() {
    let [parent, one, other] = leases(&["5", "9", "10"]).try_into().unwrap();
    let parent = finished(parent);
    assert!(deleted(&[parent.clone(), at(one.clone()), other.clone()], false).is_empty());
    assert_eq!(deleted(&[parent, at(one), at(other)], false), ["5"]);
}

#[test]
fn a_lease_of_a_shard_that_is_gone_goes_at_once_if_finished_and_else_after_long() {
    let gone = [Lease::new("shardId-gone", Checkpoint::parse("4954", 0).unwrap())];
    assert!(deleted(&gone, false).is_empty(), "the list may be behind a reshard");
    assert_eq!(deleted(&gone, true), ["shardId-gone"]);
    assert_eq!(deleted(&gone.map(finished), false), ["shardId-gone"]);
}

#[test]
fn a_gone_shard_whose_child_has_no_lease_yet_is_kept() {
    let lost: Vec<_> = tree().into_iter().filter(|shard| shard.id != "5").collect();
    let leases = leases(&["5", "9"]);
    assert!(garbage(&lost, &leases, |_| true).is_empty());
}

/// A stream after random splits and merges, all of it retained.
fn history(steps: &[(bool, u16)]) -> Vec<Shard> {
    let mut shards =
        vec![shard("000", &[], range(0, 2), true), shard("001", &[], range(3, 5), true)];
    for &(splits, pick) in steps {
        let mut open: Vec<_> = (0..shards.len()).filter(|&at| shards[at].open).collect();
        open.sort_by_key(|&at| shards[at].hash_range);
        let at = usize::from(pick) % open.len();
        let whole = shards[open[at]].hash_range.unwrap();
        let id = |after: usize| format!("{:03}", shards.len() + after);
        if splits || open.len() == 1 {
            if whole.start == whole.end {
                continue;
            }
            let middle = whole.start + (whole.end - whole.start) / 2;
            let parent = shards[open[at]].id.clone();
            let halves = [(whole.start, middle), (middle + 1, whole.end)];
            let halves = [0, 1].map(|i| {
                let (start, end) = halves[i];
                shard(&id(i), &[&parent], HashRange { start, end }, true)
            });
            shards[open[at]].open = false;
            shards.extend(halves);
        } else {
            let at = at.min(open.len() - 2);
            let (left, right) = (open[at], open[at + 1]);
            let both = [shards[left].id.clone(), shards[right].id.clone()];
            let (start, end) =
                (shards[left].hash_range.unwrap().start, shards[right].hash_range.unwrap().end);
            let merged = shard(&id(0), &[&both[0], &both[1]], HashRange { start, end }, true);
            (shards[left].open, shards[right].open) = (false, false);
            shards.push(merged);
        }
    }
    shards
}

/// Reads every shard that may be read to its end, as workers do, until nothing moves any more; gives the order.
fn read_to_the_end(shards: &[Shard], leases: Vec<Lease>, initial: InitialPosition) -> Vec<String> {
    let mut table: BTreeMap<String, Lease> =
        leases.into_iter().map(|lease| (lease.key.clone(), lease)).collect();
    let mut order = Vec::new();
    loop {
        let is_done = |id: &String| table.get(id).is_none_or(Lease::is_finished);
        let ready = |lease: &&Lease| !lease.is_finished() && lease.parents.iter().all(is_done);
        let Some(key) = table.values().find(ready).map(|lease| lease.key.clone()) else {
            return order;
        };
        for child in shards.iter().filter(|shard| shard.parents.contains(&key)) {
            let leased: Vec<_> = table.values().cloned().collect();
            for lease in missing_before(child, shards, &leased, initial) {
                table.insert(lease.key.clone(), lease);
            }
            table.entry(child.id.clone()).or_insert_with(|| child.lease(Checkpoint::TrimHorizon));
        }
        table.get_mut(&key).unwrap().checkpoint = Checkpoint::ShardEnd;
        order.push(key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    /// KCL: `PeriodicShardSyncManagerTest`, with a table from which any leases were lost.
    #[test]
    fn whatever_leases_were_lost_everything_is_read_again_and_parents_first(
        steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..20),
        kept: u64, done: u64, kind in 0..3_usize,
    ) {
        let shards = history(&steps);
        let initial = [TRIM, LATEST, AT][kind];
        let leased = |at: usize| kept >> (at * 7 % 64) & 1 == 1;
        let mut leases: Vec<_> = (0..shards.len()).filter(|&at| leased(at)).map(|at| {
            let lease = shards[at].lease(Checkpoint::TrimHorizon);
            let is_done = !shards[at].open && done >> (at * 5 % 64) & 1 == 1;
            if is_done { finished(lease) } else { lease }
        }).collect();
        let before = leases.clone();
        let new = missing(&shards, &leases, initial).unwrap();
        for lease in &new {
            prop_assert!(before.iter().all(|other| other.key != lease.key), "it is there");
        }
        leases.extend(new);
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        prop_assert_eq!(coverage(&leases), Coverage::Whole);
        prop_assert!(missing(&shards, &leases, initial).unwrap().is_empty(), "once is enough");
        // What is read from here on is read whole, and after everything that came before it.
        let read_before: Vec<_> =
            leases.iter().filter(|it| it.is_finished()).map(|it| it.key.clone()).collect();
        let begun: Vec<_> = before.iter().map(|lease| lease.key.clone()).collect();
        let order = read_to_the_end(&shards, leases, initial);
        let place = |id: &String| order.iter().position(|read| read == id);
        for shard in &shards {
            let Some(at) = place(&shard.id) else {
                prop_assert!(!shard.open, "{} was never read", shard.id);
                continue;
            };
            if begun.contains(&shard.id) {
                continue; // Its parents may have been lost with their leases.
            }
            for parent in &shard.parents {
                let is_read = read_before.contains(parent) || place(parent).is_some_and(|it| it < at);
                let was_skipped = initial == LATEST && place(parent).is_none();
                prop_assert!(is_read || was_skipped, "{} before {parent}", shard.id);
            }
        }
    }

    /// KCL: `ShutdownTask` waits for somebody else to make the lease of the other parent.
    #[test]
    fn before_the_child_of_a_merge_gets_its_lease_its_other_parents_lineage_has_leases(
        steps in prop::collection::vec((any::<bool>(), any::<u16>()), 1..20), kept: u64,
    ) {
        let shards = history(&steps);
        let leases: Vec<_> = (0..shards.len()).filter(|at| kept >> (at * 7 % 64) & 1 == 1)
            .map(|at| shards[at].lease(Checkpoint::TrimHorizon)).collect();
        for child in &shards {
            let mut leased: Vec<_> = leases.iter().map(|lease| lease.key.clone()).collect();
            for lease in missing_before(child, &shards, &leases, TRIM) {
                prop_assert!(!leased.contains(&lease.key));
                let follows = lease.parents.iter().all(|parent| leased.contains(parent));
                prop_assert!(follows, "{} without {:?}", lease.key, lease.parents);
                leased.push(lease.key);
            }
            prop_assert!(child.parents.iter().all(|parent| leased.contains(parent)));
        }
    }

    #[test]
    fn creation_that_stops_midway_comes_to_the_same_leases(
        steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..20), upto: usize,
    ) {
        let shards = history(&steps);
        for initial in [TRIM, LATEST, AT] {
            let whole = missing(&shards, &[], initial).unwrap();
            let part = &whole[..upto % (whole.len() + 1)];
            let rest = missing(&shards, part, initial).unwrap();
            let mut all: Vec<_> = part.iter().chain(&rest).cloned().collect();
            let mut whole = whole;
            whole.sort_by(|a, b| a.key.cmp(&b.key));
            all.sort_by(|a, b| a.key.cmp(&b.key));
            prop_assert_eq!(all, whole);
        }
    }

    /// Reading, cleaning up and looking for what is missing, again and again: what was read never comes back.
    #[test]
    fn what_was_cleaned_up_is_never_made_again(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..20)) {
        let shards = history(&steps);
        let mut leases = missing(&shards, &[], TRIM).unwrap();
        for _ in 0..shards.len() * 3 {
            let done = |id: &String| leases.iter().all(|it| it.key != *id || it.is_finished());
            let ready = leases.iter().position(|it| !it.is_finished() && it.parents.iter().all(done)
                && shards.iter().any(|shard| shard.id == it.key && !shard.open));
            if let Some(at) = ready {
                let key = leases[at].key.clone();
                for child in shards.iter().filter(|shard| shard.parents.contains(&key)) {
                    if leases.iter().all(|lease| lease.key != child.id) {
                        leases.push(child.lease(Checkpoint::TrimHorizon));
                    }
                }
                leases[at].checkpoint = Checkpoint::ShardEnd;
            }
            let gone: Vec<_> = garbage(&shards, &leases, |_| true).into_iter().map(|it| it.key.clone()).collect();
            leases.retain(|lease| !gone.contains(&lease.key));
            prop_assert!(missing(&shards, &leases, TRIM).unwrap().is_empty());
            prop_assert_eq!(coverage(&leases), Coverage::Whole);
        }
        let open: Vec<_> = shards.iter().filter(|shard| shard.open).map(|shard| &shard.id).collect();
        let mut unfinished: Vec<_> = leases.iter().filter(|it| !it.is_finished()).map(|it| &it.key).collect();
        unfinished.sort();
        prop_assert_eq!(unfinished, open);
    }
}
