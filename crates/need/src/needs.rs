//! What is done with a need, with a solution, and when time is over.

use std::time::Duration;

use event::{Draft, Event};
use jiff::{SignedDuration, Timestamp};
use pond::{
    CloseReason, Closing, Collected, Frozen, Lateness, Opening, Pond, Solution, When, WindowId,
    Windows,
};
use river::{Alarm, Context, Failure, Outcome, Rapids};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::deadline::{Bounds, deadline};
use crate::settings::Window;
use crate::timer::Timer;

/// The event that a service sends itself: the durable timer of a window. It is never on the rapids; to hear it, a
/// service has `Packet::own(need::DUE)` among what it listens to.
pub const DUE: &str = "WindowDue";
/// The durable timer comes this long after the window is due, when the quick one should be done.
const LATER: Duration = Duration::from_secs(1);
/// How long a timer without a window is kept: an opener that stood still between the two may open yet, until its event
/// is with another process, which sets a timer of its own. That is after the visibility timeout, 30 s by default.
const OPENS_WITHIN: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// When to look again at a window that others are closing.
const CLOSING_PAUSE: Duration = Duration::from_secs(1);

/// What a service says of the solutions of a need.
///
/// All of it is pure: a function of what was collected. It may be asked again, by another process, after a crash.
pub trait Choose: Send + Sync + 'static {
    /// What is collected.
    type Solution: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The choice for a closed window. Its draft has to be [`Draft::distinct`] by [`WindowId::name`], and by
    /// [`Frozen::revision`] if [`Choose::amend`] is there.
    fn choose(&self, id: &WindowId, frozen: &Frozen<Self::Solution>) -> Draft;

    /// Another choice in the place of `current`, now that more has come; none if that stands.
    fn amend(
        &self,
        id: &WindowId,
        frozen: &Frozen<Self::Solution>,
        now: Timestamp,
        current: &Event,
    ) -> Option<Draft> {
        let _ = (id, frozen, now, current);
        None
    }

    /// Whether [`Choose::is_complete`] can ever say so: it costs a query for each solution.
    fn completes(&self) -> bool {
        false
    }

    /// Whether these are all that is waited for, so that the window can be closed early. More solutions must not make
    /// it less complete.
    fn is_complete(&self, solutions: &[Solution<Self::Solution>]) -> bool {
        let _ = solutions;
        false
    }

    /// Something happened that one may want to count.
    fn saw(&self, seen: Seen<'_, Self::Solution>) {
        let _ = seen;
    }
}

/// What happened.
#[derive(Debug)]
pub enum Seen<'a, S> {
    /// A solution came.
    Collected(Collected),
    /// A solution was too late, for the first time.
    Late {
        /// That one.
        solution: &'a S,
        /// Whether the choice was amended since it came.
        amended: bool,
    },
    /// A choice is on the rapids.
    Chosen {
        /// The choice.
        choice: &'a Event,
        /// 1 for the first, more for amendments.
        revision: u32,
        /// Since the event that opened the window.
        took: Duration,
    },
}

/// Needs with their windows, and the choices among what is collected there.
pub struct Needs<C: Choose> {
    windows: Windows<C::Solution>,
    alarm: Alarm,
    rapids: Rapids,
    timer: Timer,
    bounds: Bounds,
    lateness: Lateness,
    quiet: Option<Duration>,
    time: Box<dyn Fn() -> Timestamp + Send + Sync>,
    choose: C,
}

/// The payload of [`DUE`].
#[derive(Serialize, Deserialize)]
struct Due {
    /// Which window of the conversation.
    slot: String,
}

impl<C: Choose> Needs<C> {
    /// Opens the service's pond for its windows.
    ///
    /// # Errors
    /// What DynamoDB refuses.
    pub async fn open(context: &Context, window: Window, choose: C) -> anyhow::Result<Self> {
        let time = context.time();
        let pond = Pond::open(context.kit().dynamodb(), context.pond_table(), time.clone()).await?;
        Ok(Self {
            windows: Windows::new(&pond),
            alarm: context.alarm(),
            rapids: context.rapids(),
            timer: Timer::new(),
            bounds: window.bounds(),
            lateness: window.lateness(),
            quiet: window.quiet(),
            time: Box::new(time),
            choose,
        })
    }

    /// A need came: opens a window for each of the names, unless it is there.
    ///
    /// # Errors
    /// Those of the pond and of the river, to be tried again.
    pub async fn needed(&self, need: &Event, names: &[String]) -> Result<Outcome, Failure> {
        let mut opened = false;
        for name in names {
            let id = WindowId { correlation: need.correlation().clone(), name: name.clone() };
            if !self.windows.is_known(&id).await? {
                self.open_window(&id, need).await?;
                opened = true;
            }
        }
        Ok(if opened { Outcome::done() } else { Outcome::Duplicate })
    }

    /// A solution came, for the window `name` of its conversation. Its id has to be the same for the same solution. It
    /// may come before its need, and then opens the window.
    ///
    /// # Errors
    /// Those of the pond, of the river and of the rapids, to be tried again.
    pub async fn solved(
        &self,
        event: &Event,
        name: &str,
        solution_id: &str,
        solution: &C::Solution,
    ) -> Result<Outcome, Failure> {
        let id = WindowId { correlation: event.correlation().clone(), name: name.to_owned() };
        let mut collected = self.windows.collect(&id, solution_id, solution).await?;
        if collected == Collected::NoWindow {
            self.open_window(&id, event).await?;
            collected = self.windows.collect(&id, solution_id, solution).await?;
        }
        self.choose.saw(Seen::Collected(collected));
        match collected {
            Collected::Added => {
                self.perhaps_early(&id).await?;
                Ok(Outcome::done())
            }
            Collected::Duplicate => {
                // Whoever collected it may have died before it closed the window.
                self.perhaps_early(&id).await?;
                Ok(Outcome::Duplicate)
            }
            Collected::Late { first } => self.late(&id, solution, first).await,
            Collected::NoWindow => Err(Failure::retry("a window that was opened is not there")),
        }
    }

    /// A durable timer came, an event [`DUE`].
    ///
    /// # Errors
    /// Those of the pond and of the rapids, to be tried again.
    pub async fn due(&self, event: &Event) -> Result<Outcome, Failure> {
        let Due { slot } = river::payload(event)?;
        let id = WindowId { correlation: event.correlation().clone(), name: slot };
        match self.close(&id, When::Due).await? {
            Outcome::Ignored if left((self.time)(), event.timestamp) < OPENS_WITHIN => {
                Ok(Outcome::RetryAfter(LOOK_AGAIN))
            }
            outcome => Ok(outcome),
        }
    }

    /// Closes windows in time until `stop`: to be run in the background of the service.
    pub async fn run(&self, stop: CancellationToken) {
        let look = async |id: WindowId| {
            if let Err(failure) = self.look(&id).await {
                let (correlation, name) = (&id.correlation, &id.name);
                warn!(%correlation, name, %failure, "left a window to its durable timer");
            }
        };
        self.timer.run(stop, look).await;
    }

    /// Opens a window because of `cause`: timers first, for a window without one would stay open for ever.
    async fn open_window(&self, id: &WindowId, cause: &Event) -> Result<(), Failure> {
        let now = (self.time)();
        let due = deadline(cause.timestamp, now, self.bounds);
        let left = left(due, now);
        let alarm = Draft::new(DUE, "due", serde_json::to_value(Due { slot: id.name.clone() })?);
        let alarm = self.rapids.answer(cause, alarm.distinct(&*id.name));
        self.alarm.ring(&alarm, left + LATER).await?;
        let cause = Event { payload: Value::Null, ..cause.clone() };
        // Whoever was faster has set timers as well: these find nothing to do.
        self.windows.open(id, &Opening { opened_at: now, due, cause }).await?;
        self.timer.set(Instant::now() + left, id.clone());
        Ok(())
    }

    /// Closes a window if nothing more is waited for.
    async fn perhaps_early(&self, id: &WindowId) -> Result<(), Failure> {
        if let Some(quiet) = self.quiet {
            self.timer.set(Instant::now() + quiet, id.clone());
        }
        if self.choose.completes() {
            let solutions = self.windows.solutions(id).await?;
            if self.choose.is_complete(&solutions) {
                self.close(id, When::Now(CloseReason::Complete)).await?;
            }
        }
        Ok(())
    }

    /// The quick timer has come: the window's time is over, or nothing has come for a while, or neither.
    async fn look(&self, id: &WindowId) -> Result<(), Failure> {
        let mut when = When::Due;
        if let Some(quiet) = self.quiet {
            let solutions = self.windows.solutions(id).await?;
            let last = solutions.iter().map(|solution| solution.at).max();
            let silence = last.map(|last| left((self.time)(), last));
            if silence.is_some_and(|silence| silence >= quiet) {
                when = When::Now(CloseReason::Quiet);
            }
        }
        self.close(id, when).await.map(drop)
    }

    /// Closes a window if it is to be closed, and sees to it that its choice is on the rapids.
    async fn close(&self, id: &WindowId, when: When) -> Result<Outcome, Failure> {
        let choose = |frozen: &Frozen<C::Solution>| {
            let draft = self.choose.choose(id, frozen);
            let choice = self.rapids.answer(&frozen.opening.cause, draft);
            Event { timestamp: frozen.closed_at, ..choice }
        };
        match self.windows.close(id, when, choose).await? {
            // The opener has not opened as yet, or died before: then its event brings a new alarm.
            Closing::NoWindow => Ok(Outcome::Ignored),
            Closing::NotYet { due } => Ok(Outcome::RetryAfter(left(due, (self.time)()))),
            Closing::Sent => Ok(Outcome::Duplicate),
            Closing::Emit { event, revision, opening } => {
                self.emit(id, &event, revision, &opening).await?;
                Ok(Outcome::done())
            }
        }
    }

    /// Amends the choice of a closed window if what came late, this solution or another, is good enough.
    async fn late(
        &self,
        id: &WindowId,
        solution: &C::Solution,
        first: bool,
    ) -> Result<Outcome, Failure> {
        let choose = |frozen: &Frozen<C::Solution>, current: &Event| {
            let draft = self.choose.amend(id, frozen, (self.time)(), current)?;
            Some(self.rapids.answer(&frozen.opening.cause, draft))
        };
        let mut amended = false;
        loop {
            match self.windows.amend(id, self.lateness, choose).await? {
                Closing::Emit { event, revision, opening } => {
                    self.emit(id, &event, revision, &opening).await?;
                    amended |= revision > 1;
                }
                Closing::NotYet { .. } => return Ok(Outcome::RetryAfter(CLOSING_PAUSE)),
                Closing::Sent | Closing::NoWindow => break,
            }
        }
        if first || amended {
            self.choose.saw(Seen::Late { solution, amended });
        }
        Ok(if first { Outcome::done() } else { Outcome::Duplicate })
    }

    async fn emit(
        &self,
        id: &WindowId,
        choice: &Event,
        revision: u32,
        opening: &Opening,
    ) -> Result<(), Failure> {
        self.rapids.publish(std::slice::from_ref(choice)).await?;
        self.windows.sent(id, revision).await?;
        let took = left((self.time)(), opening.cause.timestamp);
        self.choose.saw(Seen::Chosen { choice, revision, took });
        Ok(())
    }
}

/// The time from `now` to `until`; none when that is over.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    until.duration_since(now).max(SignedDuration::ZERO).unsigned_abs()
}
