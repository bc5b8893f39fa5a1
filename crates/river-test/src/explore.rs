//! Going through all of a plan.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event::Event;
use river::Handler;

use crate::lifeline::Crash;
use crate::plan::Plan;
use crate::world::{DeadLetter, Process, World};

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// What happened, for people: `ViewPage, CustomerSegmented; dies at call 7, which is done`.
    pub history: String,
    /// Every event on the rapids, copies included.
    pub rapids: Vec<Event>,
    /// What the service gave up.
    pub dead_letters: Vec<DeadLetter>,
    calls: usize,
}

impl Run {
    /// What is on the rapids, each event once, in the order in which they came first.
    #[must_use]
    pub fn answers(&self) -> Vec<&Event> {
        let mut answers = Vec::<&Event>::new();
        for event in &self.rapids {
            if answers.iter().all(|answer| answer.event_id != event.event_id) {
                answers.push(event);
            }
        }
        answers
    }

    /// The answers of this type.
    #[must_use]
    pub fn answers_of(&self, event_type: &str) -> Vec<&Event> {
        let mut answers = self.answers();
        answers.retain(|answer| answer.event_type == event_type);
        answers
    }
}

/// Runs a service through all that a plan says, each run on rapids and rivers of its own and in virtual time, and calls
/// `check` for what each of them came to. The number of runs.
///
/// Held in every run: the river is drained in the end, whatever died; copies of an answer say the same; and, unless the
/// plan says otherwise, the answers are those of every other run.
///
/// # Panics
/// When that does not hold, or `check` panics; the history of that run is printed. When two runs of one plan differ, an
/// error names both.
pub fn explore<H: Handler>(plan: &Plan<H::Config>, check: impl Fn(&Run) + Sync) -> usize {
    let first = Mutex::new(None::<Run>);
    let runs = AtomicUsize::new(0);
    let checked = |order: &[usize], crash| {
        let history = history(plan, order, crash);
        let telling = Telling(&history);
        let run = run::<H>(plan, order, crash, history.clone());
        copies_say_the_same(&run);
        if plan.same_answers {
            let first = unpoisoned(&first).get_or_insert_with(|| run.clone()).clone();
            same_answers(&first, &run);
        }
        check(&run);
        runs.fetch_add(1, Ordering::SeqCst);
        drop(telling);
        run
    };
    let crashes = Mutex::new(Vec::new());
    in_parallel(&plan.orders(), |order| {
        let calls = checked(order, None).calls;
        let mut crashes = unpoisoned(&crashes);
        for call in 1..=calls {
            crashes.extend([false, true].map(|done| (order.clone(), Crash { call, done })));
        }
    });
    if plan.crashes {
        in_parallel(&unpoisoned(&crashes), |(order, crash)| {
            checked(order, Some(*crash));
        });
    }
    runs.into_inner()
}

/// What another run failed of is told by that one.
fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says which run it was that failed.
struct Telling<'a>(&'a str);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this happened in the run: {}", self.0);
        }
    }
}

/// Does the work for each, on as many threads as there are processors.
fn in_parallel<T: Sync>(of: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(of.len());
    let all = || {
        while let Some(one) = of.get(next.fetch_add(1, Ordering::SeqCst)) {
            let worked = catch_unwind(AssertUnwindSafe(|| work(one)));
            if let Err(panic) = worked {
                next.store(of.len(), Ordering::SeqCst);
                resume_unwind(panic);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(all)).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    });
}

/// A runtime for each run: with it ends whatever a dead process left behind.
fn run<H: Handler>(
    plan: &Plan<H::Config>,
    order: &[usize],
    crash: Option<Crash>,
    history: String,
) -> Run {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new().await;
        let mut processes = vec![begin::<H>(&world, plan, crash).await];
        for _ in 1..plan.replicas {
            processes.push(begin::<H>(&world, plan, None).await);
        }
        for index in order {
            world.send::<H>(&plan.events[*index]).await;
            if !plan.at_once {
                settle::<H>(&world, plan, &mut processes, 2).await;
            }
        }
        settle::<H>(&world, plan, &mut processes, 3).await;
        let (rapids, dead_letters) = (world.rapids().await, world.dead_letters(H::RIVER).await);
        let calls = processes.first().map_or(0, Process::calls);
        Run { history, rapids, dead_letters, calls }
    })
}

/// Starts a process that dies at `crash`; another one, if that is at once.
async fn begin<H: Handler>(world: &World, plan: &Plan<H::Config>, crash: Option<Crash>) -> Process {
    match world.begin::<H>((plan.config)(), crash).await {
        Some(process) => process,
        None => world.start_with::<H>((plan.config)()).await,
    }
}

/// Waits until the river holds none of the first so many kinds of messages: those that wait, are handled, are delayed.
/// Who dies meanwhile is replaced.
async fn settle<H: Handler>(
    world: &World,
    plan: &Plan<H::Config>,
    processes: &mut [Process],
    kinds: usize,
) {
    let is_settled = async || {
        let is_empty = world.depth(H::RIVER).await[..kinds].iter().sum::<usize>() == 0;
        is_empty || processes.iter().any(Process::is_dead)
    };
    world.until("the river is drained", is_settled).await;
    if let Some(dead) = processes.iter().position(Process::is_dead) {
        processes[dead] = begin::<H>(world, plan, None).await;
        Box::pin(settle::<H>(world, plan, processes, kinds)).await;
    }
}

fn history<C: Default>(plan: &Plan<C>, order: &[usize], crash: Option<Crash>) -> String {
    let types: Vec<_> = order.iter().map(|index| &*plan.events[*index].event_type).collect();
    let mut history = types.join(", ");
    if let Some(Crash { call, done }) = crash {
        let done = if done { "is" } else { "is not" };
        history.push_str(&format!("; the process dies at call {call}, which {done} done"));
    }
    history
}

/// But for when, and by which process.
fn copies_say_the_same(run: &Run) {
    for answer in run.answers() {
        let said = |event: &Event| {
            let timestamp = answer.timestamp;
            Event { timestamp, producer: None, ..event.clone() }.to_json()
        };
        for copy in run.rapids.iter().filter(|event| event.event_id == answer.event_id) {
            assert_eq!(said(answer), said(copy), "one id, two contents");
        }
    }
}

fn same_answers(first: &Run, run: &Run) {
    let ids = |run: &Run| -> BTreeMap<String, String> {
        let named = |answer: &&Event| (answer.event_id.to_string(), answer.event_type.clone());
        run.answers().iter().map(named).collect()
    };
    let (of_first, of_run) = (ids(first), ids(run));
    assert!(
        of_first == of_run,
        "other answers than in another run\n{}: {of_first:#?}\n{}: {of_run:#?}",
        first.history,
        run.history,
    );
}
