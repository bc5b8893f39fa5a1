//! The engine: what it does with a view, with an offer, and when time is over.

use std::time::Duration;

use jiff::Timestamp;
use pond::{Closing, Collected, Opening, Pond, WindowId, Windows};
use river::{Alarm, Context, Draft, Event, Failure, Handler, Outcome, Packet, Rapids};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Config;
use crate::deadline::{Bounds, deadline};
use crate::metrics::Metrics;
use crate::offer::Offer;
use crate::policy::Limits;
use crate::selection;
use crate::timer::Timer;

/// The event that the engine sends itself: the durable timer of a window. It is never on the rapids.
const WINDOW_DUE: &str = "WindowDue";
/// The durable timer comes this long after the window is due, when the quick one should be done.
const LATER: Duration = Duration::from_secs(1);

/// How long a timer without a window is kept: an opener that stood still between the two may open yet, until its event
/// is with another process, which sets a timer of its own. That is after the visibility timeout, 30 s by default.
const OPENS_WITHIN: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Collects offers, and selects among them.
pub struct OfferEngine {
    windows: Windows<Offer>,
    alarm: Alarm,
    rapids: Rapids,
    timer: Timer,
    slots: Vec<String>,
    bounds: Bounds,
    limits: Limits,
    time: Box<dyn Fn() -> Timestamp + Send + Sync>,
    metrics: Metrics,
}

/// The payload of [`WINDOW_DUE`].
#[derive(Serialize, Deserialize)]
struct Due {
    slot: String,
}

impl Handler for OfferEngine {
    const RIVER: &'static str = "offer-engine";
    const EMITS: &'static [&'static str] = &["OffersSelected"];
    const DOMAIN: &'static str = "offers";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("ViewPage"), Packet::of("OfferProposed"), Packet::own(WINDOW_DUE)]
    }

    async fn build(config: Config, context: &Context) -> anyhow::Result<Self> {
        let (kit, time) = (context.kit(), context.time());
        let pond = Pond::open(kit.dynamodb(), context.pond_table(), time.clone()).await?;
        Ok(Self {
            windows: Windows::new(&pond),
            alarm: context.alarm(),
            rapids: context.rapids(),
            timer: Timer::new(),
            slots: config.slots,
            bounds: config.window.into(),
            limits: config.policy.into(),
            time: Box::new(time),
            metrics: Metrics::register(kit.registry())?,
        })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        match event.event_type.as_str() {
            "ViewPage" => self.viewed(event).await,
            "OfferProposed" => self.proposed(event).await,
            WINDOW_DUE => self.due(event).await,
            _ => Ok(Outcome::Ignored),
        }
    }

    async fn background(&self, stop: CancellationToken) {
        let close = async |id: WindowId| {
            if let Err(failure) = self.close(&id).await {
                let (correlation, slot) = (&id.correlation, &id.name);
                warn!(%correlation, slot, %failure, "left a window to its durable timer");
            }
        };
        self.timer.run(stop, close).await;
    }
}

impl OfferEngine {
    async fn viewed(&self, view: &Event) -> Result<Outcome, Failure> {
        let mut opened = false;
        for slot in &self.slots {
            let id = WindowId { correlation: view.correlation().clone(), name: slot.clone() };
            if !self.windows.is_known(&id).await? {
                self.open(&id, view).await?;
                opened = true;
            }
        }
        Ok(if opened { Outcome::done() } else { Outcome::Duplicate })
    }

    async fn proposed(&self, event: &Event) -> Result<Outcome, Failure> {
        let offer = Offer::of(event)?;
        let id = WindowId { correlation: event.correlation().clone(), name: offer.slot.clone() };
        let mut collected = self.windows.collect(&id, &offer.offer_id, &offer).await?;
        if collected == Collected::NoWindow {
            self.open(&id, event).await?;
            collected = self.windows.collect(&id, &offer.offer_id, &offer).await?;
        }
        self.metrics.collected(collected);
        match collected {
            Collected::Added | Collected::Late { first: true } => Ok(Outcome::done()),
            Collected::Duplicate | Collected::Late { first: false } => Ok(Outcome::Duplicate),
            Collected::NoWindow => Err(Failure::retry("a window that was opened is not there")),
        }
    }

    async fn due(&self, event: &Event) -> Result<Outcome, Failure> {
        let Due { slot } = river::payload(event)?;
        let id = WindowId { correlation: event.correlation().clone(), name: slot };
        match self.close(&id).await? {
            Outcome::Ignored if left((self.time)(), event.timestamp) < OPENS_WITHIN => {
                Ok(Outcome::RetryAfter(LOOK_AGAIN))
            }
            outcome => Ok(outcome),
        }
    }

    /// Opens a window because of `cause`: timers first, for a window without one would stay open for ever.
    async fn open(&self, id: &WindowId, cause: &Event) -> Result<(), Failure> {
        let now = (self.time)();
        let due = deadline(cause.timestamp, now, self.bounds);
        let left = left(due, now);
        let alarm =
            Draft::new(WINDOW_DUE, "due", serde_json::to_value(Due { slot: id.name.clone() })?);
        let alarm = self.rapids.answer(cause, alarm.distinct(&*id.name));
        self.alarm.ring(&alarm, left + LATER).await?;
        let cause = Event { payload: Value::Null, ..cause.clone() };
        // Whoever was faster has set timers as well: these find nothing to do.
        self.windows.open(id, &Opening { opened_at: now, due, cause }).await?;
        self.timer.set(Instant::now() + left, id.clone());
        Ok(())
    }

    /// Closes a window if its time is over, and sees to it that its selection is on the rapids.
    async fn close(&self, id: &WindowId) -> Result<Outcome, Failure> {
        let choose = |frozen: &pond::Frozen<Offer>| {
            let draft = selection::draft(id, frozen, self.limits);
            let selection = self.rapids.answer(&frozen.opening.cause, draft);
            Event { timestamp: frozen.closed_at, ..selection }
        };
        match self.windows.close(id, choose).await? {
            // The opener has not opened as yet, or died before: then its event brings a new alarm.
            Closing::NoWindow => Ok(Outcome::Ignored),
            Closing::NotYet { due } => Ok(Outcome::RetryAfter(left(due, (self.time)()))),
            Closing::Sent => Ok(Outcome::Duplicate),
            Closing::Emit { event, opening } => {
                self.rapids.publish(std::slice::from_ref(&*event)).await?;
                self.windows.sent(id).await?;
                self.metrics.selected(&event, left((self.time)(), opening.cause.timestamp));
                Ok(Outcome::done())
            }
        }
    }
}

/// The time from `now` to `until`; none when that is over.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    until.duration_since(now).try_into().unwrap_or(Duration::ZERO)
}
