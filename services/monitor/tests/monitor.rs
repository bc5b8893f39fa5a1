//! The monitor on its river: what it hears is what the test sends it.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use event::{Event, EventId, Producer};
use monitor::{Config, Monitor};
use river_test::{Process, World};
use serde_json::{Value, json};

/// What a process of a service says about itself.
fn said(world: &World, event_type: &str, service: &str, more: &Value) -> Event {
    let mut payload = json!({
        "service": service, "version": "1", "instance": format!("{service}-1"), "river": service,
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Event::root(event_type, "system", payload, world.now())
}

/// What a service answers to `view`.
fn answer(world: &World, view: &Event, event_type: &str, service: &str, payload: Value) -> Event {
    let (version, instance) = ("1".to_owned(), "i".to_owned());
    Event {
        correlation_id: Some(view.event_id.clone()),
        causation_id: Some(view.event_id.clone()),
        synthetic: view.synthetic,
        producer: Some(Producer { service: service.to_owned(), version, instance }),
        ..Event::root(event_type, service, payload, world.now())
    }
}

async fn send(world: &World, event: &Event) {
    world.send::<Monitor>(event).await;
}

/// Waits for an event that the monitor says.
async fn says(world: &World, event_type: &str) -> Event {
    let said = async || world.rapids().await.into_iter().find(|it| it.event_type == event_type);
    world.until(event_type, async || said().await.is_some()).await;
    said().await.unwrap()
}

/// So many seconds pass, in which somebody's heartbeats are heard, as they always are where the rapids flow.
async fn pass(world: &World, seconds: u64) {
    for _ in 0..seconds.div_ceil(5) {
        send(world, &said(world, "system.ServiceHeartbeat", "other", &json!({}))).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn counts(world: &World, monitor: &Process, name: &str, label: &str, least: u64) {
    let reached = async || monitor.counted(name, label) >= least;
    world.until(&format!("{name} {label}"), reached).await;
    assert_eq!(monitor.counted(name, label), least);
}

#[tokio::test(start_paused = true)]
async fn a_view_is_judged_once_however_often_its_events_come() {
    let world = World::new().await;
    let monitor = world.start::<Monitor>().await;
    let view = Event::root("ViewPage", "web", json!({}), world.now());
    let unseen = Event::root("ViewPage", "web", json!({}), world.now());
    let offers = json!({"result": "some", "offers": [{"score": 700.0}, {"score": 280.0}]});
    let selected = answer(&world, &view, "OffersSelected", "offer-engine", offers);
    for event in [&view, &view, &selected, &selected, &unseen] {
        send(&world, event).await;
    }
    pass(&world, 20).await;
    counts(&world, &monitor, "offers_views_judged_total", "offered", 1).await;
    counts(&world, &monitor, "offers_views_judged_total", "missing", 1).await;
    assert_eq!(monitor.counted("offers_page_views_total", "false"), 2);
    assert_eq!(monitor.counted("offers_selected_total", "some"), 1);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sallys_probe_fails_where_nobody_answers_and_passes_where_all_do() {
    let world = World::new().await;
    let monitor = world.start::<Monitor>().await;
    let view = says(&world, "ViewPage").await;
    assert!(view.synthetic);
    assert_eq!(view.payload["customerId"], "probe-sally");
    let offer = |service: &str, basis: &str| {
        answer(&world, &view, "OfferProposed", service, json!({"basis": basis}))
    };
    let selected = json!({"result": "some", "offers": [{"basis": "segment+tier"}]});
    for event in [
        view.clone(),
        offer("location", "baseline"),
        offer("brand", "baseline"),
        answer(&world, &view, "CustomerSegmented", "s", json!({"segment": "RoadWarrior"})),
        answer(&world, &view, "MembershipResolved", "m", json!({"tier": "Platinum"})),
        offer("location", "segment"),
        offer("brand", "segment"),
        offer("location", "segment+tier"),
        answer(&world, &view, "OffersSelected", "offer-engine", selected),
    ] {
        send(&world, &event).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(monitor.counted("rapids_probe_runs_total", "sally"), 0, "it hears nothing");
    pass(&world, 60).await;
    counts(&world, &monitor, "rapids_probe_runs_total", "passed", 1).await;
    // The others, to which nobody answers.
    assert!(monitor.counted("rapids_probe_runs_total", "failed") >= 1);
    assert!(monitor.counted("rapids_probe_stage_failures_total", "selection") >= 1);
    assert_eq!(monitor.counted("rapids_probe_runs_total", "passed"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_falls_silent_is_told_and_one_that_says_goodbye_is_not() {
    let world = World::new().await;
    let monitor = world.start::<Monitor>().await;
    send(&world, &said(&world, "system.ServiceHeartbeat", "brand", &json!({}))).await;
    send(&world, &said(&world, "system.ServiceReady", "location", &json!({}))).await;
    send(&world, &said(&world, "system.ServiceStopping", "location", &json!({}))).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(monitor.counted("rapids_service_silences_total", "brand"), 0, "it hears nothing");
    pass(&world, 60).await;
    let silent = says(&world, "system.ServiceSilent").await;
    assert_eq!(silent.payload["instance"], "brand-1");
    assert_eq!(monitor.counted("rapids_service_silences_total", "brand"), 1);
    assert_eq!(monitor.counted("rapids_service_silences_total", "location"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_or_lost_by_river() {
    let world = World::new().await;
    let config = Config { silent_after: Duration::from_secs(3_600), ..Config::default() };
    let monitor = world.start_with::<Monitor>(config).await;
    for service in ["brand", "location"] {
        send(&world, &said(&world, "system.ServiceHeartbeat", service, &json!({}))).await;
    }
    let ping = says(&world, "system.Ping").await;
    let pong = answer(&world, &ping, "system.Pong", "brand", json!({"river": "brand"}));
    send(&world, &pong).await;
    counts(&world, &monitor, "rapids_pings_total", "answered", 1).await;
    pass(&world, 60).await;
    let lost = async || monitor.counted("rapids_pings_total", "lost") >= 1;
    world.until("the ping to location is lost", lost).await;
    assert!(monitor.counted("rapids_pings_total", "location") >= 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_river_passed_over_is_told_once_its_queue_was_empty() {
    let world = World::new().await;
    subscribed(&world, "brand", "ViewPage").await;
    let sqs = aws_sdk_sqs::Client::new(&world.aws().sdk_config());
    let queue = sqs.create_queue().queue_name("brand-dev").send().await.unwrap();
    let url = queue.queue_url.unwrap();
    sqs.send_message().queue_url(&url).message_body("waits").send().await.unwrap();
    let config = Config { missing_after: Duration::from_secs(60), ..Config::default() };
    let monitor = world.start_with::<Monitor>(config).await;
    let view = || loop {
        let view = Event::root("ViewPage", "web", json!({}), world.now());
        if view.event_id.is_audited() {
            return view;
        }
    };
    let accounts =
        |ids: &[&EventId]| said(&world, "system.Acknowledged", "brand", &json!({"ids": ids}));
    // As long as it takes until all readers know of the subscription.
    pass(&world, 30).await;
    send(&world, &accounts(&[])).await;
    let (lost, got) = (view(), view());
    for event in [&lost, &got, &accounts(&[&got.event_id])] {
        send(&world, event).await;
    }
    for _ in 0..10 {
        send(&world, &said(&world, "system.ServiceHeartbeat", "brand", &json!({}))).await;
        pass(&world, 30).await;
    }
    assert_eq!(monitor.counted("rapids_audit_events_total", "missing"), 0, "it may wait there");
    sqs.purge_queue().queue_url(url).send().await.unwrap();
    for _ in 0..10 {
        send(&world, &said(&world, "system.ServiceHeartbeat", "brand", &json!({}))).await;
        pass(&world, 30).await;
    }
    let missing = says(&world, "system.EventMissing").await;
    let expected = json!({"river": "brand", "eventId": lost.event_id, "eventType": "ViewPage"});
    assert_eq!(missing.payload, expected);
    assert_eq!(monitor.counted("rapids_audit_events_total", "missing"), 1);
    assert_eq!(monitor.counted("rapids_audit_events_total", "acknowledged"), 1);
}

/// Writes a subscription down, as the control plane would.
async fn subscribed(world: &World, river: &str, topic: &str) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&world.aws().sdk_config());
    let key = |name: &str, kind: KeyType| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
    };
    let text = |name: &str| {
        let text = AttributeDefinition::builder().attribute_name(name);
        text.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let table = dynamodb.create_table().table_name("Subscriptions-dev");
    let table = table.key_schema(key("Subscriber", KeyType::Hash));
    let table = table.key_schema(key("Topic", KeyType::Range));
    let table =
        table.attribute_definitions(text("Subscriber")).attribute_definitions(text("Topic"));
    table.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    let mut put = dynamodb.put_item().table_name("Subscriptions-dev");
    for (name, value) in [("Subscriber", river), ("Topic", topic), ("Status", "active")] {
        put = put.item(name, AttributeValue::S(value.to_owned()));
    }
    put.send().await.unwrap();
}
