//! A river with nothing around it: a stream, a queue and its dead-letter queue, made by hand.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use chassis::{Embedded, Kit, Problems, Validate, embed};
use event::{Draft, Event};
use local_aws::LocalAws;
use river::{Advert, Context, Failure, Handler, Outcome, Packet};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Virtual time within which everything has to happen.
const PATIENCE: Duration = Duration::from_secs(600);

/// Does as the payload of an event says.
pub(crate) struct Actor {
    stage: Stage,
}

/// Where a test and its handlers meet.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Events that have come to a handler.
    pub(crate) begun: Arc<AtomicUsize>,
    /// Handlers that were not cancelled.
    pub(crate) ended: Arc<AtomicUsize>,
    /// Ids of events in the order in which they came to a handler.
    pub(crate) order: Arc<Mutex<Vec<String>>>,
    /// Calls of `answered`.
    pub(crate) answered: Arc<AtomicUsize>,
    /// Each permit lets one waiting handler go on.
    pub(crate) gate: Arc<Semaphore>,
    /// Whether the background work panics.
    pub(crate) spoiled: bool,
    /// Whether the self-check fails.
    pub(crate) ill: bool,
}

impl Default for Stage {
    fn default() -> Self {
        let gate = Arc::new(Semaphore::new(0));
        Self {
            begun: Arc::default(),
            ended: Arc::default(),
            order: Arc::default(),
            answered: Arc::default(),
            gate,
            spoiled: false,
            ill: false,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Config {
    #[serde(skip)]
    pub(crate) stage: Stage,
}

impl Validate for Config {
    fn validate(&self, _: &mut Problems) {}
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Script {
    /// Number of answers.
    answers: usize,
    /// Fail with this, for the first so many times.
    fail: Option<(String, usize)>,
    poison: Option<String>,
    permanent: Option<String>,
    /// How long a failure says to wait.
    after_s: Option<u64>,
    panic: Option<String>,
    wait: bool,
    sleep_s: u64,
}

impl Handler for Actor {
    const RIVER: &'static str = "actor";
    const EMITS: &'static [&'static str] = &["Played"];
    const DOMAIN: &'static str = "theatre";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("Play").reject_value("stage", "elsewhere").forbid_key("forbidden")]
    }

    fn adverts() -> Vec<Advert> {
        vec![Advert { owner: Some("theatre".to_owned()), ..Advert::of("Played") }]
    }

    async fn build(config: Config, _: &Context) -> anyhow::Result<Self> {
        Ok(Self { stage: config.stage })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        let attempt = self.stage.begun.fetch_add(1, Ordering::SeqCst);
        self.stage.order.lock().unwrap().push(event.event_id.to_string());
        let script: Script = river::payload(event)?;
        if script.wait {
            self.stage.gate.acquire().await?.forget();
        }
        sleep(Duration::from_secs(script.sleep_s)).await;
        self.stage.ended.fetch_add(1, Ordering::SeqCst);
        if let Some(reason) = script.panic.filter(|_| attempt == 0) {
            panic!("{reason}");
        }
        if let Some((reason, times)) = script.fail
            && attempt < times
        {
            return Err(match script.after_s {
                Some(after_s) => Failure::retry_after(reason, Duration::from_secs(after_s)),
                None => Failure::retry(reason),
            });
        }
        if let Some(reason) = script.permanent {
            return Err(Failure::permanent(reason));
        }
        if let Some(reason) = script.poison {
            return Ok(Outcome::Poison(reason));
        }
        let answer = |n: usize| Draft::new("Played", "play", json!({})).distinct(n.to_string());
        Ok(Outcome::Answered((0..script.answers).map(answer).collect()))
    }

    async fn self_check(&self) -> Result<(), String> {
        if self.stage.ill { Err("the stage is on fire".to_owned()) } else { Ok(()) }
    }

    async fn background(&self, stop: CancellationToken) {
        assert!(!self.stage.spoiled, "the set fell over");
        stop.cancelled().await;
    }

    async fn answered(&self, _: &Event, _: &[Event]) -> Result<(), Failure> {
        self.stage.answered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// AWS with a stream `Rapids-dev`, queues `actor-dev` and `actor-dev-dlq`.
pub(crate) struct World {
    pub(crate) aws: LocalAws,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) stage: Stage,
    pub(crate) queue: String,
    pub(crate) dead_letters: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let aws = LocalAws::new();
        let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
        let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
        stream(&kinesis, "Rapids-dev").await;
        let queue = queue(&sqs, "actor-dev").await;
        let dead_letters = self::queue(&sqs, "actor-dev-dlq").await;
        Self { aws, sqs, kinesis, stage: Stage::default(), queue, dead_letters }
    }

    pub(crate) fn config(&self) -> river::Config<Config> {
        let handler = Config { stage: self.stage.clone() };
        let report = river::Report::OFF;
        river::Config { subscribe: false, report, handler, ..river::Config::default() }
    }

    /// Starts the actor, and waits until it drinks from its river.
    pub(crate) async fn start(
        &self,
        config: river::Config<Config>,
    ) -> (Embedded, CancellationToken, Kit) {
        let kit = Kit::new("actor", self.aws.sdk_config());
        let stop = CancellationToken::new();
        let embedded = embed::<river::Service<Actor>>(kit.clone(), config, None, stop.clone());
        let embedded = embedded.await.unwrap();
        assert!(embedded.readiness().ready().await);
        (embedded, stop, kit)
    }

    pub(crate) async fn send(&self, body: &str) {
        let send = self.sqs.send_message().queue_url(&self.queue).message_body(body);
        send.send().await.unwrap();
    }

    /// Sends a message of a group.
    pub(crate) async fn send_as(&self, group: &str, body: &str) {
        let send = self.sqs.send_message().queue_url(&self.queue).message_body(body);
        send.message_group_id(group).send().await.unwrap();
    }

    /// Whatever is visible in a queue now.
    pub(crate) async fn receive(&self, queue: &str) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let receive = receive
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    /// Messages in a queue: those that can be received, and those in flight.
    pub(crate) async fn depth(&self, queue: &str) -> (usize, usize) {
        let get = self.sqs.get_queue_attributes().queue_url(queue);
        let all = get.attribute_names(QueueAttributeName::All).send().await.unwrap();
        let all = all.attributes.unwrap();
        let count = |name| all[&name].parse().unwrap();
        (
            count(QueueAttributeName::ApproximateNumberOfMessages),
            count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// Everything on the rapids.
    pub(crate) async fn published(&self) -> Vec<Event> {
        records(&self.kinesis, "Rapids-dev")
            .await
            .iter()
            .map(|json| Event::parse(json).unwrap())
            .collect()
    }

    /// Waits until there are so many messages in a queue.
    pub(crate) async fn until_depth(&self, queue: &str, visible: usize, in_flight: usize) {
        let wanted = (visible, in_flight);
        let reached = async {
            while self.depth(queue).await != wanted {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, reached).await.is_err() {
            panic!("{queue} has {:?} and not {wanted:?}", self.depth(queue).await);
        }
    }

    /// Waits until a counter is at least so high.
    pub(crate) async fn until(&self, counter: &AtomicUsize, least: usize) {
        let reached = async {
            while counter.load(Ordering::SeqCst) < least {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap();
    }
}

/// An event that the actor plays.
pub(crate) fn play(id: &str, script: Value) -> String {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let mut event = Event::root("Play", "test", script, at);
    event.event_id = id.into();
    event.to_json()
}

pub(crate) async fn stream(kinesis: &aws_sdk_kinesis::Client, name: &str) {
    kinesis.create_stream().stream_name(name).shard_count(1).send().await.unwrap();
    loop {
        let described = kinesis.describe_stream_summary().stream_name(name).send().await.unwrap();
        let summary = described.stream_description_summary.unwrap();
        if summary.stream_status == StreamStatus::Active {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn queue(sqs: &aws_sdk_sqs::Client, name: &str) -> String {
    sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

/// The data of every record of a stream with one shard.
pub(crate) async fn records(kinesis: &aws_sdk_kinesis::Client, stream: &str) -> Vec<Vec<u8>> {
    let shards = kinesis.list_shards().stream_name(stream).send().await.unwrap();
    let shard = shards.shards().first().unwrap().shard_id().to_owned();
    let iterator = kinesis.get_shard_iterator().stream_name(stream).shard_id(shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    let iterator = iterator.unwrap().shard_iterator.unwrap();
    let read = kinesis.get_records().shard_iterator(iterator).send().await.unwrap();
    read.records.into_iter().map(|record| record.data.into_inner()).collect()
}
