use local_aws::LocalAws;

use super::*;

const LATER: u64 = 1_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(ms.try_into().unwrap()).unwrap()
}

struct World {
    tables: Tables,
    river: River,
    topic: Topic,
}

impl World {
    async fn new() -> Self {
        let stage = Stage::parse("dev").unwrap();
        let dynamodb = Client::new(&LocalAws::new().sdk_config());
        let tables = Tables::new(dynamodb, &stage);
        tables.ensure(None).await.unwrap();
        let river = River::parse("r1", &stage).unwrap();
        Self { tables, river, topic: Topic::parse("ViewPage").unwrap() }
    }

    async fn want(&self, at_ms: u64) {
        self.tables.want(&self.river, &self.topic, &[], at(at_ms)).await.unwrap();
    }

    async fn activate(&self, at_ms: u64) {
        self.tables.activate(&self.river, &self.topic, at(at_ms)).await.unwrap();
    }

    async fn degrade(&self) {
        self.tables.degrade(&self.river, &self.topic, "too many", at(LATER)).await.unwrap();
    }

    /// Status, time and reason, as the row has them.
    async fn row(&self) -> Option<[String; 3]> {
        let get = self.tables.dynamodb.get_item().table_name("Subscriptions-dev");
        let get = get.key(SUBSCRIBER, text("r1")).key(TOPIC, text("ViewPage"));
        let row = get.consistent_read(true).send().await.unwrap().item?;
        let word = |name: &str| row.get(name).map_or("", |value| value.as_s().unwrap()).to_owned();
        Some(["Status", "StatusAt", "Reason"].map(word))
    }
}

fn row(status: &str, at: &str, reason: &str) -> Option<[String; 3]> {
    Some([status, at, reason].map(str::to_owned))
}

const START: &str = "1970-01-01T00:00:00Z";
const AFTER: &str = "1970-01-01T00:00:01Z";

#[tokio::test]
async fn a_topic_keeps_the_time_at_which_it_became_what_it_is() {
    let world = World::new().await;
    world.want(0).await;
    world.want(LATER).await;
    assert_eq!(world.row().await, row("pending", START, ""));
    world.activate(0).await;
    world.activate(LATER).await;
    world.want(LATER).await;
    assert_eq!(world.row().await, row("active", START, ""));
}

#[tokio::test]
async fn a_removed_row_is_not_brought_back_by_a_late_writer() {
    let world = World::new().await;
    world.want(0).await;
    world.tables.remove(&world.river, &world.topic).await.unwrap();
    world.activate(LATER).await;
    world.degrade().await;
    assert_eq!(world.row().await, None);
}

#[tokio::test]
async fn a_refusal_degrades_what_is_pending_and_leaves_what_is_active() {
    let world = World::new().await;
    world.want(0).await;
    world.degrade().await;
    assert_eq!(world.row().await, row("degraded", AFTER, "too many"));
    world.want(0).await;
    assert_eq!(world.row().await, row("pending", START, ""));
    world.activate(0).await;
    world.degrade().await;
    assert_eq!(world.row().await, row("active", START, ""));
}

#[tokio::test]
async fn a_row_of_the_original_has_no_status_and_is_worked_on() {
    let world = World::new().await;
    let put = world.tables.dynamodb.put_item().table_name("Subscriptions-dev");
    put.item(SUBSCRIBER, text("r1")).item(TOPIC, text("ViewPage")).send().await.unwrap();
    let topics = world.tables.wanted(&world.river).await.unwrap();
    let wanted =
        Wanted { status: Status::Pending, filter: AttributeFilter::default(), rules: Vec::new() };
    assert_eq!(topics, BTreeMap::from([(world.topic.clone(), wanted)]));
    world.activate(0).await;
    assert_eq!(world.row().await, row("active", START, ""));
}

#[tokio::test]
async fn other_rules_make_a_topic_pending_again_and_the_same_do_not() {
    let world = World::new().await;
    let packet = Packet::of("ViewPage").demand_value("/synthetic", true);
    let want = async |rules: &[Rule], at_ms| {
        world.tables.want(&world.river, &world.topic, rules, at(at_ms)).await.unwrap();
    };
    want(&[], 0).await;
    world.activate(0).await;
    want(packet.rules(), LATER).await;
    assert_eq!(world.row().await, row("pending", AFTER, ""));
    let topics = world.tables.wanted(&world.river).await.unwrap();
    assert_eq!(topics[&world.topic].filter, packet.filter());
    world.activate(0).await;
    want(packet.rules(), LATER).await;
    assert_eq!(world.row().await, row("active", START, ""));
}
