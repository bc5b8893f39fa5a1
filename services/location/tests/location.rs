//! The service between its river and the rapids.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use chassis::{Kit, embed};
use event::Event;
use jiff::Timestamp;
use local_aws::{Fault, LocalAws, Service};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The service on an embedded AWS. It runs until the test's runtime ends.
struct World {
    aws: LocalAws,
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    queue: String,
    kit: Kit,
}

impl World {
    async fn new(config: river::NoConfig) -> Self {
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
        let queue = sqs.create_queue().queue_name("location-dev").send().await.unwrap();
        let kit = Kit::new("location", aws.sdk_config());
        let config = river::Config {
            subscribe: false,
            report: river::Report::OFF,
            handler: config,
            ..river::Config::default()
        };
        let stop = CancellationToken::new();
        let embedded = embed::<location::Service>(kit.clone(), config, None, stop).await.unwrap();
        assert!(embedded.readiness().ready().await);
        Self { aws, kinesis, sqs, queue: queue.queue_url.unwrap(), kit }
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

/// View, segment and tier of Sally's conversation.
fn conversation() -> [Event; 3] {
    let at = Timestamp::UNIX_EPOCH;
    let view = Event::root("ViewPage", "TheSource", json!({"name": "Sally"}), at);
    let said = |event_type: &str, payload| {
        let correlation_id = Some(view.event_id.clone());
        Event { correlation_id, ..Event::root(event_type, "test", payload, at) }
    };
    let segment = said("CustomerSegmented", json!({"segment": "RoadWarrior"}));
    let tier = said("MembershipResolved", json!({"tier": "Platinum"}));
    [view, segment, tier]
}

fn bases(offers: &[Event]) -> Vec<&str> {
    let mut bases: Vec<_> =
        offers.iter().map(|offer| offer.payload["basis"].as_str().unwrap()).collect();
    bases.sort_unstable();
    bases
}

const ALL: [&str; 3] = ["baseline", "segment", "segment+tier"];

#[tokio::test(start_paused = true)]
async fn whatever_comes_first_each_offer_is_published_once() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let world = World::new(river::NoConfig {}).await;
        let events = conversation();
        for (handled, index) in order.into_iter().chain(order).enumerate() {
            world.send(&events[index]).await;
            world.until("ok", handled + 1).await;
        }
        let offers = world.published().await;
        assert_eq!(bases(&offers), ALL, "{order:?}");
        assert!(offers.iter().all(|offer| offer.event_type == "OfferProposed"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_publishing_and_remembering_loses_no_offer_and_makes_no_other() {
    let world = World::new(river::NoConfig {}).await;
    let [view, segment, tier] = conversation();
    // The second write of each event is the note of what was published.
    let note = Fault::on(Service::DynamoDb, "UpdateItem").matching("emitted").times(9);
    world.aws.faults().add(note.error(400, "AccessDeniedException", "not yours"));
    for event in [&tier, &segment, &view] {
        world.send(event).await;
    }
    world.until("ok", 3).await;
    let offers = world.published().await;
    assert!(offers.len() > ALL.len(), "nothing was published again");
    let by_id: BTreeSet<_> = offers.iter().map(|offer| &offer.event_id).collect();
    assert_eq!(by_id.len(), ALL.len());
    let mut kinds = bases(&offers);
    kinds.dedup();
    assert_eq!(kinds, ALL);
}
