//! `probe`: a synthetic customer's view, and everything that should follow from it, once.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_kinesis::primitives::Blob;
use event::EventId;
use jiff::SignedDuration;
use monitor::probe::{Run, Verdict, sally};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::args::ops::Probe;
use crate::client::Resource;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::session::Session;
use crate::tail::{Start, Tail};

/// Time in which nothing else is to follow, such as a second selection.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Puts the view onto the rapids, shows stages as they come, and judges.
pub(super) async fn run(session: &Session, settings: &Probe) -> Result<()> {
    let within = SignedDuration::try_from(settings.within).context("--within is too long")?;
    let rapids = &session.names.rapids;
    // From before the view on: what follows quickly must not be missed.
    let mut tail = Tail::open_at(session.aws.kinesis.clone(), rapids, Start::Now).await?;
    let (view, mut run) = sally(&settings.customer, session.now()?);
    let put = session.aws.kinesis.put_record().stream_name(rapids);
    let put = put.partition_key(view.partition_key()).data(Blob::new(view.to_json()));
    put.send().await.map_err(|error| Resource::Rapids(rapids).refused(error))?;
    let mut shown = Shown::of(session.output);
    let mut give_up = Instant::now() + Duration::from_secs(settings.wait);
    let mut is_complete = false;
    while Instant::now() < give_up {
        let Ok(records) = timeout_at(give_up, tail.records()).await else { break };
        let events = records?.into_iter().filter_map(|record| record.event.ok());
        events.filter(|it| *it.correlation() == view.event_id).for_each(|it| run.heard(&it));
        shown.news(&run, within)?;
        if run.is_complete() && !is_complete {
            is_complete = true;
            give_up = give_up.min(Instant::now() + AFTERWARDS);
        }
    }
    conclude(session.output, &view.event_id, &run.verdict(within))
}

fn conclude(output: Output, id: &EventId, verdict: &Verdict) -> Result<()> {
    let failed = verdict.failed.len();
    if output.json {
        output.print(&as_json(id, verdict))?;
    } else {
        for (stage, why) in &verdict.failed {
            output.say(&format!("FAILED    {stage}: {why}"))?;
        }
    }
    if failed > 0 {
        let (of, id) = (failed + verdict.reached.len(), id.as_str());
        return Err(Failure::Failed(anyhow::anyhow!(
            "{failed} of {of} stages failed: `rapids trace {id}` shows what came, `rapids doctor --canary` which river is silent"
        )));
    }
    if output.is_for_people() {
        output.say(&format!(
            "passed: {} stages, all of it marked as synthetic",
            verdict.reached.len()
        ))?;
    }
    Ok(())
}

fn as_json(id: &EventId, verdict: &Verdict) -> Value {
    let reached =
        verdict.reached.iter().map(|(stage, took)| json!({"stage": stage, "seconds": took}));
    let failed = verdict.failed.iter().map(|(stage, why)| json!({"stage": stage, "why": why}));
    json!({
        "correlationId": id,
        "passed": verdict.failed.is_empty(),
        "reached": reached.collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
    })
}

/// Stages that a person has seen.
struct Shown {
    output: Output,
    stages: BTreeSet<&'static str>,
}

impl Shown {
    fn of(output: Output) -> Self {
        Self { output, stages: BTreeSet::new() }
    }

    /// Shows what was not shown before.
    fn news(&mut self, run: &Run, within: SignedDuration) -> Result<()> {
        if self.output.json {
            return Ok(());
        }
        let mut news = run.verdict(within).reached;
        news.retain(|(stage, _)| self.stages.insert(stage));
        news.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        for (stage, took) in news {
            self.output.say(&format!("+{took:.3} s  {stage}"))?;
        }
        Ok(())
    }
}
