//! Topics with all that is said of them: what gets into the catalogue, and what does not.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event::Advert;
use event::control::Command;
use serde_json::{Value, json};

use crate::common::{World, attribute};

async fn advertise(world: &World, advert: Advert) {
    world.put(Command::Advertise(advert).to_json()).await;
    world.settled().await;
}

async fn row(world: &World, topic: &str) -> Option<HashMap<String, String>> {
    let get = world.dynamodb.get_item().table_name("Topics-dev").consistent_read(true);
    let row = get.key("Topic", AttributeValue::S(topic.to_owned())).send().await.unwrap();
    let text = |(name, value): (String, AttributeValue)| (name, value.as_s().unwrap().clone());
    row.item.map(|row| row.into_iter().map(text).collect())
}

fn view(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn named() -> Advert {
    Advert {
        schema: Some(view(&json!({"name": {"type": "string"}}), &["name"])),
        description: Some("Somebody looks at a page.".to_owned()),
        owner: Some("web".to_owned()),
        example: Some(json!({"name": "Sally"})),
        ..Advert::of("ViewPage")
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_by_name_alone_has_the_row_of_the_original() {
    let world = World::start().await;
    advertise(&world, Advert::of("ViewPage")).await;
    let before = row(&world, "ViewPage").await.unwrap();
    let mut names: Vec<_> = before.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["AdvertisedAt", "Topic"]);
    advertise(&world, Advert::of("ViewPage")).await;
    assert_eq!(row(&world, "ViewPage").await.unwrap(), before);
    // What is said later does not make it newer.
    advertise(&world, named()).await;
    let after = row(&world, "ViewPage").await.unwrap();
    assert_eq!(after["AdvertisedAt"], before["AdvertisedAt"]);
    assert_eq!(after["Owner"], "web");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_stays_and_a_compatible_schema_takes_the_place_of_the_old() {
    let world = World::start().await;
    advertise(&world, named()).await;
    let before = row(&world, "ViewPage").await.unwrap();
    advertise(&world, Advert { owner: Some("shop".to_owned()), ..Advert::of("ViewPage") }).await;
    advertise(&world, Advert::of("ViewPage")).await;
    let renamed = row(&world, "ViewPage").await.unwrap();
    for kept in ["Schema", "SchemaAt", "Description", "Example", "AdvertisedAt"] {
        assert_eq!(renamed[kept], before[kept], "{kept}");
    }
    assert_eq!(renamed["Owner"], "shop");
    let more = json!({"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}});
    let more = view(&more, &["name"]);
    advertise(&world, Advert { schema: Some(more.clone()), ..Advert::of("ViewPage") }).await;
    let after = row(&world, "ViewPage").await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&after["Schema"]).unwrap(), more);
    assert_ne!(after["SchemaAt"], before["SchemaAt"]);
    assert!(world.receive("Control-dev-dlq").await.is_empty());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_incompatible_schema_is_quarantined_with_every_reason_and_the_old_one_stays() {
    let world = World::start().await;
    advertise(&world, named()).await;
    let before = row(&world, "ViewPage").await.unwrap();
    let wide = view(&json!({"name": {"type": ["string", "null"]}}), &[]);
    let wider =
        Advert { schema: Some(wide.clone()), owner: Some("shop".into()), ..Advert::of("ViewPage") };
    advertise(&world, wider.clone()).await;
    let refused = row(&world, "ViewPage").await.unwrap();
    assert_eq!((&refused["Schema"], &refused["Owner"]), (&before["Schema"], &before["Owner"]));
    let [letter] = &world.receive("Control-dev-dlq").await[..] else { panic!("one letter") };
    assert_eq!(attribute(letter, "kind"), "unfit");
    for reason in [attribute(letter, "reason"), &refused["Refused"]] {
        assert!(
            reason.contains("/required: ") && reason.contains("/properties/name/type: "),
            "{reason}"
        );
    }
    assert_eq!(letter.body.as_deref().unwrap(), Command::Advertise(wider.clone()).to_json());

    advertise(&world, Advert { force: true, ..wider }).await;
    let forced = row(&world, "ViewPage").await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&forced["Schema"]).unwrap(), wide);
    assert!(!forced.contains_key("Refused") && !forced.contains_key("RefusedAt"), "{forced:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_schema_lists_no_topic() {
    let world = World::start().await;
    for wrong in [
        Advert { schema: Some(json!({"type": "strng"})), ..Advert::of("ViewPage") },
        Advert { example: Some(json!({"name": 7})), ..named() },
        Advert {
            schema: Some(json!({"title": "x".repeat(310_000)})),
            force: true,
            ..Advert::of("ViewPage")
        },
    ] {
        advertise(&world, wrong).await;
    }
    assert_eq!(row(&world, "ViewPage").await, None);
    let letters = world.receive("Control-dev-dlq").await;
    let mut reasons: Vec<_> = letters.iter().map(|letter| attribute(letter, "reason")).collect();
    reasons.sort_unstable();
    // What is large comes in parts.
    reasons.dedup();
    let [none, wrong, large] = &reasons[..] else { panic!("three: {reasons:?}") };
    assert!(none.contains("not a JSON Schema"), "{reasons:?}");
    assert!(wrong.contains("the example is not as the schema says"), "{reasons:?}");
    assert!(large.contains("bytes, and the catalogue takes 307200"), "{reasons:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_of_everything_fits_into_the_table() {
    let world = World::start().await;
    let text = |most: usize, around: usize| "x".repeat(most - around);
    let advert = Advert {
        schema: Some(json!({"title": text(event::catalogue::SCHEMA_MAX, r#"{"title":""}"#.len())})),
        example: Some(Value::from(text(event::catalogue::EXAMPLE_MAX, 2))),
        description: Some(text(event::catalogue::DESCRIPTION_MAX, 0)),
        owner: Some(text(event::catalogue::OWNER_MAX, 0)),
        ..Advert::of("T".repeat(256))
    };
    advertise(&world, advert.clone()).await;
    assert!(row(&world, &advert.topic).await.unwrap().contains_key("Schema"));
    // And a long refusal besides.
    let many = (0..1_000).map(|index| (format!("field-{index}"), json!({"type": "string"})));
    let many = Value::Object(many.collect());
    advertise(
        &world,
        Advert {
            schema: Some(view(&many, &[])),
            force: true,
            example: Some(json!({})),
            ..Advert::of(&advert.topic)
        },
    )
    .await;
    advertise(&world, Advert { schema: Some(json!({})), ..Advert::of(&advert.topic) }).await;
    let refused = row(&world, &advert.topic).await.unwrap();
    assert!(refused["Refused"].len() > 8_000, "{}", refused["Refused"].len());
    world.stop().await;
}
