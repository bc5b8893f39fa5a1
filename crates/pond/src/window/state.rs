//! A window as it lies in the table, and what is to be done with it next.

use event::{Event, EventId};
use jiff::Timestamp;

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

/// A closed window with all that was collected.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen<S> {
    /// How it opened.
    pub opening: Opening,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// The solutions, in the order of their ids.
    pub solutions: Vec<S>,
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
    Closing { closed_at: Timestamp },
    /// The choice is made and written down. It may have to be published yet.
    Emitted { event: Box<Event>, sent: bool },
}

pub(super) const OPEN: &str = "OPEN";
pub(super) const CLOSING: &str = "CLOSING";
pub(super) const EMITTED: &str = "EMITTED";

/// What is to be done with a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Wait { due: Timestamp },
    Freeze,
    Choose { closed_at: Timestamp },
    Publish { event: Box<Event> },
    Nothing,
}

impl Window {
    /// The next step. Any process can do it, and two that do it at once do no harm.
    pub(super) fn step(&self, now: Timestamp) -> Step {
        match &self.state {
            State::Open if now < self.opening.due => Step::Wait { due: self.opening.due },
            State::Open => Step::Freeze,
            State::Closing { closed_at } => Step::Choose { closed_at: *closed_at },
            State::Emitted { event, sent: false } => Step::Publish { event: event.clone() },
            State::Emitted { sent: true, .. } => Step::Nothing,
        }
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
        let state = match item::text_of(item, "state").ok_or("state")? {
            OPEN => State::Open,
            CLOSING => State::Closing { closed_at: time("closed_at")? },
            EMITTED => State::Emitted {
                event: Box::new(event("event")?),
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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn view() -> Event {
        Event::root("ViewPage", "web", serde_json::Value::Null, at(9))
    }

    fn window(state: State) -> Window {
        let opening = Opening { opened_at: at(10), due: at(12), cause: view() };
        Window { opening, state }
    }

    #[test]
    fn a_window_goes_forward_only_and_not_before_its_time() {
        let open = window(State::Open);
        assert_eq!(open.step(at(11)), Step::Wait { due: at(12) });
        assert_eq!(open.step(at(12)), Step::Freeze);
        let closing = window(State::Closing { closed_at: at(13) });
        assert_eq!(closing.step(at(0)), Step::Choose { closed_at: at(13) });
        let event = Box::new(view());
        let emitted = |sent| window(State::Emitted { event: event.clone(), sent });
        assert_eq!(emitted(false).step(at(0)), Step::Publish { event: event.clone() });
        assert_eq!(emitted(true).step(at(0)), Step::Nothing);
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
    }
}
