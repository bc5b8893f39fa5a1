//! A window as it lies in the table, and what is to be done with it next.

use event::{Event, EventId};
use jiff::{SignedDuration, Timestamp};

use crate::item::{self, Item};

/// Which window: a need within a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId {
    /// The conversation.
    pub correlation: EventId,
    /// What is needed, for a conversation with several needs.
    pub name: String,
}

impl WindowId {
    /// Partition key of the window's items. The name holds no `#` there, so the last one tells the two apart.
    pub(super) fn pk(&self) -> String {
        let name = self.name.replace('%', "%25").replace('#', "%23");
        format!("WINDOW#{}#{name}", self.correlation)
    }
}

/// What is known when a window opens; it never changes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it is to be closed.
    pub due: Timestamp,
    /// The event that opened it; the payload may be left out.
    pub cause: Event,
}

/// Why a window was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Its time was over.
    Deadline,
    /// Nothing had come for a while.
    Quiet,
    /// All had come that was waited for.
    Complete,
}

impl CloseReason {
    /// `deadline`, `quiet` or `complete`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Quiet => "quiet",
            Self::Complete => "complete",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Deadline, Self::Quiet, Self::Complete].into_iter().find(|it| it.as_str() == text)
    }
}

/// A solution as it lies in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution<S> {
    /// What was collected.
    pub value: S,
    /// When, by the clock of the process that collected it.
    pub at: Timestamp,
    /// Whether the window was closed by then.
    pub late: bool,
}

/// A closed window with all that was collected.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen<S> {
    /// How it opened.
    pub opening: Opening,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// Why it was closed.
    pub reason: CloseReason,
    /// What is chosen is this choice of the window: 1 for the first, more for amendments.
    pub revision: u32,
    /// The solutions in the order of their ids, those in time first; late ones for amendments only.
    pub solutions: Vec<Solution<S>>,
}

/// The `WINDOW` item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) opening: Opening,
    pub(super) state: State,
}

/// OPEN → CLOSING → EMITTED, and never back.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Solutions can be added.
    Open,
    /// None can be added any more: the solutions that are there are the frozen set.
    Closing(Closed),
    /// The choice is made and written down. It may have to be published yet.
    Emitted { closed: Closed, event: Box<Event>, revision: u32, sent: bool },
}

/// When and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) at: Timestamp,
    pub(super) reason: CloseReason,
}

pub(super) const OPEN: &str = "OPEN";
pub(super) const CLOSING: &str = "CLOSING";
pub(super) const EMITTED: &str = "EMITTED";

/// What is to be done with a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Wait { due: Timestamp },
    Freeze { reason: CloseReason },
    Choose(Closed),
    Publish { event: Box<Event>, revision: u32 },
    Nothing,
}

/// What is to be done with a window for which something came too late.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LateStep {
    /// The first choice is not out yet.
    First(Step),
    /// The next choice may be made, after this one.
    Amend { closed: Closed, current: Box<Event>, revision: u32 },
    /// Too late for that, or too often.
    Nothing,
}

/// How far a choice may be amended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    /// How long after it was closed a window takes notice of what comes.
    pub within: SignedDuration,
    /// Most amendments of one choice.
    pub amendments_max: u32,
}

/// When a window is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When its time is over.
    Due,
    /// Now, and why.
    Now(CloseReason),
}

impl Window {
    /// The next step. Any process can do it, and two that do it at once do no harm.
    pub(super) fn step(&self, now: Timestamp, when: When) -> Step {
        match &self.state {
            State::Open if now >= self.opening.due => {
                Step::Freeze { reason: CloseReason::Deadline }
            }
            State::Open => match when {
                When::Now(reason) => Step::Freeze { reason },
                When::Due => Step::Wait { due: self.opening.due },
            },
            State::Closing(closed) => Step::Choose(*closed),
            State::Emitted { event, revision, sent: false, .. } => {
                Step::Publish { event: event.clone(), revision: *revision }
            }
            State::Emitted { sent: true, .. } => Step::Nothing,
        }
    }

    /// The next step after something came too late. A choice is amended only when it is on the rapids: who published
    /// it notes so under its revision, and must not note what another has not published yet.
    pub(super) fn late_step(&self, now: Timestamp, lateness: Lateness) -> LateStep {
        let State::Emitted { closed, event, revision, sent: true } = &self.state else {
            return LateStep::First(self.step(now, When::Due));
        };
        let is_over = now.duration_since(closed.at) > lateness.within;
        if is_over || *revision > lateness.amendments_max {
            return LateStep::Nothing;
        }
        LateStep::Amend { closed: *closed, current: event.clone(), revision: *revision }
    }

    /// Whether the choice of this revision is on the rapids: a later one is made after that only.
    pub(super) fn is_sent(&self, of: u32) -> bool {
        matches!(self.state, State::Emitted { revision, sent, .. } if revision > of || revision == of && sent)
    }

    /// Reads the item, or names the attribute that cannot be read.
    pub(super) fn from_item(item: &Item) -> Result<Self, &'static str> {
        let time = |attribute: &'static str| {
            let at = item::text_of(item, attribute).and_then(|text| text.parse().ok());
            at.ok_or(attribute)
        };
        let event = |attribute: &'static str| {
            let text = item::text_of(item, attribute);
            text.and_then(|text| Event::parse(text.as_bytes()).ok()).ok_or(attribute)
        };
        let closed = || {
            let reason = item::text_of(item, "reason").and_then(CloseReason::parse);
            let (at, reason) = (time("closed_at")?, reason.ok_or("reason")?);
            Ok::<_, &'static str>(Closed { at, reason })
        };
        let state = match item::text_of(item, "state").ok_or("state")? {
            OPEN => State::Open,
            CLOSING => State::Closing(closed()?),
            EMITTED => State::Emitted {
                closed: closed()?,
                event: Box::new(event("event")?),
                revision: item::number_of(item, "revision").ok_or("revision")?,
                sent: item.get("sent").is_some_and(|sent| sent.as_bool() == Ok(&true)),
            },
            _ => return Err("state"),
        };
        let (opened_at, due) = (time("opened_at")?, time("due")?);
        let opening = Opening { opened_at, due, cause: event("cause")? };
        Ok(Self { opening, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Closed = Closed { at: Timestamp::constant(13, 0), reason: CloseReason::Deadline };

    fn emitted(revision: u32, sent: bool) -> Window {
        window(State::Emitted { closed: CLOSED, event: Box::new(view()), revision, sent })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Always the same one.
    fn view() -> Event {
        let view = Event::root("ViewPage", "web", serde_json::Value::Null, at(9));
        Event { event_id: "view".into(), ..view }
    }

    fn window(state: State) -> Window {
        let opening = Opening { opened_at: at(10), due: at(12), cause: view() };
        Window { opening, state }
    }

    #[test]
    fn a_window_goes_forward_only_and_not_before_its_time() {
        let open = window(State::Open);
        assert_eq!(open.step(at(11), When::Due), Step::Wait { due: at(12) });
        let freeze = |reason| Step::Freeze { reason };
        assert_eq!(open.step(at(12), When::Due), freeze(CloseReason::Deadline));
        let quiet = When::Now(CloseReason::Quiet);
        assert_eq!(open.step(at(11), quiet), freeze(CloseReason::Quiet));
        assert_eq!(open.step(at(12), quiet), freeze(CloseReason::Deadline));
        assert_eq!(window(State::Closing(CLOSED)).step(at(0), When::Due), Step::Choose(CLOSED));
        let publish = Step::Publish { event: Box::new(view()), revision: 1 };
        assert_eq!(emitted(1, false).step(at(0), quiet), publish);
        assert_eq!(emitted(1, true).step(at(0), quiet), Step::Nothing);
    }

    #[test]
    fn a_choice_is_amended_when_it_is_out_soon_after_and_not_too_often() {
        let lateness = Lateness { within: SignedDuration::from_secs(30), amendments_max: 2 };
        let amend =
            |revision| LateStep::Amend { closed: CLOSED, current: Box::new(view()), revision };
        assert_eq!(emitted(1, true).late_step(at(43), lateness), amend(1));
        assert_eq!(emitted(2, true).late_step(at(13), lateness), amend(2));
        assert_eq!(emitted(3, true).late_step(at(13), lateness), LateStep::Nothing);
        assert_eq!(emitted(1, true).late_step(at(44), lateness), LateStep::Nothing);
        let publish = Step::Publish { event: Box::new(view()), revision: 2 };
        assert_eq!(emitted(2, false).late_step(at(13), lateness), LateStep::First(publish));
        let wait = Step::Wait { due: at(12) };
        assert_eq!(window(State::Open).late_step(at(11), lateness), LateStep::First(wait));
    }

    #[test]
    fn no_two_windows_share_a_key() {
        let pk = |correlation: &str, name: &str| {
            WindowId { correlation: correlation.into(), name: name.into() }.pk()
        };
        assert_ne!(pk("a#b", "c"), pk("a", "b#c"));
        assert_ne!(pk("a", "%23"), pk("a", "#"));
        assert_eq!(pk("a", "rental"), "WINDOW#a#rental");
    }

    #[test]
    fn an_item_of_another_kind_is_refused_by_attribute() {
        let mut item = item::key("WINDOW#a#b", "WINDOW");
        assert_eq!(Window::from_item(&item), Err("state"));
        item.insert("state".into(), item::text("AJAR"));
        assert_eq!(Window::from_item(&item), Err("state"));
        item.insert("state".into(), item::text(CLOSING));
        assert_eq!(Window::from_item(&item), Err("closed_at"));
        item.insert("closed_at".into(), item::text(at(13).to_string()));
        assert_eq!(Window::from_item(&item), Err("reason"));
    }
}
