//! The explanation itself: pure, from facts to steps and a verdict.

use event::Event;
use event::filter::Scope;
use event::names::{River, Stage};
use event::packet::{Packet, Rule, Verdict};
use event::route::Line;
use serde::Serialize;
use serde_json::Value;

use super::facts::{Facts, Filter};
use crate::output::short;
use crate::tree::emitter;
use crate::watch::publication::{BYTES_MAX, Publication, rules_of_arms};
use crate::watch::rows::Subscription;

/// Why an event comes to a river, or does not.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    pub(super) river: String,
    pub(super) event_id: Option<String>,
    pub(super) delivered: bool,
    /// Why not; or what the service makes of it, where it does not handle it.
    pub(super) because: Option<String>,
    /// What to do.
    pub(super) remedy: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) state: State,
    pub(super) says: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) more: Vec<String>,
}

/// How it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Fine,
    /// Nothing that keeps the event out, and worth a look.
    Odd,
    /// Keeps the event out, or from being handled.
    Broken,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Odd => "odd",
            Self::Broken => "no",
        }
    }

    fn fine_if(fine: bool) -> Self {
        if fine { Self::Fine } else { Self::Broken }
    }
}

/// Steps as they are found, and the first reason for each end.
struct Reasoning<'a> {
    river: &'a River,
    stage: &'a Stage,
    facts: &'a Facts,
    steps: Vec<Step>,
    /// Why it is not delivered, and the remedy.
    hindrance: Option<(String, String)>,
    /// Why the service does not handle what is delivered, and the remedy.
    unhandled: Option<(String, String)>,
}

impl Explanation {
    /// Reasons.
    pub(super) fn of(river: &River, stage: &Stage, facts: &Facts) -> Self {
        let (steps, hindrance, unhandled) = (Vec::new(), None, None);
        let mut reasoning = Reasoning { river, stage, facts, steps, hindrance, unhandled };
        let publication = reasoning.event();
        if let Some(publication) = &publication {
            reasoning.size(publication);
            reasoning.way(publication);
            reasoning.experiments(publication);
            reasoning.rules(publication);
        }
        let delivered = reasoning.hindrance.is_none();
        let (because, remedy) = reasoning.hindrance.or(reasoning.unhandled).unzip();
        Self {
            river: river.to_string(),
            event_id: publication.map(|it| it.event.event_id.to_string()),
            delivered,
            because,
            remedy,
            steps: reasoning.steps,
        }
    }

    /// The last line.
    pub(super) fn verdict(&self) -> String {
        match (self.delivered, &self.because, &self.remedy) {
            (false, Some(because), Some(remedy)) => {
                format!("not delivered: because {because}; {remedy}")
            }
            (true, Some(because), Some(remedy)) => {
                format!("delivered, but not handled: because {because}; {remedy}")
            }
            (true, ..) => "delivered".to_owned(),
            (false, ..) => "not delivered".to_owned(),
        }
    }
}

impl Reasoning<'_> {
    fn step(&mut self, step: &'static str, state: State, says: impl Into<String>) {
        self.steps.push(Step { step, state, says: says.into(), more: Vec::new() });
    }

    fn hindered(&mut self, because: impl Into<String>, remedy: impl Into<String>) {
        self.hindrance.get_or_insert((because.into(), remedy.into()));
    }

    fn event(&mut self) -> Option<Publication> {
        let json = &self.facts.json;
        match (Event::parse(json), std::str::from_utf8(json)) {
            (Ok(event), Ok(text)) => {
                let (kind, by) = (&event.event_type, emitter(&event));
                let id = short(event.event_id.as_str());
                self.step("event", State::Fine, format!("{kind} of {by}, {id}"));
                Some(Publication::of(event, text.to_owned(), &self.facts.experiments))
            }
            (Err(reason), _) => {
                let stage = self.stage;
                self.step("event", State::Broken, reason.to_string());
                let place = stage.rapids_quarantine();
                let remedy = format!(
                    "correct it and send it again, `rapids dlq show rapids` shows those that lie in {place}"
                );
                self.hindered(format!("it is no event ({reason})"), remedy);
                None
            }
            // Parsed as JSON, and so text.
            (Ok(_), Err(_)) => None,
        }
    }

    fn size(&mut self, publication: &Publication) {
        let size = publication.size();
        let fits = size <= BYTES_MAX;
        if !fits && self.line(publication).is_some() {
            self.step("size", State::Odd, format!("{size} bytes: too large for SNS, not for SQS"));
            return;
        }
        self.step(
            "size",
            State::fine_if(fits),
            format!("{size} bytes of {BYTES_MAX} that SNS takes"),
        );
        if !fits {
            let remedy = "put what is large elsewhere, and its address into the payload";
            self.hindered("it is too large for SNS", remedy);
        }
    }

    /// From the subscriptions that are wanted to the filter that SNS has.
    fn way(&mut self, publication: &Publication) {
        let kind = publication.event.event_type.clone();
        let rows = self.facts.rows.iter();
        let covering: Vec<_> = rows.filter(|row| row.covers(&kind)).collect();
        self.topics(&covering, &kind);
        let queue = self.river.queue();
        let has_queue = self.facts.has_queue;
        let says = if has_queue { queue.clone() } else { format!("there is no queue {queue}") };
        self.step("queue", State::fine_if(has_queue), says);
        let of_arms = rules_of_arms(&self.facts.experiments, self.river.as_str());
        let wanted = covering.iter().any(|row| publication.passes_row(row, &of_arms));
        let directly = self.directly(publication);
        let passes = self.facts.filter.as_ref().is_some_and(|filter| passes(publication, filter));
        if !self.is_direct() || self.facts.filter.is_some() {
            self.filter(passes, wanted);
        }
        if has_queue && (passes || directly) {
            return;
        }
        let (because, remedy) = self.cause(&covering, &kind, wanted);
        self.hindered(because, remedy);
    }

    /// The line by which the rapids-reader writes it to the queue itself.
    fn line(&self, publication: &Publication) -> Option<&Line> {
        let lines = self.facts.row.direct.iter().flat_map(|direct| &direct.packets);
        let mut open = lines.filter(|line| line.is_open(self.facts.now));
        open.find(|line| line.packet().check(&publication.event) != Verdict::NotMine)
    }

    /// Whether the river is fed by the rapids-reader for good.
    fn is_direct(&self) -> bool {
        self.facts.row.route.as_deref() == Some("direct")
    }

    /// What the rapids-reader does, where it does something for this river.
    fn directly(&mut self, publication: &Publication) -> bool {
        let says = match self.line(publication) {
            Some(Line { topic, until: Some(until), .. }) => Some(format!(
                "the rapids-reader writes {topic} until {until:.0}, while SNS learns the filter"
            )),
            Some(line) => Some(format!("the rapids-reader writes {}", line.topic)),
            None => None,
        };
        let found = says.is_some();
        if let Some(says) = says {
            self.step("direct", State::Fine, says);
        } else if self.is_direct() {
            self.step("direct", State::Broken, "the rapids-reader does not write it to the queue");
        }
        found
    }

    fn topics(&mut self, covering: &[&Subscription], kind: &str) {
        if covering.is_empty() {
            let others = self.facts.rows.iter().map(|row| row.topic.as_str()).collect::<Vec<_>>();
            let others = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
            self.step(
                "topics",
                State::Broken,
                format!("none covers {kind}; subscribed is {others}"),
            );
            return;
        }
        for row in covering {
            let reason = row.reason.as_ref().map(|reason| format!(": {reason}"));
            let says = format!("{} is {}{}", row.topic, row.status, reason.unwrap_or_default());
            self.step("topics", State::fine_if(row.status == "active"), says);
        }
    }

    fn filter(&mut self, passes: bool, wanted: bool) {
        let Some(filter) = &self.facts.filter else {
            self.step("filter", State::Broken, "SNS has no subscription of the queue");
            return;
        };
        let policy = filter.policy.as_deref().unwrap_or("none: everything passes");
        let (state, lag) = match (passes, wanted) {
            (true, true) => (State::Fine, ""),
            (false, false) => (State::Broken, ""),
            (true, false) => (State::Odd, "lets more through than is wanted: "),
            (false, true) => (State::Broken, "lags behind what is wanted: "),
        };
        self.step("filter", state, format!("{lag}{policy}"));
    }

    /// Why nothing comes through.
    fn cause(&self, covering: &[&Subscription], kind: &str, wanted: bool) -> (String, String) {
        let river = self.river;
        if covering.is_empty() {
            return (
                format!("river {river} is not subscribed to {kind}"),
                format!("subscribe it: `rapids subscribe {river} {kind}`"),
            );
        }
        if !covering.iter().any(|row| row.status == "active") {
            let row = covering.iter().find(|row| row.status == "degraded");
            if let Some(row) = row {
                let reason = row.reason.as_deref().unwrap_or("no reason is in its row");
                let again = format!(
                    "remove what hinders it, then `rapids subscribe {river} {}`",
                    row.topic
                );
                return (format!("the control plane could not subscribe it ({reason})"), again);
            }
            return (
                "its subscription is pending".to_owned(),
                "see that the control plane of the stage runs: it works on what is pending"
                    .to_owned(),
            );
        }
        if self.facts.has_queue && self.is_direct() {
            return (
                "the rapids-reader does not write it: preconditions of its service do not hold, or its routes lag"
                    .to_owned(),
                format!("see the step `rules`, and `rapids rivers show {river}`"),
            );
        }
        if !self.facts.has_queue || self.facts.filter.is_none() {
            let (topic, what) = (
                &covering[0].topic,
                if self.facts.has_queue { "SNS subscription" } else { "queue" },
            );
            return (
                format!("the river's {what} is gone, though its row says that it is active"),
                format!(
                    "see that the control plane of the stage runs: it makes it again within a minute, {topic} and all"
                ),
            );
        }
        if wanted {
            return (
                "the filter of SNS lags behind what is wanted".to_owned(),
                "wait up to 15 minutes, SNS takes so long for a new filter, then send the event again"
                    .to_owned(),
            );
        }
        (
            "what the river's service or an experiment asks for does not hold".to_owned(),
            "see the steps `rules` and `experiments`".to_owned(),
        )
    }

    fn experiments(&mut self, publication: &Publication) {
        let rules = rules_of_arms(&self.facts.experiments, self.river.as_str());
        let event = &publication.event;
        let here = rules.is_empty()
            || Packet::with_rules("*", rules.clone()).check(event) == Verdict::Mine;
        let arms = if publication.arms.is_empty() {
            "none".to_owned()
        } else {
            publication.arms.join(", ")
        };
        self.step("experiments", State::fine_if(here), format!("arms: {arms}"));
        if !here {
            self.more(
                rules.iter().filter(|rule| is_broken(rule, event)).map(|rule| broken(rule, event)),
            );
            self.unhandled(
                "the river belongs to another arm of an experiment",
                "`rapids experiment list` shows the arms and their rivers",
            );
        }
    }

    /// What the river's service declares, by the rows: the service itself may know better already.
    fn rules(&mut self, publication: &Publication) {
        let event = &publication.event;
        let rows = self.facts.rows.iter().filter(|row| row.covers(&event.event_type));
        let rows: Vec<_> = rows.collect();
        let verdicts: Vec<_> = rows.iter().map(|row| row.packet().check(event)).collect();
        if verdicts.is_empty() {
            return;
        }
        if let Some(mine) = verdicts.iter().position(|verdict| *verdict == Verdict::Mine) {
            let count = rows[mine].rules.len();
            self.step("rules", State::Fine, format!("all {count} hold"));
            return;
        }
        let invalid = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Invalid(problems) => Some(problems),
            _ => None,
        });
        if let Some(problems) = invalid {
            self.step("rules", State::Broken, "it is meant, and not as it should be:");
            self.more(problems.0.iter().map(ToString::to_string));
            self.unhandled(
                "validations do not hold",
                "send it as the service wants it, see `rules`",
            );
            return;
        }
        let rules = rows.iter().flat_map(|row| &row.rules);
        let preconditions = rules.filter(|rule| rule.is_precondition() && is_broken(rule, event));
        let lines: Vec<_> = preconditions.map(|rule| broken(rule, event)).collect();
        self.step("rules", State::Broken, "preconditions say that it is not meant:");
        self.more(lines);
        self.unhandled(
            "preconditions of its service do not hold",
            "none is needed if that is meant",
        );
    }

    fn more(&mut self, lines: impl IntoIterator<Item = String>) {
        if let Some(step) = self.steps.last_mut() {
            step.more.extend(lines);
        }
    }

    fn unhandled(&mut self, because: &str, remedy: &str) {
        self.unhandled.get_or_insert((because.to_owned(), remedy.to_owned()));
    }
}

fn passes(publication: &Publication, filter: &Filter) -> bool {
    let scope = if filter.of_body { Scope::Body } else { Scope::Attributes };
    filter.policy.as_deref().is_none_or(|policy| publication.passes(policy, scope))
}

fn is_broken(rule: &Rule, event: &Event) -> bool {
    Packet::with_rules("*", vec![rule.clone()]).check(event) != Verdict::Mine
}

/// The rule, and what is there instead.
fn broken(rule: &Rule, event: &Event) -> String {
    // Texts and values: nothing in a rule can fail to be written.
    let mut json = serde_json::to_value(rule).unwrap_or_default();
    let name = json["rule"].as_str().unwrap_or_default().to_owned();
    let wanted = json.as_object_mut().and_then(|fields| {
        fields.retain(|name, _| name != "rule" && name != "at");
        fields.values().next().map(|value| format!(" {value}"))
    });
    let found = event.at(&rule.at).map(|value| Value::to_string(&value));
    let found = found.unwrap_or_else(|| "nothing".to_owned());
    format!("{}: {name}{}, found {found}", rule.at, wanted.unwrap_or_default())
}

#[cfg(test)]
mod tests;
