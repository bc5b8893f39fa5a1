use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

use super::*;
use crate::testing::later;

fn file(partition: usize, name: usize) -> File {
    let path = format!("data/event_type=T{partition}/date=2026-11-23/hour=01/{name}.parquet");
    File { path, rows: 1, bytes: 10 }
}

fn append(files: &[File]) -> Entry {
    Entry::append(Uuid::nil(), later(), files.to_vec())
}

/// An archive's life: how many files each commit adds, and which share of the live ones it removes.
fn lives() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0_usize..3, 0_usize..4), 0..30)
}

/// The entries of a life, and the files that a set of strings says are live after them.
fn log(life: &[(usize, usize)]) -> (Vec<Entry>, BTreeSet<String>) {
    let (mut entries, mut live, mut named) = (Vec::new(), BTreeSet::new(), 0);
    for (added, removed) in life {
        let remove: Vec<String> = live.iter().take(*removed).cloned().collect();
        let add: Vec<File> = (0..*added)
            .map(|partition| {
                named += 1;
                file(partition, named)
            })
            .collect();
        live.retain(|path| !remove.contains(path));
        live.extend(add.iter().map(|file| file.path.clone()));
        entries.push(Entry { remove, ..append(&add) });
    }
    (entries, live)
}

fn live(state: &State) -> BTreeSet<String> {
    state.files().map(|(_, file)| file.path.clone()).collect()
}

proptest! {
    #[test]
    fn live_is_what_was_added_and_not_removed(life in lives()) {
        let (entries, expected) = log(&life);
        let state = fold(&entries).unwrap();
        prop_assert_eq!(state.next, entries.len() as u64);
        prop_assert!(expected.iter().all(|path| state.is_live(path)));
        prop_assert_eq!(live(&state), expected);
        for (partition, file) in state.files() {
            let of_path = Partition::of_file(&file.path);
            prop_assert_eq!(of_path.as_ref(), Some(partition));
        }
    }

    #[test]
    fn a_checkpoint_anywhere_changes_nothing(life in lives(), at in 0_usize..30) {
        let (entries, _) = log(&life);
        let (before, after) = entries.split_at(at.min(entries.len()));
        let checkpoint = fold(before).unwrap().checkpoint(later(), SignedDuration::ZERO);
        let text = serde_json::to_string(&checkpoint).unwrap();
        let mut state = State::try_from(serde_json::from_str::<Checkpoint>(&text).unwrap()).unwrap();
        after.iter().for_each(|entry| state.apply(entry).unwrap());
        prop_assert_eq!(state, fold(&entries).unwrap());
    }
}

#[test]
fn an_entry_that_cannot_follow_changes_nothing() {
    let state = fold([&append(&[file(0, 1)])]).unwrap();
    let gone = Entry { remove: vec![file(0, 2).path], ..append(&[file(0, 3)]) };
    let odd = File { path: "data/x".to_owned(), rows: 1, bytes: 1 };
    let newer = Entry { format: FORMAT + 1, ..append(&[]) };
    for entry in [append(&[file(0, 4), file(0, 1)]), gone, append(&[odd]), newer] {
        let mut after = state.clone();
        after.apply(&entry).unwrap_err();
        assert_eq!(after, state, "{entry:?}");
    }
}

#[test]
fn a_removed_file_is_remembered_for_a_while() {
    let mut state = fold([&append(&[file(0, 1)])]).unwrap();
    let remove = Entry { remove: vec![file(0, 1).path], ..append(&[]) };
    state.apply(&remove).unwrap();
    let kept = |keep, now: Timestamp| {
        let state = State::try_from(state.checkpoint(now, keep)).unwrap();
        state.removed_at(&file(0, 1).path)
    };
    let hour = SignedDuration::from_hours(1);
    assert_eq!(kept(hour, later() + hour), Some(later()));
    assert_eq!(kept(hour, later() + hour * 2), None);
}
