//! What becomes of records, good and bad, on the way from Kinesis to SNS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::{Embedded, Kit, embed};
use common::{World, attribute, ids};
use local_aws::{Fault, LocalAws, Service};
use rapids_reader::{Config, RapidsReader};
use tokio_util::sync::CancellationToken;

struct Reader {
    running: Embedded,
    stop: CancellationToken,
}

impl Reader {
    async fn start(world: &World) -> Self {
        let stop = CancellationToken::new();
        let kit = Kit::new("rapids-reader", world.aws.sdk_config());
        let config = Config { failover: Duration::from_secs(2), ..Config::default() };
        let running = embed::<RapidsReader>(kit, config, None, stop.clone()).await.unwrap();
        Self { running, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.join().await.unwrap();
    }
}

async fn world() -> World {
    World::new(LocalAws::new(), 2).await
}

#[tokio::test]
async fn every_event_arrives_byte_for_byte_with_its_type_as_attribute() {
    let world = world().await;
    let reader = Reader::start(&world).await;
    let odd = r#"{ "eventName" : "View\u0050age", "x": 1e0, "eventId":"7" }"#;
    world.put_bytes(odd.as_bytes()).await;
    let messages = world.take(&world.river, |taken| !taken.is_empty()).await;
    assert_eq!(messages[0].body(), Some(odd));
    assert_eq!(attribute(&messages[0], "event_type"), "ViewPage");
    reader.stop().await;
}

#[tokio::test]
async fn an_experiment_gives_events_an_arm_beside_them_and_leaves_their_bytes_alone() {
    let world = world().await;
    let arms = r#"[{"name":"control","weight":0},{"name":"bold","weight":1}]"#;
    let definition =
        format!(r#"{{"name":"ranking","on":["View*"],"unit":"/payload/name","arms":{arms}}}"#);
    world.experiment("ranking", &definition).await;
    let reader = Reader::start(&world).await;
    let view = r#"{"eventType":"ViewPage","timestamp":"2026-11-23T10:00:00Z","eventId":"1"}"#;
    let assigned = view.replacen('{', r#"{"experiments":{"ranking":"control"},"#, 1);
    let other = view.replace("ViewPage", "Purchase");
    let foreign = r#"{"eventType":"ViewPage"}"#.to_owned();
    for event in [&view.to_owned(), &assigned, &other, &foreign] {
        world.put_bytes(event.as_bytes()).await;
    }
    let messages = world.take(&world.river, |taken| taken.len() == 4).await;
    let arm = |body: &str| {
        let message = messages.iter().find(|message| message.body() == Some(body)).unwrap();
        attribute(message, "arm")
    };
    assert_eq!(arm(view), r#"["ranking:bold"]"#);
    assert_eq!(arm(&assigned), r#"["ranking:control"]"#);
    assert_eq!(arm(&other), "");
    assert_eq!(arm(&foreign), "", "what is no whole event is carried without an arm");
    reader.stop().await;
}

#[tokio::test]
async fn an_event_arrives_in_the_message_group_of_its_subject() {
    let world = world().await;
    let reader = Reader::start(&world).await;
    world.put_bytes(br#"{"eventType":"A","subject":"sally"}"#).await;
    world.put_bytes(br#"{"eventType":"A","correlationId":"c"}"#).await;
    let messages = world.take(&world.river, |taken| taken.len() >= 2).await;
    let group = |message: &Message| {
        let name = MessageSystemAttributeName::MessageGroupId;
        message.attributes().unwrap().get(&name).cloned()
    };
    let mut groups: Vec<_> = messages.iter().map(group).collect();
    groups.sort();
    assert_eq!(groups, [None, Some("sally".to_owned())]);
    reader.stop().await;
}

#[tokio::test]
async fn bad_records_are_quarantined_with_reason_and_bytes_and_block_nothing() {
    let world = world().await;
    let reader = Reader::start(&world).await;
    let large = format!(r#"{{"eventType":"Big","payload":"{}"}}"#, "x".repeat(300 << 10));
    let bad: [(&str, &[u8]); 4] = [
        ("not_json", b"{oops"),
        ("not_an_event", b"{\"no\":\"type\"}"),
        ("not_text", b"\xff\xfe"),
        ("too_large", large.as_bytes()),
    ];
    for (_, bytes) in bad {
        world.put_bytes(bytes).await;
    }
    world.put(0..50).await;
    let carried = world.take(&world.river, |taken| ids(taken).len() == 50).await;
    assert_eq!(ids(&carried), (0..50).collect());
    let queue = world.queue("Rapids-dev-dlq").await;
    let quarantined = world.take(&queue, |taken| taken.len() == 5).await;
    for (kind, bytes) in bad {
        let mut parts: Vec<_> =
            quarantined.iter().filter(|message| attribute(message, "kind") == kind).collect();
        parts.sort_by_key(|part| attribute(part, "part"));
        let kept = parts.iter().flat_map(|part| {
            let body = part.body().unwrap();
            match attribute(part, "encoding").as_str() {
                "base64" => STANDARD.decode(body).unwrap(),
                _ => body.as_bytes().to_vec(),
            }
        });
        assert!(kept.collect::<Vec<_>>() == bytes, "{kind}");
        assert!(!attribute(parts[0], "reason").is_empty(), "{kind}");
        assert!(attribute(parts[0], "shard").starts_with("shardId-"), "{kind}");
    }
    reader.stop().await;
}

#[tokio::test]
async fn entries_that_sns_did_not_accept_are_sent_again() {
    let world = world().await;
    let publish = Fault::on(Service::Sns, "PublishBatch");
    world.aws.faults().add(publish.clone().times(2).fail_entries(&[0, 3], "InternalError"));
    world.aws.faults().add(publish.clone().times(1).after(4).throttle());
    world.aws.faults().add(publish.times(1).after(6).lose_reply());
    let reader = Reader::start(&world).await;
    world.put(0..200).await;
    let carried = world.take(&world.river, |taken| ids(taken).len() == 200).await;
    assert_eq!(ids(&carried), (0..200).collect());
    reader.stop().await;
}

#[tokio::test]
async fn an_outage_of_sns_delays_and_loses_nothing() {
    let world = world().await;
    let outage = Fault::on(Service::Sns, "PublishBatch").always();
    world.aws.faults().add(outage.error(500, "InternalFailure", "scripted"));
    let reader = Reader::start(&world).await;
    world.put(0..30).await;
    let tries = || world.aws.calls(Service::Sns, "PublishBatch") > 5;
    let tried = async {
        while !tries() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, tried).await.expect("the reader tries");
    world.aws.faults().clear();
    let carried = world.take(&world.river, |taken| ids(taken).len() == 30).await;
    assert_eq!(ids(&carried), (0..30).collect());
    reader.stop().await;
}
