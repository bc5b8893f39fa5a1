//! The experiments of a stage, as the control plane has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use event::names::Stage;
use event::packet::{Packet, Rule, Verdict};
use event::{Event, Experiment};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, warn};

/// What is known of the experiments of a stage. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Experiments(watch::Receiver<Arc<Known>>);

/// Experiments by name, and whether each runs.
type Known = Vec<(Experiment, bool)>;

impl Experiments {
    /// Looks at the table now and every so often, until `stop`. A stage without the table has no experiments; a look
    /// that fails leaves what is known.
    pub async fn watch(
        dynamodb: Client,
        stage: &Stage,
        every: Duration,
        stop: CancellationToken,
    ) -> Self {
        let table = stage.experiments_table();
        let first = look(&dynamodb, &table).await.unwrap_or_else(|error| {
            warn!(table, error, "could not look for experiments");
            Known::new()
        });
        let (sender, receiver) = watch::channel(Arc::new(first));
        let looking = async move {
            while stop.run_until_cancelled(sleep(every)).await.is_some() {
                match look(&dynamodb, &table).await {
                    Ok(known) => {
                        let changed = |old: &mut Arc<Known>| {
                            let changes = **old != known;
                            if changes {
                                *old = Arc::new(known);
                            }
                            changes
                        };
                        if sender.send_if_modified(changed) {
                            info!(table, "experiments have changed");
                        }
                    }
                    Err(error) => warn!(table, error, "could not look for experiments"),
                }
            }
        };
        tokio::spawn(looking.in_current_span());
        Self(receiver)
    }

    /// The arms that an event is to be given: of each experiment that runs and is about its type. `event` is asked for
    /// only if there is one.
    #[must_use]
    pub fn assign(
        &self,
        event_type: &str,
        event: impl FnOnce() -> Option<Event>,
    ) -> Vec<(String, String)> {
        let known = Arc::clone(&self.0.borrow());
        let mut concerned =
            known.iter().filter(|(it, running)| *running && it.is_on(event_type)).peekable();
        if concerned.peek().is_none() {
            return Vec::new();
        }
        let Some(event) = event() else { return Vec::new() };
        let new = concerned.filter(|(it, _)| !event.experiments.contains_key(&it.name));
        let arm = |(it, _): &(Experiment, bool)| {
            it.arm_of(&event).map(|arm| (it.name.clone(), arm.to_owned()))
        };
        new.filter_map(arm).collect()
    }

    /// Whether an arm is the control of its experiment, which is its first; none of an experiment that is not known.
    #[must_use]
    pub fn is_control(&self, experiment: &str, arm: &str) -> Option<bool> {
        let known = self.0.borrow();
        let (it, _) = known.iter().find(|(it, _)| it.name == experiment)?;
        Some(it.arms.first().is_some_and(|first| first.name == arm))
    }

    /// Rivers that belong to an arm, each with the rules of all experiments for it.
    #[must_use]
    pub fn rivers(&self) -> BTreeMap<String, Vec<Rule>> {
        let known = Arc::clone(&self.0.borrow());
        let arms = known.iter().flat_map(|(it, _)| &it.arms);
        let rivers: BTreeSet<&String> = arms.filter_map(|arm| arm.river.as_ref()).collect();
        let rules = |river: &str| {
            known.iter().flat_map(|(it, running)| it.rules_for(river, *running)).collect()
        };
        rivers.into_iter().map(|river| (river.clone(), rules(river))).collect()
    }

    /// Whether an event is for another river, because that belongs to the event's arm.
    #[must_use]
    pub fn is_elsewhere(&self, river: &str, event: &Event) -> bool {
        let known = Arc::clone(&self.0.borrow());
        let rules: Vec<Rule> =
            known.iter().flat_map(|(it, running)| it.rules_for(river, *running)).collect();
        !rules.is_empty() && Packet::with_rules("*", rules).check(event) != Verdict::Mine
    }
}

async fn look(dynamodb: &Client, table: &str) -> Result<Known, String> {
    let mut rows = dynamodb.scan().table_name(table).into_paginator().items().send();
    let mut known = Known::new();
    while let Some(row) = rows.next().await {
        let row = match row {
            Ok(row) => row,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                return Ok(Known::new());
            }
            Err(error) => return Err(chassis::explain(&error)),
        };
        let word = |name: &str| row.get(name).and_then(|value| value.as_s().ok());
        let experiment: Option<Experiment> =
            word("Definition").and_then(|json| serde_json::from_str(json).ok());
        let running = word("Status").is_some_and(|status| status == "running");
        known.extend(experiment.map(|experiment| (experiment, running)));
    }
    known.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(known)
}
