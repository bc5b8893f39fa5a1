//! Random commands, random changes by other hands, random faults of AWS, replicas that are killed and started: in the
//! end the rivers are what the commands asked for. A seed that fails prints the command that replays it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_sqs::types::QueueAttributeName;
use control_plane::{Config, ControlPlane};
use event::control::Command;
use event::route::{Direct, Routing};
use local_aws::{Fault, Service};
use river_test::{Process, World};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Seeds of an ordinary run; `CHAOS_SEEDS=500` for more, `CHAOS_SEED=7` for one with its history.
const SEEDS: u64 = 4;
const STEPS: usize = 40;
const RIVERS: [&str; 3] = ["r1", "r2", "r3"];
const TOPICS: [&str; 4] = ["A", "B", "C", "Offer.*"];
/// Four rounds and a bridge, and the minute in which SQS refuses the name of a deleted queue.
const SETTLED_WITHIN: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_secs(20);
const TWO_ROUNDS: Duration = Duration::from_secs(70);

/// What the commands asked of a river, in their order.
#[derive(Clone, Debug, Default)]
struct Asked {
    topics: BTreeSet<&'static str>,
    routing: Routing,
    removed: bool,
}

struct Chaos {
    world: World,
    kinesis: aws_sdk_kinesis::Client,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    random: fastrand::Rng,
    bridge: Duration,
    replicas: Vec<Process>,
    asked: BTreeMap<&'static str, Asked>,
    history: String,
}

impl Chaos {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let sdk = world.aws().sdk_config();
        let mut random = fastrand::Rng::with_seed(seed);
        let kinesis = aws_sdk_kinesis::Client::new(&sdk);
        let shards = random.i32(1..=3);
        let control = kinesis.create_stream().stream_name("Control-dev").shard_count(shards);
        control.send().await.unwrap();
        let mut chaos = Self {
            kinesis,
            sqs: aws_sdk_sqs::Client::new(&sdk),
            sns: aws_sdk_sns::Client::new(&sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            bridge: Duration::from_secs(*random.choice(&[0, 120]).unwrap()),
            random,
            replicas: Vec::new(),
            asked: BTreeMap::new(),
            history: String::new(),
            world,
        };
        sleep(Duration::from_secs(5)).await;
        chaos.start_replica().await;
        chaos.start_replica().await;
        chaos
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *self.random.choice(from).unwrap()
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        let at = self.world.now();
        writeln!(self.history, "{at} {what}").unwrap();
    }

    async fn start_replica(&mut self) {
        let config = Config {
            renewal_thread: false,
            bridge: self.bridge,
            reconcile_every: Duration::from_secs(30),
            // Looking and renewing is what virtual time would be spent with.
            read_interval: Duration::from_secs(2),
            failover: Duration::from_secs(30),
            ..Config::default()
        };
        self.replicas.push(self.world.run::<ControlPlane>("control-plane", config).await);
    }

    async fn step(&mut self) {
        // Some in one moment, some while the one before is worked on.
        let pause = self.random.u64(0..40).saturating_sub(20) * 250;
        sleep(Duration::from_millis(pause)).await;
        match self.random.u32(0..100) {
            0..40 => self.command().await,
            40..65 => self.drift().await,
            65..80 => self.fault(),
            80..90 => self.crash().await,
            _ => {
                let seconds = self.random.u64(1..90);
                self.note(format_args!("{seconds} s pass"));
                sleep(Duration::from_secs(seconds)).await;
            }
        }
    }

    async fn command(&mut self) {
        let (name, topic) = (self.pick(&RIVERS), self.pick(&TOPICS));
        let chance = self.random.u32(0..10);
        let routing = self.pick(&[Routing::Auto, Routing::Sns, Routing::Direct]);
        let asked = self.asked.entry(name).or_default();
        let river = name.to_owned();
        let command = match chance {
            0..5 => {
                asked.topics.insert(topic);
                asked.removed = false;
                Command::subscribe(river, topic)
            }
            5..7 => {
                asked.topics.remove(topic);
                Command::Unsubscribe { river, topic: topic.to_owned() }
            }
            7..9 => {
                asked.routing = routing;
                Command::Route { river, routing }
            }
            _ => {
                *asked = Asked { removed: true, ..Asked::default() };
                Command::RemoveRiver { river, discard: true }
            }
        };
        self.note(command.to_json());
        let put = self.kinesis.put_record().stream_name("Control-dev");
        let put = put.partition_key(command.partition_key()).data(Blob::new(command.to_json()));
        put.send().await.unwrap();
    }

    /// Something is changed by hand, if it is there.
    async fn drift(&mut self) {
        let (river, what) = (self.pick(&RIVERS), self.random.u32(0..8));
        let dead_letters = self.random.bool();
        let queue = if dead_letters { format!("{river}-dev-dlq") } else { format!("{river}-dev") };
        self.note(format_args!("drift {what} of {queue}"));
        let url = self.sqs.get_queue_url().queue_name(&queue).send().await;
        let url = url.ok().and_then(|found| found.queue_url);
        let subscription =
            self.subscription(river).await.map(|found| found["SubscriptionArn"].clone());
        // What is not there, or is refused by a fault, is not changed: all the same to this test.
        match (what, url, subscription) {
            (0, Some(url), _) => drop(self.sqs.delete_queue().queue_url(url).send().await),
            (1..4, Some(url), _) => {
                let (name, value) = match what {
                    1 => (QueueAttributeName::VisibilityTimeout, "7"),
                    2 => (QueueAttributeName::Policy, ""),
                    _ => (QueueAttributeName::MessageRetentionPeriod, "60"),
                };
                let set = self.sqs.set_queue_attributes().queue_url(url).attributes(name, value);
                drop(set.send().await);
            }
            (4, _, Some(arn)) => drop(self.sns.unsubscribe().subscription_arn(arn).send().await),
            (5..8, _, Some(arn)) => {
                let (name, value) = match what {
                    5 => ("FilterPolicy", r#"{"event_type":["Z"]}"#),
                    6 => ("RawMessageDelivery", "true"),
                    _ => ("RedrivePolicy", "{}"),
                };
                let set = self.sns.set_subscription_attributes().subscription_arn(arn);
                drop(set.attribute_name(name).attribute_value(value).send().await);
            }
            _ => {}
        }
    }

    fn fault(&mut self) {
        let (service, operation) = self.pick(&[
            (Service::Sqs, "CreateQueue"),
            (Service::Sqs, "SetQueueAttributes"),
            (Service::Sqs, "GetQueueUrl"),
            (Service::Sqs, "DeleteQueue"),
            (Service::Sns, "Subscribe"),
            (Service::Sns, "SetSubscriptionAttributes"),
            (Service::Sns, "Unsubscribe"),
            (Service::Sns, "ListSubscriptionsByTopic"),
            (Service::DynamoDb, "UpdateItem"),
            (Service::DynamoDb, "TransactWriteItems"),
            (Service::DynamoDb, "Query"),
            (Service::Kinesis, "PutRecords"),
            (Service::Kinesis, "ListShards"),
        ]);
        let (times, kind) = (self.random.u64(1..12), self.random.u32(0..3));
        self.note(format_args!("fault {kind} of {operation}, {times} times"));
        let fault = Fault::on(service, operation).times(times);
        let fault = match kind {
            0 => fault.throttle(),
            1 => fault.lose_reply(),
            _ => fault.error(403, "AccessDeniedException", "not you"),
        };
        self.world.aws().faults().add(fault);
    }

    async fn crash(&mut self) {
        if self.replicas.len() > 1 {
            let which = self.random.usize(0..self.replicas.len());
            self.note(format_args!("replica {which} is killed"));
            self.replicas.swap_remove(which).kill();
        } else {
            self.note("a replica is started");
            // A fault may keep it from starting, as it would a container, which is then started again.
            self.world.aws().faults().clear();
            self.start_replica().await;
        }
    }

    async fn subscription(&self, river: &str) -> Option<BTreeMap<String, String>> {
        let topic = "arn:aws:sns:us-east-1:000000000000:Rapids-dev";
        let list = self.sns.list_subscriptions_by_topic().topic_arn(topic).send().await.ok()?;
        let endpoint = format!("arn:aws:sqs:us-east-1:000000000000:{river}-dev");
        let all = list.subscriptions.unwrap_or_default();
        let found = all.into_iter().find(|one| one.endpoint.as_ref() == Some(&endpoint))?;
        let get = self.sns.get_subscription_attributes();
        let get = get.subscription_arn(found.subscription_arn?).send().await.ok()?;
        Some(get.attributes?.into_iter().collect())
    }

    async fn queue(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let url = self.sqs.get_queue_url().queue_name(name).send().await.ok()?.queue_url?;
        let get = self.sqs.get_queue_attributes().queue_url(url);
        let all = get.attribute_names(QueueAttributeName::All).send().await.ok()?.attributes?;
        Some(all.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect())
    }

    async fn row(&self, river: &str) -> BTreeMap<String, String> {
        let get = self.dynamodb.get_item().table_name("Rivers-dev").consistent_read(true);
        let get = get.key("River", AttributeValue::S(river.to_owned())).send().await.unwrap();
        let text =
            |(name, value): (String, AttributeValue)| Some((name, value.as_s().ok()?.clone()));
        get.item.unwrap_or_default().into_iter().filter_map(text).collect()
    }

    /// What is not as the commands asked.
    async fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (river, asked) in &self.asked {
            let found = self.complaints_about(river, asked).await;
            complaints.extend(found.into_iter().map(|complaint| format!("{river}: {complaint}")));
        }
        complaints
    }

    async fn complaints_about(&self, river: &str, asked: &Asked) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                complaints.push(what.to_owned());
            }
        };
        let (queue, dead_letters) = (format!("{river}-dev"), format!("{river}-dev-dlq"));
        let (queue, dead_letters) = (self.queue(&queue).await, self.queue(&dead_letters).await);
        let (subscription, row) = (self.subscription(river).await, self.row(river).await);
        let direct = row.get("Direct").map(|json| Direct::parse(json).unwrap());
        let problem = row.get("Problem").map(|problem| format!("a problem: {problem}"));
        expect(problem.is_none(), problem.as_deref().unwrap_or_default());
        if asked.topics.is_empty() {
            expect(subscription.is_none(), "it is subscribed for nothing");
            expect(direct.is_none(), "it is fed for nothing");
            let is_gone = queue.is_none() && dead_letters.is_none();
            expect(!asked.removed || is_gone, "its queues are still there");
            return complaints;
        }
        for (queue, retention, visibility) in
            [(&queue, "345600", "30"), (&dead_letters, "1209600", "30")]
        {
            let has = |name: &str, value: &str| {
                queue.as_ref().and_then(|queue| queue.get(name)).is_some_and(|found| found == value)
            };
            expect(has("MessageRetentionPeriod", retention), "a retention");
            // Nobody takes from a dead-letter queue by a visibility of ours: it is not wanted to be any.
            expect(has("VisibilityTimeout", visibility) || retention == "1209600", "a visibility");
            let policy = queue.as_ref().and_then(|queue| queue.get("Policy"));
            expect(policy.is_some_and(|it| it.contains("DeliverFromRapids")), "a policy");
        }
        let topics: Vec<_> = asked.topics.iter().copied().collect();
        let by_sns = asked.routing != Routing::Direct;
        expect(
            row.get("Route").map(String::as_str) == Some(if by_sns { "sns" } else { "direct" }),
            "its route",
        );
        expect(subscription.is_some() == by_sns, "its subscription");
        if let Some(found) = subscription {
            let condition = |topic: &str| match topic.strip_suffix('*') {
                Some(prefix) => json!({ "prefix": prefix }),
                None => json!(topic),
            };
            let filter =
                json!({ "event_type": topics.iter().map(|it| condition(it)).collect::<Vec<_>>() });
            let is: Value = serde_json::from_str(&found["FilterPolicy"]).unwrap();
            expect(is == filter, "its filter");
            expect(found["RawMessageDelivery"] == "false", "its delivery");
            expect(found.get("RedrivePolicy").is_some_and(|it| it.contains("-dlq")), "its redrive");
            expect(direct.is_none(), "a bridge that does not end");
        } else if let Some(direct) = direct {
            let lines: Vec<_> = direct.packets.iter().map(|line| line.topic.as_str()).collect();
            expect(lines == topics, "its lines");
            expect(direct.packets.iter().all(|line| line.until.is_none()), "a line that ends");
        } else {
            expect(false, "nothing feeds it");
        }
        let query = self.dynamodb.query().table_name("Subscriptions-dev").consistent_read(true);
        let query = query
            .key_condition_expression("Subscriber = :r")
            .expression_attribute_values(":r", AttributeValue::S(river.to_owned()));
        let rows = query.send().await.unwrap().items.unwrap_or_default();
        let active: Vec<_> = rows
            .iter()
            .filter(|row| row["Status"].as_s().unwrap() == "active")
            .map(|row| row["Topic"].as_s().unwrap().as_str())
            .collect();
        expect(active == topics, "its active topics");
        complaints
    }

    /// Calls that change something.
    fn changes(&self) -> u64 {
        let sqs = ["CreateQueue", "SetQueueAttributes", "DeleteQueue"];
        let sns = ["Subscribe", "SetSubscriptionAttributes", "Unsubscribe"];
        let aws = self.world.aws();
        let of = |service, calls: [&str; 3]| -> u64 {
            calls.iter().map(|call| aws.calls(service, call)).sum()
        };
        of(Service::Sqs, sqs) + of(Service::Sns, sns)
    }
}

/// What is wrong after the steps of a seed, and its history.
async fn run(seed: u64) -> (Vec<String>, String) {
    let mut chaos = Chaos::new(seed).await;
    for _ in 0..STEPS {
        chaos.step().await;
    }
    chaos.world.aws().faults().clear();
    if chaos.replicas.is_empty() {
        chaos.start_replica().await;
    }
    chaos.note("it is left alone");
    let mut complaints = Vec::new();
    let mut waited = Duration::ZERO;
    while waited < SETTLED_WITHIN {
        complaints = chaos.complaints().await;
        if complaints.is_empty() {
            break;
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
    // In order, it is left in order: once the last command is worked off, two rounds change nothing.
    sleep(TWO_ROUNDS).await;
    let before = chaos.changes();
    sleep(TWO_ROUNDS).await;
    if complaints.is_empty() {
        complaints = chaos.complaints().await;
        if chaos.changes() != before {
            complaints.push("it is changed again and again".to_owned());
        }
    }
    (complaints, chaos.history)
}

fn asked(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how a seed is chosen from outside")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_the_rivers_become_what_was_asked_for() {
    let one = asked("CHAOS_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..asked("CHAOS_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let (complaints, history) = run(seed).await;
        if one.is_some() {
            println!("{history}");
        }
        assert!(
            complaints.is_empty(),
            "seed {seed}: {complaints:#?}\nCHAOS_SEED={seed} cargo test --test stage chaos -- --nocapture"
        );
    }
}
