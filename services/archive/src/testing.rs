//! What the tests of several modules share.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray as _;
use async_trait::async_trait;
use bytes::Bytes;
use event::Event;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::json;

use crate::append::Appender;
use crate::ids::Ids;
use crate::log::Log;
use crate::partition::Partition;
use crate::row::{Row, TIMESTAMP};
use crate::rows::Rows;
use crate::state::State;

/// Later than any file of a test was written.
pub(crate) const LATER: &str = "2200-01-01T00:00:00Z";

pub(crate) fn later() -> Timestamp {
    LATER.parse().unwrap()
}

/// An event that is a function of its number: of one of two types, in one of two hours, later ones first.
pub(crate) fn event(number: u32) -> Event {
    let event_type = ["ViewPage", "OfferProposed"][number as usize % 2];
    let hour = i64::from(number / 2 % 2);
    let at = Timestamp::from_second((hour + 1) * 3_600 - 1 - i64::from(number)).unwrap();
    let event_id = serde_json::from_value(json!(format!("e{number:03}"))).unwrap();
    Event { event_id, ..Event::root(event_type, "test", json!({"n": number}), at) }
}

pub(crate) fn batch(numbers: impl IntoIterator<Item = u32>) -> Vec<(Partition, Row)> {
    let of = |number| {
        let event = event(number);
        (Partition::of(&event).unwrap(), Row::of(&event))
    };
    numbers.into_iter().map(of).collect()
}

/// A writer as of its start.
pub(crate) async fn appender(store: &Arc<dyn ObjectStore>) -> Result<Appender, crate::Error> {
    let log = Log::new(Arc::clone(store));
    let state = log.open().await?;
    Ok(Appender::new(log, Rows::new(Arc::clone(store)), state, Ids::new(1_000)))
}

/// How many rows each id has in the live files, all of which must be there; and that files hold what the log says.
pub(crate) async fn rows_by_id(store: &Arc<dyn ObjectStore>) -> BTreeMap<String, usize> {
    let state = Log::new(Arc::clone(store)).open().await.unwrap();
    let rows = Rows::new(Arc::clone(store));
    let mut by_id = BTreeMap::new();
    for (_, file) in state.files() {
        let mut count = 0;
        let each = |id: &str| {
            count += 1;
            *by_id.entry(id.to_owned()).or_default() += 1;
        };
        rows.ids(file, each).await.unwrap();
        assert_eq!(count, file.rows, "{}", file.path);
    }
    by_id
}

/// The same, for events that were each appended once.
pub(crate) fn once(numbers: Range<u32>) -> BTreeMap<String, usize> {
    numbers.map(|number| (event(number).event_id.as_str().to_owned(), 1)).collect()
}

/// Times of the rows of a file, in their order.
pub(crate) async fn times(store: &Arc<dyn ObjectStore>, file: &crate::File) -> Vec<i64> {
    let batches = Rows::new(Arc::clone(store)).get(file).await.unwrap();
    let mut times = Vec::new();
    for batch in batches {
        let column = batch.column_by_name(TIMESTAMP).unwrap();
        let column = column.as_primitive::<arrow_array::types::TimestampMicrosecondType>();
        times.extend(column.values().iter().copied());
    }
    times
}

/// The archive's state.
pub(crate) async fn state(store: &Arc<dyn ObjectStore>) -> State {
    Log::new(Arc::clone(store)).open().await.unwrap()
}

/// Paths of all files of rows, live or not.
pub(crate) async fn data(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    use futures_util::TryStreamExt as _;
    let listed: Vec<ObjectMeta> =
        store.list(Some(&Path::from("data"))).try_collect().await.unwrap();
    listed.into_iter().map(|file| file.location.to_string()).collect()
}

/// Where a process dies: at this call to its store, before or after the call has its effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    pub(crate) at: usize,
    pub(crate) effect: bool,
}

/// A process's view of a store: calls wait a while, as a seed says, and from the crash on all fail.
#[derive(Debug)]
pub(crate) struct Shaky {
    inner: Arc<InMemory>,
    crash: Option<Crash>,
    calls: AtomicUsize,
    random: Mutex<fastrand::Rng>,
}

impl Shaky {
    pub(crate) fn on(inner: &Arc<InMemory>, seed: u64, crash: Option<Crash>) -> Arc<Self> {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Arc::new(Self { inner: Arc::clone(inner), crash, calls: AtomicUsize::new(0), random })
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits for its turn; whether the call has an effect, and whether it says so.
    async fn turn(&self) -> (bool, bool) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let waits = self.random.lock().unwrap().u32(0..8);
        for _ in 0..waits {
            tokio::task::yield_now().await;
        }
        match self.crash {
            Some(crash) if call == crash.at => (crash.effect, false),
            Some(crash) if call > crash.at => (false, false),
            _ => (true, true),
        }
    }
}

fn crashed() -> object_store::Error {
    object_store::Error::Generic { store: "shaky", source: "the process is dead".into() }
}

impl fmt::Display for Shaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shaky")
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put_opts(
        &self,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (effect, told) = self.turn().await;
        let done =
            if effect { self.inner.put_opts(to, payload, options).await } else { Err(crashed()) };
        if told { done } else { Err(crashed()) }
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unimplemented!("nothing is written in parts")
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        let (effect, told) = self.turn().await;
        if effect && told { self.inner.get_opts(from, options).await } else { Err(crashed()) }
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (effect, told) = self.turn().await;
        if effect && told { self.inner.get_ranges(from, ranges).await } else { Err(crashed()) }
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        use futures_util::StreamExt as _;
        let inner = Arc::clone(&self.inner);
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let dead = self.crash.is_some_and(|crash| call >= crash.at);
        paths
            .then(move |path| {
                let inner = Arc::clone(&inner);
                async move {
                    let path = path?;
                    if dead { Err(crashed()) } else { inner.delete(&path).await.map(|()| path) }
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unimplemented!("nothing is copied")
    }
}
