//! From what a stage is to what it is to be: commands. Pure.

use std::collections::BTreeMap;

use event::control::Command;
use event::{Advert, Experiment};

use super::file::{File, RiverSpec};
use super::state::River;
use crate::catalogue::rows::Topic;

/// What a stage is.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    pub(super) rivers: BTreeMap<String, River>,
    pub(super) topics: BTreeMap<String, Topic>,
    /// And whether each runs.
    pub(super) experiments: Vec<(Experiment, bool)>,
}

/// The commands that make `stage` what `file` says, in the order in which they are given: what is new before what
/// goes, so that an event type that moves from one river to another is in both for a moment rather than in none.
pub(super) fn commands(stage: &Stage, file: &File, prune: bool) -> Vec<Command> {
    let is_said =
        |advert: &Advert| stage.topics.get(&advert.topic).is_some_and(|topic| topic.says(advert));
    let news = file.adverts().filter(|advert| !is_said(advert));
    let mut commands: Vec<_> = news.map(Command::Advertise).collect();
    let nothing = River::default();
    let rivers = || {
        file.rivers
            .iter()
            .map(|(name, spec)| (name, spec, stage.rivers.get(name).unwrap_or(&nothing)))
    };
    for (name, spec, found) in rivers() {
        if let Some(routing) = spec.routing.filter(|routing| *routing != found.row.routing) {
            commands.push(Command::Route { river: name.clone(), routing });
        }
        commands.extend(new_topics(name, spec, found));
    }
    for (name, spec, found) in rivers() {
        let gone = found.topics.iter().filter(|found| !spec.topics.contains(&found.topic));
        commands.extend(gone.map(|gone| {
            let (river, topic) = (name.clone(), gone.topic.clone());
            Command::Unsubscribe { river, topic }
        }));
    }
    if prune {
        let extra = stage.rivers.iter().filter(|(name, river)| {
            !file.rivers.contains_key(*name) && river.row.removal.is_none()
        });
        commands.extend(
            extra.map(|(name, _)| Command::RemoveRiver { river: name.clone(), discard: false }),
        );
    }
    commands.extend(of_experiments(stage, file, prune));
    commands
}

/// Topics that the river does not have yet, or has with other rules.
fn new_topics(name: &str, spec: &RiverSpec, found: &River) -> Vec<Command> {
    let wanted = spec.topics.iter().filter_map(|topic| {
        let found = found.topics.iter().find(|found| found.topic == *topic);
        let rules = match (spec.rules.get(topic), found) {
            (Some(rules), Some(found)) if found.rules == *rules => return None,
            (None, Some(_)) => return None,
            (rules, _) => rules.cloned().unwrap_or_default(),
        };
        Some(Command::Subscribe { river: name.to_owned(), topic: topic.clone(), rules })
    });
    wanted.collect()
}

/// One that runs with another definition is stopped first: who is in which arm may not change under its name.
fn of_experiments(stage: &Stage, file: &File, prune: bool) -> Vec<Command> {
    let running = |name: &str| {
        stage
            .experiments
            .iter()
            .find(|(found, runs)| *runs && found.name == name)
            .map(|(found, _)| found)
    };
    let stop = |name: &str| Command::StopExperiment { name: name.to_owned() };
    let mut commands = Vec::new();
    for experiment in file.experiments() {
        match running(&experiment.name) {
            Some(found) if *found == experiment => continue,
            Some(_) => commands.push(stop(&experiment.name)),
            None => {}
        }
        commands.push(Command::StartExperiment(experiment));
    }
    if prune {
        let extra = stage
            .experiments
            .iter()
            .filter(|(found, runs)| *runs && !file.experiments.contains_key(&found.name));
        commands.extend(extra.map(|(found, _)| stop(&found.name)));
    }
    commands
}

/// What the file says of topics and the control plane would refuse, by what the catalogue has.
pub(super) fn unfit(stage: &Stage, file: &File) -> Vec<String> {
    let unfit = |advert: Advert| {
        let entry = stage.topics.get(&advert.topic).map(|topic| topic.entry.clone());
        let unfit = entry.unwrap_or_default().with(&advert).err()?;
        Some(format!("topic {}: {unfit}", advert.topic))
    };
    file.adverts().filter_map(unfit).collect()
}

/// A command as a line of a list: `+` for what comes, `-` for what goes, `~` for what changes.
pub(super) fn line(command: &Command) -> String {
    match command {
        Command::Advertise(advert) if advert.is_plain() => format!("+ topic {}", advert.topic),
        Command::Advertise(advert) => format!("~ topic {}: {}", advert.topic, said(advert)),
        Command::Subscribe { river, topic, rules } if rules.is_empty() => {
            format!("+ river {river}: {topic}")
        }
        Command::Subscribe { river, topic, rules } => {
            let plural = if rules.len() == 1 { "" } else { "s" };
            format!("+ river {river}: {topic}, {} rule{plural}", rules.len())
        }
        Command::Unsubscribe { river, topic } => format!("- river {river}: {topic}"),
        Command::Route { river, routing } => {
            format!("~ river {river}: routing {}", routing.as_str())
        }
        Command::RemoveRiver { river, .. } => format!("- river {river}, once it is empty"),
        Command::StartExperiment(experiment) => format!("+ experiment {}", experiment.name),
        Command::StopExperiment { name } => format!("- experiment {name}"),
    }
}

/// What is said of a topic, in words.
fn said(advert: &Advert) -> String {
    let parts = [
        ("schema", advert.schema.is_some()),
        ("description", advert.description.is_some()),
        ("owner", advert.owner.is_some()),
        ("example", advert.example.is_some()),
    ];
    let said: Vec<_> = parts.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use event::catalogue::Entry;
    use event::experiment::Arm;
    use event::packet::Packet;

    use super::*;
    use crate::watch::rows::Subscription;

    fn stage(rivers: &[(&str, &[&str])]) -> Stage {
        let river = |(name, topics): &(&str, &[&str])| {
            let topic = |topic: &&str| Subscription {
                river: (*name).to_owned(),
                topic: (*topic).to_owned(),
                status: "active".to_owned(),
                reason: None,
                rules: Vec::new(),
            };
            let topics = topics.iter().map(topic).collect();
            ((*name).to_owned(), River { name: (*name).to_owned(), topics, ..River::default() })
        };
        Stage { rivers: rivers.iter().map(river).collect(), ..Stage::default() }
    }

    fn file(yaml: &str) -> File {
        serde_yaml_ng::from_str(yaml).unwrap()
    }

    fn lines(stage: &Stage, file: &File, prune: bool) -> Vec<String> {
        commands(stage, file, prune).iter().map(line).collect()
    }

    #[test]
    fn what_is_as_it_is_to_be_needs_no_command() {
        let file = file("{rivers: {r1: {topics: [B, A]}}, topics: {A: }}");
        let mut found = stage(&[("r1", &["A", "B"]), ("other", &["C"])]);
        found.topics.insert("A".to_owned(), Topic::default());
        assert!(commands(&found, &file, false).is_empty());
    }

    #[test]
    fn what_is_new_comes_before_what_goes() {
        let file = file(
            "{rivers: {r1: {topics: [A], routing: direct}, r2: {topics: [B]}}, topics: {A: }}",
        );
        let found = stage(&[("r1", &["A", "B"]), ("r3", &["C"])]);
        assert_eq!(
            lines(&found, &file, false),
            ["+ topic A", "~ river r1: routing direct", "+ river r2: B", "- river r1: B"]
        );
        assert_eq!(lines(&found, &file, true).last().unwrap(), "- river r3, once it is empty");
    }

    #[test]
    fn what_is_said_of_a_topic_is_told_where_it_is_news_and_refused_where_it_breaks_consumers() {
        let file = file("{topics: {A: {owner: web, schema: {type: object, required: [a]}}}}");
        let mut found = Stage::default();
        assert_eq!(lines(&found, &file, false), ["~ topic A: schema, owner"]);
        let entry = |required: &str| Entry {
            owner: Some("web".to_owned()),
            schema: Some(serde_json::json!({"type": "object", "required": [required]})),
            ..Entry::default()
        };
        let topic = Topic { entry: entry("a"), ..Topic::default() };
        found.topics.insert("A".to_owned(), topic);
        assert!(commands(&found, &file, false).is_empty() && unfit(&found, &file).is_empty());
        found.topics.insert("A".to_owned(), Topic { entry: entry("b"), ..Topic::default() });
        assert!(unfit(&found, &file)[0].starts_with("topic A:"), "{:?}", unfit(&found, &file));
    }

    #[test]
    fn rules_are_left_as_they_are_unless_others_are_given() {
        let mut found = stage(&[("r1", &["A"])]);
        let rules = Packet::of("A").demand_value("/eventDomain", "web").rules().to_vec();
        found.rivers.get_mut("r1").unwrap().topics[0].rules = rules;
        assert!(commands(&found, &file("{rivers: {r1: {topics: [A]}}}"), false).is_empty());
        let same = "{rivers: {r1: {topics: [A], rules: {A: [{at: /eventDomain, rule: demand_value, value: web}]}}}}";
        assert!(commands(&found, &file(same), false).is_empty());
        let none = "{rivers: {r1: {topics: [A], rules: {A: []}}}}";
        assert_eq!(lines(&found, &file(none), false), ["+ river r1: A"]);
    }

    #[test]
    fn an_experiment_that_changes_is_stopped_first() {
        let yaml =
            "{experiments: {x: {on: [A], arms: [{name: a, weight: 1}, {name: b, weight: 1}]}}}";
        let wanted = file(yaml);
        let mut experiment = wanted.experiments().next().unwrap();
        let with = |experiment: &Experiment, runs| Stage {
            experiments: vec![(experiment.clone(), runs)],
            ..Stage::default()
        };
        assert!(commands(&with(&experiment, true), &wanted, true).is_empty());
        assert_eq!(lines(&with(&experiment, false), &wanted, false), ["+ experiment x"]);
        experiment.arms[1] = Arm { name: "b".into(), weight: 2, river: None };
        let changed = with(&experiment, true);
        assert_eq!(lines(&changed, &wanted, false), ["- experiment x", "+ experiment x"]);
        assert!(commands(&changed, &File::default(), false).is_empty());
        assert_eq!(lines(&changed, &File::default(), true), ["- experiment x"]);
    }
}
