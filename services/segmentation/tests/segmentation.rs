//! The service between its river and the rapids.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::time::Duration;

use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use chassis::{Kit, embed};
use event::Event;
use jiff::Timestamp;
use local_aws::LocalAws;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The service on an embedded AWS. It runs until the test's runtime ends.
struct World {
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    queue: String,
    kit: Kit,
}

impl World {
    async fn new(config: segmentation::Config) -> Self {
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
        let queue = sqs.create_queue().queue_name("segmentation-dev").send().await.unwrap();
        let kit = Kit::new("segmentation", aws.sdk_config());
        let config = river::Config {
            subscribe: false,
            report: river::Report::OFF,
            handler: config,
            ..river::Config::default()
        };
        let stop = CancellationToken::new();
        let embedded =
            embed::<segmentation::Service>(kit.clone(), config, None, stop).await.unwrap();
        assert!(embedded.readiness().ready().await);
        Self { kinesis, sqs, queue: queue.queue_url.unwrap(), kit }
    }

    async fn send(&self, event: &Event) {
        let send = self.sqs.send_message().queue_url(&self.queue);
        send.message_body(event.to_json()).send().await.unwrap();
    }

    async fn published(&self) -> Vec<Event> {
        let shards = self.kinesis.list_shards().stream_name("Rapids-dev").send().await.unwrap();
        let shard = shards.shards().first().unwrap().shard_id().to_owned();
        let iterator = self.kinesis.get_shard_iterator().stream_name("Rapids-dev").shard_id(shard);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let iterator = iterator.unwrap().shard_iterator.unwrap();
        let read = self.kinesis.get_records().shard_iterator(iterator).send().await.unwrap();
        read.records().iter().map(|record| Event::parse(record.data().as_ref()).unwrap()).collect()
    }

    /// Waits until so many messages have come to this outcome.
    async fn until(&self, outcome: &str, messages: usize) {
        let counted = || {
            let families = self.kit.registry().gather();
            let family = families.iter().find(|f| f.name() == "rapids_river_messages_total");
            let metrics = family.map(|family| family.get_metric().to_vec()).unwrap_or_default();
            let of_outcome = metrics
                .iter()
                .filter(|metric| metric.get_label().iter().any(|label| label.value() == outcome));
            of_outcome.map(|metric| metric.get_counter().get_value()).sum::<f64>()
        };
        let reached = async {
            while (counted() - messages as f64).abs() > 0.1 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(600), reached).await.unwrap();
    }
}

fn view(id: &str, payload: Value) -> Event {
    let mut view = Event::root("ViewPage", "TheSource", payload, Timestamp::UNIX_EPOCH);
    view.event_id = id.into();
    view
}

#[tokio::test(start_paused = true)]
async fn every_customer_gets_an_answer_and_everybody_knows_sally() {
    let world = World::new(segmentation::Config::default()).await;
    let payloads = [
        ("sally", json!({"name": "Sally"}), "RoadWarrior"),
        ("by id", json!({"customerId": "Sally", "name": "S."}), "RoadWarrior"),
        ("unknown", json!({"name": "Harry"}), "None"),
        ("anonymous", json!({}), "None"),
        ("nothing said", Value::Null, "None"),
    ];
    for (id, payload, _) in &payloads {
        world.send(&view(id, payload.clone())).await;
    }
    world.until("ok", payloads.len()).await;
    let published = world.published().await;
    for (id, _, expected) in payloads {
        let answer = published.iter().find(|event| event.causation_id == Some(id.into())).unwrap();
        assert_eq!(answer.event_type, "CustomerSegmented");
        assert_eq!(answer.payload["segment"], expected, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_view_is_not_answered_again() {
    let world = World::new(segmentation::Config::default()).await;
    world.send(&view("v", json!({"name": "Sally"}))).await;
    world.until("ok", 1).await;
    // The inbox is written before the message is deleted, and that before the next is of interest.
    world.send(&view("v", json!({"name": "Sally"}))).await;
    world.until("duplicate", 1).await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_says_of_a_customer_counts() {
    let segments = [("Harry".to_owned(), "Explorer".to_owned())].into();
    let world = World::new(segmentation::Config { segments, ..Default::default() }).await;
    world.send(&view("v", json!({"name": "Harry"}))).await;
    world.until("ok", 1).await;
    assert_eq!(world.published().await[0].payload["segment"], "Explorer");
}
