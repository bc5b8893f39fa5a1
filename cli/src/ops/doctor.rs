//! `doctor`: what is wrong with a stage, or will be, and what to do about it.

mod canary;
mod control;
mod finding;
mod foundations;
mod shards;

use serde_json::json;

use self::finding::Level;
use crate::args::ops::Doctor;
use crate::failure::{Failure, Result};
use crate::output::Progress;
use crate::session::Session;

/// Looks, and says.
pub(super) async fn run(session: &Session, settings: &Doctor) -> Result<()> {
    let mut progress = Progress::new();
    progress.show("looking at streams, topic, tables");
    let mut findings = foundations::look(session).await;
    progress.show("looking at rivers");
    findings.extend(control::look(session).await);
    progress.show("looking at shards and who reads them");
    findings.extend(shards::look(session).await);
    if settings.canary {
        progress.show("waiting for pongs");
        findings.extend(canary::look(session, settings.wait).await);
    }
    drop(progress);
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    let output = session.output;
    if output.json {
        output.print(&json!({ "findings": findings, "failed": failed }))?;
    } else {
        for finding in &findings {
            for line in finding.lines(output.paint()) {
                output.say(&line)?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Failed(anyhow::anyhow!("1 finding needs something done"))),
        n => Err(Failure::Failed(anyhow::anyhow!("{n} findings need something done"))),
    }
}
