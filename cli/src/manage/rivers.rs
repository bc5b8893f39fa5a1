//! `rivers`: all of them in a table, or one in full.

use event::names::River as Name;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::state::{self, River, State};
use crate::failure::{Failure, Result};
use crate::output::{Output, Paint};
use crate::session::Session;
use crate::watch::queue::Count;

/// Lists them.
pub(super) async fn list(session: &Session) -> anyhow::Result<()> {
    let rivers = state::all(session).await?;
    let now = session.now()?;
    let output = session.output;
    if output.json {
        let rivers: Vec<_> = rivers.iter().map(|river| json(river, now)).collect();
        return output.print(&json!({ "rivers": rivers }));
    }
    if rivers.is_empty() {
        output.note("no rivers yet: `rapids subscribe RIVER TOPIC` makes one");
        return Ok(());
    }
    table(output, &rivers, now)
}

fn table(output: Output, rivers: &[River], now: Timestamp) -> anyhow::Result<()> {
    let width = rivers.iter().map(|river| river.name.len()).max().unwrap_or_default().max(5);
    let head = format!(
        "{:<width$}  {:>6}  {:<6}  {:<8}  {:>8}  {:>7}  {:>5}  CHECKED",
        "RIVER", "TOPICS", "ROUTE", "STATE", "WAITING", "HIDDEN", "DEAD"
    );
    output.say(&output.paint().bold(&head))?;
    for river in rivers {
        let state = river.state(now);
        let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let line = format!(
            "{:<width$}  {:>6}  {:<6}  {}  {:>8}  {:>7}  {:>5}  {}",
            river.name,
            river.topics.len(),
            river.row.route.as_deref().filter(|_| !river.topics.is_empty()).unwrap_or("-"),
            coloured(state, output.paint(), 8),
            number(river.waiting.map(|count| count.visible)),
            number(river.waiting.map(|count| count.hidden)),
            number(river.dead.map(|count| count.visible + count.hidden)),
            checked(river, now),
        );
        output.say(line.trim_end())?;
    }
    Ok(())
}

/// The state, in `width` columns.
pub(super) fn coloured(state: State, paint: Paint, width: usize) -> String {
    let text = format!("{:<width$}", state.as_str());
    match state {
        State::Active => text,
        State::Degraded => paint.bold(&text),
        State::Bridging | State::Pending | State::Removing | State::Idle => paint.dim(&text),
    }
}

fn checked(river: &River, now: Timestamp) -> String {
    river.row.checked_at.map_or_else(|| "never".to_owned(), |at| ago(at, now))
}

/// How long ago something was, as people say it.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn json(river: &River, now: Timestamp) -> Value {
    let count = |count: Option<Count>| {
        count.map(|count| json!({"waiting": count.visible, "hidden": count.hidden}))
    };
    let topics = river.topics.iter().map(|topic| {
        json!({
            "topic": topic.topic,
            "status": topic.status,
            "reason": topic.reason,
            "rules": topic.rules,
        })
    });
    json!({
        "river": river.name,
        "state": river.state(now),
        "topics": topics.collect::<Vec<_>>(),
        "routing": river.row.routing,
        "route": river.row.route,
        "routeReason": river.row.route_reason,
        "direct": river.row.direct,
        "removal": river.row.removal,
        "queue": count(river.waiting),
        "deadLetters": count(river.dead),
        "checkedAt": river.row.checked_at.map(|at| format!("{at:.3}")),
        "problem": river.row.problem,
        "findings": river.row.findings,
    })
}

/// Checks that there is such a river: a command about one that nobody ever wanted would wait for nothing.
pub(super) async fn known(session: &Session, name: &str) -> Result<River> {
    let name = Name::parse(name, &session.names.stage)?;
    let mut rivers = state::wanted(session).await?;
    rivers.remove(name.as_str()).ok_or_else(|| {
        let stage = &session.names.stage;
        Failure::Usage(format!("stage {stage} has no river {name}: `rapids rivers` lists them"))
    })
}

/// Tells all that is known of one.
pub(super) async fn show(session: &Session, name: &str) -> Result<()> {
    let river = state::count(session, known(session, name).await?).await?;
    let now = session.now()?;
    let output = session.output;
    if output.json {
        return Ok(output.print(&json(&river, now))?);
    }
    for line in lines(&river, now, output.paint()) {
        output.say(&line)?;
    }
    Ok(())
}

fn lines(river: &River, now: Timestamp, paint: Paint) -> Vec<String> {
    let row = &river.row;
    let mut lines = vec![format!("river    {}", paint.bold(&river.name))];
    let mut say = |name: &str, text: String| lines.push(format!("{name:<8} {text}"));
    say("state", river.state(now).as_str().to_owned());
    if let (Some(route), false) = (&row.route, river.topics.is_empty()) {
        let reason = row.route_reason.as_deref().unwrap_or("no reason is given");
        say("route", format!("{route}: {reason} (routing {})", row.routing.as_str()));
    }
    let waiting = |count: Option<Count>| match count {
        Some(count) => format!("{} waiting, {} hidden", count.visible, count.hidden),
        None => "there is none".to_owned(),
    };
    say("queue", waiting(river.waiting));
    say("dlq", waiting(river.dead));
    say("checked", checked(river, now));
    for topic in &river.topics {
        let reason = topic.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let rules = match topic.rules.len() {
            0 => String::new(),
            1 => ", 1 rule".to_owned(),
            n => format!(", {n} rules"),
        };
        say("topic", format!("{} {}{rules}{reason}", topic.topic, topic.status));
    }
    for line in row.direct.iter().flat_map(|direct| &direct.packets) {
        let until = match line.until {
            Some(until) if until <= now => "its bridge is closed".to_owned(),
            Some(until) => format!("until {until:.0}, while SNS learns its filter"),
            None => "always".to_owned(),
        };
        say("direct", format!("{} {until}", line.topic));
    }
    if let Some(removal) = &row.removal {
        let how = if removal == "discard" { "at once" } else { "once it is empty" };
        say("removal", format!("its queues are deleted {how}"));
    }
    let known: Vec<_> = river.topics.iter().filter_map(|topic| topic.reason.as_ref()).collect();
    if let Some(problem) = row.problem.as_ref().filter(|problem| !known.contains(problem)) {
        say("problem", problem.clone());
    }
    for finding in &row.findings {
        say("finding", finding.clone());
    }
    lines
}

#[cfg(test)]
mod tests;
