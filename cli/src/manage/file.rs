//! What a stage is to be, as people write it down.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;
use event::catalogue::Entry;
use event::experiment::Arm;
use event::names::{River, Stage, Topic};
use event::packet::Rule;
use event::route::Routing;
use event::{Advert, Experiment};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Result};

/// Largest file that is read: a thousand rivers with a hundred topics each are a few megabytes.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Rivers, by name.
    #[serde(default)]
    pub(super) rivers: BTreeMap<String, RiverSpec>,
    /// Advertised topics, by name.
    #[serde(default)]
    pub(super) topics: BTreeMap<String, Option<TopicSpec>>,
    /// Experiments, by name.
    #[serde(default)]
    pub(super) experiments: BTreeMap<String, ExperimentSpec>,
}

/// A river.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RiverSpec {
    /// Its topics, these and no others.
    pub(super) topics: Vec<String>,
    /// What its service declares about some of them; where nothing is said, what it declared itself stays.
    #[serde(default)]
    pub(super) rules: BTreeMap<String, Vec<Rule>>,
    /// How it is routed; where nothing is said, as it is.
    pub(super) routing: Option<Routing>,
}

/// What is said of a topic that others may subscribe to; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicSpec {
    /// JSON Schema of the payload.
    schema: Option<Value>,
    description: Option<String>,
    owner: Option<String>,
    /// A payload.
    example: Option<Value>,
}

/// An experiment without its name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExperimentSpec {
    on: Vec<String>,
    #[serde(default = "subject")]
    unit: String,
    arms: Vec<Arm>,
}

fn subject() -> String {
    "/subject".to_owned()
}

impl File {
    /// Reads and checks a file, or standard input for `-`.
    ///
    /// # Errors
    /// [`Failure::Usage`] with everything that is wrong with it.
    pub(super) fn read(path: &Path, stage: &Stage) -> Result<Self> {
        let name = path.display();
        let text = text_of(path).with_context(|| format!("cannot read {name}"))?;
        Self::parse(&text, stage).map_err(|problems| {
            Failure::Usage(format!("{name} is refused: {}", problems.join("; ")))
        })
    }

    fn parse(text: &str, stage: &Stage) -> Result<Self, Vec<String>> {
        // An empty file is a stage without anything, and more likely a mistake.
        if text.trim().is_empty() {
            return Err(vec![
                "it is empty: `rapids apply --help` shows what it may hold".to_owned(),
            ]);
        }
        let file: Self = serde_yaml_ng::from_str(text).map_err(|error| vec![error.to_string()])?;
        let problems = file.problems(stage);
        if problems.is_empty() { Ok(file) } else { Err(problems) }
    }

    fn problems(&self, stage: &Stage) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, river) in &self.rivers {
            problems.extend(River::parse(name, stage).err().map(|refused| refused.to_string()));
            for (nth, topic) in river.topics.iter().enumerate() {
                let refused = Topic::parse(topic).err();
                problems.extend(refused.map(|refused| format!("river {name}: {refused}")));
                if river.topics[..nth].contains(topic) {
                    problems.push(format!("river {name}: topic {topic} is there twice"));
                }
            }
            let strange = river.rules.keys().filter(|topic| !river.topics.contains(topic));
            problems.extend(strange.map(|topic| {
                format!("river {name}: rules are given for {topic}, which is none of its topics")
            }));
        }
        for advert in self.adverts() {
            let refused = Topic::parse(&advert.topic).err().map(|refused| refused.to_string());
            let unfit = Entry::default().with(&advert).err();
            let unfit = unfit.map(|unfit| format!("topic {}: {unfit}", advert.topic));
            problems.extend(refused.or(unfit));
        }
        for experiment in self.experiments() {
            problems.extend(experiment.validate(stage).err().map(|refused| refused.to_string()));
        }
        problems
    }

    /// Its topics, with what it says of each.
    pub(super) fn adverts(&self) -> impl Iterator<Item = Advert> {
        self.topics.iter().map(|(name, spec)| {
            let TopicSpec { schema, description, owner, example } =
                spec.clone().unwrap_or_default();
            Advert { schema, description, owner, example, ..Advert::of(name) }
        })
    }

    /// Its experiments.
    pub(super) fn experiments(&self) -> impl Iterator<Item = Experiment> {
        self.experiments.iter().map(|(name, spec)| {
            let ExperimentSpec { on, unit, arms } = spec.clone();
            Experiment { name: name.clone(), on, unit, arms }
        })
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(BYTES_MAX).read_to_string(&mut text)?
    } else {
        std::fs::File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?
    };
    anyhow::ensure!((read as u64) < BYTES_MAX, "it has 16 MiB or more");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, Vec<String>> {
        File::parse(text, &Stage::parse("dev").unwrap())
    }

    #[test]
    fn a_stage_is_written_down_in_a_few_lines() {
        let file = parse(
            "
            rivers:
              offer-engine:
                topics: [ViewPage, Offer.*]
                routing: direct
                rules:
                  ViewPage: [{at: /eventDomain, rule: demand_value, value: web}]
            topics:
              ViewPage:
              OfferProposed: {owner: offers, schema: {type: object, required: [price]}}
            experiments:
              ranking:
                on: [ViewPage]
                arms: [{name: control, weight: 90}, {name: bold, weight: 10}]
            ",
        )
        .unwrap();
        let river = &file.rivers["offer-engine"];
        assert_eq!((river.topics.len(), river.routing), (2, Some(Routing::Direct)));
        assert_eq!(river.rules["ViewPage"].len(), 1);
        let adverts: Vec<_> = file.adverts().collect();
        assert_eq!((&*adverts[1].topic, adverts[1].is_plain()), ("ViewPage", true));
        assert_eq!(adverts[0].owner.as_deref(), Some("offers"));
        assert_eq!(file.experiments().next().unwrap().unit, "/subject");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let problems = parse(
            "
            rivers:
              'r 1': {topics: [A]}
              r2: {topics: [B, B, 'no such'], rules: {C: []}}
            topics:
              A: {schema: {type: object}, example: 7}
            experiments:
              alone: {on: [A], arms: [{name: control, weight: 1}]}
            ",
        )
        .unwrap_err();
        let told = problems.join("\n");
        for part in
            ["r 1", "B is there twice", "no such", "rules are given for C", "topic A", "alone"]
        {
            assert!(told.contains(part), "{part} is not in:\n{told}");
        }
        assert_eq!(problems.len(), 6, "{told}");
    }

    #[test]
    fn a_word_that_nobody_knows_is_refused_with_its_place() {
        let told =
            parse("rivers:\n  r1:\n    topics: [A]\n    rooting: sns\n").unwrap_err().join("");
        assert!(told.contains("rooting") && told.contains("line 4"), "{told}");
        assert!(parse("  \n").unwrap_err()[0].contains("empty"));
        let told = parse("rivers:\n  r1:\n    routing: sns\n").unwrap_err().join("");
        assert!(told.contains("topics"), "{told}");
    }
}
