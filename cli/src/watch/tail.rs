//! `tail`: events as they come.

use anyhow::Context as _;
use event::Event;
use jiff::Timestamp;
use serde_json::json;

use super::pick::is_by;
use crate::args::watch::Tail as Settings;
use crate::output::{Output, Paint, cut, short};
use crate::session::Session;
use crate::signals::Signals;
use crate::tail::{Record, Start, Tail};
use crate::tree::emitter;

/// Columns of type and source: those of longer ones are moved.
const TYPE_WIDTH: usize = 20;
const SOURCE_WIDTH: usize = 14;

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    shown: u64,
    /// Records that are no events.
    unreadable: u64,
}

/// Shows events until Ctrl-C, or until there are no more of them.
pub(super) async fn run(session: &Session, settings: &Settings) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let start = match settings.since {
        None => Start::Now,
        Some(moment) => Start::since(moment.before(session.now()?)),
    };
    let kinesis = session.aws.kinesis.clone();
    let mut tail = Tail::open_at(kinesis, &session.names.rapids, start).await?;
    let mut counts = Counts::default();
    let ended = loop {
        let records = tokio::select! {
            biased;
            () = signals.next() => break Ok(()),
            records = tail.records() => records,
        };
        let records = match records {
            Ok(records) => records,
            Err(error) => break Err(error),
        };
        if show(session.output, settings, &records, &mut counts)? {
            break Ok(());
        }
        if !settings.follows() && tail.is_caught_up() {
            break Ok(());
        }
    };
    if session.output.is_for_people() {
        session.output.note(&counts.text());
    }
    ended
}

/// Shows those that are meant; true once it has shown enough.
fn show(
    output: Output,
    settings: &Settings,
    records: &[Record],
    counts: &mut Counts,
) -> anyhow::Result<bool> {
    for record in records {
        counts.unreadable += u64::from(record.event.is_err());
        if !is_meant(settings, record) {
            continue;
        }
        output.say(&if output.json { json_line(record)? } else { line(output, record) })?;
        counts.shown += 1;
        if settings.max == Some(counts.shown) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_meant(settings: &Settings, record: &Record) -> bool {
    let Ok(event) = &record.event else {
        // Nobody can say what it would have been.
        let all = settings.pick.is_everything();
        return all && settings.source.is_none() && settings.correlation.is_none();
    };
    let source = settings.source.as_deref();
    let correlation = settings.correlation.as_deref();
    settings.pick.takes(event)
        && source.is_none_or(|source| is_by(event, source))
        && correlation.is_none_or(|id| event.correlation().as_str().starts_with(id))
}

impl Counts {
    fn text(&self) -> String {
        let shown = self.shown;
        match self.unreadable {
            0 => format!("{shown} shown"),
            some => format!("{shown} shown; {some} of the records that came are not events"),
        }
    }
}

/// The event as it came, in one line.
fn json_line(record: &Record) -> anyhow::Result<String> {
    match &record.event {
        Ok(_) => {
            let text = std::str::from_utf8(&record.data).context("an event is text")?;
            // Outside of texts, where JSON has no line ends as they are, they are blanks.
            Ok(text.trim().replace(['\n', '\r'], " "))
        }
        Err(reason) => {
            let (shard, at) = (&record.shard, &record.sequence_number);
            let (kind, reason) = (reason.kind(), reason.to_string());
            let what = json!({
                "kind": kind, "reason": reason, "shard": shard, "sequenceNumber": at,
            });
            Ok(json!({ "notAnEvent": what }).to_string())
        }
    }
}

fn line(output: Output, record: &Record) -> String {
    let paint = output.paint();
    match &record.event {
        Ok(event) => event_line(paint, output.width(), record.arrived, event, record.is_copy),
        Err(reason) => {
            let time = paint.dim(&time(record.arrived));
            format!("{time}  (not an event: {reason})")
        }
    }
}

/// Time, type, source, ids and payload of an event, in a line of `width` columns where there is such a limit.
pub(super) fn event_line(
    paint: Paint,
    width: Option<usize>,
    at: Timestamp,
    event: &Event,
    is_copy: bool,
) -> String {
    let (event_type, source) = (&event.event_type, emitter(event));
    let id = short(event.event_id.as_str());
    let ids = match &event.correlation_id {
        Some(root) => format!("{id} of {}", short(root.as_str())),
        None => format!("{id}            "),
    };
    let copy = if is_copy { " (copy)" } else { "" };
    let head = format!("{event_type:<TYPE_WIDTH$} {source:<SOURCE_WIDTH$} {ids}{copy}");
    let time = time(at);
    let used = time.len() + 2 + head.chars().count() + 1;
    let payload = event.payload.to_string();
    let payload = match width {
        Some(width) => cut(&payload, width.saturating_sub(used)),
        None => payload,
    };
    let (kind, rest) = head.split_at(event_type.len());
    format!("{}  {}{rest} {}", paint.dim(&time), paint.bold(kind), paint.dim(&payload))
}

/// Time of day, UTC: who looks at what comes knows the day.
fn time(at: Timestamp) -> String {
    let text = format!("{at:.3}");
    text.get(11..23).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests;
