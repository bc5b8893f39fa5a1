//! Which events a river gets, how, and for how many requests.

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use local_aws::Service;
use rapids_reader::Config;
use tokio::time::sleep;

use crate::common::{STREAM, attribute, ids, record};
use crate::rig::{Reader, config, event, in_order, until, world};

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
            let shard = "shardId-000000000000";
            let labels = format!(r#"{{outcome="{outcome}",shard="{shard}"}}"#);
            reader.metric(&format!("rapids_reader_records_total{labels}"))
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
    let put = world.kinesis.put_records().stream_name(STREAM);
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
