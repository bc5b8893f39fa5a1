//! Rivers that the reader feeds directly.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use chassis::{Embedded, Kit, embed};
use common::{PATIENCE, World, attribute, ids, record};
use local_aws::{Fault, LocalAws, Service};
use rapids_reader::{Config, RapidsReader};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// No poll within a test: only what the rapids tell of is looked up.
const NEVER: Duration = Duration::from_secs(1_000_000);
const UNDELIVERABLE_AFTER: Duration = Duration::from_secs(60);

struct Reader {
    kit: Kit,
    running: Embedded,
    stop: CancellationToken,
}

impl Reader {
    async fn start(world: &World, config: Config) -> Self {
        let stop = CancellationToken::new();
        let kit = Kit::new("rapids-reader", world.aws.sdk_config());
        let config = Config { failover: Duration::from_secs(2), renewal_thread: false, ..config };
        let running = embed::<RapidsReader>(kit.clone(), config, None, stop.clone()).await;
        Self { kit, running: running.unwrap(), stop }
    }

    /// The sample of a metric whose line begins so.
    fn metric(&self, line: &str) -> f64 {
        let metrics = prometheus::TextEncoder::new();
        let metrics = metrics.encode_to_string(&self.kit.registry().gather()).unwrap();
        let sample = metrics.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
        sample.unwrap_or_default()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.join().await.unwrap();
    }
}

/// A stream with one shard, the river `all` by SNS, and a table of routes that are at version 1.
async fn world() -> World {
    let world = World::new(LocalAws::new(), 1).await;
    world.table("Rivers-dev", "River").await;
    world.routes_version(1).await;
    world
}

fn config() -> Config {
    Config { routes_every: NEVER, undeliverable_after: UNDELIVERABLE_AFTER, ..Config::default() }
}

fn event(event_type: &str, id: u32) -> String {
    format!(r#"{{"eventType":"{event_type}","eventId":"{id}","timestamp":"2026-11-23T10:00:00Z"}}"#)
}

fn nudge(version: u64) -> String {
    format!(
        r#"{{"eventType":"system.RoutesChanged","eventId":"0","payload":{{"version":{version}}}}}"#
    )
}

fn in_order(messages: &[Message]) -> Vec<u32> {
    let id = |message: &Message| {
        let event: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
        event["eventId"].as_str().unwrap().parse().unwrap()
    };
    messages.iter().map(id).collect()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let arrives = async {
        while !condition().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE * 10, arrives).await.is_ok(), "in vain: {what}");
}

#[tokio::test(start_paused = true)]
async fn a_river_gets_exactly_what_is_meant_for_it_as_it_came_and_sns_gets_all() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let probes = r#"{"at":"/synthetic","rule":"demand_value","value":true}"#;
    let packets =
        format!(r#"{{"topic":"ViewPage"}},{{"topic":"Offer.*","rules":[{probes}],"until":null}}"#);
    world.route("views", &queue, &packets).await;
    let reader = Reader::start(&world, config()).await;
    let odd = r#"{ "eventName" : "View\u0050age", "x": 1e0, "eventId":"1", "subject":"sally" }"#;
    let probe =
        event("Offer.Made", 4).replacen('{', r#"{"synthetic":true,"experiments":{"r":"b"},"#, 1);
    let all = [odd, &event("Purchase", 2), &event("Offer.Made", 3), &probe, &event("ViewPage", 5)];
    world.put_texts(&all).await;

    let messages = world.take(&queue, |taken| taken.len() >= 3).await;
    assert_eq!(in_order(&messages), [1, 4, 5]);
    let [first, second, _] = &messages[..] else { panic!("three messages") };
    assert_eq!(first.body(), Some(odd));
    assert_eq!(attribute(first, "event_type"), "ViewPage");
    let group = &first.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId];
    assert_eq!(group, "sally");
    let of_second = |name| attribute(second, name);
    assert_eq!(of_second("event_type"), "Offer.Made");
    assert_eq!((of_second("synthetic"), of_second("arm")), ("true".into(), r#"["r:b"]"#.into()));
    let by_sns = world.take(&world.river, |taken| taken.len() >= 5).await;
    assert_eq!(in_order(&by_sns), [1, 2, 3, 4, 5]);
    let delivered = |mode| {
        let line = format!(r#"rapids_reader_route_total{{mode="{mode}",outcome="delivered"}}"#);
        reader.metric(&line)
    };
    assert_eq!((delivered("direct"), delivered("sns")), (3.0, 5.0));
    assert_eq!(reader.metric("rapids_reader_routes "), 1.0);
    assert_eq!(reader.metric("rapids_reader_routes_version "), 1.0);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_wants_and_one_that_is_none_stop_nothing_behind_them() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    let batch = [&event("ViewPage", 1), &event("Nobody", 2), "{oops", &event("ViewPage", 3)];
    world.put_texts(&batch).await;
    let reader = Reader::start(&world, Config { sns: false, ..config() }).await;
    let messages = world.take(&queue, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&messages), [1, 3]);
    let quarantine = world.queue("Rapids-dev-dlq").await;
    let [malformed] = &world.take(&quarantine, |taken| !taken.is_empty()).await[..] else {
        panic!("one record")
    };
    assert_eq!(attribute(malformed, "kind"), "not_json");
    assert_eq!(malformed.body(), Some("{oops"));
    until("the counts are right", async || {
        let done = |outcome| {
            reader.metric(&format!(r#"rapids_reader_records_total{{outcome="{outcome}"}}"#))
        };
        (done("published"), done("quarantined")) == (3.0, 1.0)
    })
    .await;
    assert_eq!(world.aws.calls(Service::Sns, "PublishBatch"), 0, "`sns = false`");
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn five_hundred_events_are_fifty_requests() {
    let world = world().await;
    let queue = world.make_queue("ticks-dev").await;
    world.route("ticks", &queue, r#"{"topic":"*"}"#).await;
    world.put(0..500).await;
    let reader = Reader::start(&world, config()).await;
    let messages = world.take(&queue, |taken| ids(taken).len() == 500).await;
    assert_eq!(messages.len(), 500, "each comes once");
    assert_eq!(world.aws.calls(Service::Sqs, "SendMessageBatch"), 50);
    world.take(&world.river, |taken| ids(taken).len() == 500).await;
    assert_eq!(world.aws.calls(Service::Sns, "PublishBatch"), 50, "and so to SNS");
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_rivers_cost_an_event_only_those_that_want_it() {
    let world = world().await;
    // Padded, so that the table has several pages of a megabyte.
    let padding = "x".repeat(3_000);
    for number in 0..1_000 {
        let rules = format!(r#"[{{"at":"/padding","rule":"reject_value","value":"{padding}"}}]"#);
        let packets = format!(r#"{{"topic":"T{number}","rules":{rules}}}"#);
        let queue = world.river.replace("all-dev", &format!("r{number}-dev"));
        world.route(&format!("r{number}"), &queue, &packets).await;
    }
    let wanted = [7, 500, 999];
    let mut queues = Vec::new();
    for number in wanted {
        queues.push(world.make_queue(&format!("r{number}-dev")).await);
    }
    let of_three = (0..30).map(|id| (format!("T{}", wanted[id as usize % 3]), id));
    let events = of_three.chain((30..60).map(|id| ("Nobody".to_owned(), id)));
    let records = events
        .map(|(event_type, id)| record(&format!("key-{id}"), event(&event_type, id).into_bytes()));
    let put = world.kinesis.put_records().stream_name(common::STREAM);
    put.set_records(Some(records.collect())).send().await.unwrap();
    let reader = Reader::start(&world, config()).await;
    for (rest, queue) in queues.iter().enumerate() {
        let taken = world.take(queue, |taken| taken.len() >= 10).await;
        assert!(ids(&taken).iter().all(|id| *id as usize % 3 == rest), "{:?}", ids(&taken));
    }
    assert_eq!(reader.metric("rapids_reader_routes "), 1_000.0);
    assert_eq!(world.aws.calls(Service::Sqs, "SendMessageBatch"), 3);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bridge_ends_at_its_time() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let now = jiff::Timestamp::from_millisecond(world.aws.clock().now_ms().try_into().unwrap());
    let until = now.unwrap() + jiff::SignedDuration::from_mins(10);
    let bridge = format!(r#"{{"topic":"ViewPage","until":"{until}"}},{{"topic":"Mark"}}"#);
    world.route("views", &queue, &bridge).await;
    let reader = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [1]);
    sleep(Duration::from_secs(601)).await;
    world.put_texts(&[&event("ViewPage", 2), &event("Mark", 3)]).await;
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [3]);
    let by_sns = world.take(&world.river, |taken| taken.len() >= 3).await;
    assert_eq!(in_order(&by_sns), [1, 2, 3]);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_very_next_event_behind_a_nudge_is_routed() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let reader = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(2).await;
    // Known by the rapids alone: nobody looks by himself.
    world.put_texts(&[&event("ViewPage", 2)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    world.put_texts(&[&nudge(2), &event("ViewPage", 3)]).await;
    let messages = world.take(&queue, |taken| !taken.is_empty()).await;
    assert_eq!(in_order(&messages), [3]);
    let carried = world.take(&world.river, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&carried), [0, 3], "the nudge is an event like any other");
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_nudge_waits_for_dynamodb_and_one_that_tells_of_nothing_waits_for_nobody() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let reader = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(2).await;
    let get = Fault::on(Service::DynamoDb, "GetItem").matching("Rivers-dev");
    world.aws.faults().add(get.always().throttle());
    world.put_texts(&[&nudge(2), &event("ViewPage", 2), &event("ViewPage", 3)]).await;
    sleep(Duration::from_secs(30)).await;
    assert!(world.receive(&world.river).await.is_empty(), "nothing is carried by old routes");
    world.aws.faults().clear();
    let scan = Fault::on(Service::DynamoDb, "Scan").matching("Rivers-dev");
    world.aws.faults().add(scan.times(5).throttle());
    let messages = world.take(&queue, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&messages), [2, 3]);
    let carried = world.take(&world.river, |taken| taken.len() >= 3).await;
    assert_eq!(in_order(&carried), [0, 2, 3]);
    // Of a table that was lost, or of nobody knows what: the shard goes on.
    world
        .put_texts(&[&nudge(1_000), r#"{"eventType":"system.RoutesChanged","eventId":"1"}"#])
        .await;
    world.take(&world.river, |taken| taken.len() == 2).await;
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_a_shard_knows_what_was_told_to_the_one_before() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let first = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    // Looks up its routes now, and gets the shard later.
    let second = Reader::start(&world, config()).await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(2).await;
    world.put_texts(&[&nudge(2)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    assert_eq!(first.metric("rapids_reader_routes_version "), 2.0);
    first.stop().await;
    assert_eq!(second.metric("rapids_reader_routes_version "), 1.0);
    world.put_texts(&[&event("ViewPage", 2)]).await;
    assert_eq!(in_order(&world.take(&world.river, |taken| !taken.is_empty()).await), [2]);
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [2]);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn routes_are_found_by_looking_every_so_often_too() {
    let world = World::new(LocalAws::new(), 1).await;
    let queue = world.make_queue("views-dev").await;
    let every = Duration::from_secs(5);
    let reader = Reader::start(&world, Config { routes_every: every, ..config() }).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await; // A stage without the table.
    world.table("Rivers-dev", "River").await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(1).await;
    until("the routes are found", async || reader.metric("rapids_reader_routes ") > 0.0).await;
    world.put_texts(&[&event("ViewPage", 2)]).await;
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [2]);
    reader.stop().await;
}

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

#[tokio::test(start_paused = true)]
async fn what_a_river_is_owed_it_gets_though_it_is_not_fed_directly_any_more() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let outage = Fault::on(Service::Sqs, "SendMessageBatch").always();
    world.aws.faults().add(outage.error(500, "InternalFailure", "scripted"));
    let every = Duration::from_secs(1);
    let reader = Reader::start(&world, Config { routes_every: every, ..config() }).await;
    world.put_texts(&[&event("A", 1)]).await;
    world.take(&world.river, |taken| !taken.is_empty()).await;
    world.route("views", &queue, "").await;
    world.routes_version(2).await;
    let version = async || reader.metric("rapids_reader_routes_version ") == 2.0;
    until("the routes have changed", version).await;
    world.aws.faults().clear();
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [1]);
    world.put_texts(&[&event("A", 2)]).await;
    assert_eq!(in_order(&world.take(&world.river, |taken| !taken.is_empty()).await), [2]);
    assert!(world.receive(&queue).await.is_empty());
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_sns_reaches_who_is_fed_directly_and_is_kept_for_the_others() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let reader = Reader::start(&world, config()).await;
    let sized = |id: u32, bytes: usize| {
        let event = event("Big", id);
        let padding = "y".repeat(bytes - event.len() - r#""x":"","#.len());
        event.replacen('{', &format!(r#"{{"x":"{padding}","#), 1)
    };
    // The largest record that the stream takes, its key counted in, is too large for SQS by its attributes.
    let (large, huge) = (sized(1, 300 << 10), sized(2, (1 << 20) - "key".len()));
    world.put_texts(&[&large, &huge, &event("A", 3)]).await;
    let got = world.take(&queue, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&got), [1, 3]);
    assert_eq!(got[0].body(), Some(large.as_str()));
    assert_eq!(in_order(&world.take(&world.river, |taken| !taken.is_empty()).await), [3]);
    let quarantine = world.queue("Rapids-dev-dlq").await;
    let whole = |message: &Message| attribute(message, "part") == attribute(message, "parts");
    let kept = world
        .take(&quarantine, |taken| taken.iter().filter(|message| whole(message)).count() >= 2)
        .await;
    let reasons: Vec<_> = kept.iter().map(|message| attribute(message, "reason")).collect();
    assert!(kept.iter().all(|message| attribute(message, "kind") == "too_large"));
    assert!(reasons.iter().any(|it| !it.contains("SQS")), "{reasons:?}");
    assert!(reasons.iter().any(|it| it.ends_with("SQS takes 1048576, for views")), "{reasons:?}");
    reader.stop().await;
}
