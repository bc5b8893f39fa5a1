//! The whole system in one process: rapids, reader, control plane, rivers, and the services of the story.

use std::time::Duration;

use control_plane::ControlPlane;
use event::{Event, EventId};
use rapids_reader::RapidsReader;
use river::{Config, Handler, Report};
use river_test::{Process, World};
use serde_json::{Value, json};

/// All but services.
pub(crate) struct Scenario {
    pub(crate) world: World,
    dynamodb: aws_sdk_dynamodb::Client,
    _reader: Process,
    _control_plane: Process,
}

impl Scenario {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let kinesis = aws_sdk_kinesis::Client::new(&world.aws().sdk_config());
        let control = kinesis.create_stream().stream_name("Control-dev").shard_count(1);
        control.send().await.unwrap();
        world
            .until("the control stream is there", async || {
                let described = kinesis.describe_stream_summary().stream_name("Control-dev");
                let summary = described.send().await.unwrap().stream_description_summary.unwrap();
                summary.stream_status == aws_sdk_kinesis::types::StreamStatus::Active
            })
            .await;
        let bridge = Duration::ZERO;
        let config = control_plane::Config { renewal_thread: false, bridge, ..Default::default() };
        let control_plane = world.run::<ControlPlane>("control-plane", config).await;
        let experiments_every = Duration::from_secs(1);
        let config = rapids_reader::Config {
            renewal_thread: false,
            experiments_every,
            ..Default::default()
        };
        let reader = world.run::<RapidsReader>("rapids-reader", config).await;
        let dynamodb = aws_sdk_dynamodb::Client::new(&world.aws().sdk_config());
        Self { world, dynamodb, _reader: reader, _control_plane: control_plane }
    }

    /// The services of the story.
    pub(crate) async fn with_all() -> (Self, Vec<Process>) {
        let scenario = Self::new().await;
        let services = vec![
            scenario.start::<segmentation::Segmentation>().await,
            scenario.start::<membership::Membership>().await,
            scenario.start::<location::Location>().await,
            scenario.start::<brand::Brand>().await,
            scenario.start::<offer_engine::OfferEngine>().await,
        ];
        (scenario, services)
    }

    /// Starts a service, and waits until its river gets all that it asked for.
    pub(crate) async fn start<H: Handler>(&self) -> Process {
        self.start_as::<H>(|_| {}).await
    }

    pub(crate) async fn start_as<H: Handler>(
        &self,
        change: impl FnOnce(&mut Config<H::Config>),
    ) -> Process {
        let mut config = Config {
            report: Report::OFF,
            experiments_every: Duration::from_secs(1),
            ..Config::default()
        };
        change(&mut config);
        let variant = config.variant.as_ref().map_or_else(String::new, |name| format!("-{name}"));
        let river = config.river.clone().unwrap_or_else(|| format!("{}{variant}", H::RIVER));
        let process = self.world.run::<river::Service<H>>(H::RIVER, config).await;
        let wanted = H::listens_to().iter().filter(|packet| !packet.is_own()).count();
        let hooked_in = async || self.active(&river).await == wanted;
        self.world.until(&format!("{river} is hooked in"), hooked_in).await;
        process
    }

    /// Active subscriptions of a river.
    async fn active(&self, river: &str) -> usize {
        let scan = self.dynamodb.scan().table_name("Subscriptions-dev").consistent_read(true);
        let Ok(rows) = scan.send().await else { return 0 };
        let is = |row: &std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>,
                  attribute: &str,
                  value: &str| {
            row.get(attribute).and_then(|it| it.as_s().ok()).is_some_and(|it| it == value)
        };
        let rows = rows.items.unwrap_or_default();
        let active = |row: &&_| is(row, "Subscriber", river) && is(row, "Status", "active");
        rows.iter().filter(active).count()
    }

    /// A customer looks at a page.
    pub(crate) async fn view(&self, name: &str) -> Event {
        let payload = json!({ "name": name });
        let view = Event::root("ViewPage", "TheSource", payload, self.world.now());
        self.world.put(&view).await;
        view
    }

    /// Everything that was said in the conversation of a view, copies included.
    pub(crate) async fn said(&self, view: &Event, event_type: &str) -> Vec<Event> {
        let mut said = self.world.rapids().await;
        said.retain(|it| it.correlation() == &view.event_id && it.event_type == event_type);
        said
    }

    /// Waits for so many different events of a type, and returns them in their order.
    pub(crate) async fn wait_for(
        &self,
        view: &Event,
        event_type: &str,
        count: usize,
    ) -> Vec<Event> {
        let different = async || {
            let mut said = self.said(view, event_type).await;
            let mut seen = Vec::<EventId>::new();
            said.retain(|event| {
                let new = !seen.contains(&event.event_id);
                seen.push(event.event_id.clone());
                new
            });
            said
        };
        let what = format!("{count} {event_type} for {}", view.payload["name"]);
        self.world.until(&what, async || different().await.len() >= count).await;
        different().await
    }

    pub(crate) async fn selection(&self, view: &Event) -> Event {
        self.wait_for(view, "OffersSelected", 1).await.remove(0)
    }
}

/// Who offers what, best first: `location segment+tier`.
pub(crate) fn offers(selection: &Event) -> Vec<String> {
    let text = |offer: &Value, field: &str| offer[field].as_str().unwrap_or_default().to_owned();
    let offer = |offer: &Value| format!("{} {}", text(offer, "offerer"), text(offer, "basis"));
    selection.payload["offers"].as_array().unwrap().iter().map(offer).collect()
}
