//! What the control plane would do, told by the code that does it.

use std::collections::BTreeMap;

use anyhow::anyhow;
use event::Packet;
use event::names::{River, Stage, Topic};
use event::packet::Rule;
use event::route::Routing;
use jiff::Timestamp;
use serde::Serialize;

use crate::act::Hands;
use crate::arn::Arns;
use crate::blueprint::Blueprint;
use crate::config::Config;
use crate::nudge::Nudges;
use crate::observe::observe;
use crate::plan::{View, plan};
use crate::queue::Queues;
use crate::subscription::{Listing, Subscriptions};
use crate::tables::{Row, Status, Tables};

/// The clients that a look needs.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Of Kinesis. Nothing is asked of it.
    pub kinesis: aws_sdk_kinesis::Client,
    /// Of SNS.
    pub sns: aws_sdk_sns::Client,
    /// Of SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// Of DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
}

/// What would be done in a stage, as its control plane is set. Changes nothing.
#[derive(Debug)]
pub struct Foresight {
    /// How the control plane of the stage is set.
    pub config: Config,
    stage: Stage,
    blueprint: Blueprint,
    hands: Hands,
    listing: Listing,
}

/// What is to be assumed of a river, in place of what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Its topics, and what its service declares about each; where that is not said, it stays.
    pub topics: BTreeMap<Topic, Option<Vec<Rule>>>,
    /// How it is to be routed; where that is not said, it stays.
    pub routing: Option<Routing>,
}

/// What would be done at a river.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The river.
    pub river: String,
    /// Its topics.
    pub topics: Vec<String>,
    /// `sns` or `direct`; none where nothing would feed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'static str>,
    /// Why by that route.
    pub reason: String,
    /// The steps, in their order; none where the river is what it should be.
    pub steps: Vec<Step>,
    /// What is not as it should be, and is left to people.
    pub findings: Vec<String>,
    /// Why it cannot become what is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is done, in one word of the code.
    pub action: &'static str,
    /// The same for people.
    pub text: String,
}

/// A stage in which no control plane ever ran.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no control plane has run in stage {0}: start one, it says how it is set")]
pub struct NeverRan(String);

impl Foresight {
    /// Asks how the control plane of `stage` is set, and what SNS has.
    ///
    /// # Errors
    /// [`NeverRan`], when it is of a version whose settings this one cannot read, and what
    /// AWS fails with.
    pub async fn open(clients: Clients, stage: &Stage) -> anyhow::Result<Self> {
        let tables = Tables::new(clients.dynamodb, stage);
        let never = || NeverRan(stage.to_string());
        let published = tables.published().await?.ok_or_else(never)?;
        let config: Config = serde_json::from_str(&published.settings).map_err(|error| {
            anyhow!("the control plane of stage {stage} is of another version than this command, which cannot read its settings: {error}")
        })?;
        let blueprint = Blueprint::new(&config, Arns::of_topic(&published.topic_arn)?);
        let rapids = config.rapids.clone().unwrap_or_else(|| stage.rapids());
        let hands = Hands {
            queues: Queues(clients.sqs),
            subscriptions: Subscriptions { sns: clients.sns, topic_arn: published.topic_arn },
            tables,
            nudges: Nudges { kinesis: clients.kinesis, rapids },
        };
        let listing = hands.subscriptions.list().await?;
        Ok(Self { config, stage: stage.clone(), blueprint, hands, listing })
    }

    /// Subscriptions that the SNS topic has.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.listing.len()
    }

    /// Every river of the stage.
    ///
    /// # Errors
    /// What DynamoDB fails with.
    pub async fn rivers(&self) -> anyhow::Result<Vec<River>> {
        Ok(self.hands.tables.rivers(&self.stage).await?.into_iter().collect())
    }

    /// What would be done at `river` now, or once it is wished for so.
    ///
    /// # Errors
    /// What AWS fails with. What it would refuse is part of the preview.
    pub async fn look(
        &self,
        river: &River,
        wish: Option<&Wish>,
        now: Timestamp,
    ) -> anyhow::Result<Preview> {
        let mut view =
            observe(&self.hands, &self.blueprint, river, Some(&self.listing), now).await?;
        if let Some(wish) = wish {
            assume(&mut view, wish);
        }
        Ok(preview(&self.blueprint, river, &view))
    }
}

/// Puts what is wished for in the place of what is wanted.
fn assume(view: &mut View, wish: &Wish) {
    // Who wants topics in a river wants it to stay.
    view.row = Row {
        routing: wish.routing.unwrap_or(view.row.routing),
        removal: view.row.removal.filter(|_| wish.topics.is_empty()),
        ..view.row.clone()
    };
    view.topics.retain(|topic, _| wish.topics.contains_key(topic));
    for (topic, rules) in &wish.topics {
        let known = view.topics.contains_key(topic);
        let Some(rules) = rules.clone().or_else(|| (!known).then(Vec::new)) else { continue };
        if known && view.rules.get(topic) == Some(&rules) {
            continue;
        }
        let packet = Packet::with_rules(topic.as_str(), rules.clone());
        view.topics.insert(topic.clone(), Status::Pending);
        view.filters.insert(topic.clone(), packet.filter());
        view.rules.insert(topic.clone(), rules);
    }
}

fn preview(blueprint: &Blueprint, river: &River, view: &View) -> Preview {
    let topics = view.topics.keys().map(|topic| topic.as_str().to_owned()).collect();
    let river_name = river.to_string();
    match plan(blueprint, river, view) {
        Ok(plan) => Preview {
            river: river_name,
            topics,
            route: (!view.topics.is_empty()).then(|| plan.route.as_str()),
            reason: plan.reason.clone(),
            steps: plan
                .actions
                .iter()
                .map(|action| Step { action: action.kind(), text: action.to_string() })
                .collect(),
            findings: plan.findings,
            refused: None,
        },
        Err(refused) => Preview {
            river: river_name,
            topics,
            route: None,
            reason: String::new(),
            steps: Vec::new(),
            findings: Vec::new(),
            refused: Some(refused.explain()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn foreseen(view: &View) -> Preview {
        let stage = Stage::parse("dev").unwrap();
        preview(&Blueprint::test(), &River::parse("r1", &stage).unwrap(), view)
    }

    #[test]
    fn what_is_wished_for_takes_the_place_of_what_is_wanted() {
        let mut view = View::default();
        for name in ["A", "B"] {
            view.topics.insert(topic(name), Status::Active);
            view.filters.insert(topic(name), Packet::of(name).filter());
            view.rules.insert(topic(name), Vec::new());
        }
        let topics = [("A", None), ("C", None)].map(|(name, rules)| (topic(name), rules)).into();
        assume(&mut view, &Wish { topics, routing: Some(Routing::Direct) });
        let preview = foreseen(&view);
        assert_eq!((preview.topics, preview.route), (vec!["A".into(), "C".into()], Some("direct")));
        let texts: Vec<_> = preview.steps.iter().map(|step| step.text.as_str()).collect();
        assert!(texts.contains(&"say that topic C is active"), "{texts:?}");
        assert!(!texts.contains(&"say that topic A is active"), "{texts:?}");
    }

    #[test]
    fn what_would_be_refused_is_told() {
        let topics = (0..151).map(|n| (topic(&format!("T{n}")), None)).collect();
        let mut view = View::default();
        assume(&mut view, &Wish { topics, routing: Some(Routing::Sns) });
        let refused = foreseen(&view).refused.unwrap();
        assert!(refused.contains("river r1") && refused.contains("151 topics"), "{refused}");
    }
}
