use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::testing::{
    Crash, Shaky, appender, batch, data, event, later, once, rows_by_id, state, times,
};

fn compactor(store: &Arc<dyn ObjectStore>) -> Compactor {
    Compactor { log: Log::new(Arc::clone(store)), rows: Rows::new(Arc::clone(store)) }
}

/// Merges until there is nothing to merge; how many merges it made.
async fn compact(store: &Arc<dyn ObjectStore>) -> Result<usize, Error> {
    let compactor = compactor(store);
    let mut state = compactor.log.open().await?;
    let mut made = 0;
    loop {
        let jobs = plan(&state, later());
        if jobs.is_empty() {
            return Ok(made);
        }
        for job in jobs {
            made += usize::from(compactor.merge(&mut state, job, later()).await?);
        }
        compactor.log.refresh(&mut state).await?;
    }
}

async fn fragmented(store: &Arc<dyn ObjectStore>, events: u32) {
    let mut writer = appender(store).await.unwrap();
    for number in (0..events).rev() {
        writer.append(&batch([number]), later()).await.unwrap();
    }
}

#[tokio::test]
async fn many_files_become_one_with_the_same_rows_in_the_order_of_time() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    fragmented(&store, 24).await;
    assert_eq!(state(&store).await.files().count(), 24);
    compact(&store).await.unwrap();
    let after = state(&store).await;
    assert_eq!(after.files().count(), after.partitions().count());
    assert_eq!(rows_by_id(&store).await, once(0..24));
    for (_, file) in after.files() {
        let times = times(&store, file).await;
        assert!(times.is_sorted(), "{times:?}");
    }
    // Readers of the state before still find what they know of.
    assert_eq!(data(&store).await.len(), 24 + after.files().count());
}

#[tokio::test]
async fn two_compactors_and_two_writers_at_once_lose_and_double_nothing() {
    let mut outrun = 0;
    for seed in 0..40 {
        let memory = Arc::new(InMemory::new());
        let store: Arc<dyn ObjectStore> = Arc::clone(&memory) as _;
        fragmented(&store, 8).await;
        let shaky = |n: u64| -> Arc<dyn ObjectStore> { Shaky::on(&memory, 4 * seed + n, None) };
        let write = async |store: Arc<dyn ObjectStore>| {
            let mut writer = appender(&store).await.unwrap();
            for from in [4, 8, 10] {
                writer.append(&batch(from..from + 4), later()).await.unwrap();
            }
        };
        let merge = async |store: Arc<dyn ObjectStore>| {
            let compactor = compactor(&store);
            let mut state = compactor.log.open().await.unwrap();
            let mut outrun = 0;
            for job in plan(&state, later()) {
                let made = compactor.merge(&mut state, job, later()).await.unwrap();
                outrun += usize::from(!made);
            }
            outrun
        };
        let ((), (), a, b) =
            tokio::join!(write(shaky(0)), write(shaky(1)), merge(shaky(2)), merge(shaky(3)));
        outrun += a + b;
        assert_eq!(rows_by_id(&store).await, once(0..14), "seed {seed}");
    }
    assert!(outrun > 0, "the compactors never met");
}

#[tokio::test]
async fn a_crash_at_any_call_leaves_the_rows_in_the_old_files_or_in_the_new_one() {
    for effect in [false, true] {
        for at in 0.. {
            let memory = Arc::new(InMemory::new());
            let store: Arc<dyn ObjectStore> = Arc::clone(&memory) as _;
            fragmented(&store, 8).await;
            let dying: Arc<dyn ObjectStore> = Shaky::on(&memory, 0, Some(Crash { at, effect }));
            let died = compact(&dying).await.is_err();
            assert_eq!(rows_by_id(&store).await, once(0..8), "call {at}, effect {effect}");
            compact(&store).await.unwrap();
            assert_eq!(rows_by_id(&store).await, once(0..8), "call {at}, effect {effect}");
            if !died {
                break;
            }
        }
    }
}

fn state_of(sizes: &[u64]) -> State {
    let partition = Partition::of(&event(0)).unwrap();
    let file =
        |(name, bytes): (usize, &u64)| File { path: partition.file(name), rows: 1, bytes: *bytes };
    let files = sizes.iter().enumerate().map(file).collect();
    let mut state = State::default();
    state.apply(&Entry::append(name(), later(), files)).unwrap();
    state
}

proptest! {
    #[test]
    fn jobs_share_no_file_are_within_bounds_and_come_to_an_end(sizes in prop::collection::vec(1_u64..BYTES_FULL * 2, 0..60)) {
        let mut state = state_of(&sizes);
        let mut rounds = 0;
        loop {
            let jobs = plan(&state, later());
            if jobs.is_empty() {
                break;
            }
            let mut seen = BTreeSet::new();
            for Job { partition, files } in jobs {
                prop_assert!(files.len() >= 2);
                let bytes = files.iter().map(|file| file.bytes).sum();
                prop_assert!(bytes <= BYTES_MAX);
                for file in &files {
                    prop_assert!(state.is_live(&file.path) && file.bytes < BYTES_FULL);
                    prop_assert!(seen.insert(file.path.clone()));
                }
                let rows = files.iter().map(|file| file.rows).sum();
                let from = files.into_iter().map(|file| file.path).collect();
                let to = File { path: partition.file(name()), rows, bytes };
                state.apply(&Entry::compact(name(), later(), from, to)).unwrap();
            }
            rounds += 1;
            prop_assert!(rounds < 20, "it never ends");
        }
        let rows: u64 = state.files().map(|(_, file)| file.rows).sum();
        prop_assert_eq!(rows, sizes.len() as u64);
    }
}

#[test]
fn an_hour_that_is_not_over_is_left_alone_until_there_are_enough() {
    let now = Timestamp::UNIX_EPOCH;
    assert!(plan(&state_of(&[10; 7]), now).is_empty());
    assert_eq!(plan(&state_of(&[10; 8]), now).len(), 1);
    assert_eq!(plan(&state_of(&[10; 2]), later()).len(), 1);
    assert!(plan(&state_of(&[10, 1_000]), later()).is_empty());
}
