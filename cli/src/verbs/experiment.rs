//! `experiment`: start, stop, list, report.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event::control::Command;
use event::experiment::Arm;
use event::{Event, EventId, Experiment};
use serde::Serialize;
use serde_json::json;

use super::control;
use crate::args;
use crate::client::{Resource, is_missing};
use crate::failure::{Failure, Result};
use crate::session::Session;
use crate::tail::Tail;

type Row = std::collections::HashMap<String, AttributeValue>;

/// Does what is asked for.
///
/// # Errors
/// Refusals before anything was done, and whatever AWS fails with.
pub(crate) async fn run(session: &Session, command: args::Experiment) -> Result<()> {
    match command {
        args::Experiment::Start { name, arms, on, unit, rivers, patience } => {
            let arms = with_rivers(read_arms(&arms)?, &rivers)?;
            let experiment = Experiment { name, on, unit, arms };
            let command = Command::StartExperiment(experiment);
            control::run(session, &command, patience.limit()).await
        }
        args::Experiment::Stop { name, patience } => {
            let exists = look(session, &name).await?.is_some();
            if !exists {
                let said =
                    format!("there is no experiment {name}: `rapids experiment list` shows them");
                return Err(Failure::Usage(said));
            }
            control::run(session, &Command::StopExperiment { name }, patience.limit()).await
        }
        args::Experiment::List => Ok(session.output.print(&list(session).await?)?),
        args::Experiment::Report { name } => report(session, &name).await,
    }
}

/// `control:90` and so on.
fn read_arms(arms: &[String]) -> Result<Vec<Arm>> {
    let read = |arm: &String| {
        let (name, weight) = arm.split_once(':')?;
        Some(Arm { name: name.to_owned(), weight: weight.parse().ok()?, river: None })
    };
    let refused = |arm: &String| {
        Failure::Usage(format!("arm {arm:?} is not NAME:WEIGHT, for example bold:10"))
    };
    arms.iter().map(|arm| read(arm).ok_or_else(|| refused(arm))).collect()
}

/// `bold=offer-engine-bold` and so on.
fn with_rivers(mut arms: Vec<Arm>, rivers: &[String]) -> Result<Vec<Arm>> {
    for pair in rivers {
        let (name, river) = pair.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("{pair:?} is not ARM=RIVER, for example bold=offer-engine-bold"))
        })?;
        let arm = arms.iter_mut().find(|arm| arm.name == name);
        let arm =
            arm.ok_or_else(|| Failure::Usage(format!("there is no arm {name} for river {river}")))?;
        arm.river = Some(river.to_owned());
    }
    Ok(arms)
}

/// The row of an experiment, if there is one.
pub(super) async fn look(session: &Session, name: &str) -> anyhow::Result<Option<Row>> {
    let table = session.names.stage.experiments_table();
    let get = session.aws.dynamodb.get_item().table_name(&table).consistent_read(true);
    match get.key("Experiment", AttributeValue::S(name.to_owned())).send().await {
        Ok(found) => Ok(found.item),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Resource::Table(&table).refused(error)),
    }
}

async fn list(session: &Session) -> anyhow::Result<Vec<serde_json::Value>> {
    let table = session.names.stage.experiments_table();
    let scan = session.aws.dynamodb.scan().table_name(&table).consistent_read(true);
    let mut rows = scan.into_paginator().items().send();
    let mut listed = Vec::new();
    while let Some(row) = rows.next().await {
        let row = match row {
            Ok(row) => row,
            Err(error) if is_missing(&error) => return Ok(listed),
            Err(error) => return Err(Resource::Table(&table).refused(error)),
        };
        if let Some(experiment) = definition(&row) {
            let (status, since) = (word(&row, "Status"), word(&row, "StatusAt"));
            listed.push(json!({"status": status, "since": since, "experiment": experiment}));
        }
    }
    listed.sort_by_key(|listed| listed["experiment"]["name"].to_string());
    Ok(listed)
}

/// What an arm came to.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// Conversations that were assigned to it.
    conversations: u64,
    /// Of them, those in which a selection was made.
    selections: u64,
    /// Of these, those that had an offer in them.
    with_offers: u64,
    /// Offers in all of them together.
    offers: u64,
    /// Sum of the scores of the first offers: expected margin, in minor units.
    value: f64,
    /// Offers that were accepted.
    accepted: u64,
}

async fn report(session: &Session, name: &str) -> Result<()> {
    let row = look(session, name).await?;
    let Some(experiment) = row.as_ref().and_then(definition) else {
        let said = format!("there is no experiment {name}: `rapids experiment list` shows them");
        return Err(Failure::Usage(said));
    };
    let mut tail = Tail::open(session.aws.kinesis.clone(), &session.names.rapids).await?;
    let mut seen = Seen::default();
    // A read that brings nothing has come to the end of every shard, or near it.
    loop {
        let events = tail.read().await?;
        if events.is_empty() {
            break;
        }
        events.iter().for_each(|event| seen.add(&experiment, event));
    }
    let results = seen.results(&experiment);
    if session.output.json {
        return Ok(session.output.print(&results)?);
    }
    session.output.say(&format!(
        "{:16} {:>13} {:>10} {:>11} {:>8} {:>12} {:>8}",
        "arm", "conversations", "selections", "with offers", "offers", "mean value", "accepted"
    ))?;
    for (arm, result) in &results {
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = result.value / result.selections.max(1) as f64;
        session.output.say(&format!(
            "{arm:16} {:>13} {:>10} {:>11} {:>8} {mean:>12.2} {:>8}",
            result.conversations,
            result.selections,
            result.with_offers,
            result.offers,
            result.accepted
        ))?;
    }
    Ok(())
}

/// Conversations and what is counted of them.
#[derive(Debug, Default)]
struct Seen {
    arms: BTreeMap<EventId, String>,
    counts: BTreeMap<EventId, Outcome>,
}

impl Seen {
    /// Synthetic customers decide nothing.
    fn add(&mut self, experiment: &Experiment, event: &Event) {
        if event.synthetic {
            return;
        }
        let conversation = event.correlation();
        if let Some(arm) = experiment.arm_of(event) {
            self.arms.entry(conversation.clone()).or_insert_with(|| arm.to_owned());
        }
        let counts = self.counts.entry(conversation.clone()).or_default();
        match event.event_type.as_str() {
            "OffersSelected" => {
                let offers = event.payload["offers"].as_array().map_or(&[][..], Vec::as_slice);
                counts.selections += 1;
                counts.with_offers += u64::from(!offers.is_empty());
                counts.offers += offers.len() as u64;
                counts.value +=
                    offers.first().and_then(|best| best["score"].as_f64()).unwrap_or_default();
            }
            "OfferAccepted" => counts.accepted += 1,
            _ => {}
        }
    }

    /// By arm, those without anything too.
    fn results(self, experiment: &Experiment) -> BTreeMap<String, Outcome> {
        let mut results: BTreeMap<String, Outcome> =
            experiment.arms.iter().map(|arm| (arm.name.clone(), Outcome::default())).collect();
        for (conversation, arm) in &self.arms {
            let (Some(result), Some(counts)) =
                (results.get_mut(arm), self.counts.get(conversation))
            else {
                continue;
            };
            result.conversations += 1;
            result.selections += counts.selections;
            result.with_offers += counts.with_offers;
            result.offers += counts.offers;
            result.value += counts.value;
            result.accepted += counts.accepted;
        }
        results
    }
}

pub(crate) fn definition(row: &Row) -> Option<Experiment> {
    serde_json::from_str(word(row, "Definition")?).ok()
}

fn word<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn arms_and_rivers_are_read_or_refused_with_an_example() {
        let text = |text: &[&str]| text.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
        let arms = read_arms(&text(&["control:90", "bold:10"])).unwrap();
        let arms = with_rivers(arms, &text(&["bold=engine-bold"])).unwrap();
        assert_eq!((arms[0].weight, arms[1].river.as_deref()), (90, Some("engine-bold")));
        assert!(read_arms(&text(&["control"])).is_err() && read_arms(&text(&["a:b"])).is_err());
        assert!(with_rivers(arms.clone(), &text(&["shy=x"])).is_err());
        assert!(with_rivers(arms, &text(&["bold"])).is_err());
    }

    #[test]
    fn what_a_conversation_comes_to_counts_for_its_arm() {
        let arm = |name: &str, weight| Arm { name: name.into(), weight, river: None };
        let experiment = Experiment {
            name: "ranking".into(),
            on: vec!["ViewPage".into()],
            unit: "/subject".into(),
            arms: vec![arm("control", 1), arm("bold", 0)],
        };
        let event = |event_type: &str, conversation: &str, payload| {
            let mut event = Event::root(event_type, "t", payload, Timestamp::UNIX_EPOCH);
            event.correlation_id = Some(conversation.into());
            event
        };
        let mut bold =
            event("OffersSelected", "b", json!({"offers": [{"score": 7.5}, {"score": 1}]}));
        bold.experiments.insert("ranking".into(), "bold".into());
        let probe = Event { synthetic: true, ..event("ViewPage", "probe", json!({})) };
        let mut seen = Seen::default();
        for event in [
            probe,
            event("ViewPage", "a", json!({})),
            event("OffersSelected", "a", json!({"offers": []})),
            bold,
            event("OfferAccepted", "b", json!({})),
            event("OffersSelected", "elsewhere", json!({"offers": [{"score": 1}]})),
        ] {
            seen.add(&experiment, &event);
        }
        let results = seen.results(&experiment);
        let control = Outcome { conversations: 1, selections: 1, ..Outcome::default() };
        assert_eq!(results["control"], control);
        let bold = Outcome {
            conversations: 1,
            selections: 1,
            with_offers: 1,
            offers: 2,
            value: 7.5,
            accepted: 1,
        };
        assert_eq!(results["bold"], bold);
    }
}
