//! From the bytes of a record to a command that can be carried out.

use event::Advert;
use event::control;
use event::experiment::{Experiment, InvalidExperiment};
use event::names::{InvalidName, River, Stage, Topic};
use event::packet::Rule;
use event::route::Routing;
use serde::Deserialize;

/// A command with names that AWS accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Deliver events of the topic to the river, all of them or those that keep the rules.
    Subscribe { river: River, topic: Topic, rules: Vec<Rule> },
    /// Stop delivering them.
    Unsubscribe { river: River, topic: Topic },
    /// Let events reach the river this way.
    Route { river: River, routing: Routing },
    /// Take the river down, with what waits in it or once it is empty.
    Remove { river: River, discard: bool },
    /// List the topic, and say what its events look like.
    Advertise { topic: Topic, advert: Box<Advert> },
    /// Assign conversations to arms.
    StartExperiment(Experiment),
    /// Assign no more.
    StopExperiment { name: String },
}

/// The words that commands begin with.
const COMMANDS: [&str; 7] = [
    "subscribe",
    "unsubscribe",
    "route",
    "removeRiver",
    "advertise",
    "startExperiment",
    "stopExperiment",
];

/// Why a record is no command that could be carried out, however often it is tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("not a command: {0}")]
    Malformed(serde_json::Error),
    #[error("unknown command {0:?}: there are {known}", known = COMMANDS.join(", "))]
    Unknown(String),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Experiment(#[from] InvalidExperiment),
}

/// What every command has, whatever its arguments.
#[derive(Deserialize)]
struct Named {
    command: String,
}

impl Command {
    /// Reads a record of the control stream of `stage`.
    pub(crate) fn read(bytes: &[u8], stage: &Stage) -> Result<Self, Unreadable> {
        let Named { command } = serde_json::from_slice(bytes).map_err(Unreadable::Malformed)?;
        if !COMMANDS.contains(&command.as_str()) {
            return Err(Unreadable::Unknown(command));
        }
        let read = control::Command::parse(bytes).map_err(Unreadable::Malformed)?;
        Ok(match read {
            control::Command::Subscribe { river, topic, rules } => Self::Subscribe {
                river: River::parse(&river, stage)?,
                topic: Topic::parse(&topic)?,
                rules,
            },
            control::Command::Unsubscribe { river, topic } => Self::Unsubscribe {
                river: River::parse(&river, stage)?,
                topic: Topic::parse(&topic)?,
            },
            control::Command::Route { river, routing } => {
                Self::Route { river: River::parse(&river, stage)?, routing }
            }
            control::Command::RemoveRiver { river, discard } => {
                Self::Remove { river: River::parse(&river, stage)?, discard }
            }
            control::Command::Advertise(advert) => {
                Self::Advertise { topic: Topic::parse(&advert.topic)?, advert: Box::new(advert) }
            }
            control::Command::StartExperiment(experiment) => {
                experiment.validate(stage)?;
                Self::StartExperiment(experiment)
            }
            control::Command::StopExperiment { name } => Self::StopExperiment { name },
        })
    }

    /// Its name, for logs and metric labels.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Route { .. } => "route",
            Self::Remove { .. } => "removeRiver",
            Self::Advertise { .. } => "advertise",
            Self::StartExperiment(_) => "startExperiment",
            Self::StopExperiment { .. } => "stopExperiment",
        }
    }

    /// Its river, if it is about one.
    pub(crate) fn river(&self) -> Option<&River> {
        match self {
            Self::Subscribe { river, .. }
            | Self::Unsubscribe { river, .. }
            | Self::Route { river, .. }
            | Self::Remove { river, .. } => Some(river),
            _ => None,
        }
    }

    /// Its topic, its experiment or its routing; nothing, if it is about a river as such.
    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Route { routing, .. } => routing.as_str(),
            Self::Remove { .. } => "",
            Self::Subscribe { topic, .. }
            | Self::Unsubscribe { topic, .. }
            | Self::Advertise { topic, .. } => topic.as_str(),
            Self::StartExperiment(Experiment { name, .. }) | Self::StopExperiment { name } => name,
        }
    }
}

impl Unreadable {
    /// In one word, for counting.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unknown(_) => "unknown_command",
            Self::Name(_) | Self::Experiment(InvalidExperiment::Name(_)) => "refused_name",
            Self::Experiment(_) => "refused_experiment",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Command, Unreadable> {
        Command::read(json.as_bytes(), &Stage::parse("dev").unwrap())
    }

    #[test]
    fn the_originals_commands_are_read() {
        let stage = Stage::parse("dev").unwrap();
        let (river, topic) =
            (River::parse("r1", &stage).unwrap(), Topic::parse("ViewPage").unwrap());
        assert_eq!(
            read(r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"ViewPage"}}"#)
                .unwrap(),
            Command::Subscribe { river: river.clone(), topic: topic.clone(), rules: Vec::new() }
        );
        assert_eq!(
            read(r#"{"command":"unsubscribe","commandArgs":{"river":"r1","topic":"ViewPage"}}"#)
                .unwrap(),
            Command::Unsubscribe { river, topic: topic.clone() }
        );
        assert_eq!(
            read(r#"{"command":"advertise","commandArgs":{"topic":"ViewPage"}}"#).unwrap(),
            Command::Advertise { topic, advert: Box::new(Advert::of("ViewPage")) }
        );
    }

    #[test]
    fn what_cannot_be_carried_out_is_told_apart() {
        let kind = |json| read(json).unwrap_err().kind();
        assert_eq!(kind("hello"), "malformed");
        assert_eq!(kind("{}"), "malformed");
        assert_eq!(kind(r#"{"command":"subscribe"}"#), "malformed");
        assert_eq!(kind(r#"{"command":"subscribe","commandArgs":{"river":"r1"}}"#), "malformed");
        assert_eq!(kind(r#"{"command":"drop","commandArgs":{"river":"r1"}}"#), "unknown_command");
        assert_eq!(
            kind(r#"{"command":"subscribe","commandArgs":{"river":"r 1","topic":"t"}}"#),
            "refused_name"
        );
        assert_eq!(kind(r#"{"command":"advertise","commandArgs":{"topic":""}}"#), "refused_name");
        let said = read(r#"{"command":"drop"}"#).unwrap_err().to_string();
        assert_eq!(
            said,
            "unknown command \"drop\": there are subscribe, unsubscribe, route, removeRiver, advertise, \
             startExperiment, stopExperiment"
        );
    }

    #[test]
    fn every_conformance_vector_is_read_or_refused_as_it_says() {
        let vectors = include_str!("../../../crates/event/schema/vectors/commands.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let refused = read(vector["text"].as_str().unwrap()).err().map(|error| error.kind());
            assert_eq!(refused, vector["refused"].as_str(), "{}", vector["name"]);
        }
    }
}
