//! A subscription without a gap, though SNS takes its fifteen minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use control_plane::ControlPlane;
use event::control::Command;
use event::route::Routing;
use event::{Event, EventId};
use rapids_reader::RapidsReader;
use river_test::{Process, World};
use serde_json::{Value, json};
use tokio::time::sleep;

/// A quarter of the 15 minutes of AWS, and of the 16 of the default bridge: a test is not to take that long.
const LAG: Duration = Duration::from_secs(225);
const BRIDGE: Duration = Duration::from_secs(240);
/// Time between two events.
const BEAT: Duration = Duration::from_secs(6);

/// Reader and control plane on an SNS that is slow, as AWS says it may be.
struct Slow {
    world: World,
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    put: Vec<EventId>,
    /// How often each event came.
    came: BTreeMap<String, usize>,
    _daemons: [Process; 2],
}

impl Slow {
    async fn new(bridge: Duration) -> Self {
        let world = World::new().await;
        world.aws().set_filter_lag(LAG);
        let sdk = world.aws().sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&sdk);
        let control = kinesis.create_stream().stream_name("Control-dev").shard_count(1);
        control.send().await.unwrap();
        sleep(Duration::from_secs(5)).await;
        // Reading is what virtual time is spent with.
        let read_interval = Duration::from_secs(2);
        let config = control_plane::Config {
            renewal_thread: false,
            read_interval,
            bridge,
            ..Default::default()
        };
        let control_plane = world.run::<ControlPlane>("control-plane", config).await;
        let config =
            rapids_reader::Config { renewal_thread: false, read_interval, ..Default::default() };
        let reader = world.run::<RapidsReader>("rapids-reader", config).await;
        Self {
            kinesis,
            sqs: aws_sdk_sqs::Client::new(&sdk),
            put: Vec::new(),
            came: BTreeMap::new(),
            _daemons: [control_plane, reader],
            world,
        }
    }

    /// Gives a command and waits until the control plane says that it is done with it.
    async fn give(&self, command: Command) {
        let put = self.kinesis.put_record().stream_name("Control-dev");
        let put = put.partition_key(command.partition_key()).data(Blob::new(command.to_json()));
        put.send().await.unwrap();
        sleep(Duration::from_secs(4)).await;
    }

    /// An event of each type every so often, for so long.
    async fn flow(&mut self, types: &[&str], during: Duration) {
        for _ in 0..during.as_secs() / BEAT.as_secs() {
            for event_type in types {
                let event = Event::root(*event_type, "test", json!({}), self.world.now());
                self.world.put(&event).await;
                self.put.push(event.event_id);
            }
            sleep(BEAT).await;
            self.drink().await;
        }
    }

    async fn drink(&mut self) {
        let url = self.sqs.get_queue_url().queue_name("r1-dev").send().await.unwrap();
        let url = url.queue_url.unwrap();
        loop {
            let receive = self.sqs.receive_message().queue_url(&url).max_number_of_messages(10);
            let messages = receive.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return;
            }
            for message in messages {
                let delete = self.sqs.delete_message().queue_url(&url);
                delete.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
                let body: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
                // By SNS it comes within a notification.
                let event = match body["Message"].as_str() {
                    Some(text) => serde_json::from_str(text).unwrap(),
                    None => body,
                };
                *self.came.entry(event["eventId"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }

    fn missing(&self) -> usize {
        self.put.iter().filter(|id| !self.came.contains_key(&id.to_string())).count()
    }

    /// Copies of the events put last.
    fn copies_of_last(&self, count: usize) -> usize {
        let last = &self.put[self.put.len() - count..];
        last.iter().map(|id| self.came[&id.to_string()] - 1).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn from_the_moment_a_topic_is_active_none_of_its_events_is_missed() {
    let mut slow = Slow::new(BRIDGE).await;
    slow.give(Command::subscribe("r1", "A")).await;
    slow.flow(&["A"], Duration::from_secs(36)).await;
    slow.give(Command::subscribe("r1", "B")).await;
    slow.flow(&["A", "B"], BRIDGE + Duration::from_secs(36)).await;
    assert_eq!(slow.missing(), 0);
    assert_eq!(slow.copies_of_last(4), 0, "the bridge does not close");
}

#[tokio::test(start_paused = true)]
async fn without_a_bridge_events_are_missed_while_sns_takes_its_time() {
    let mut slow = Slow::new(Duration::ZERO).await;
    slow.give(Command::subscribe("r1", "A")).await;
    slow.flow(&["A"], Duration::from_secs(36)).await;
    assert_eq!(slow.missing(), slow.put.len());
}

#[tokio::test(start_paused = true)]
async fn a_river_changes_its_way_to_and_fro_and_misses_nothing() {
    let mut slow = Slow::new(BRIDGE).await;
    let route = |routing| Command::Route { river: "r1".to_owned(), routing };
    slow.give(route(Routing::Direct)).await;
    slow.give(Command::subscribe("r1", "A")).await;
    slow.flow(&["A"], Duration::from_secs(18)).await;
    slow.give(route(Routing::Sns)).await;
    slow.flow(&["A"], BRIDGE + Duration::from_secs(36)).await;
    slow.give(route(Routing::Direct)).await;
    slow.flow(&["A"], Duration::from_secs(18)).await;
    assert_eq!(slow.missing(), 0);
    assert_eq!(slow.copies_of_last(3), 0);
}
