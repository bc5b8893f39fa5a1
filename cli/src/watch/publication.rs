//! An event as the rapids-reader publishes it: with the arms that experiments give it, and the attributes that
//! filters of rivers look at.

use std::collections::BTreeMap;

use event::filter::{Attributes, FilterPolicy, Scope};
use event::packet::{self, ARM_ATTRIBUTE, Rule, SYNTHETIC_ATTRIBUTE};
use event::{EVENT_TYPE_ATTRIBUTE, Event, Experiment, Packet};
use serde_json::{Value, json};

use super::rows::Subscription;

/// What SNS takes of a message, with its attributes, in bytes
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
pub(super) const BYTES_MAX: usize = 256 << 10;

/// An event on its way to the rivers.
#[derive(Debug)]
pub(super) struct Publication {
    /// With the arms that the reader writes beside it, as a service sees it.
    pub(super) event: Event,
    /// Its text, byte for byte.
    pub(super) json: String,
    /// The arms, each as `experiment:arm`.
    pub(super) arms: Vec<String>,
}

impl Publication {
    /// What the reader makes of an event.
    pub(super) fn of(mut event: Event, json: String, experiments: &[(Experiment, bool)]) -> Self {
        for (experiment, runs) in experiments {
            let is_new = !event.experiments.contains_key(&experiment.name);
            if *runs
                && is_new
                && let Some(arm) = experiment.arm_of(&event).map(str::to_owned)
            {
                event.experiments.insert(experiment.name.clone(), arm);
            }
        }
        let arms = event.experiments.iter().map(|(name, arm)| packet::arm(name, arm)).collect();
        Self { event, json, arms }
    }

    /// Name, type and value of each attribute.
    pub(super) fn attributes(&self) -> BTreeMap<&'static str, (&'static str, String)> {
        let mut attributes = BTreeMap::new();
        attributes.insert(EVENT_TYPE_ATTRIBUTE, ("String", self.event.event_type.clone()));
        if self.event.synthetic {
            attributes.insert(SYNTHETIC_ATTRIBUTE, ("String", "true".to_owned()));
        }
        if !self.arms.is_empty() {
            attributes.insert(ARM_ATTRIBUTE, ("String.Array", json!(self.arms).to_string()));
        }
        attributes
    }

    /// What SNS counts: the text, and name, type and value of its attributes.
    pub(super) fn size(&self) -> usize {
        let attributes = self.attributes();
        let counted =
            attributes.iter().map(|(name, (kind, value))| name.len() + kind.len() + value.len());
        self.json.len() + counted.sum::<usize>()
    }

    /// Whether a filter policy lets it through. One that cannot be read lets nothing through.
    pub(super) fn passes(&self, policy: &str, scope: Scope) -> bool {
        let Ok(policy) = FilterPolicy::parse(policy, scope) else { return false };
        match scope {
            Scope::Attributes => policy.matches_attributes(&self.values()),
            Scope::Body => {
                serde_json::from_str(&self.json).is_ok_and(|body| policy.matches_body(&body))
            }
        }
    }

    /// Whether the filter that the control plane makes of a row lets it through.
    pub(super) fn passes_row(&self, row: &Subscription, of_arms: &[Rule]) -> bool {
        let rules = [of_arms, &row.rules].concat();
        let filter = Packet::with_rules(&row.topic, rules).filter();
        let conditions = json!(filter.0).to_string();
        row.covers(&self.event.event_type)
            && (filter.0.is_empty() || self.passes(&conditions, Scope::Attributes))
    }

    fn values(&self) -> Attributes {
        let mut values = Attributes::new();
        values.insert(EVENT_TYPE_ATTRIBUTE.into(), vec![self.event.event_type.clone().into()]);
        if self.event.synthetic {
            values.insert(SYNTHETIC_ATTRIBUTE.into(), vec!["true".into()]);
        }
        if !self.arms.is_empty() {
            let arms = self.arms.iter().cloned().map(Value::from).collect();
            values.insert(ARM_ATTRIBUTE.into(), arms);
        }
        values
    }
}

/// What experiments ask of a river.
pub(super) fn rules_of_arms(experiments: &[(Experiment, bool)], river: &str) -> Vec<Rule> {
    experiments.iter().flat_map(|(it, runs)| it.rules_for(river, *runs)).collect()
}

#[cfg(test)]
mod tests {
    use event::experiment::Arm;
    use jiff::Timestamp;

    use super::*;

    fn published(experiments: &[(Experiment, bool)], synthetic: bool) -> Publication {
        let mut event = Event::root("ViewPage", "web", json!({}), Timestamp::UNIX_EPOCH);
        event.synthetic = synthetic;
        let json = event.to_json();
        Publication::of(event, json, experiments)
    }

    fn experiment() -> Experiment {
        let arm = |name: &str, weight, river: Option<&str>| Arm {
            name: name.into(),
            weight,
            river: river.map(str::to_owned),
        };
        Experiment {
            name: "ranking".into(),
            on: vec!["ViewPage".into()],
            unit: "/subject".into(),
            arms: vec![arm("control", 0, None), arm("bold", 1, Some("engine-bold"))],
        }
    }

    #[test]
    fn it_has_the_attributes_that_the_reader_writes() {
        let plain = published(&[], false);
        assert_eq!(plain.attributes().len(), 1);
        assert_eq!(plain.size(), plain.json.len() + "event_typeStringViewPage".len());
        let full = published(&[(experiment(), true)], true);
        let arm = ("String.Array", r#"["ranking:bold"]"#.to_owned());
        assert_eq!(full.attributes()[ARM_ATTRIBUTE], arm);
        assert_eq!(full.attributes()[SYNTHETIC_ATTRIBUTE], ("String", "true".to_owned()));
        assert!(published(&[(experiment(), false)], false).arms.is_empty(), "it is over");
    }

    #[test]
    fn filters_look_at_type_mark_and_arm() {
        let full = published(&[(experiment(), true)], true);
        let passes = |policy: &str| full.passes(policy, Scope::Attributes);
        assert!(passes(r#"{"event_type":[{"prefix":"View"}],"arm":["ranking:bold"]}"#));
        assert!(!passes(r#"{"event_type":["ViewPage"],"synthetic":[{"exists":false}]}"#));
        assert!(full.passes(r#"{"eventDomain":["web"]}"#, Scope::Body));
        assert!(!passes("oops"));
    }

    #[test]
    fn a_row_wants_its_topic_by_its_rules_and_those_of_experiments() {
        let packet = Packet::of("View*").reject_value("/synthetic", true);
        let row = Subscription {
            river: "engine".into(),
            topic: packet.topic().into(),
            status: "active".into(),
            reason: None,
            rules: packet.rules().to_vec(),
        };
        assert!(published(&[], false).passes_row(&row, &[]));
        assert!(!published(&[], true).passes_row(&row, &[]));
        let elsewhere = Packet::of("*").demand_value("/experiments/ranking", "control");
        let bold = published(&[(experiment(), true)], false);
        assert!(!bold.passes_row(&row, elsewhere.rules()));
        assert!(bold.passes_row(&row, &rules_of_arms(&[(experiment(), true)], "engine-bold")));
    }
}
