//! A river that belongs to an arm of an experiment.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use event::experiment::{Arm, Experiment};
use serde_json::json;
use tokio::time::sleep;
use world::{World, play};

const TABLE: &str = "Experiments-dev";

async fn table(dynamodb: &aws_sdk_dynamodb::Client) {
    let name = AttributeDefinition::builder().attribute_name("Experiment");
    let name = name.attribute_type(ScalarAttributeType::S).build().unwrap();
    let key = KeySchemaElement::builder().attribute_name("Experiment").key_type(KeyType::Hash);
    let create = dynamodb.create_table().table_name(TABLE).attribute_definitions(name);
    let create = create.key_schema(key.build().unwrap()).billing_mode(BillingMode::PayPerRequest);
    create.send().await.unwrap();
}

async fn put(dynamodb: &aws_sdk_dynamodb::Client, experiment: &Experiment, status: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = dynamodb.put_item().table_name(TABLE).item("Experiment", text(&experiment.name));
    let put = put.item("Definition", text(&serde_json::to_string(experiment).unwrap()));
    put.item("Status", text(status)).send().await.unwrap();
}

/// The world's river is the control's.
fn ranking() -> Experiment {
    let arm =
        |name: &str, river: &str| Arm { name: name.into(), weight: 1, river: Some(river.into()) };
    Experiment {
        name: "ranking".into(),
        on: vec!["Play".into()],
        unit: "/subject".into(),
        arms: vec![arm("control", "actor"), arm("bold", "actor-bold")],
    }
}

/// Ids of the plays that were answered.
async fn played(world: &World) -> BTreeSet<String> {
    let causes = world.published().await.into_iter().filter_map(|event| event.causation_id);
    causes.map(|id| id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_river_lets_go_what_is_another_arms_and_carries_the_arm_along_causation() {
    let world = World::new().await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&world.aws.sdk_config());
    table(&dynamodb).await;
    put(&dynamodb, &ranking(), "running").await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    let of_arm = |id: &str, arm: &str| {
        let experiments = json!({ "ranking": arm });
        play(id, json!({"answers": 1})).replacen(
            '{',
            &format!(r#"{{"experiments":{experiments},"#),
            1,
        )
    };
    // As a subscription without raw delivery brings it, the arm beside the event.
    let notification = |id: &str, arm: &str| {
        let arm = json!([format!("ranking:{arm}")]).to_string();
        let attributes = json!({"arm": {"Type": "String.Array", "Value": arm}});
        json!({"Type": "Notification", "Message": play(id, json!({"answers": 1})), "MessageAttributes": attributes})
            .to_string()
    };
    for message in [
        play("none", json!({"answers": 1})),
        of_arm("control", "control"),
        of_arm("bold", "bold"),
        notification("control-beside", "control"),
        notification("bold-beside", "bold"),
    ] {
        world.send(&message).await;
    }
    world.until_depth(&world.queue, 0, 0).await;
    let ours = ["control", "control-beside", "none"].map(str::to_owned);
    assert_eq!(played(&world).await, ours.into());
    for event in world.published().await {
        let arm = event.experiments.get("ranking").map(String::as_str);
        let expected = (event.causation_id != Some("none".into())).then_some("control");
        assert_eq!(arm, expected, "{event:?}");
    }
    // Once it is over, the control takes what is still on its way.
    put(&dynamodb, &ranking(), "stopped").await;
    sleep(Duration::from_secs(6)).await;
    world.send(&of_arm("late", "bold")).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert!(played(&world).await.contains("late"));
}
