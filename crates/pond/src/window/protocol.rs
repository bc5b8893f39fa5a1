//! The protocol of a window, checked in every order of its steps: two solutions, two closers, each message delivered
//! once more than needed, a crash or a lost reply anywhere.
//!
//! What is decided is decided by the code that runs in production: [`Window::step`] for closers, [`Window::late_step`]
//! for whoever came too late, [`refused`] for what a refused transaction means. Around it stands a table and a queue, in which one step of one process happens after
//! the other. A lost reply is no step of its own: who does not hear of a write goes on as if it had crashed after it.

use std::collections::{BTreeSet, HashSet, VecDeque};

use aws_sdk_dynamodb::types::CancellationReason;
use event::Event;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Collected;
use super::collect::{Attempt, refused};
use super::state::{
    CLOSING, CloseReason, Closed, LateStep, Lateness, Opening, State, Step, When, Window,
};
use crate::item;

/// Solutions, by bits.
type Set = u8;
const SOLUTIONS: usize = 2;
const CLOSERS: usize = 2;
/// Times that a process may die, or a reply be lost, in one history.
const CRASHES_MAX: u8 = 2;
const DUE: Timestamp = Timestamp::constant(2, 0);
/// Times that a message which was settled comes again.
const COPIES_MAX: u8 = 1;

/// How a window is closed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    /// Freeze, read, write the choice down, publish, note it.
    Ours,
    /// Read the solutions, then write the choice down: no freezing.
    ReadThenMark,
    /// Read the solutions, publish, then mark the window as done.
    PublishThenMark,
    /// Ours, but a timer that finds no window is let go at once.
    TimerLetGo,
    /// Ours, but what is noted as published is whatever choice there is by then.
    NoteAny,
    /// Ours, but an amendment is written over any choice, not over the one that it is about.
    AmendAny,
}

impl Protocol {
    fn freezes(self) -> bool {
        !matches!(self, Self::ReadThenMark | Self::PublishThenMark)
    }
}

/// So that every late solution could be amended for, and none is after its time.
const LATENESS: Lateness = Lateness { within: SignedDuration::from_secs(30), amendments_max: 2 };

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stored {
    Open,
    Closing,
    Emitted { content: Set, revision: u32, sent: bool },
}

/// Where a process is with its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    /// The message waits, or was begun and nothing is known of that any more.
    Start,
    /// A collector that found no window: sets the durable timer, then opens.
    Ring,
    Open,
    /// A collector that came too late.
    KeepLate,
    /// It is kept. Is another choice to be made?
    LookLate,
    ReadLate {
        over: u32,
    },
    Amend {
        over: u32,
        content: Set,
    },
    /// A closer that read the window and is to do this.
    Freeze,
    Read,
    Write(Set),
    Publish {
        revision: u32,
        content: Set,
    },
    Note(u32),
    /// Settled.
    Done,
}

/// What is the same in all worlds.
struct Model {
    protocol: Protocol,
    opening: Opening,
    /// The event for each content.
    choices: Vec<Event>,
}

impl Model {
    fn of(protocol: Protocol) -> Self {
        let opened_at = Timestamp::UNIX_EPOCH;
        let cause = Event::root("ViewPage", "web", Value::Null, opened_at);
        let choice = |content| Event::root("OffersSelected", "offers", json!(content), DUE);
        let choices = (0..1 << SOLUTIONS).map(choice).collect();
        Self { protocol, opening: Opening { opened_at, due: DUE, cause }, choices }
    }
}

/// Table, queue, rapids and processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    window: Option<Stored>,
    solutions: Set,
    late: Set,
    /// Revisions and contents that were published; a revision has one id.
    published: BTreeSet<(u32, Set)>,
    /// Whether the durable timer lies in the queue: without it, closers have no message.
    timer: bool,
    time_is_over: bool,
    collectors: [At; SOLUTIONS],
    closers: [At; CLOSERS],
    crashes: u8,
    copies: u8,
}

impl World {
    fn new() -> Self {
        Self {
            window: None,
            solutions: 0,
            late: 0,
            published: BTreeSet::new(),
            timer: false,
            time_is_over: false,
            collectors: [At::Start; SOLUTIONS],
            closers: [At::Start; CLOSERS],
            crashes: 0,
            copies: 0,
        }
    }

    /// Every world that one step leads to.
    fn next(&self, model: &Model) -> Vec<Self> {
        let mut next = Vec::new();
        if !self.time_is_over {
            next.push(Self { time_is_over: true, ..self.clone() });
        }
        for index in 0..SOLUTIONS {
            let mut world = self.clone();
            world.collect(index, model);
            next.push(world);
        }
        if self.timer {
            for index in 0..CLOSERS {
                let mut world = self.clone();
                world.close(index, model);
                next.push(world);
            }
        }
        for process in 0..SOLUTIONS + CLOSERS {
            let mut world = self.clone();
            if world.restart(process) {
                next.push(world);
            }
        }
        // Which closer is which makes no difference.
        next.iter_mut().for_each(|world| world.closers.sort_unstable());
        next.retain(|world| world != self);
        next
    }

    /// A crash while something is under way, or a copy of what was settled.
    fn restart(&mut self, process: usize) -> bool {
        let at = match process.checked_sub(SOLUTIONS) {
            None => &mut self.collectors[process],
            Some(closer) => &mut self.closers[closer],
        };
        let (count, max) = match at {
            At::Start => return false,
            At::Done => (&mut self.copies, COPIES_MAX),
            _ => (&mut self.crashes, CRASHES_MAX),
        };
        *at = At::Start;
        *count += 1;
        *count <= max
    }

    fn collect(&mut self, index: usize, model: &Model) {
        let protocol = model.protocol;
        let bit = 1 << index;
        self.collectors[index] = match self.collectors[index] {
            At::Start => match self.transact(bit) {
                Attempt::Done(Collected::NoWindow) => At::Ring,
                Attempt::Done(_) => At::Done,
                Attempt::TooLate => At::KeepLate,
                Attempt::Conflict => At::Start,
            },
            At::Ring => {
                self.timer = true;
                if let Some(idle) = self.closers.iter_mut().find(|at| **at == At::Done) {
                    *idle = At::Start;
                }
                At::Open
            }
            At::Open => {
                self.window.get_or_insert(Stored::Open);
                At::Start
            }
            At::KeepLate => {
                self.late |= bit;
                At::LookLate
            }
            At::LookLate => self.look_late(model),
            At::ReadLate { over } => {
                let content = self.solutions | self.late;
                match &self.window {
                    // The current choice was read with the window; no other has this revision.
                    Some(Stored::Emitted { content: current, revision, .. })
                        if *revision == over && *current == content =>
                    {
                        At::Done
                    }
                    _ => At::Amend { over, content },
                }
            }
            At::Amend { over, content } => {
                if let Some(Stored::Emitted { revision, sent: true, .. }) = self.window
                    && (revision == over || protocol == Protocol::AmendAny)
                {
                    let revision = over + 1;
                    self.window = Some(Stored::Emitted { content, revision, sent: false });
                }
                At::LookLate
            }
            At::Publish { revision, content } => {
                self.published.insert((revision, content));
                At::Note(revision)
            }
            At::Note(revision) => {
                self.note(revision, protocol);
                At::LookLate
            }
            other => other,
        };
    }

    /// Reads the window, and decides by what production decides by.
    fn look_late(&self, model: &Model) -> At {
        let Some(window) = self.read(model) else { return At::Start };
        match window.late_step(self.now(), LATENESS) {
            LateStep::Amend { revision, .. } => At::ReadLate { over: revision },
            // The shortcuts keep no revisions: there, an early closer's event comes again later.
            LateStep::First(_) if !model.protocol.freezes() => At::Done,
            LateStep::First(Step::Publish { event, revision }) => {
                At::Publish { revision, content: content(&event) }
            }
            LateStep::First(_) => At::LookLate,
            LateStep::Nothing => At::Done,
        }
    }

    fn note(&mut self, of: u32, protocol: Protocol) {
        if let Some(Stored::Emitted { revision, sent, .. }) = &mut self.window
            && (*revision == of || protocol == Protocol::NoteAny)
        {
            *sent = true;
        }
    }

    /// The transaction: both conditions, then the put. DynamoDB tells the reasons in the order of the operations.
    fn transact(&mut self, bit: Set) -> Attempt {
        let failed = |item: Option<&str>| {
            let reason = CancellationReason::builder().code("ConditionalCheckFailed");
            item.iter()
                .fold(reason, |reason, state| reason.item("state", item::text(*state)))
                .build()
        };
        let fine = CancellationReason::builder().code("None").build();
        let solution = (self.solutions & bit != 0).then(|| failed(None));
        let window = match &self.window {
            Some(Stored::Open) => None,
            Some(_) => Some(failed(Some(CLOSING))),
            None => Some(failed(None)),
        };
        if solution.is_none() && window.is_none() {
            self.solutions |= bit;
            return Attempt::Done(Collected::Added);
        }
        let reasons = [solution, window].map(|reason| reason.unwrap_or_else(|| fine.clone()));
        refused(&reasons).expect("a refusal by the two conditions")
    }

    fn close(&mut self, index: usize, model: &Model) {
        let protocol = model.protocol;
        self.closers[index] = match self.closers[index] {
            At::Start => self.look(model),
            At::Freeze => {
                self.advance(&Stored::Open, Stored::Closing);
                At::Start
            }
            At::Read if protocol == Protocol::PublishThenMark => {
                At::Publish { revision: 1, content: self.solutions }
            }
            At::Read => At::Write(self.solutions),
            At::Write(content) => {
                let ours = protocol != Protocol::ReadThenMark;
                let from = if ours { Stored::Closing } else { Stored::Open };
                self.advance(&from, Stored::Emitted { content, revision: 1, sent: false });
                At::Start
            }
            At::Publish { revision, content } => {
                self.published.insert((revision, content));
                At::Note(revision)
            }
            At::Note(revision) if protocol == Protocol::PublishThenMark => {
                let content = 0; // What was published is written down nowhere.
                self.advance(&Stored::Open, Stored::Emitted { content, revision, sent: true });
                At::Done
            }
            At::Note(revision) => {
                self.note(revision, protocol);
                At::Done
            }
            other => other,
        };
    }

    /// Reads the window, and decides by what production decides by.
    fn look(&self, model: &Model) -> At {
        let protocol = model.protocol;
        let Some(window) = self.read(model) else {
            // An opener that lives may open yet. If it died, its own message comes again, with another timer.
            let opening = self.collectors.contains(&At::Open) && protocol != Protocol::TimerLetGo;
            return if opening { At::Start } else { At::Done };
        };
        match window.step(self.now(), When::Due) {
            Step::Wait { .. } => At::Start,
            Step::Freeze { .. } if protocol.freezes() => At::Freeze,
            Step::Freeze { .. } | Step::Choose(_) => At::Read,
            Step::Publish { event, revision } => At::Publish { revision, content: content(&event) },
            Step::Nothing => At::Done,
        }
    }

    fn now(&self) -> Timestamp {
        if self.time_is_over { DUE } else { Timestamp::UNIX_EPOCH }
    }

    /// The window as production reads it.
    fn read(&self, model: &Model) -> Option<Window> {
        let closed = Closed { at: DUE, reason: CloseReason::Deadline };
        let state = match self.window.as_ref()? {
            Stored::Open => State::Open,
            Stored::Closing => State::Closing(closed),
            &Stored::Emitted { content, revision, sent } => {
                let event = Box::new(model.choices[usize::from(content)].clone());
                State::Emitted { closed, event, revision, sent }
            }
        };
        Some(Window { opening: model.opening.clone(), state })
    }

    /// A conditional write.
    fn advance(&mut self, from: &Stored, to: Stored) {
        if self.window.as_ref() == Some(from) {
            self.window = Some(to);
        }
    }

    /// What the last revision on the rapids holds.
    fn last(&self) -> Set {
        self.published.last().map_or(0, |(_, content)| *content)
    }

    fn is_over(&self) -> bool {
        let settled = self.collectors.iter().chain(&self.closers).all(|at| *at == At::Done);
        settled && self.time_is_over
    }
}

fn content(event: &Event) -> Set {
    event.payload.as_u64().and_then(|set| set.try_into().ok()).expect("the content of a choice")
}

/// One selection id has one content.
fn one_content_for_one_id(world: &World) -> Result<(), &'static str> {
    let ids: BTreeSet<u32> = world.published.iter().map(|(revision, _)| *revision).collect();
    if world.published.len() > ids.len() { Err("two contents under one id") } else { Ok(()) }
}

/// When all messages are settled, each solution is in the last selection, or kept as late.
fn no_acknowledged_solution_is_lost(world: &World) -> Result<(), &'static str> {
    let kept = world.last() | world.late;
    if world.is_over() && kept != (1 << SOLUTIONS) - 1 {
        return Err("a solution is neither selected nor late");
    }
    Ok(())
}

/// When all messages are settled, what came late soon enough is in the last selection.
fn every_late_solution_is_amended_for(world: &World) -> Result<(), &'static str> {
    if world.is_over() && world.late & !world.last() != 0 {
        return Err("a late solution is in no selection");
    }
    Ok(())
}

/// When all messages are settled, there is a selection.
fn a_selection_is_made(world: &World) -> Result<(), &'static str> {
    if world.is_over() && world.published.is_empty() {
        Err("nothing was published")
    } else {
        Ok(())
    }
}

/// Goes through all worlds, or until this is broken. The number of them, and what is broken, by name.
fn explore(protocol: Protocol, until: Option<&str>) -> (usize, BTreeSet<&'static str>) {
    let model = Model::of(protocol);
    let (mut seen, mut broken) = (HashSet::from([World::new()]), BTreeSet::new());
    let mut open = VecDeque::from([World::new()]);
    while let Some(world) = open.pop_front() {
        let invariants = [
            one_content_for_one_id,
            no_acknowledged_solution_is_lost,
            every_late_solution_is_amended_for,
            a_selection_is_made,
        ];
        broken.extend(invariants.iter().filter_map(|holds| holds(&world).err()));
        if until.is_some_and(|name| broken.contains(name)) {
            return (seen.len(), broken);
        }
        let next = world.next(&model);
        assert!(world.is_over() || !next.is_empty(), "nothing can happen any more: {world:?}");
        for world in next {
            if seen.insert(world.clone()) {
                open.push_back(world);
            }
        }
    }
    assert!(seen.iter().any(World::is_over), "no history ends");
    (seen.len(), broken)
}

fn breaks(protocol: Protocol, what: &str) {
    let (_, broken) = explore(protocol, Some(what));
    assert!(broken.contains(what), "{protocol:?} breaks only {broken:?}");
}

#[test]
fn in_every_order_of_steps_and_crashes_no_solution_is_lost_and_one_content_is_published() {
    let (worlds, broken) = explore(Protocol::Ours, None);
    println!("{worlds} worlds");
    assert!(broken.is_empty(), "{broken:?}");
    assert!(worlds > 100_000, "the model has lost steps: {worlds}");
}

#[test]
fn the_two_obvious_shortcuts_fail() {
    breaks(Protocol::ReadThenMark, "a solution is neither selected nor late");
    breaks(Protocol::PublishThenMark, "two contents under one id");
}

#[test]
fn a_timer_that_is_let_go_before_the_window_opens_leaves_it_open_for_ever() {
    breaks(Protocol::TimerLetGo, "nothing was published");
}

#[test]
fn an_amendment_is_of_one_choice_and_noted_as_that() {
    breaks(Protocol::NoteAny, "a late solution is in no selection");
    breaks(Protocol::AmendAny, "two contents under one id");
}
