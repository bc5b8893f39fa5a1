use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use event::Header;
use futures_util::future::join_all;
use jiff::Timestamp;
use local_aws::{Fault, LocalAws, Service};
use prometheus::Registry;

use super::*;

const EVERY: Duration = Duration::from_secs(5);

struct World {
    aws: LocalAws,
    dynamodb: Client,
    stop: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let aws = LocalAws::new();
        let dynamodb = Client::new(&aws.sdk_config());
        let attribute = AttributeDefinition::builder().attribute_name(RIVER);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build().unwrap();
        let key = KeySchemaElement::builder().attribute_name(RIVER).key_type(KeyType::Hash);
        let create = dynamodb.create_table().table_name("Rivers-dev");
        let create = create.attribute_definitions(attribute).key_schema(key.build().unwrap());
        create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
        Self { aws, dynamodb, stop: CancellationToken::new() }
    }

    async fn routes(&self) -> Routes {
        let stage = Stage::parse("dev").unwrap();
        let metrics = Metrics::register(&Registry::new()).unwrap();
        Routes::watch(self.dynamodb.clone(), &stage, EVERY, metrics, self.stop.clone()).await
    }

    async fn row(&self, river: &str, topic: &str) {
        let direct = format!(r#"{{"queueUrl":"q","packets":[{{"topic":"{topic}"}}]}}"#);
        let put = self.dynamodb.put_item().table_name("Rivers-dev");
        let put = put.item(RIVER, AttributeValue::S(river.to_owned()));
        put.item(DIRECT, AttributeValue::S(direct)).send().await.unwrap();
    }

    async fn version(&self, version: u64) {
        let put = self.dynamodb.put_item().table_name("Rivers-dev");
        let put = put.item(RIVER, AttributeValue::S(VERSION_ROW.to_owned()));
        put.item(VERSION, AttributeValue::N(version.to_string())).send().await.unwrap();
    }

    fn calls(&self, operation: &str) -> u64 {
        self.aws.calls(Service::DynamoDb, operation)
    }
}

fn rivers(index: &Index) -> usize {
    let header = Header::parse(br#"{"eventType":"A"}"#).unwrap();
    index.route(&header, Timestamp::UNIX_EPOCH).len()
}

#[tokio::test(start_paused = true)]
async fn the_table_is_scanned_when_its_version_has_changed_and_not_before() {
    let world = World::new().await;
    world.row("one", "A").await;
    world.version(1).await;
    let routes = world.routes().await;
    assert_eq!(rivers(&routes.known().unwrap()), 1);
    world.row("two", "A").await;
    sleep(EVERY * 20).await;
    assert!(world.calls("GetItem") >= 20, "{}", world.calls("GetItem"));
    assert_eq!(world.calls("Scan"), 1);
    assert_eq!(rivers(&routes.look().await.unwrap()), 1);
    assert_eq!(world.calls("Scan"), 1, "what is known is of this version");
    world.version(2).await;
    sleep(EVERY + EVERY).await;
    assert_eq!(rivers(&routes.known().unwrap()), 2);
    assert_eq!(world.calls("Scan"), 2);
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn shards_that_ask_at_the_same_time_share_a_look() {
    let world = World::new().await;
    world.version(1).await;
    let routes = world.routes().await;
    world.row("one", "A").await;
    world.version(2).await;
    let before = (world.calls("GetItem"), world.calls("Scan"));
    let looks = join_all((0..50).map(|_| routes.look())).await;
    assert!(looks.into_iter().all(|index| index.unwrap().version() == 2));
    assert!(world.calls("GetItem") - before.0 <= 2, "one look, or the one after it");
    assert_eq!(world.calls("Scan") - before.1, 1);
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_told_and_leaves_what_is_known() {
    let world = World::new().await;
    world.row("one", "A").await;
    world.version(1).await;
    let get = Fault::on(Service::DynamoDb, "GetItem").always().throttle();
    world.aws.faults().add(get.clone());
    let routes = world.routes().await;
    assert!(routes.known().is_none(), "nothing may be routed by what nobody knows");
    world.aws.faults().clear();
    assert_eq!(rivers(&routes.look().await.unwrap()), 1);
    world.aws.faults().add(get);
    assert!(routes.look().await.unwrap_err().contains("Rate exceeded"));
    assert_eq!(rivers(&routes.known().unwrap()), 1);
    world.stop.cancel();
    sleep(Duration::from_secs(1)).await;
    assert!(routes.look().await.unwrap_err().contains("stops"));
}

#[tokio::test(start_paused = true)]
async fn a_stage_without_the_table_or_the_row_has_nothing_direct() {
    let world = World::new().await;
    world.row("one", "A").await;
    let routes = world.routes().await;
    assert_eq!(routes.known().unwrap().version(), 0);
    assert_eq!((rivers(&routes.known().unwrap()), world.calls("Scan")), (0, 0));
    world.dynamodb.delete_table().table_name("Rivers-dev").send().await.unwrap();
    assert_eq!(rivers(&routes.look().await.unwrap()), 0);
    world.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_once_nobody_cares() {
    let world = World::new().await;
    let routes = world.routes().await;
    drop(routes);
    let before = world.calls("GetItem");
    sleep(EVERY * 3).await;
    assert_eq!(world.calls("GetItem"), before);
}
