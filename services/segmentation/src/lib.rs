//! Says which segment a customer belongs to. It answers every view: "None" is an answer, and silence would leave
//! others to guess.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chassis::{Problems, Validate};
use pond::{Inbox, Pond, Reference};
use river::{Context, Draft, Event, Failure, Handler, Outcome, Packet};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The service as a process.
pub type Service = river::Service<Segmentation>;

/// Whom everybody knows, until the table says otherwise: the customer of the original's story, and the probe's.
const KNOWN: [(&str, &str); 2] = [("Sally", "RoadWarrior"), ("probe-sally", "RoadWarrior")];
/// The segment of everybody else.
const NONE: &str = "None";

/// Answers views with the customer's segment.
pub struct Segmentation {
    inbox: Inbox,
    segments: Reference,
}

/// Settings of the service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A file with customers and their segments, written into the table at every start, over the rows that come with
    /// the service: `.json` with one object, `{"Sally":"RoadWarrior"}`, or `.jsonl` with a line
    /// `{"key":"Sally","value":"RoadWarrior"}` each. If anything is wrong in it, the service does not start.
    pub reference_file: Option<PathBuf>,
    /// Customer → segment, written into the table at every start, over the file. The table may know more.
    pub segments: BTreeMap<String, String>,
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.segments.iter().any(|(customer, segment)| customer.is_empty() || segment.is_empty())
        {
            problems.report("segments", "a customer and a segment have at least one letter");
        }
    }
}

/// What is of interest in a view.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    customer_id: Option<String>,
    name: Option<String>,
}

impl Handler for Segmentation {
    const RIVER: &'static str = "segmentation";
    const EMITS: &'static [&'static str] = &["CustomerSegmented"];
    const DOMAIN: &'static str = "segmentation";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("ViewPage").require_parsed::<View>("")]
    }

    async fn build(config: Config, context: &Context) -> anyhow::Result<Self> {
        let dynamodb = context.kit().dynamodb();
        let pond = Pond::open(dynamodb, context.pond_table(), context.time()).await?;
        let segments = Reference::new(&pond, "segments");
        for (customer, segment) in KNOWN {
            segments.seed(customer, &segment).await?;
        }
        if let Some(file) = &config.reference_file {
            segments.load(file, |_, segment: &String| check(segment)).await?;
        }
        for (customer, segment) in &config.segments {
            segments.put(customer, segment).await?;
        }
        Ok(Self { inbox: Inbox::new(&pond, context.river().as_str()), segments })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        if self.inbox.seen(&event.event_id).await? {
            return Ok(Outcome::Duplicate);
        }
        let view: View = river::payload(event)?;
        let customer = view.customer_id.or(view.name).filter(|customer| !customer.is_empty());
        let segment = match &customer {
            Some(customer) => self.segments.get::<String>(customer).await?,
            None => None,
        };
        Ok(Outcome::answer(segmented(customer.as_deref(), segment)))
    }

    async fn answered(&self, cause: &Event, _: &[Event]) -> Result<(), Failure> {
        Ok(self.inbox.record(&cause.event_id).await?)
    }
}

/// Whether a row of the file can be used.
fn check(segment: &str) -> Result<(), String> {
    if segment.is_empty() { Err("a segment has at least one letter".to_owned()) } else { Ok(()) }
}

fn segmented(customer: Option<&str>, segment: Option<String>) -> Draft {
    let reason = match (customer, &segment) {
        (None, _) => "anonymous view",
        (Some(_), None) => "customer of no segment",
        (Some(_), Some(_)) => "segment of the customer",
    };
    let confidence = if customer.is_some() { 1.0 } else { 0.0 };
    let segment = segment.unwrap_or_else(|| NONE.to_owned());
    let payload = json!({
        "customerId": customer, "segment": segment, "confidence": confidence, "reason": [reason],
    });
    Draft::new("CustomerSegmented", "segment", payload)
}
