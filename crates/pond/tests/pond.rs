//! A table with an inbox, facts and reference data in it.

mod world;

use event::{Draft, Event, EventId, Origin, Producer};
use jiff::Timestamp;
use local_aws::{Fault, Service};
use pond::{Error, Fact, Facts, Inbox, Pond, Reference};
use serde_json::{Value, json};
use world::{World, event};

#[tokio::test(start_paused = true)]
async fn a_table_is_made_once_with_keys_and_expiry() {
    let world = World::new().await;
    Pond::open(world.dynamodb(), "Pond-test-dev", || Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(world.aws.calls(Service::DynamoDb, "CreateTable"), 1);
    let described = world.dynamodb().describe_table().table_name("Pond-test-dev").send().await;
    let table = described.unwrap().table.unwrap();
    let keys: Vec<_> = table.key_schema().iter().map(|key| key.attribute_name()).collect();
    assert_eq!(keys, ["pk", "sk"]);
    let expiry = world.dynamodb().describe_time_to_live().table_name("Pond-test-dev");
    let expiry = expiry.send().await.unwrap().time_to_live_description.unwrap();
    assert_eq!(expiry.attribute_name(), Some("ttl"));
}

#[tokio::test(start_paused = true)]
async fn an_inbox_knows_what_was_recorded_on_its_river_and_nothing_else() {
    let world = World::new().await;
    let (inbox, other) = (Inbox::new(&world.pond, "r1"), Inbox::new(&world.pond, "r2"));
    let id = EventId::from("e");
    assert!(!inbox.seen(&id).await.unwrap());
    inbox.record(&id).await.unwrap();
    inbox.record(&id).await.unwrap();
    assert!(inbox.seen(&id).await.unwrap());
    assert!(!other.seen(&id).await.unwrap());
    assert!(!inbox.seen(&"f".into()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_expires_after_the_last_message_that_could_be_a_copy() {
    let world = World::new().await;
    Inbox::new(&world.pond, "r1").record(&"e".into()).await.unwrap();
    let items = world.dynamodb().scan().table_name("Pond-test-dev").send().await.unwrap();
    let ttl: i64 = items.items()[0]["ttl"].as_n().unwrap().parse().unwrap();
    assert_eq!(ttl - world.now().as_second(), 15 * 86_400);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_counts_as_absent_before_dynamodb_deletes_it() {
    let world = World::new().await;
    let (inbox, id) = (Inbox::new(&world.pond, "r1"), EventId::from("e"));
    inbox.record(&id).await.unwrap();
    world.advance_ms(15 * 86_400_000 - 1000);
    assert!(inbox.seen(&id).await.unwrap());
    world.advance_ms(1000);
    assert!(!inbox.seen(&id).await.unwrap());
    let items = world.dynamodb().scan().table_name("Pond-test-dev").send().await.unwrap();
    assert_eq!(items.count(), 1, "DynamoDB was faster, and nothing was tested");
    inbox.record(&id).await.unwrap();
    assert!(inbox.seen(&id).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn reference_data_is_read_as_it_was_put_and_a_seed_never_overwrites() {
    let world = World::new().await;
    let tiers = Reference::new(&world.pond, "tiers");
    assert_eq!(tiers.get::<String>("Sally").await.unwrap(), None);
    tiers.seed("Sally", &"Platinum").await.unwrap();
    tiers.seed("Sally", &"Gold").await.unwrap();
    assert_eq!(tiers.get("Sally").await.unwrap(), Some("Platinum".to_owned()));
    tiers.put("Sally", &"Gold").await.unwrap();
    assert_eq!(tiers.get("Sally").await.unwrap(), Some("Gold".to_owned()));
    let unreadable = tiers.get::<u32>("Sally").await.unwrap_err();
    assert!(matches!(unreadable, Error::Unreadable { .. }), "{unreadable}");
    let others = Reference::new(&world.pond, "segments");
    assert_eq!(others.get::<String>("Sally").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn facts_add_up_to_all_that_is_known_in_a_conversation() {
    let world = World::new().await;
    let facts = Facts::new(&world.pond, "test");
    let conversation = EventId::from("c");
    let view = Fact::of(&event("v", Value::Null), "view", json!({"city": "Boston"}));
    let segment = Fact::of(&event("s", Value::Null), "segment", json!("RoadWarrior"));
    let known = facts.record(&conversation, &segment).await.unwrap();
    assert_eq!((known.get("segment"), known.get("view")), (Some(&segment), None));
    for _ in 0..2 {
        let known = facts.record(&conversation, &view).await.unwrap();
        assert_eq!((known.get("segment"), known.get("view")), (Some(&segment), Some(&view)));
    }
    let elsewhere = facts.record(&"d".into(), &view).await.unwrap();
    assert_eq!(elsewhere.get("segment"), None);
}

#[tokio::test(start_paused = true)]
async fn an_older_fact_does_not_replace_a_newer_one() {
    let world = World::new().await;
    let facts = Facts::new(&world.pond, "test");
    let conversation = EventId::from("c");
    let at = |id: &str, second| {
        let timestamp = Timestamp::from_second(second).unwrap();
        let said = Event { timestamp, ..event(id, Value::Null) };
        Fact::of(&said, "segment", json!(id))
    };
    facts.record(&conversation, &at("new", 2)).await.unwrap();
    let known = facts.record(&conversation, &at("old", 1)).await.unwrap();
    assert_eq!(known.text("segment"), Some("new"));
    let known = facts.record(&conversation, &at("newest", 3)).await.unwrap();
    assert_eq!(known.text("segment"), Some("newest"));
}

#[tokio::test(start_paused = true)]
async fn what_was_emitted_is_remembered_beside_the_facts() {
    let world = World::new().await;
    let facts = Facts::new(&world.pond, "test");
    let conversation = EventId::from("c");
    let fact = Fact::of(&event("v", Value::Null), "view", Value::Null);
    let (first, second) = (event("first", Value::Null), event("second", Value::Null));
    facts.emitted(&conversation, []).await.unwrap();
    facts.emitted(&conversation, [&first]).await.unwrap();
    facts.emitted(&conversation, [&first, &second]).await.unwrap();
    let known = facts.record(&conversation, &fact).await.unwrap();
    assert!(known.has_emitted(&first.event_id) && known.has_emitted(&second.event_id));
    assert!(!known.has_emitted(&"third".into()));
}

#[tokio::test(start_paused = true)]
async fn what_follows_is_returned_until_it_was_emitted() {
    let world = World::new().await;
    let facts = Facts::new(&world.pond, "test");
    let cause = event("v", Value::Null);
    let fact = Fact::of(&cause, "view", Value::Null);
    let conclude = |_: &_| ["a", "b"].map(|rule| Draft::new("X", rule, Value::Null)).to_vec();
    let all = facts.learn(&cause, &fact, conclude).await.unwrap();
    assert_eq!(all.len(), 2);
    let (version, instance) = (String::new(), String::new());
    let producer = Producer { service: "test".into(), version, instance };
    let origin = Origin { producer: &producer, domain: "test", at: world.now() };
    let first = all[0].clone().answer(&cause, origin);
    facts.emitted(cause.correlation(), [&first]).await.unwrap();
    assert_eq!(facts.learn(&cause, &fact, conclude).await.unwrap(), all[1..]);
}

#[tokio::test(start_paused = true)]
async fn facts_recorded_at_once_are_all_known_in_the_end() {
    let world = World::new().await;
    let facts = Facts::new(&world.pond, "test");
    let conversation = EventId::from("c");
    let record = async |name: &str| {
        let fact = Fact::of(&event(name, Value::Null), name, Value::Null);
        facts.record(&conversation, &fact).await.unwrap()
    };
    let known = tokio::join!(record("view"), record("segment"), record("tier"));
    let complete = [known.0, known.1, known.2]
        .iter()
        .any(|known| ["view", "segment", "tier"].iter().all(|name| known.get(name).is_some()));
    assert!(complete, "nobody saw all of it, and so no rule over all of it would fire");
}

#[tokio::test(start_paused = true)]
async fn an_error_says_what_was_to_be_done_and_where() {
    let world = World::new().await;
    let denied = Fault::on(Service::DynamoDb, "PutItem").always();
    world.aws.faults().add(denied.error(400, "AccessDeniedException", "not yours"));
    let error = Inbox::new(&world.pond, "r1").record(&"e".into()).await.unwrap_err();
    assert_eq!(error.to_string(), "table Pond-test-dev: recording an event failed");
    assert!(std::error::Error::source(&error).is_some());
}
