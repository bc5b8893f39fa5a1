use object_store::memory::InMemory;
use uuid::Uuid;

use super::*;
use crate::testing::later;

fn entry(number: u64) -> Entry {
    let path = format!("data/event_type=X/date=2026-11-23/hour=01/{number}.parquet");
    let file = crate::File { path, rows: 1, bytes: 1 };
    Entry::append(Uuid::from_u128(number.into()), later(), vec![file])
}

async fn written(store: &Arc<dyn ObjectStore>, entries: u64) -> State {
    let (log, mut state) = (Log::new(Arc::clone(store)), State::default());
    for number in 0..entries {
        assert_eq!(log.commit(&mut state, &entry(number)).await.unwrap(), Commit::Made);
    }
    state
}

#[tokio::test]
async fn the_archive_is_the_same_whether_or_not_there_is_a_checkpoint() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let state = written(&store, CHECKPOINT_EVERY * 2 + 7).await;
    let log = Log::new(Arc::clone(&store));
    assert_eq!(log.open().await.unwrap(), state);
    for lost in [checkpoint_path(CHECKPOINT_EVERY * 2), hint_path()] {
        store.delete(&lost).await.unwrap();
        assert_eq!(log.open().await.unwrap(), state, "without {lost}");
    }
}

#[tokio::test]
async fn a_checkpoint_spares_the_reading_of_what_is_before() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let state = written(&store, CHECKPOINT_EVERY + 3).await;
    for number in 0..CHECKPOINT_EVERY {
        store.delete(&entry_path(number)).await.unwrap();
    }
    assert_eq!(Log::new(store).open().await.unwrap(), state);
}

#[tokio::test]
async fn of_two_with_one_number_one_wins_and_its_own_entry_is_no_rival() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let log = Log::new(store);
    let (mut a, mut b) = (State::default(), State::default());
    assert_eq!(log.commit(&mut a, &entry(1)).await.unwrap(), Commit::Made);
    assert_eq!(log.commit(&mut b, &entry(2)).await.unwrap(), Commit::Lost);
    assert_eq!(b, State::default());
    assert_eq!(log.commit(&mut b, &entry(1)).await.unwrap(), Commit::Made);
    assert_eq!(a, b);
}

#[tokio::test]
async fn what_is_no_entry_stops_everybody_and_is_named() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    written(&store, 2).await;
    store.put(&entry_path(2), "{".into()).await.unwrap();
    let error = Log::new(store).open().await.unwrap_err().to_string();
    assert!(error.contains("00000000000000000002.json"), "{error}");
}
