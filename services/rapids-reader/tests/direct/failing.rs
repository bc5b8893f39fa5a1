//! Queues, entries and a quarantine that fail.

use std::time::Duration;

use local_aws::{Fault, Service};
use rapids_reader::Config;
use tokio::time::{Instant, sleep};

use crate::common::{attribute, ids};
use crate::rig::{Reader, UNDELIVERABLE_AFTER, config, event, in_order, world};

#[tokio::test(start_paused = true)]
async fn a_river_that_takes_nothing_holds_its_shard_for_a_while_and_never_again_until_it_works() {
    let world = world().await;
    let dead = world.river.replace("all-dev", "dead-dev");
    let well = world.make_queue("well-dev").await;
    world.route("dead", &dead, r#"{"topic":"*"}"#).await;
    world.route("well", &well, r#"{"topic":"*"}"#).await;
    let reader = Reader::start(&world, config()).await;
    let begun = Instant::now();
    world.put(0..20).await;
    let quarantine = world.queue("Rapids-dev-dlq").await;
    sleep(UNDELIVERABLE_AFTER - Duration::from_secs(1)).await;
    assert!(world.receive(&quarantine).await.is_empty(), "it is waited for");
    let kept = world.take(&quarantine, |taken| taken.len() >= 20).await;
    let took = begun.elapsed();
    assert!(took >= UNDELIVERABLE_AFTER && took < UNDELIVERABLE_AFTER * 3, "{took:?}");
    assert_eq!(ids(&kept), (0..20).collect());
    let origin = |name| attribute(&kept[0], name);
    assert_eq!((origin("kind"), origin("river")), ("river_unreachable".into(), "dead".into()));
    assert!(origin("reason").contains(&dead), "{}", origin("reason"));
    for others in [&world.river, &well] {
        let got = world.take(others, |taken| taken.len() >= 20).await;
        assert_eq!((got.len(), ids(&got)), (20, (0..20).collect()), "once each, for all the tries");
    }

    // Nobody waits for it now: one request finds out how it fares.
    let (begun, calls) = (Instant::now(), world.aws.calls(Service::Sqs, "SendMessageBatch"));
    world.put(20..60).await;
    world.take(&quarantine, |taken| taken.len() >= 40).await;
    assert_eq!(world.take(&well, |taken| taken.len() >= 40).await.len(), 40);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let batches = 1;
    assert_eq!(world.aws.calls(Service::Sqs, "SendMessageBatch") - calls, 4 + batches);

    assert_eq!(world.make_queue("dead-dev").await, dead);
    world.put(60..90).await;
    let got = world.take(&dead, |taken| taken.len() >= 30).await;
    assert_eq!(ids(&got), (60..90).collect(), "it works again, and gets what is new");
    assert!(world.receive(&quarantine).await.is_empty());
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_of_a_river_costs_a_delay_and_no_copy() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let outage = Fault::on(Service::Sqs, "SendMessageBatch").always();
    world.aws.faults().add(outage.error(500, "InternalFailure", "scripted"));
    let reader = Reader::start(&world, config()).await;
    world.put(0..30).await;
    sleep(Duration::from_secs(30)).await;
    assert!(world.receive(&queue).await.is_empty());
    world.aws.faults().clear();
    let got = world.take(&queue, |taken| taken.len() >= 30).await;
    assert_eq!(ids(&got), (0..30).collect());
    let by_sns = world.take(&world.river, |taken| taken.len() >= 30).await;
    assert_eq!((by_sns.len(), ids(&by_sns)), (30, (0..30).collect()), "SNS had them at once");
    world.put(30..31).await;
    assert_eq!(world.take(&queue, |taken| !taken.is_empty()).await.len(), 1);
    assert_eq!(world.take(&world.river, |taken| !taken.is_empty()).await.len(), 1);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_sqs_did_not_accept_are_sent_again_and_only_those() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let send = Fault::on(Service::Sqs, "SendMessageBatch");
    world.aws.faults().add(send.fail_entries(&[1, 8], "InternalError"));
    let reader = Reader::start(&world, config()).await;
    world.put(0..10).await;
    let got = world.take(&queue, |taken| taken.len() >= 10).await;
    assert_eq!((got.len(), ids(&got)), (10, (0..10).collect()));
    assert_eq!(world.aws.calls(Service::Sqs, "SendMessageBatch"), 2);
    let retried = r#"rapids_reader_route_total{mode="direct",outcome="retried"}"#;
    assert_eq!(reader.metric(retried), 2.0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_sqs_refuses_is_quarantined_for_its_river_alone() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    // Legal JSON, and a character that SQS takes in no message.
    let refused = "{\"eventType\":\"A\",\"eventId\":\"2\",\"x\":\"\u{ffff}\"}";
    world.put_texts(&[&event("A", 1), refused, &event("A", 3)]).await;
    let reader = Reader::start(&world, Config { sns: false, ..config() }).await;
    let got = world.take(&queue, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&got), [1, 3]);
    let quarantine = world.queue("Rapids-dev-dlq").await;
    let kept = world.take(&quarantine, |taken| !taken.is_empty()).await;
    let origin = |name| attribute(&kept[0], name);
    assert_eq!((origin("kind"), origin("river")), ("refused_by_sqs".into(), "views".into()));
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_whole_is_sent_entry_by_entry() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let send = Fault::on(Service::Sqs, "SendMessageBatch").matching(r#"\"2\""#);
    let (code, message) = ("com.amazonaws.sqs#InvalidMessageContents", "scripted");
    world.aws.faults().add(send.always().error(400, code, message));
    let reader = Reader::start(&world, Config { sns: false, ..config() }).await;
    world.put_texts(&[&event("A", 1), &event("A", 2), &event("A", 3)]).await;
    assert_eq!(in_order(&world.take(&queue, |taken| taken.len() >= 2).await), [1, 3]);
    let quarantine = world.queue("Rapids-dev-dlq").await;
    assert_eq!(in_order(&world.take(&quarantine, |taken| !taken.is_empty()).await), [2]);
    assert_eq!(world.aws.calls(Service::Sqs, "SendMessageBatch"), 4);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_quarantine_does_not_take_comes_again_and_nothing_else_does() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let put = Fault::on(Service::Sqs, "SendMessage").times(12);
    world.aws.faults().add(put.error(500, "InternalFailure", "scripted"));
    let reader = Reader::start(&world, config()).await;
    let large = event("Big", 2).replacen('{', &format!(r#"{{"x":"{}","#, "y".repeat(300 << 10)), 1);
    world.put_texts(&[&event("A", 1), &large, "{oops", &event("A", 3)]).await;
    let quarantine = world.queue("Rapids-dev-dlq").await;
    let kept = world.take(&quarantine, |taken| taken.len() >= 3).await;
    let mut kinds: Vec<_> = kept.iter().map(|message| attribute(message, "kind")).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["not_json", "too_large"]);
    assert_eq!(in_order(&world.take(&queue, |taken| taken.len() >= 3).await), [1, 2, 3]);
    assert_eq!(in_order(&world.take(&world.river, |taken| taken.len() >= 2).await), [1, 3]);
    // Behind all that comes again, and so the last.
    world.put_texts(&[&event("A", 4)]).await;
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [4]);
    assert_eq!(in_order(&world.take(&world.river, |taken| !taken.is_empty()).await), [4]);
    reader.stop().await;
}
