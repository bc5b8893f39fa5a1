//! Rapids and rivers in memory, and services on them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use chassis::{Embedded, Kit, Service, embed};
use event::Event;
use jiff::Timestamp;
use local_aws::LocalAws;
use river::{Handler, Report};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::lifeline::{Crash, Lifeline};

/// Virtual time within which whatever is awaited has to happen.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// Looking is what a test spends its time with: what does not come soon is looked for less often.
const LOOK_LEAST: Duration = Duration::from_millis(20);
const LOOK_MOST: Duration = Duration::from_millis(640);
const RAPIDS: &str = "Rapids-dev";

/// An AWS in memory, of the stage `dev`: the rapids are a stream with one shard, and each river is a queue with its
/// dead-letter queue, made when it is first named. Nothing flows from the rapids into the rivers: what a service hears
/// is what the test sends it.
///
/// To be used where time is virtual: `#[tokio::test(start_paused = true)]`.
pub struct World {
    aws: LocalAws,
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    /// URLs of queues by their names.
    queues: Mutex<HashMap<String, String>>,
}

/// A service that runs. Dropped, it goes on until its test ends.
#[derive(Debug)]
pub struct Process {
    kit: Kit,
    lifeline: Lifeline,
    stop: CancellationToken,
    embedded: Option<Embedded>,
}

/// A message that a service gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// As it came.
    pub body: String,
    /// In one word.
    pub kind: String,
    /// For people.
    pub reason: String,
}

impl World {
    /// Empty rapids.
    ///
    /// # Panics
    /// When the embedded AWS refuses it, as all here does: it fails the test.
    pub async fn new() -> Self {
        let aws = LocalAws::new();
        let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
        let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
        kinesis.create_stream().stream_name(RAPIDS).shard_count(1).send().await.expect("a stream");
        let world = Self { aws, kinesis, sqs, queues: Mutex::default() };
        world.until("the rapids are there", async || world.is_active().await).await;
        world
    }

    /// What lies under it all: faults, counts of calls, the clock.
    #[must_use]
    pub fn aws(&self) -> &LocalAws {
        &self.aws
    }

    /// The time there.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now_ms =
            i64::try_from(self.aws.clock().now_ms()).expect("a time before year 292000000");
        Timestamp::from_millisecond(now_ms).expect("a time before year 9999")
    }

    /// Starts a service on its own river, and waits until it drinks from it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start<H: Handler>(&self) -> Process {
        self.start_with::<H>(H::Config::default()).await
    }

    /// The same with settings of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with<H: Handler>(&self, config: H::Config) -> Process {
        let process = self.begin::<H>(config, None).await;
        process.expect("a service that starts")
    }

    /// Starts any service as it is, by the name that it is to have: a rapids-reader, a control plane, a service that hooks
    /// itself in. It is not waited for.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn run<S: Service>(&self, name: &'static str, config: S::Config) -> Process {
        let lifeline = Lifeline::new(None);
        let client = lifeline.through(self.aws.http_client());
        let kit = Kit::new(name, self.aws.sdk_config().into_builder().http_client(client).build());
        let stop = CancellationToken::new();
        let embedded = embed::<S>(kit.clone(), config, None, stop.clone()).await;
        let embedded = Some(embedded.expect("a service that can be built"));
        Process { kit, lifeline, stop, embedded }
    }

    /// Puts an event onto the rapids.
    ///
    /// # Panics
    /// When Kinesis refuses it.
    pub async fn put(&self, event: &Event) {
        let put =
            self.kinesis.put_record().stream_name(RAPIDS).partition_key(event.partition_key());
        put.data(event.to_json().into_bytes().into()).send().await.expect("a record");
    }

    /// Starts a service that dies at `crash`: none if that is before it has started.
    ///
    /// # Panics
    /// When it does not start for any other reason.
    pub(crate) async fn begin<H: Handler>(
        &self,
        handler: H::Config,
        crash: Option<Crash>,
    ) -> Option<Process> {
        self.river(H::RIVER).await;
        let lifeline = Lifeline::new(crash);
        let sdk = self.aws.sdk_config();
        let client = lifeline.through(self.aws.http_client());
        let kit = Kit::new(H::RIVER, sdk.into_builder().http_client(client).build());
        let (subscribe, report) = (false, Report::OFF);
        let config = river::Config { subscribe, report, handler, ..river::Config::default() };
        let stop = CancellationToken::new();
        let starts = async {
            let service = embed::<river::Service<H>>(kit.clone(), config, None, stop.clone());
            let embedded = service.await.expect("a service that starts");
            assert!(embedded.readiness().ready().await, "the service ended");
            embedded
        };
        let dies = self.until("the service starts", async || lifeline.is_dead());
        let embedded = tokio::select! {
            biased;
            () = dies => return None,
            embedded = starts => Some(embedded),
        };
        Some(Process { kit, lifeline, stop, embedded })
    }

    /// Sends an event into the river of a service.
    ///
    /// # Panics
    /// When SQS refuses it.
    pub async fn send<H: Handler>(&self, event: &Event) {
        self.send_text(H::RIVER, &event.to_json()).await;
    }

    /// Sends anything into a river.
    ///
    /// # Panics
    /// When SQS refuses it.
    pub async fn send_text(&self, river: &str, body: &str) {
        let queue = self.river(river).await;
        let sent = self.sqs.send_message().queue_url(queue).message_body(body).send().await;
        sent.expect("a message that SQS takes");
    }

    /// Every event on the rapids, copies included, in their order.
    ///
    /// # Panics
    /// When one of them is no event.
    pub async fn rapids(&self) -> Vec<Event> {
        let shards = self.kinesis.list_shards().stream_name(RAPIDS).send().await;
        let shards = shards.expect("the stream's shards");
        let shard = shards.shards().first().expect("a shard").shard_id();
        let iterator = self.kinesis.get_shard_iterator().stream_name(RAPIDS).shard_id(shard);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let mut next = iterator.expect("an iterator").shard_iterator;
        let mut events = Vec::new();
        while let Some(iterator) = next {
            let read = self.kinesis.get_records().shard_iterator(iterator).send().await;
            let read = read.expect("records");
            if read.records().is_empty() {
                break;
            }
            let parsed = |record: &aws_sdk_kinesis::types::Record| {
                Event::parse(record.data().as_ref()).expect("an event on the rapids")
            };
            events.extend(read.records().iter().map(parsed));
            next = read.next_shard_iterator;
        }
        events
    }

    /// What a river's services gave up so far. It is taken out of the dead-letter queue.
    ///
    /// # Panics
    /// When SQS refuses it.
    pub async fn dead_letters(&self, river: &str) -> Vec<DeadLetter> {
        self.river(river).await;
        let queue = self.queue(&format!("{river}-dev-dlq")).await;
        let mut letters = Vec::new();
        loop {
            let receive = self.sqs.receive_message().queue_url(&queue).max_number_of_messages(10);
            let received = receive.message_attribute_names("All").send().await.expect("messages");
            let Some(messages) = received.messages.filter(|messages| !messages.is_empty()) else {
                return letters;
            };
            for message in messages {
                let delete = self.sqs.delete_message().queue_url(&queue);
                let delete = delete.set_receipt_handle(message.receipt_handle).send().await;
                delete.expect("a message that can be deleted");
                let attributes = message.message_attributes.unwrap_or_default();
                let text = |name: &str| {
                    let value = attributes.get(name).and_then(MessageAttributeValue::string_value);
                    value.unwrap_or_default().to_owned()
                };
                let (kind, reason) = (text("kind"), text("reason"));
                letters.push(DeadLetter { body: message.body.unwrap_or_default(), kind, reason });
            }
        }
    }

    /// Waits until a river holds nothing: no message waits, is handled or is delayed.
    ///
    /// # Panics
    /// When that does not come to pass in twenty minutes of virtual time.
    pub async fn drained(&self, river: &str) {
        let is_empty = async || self.depth(river).await.iter().sum::<usize>() == 0;
        self.until(&format!("{river} is drained"), is_empty).await;
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    /// When that does not come to pass in twenty minutes of virtual time.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let comes = async {
            let mut pause = LOOK_LEAST;
            while !condition().await {
                sleep(pause).await;
                pause = (pause * 2).min(LOOK_MOST);
            }
        };
        assert!(timeout(PATIENCE, comes).await.is_ok(), "in vain: {what}");
    }

    /// Messages of a river: those that wait, are handled, or are delayed.
    pub(crate) async fn depth(&self, river: &str) -> [usize; 3] {
        let queue = self.river(river).await;
        let get = self.sqs.get_queue_attributes().queue_url(queue);
        let all = get.attribute_names(QueueAttributeName::All).send().await.expect("attributes");
        let all = all.attributes.unwrap_or_default();
        [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ]
        .map(|name| all.get(&name).and_then(|count| count.parse().ok()).expect("a count"))
    }

    /// The queue of a river, made with its dead-letter queue if it is not there. Its URL.
    async fn river(&self, river: &str) -> String {
        self.queue(&format!("{river}-dev-dlq")).await;
        self.queue(&format!("{river}-dev")).await
    }

    async fn queue(&self, name: &str) -> String {
        let queues = || self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let known = queues().get(name).cloned();
        if let Some(url) = known {
            return url;
        }
        let queue = self.sqs.create_queue().queue_name(name).send().await.expect("a queue");
        let url = queue.queue_url.expect("its URL");
        queues().insert(name.to_owned(), url.clone());
        url
    }

    async fn is_active(&self) -> bool {
        let described = self.kinesis.describe_stream_summary().stream_name(RAPIDS).send().await;
        let summary = described.expect("the stream").stream_description_summary;
        summary.is_some_and(|summary| summary.stream_status == StreamStatus::Active)
    }
}

impl Process {
    /// Stops it as SIGTERM would, and waits for its end.
    ///
    /// # Panics
    /// When it does not end well.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(embedded) = self.embedded.take() {
            embedded.join().await.expect("a service that ends well");
        }
    }

    /// Ends it as SIGKILL would: nothing that it does from now on reaches anybody.
    pub fn kill(self) {
        self.lifeline.cut();
    }

    /// The sum of its counters of this name with this label; 0 if there is none.
    #[must_use]
    pub fn counted(&self, name: &str, label: &str) -> u64 {
        let families = self.kit.registry().gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let metrics = metrics.flat_map(|family| family.get_metric());
        let labelled = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|pair| pair.value() == label)
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters go up, and not far in a test"
        )]
        let value = |metric: &prometheus::proto::Metric| {
            // One of the two is not there, and 0.
            metric.get_counter().get_value() as u64 + metric.get_histogram().get_sample_count()
        };
        metrics.filter(labelled).map(value).sum()
    }

    /// The value of its gauge of this name, which has no labels; nothing if there is none.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<f64> {
        let families = self.kit.registry().gather();
        let family = families.iter().find(|family| family.name() == name)?;
        family.get_metric().first().map(|metric| metric.get_gauge().get_value())
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lifeline.is_dead()
    }

    pub(crate) fn calls(&self) -> usize {
        self.lifeline.calls()
    }
}
