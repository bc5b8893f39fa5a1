//! Rows of `Experiments-{stage}`: what the reader and the services go by.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use event::Experiment;
use event::names::River;
use event::packet::Rule;
use jiff::Timestamp;

use super::{Tables, text};
use crate::error::Error;

/// Hash key: the experiment's name.
pub(super) const EXPERIMENT: &str = "Experiment";
const DEFINITION: &str = "Definition";
const RUNNING: &str = "running";
const STOPPED: &str = "stopped";

impl Tables {
    /// Says that an experiment runs. One that runs with the same definition keeps its time.
    pub(crate) async fn start(&self, experiment: &Experiment, at: Timestamp) -> Result<(), Error> {
        // Texts and numbers: nothing in it can fail to be written.
        let definition = serde_json::to_string(experiment).unwrap_or_default();
        let update = self.dynamodb.update_item().table_name(&self.experiments);
        let update = update
            .key(EXPERIMENT, text(&experiment.name))
            .update_expression("SET #status = :running, StatusAt = :at, #definition = :definition")
            .condition_expression("attribute_not_exists(#status) OR #status = :stopped")
            .expression_attribute_names("#status", "Status")
            .expression_attribute_names("#definition", DEFINITION)
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":stopped", text(STOPPED))
            .expression_attribute_values(":at", text(&at.to_string()))
            .expression_attribute_values(":definition", text(&definition));
        let Err(error) = update.send().await else { return Ok(()) };
        let known = error.as_service_error();
        if !known.is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
            return Err(Error::of_call("DynamoDB UpdateItem", &self.experiments, error));
        }
        let running = self.experiments().await?;
        if running.iter().any(|(running, _)| running == experiment) {
            return Ok(());
        }
        let what = format!("experiment {}", experiment.name);
        let why = "another one runs under this name: stop that first".to_owned();
        Err(Error::Refused { what, why })
    }

    /// Says that an experiment is over, and returns it; none if there is no such experiment.
    pub(crate) async fn stop(
        &self,
        name: &str,
        at: Timestamp,
    ) -> Result<Option<Experiment>, Error> {
        let update = self.dynamodb.update_item().table_name(&self.experiments);
        let update = update
            .key(EXPERIMENT, text(name))
            .update_expression("SET #status = :stopped, StatusAt = :at")
            .condition_expression("attribute_exists(#definition)")
            .expression_attribute_names("#status", "Status")
            .expression_attribute_names("#definition", DEFINITION)
            .expression_attribute_values(":stopped", text(STOPPED))
            .expression_attribute_values(":at", text(&at.to_string()))
            .return_values(ReturnValue::AllNew);
        let error = match update.send().await {
            Ok(reply) => {
                let row = reply.attributes.unwrap_or_default();
                let definition = row.get(DEFINITION).and_then(|value| value.as_s().ok());
                return Ok(definition.and_then(|json| serde_json::from_str(json).ok()));
            }
            Err(error) => error,
        };
        let known = error.as_service_error();
        if known.is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
            return Ok(None);
        }
        Err(Error::of_call("DynamoDB UpdateItem", &self.experiments, error))
    }

    /// What experiments ask of a river.
    pub(super) async fn rules_for(&self, river: &River) -> Result<Vec<Rule>, Error> {
        let experiments = self.experiments().await?;
        let rules = |(experiment, running): &(Experiment, bool)| {
            experiment.rules_for(river.as_str(), *running)
        };
        Ok(experiments.iter().flat_map(rules).collect())
    }

    /// All experiments, and whether they run. There are few: people think each of them up.
    async fn experiments(&self) -> Result<Vec<(Experiment, bool)>, Error> {
        let scan = self.dynamodb.scan().table_name(&self.experiments).consistent_read(true);
        let mut rows = scan.into_paginator().items().send();
        let mut experiments = Vec::new();
        while let Some(row) = rows.next().await {
            let row =
                row.map_err(|error| Error::of_call("DynamoDB Scan", &self.experiments, error))?;
            let word = |name: &str| row.get(name).and_then(|value| value.as_s().ok());
            // What another version wrote and this one cannot read is that version's.
            let experiment: Option<Experiment> =
                word(DEFINITION).and_then(|json| serde_json::from_str(json).ok());
            let running = word("Status").is_some_and(|status| status == RUNNING);
            experiments.extend(experiment.map(|experiment| (experiment, running)));
        }
        experiments.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        Ok(experiments)
    }
}
