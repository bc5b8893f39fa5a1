use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::sync::Arc;

use super::*;
use crate::compact::{Compactor, plan};
use crate::testing::{appender, batch, data, later, once, rows_by_id};

const GRACE: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn live_files_are_never_deleted_and_others_after_the_grace_time() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut writer = appender(&store).await.unwrap();
    for number in 0..8 {
        writer.append(&batch([number]), later()).await.unwrap();
    }
    let log = Log::new(Arc::clone(&store));
    let compactor = Compactor { log: log.clone(), rows: Rows::new(Arc::clone(&store)) };
    let mut state = log.open().await.unwrap();
    for job in plan(&state, later()) {
        assert!(compactor.merge(&mut state, job, later()).await.unwrap());
    }
    // A writer that died before its commit left this.
    let abandoned = Path::from("data/event_type=X/date=2026-11-23/hour=01/a.parquet");
    store.put(&abandoned, "x".into()).await.unwrap();
    let clean = async |now| {
        let mut state = log.open().await.unwrap();
        vacuum(&store, &log, &mut state, now, GRACE).await.unwrap()
    };

    // All files are old, but those that were merged have only now become of no use.
    assert_eq!(clean(later() + GRACE).await, 1, "the abandoned file");
    assert_eq!(data(&store).await.len(), 8 + state.files().count());
    assert_eq!(clean(later() + GRACE * 2).await, 8, "the merged files");
    let live: Vec<_> = state.files().map(|(_, file)| file.path.clone()).collect();
    assert_eq!(data(&store).await, live);
    assert_eq!(clean(Timestamp::MAX).await, 0);
    assert_eq!(rows_by_id(&store).await, once(0..8));
}

#[tokio::test]
async fn a_file_of_a_commit_under_way_is_kept() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let path = Path::from("data/event_type=X/date=2026-11-23/hour=01/a.parquet");
    store.put(&path, "x".into()).await.unwrap();
    let just_written = store.head(&path).await.unwrap();
    let now = written(&just_written) + SignedDuration::from_mins(2);
    let log = Log::new(Arc::clone(&store));
    let deleted = vacuum(&store, &log, &mut State::default(), now, GRACE).await.unwrap();
    assert_eq!((deleted, data(&store).await.len()), (0, 1));
}
