use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use std::sync::Arc;

use proptest::prelude::*;

use crate::partition::Partition;
use crate::testing::{Crash, Shaky, appender, batch, data, later, once, rows_by_id, state};

fn memory() -> (Arc<InMemory>, Arc<dyn ObjectStore>) {
    let memory = Arc::new(InMemory::new());
    (Arc::clone(&memory), memory)
}

#[tokio::test]
async fn copies_within_a_batch_and_of_earlier_ones_make_no_second_row() {
    let (_, store) = memory();
    let mut writer = appender(&store).await.unwrap();
    let first = writer.append(&batch([0, 1, 1, 2, 0]), later()).await.unwrap();
    assert_eq!(first.new, [true, true, false, true, false]);
    let second = writer.append(&batch([2, 3]), later()).await.unwrap();
    assert_eq!(second.new, [false, true]);
    // One that has not written them has to read.
    let third = appender(&store).await.unwrap().append(&batch([0, 3, 4]), later()).await.unwrap();
    assert_eq!(third.new, [false, false, true]);
    assert_eq!(rows_by_id(&store).await, once(0..5));
}

#[tokio::test]
async fn a_batch_without_news_makes_no_commit() {
    let (_, store) = memory();
    let mut writer = appender(&store).await.unwrap();
    writer.append(&batch(0..4), later()).await.unwrap();
    let before = state(&store).await;
    writer.append(&batch(0..4), later()).await.unwrap();
    assert_eq!(state(&store).await, before);
}

#[tokio::test]
async fn what_is_given_up_of_the_memory_of_ids_is_read_again() {
    let (_, store) = memory();
    let mut writer = appender(&store).await.unwrap();
    writer.ids = crate::ids::Ids::new(1);
    for numbers in [0..8, 0..8, 4..12] {
        writer.append(&batch(numbers), later()).await.unwrap();
    }
    assert_eq!(rows_by_id(&store).await, once(0..12));
}

#[tokio::test]
async fn a_folder_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let mut odd = batch(0..3);
    odd[1].0.event_type = "was/ist das? 100%".to_owned();
    for _ in 0..2 {
        appender(&store).await.unwrap().append(&odd, later()).await.unwrap();
    }
    assert_eq!(rows_by_id(&store).await, once(0..3));
    let mut listed = data(&store).await;
    listed.sort();
    let live = state(&store).await;
    assert_eq!(listed, live.files().map(|(_, file)| file.path.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_writers_at_once_share_the_log_and_double_nothing() {
    let mut met = 0;
    for seed in 0..40 {
        let (memory, store) = memory();
        let write = async |seed: u64, numbers: [u32; 3]| {
            let store: Arc<dyn ObjectStore> = Shaky::on(&memory, seed, None);
            let mut writer = appender(&store).await.unwrap();
            let mut conflicts = 0;
            for from in numbers {
                let appended = writer.append(&batch(from..from + 8), later()).await.unwrap();
                conflicts += appended.conflicts;
            }
            conflicts
        };
        // Some events are brought to both at once, in batches that are not the same.
        let (a, b) = tokio::join!(write(2 * seed, [0, 4, 12]), write(2 * seed + 1, [4, 8, 12]));
        assert_eq!(rows_by_id(&store).await, once(0..20), "seed {seed}");
        met += a + b;
    }
    assert!(met > 0, "they never met");
}

#[tokio::test]
async fn a_crash_at_any_call_loses_nothing_doubles_nothing_and_makes_no_abandoned_file_live() {
    for effect in [false, true] {
        for at in 0.. {
            let (memory, store) = memory();
            appender(&store).await.unwrap().append(&batch(0..3), later()).await.unwrap();
            let shaky = Shaky::on(&memory, 0, Some(Crash { at, effect }));
            let dying: Arc<dyn ObjectStore> = Arc::clone(&shaky) as _;
            let died = match appender(&dying).await {
                Ok(mut writer) => writer.append(&batch(0..8), later()).await.is_err(),
                Err(_) => true,
            };
            // What it had not answered comes again, to whoever is there.
            appender(&store).await.unwrap().append(&batch(0..8), later()).await.unwrap();
            assert_eq!(rows_by_id(&store).await, once(0..8), "call {at}, effect {effect}");
            if !died {
                assert!(at >= 8 && shaky.calls() <= at, "the crash never came");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_writer_that_was_not_told_that_its_entry_is_there_writes_it_no_second_time() {
    // The call that creates the entry has an effect and fails; the same writer goes on.
    for at in 0..20 {
        let (memory, store) = memory();
        let shaky: Arc<dyn ObjectStore> = Shaky::on(&memory, 0, None);
        let mut writer = appender(&shaky).await.unwrap();
        writer.append(&batch(0..2), later()).await.unwrap();
        let once_more = Shaky::on(&memory, 0, Some(Crash { at, effect: true }));
        let dying: Arc<dyn ObjectStore> = once_more;
        writer.log = crate::log::Log::new(Arc::clone(&dying));
        writer.rows = crate::rows::Rows::new(dying);
        let _failed_or_not = writer.append(&batch(2..8), later()).await;
        writer.log = crate::log::Log::new(Arc::clone(&shaky));
        writer.rows = crate::rows::Rows::new(Arc::clone(&shaky));
        writer.append(&batch(0..8), later()).await.unwrap();
        assert_eq!(rows_by_id(&store).await, once(0..8), "call {at}");
    }
}

proptest! {
    #[test]
    fn of_what_is_not_known_the_first_copy_is_fresh_and_nothing_else(
        numbers in prop::collection::vec(0_u32..12, 0..40),
        known in prop::collection::btree_set(0_u32..12, 0..12),
    ) {
        let known: Vec<_> = batch(known).into_iter().map(|(partition, row)| (partition, row.event.event_id)).collect();
        let batch = batch(numbers);
        let is_known = |partition: &Partition, id: &str| known.iter().any(|it| it.0 == *partition && it.1.as_str() == id);
        let fresh = crate::ids::fresh(&batch, is_known);
        let mut chosen: Vec<usize> = fresh.values().flatten().copied().collect();
        chosen.sort_unstable();
        let of = |index: usize| (&batch[index].0, batch[index].1.event.event_id.as_str());
        let expected: Vec<usize> = (0..batch.len())
            .filter(|&index| !is_known(of(index).0, of(index).1))
            .filter(|&index| (0..index).all(|before| of(before) != of(index)))
            .collect();
        prop_assert_eq!(chosen, expected);
        for (partition, rows) in &fresh {
            prop_assert!(rows.iter().all(|&row| batch[row].0 == *partition));
        }
    }
}
