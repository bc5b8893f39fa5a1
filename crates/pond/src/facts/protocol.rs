//! The protocol of facts, checked in every order of its steps: two processes, three facts that come as messages, each
//! message delivered once more than needed, a crash or a lost reply anywhere.
//!
//! What is decided is decided by the code that runs in production: [`Known::learn`] for what is known, [`due`] for the
//! rules, [`Known::unsaid`] for what is left to be said, [`Draft::id`] for which event it is. Around it stand an item,
//! a queue and the rapids, in which one step of one process happens after the other. Writing a fact and being told all
//! that is known is one step, as it is one request; of a fact that is there already, reading is another. A lost reply
//! is no step of its own: who does not hear of a write goes on as if it had crashed after it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use event::{Draft, Event, EventId, Origin, Producer};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Fact, Known};
use crate::{Requires, Rule, due};

/// Facts or events, by bits.
type Set = u32;
/// The facts, each of which comes with a message.
const FACTS: [&str; 3] = ["view", "segment", "tier"];
const PROCESSES: usize = 2;
/// Times that a process may die, or a reply be lost, in one history.
const CRASHES_MAX: u8 = 2;
/// Times that a message comes which another process has, or which was settled.
const COPIES_MAX: u8 = 3;
const SERVICE: &str = "location";

const RULES: &[Rule<()>] = &[
    Rule { id: "baseline", requires: &[Requires::Known("view")], then: () },
    Rule {
        id: "segment",
        requires: &[Requires::Known("view"), Requires::Is("segment", "RoadWarrior")],
        then: (),
    },
    Rule {
        id: "combined",
        requires: &[Requires::Known("view"), Requires::Known("segment"), Requires::Known("tier")],
        then: (),
    },
];

const MISSING: &str = "a rule has not fired whose facts are there";
const EARLY: &str = "a rule has fired before its facts were there";
const TWO_IDS: &str = "a rule has fired under two ids";
const TWO_CONTENTS: &str = "two contents under one id";

/// How a message is handled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    /// Write the fact and see what is known, publish, note it, delete the message.
    Ours,
    /// Ours, but what follows is noted before it is published.
    NoteThenPublish,
    /// See what is known, then write the fact.
    ReadThenWrite,
    /// See what is known, publish, then write the fact.
    PublishThenWrite,
    /// Ours, but the message is deleted before anything is published.
    DeleteThenPublish,
    /// Ours, but a rule says all that is known, not only what it asked for.
    SayAll,
    /// Ours, but the id of an event has its cause in it.
    IdOfCause,
}

/// Where a process is with its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    /// Writes the fact. The first step of a short cut is to read instead.
    Start,
    /// The fact was there: reads what is known.
    Read,
    /// A short cut that read this before.
    Write {
        then: Set,
    },
    Publish {
        left: Set,
        all: Set,
    },
    Note {
        all: Set,
        published: bool,
    },
    Delete {
        then: Set,
    },
}

/// Item, queue, rapids and processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    facts: Set,
    /// Events that are noted as emitted.
    emitted: Set,
    /// Events on the rapids.
    published: Set,
    /// Whether an event came onto the rapids before its facts were in the item.
    early: bool,
    deleted: [bool; FACTS.len()],
    /// What a process holds, and how far it is.
    processes: [Option<(usize, At)>; PROCESSES],
    crashes: u8,
    copies: u8,
}

/// An event that a rule came to.
#[derive(Debug, PartialEq)]
struct Said {
    rule: usize,
    id: EventId,
    payload: Value,
}

/// What is the same in all worlds.
struct Model {
    protocol: Protocol,
    causes: Vec<Event>,
    /// All that is ever said; a bit of a set is an index here.
    said: RefCell<Vec<Said>>,
    /// What is left to say, by cause, facts and what is noted: it is asked for often.
    unsaid: RefCell<HashMap<(usize, Set, Set), Set>>,
}

fn bits(set: Set) -> impl Iterator<Item = usize> {
    (0..Set::BITS as usize).filter(move |bit| set & (1 << bit) != 0)
}

impl Model {
    fn of(protocol: Protocol) -> Self {
        let cause = |name: &&str| {
            let at = Timestamp::from_second(1).unwrap();
            let mut event = Event::root("Said", "test", json!({ "fact": name }), at);
            event.event_id = (*name).into();
            event.correlation_id = Some("c".into());
            event
        };
        let causes = FACTS.iter().map(cause).collect();
        Self { protocol, causes, said: RefCell::default(), unsaid: RefCell::default() }
    }

    /// The item as production reads it.
    fn known(&self, facts: Set, emitted: Set) -> Known {
        let mut known = Known::default();
        for fact in bits(facts) {
            known.learn(Fact::of(&self.causes[fact], FACTS[fact], json!("RoadWarrior")));
        }
        for said in bits(emitted) {
            known.emit(self.said.borrow()[said].id.clone());
        }
        known
    }

    /// What a handler is told to emit, by what production decides by.
    fn unsaid(&self, cause: usize, facts: Set, emitted: Set) -> Set {
        let asked = (cause, facts, emitted);
        if let Some(unsaid) = self.unsaid.borrow().get(&asked) {
            return *unsaid;
        }
        let (known, event) = (self.known(facts, emitted), &self.causes[cause]);
        let drafts = due(RULES, &known).map(|rule| self.draft(rule, &known, event)).collect();
        let unsaid = known.unsaid(drafts, SERVICE, event);
        let unsaid = unsaid.into_iter().map(|draft| self.bit(draft, event)).sum();
        self.unsaid.borrow_mut().insert(asked, unsaid);
        unsaid
    }

    /// What a rule says: of each fact that it asked for, the event that it is from.
    fn draft(&self, rule: &Rule<()>, known: &Known, cause: &Event) -> Draft {
        let asked = rule.requires.iter().map(Requires::fact);
        let names: Vec<_> =
            if self.protocol == Protocol::SayAll { FACTS.into() } else { asked.collect() };
        let facts = names.iter().filter_map(|name| known.get(name));
        let from: Vec<_> = facts.map(|fact| fact.event.as_str()).collect();
        let draft = Draft::new("Offer", rule.id, json!({ "rule": rule.id, "from": from }));
        match self.protocol {
            Protocol::IdOfCause => draft.distinct(cause.event_id.as_str()),
            _ => draft,
        }
    }

    /// The bit of an event.
    fn bit(&self, draft: Draft, cause: &Event) -> Set {
        let producer =
            Producer { service: SERVICE.into(), version: String::new(), instance: String::new() };
        let origin = Origin { producer: &producer, domain: "test", at: Timestamp::UNIX_EPOCH };
        let event = draft.answer(cause, origin);
        let rule = RULES.iter().position(|rule| event.payload["rule"] == rule.id).unwrap();
        let said = Said { rule, id: event.event_id, payload: event.payload };
        let mut all = self.said.borrow_mut();
        let index = all.iter().position(|known| *known == said).unwrap_or_else(|| {
            all.push(said);
            all.len() - 1
        });
        1 << index
    }

    fn rule(&self, said: usize) -> &'static Rule<()> {
        &RULES[self.said.borrow()[said].rule]
    }
}

/// Whether all that a rule asks for is in the item.
fn is_there(rule: &Rule<()>, facts: Set) -> bool {
    let there = |name| bits(facts).any(|fact| FACTS[fact] == name);
    rule.requires.iter().map(Requires::fact).all(there)
}

impl World {
    fn new() -> Self {
        Self {
            facts: 0,
            emitted: 0,
            published: 0,
            early: false,
            deleted: [false; FACTS.len()],
            processes: [None; PROCESSES],
            crashes: 0,
            copies: 0,
        }
    }

    /// Every world that one step leads to.
    fn next(&self, model: &Model) -> Vec<Self> {
        let mut next = Vec::new();
        for process in 0..PROCESSES {
            match self.processes[process] {
                None => next.extend((0..FACTS.len()).filter_map(|fact| self.take(process, fact))),
                Some((fact, at)) => {
                    next.extend(self.steps(process, fact, at, model));
                    next.extend(self.crash(process));
                }
            }
        }
        // Which process is which makes no difference.
        next.iter_mut().for_each(|world| world.processes.sort_unstable());
        next
    }

    /// A process gets a message: one that waits, or a copy.
    fn take(&self, process: usize, fact: usize) -> Option<Self> {
        let held = self.processes.iter().flatten().any(|(held, _)| *held == fact);
        let is_copy = held || self.deleted[fact];
        let mut world = self.clone();
        world.processes[process] = Some((fact, At::Start));
        world.copies += u8::from(is_copy);
        (world.copies <= COPIES_MAX).then_some(world)
    }

    fn crash(&self, process: usize) -> Option<Self> {
        let mut world = self.clone();
        world.processes[process] = None;
        world.crashes += 1;
        (world.crashes <= CRASHES_MAX).then_some(world)
    }

    fn steps(&self, process: usize, fact: usize, at: At, model: &Model) -> Vec<Self> {
        let mut world = self.clone();
        let bit = 1 << fact;
        let now = |facts| model.unsaid(fact, facts, self.emitted);
        let then = match at {
            At::Start => match model.protocol {
                Protocol::ReadThenWrite => Some(At::Write { then: now(self.facts | bit) }),
                Protocol::PublishThenWrite => publish(now(self.facts | bit)),
                _ if self.facts & bit != 0 => Some(At::Read),
                protocol => {
                    world.facts |= bit;
                    concluded(protocol, now(world.facts))
                }
            },
            At::Read => concluded(model.protocol, now(self.facts)),
            At::Write { then } => {
                world.facts |= bit;
                if model.protocol == Protocol::PublishThenWrite {
                    Some(At::Note { all: then, published: true })
                } else {
                    publish(then)
                }
            }
            // The rapids may take them in any order, and some of them.
            At::Publish { left, all } => {
                return bits(left)
                    .map(|said| self.publish(process, said, left & !(1 << said), all, model))
                    .collect();
            }
            At::Note { all, published } => {
                world.emitted |= all;
                if published { Some(At::Delete { then: 0 }) } else { publish(all) }
            }
            At::Delete { then } => {
                world.deleted[fact] = true;
                if then == 0 { None } else { publish(then) }
            }
        };
        world.processes[process] = then.map(|at| (fact, at));
        vec![world]
    }

    fn publish(&self, process: usize, said: usize, left: Set, all: Set, model: &Model) -> Self {
        let mut world = self.clone();
        world.published |= 1 << said;
        world.early |= !is_there(model.rule(said), self.facts);
        let then = match model.protocol {
            _ if left != 0 => At::Publish { left, all },
            Protocol::NoteThenPublish => At::Delete { then: 0 },
            Protocol::PublishThenWrite => At::Write { then: all },
            _ => At::Note { all, published: true },
        };
        world.processes[process] = self.processes[process].map(|(fact, _)| (fact, then));
        world
    }

    fn is_over(&self) -> bool {
        self.deleted == [true; FACTS.len()] && self.processes == [None; PROCESSES]
    }

    /// What is broken here.
    fn broken(&self, model: &Model) -> Option<&'static str> {
        let all = model.said.borrow();
        let published: Vec<_> = bits(self.published).map(|said| &all[said]).collect();
        for said in &published {
            let same_rule = published.iter().filter(|other| other.rule == said.rule);
            for other in same_rule {
                if other.id != said.id {
                    return Some(TWO_IDS);
                }
                if other.payload != said.payload {
                    return Some(TWO_CONTENTS);
                }
            }
        }
        let fired = |rule: usize| published.iter().any(|said| said.rule == rule);
        let missing = |rule: usize| is_there(&RULES[rule], self.facts) && !fired(rule);
        match self.early {
            true => Some(EARLY),
            false if self.is_over() && (0..RULES.len()).any(missing) => Some(MISSING),
            false => None,
        }
    }
}

/// What a process does that knows what follows.
fn concluded(protocol: Protocol, unsaid: Set) -> Option<At> {
    match protocol {
        _ if unsaid == 0 => Some(At::Delete { then: 0 }),
        Protocol::NoteThenPublish => Some(At::Note { all: unsaid, published: false }),
        Protocol::DeleteThenPublish => Some(At::Delete { then: unsaid }),
        _ => publish(unsaid),
    }
}

fn publish(all: Set) -> Option<At> {
    Some(if all == 0 { At::Delete { then: 0 } } else { At::Publish { left: all, all } })
}

/// Goes through all worlds, or until this is broken. The number of them, and what is broken, by name.
fn explore(protocol: Protocol, until: Option<&str>) -> (usize, BTreeSet<&'static str>) {
    let model = Model::of(protocol);
    let (mut seen, mut broken) = (HashSet::from([World::new()]), BTreeSet::new());
    let mut open = VecDeque::from([World::new()]);
    let mut ended = 0;
    while let Some(world) = open.pop_front() {
        broken.extend(world.broken(&model));
        if until.is_some_and(|name| broken.contains(name)) {
            return (seen.len(), broken);
        }
        ended += usize::from(world.is_over());
        let next = world.next(&model);
        assert!(world.is_over() || !next.is_empty(), "nothing can happen any more: {world:?}");
        for world in next {
            if seen.insert(world.clone()) {
                open.push_back(world);
            }
        }
    }
    assert!(ended > 0, "no history ends");
    (seen.len(), broken)
}

fn breaks(protocol: Protocol, what: &str) {
    let (_, broken) = explore(protocol, Some(what));
    assert!(broken.contains(what), "{protocol:?} breaks only {broken:?}");
}

#[test]
fn in_every_order_of_steps_and_crashes_each_rule_says_one_thing_and_nothing_is_missing() {
    let (worlds, broken) = explore(Protocol::Ours, None);
    println!("{worlds} worlds");
    assert!(broken.is_empty(), "{broken:?}");
    assert!(worlds > 100_000, "the model has lost steps: {worlds}");
}

#[test]
fn what_is_noted_or_deleted_before_it_is_published_may_never_be_said() {
    breaks(Protocol::NoteThenPublish, MISSING);
    breaks(Protocol::DeleteThenPublish, MISSING);
}

#[test]
fn who_reads_before_writing_misses_what_another_writes_meanwhile() {
    breaks(Protocol::ReadThenWrite, MISSING);
    breaks(Protocol::PublishThenWrite, EARLY);
}

#[test]
fn a_rule_that_says_more_than_it_asked_for_says_two_things() {
    breaks(Protocol::SayAll, TWO_CONTENTS);
    breaks(Protocol::IdOfCause, TWO_IDS);
}
