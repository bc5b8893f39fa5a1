//! Commands of the control stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Advert;
use crate::experiment::{Experiment, InvalidExperiment};
use crate::names::{River, Stage, Topic};
use crate::packet::Rule;
use crate::route::Routing;

/// A command as it travels: `{"command":"subscribe","commandArgs":{"river":"r1","topic":"ViewPage"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", content = "commandArgs", rename_all = "lowercase")]
pub enum Command {
    /// Deliver events of `topic` to `river` from now on.
    Subscribe {
        /// The river's name.
        river: String,
        /// The event type.
        topic: String,
        /// What the river's service declares about events of that type; what SNS can check of it is checked there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rules: Vec<Rule>,
    },
    /// Stop delivering events of `topic` to `river`.
    Unsubscribe {
        /// The river's name.
        river: String,
        /// The event type.
        topic: String,
    },
    /// Assign conversations to the arms of an experiment from now on. One that runs under the same name keeps on.
    #[serde(rename = "startExperiment")]
    StartExperiment(Experiment),
    /// Assign no more.
    #[serde(rename = "stopExperiment")]
    StopExperiment {
        /// The experiment's name.
        name: String,
    },
    /// Let events reach `river` this way from now on.
    Route {
        /// The river's name.
        river: String,
        /// By which way.
        routing: Routing,
    },
    /// Take the river down: nothing more is delivered to it, and once it is empty its queues are deleted. A subscription
    /// that comes before that keeps it.
    #[serde(rename = "removeRiver")]
    RemoveRiver {
        /// The river's name.
        river: String,
        /// Delete the queues with all that waits in them, instead of waiting until they are empty.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        discard: bool,
    },
    /// List a topic among those that others may subscribe to, and say what its events look like.
    Advertise(Advert),
}

/// Where a command lies in its stream, as text that sorts as places do: Kinesis numbers the records of a key in their
/// order, also across splits and merges.
#[must_use]
pub fn place(sequence_number: &str, sub_sequence_number: u64) -> String {
    format!("{sequence_number:0>60}/{sub_sequence_number:06}")
}

impl Command {
    /// Deliver every event of `topic` to `river`.
    #[must_use]
    pub fn subscribe(river: impl Into<String>, topic: impl Into<String>) -> Self {
        Self::Subscribe { river: river.into(), topic: topic.into(), rules: Vec::new() }
    }

    /// List `topic` by its name alone.
    #[must_use]
    pub fn advertise(topic: impl Into<String>) -> Self {
        Self::Advertise(Advert::of(topic))
    }

    /// Reads a command from its JSON text.
    ///
    /// # Errors
    /// What is wrong with it: retrying cannot help.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        // By way of an object: serde reads what it derives from a list of values as well.
        Self::deserialize(Value::Object(serde_json::from_slice(json)?))
    }

    /// Kinesis partition key: the commands of one river, or of one topic, keep their order.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        match self {
            Self::Subscribe { river, .. }
            | Self::Unsubscribe { river, .. }
            | Self::Route { river, .. }
            | Self::RemoveRiver { river, .. } => river,
            Self::Advertise(Advert { topic, .. }) => topic,
            Self::StartExperiment(Experiment { name, .. }) | Self::StopExperiment { name } => name,
        }
    }

    /// Name of the command, for logs and metric labels.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Route { .. } => "route",
            Self::RemoveRiver { .. } => "removeRiver",
            Self::Advertise(_) => "advertise",
            Self::StartExperiment(_) => "startExperiment",
            Self::StopExperiment { .. } => "stopExperiment",
        }
    }

    /// Checks the names against what SQS, SNS and DynamoDB accept in `stage`.
    ///
    /// # Errors
    /// The first name, or rule of an experiment, that would be refused, and why.
    pub fn validate(&self, stage: &Stage) -> Result<(), InvalidExperiment> {
        match self {
            Self::Subscribe { river, topic, .. } | Self::Unsubscribe { river, topic } => {
                River::parse(river, stage)?;
                Topic::parse(topic)?;
            }
            Self::Route { river, .. } | Self::RemoveRiver { river, .. } => {
                River::parse(river, stage)?;
            }
            Self::Advertise(Advert { topic, .. }) => {
                Topic::parse(topic)?;
            }
            Self::StartExperiment(experiment) => experiment.validate(stage)?,
            Self::StopExperiment { .. } => {}
        }
        Ok(())
    }

    /// The command as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers: nothing here can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packet;

    #[test]
    fn a_command_is_written_as_the_original_writes_it() {
        let subscribe = Command::subscribe("r1", "ViewPage");
        let json = r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"ViewPage"}}"#;
        assert_eq!(subscribe.to_json(), json);
        assert_eq!(Command::parse(json.as_bytes()).unwrap(), subscribe);
        let advertise = Command::advertise("ViewPage");
        let json = r#"{"command":"advertise","commandArgs":{"topic":"ViewPage"}}"#;
        assert_eq!(advertise.to_json(), json);
    }

    #[test]
    fn what_a_service_declares_travels_with_its_subscription() {
        let packet = Packet::of("ViewPage").demand_value("/eventDomain", "web");
        let (river, topic) = ("r1".to_owned(), packet.topic().to_owned());
        let command = Command::Subscribe { river, topic, rules: packet.rules().to_vec() };
        let json = r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"ViewPage","rules":[{"at":"/eventDomain","rule":"demand_value","value":"web"}]}}"#;
        assert_eq!(command.to_json(), json);
        assert_eq!(Command::parse(json.as_bytes()).unwrap(), command);
    }

    #[test]
    fn a_river_is_routed_and_removed() {
        let json = r#"{"command":"route","commandArgs":{"river":"r1","routing":"direct"}}"#;
        let route = Command::Route { river: "r1".into(), routing: Routing::Direct };
        assert_eq!(Command::parse(json.as_bytes()).unwrap(), route);
        assert_eq!(route.to_json(), json);
        let json = r#"{"command":"removeRiver","commandArgs":{"river":"r1"}}"#;
        let remove = Command::RemoveRiver { river: "r1".into(), discard: false };
        assert_eq!(Command::parse(json.as_bytes()).unwrap(), remove);
        assert_eq!(remove.to_json(), json);
    }

    #[test]
    fn an_unknown_command_is_refused() {
        let json = r#"{"command":"drop","commandArgs":{"river":"r1"}}"#;
        assert!(Command::parse(json.as_bytes()).is_err());
    }

    #[test]
    fn a_name_that_sqs_would_refuse_is_refused_here() {
        let stage = Stage::parse("dev").unwrap();
        let command = Command::subscribe("r 1", "ViewPage");
        assert!(command.validate(&stage).unwrap_err().to_string().contains("r 1"));
    }
}
