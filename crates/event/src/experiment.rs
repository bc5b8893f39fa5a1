//! Experiments: some conversations go one way, some another, and nobody's code is touched.
//!
//! The reader assigns, for it is where all events pass: an event that an experiment is about gets an arm, written
//! beside it as the attribute `arm`. Services that answer it copy the arm along causation. A river can belong to an
//! arm: then only events of that arm are its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::Event;
use crate::names::{InvalidName, River, Stage, Topic};
use crate::packet::{Packet, Rule};

/// Namespace of the numbers that assign, so that they depend on nothing else.
const NAMESPACE: Uuid = Uuid::from_u128(0x2d1c_63d0_5f0e_5ad4_8f3b_7069_6473_6172);
/// Most arms: more share too little between them.
const ARMS_MAX: usize = 10;
/// Longest name of an experiment or an arm, in characters.
const NAME_MAX: usize = 64;
/// Largest weight of an arm; 10,000 in all would be a hundredth of a percent each.
const WEIGHT_MAX: u32 = 10_000;

/// An experiment. Its first arm is the control: what would be without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Experiment {
    /// Its name, for ever: who was in which arm depends on it.
    pub name: String,
    /// Event types at which a conversation is assigned, patterns among them.
    pub on: Vec<String>,
    /// Where in the event the unit is that keeps its arm, as a JSON pointer: a customer, say. An event that has
    /// nothing there is assigned by its conversation.
    #[serde(default = "subject")]
    pub unit: String,
    /// The arms, control first.
    pub arms: Vec<Arm>,
}

/// One of the ways that an experiment compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Its share, relative to the weights of the others.
    pub weight: u32,
    /// The river whose service makes the difference, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub river: Option<String>,
}

/// Why something is no experiment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExperiment {
    /// A name that AWS, or the attribute `arm`, would not take.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Anything else.
    #[error("experiment {name:?} is refused: {why}")]
    Refused {
        /// Its name.
        name: String,
        /// What would be accepted.
        why: String,
    },
}

fn subject() -> String {
    "/subject".to_owned()
}

impl Experiment {
    /// Checks it for `stage`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self, stage: &Stage) -> Result<(), InvalidExperiment> {
        let refused = |why: String| InvalidExperiment::Refused { name: self.name.clone(), why };
        if !(2..=ARMS_MAX).contains(&self.arms.len()) {
            return Err(refused(format!(
                "it needs 2 to {ARMS_MAX} arms, for example control:90,bold:10"
            )));
        }
        let names = || std::iter::once(&self.name).chain(self.arms.iter().map(|arm| &arm.name));
        if let Some(name) = names().find(|name| !is_name(name)) {
            return Err(refused(format!(
                "{name:?} is not 1 to {NAME_MAX} letters, digits, hyphens and underscores"
            )));
        }
        for (index, arm) in self.arms.iter().enumerate() {
            if self.arms[..index].iter().any(|other| other.name == arm.name) {
                return Err(refused(format!("arm {} is there twice", arm.name)));
            }
            if arm.weight > WEIGHT_MAX {
                return Err(refused(format!("weights are 0 to {WEIGHT_MAX}")));
            }
            arm.river.as_ref().map(|river| River::parse(river, stage)).transpose()?;
        }
        if self.total() == 0 {
            return Err(refused("one arm at least needs a weight above 0".to_owned()));
        }
        if self.on.is_empty() {
            return Err(refused(
                "it needs an event type to begin with, for example ViewPage".to_owned(),
            ));
        }
        self.on.iter().try_for_each(|topic| Topic::parse(topic).map(drop))?;
        if !self.unit.starts_with('/') {
            return Err(refused(
                "the unit is a JSON pointer, for example /payload/customerId".to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether conversations are assigned at events of this type.
    #[must_use]
    pub fn is_on(&self, event_type: &str) -> bool {
        self.on.iter().any(|topic| Topic::covers(topic, event_type))
    }

    /// The arm of an event: that which it has, else one by its unit; none if the experiment is not about it.
    #[must_use]
    pub fn arm_of<'a>(&'a self, event: &'a Event) -> Option<&'a str> {
        if let Some(arm) = event.experiments.get(&self.name) {
            return Some(arm);
        }
        if !self.is_on(&event.event_type) {
            return None;
        }
        let unit = event.at(&self.unit).map(|unit| match &*unit {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Some(self.assign(unit.as_deref().unwrap_or(event.correlation().as_str())))
    }

    /// The arm of a unit: always the same, whoever asks.
    ///
    /// The number behind it is the first six bytes, the highest first, of the UUIDv5 of the experiment's name, a zero
    /// byte and the unit, modulo the sum of the weights; arms take their shares of it in their order.
    #[must_use]
    pub fn assign(&self, unit: &str) -> &str {
        let name = [self.name.as_bytes(), &[0], unit.as_bytes()].concat();
        let number = Uuid::new_v5(&NAMESPACE, &name);
        let number = number.as_bytes()[..6].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mut left = number % self.total().max(1);
        for arm in &self.arms {
            match left.checked_sub(arm.weight.into()) {
                Some(rest) => left = rest,
                None => return &arm.name,
            }
        }
        // Weights that add up to nothing are refused.
        self.arms.first().map_or("", |arm| &arm.name)
    }

    /// What a river's service has to check because of the experiment; nothing for a river that is in no arm.
    ///
    /// The control's river has what is in no arm as well, and all when the experiment is over. Any other arm's river
    /// has its arm's events alone, also when it is over: those that are still on their way, and no new ones.
    #[must_use]
    pub fn rules_for(&self, river: &str, running: bool) -> Vec<Rule> {
        let at = format!("/experiments/{}", self.name);
        let elsewhere = |arm: &&Arm| arm.river.as_deref().is_some_and(|other| other != river);
        let packet = match self.arms.iter().position(|arm| arm.river.as_deref() == Some(river)) {
            None => return Vec::new(),
            Some(0) if !running => return Vec::new(),
            Some(0) => {
                let others = self.arms.iter().filter(elsewhere);
                others.fold(Packet::of("*"), |packet, arm| {
                    packet.reject_value(&at, arm.name.as_str())
                })
            }
            Some(index) => Packet::of("*").demand_value(&at, self.arms[index].name.as_str()),
        };
        packet.rules().to_vec()
    }

    /// The rivers of its arms.
    pub fn rivers(&self) -> impl Iterator<Item = &str> {
        self.arms.iter().filter_map(|arm| arm.river.as_deref())
    }

    fn total(&self) -> u64 {
        self.arms.iter().map(|arm| u64::from(arm.weight)).sum()
    }
}

fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::packet::Verdict;

    fn ranking() -> Experiment {
        let arm = |name: &str, weight, river: &str| Arm {
            name: name.into(),
            weight,
            river: Some(river.into()),
        };
        Experiment {
            name: "ranking".into(),
            on: vec!["ViewPage".into()],
            unit: "/payload/name".into(),
            arms: vec![arm("control", 90, "offer-engine"), arm("bold", 10, "offer-engine-bold")],
        }
    }

    fn view(name: &str) -> Event {
        Event::root("ViewPage", "web", json!({ "name": name }), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_unit_keeps_its_arm_and_arms_have_their_shares() {
        let ranking = ranking();
        let bold =
            (0..10_000).filter(|n| ranking.assign(&format!("customer-{n}")) == "bold").count();
        assert!((900..1_100).contains(&bold), "{bold}");
        let (sally, again) = (view("Sally"), view("Sally"));
        assert_eq!(ranking.arm_of(&sally), ranking.arm_of(&again));
        // By name: in another experiment the same customers are dealt out anew.
        let other = Experiment { name: "other".into(), ..ranking.clone() };
        let same =
            (0..1_000).filter(|n| other.assign(&n.to_string()) == ranking.assign(&n.to_string()));
        assert!((700..950).contains(&same.count()));
    }

    #[test]
    fn the_assignment_is_part_of_the_wire_format() {
        let arms = |n: usize| ranking().assign(&n.to_string()).to_owned();
        let bold: Vec<_> = (0..40).filter(|n| arms(*n) == "bold").collect();
        assert_eq!(bold, [3, 4, 6, 14, 20, 23, 26, 32, 33]);
    }

    #[test]
    fn what_has_an_arm_keeps_it_and_what_is_not_concerned_gets_none() {
        let mut answered = view("Sally");
        answered.event_type = "OfferProposed".into();
        assert_eq!(ranking().arm_of(&answered), None);
        answered.experiments.insert("ranking".into(), "bold".into());
        assert_eq!(ranking().arm_of(&answered), Some("bold"));
        let mut nobody = view("");
        nobody.correlation_id = Some("c".into());
        assert_eq!(ranking().arm_of(&nobody), Some(ranking().assign("c")));
    }

    #[test]
    fn each_event_is_for_the_river_of_its_arm_and_for_no_other() {
        let experiment = ranking();
        let takes = |river: &str, running, arm: Option<&str>| {
            let mut event = view("Sally");
            event.experiments.extend(arm.map(|arm| ("ranking".to_owned(), arm.to_owned())));
            let rules = experiment.rules_for(river, running);
            Packet::with_rules("*", rules).check(&event) == Verdict::Mine
        };
        for (arm, control, bold) in
            [(Some("control"), true, false), (Some("bold"), false, true), (None, true, false)]
        {
            assert_eq!(takes("offer-engine", true, arm), control, "{arm:?}");
            assert_eq!(takes("offer-engine-bold", true, arm), bold, "{arm:?}");
            assert!(takes("offer-engine", false, arm) && takes("location", true, arm));
            assert_eq!(takes("offer-engine-bold", false, arm), bold, "{arm:?}");
        }
    }

    #[test]
    fn what_is_no_experiment_is_told_with_the_rule() {
        let stage = Stage::parse("dev").unwrap();
        ranking().validate(&stage).unwrap();
        let refused = |change: &dyn Fn(&mut Experiment), words: &str| {
            let mut experiment = ranking();
            change(&mut experiment);
            let why = experiment.validate(&stage).unwrap_err().to_string();
            assert!(why.contains(words), "{why}");
        };
        refused(&|e| e.arms.truncate(1), "2 to 10 arms");
        refused(&|e| e.arms[1].name = "control".into(), "twice");
        refused(&|e| e.arms[1].name = "a:b".into(), "a:b");
        refused(&|e| e.name = String::new(), "letters");
        refused(&|e| e.arms.iter_mut().for_each(|arm| arm.weight = 0), "above 0");
        refused(&|e| e.arms[1].river = Some("a b".into()), "a b");
        refused(&|e| e.on.clear(), "ViewPage");
        refused(&|e| e.unit = "name".into(), "JSON pointer");
    }
}
