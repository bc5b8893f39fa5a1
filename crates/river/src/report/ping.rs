//! Pings: an event that goes the whole way through the rapids, the river and the service, and back.

use event::{Draft, Event, Packet};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::Context;

/// What asks a river whether it flows.
const PING: &str = "system.Ping";
/// What a service answers.
const PONG: &str = "system.Pong";
/// An older ping is not answered: nobody waits for it any more. It has lain in a river that stood still.
const OLD: SignedDuration = SignedDuration::from_hours(1);

/// Answers pings. `{"river":"location"}` asks one river, an empty payload asks all.
#[derive(Clone, Debug)]
pub(crate) struct Ping {
    river: String,
}

impl Ping {
    pub(crate) fn of(context: &Context) -> Self {
        Self { river: context.river.to_string() }
    }

    /// What a river has to carry for that.
    pub(crate) fn packet() -> Packet {
        Packet::of(PING)
    }

    pub(crate) fn is_ping(event: &Event) -> bool {
        event.event_type == PING
    }

    /// The answer, unless another river is asked or the ping is old. The river is asked and not the process: which
    /// of its processes answers, SQS decides.
    pub(crate) fn answer(&self, event: &Event, now: Timestamp) -> Option<Draft> {
        let asked = event.payload.get("river").and_then(serde_json::Value::as_str);
        if asked.is_some_and(|asked| asked != self.river)
            || now.duration_since(event.timestamp) > OLD
        {
            return None;
        }
        let payload = json!({"river": self.river, "pingedAt": format!("{:.3}", event.timestamp)});
        Some(Draft::new(PONG, "pong", payload).distinct(&*self.river))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_ping_for_this_river_or_for_all_is_answered_while_it_is_fresh() {
        let ping = Ping { river: "location".to_owned() };
        let now = Timestamp::from_second(100_000).unwrap();
        let answer = |payload: Value, age_s: i64| {
            let at = now - SignedDuration::from_secs(age_s);
            ping.answer(&Event::root(PING, "system", payload, at), now).is_some()
        };
        assert!(answer(Value::Null, 0));
        assert!(answer(json!({"river": "location"}), 3_600));
        assert!(!answer(json!({"river": "brand"}), 0));
        assert!(!answer(Value::Null, 3_601));
    }
}
