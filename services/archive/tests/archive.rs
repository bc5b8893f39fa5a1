//! The service between its river and a folder.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archive::place::{self, Missing};
use archive::{Log, Settings};
use aws_sdk_sqs::types::QueueAttributeName;
use chassis::{Embedded, Kit, embed};
use event::Event;
use jiff::Timestamp;
use local_aws::LocalAws;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The service on an embedded AWS and a folder.
struct World {
    _aws: LocalAws,
    sqs: aws_sdk_sqs::Client,
    queue: String,
    kit: Kit,
    folder: TempDir,
    stop: CancellationToken,
    embedded: Option<Embedded>,
}

fn settings(folder: &TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.0.subscribe = false;
    settings.0.report = river::Report::OFF;
    settings.0.handler.archive = folder.path().to_str().unwrap().to_owned();
    settings
}

impl World {
    async fn new(set: impl FnOnce(&mut Settings)) -> Self {
        let aws = LocalAws::new();
        let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
        let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
        kinesis.create_stream().stream_name("Rapids-dev").shard_count(1).send().await.unwrap();
        let queue = sqs.create_queue().queue_name("archive-dev").send().await.unwrap();
        let (kit, folder) = (Kit::new("archive", aws.sdk_config()), TempDir::new().unwrap());
        let mut settings = settings(&folder);
        set(&mut settings);
        let stop = CancellationToken::new();
        let embedded =
            embed::<archive::Service>(kit.clone(), settings, None, stop.clone()).await.unwrap();
        assert!(embedded.readiness().ready().await);
        Self {
            _aws: aws,
            sqs,
            queue: queue.queue_url.unwrap(),
            kit,
            folder,
            stop,
            embedded: Some(embedded),
        }
    }

    async fn send(&self, number: i64) {
        let at = Timestamp::from_second(number * 600).unwrap();
        let id = format!("e{number}").as_str().into();
        let event = Event { event_id: id, ..Event::root("ViewPage", "web", json!({}), at) };
        let send = self.sqs.send_message().queue_url(&self.queue);
        send.message_body(event.to_json()).send().await.unwrap();
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Rows in live files.
    async fn rows(&self) -> u64 {
        let store = place::open(self.folder.path().to_str().unwrap(), Missing::Refuse).unwrap();
        let state = Log::new(Arc::clone(&store)).open().await.unwrap();
        state.files().map(|(_, file)| file.rows).sum()
    }

    /// Messages that came to an outcome.
    fn settled(&self, outcome: &str) -> f64 {
        let families = self.kit.registry().gather();
        let family = families.iter().find(|f| f.name() == "rapids_river_messages_total");
        let metrics = family.map(|family| family.get_metric().to_vec()).unwrap_or_default();
        let of_outcome = metrics
            .iter()
            .filter(|metric| metric.get_label().iter().any(|label| label.value() == outcome));
        of_outcome.map(|metric| metric.get_counter().get_value()).sum()
    }

    async fn until(&self, outcome: &str, messages: usize) {
        let reached = async {
            while self.settled(outcome) < messages as f64 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(3_600), reached).await.unwrap();
    }

    /// Messages in the queue, hidden ones too.
    async fn left(&self) -> Vec<String> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let ask = self.sqs.get_queue_attributes().queue_url(&self.queue);
        let told = ask.set_attribute_names(Some(names.to_vec())).send().await.unwrap();
        names.iter().map(|name| told.attributes().unwrap()[name].clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_becomes_one_row_however_often_it_comes() {
    let world = World::new(|_| {}).await;
    for number in (0..30).chain(10..20).chain(0..5) {
        world.send(number).await;
    }
    world.until("ok", 30).await;
    world.until("duplicate", 15).await;
    assert_eq!(world.rows().await, 30);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.left().await, ["0", "0"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_kept_until_its_row_is_committed() {
    let world = World::new(|settings| {
        settings.0.handler.flush_every = Duration::from_secs(20);
        settings.0.visibility = Duration::from_secs(6);
    })
    .await;
    world.send(1).await;
    // Far longer than it is hidden at first: the kit has to keep it hidden.
    sleep(Duration::from_secs(15)).await;
    assert_eq!((world.rows().await, world.left().await), (0, vec!["0".to_owned(), "1".to_owned()]));
    world.until("ok", 1).await;
    assert_eq!(world.rows().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait_for_its_time() {
    let world = World::new(|settings| {
        settings.0.handler.flush_rows = 10;
        settings.0.handler.flush_every = Duration::from_secs(30);
    })
    .await;
    for number in 0..20 {
        world.send(number).await;
    }
    timeout(Duration::from_secs(10), world.until("ok", 20)).await.unwrap();
    assert_eq!(world.rows().await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_stop_commits_what_has_arrived() {
    let mut world =
        World::new(|settings| settings.0.handler.flush_every = Duration::from_secs(30)).await;
    for number in 0..7 {
        world.send(number).await;
    }
    let in_hands = async {
        while world.left().await != ["0", "7"] {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), in_hands).await.unwrap();
    assert_eq!(world.rows().await, 0);
    world.stop.cancel();
    let embedded = world.embedded.take().unwrap();
    timeout(Duration::from_secs(10), embedded.join()).await.unwrap().unwrap();
    assert_eq!((world.rows().await, world.left().await), (7, vec!["0".to_owned(), "0".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_delays_events_and_loses_none() {
    let world = World::new(|_| {}).await;
    // A file where the folder of the log is to be.
    fs::write(world.log(), "").unwrap();
    for number in 0..5 {
        world.send(number).await;
    }
    world.until("failed", 5).await;
    fs::remove_file(world.log()).unwrap();
    world.until("ok", 5).await;
    assert_eq!(world.rows().await, 5);
}
