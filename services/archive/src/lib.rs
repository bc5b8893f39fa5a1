//! Keeps every event of its river as a row of Parquet, once: the data warehouse.
//!
//! [`Archive`] hands each event to the one writer of the process and waits until its row is committed; only then is
//! the message deleted. What is committed is said by the [`Log`], and by nothing else:
//!
//! - `partition`, `row`, `rows`: which file an event belongs to, and files of Parquet;
//! - `entry`, `state`, `log`: which files are live; writers meet nowhere but at the next number of the log;
//! - `ids`, `append`: which events are new, and their commit; `writer` gathers and answers;
//! - `compact`, `vacuum`, `upkeep`: few files of many, and the end of those that nobody needs;
//! - `place`: folders and S3.
//!
//! `rapids-query` reads through [`place`], [`Log`] and [`State`]. No SQL is here.

mod append;
mod compact;
mod config;
mod entry;
mod error;
mod ids;
mod log;
mod metrics;
mod partition;
pub mod place;
mod row;
mod rows;
mod state;
#[cfg(test)]
mod testing;
mod upkeep;
mod vacuum;
mod writer;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use chassis::Kit;
use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStore;
use river::{Context, Event, Failure, Handler, Outcome, Packet};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::append::Appender;
use crate::ids::{IDS_KEPT, Ids};
use crate::metrics::Metrics;
use crate::row::Row;
use crate::rows::Rows;
use crate::upkeep::Upkeep;
use crate::writer::{Arrival, Became, Flush, Writer};

pub use crate::config::{Config, Settings};
pub use crate::entry::{Entry, File, Why};
pub use crate::error::Error;
pub use crate::log::Log;
pub use crate::partition::{Partition, TooLong};
pub use crate::row::schema;
pub use crate::state::{Inconsistent, State, fold};

/// Events between their handlers and the writer. More handlers than the kit allows could not fill it.
const ARRIVALS_MAX: usize = 1_000;

/// The service as a process. It is `river::Service` with other defaults.
pub struct Service(river::Service<Archive>);

impl chassis::Service for Service {
    type Config = Settings;

    async fn build(config: Settings, kit: &Kit) -> anyhow::Result<Self> {
        Ok(Self(river::Service::build(config.0, kit).await?))
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        self.0.run(stop).await
    }
}

/// Archives every event.
#[derive(Debug)]
pub struct Archive {
    arrivals: mpsc::Sender<Arrival>,
    /// Until the background work takes them.
    workers: Mutex<Option<(Writer, Appender, Upkeep)>>,
    log: Log,
}

impl Handler for Archive {
    const RIVER: &'static str = "archive";
    const EMITS: &'static [&'static str] = &[];
    const DOMAIN: &'static str = "archive";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("*")]
    }

    async fn build(config: Config, context: &Context) -> anyhow::Result<Self> {
        let store = place::open(&config.archive, place::Missing::Make)?;
        Self::on(store, &config, context.kit()).await
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        let partition = Partition::of(event).map_err(|error| Failure::poison(error.to_string()))?;
        let (done, became) = oneshot::channel();
        let arrival = Arrival { partition, row: Row::of(event), done };
        let ended = || Failure::retry("the archive is stopping");
        self.arrivals.send(arrival).await.map_err(|_| ended())?;
        match became.await.map_err(|_| ended())? {
            Became::Row => Ok(Outcome::done()),
            Became::Duplicate => Ok(Outcome::Duplicate),
            Became::Failed(why) => Err(Failure::retry(&*why)),
        }
    }

    async fn self_check(&self) -> Result<(), String> {
        self.log.check().await.map_err(|error| chassis::explain(&error))
    }

    async fn background(&self, stop: CancellationToken) {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((writer, appender, upkeep)) = workers {
            tokio::join!(writer.run(appender, stop.clone()), upkeep.run(stop));
        }
    }
}

impl Archive {
    async fn on(store: Arc<dyn ObjectStore>, config: &Config, kit: &Kit) -> anyhow::Result<Self> {
        let metrics = Metrics::register(kit.registry())?;
        let (clock, log) = (*kit.clock(), Log::new(Arc::clone(&store)));
        let state = log.open().await.with_context(|| format!("opening {}", config.archive))?;
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let rows = Rows::new(Arc::clone(&store));
        let appender = Appender::new(log.clone(), rows, state, Ids::new(IDS_KEPT));
        let flush = Flush {
            rows: config.flush_rows.into(),
            bytes: config.flush_bytes,
            every: config.flush_every,
        };
        let writer = Writer { arrivals, flush, clock, metrics: metrics.clone() };
        let grace = SignedDuration::try_from(config.vacuum_after)?;
        let upkeep = Upkeep { store, every: config.compact_every, grace, clock, metrics };
        let workers = Mutex::new(Some((writer, appender, upkeep)));
        Ok(Self { arrivals: sender, workers, log })
    }
}

/// Archives events without a river: what an import does. Those that are archived already are passed over; says how
/// many were not.
///
/// # Errors
/// [`ImportError`]. Doing it again makes no second row of any event.
pub async fn import(
    store: &Arc<dyn ObjectStore>,
    events: &[Event],
    now: Timestamp,
) -> Result<usize, ImportError> {
    let of = |event: &Event| Ok::<_, TooLong>((Partition::of(event)?, Row::of(event)));
    let batch = events.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let log = Log::new(Arc::clone(store));
    let state = log.open().await?;
    let mut appender = Appender::new(log, Rows::new(Arc::clone(store)), state, Ids::new(IDS_KEPT));
    let appended = appender.append(&batch, now).await?;
    Ok(appended.new.iter().filter(|new| **new).count())
}

/// Why events could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An event that the archive cannot take.
    #[error("an event cannot be archived")]
    Event(#[from] TooLong),
    /// The store.
    #[error("the events could not be archived")]
    Store(#[from] Error),
}

/// A name that nothing else has.
fn name() -> Uuid {
    // The seeds of std's hash maps are the randomness at hand.
    let half = || u128::from(RandomState::new().build_hasher().finish());
    uuid::Builder::from_random_bytes((half() << 64 | half()).to_be_bytes()).into_uuid()
}
