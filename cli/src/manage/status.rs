//! `status`: how a stage is, in a few lines.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::rivers::ago;
use super::state::{self, River, State};
use crate::client::{Resource, is_missing};
use crate::session::Session;
use crate::watch::queue::{Count, Queue};

/// A stage at a glance.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Glance {
    stage: String,
    rapids: Stream,
    control: Stream,
    /// When the control plane looked at a river last.
    checked_at: Option<String>,
    /// Rivers by state.
    rivers: BTreeMap<&'static str, u64>,
    waiting: u64,
    dead_letters: u64,
    /// What is in the quarantines of the rapids and of the control stream.
    quarantined: u64,
    problems: Vec<String>,
}

/// A stream.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stream {
    name: String,
    /// As Kinesis says; `MISSING` where there is none.
    status: String,
    open_shards: i32,
}

/// Looks, and says.
pub(super) async fn run(session: &Session) -> anyhow::Result<()> {
    let names = &session.names;
    let rapids = stream(session, &names.rapids).await?;
    let control = stream(session, &names.control).await?;
    let rivers = match state::all(session).await {
        Ok(rivers) => rivers,
        // A stage without tables has no rivers; that they are missing is a problem of its own.
        Err(_) if rapids.is_missing() || control.is_missing() => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut quarantined = 0;
    for queue in [names.stage.rapids_quarantine(), names.stage.control_quarantine()] {
        if let Some(queue) = Queue::find(session, &queue).await? {
            let Count { visible, hidden } = queue.count(session).await?;
            quarantined += visible + hidden;
        }
    }
    let now = session.now()?;
    let stage = names.stage.to_string();
    let (glance, last) = glance(stage, rapids, control, &rivers, quarantined, now);
    let output = session.output;
    if output.json {
        return output.print(&json!(glance));
    }
    for line in lines(&glance, last.map(|last| ago(last, now)).as_deref()) {
        output.say(&line)?;
    }
    Ok(())
}

async fn stream(session: &Session, name: &str) -> anyhow::Result<Stream> {
    let describe = session.aws.kinesis.describe_stream_summary().stream_name(name).send().await;
    let summary = match describe {
        Ok(described) => described.stream_description_summary,
        Err(error) if is_missing(&error) => {
            let (name, status) = (name.to_owned(), MISSING.to_owned());
            return Ok(Stream { name, status, open_shards: 0 });
        }
        Err(error) => return Err(Resource::Rapids(name).refused(error)),
    };
    let summary = summary.with_context(|| format!("Kinesis described nothing of stream {name}"))?;
    Ok(Stream {
        name: name.to_owned(),
        status: summary.stream_status.as_str().to_owned(),
        open_shards: summary.open_shard_count,
    })
}

const MISSING: &str = "MISSING";

impl Stream {
    fn is_missing(&self) -> bool {
        self.status == MISSING
    }
}

/// Sums up; and when the control plane looked last.
fn glance(
    stage: String,
    rapids: Stream,
    control: Stream,
    rivers: &[River],
    quarantined: u64,
    now: Timestamp,
) -> (Glance, Option<Timestamp>) {
    let mut glance = Glance { stage, rapids, control, quarantined, ..Glance::default() };
    for stream in [&glance.rapids, &glance.control] {
        match stream.status.as_str() {
            "ACTIVE" | "UPDATING" => {}
            MISSING => glance.problems.push(format!(
                "stream {} does not exist: `rapids bootstrap` makes it",
                stream.name
            )),
            status => glance.problems.push(format!("stream {} is {status}", stream.name)),
        }
    }
    for river in rivers {
        *glance.rivers.entry(river.state(now).as_str()).or_default() += 1;
        let sum = |count: Option<Count>| count.map_or(0, |count| count.visible + count.hidden);
        glance.waiting += sum(river.waiting);
        glance.dead_letters += sum(river.dead);
        glance.problems.extend(river.problems());
    }
    let last = rivers.iter().filter_map(|river| river.row.checked_at).max();
    glance.checked_at = last.map(|at| format!("{at:.3}"));
    if last.is_none() && rivers.iter().any(|river| river.state(now) != State::Idle) {
        glance.problems.push("no control plane has looked at the rivers: start one".to_owned());
    }
    if glance.dead_letters > 0 {
        let count = glance.dead_letters;
        glance.problems.push(format!("{count} dead letters: `rapids dlq list` says where"));
    }
    if quarantined > 0 {
        glance.problems.push(format!("{quarantined} records in quarantine: `rapids dlq show rapids` or `rapids dlq show control` says why"));
    }
    (glance, last)
}

fn lines(glance: &Glance, last: Option<&str>) -> Vec<String> {
    let stream = |stream: &Stream| {
        let plural = if stream.open_shards == 1 { "" } else { "s" };
        let Stream { name, status, open_shards } = stream;
        format!("{name} {status}, {open_shards} open shard{plural}")
    };
    let states: Vec<_> = glance.rivers.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    let mut lines = vec![
        format!("stage        {}", glance.stage),
        format!("rapids       {}", stream(&glance.rapids)),
        format!("control      {}", stream(&glance.control)),
        format!("rivers       {states}"),
        format!("checked      {}", last.unwrap_or("never")),
        format!("waiting      {}", glance.waiting),
        format!("dead letters {}", glance.dead_letters),
        format!("quarantined  {}", glance.quarantined),
    ];
    lines.extend(glance.problems.iter().map(|problem| format!("problem      {problem}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(status: &str) -> Stream {
        Stream { name: "Rapids-dev".into(), status: status.into(), open_shards: 2 }
    }

    #[test]
    fn a_stage_in_order_has_no_problems() {
        let now = Timestamp::UNIX_EPOCH;
        let (glance, last) =
            glance("dev".into(), stream("ACTIVE"), stream("UPDATING"), &[], 0, now);
        assert_eq!((glance.problems.len(), last), (0, None));
        assert_eq!(lines(&glance, None)[1], "rapids       Rapids-dev ACTIVE, 2 open shards");
        assert_eq!(lines(&glance, None)[3], "rivers       none");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let river = River {
            name: "r1".into(),
            dead: Some(Count { visible: 2, hidden: 1 }),
            row: state::Row { problem: Some("no permission".into()), ..state::Row::default() },
            ..River::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let (glance, _) =
            glance("dev".into(), stream(MISSING), stream("DELETING"), &[river], 4, now);
        let told = glance.problems.join("\n");
        for part in [
            "`rapids bootstrap`",
            "is DELETING",
            "river r1: no permission",
            "no control plane",
            "3 dead letters: `rapids dlq list`",
            "4 records in quarantine",
        ] {
            assert!(told.contains(part), "{part} is not in:\n{told}");
        }
    }
}
