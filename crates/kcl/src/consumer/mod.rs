//! A worker: looks at the leases on a timer, takes what is due to it, and reads what it holds.

mod assigned;
mod audit;
mod coordinator;
mod give_back;
mod reading;
mod renewals;
mod seen;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Now};
use crate::error::Error;
use crate::lease::table::LeaseTable;
use crate::metrics::{Metrics, NoMetrics};
use crate::processor::Processor;
use crate::retrieval;
use crate::settings::Settings;

use coordinator::Coordinator;
pub(crate) use reading::End;
use renewals::Renewals;

/// What a consumer is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How often it has looked at the leases.
    pub looks: u64,
    /// Shards that it reads.
    pub held: usize,
    /// Shards that all workers have to read between them.
    pub open: usize,
}

/// One worker of an application.
pub struct Consumer<P> {
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) processor: Arc<P>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) now: Now,
    /// Of the stream consumer that fan-out reads through.
    pub(crate) consumer_arn: Option<Arc<str>>,
    status: watch::Sender<Status>,
}

impl<P: Processor> Consumer<P> {
    /// Checks that the stream is there, makes the lease table if it is not, and registers the stream consumer
    /// where records are pushed. Spawns nothing.
    ///
    /// # Errors
    /// [`Error::StreamNotFound`], [`Error::ConsumerNotActive`], and what kept Kinesis or DynamoDB from answering.
    pub async fn build(
        kinesis: aws_sdk_kinesis::Client,
        dynamodb: aws_sdk_dynamodb::Client,
        settings: Settings,
        processor: P,
    ) -> Result<Self, Error> {
        retrieval::list(&kinesis, &settings.stream, &NoMetrics).await?;
        let consumer_arn = retrieval::consumer_arn(&kinesis, &settings, &NoMetrics).await?;
        LeaseTable::new(dynamodb.clone(), &settings.lease_table, Arc::new(NoMetrics))
            .ensure()
            .await?;
        Ok(Self {
            kinesis,
            dynamodb,
            settings: Arc::new(settings),
            processor: Arc::new(processor),
            metrics: Arc::new(NoMetrics),
            now: clock::system(),
            consumer_arn,
            status: watch::Sender::default(),
        })
    }

    /// Tells its figures to `metrics`.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<dyn Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Reads the time of day from `now` instead of the machine's clock. Leases never depend on it.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), ..self }
    }

    /// What this consumer is doing, now and as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Reads until `stop` is cancelled; then lets the records in flight finish, saves every place and releases
    /// every lease. What goes wrong meanwhile is told in the log and tried again.
    ///
    /// # Errors
    /// [`Error::Processor`] when the processor stopped the consumer, and [`Error::RenewalThread`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let renewals = Renewals::start(&self.settings)?;
        Coordinator::new(self, &renewals, &stop).run(stop).await
    }
}
