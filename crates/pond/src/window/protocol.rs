//! The protocol of a window, checked in every order of its steps: two solutions, two closers, each message delivered
//! once more than needed, a crash or a lost reply anywhere.
//!
//! What is decided is decided by the code that runs in production: [`Window::step`] for closers, [`refused`] for what
//! a refused transaction means. Around it stands a table and a queue, in which one step of one process happens after
//! the other. A lost reply is no step of its own: who does not hear of a write goes on as if it had crashed after it.

use std::collections::{BTreeSet, VecDeque};

use aws_sdk_dynamodb::types::CancellationReason;
use event::Event;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Collected;
use super::collect::{Attempt, refused};
use super::state::{CLOSING, Opening, State, Step, Window};
use crate::item;

/// Solutions, by bits.
type Set = u8;
const SOLUTIONS: usize = 2;
const CLOSERS: usize = 2;
/// Times that a process may die, or a reply be lost, in one history.
const CRASHES_MAX: u8 = 2;
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
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stored {
    Open,
    Closing,
    Emitted { content: Set, sent: bool },
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
    /// A closer that read the window and is to do this.
    Freeze,
    Read,
    Write(Set),
    Publish(Set),
    Note,
    /// Settled.
    Done,
}

/// Table, queue, rapids and processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    window: Option<Stored>,
    solutions: Set,
    late: Set,
    /// Contents that were published under the selection's one id.
    published: BTreeSet<Set>,
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
    fn next(&self, protocol: Protocol) -> Vec<Self> {
        let mut next = Vec::new();
        if !self.time_is_over {
            next.push(Self { time_is_over: true, ..self.clone() });
        }
        for index in 0..SOLUTIONS {
            let mut world = self.clone();
            world.collect(index);
            next.push(world);
        }
        if self.timer {
            for index in 0..CLOSERS {
                let mut world = self.clone();
                world.close(index, protocol);
                next.push(world);
            }
        }
        for process in 0..SOLUTIONS + CLOSERS {
            let mut world = self.clone();
            if world.restart(process) {
                next.push(world);
            }
        }
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

    fn collect(&mut self, index: usize) {
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
                At::Done
            }
            other => other,
        };
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

    fn close(&mut self, index: usize, protocol: Protocol) {
        self.closers[index] = match self.closers[index] {
            At::Start => self.look(protocol),
            At::Freeze => {
                self.advance(&Stored::Open, Stored::Closing);
                At::Start
            }
            At::Read if protocol == Protocol::PublishThenMark => At::Publish(self.solutions),
            At::Read => At::Write(self.solutions),
            At::Write(content) => {
                let ours = protocol != Protocol::ReadThenMark;
                let from = if ours { Stored::Closing } else { Stored::Open };
                self.advance(&from, Stored::Emitted { content, sent: false });
                At::Start
            }
            At::Publish(content) => {
                self.published.insert(content);
                At::Note
            }
            At::Note if protocol == Protocol::PublishThenMark => {
                let content = 0; // What was published is written down nowhere.
                self.advance(&Stored::Open, Stored::Emitted { content, sent: true });
                At::Done
            }
            At::Note => {
                if let Some(Stored::Emitted { sent, .. }) = &mut self.window {
                    *sent = true;
                }
                At::Done
            }
            other => other,
        };
    }

    /// Reads the window, and decides by what production decides by.
    fn look(&self, protocol: Protocol) -> At {
        let Some(stored) = &self.window else {
            // An opener that lives may open yet. If it died, its own message comes again, with another timer.
            let opening = self.collectors.contains(&At::Open) && protocol != Protocol::TimerLetGo;
            return if opening { At::Start } else { At::Done };
        };
        let (due, early) = (Timestamp::from_second(2).unwrap(), Timestamp::UNIX_EPOCH);
        let now = if self.time_is_over { due } else { early };
        let state = match stored {
            Stored::Open => State::Open,
            Stored::Closing => State::Closing { closed_at: due },
            Stored::Emitted { content, sent } => {
                let event = Event::root("OffersSelected", "offers", json!(content), due);
                State::Emitted { event: Box::new(event), sent: *sent }
            }
        };
        let cause = Event::root("ViewPage", "web", Value::Null, early);
        let window = Window { opening: Opening { opened_at: early, due, cause }, state };
        match window.step(now) {
            Step::Wait { .. } => At::Start,
            Step::Freeze if matches!(protocol, Protocol::Ours | Protocol::TimerLetGo) => At::Freeze,
            Step::Freeze | Step::Choose { .. } => At::Read,
            Step::Publish { event } => {
                At::Publish(event.payload.as_u64().and_then(|set| set.try_into().ok()).unwrap())
            }
            Step::Nothing => At::Done,
        }
    }

    /// A conditional write.
    fn advance(&mut self, from: &Stored, to: Stored) {
        if self.window.as_ref() == Some(from) {
            self.window = Some(to);
        }
    }

    fn is_over(&self) -> bool {
        let settled = self.collectors.iter().chain(&self.closers).all(|at| *at == At::Done);
        settled && self.time_is_over
    }
}

/// One selection id has one content.
fn one_content_for_one_id(world: &World) -> Result<(), &'static str> {
    if world.published.len() > 1 { Err("two contents under one id") } else { Ok(()) }
}

/// When all messages are settled, each solution is in the selection, or kept as late.
fn no_acknowledged_solution_is_lost(world: &World) -> Result<(), &'static str> {
    let selected = world.published.iter().fold(0, |all, content| all | content);
    let kept = selected | world.late;
    if world.is_over() && kept != (1 << SOLUTIONS) - 1 {
        return Err("a solution is neither selected nor late");
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

/// Goes through all worlds. The number of them, and what is broken, by name.
fn explore(protocol: Protocol) -> (usize, BTreeSet<&'static str>) {
    let (mut seen, mut broken) = (BTreeSet::from([World::new()]), BTreeSet::new());
    let mut open = VecDeque::from([World::new()]);
    while let Some(world) = open.pop_front() {
        let invariants =
            [one_content_for_one_id, no_acknowledged_solution_is_lost, a_selection_is_made];
        broken.extend(invariants.iter().filter_map(|holds| holds(&world).err()));
        let next = world.next(protocol);
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

#[test]
fn in_every_order_of_steps_and_crashes_no_solution_is_lost_and_one_content_is_published() {
    let (worlds, broken) = explore(Protocol::Ours);
    println!("{worlds} worlds");
    assert!(broken.is_empty(), "{broken:?}");
    assert!(worlds > 3_000, "the model has lost steps: {worlds}");
}

#[test]
fn the_two_obvious_shortcuts_fail() {
    let (_, broken) = explore(Protocol::ReadThenMark);
    assert_eq!(broken, BTreeSet::from(["a solution is neither selected nor late"]));
    let (_, broken) = explore(Protocol::PublishThenMark);
    assert!(broken.contains("two contents under one id"), "{broken:?}");
}

#[test]
fn a_timer_that_is_let_go_before_the_window_opens_leaves_it_open_for_ever() {
    let (_, broken) = explore(Protocol::TimerLetGo);
    assert!(broken.contains("nothing was published"), "{broken:?}");
}
