//! The engine's surroundings, made by hand: the rapids, its river, the dead-letter queue.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::time::Duration;

use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use chassis::{Embedded, Kit, embed};
use event::{Event, Producer};
use jiff::Timestamp;
use local_aws::LocalAws;
use offer_engine::{Config, Service};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Virtual time within which everything has to happen.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) aws: LocalAws,
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    queue: String,
    dead_letters: String,
}

pub(crate) struct Engine {
    pub(crate) kit: Kit,
    embedded: Embedded,
    stop: CancellationToken,
}

impl Engine {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.embedded.join().await.unwrap();
    }

    /// Value of a counter with one label.
    pub(crate) fn counted(&self, name: &str, label: &str) -> u64 {
        let families = self.kit.registry().gather();
        let family = families.iter().find(|family| family.name() == name);
        let of_label = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().any(|pair| pair.value() == label)
        };
        // What was never counted is not there.
        let metric = family.and_then(|family| family.get_metric().iter().find(of_label));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        metric.map_or(0, |metric| metric.get_counter().get_value() as u64)
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let aws = LocalAws::new();
        let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
        let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
        kinesis.create_stream().stream_name("Rapids-dev").shard_count(1).send().await.unwrap();
        let status = async || {
            let described = kinesis.describe_stream_summary().stream_name("Rapids-dev");
            described.send().await.unwrap().stream_description_summary.unwrap().stream_status
        };
        while status().await != StreamStatus::Active {
            sleep(Duration::from_millis(100)).await;
        }
        let queue = async |name: &str| {
            sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
        };
        let dead_letters = queue("offer-engine-dev-dlq").await;
        Self { queue: queue("offer-engine-dev").await, dead_letters, aws, kinesis, sqs }
    }

    pub(crate) async fn engine(&self) -> Engine {
        self.engine_with(Config::default()).await
    }

    pub(crate) async fn engine_with(&self, handler: Config) -> Engine {
        let config = river::Config::<Config> {
            subscribe: false,
            report: river::Report::OFF,
            handler,
            ..river::Config::default()
        };
        let kit = Kit::new("offer-engine", self.aws.sdk_config());
        let stop = CancellationToken::new();
        let embedded = embed::<Service>(kit.clone(), config, None, stop.clone()).await.unwrap();
        assert!(embedded.readiness().ready().await);
        Engine { kit, embedded, stop }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(i64::try_from(self.aws.clock().now_ms()).unwrap()).unwrap()
    }

    /// Sally looks at a page.
    pub(crate) fn view(&self) -> Event {
        Event::root("ViewPage", "TheSource", json!({"name": "Sally"}), self.now())
    }

    /// An offer in the conversation of `view`, that rests on so many facts.
    pub(crate) fn offer(&self, view: &Event, id: &str, offerer: &str, facts: usize) -> Event {
        let basis = ["none", "baseline", "segment", "segment+tier"][facts];
        let payload = json!({
            "offerId": id, "slot": "rental", "basis": basis, "facts": vec!["f"; facts], "title": id,
            "price": {"amount": "49.00", "currency": "USD"}, "value": 1_000 * facts, "likelihood": 0.2,
        });
        let mut event = Event::root("OfferProposed", offerer, payload, self.now());
        event.event_id = id.into();
        event.correlation_id = Some(view.event_id.clone());
        let (version, instance) = ("1".to_owned(), "a".to_owned());
        event.producer = Some(Producer { service: offerer.to_owned(), version, instance });
        event
    }

    pub(crate) async fn send(&self, event: &Event) {
        let send = self.sqs.send_message().queue_url(&self.queue);
        send.message_body(event.to_json()).send().await.unwrap();
    }

    /// Everything on the rapids, each as its text.
    pub(crate) async fn published(&self) -> Vec<String> {
        let shards = self.kinesis.list_shards().stream_name("Rapids-dev").send().await.unwrap();
        let shard = shards.shards().first().unwrap().shard_id().to_owned();
        let iterator = self.kinesis.get_shard_iterator().stream_name("Rapids-dev").shard_id(shard);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let iterator = iterator.unwrap().shard_iterator.unwrap();
        let read = self.kinesis.get_records().shard_iterator(iterator).send().await.unwrap();
        let text = |record: aws_sdk_kinesis::types::Record| {
            String::from_utf8(record.data.into_inner()).unwrap()
        };
        read.records.into_iter().map(text).collect()
    }

    /// Waits for the first selection.
    pub(crate) async fn selection(&self) -> Event {
        let first = async {
            loop {
                if let Some(first) = self.published().await.first() {
                    return Event::parse(first.as_bytes()).unwrap();
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, first).await.unwrap()
    }

    /// Waits until the river holds nothing any more, delayed messages and those in flight included.
    pub(crate) async fn until_drained(&self) {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let drained = async {
            loop {
                let get = self.sqs.get_queue_attributes().queue_url(&self.queue);
                let all = get.attribute_names(QueueAttributeName::All).send().await.unwrap();
                let all = all.attributes.unwrap();
                if counts.iter().all(|count| all[count] == "0") {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, drained).await.unwrap();
    }

    pub(crate) async fn dead_letters(&self) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(&self.dead_letters);
        receive.send().await.unwrap().messages.unwrap_or_default()
    }
}

/// The ids of the offers of a selection, best first, or of those it rejected.
pub(crate) fn ids<'a>(selection: &'a Event, list: &str) -> Vec<&'a str> {
    let of = |offer: &'a Value| offer["offerId"].as_str().unwrap();
    selection.payload[list].as_array().unwrap().iter().map(of).collect()
}
