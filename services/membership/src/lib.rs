//! Says which tier of the loyalty program a customer has. It answers every view: "None" is an answer, and silence
//! would leave others to guess.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chassis::{Problems, Validate};
use pond::{Inbox, Pond, Reference};
use river::{Context, Draft, Event, Failure, Handler, Outcome, Packet};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The service as a process.
pub type Service = river::Service<Membership>;

/// Whom everybody knows, until the table says otherwise: the customer of the original's story, and the probe's.
const KNOWN: [(&str, &str); 2] = [("Sally", "Platinum"), ("probe-sally", "Platinum")];
/// The tier of everybody else.
const NONE: &str = "None";
/// The loyalty program.
const PROGRAM: &str = "Rapids Rewards";

/// Answers views with the customer's tier.
pub struct Membership {
    inbox: Inbox,
    tiers: Reference,
}

/// Settings of the service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A file with customers and their tiers, written into the table at every start, over the rows that come with
    /// the service: `.json` with one object, `{"Sally":"Platinum"}`, or `.jsonl` with a line
    /// `{"key":"Sally","value":"Platinum"}` each. If anything is wrong in it, the service does not start.
    pub reference_file: Option<PathBuf>,
    /// Customer → tier, written into the table at every start, over the file. The table may know more.
    pub tiers: BTreeMap<String, String>,
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.tiers.iter().any(|(customer, tier)| customer.is_empty() || tier.is_empty()) {
            problems.report("tiers", "a customer and a tier have at least one letter");
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

impl Handler for Membership {
    const RIVER: &'static str = "membership";
    const EMITS: &'static [&'static str] = &["MembershipResolved"];
    const DOMAIN: &'static str = "membership";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("ViewPage").require_parsed::<View>("")]
    }

    async fn build(config: Config, context: &Context) -> anyhow::Result<Self> {
        let dynamodb = context.kit().dynamodb();
        let pond = Pond::open(dynamodb, context.pond_table(), context.time()).await?;
        let tiers = Reference::new(&pond, "tiers");
        for (customer, tier) in KNOWN {
            tiers.seed(customer, &tier).await?;
        }
        if let Some(file) = &config.reference_file {
            tiers.load(file, |_, tier: &String| check(tier)).await?;
        }
        for (customer, tier) in &config.tiers {
            tiers.put(customer, tier).await?;
        }
        Ok(Self { inbox: Inbox::new(&pond, context.river().as_str()), tiers })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        if self.inbox.seen(&event.event_id).await? {
            return Ok(Outcome::Duplicate);
        }
        let view: View = river::payload(event)?;
        let customer = view.customer_id.or(view.name).filter(|customer| !customer.is_empty());
        let tier = match &customer {
            Some(customer) => self.tiers.get::<String>(customer).await?,
            None => None,
        };
        let tier = tier.as_deref().unwrap_or(NONE);
        let payload = json!({"customerId": customer, "tier": tier, "program": PROGRAM});
        Ok(Outcome::answer(Draft::new("MembershipResolved", "tier", payload)))
    }

    async fn answered(&self, cause: &Event, _: &[Event]) -> Result<(), Failure> {
        Ok(self.inbox.record(&cause.event_id).await?)
    }
}

/// Whether a row of the file can be used.
fn check(tier: &str) -> Result<(), String> {
    if tier.is_empty() { Err("a tier has at least one letter".to_owned()) } else { Ok(()) }
}
