//! `explain`: why an event is, or is not, delivered to a river.

mod facts;
mod reason;

use anyhow::anyhow;
use event::names::River;

use self::facts::Facts;
use self::reason::Explanation;
use crate::args::watch::Explain as Settings;
use crate::failure::{Failure, Result};
use crate::output::{Output, Progress};
use crate::session::Session;
use crate::tail::{Start, Tail};

/// Events that are named when an id is not unique.
const NAMED_MAX: usize = 5;
/// Columns of a step's name and of its state.
const STEP_WIDTH: usize = 12;
const STATE_WIDTH: usize = 4;

/// Says it.
pub(super) async fn run(session: &Session, settings: &Settings) -> Result<()> {
    let river = River::parse(&settings.river, &session.names.stage)?;
    let json = text(session, settings).await?;
    let facts = Facts::gather(session, &river, json).await?;
    let explanation = Explanation::of(&river, &session.names.stage, &facts);
    if session.output.json {
        return Ok(session.output.print(&explanation)?);
    }
    show(session.output, &explanation)
}

/// The event's text: from standard input, a file, or the rapids.
async fn text(session: &Session, settings: &Settings) -> Result<Vec<u8>> {
    let word = settings.event.as_str();
    let read = match word {
        "-" => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
        }
        path if std::path::Path::new(path).is_file() => std::fs::read(path),
        _ => return find(session, settings).await,
    };
    Ok(read.map_err(|error| anyhow!("cannot read the event from {word}: {error}"))?)
}

async fn find(session: &Session, settings: &Settings) -> Result<Vec<u8>> {
    let wanted = settings.event.as_str();
    let start = Start::since(settings.since.before(session.now()?));
    let kinesis = session.aws.kinesis.clone();
    let mut tail = Tail::open_at(kinesis, &session.names.rapids, start).await?;
    let (mut progress, mut read) = (Progress::new(), 0);
    let mut found = Vec::new();
    loop {
        for record in tail.records().await? {
            read += 1;
            let Ok(event) = &record.event else { continue };
            let id = event.event_id.as_str();
            if id == wanted {
                return Ok(record.data);
            }
            if id.starts_with(wanted) && !record.is_copy && found.len() < NAMED_MAX {
                found.push((id.to_owned(), record.data));
            }
        }
        progress.show(&format!("{read} records read"));
        if tail.is_caught_up() {
            break;
        }
    }
    match &mut found[..] {
        [] => Err(anyhow!(
            "no event with id {wanted} is on the rapids, and no file has this name: look further back with --since, \
             or give its JSON as a file"
        )
        .into()),
        [(_, data)] => Ok(std::mem::take(data)),
        more => {
            let ids = more.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>();
            Err(Failure::Usage(format!(
                "several events have an id that begins with {wanted}: give more of it; the first are {}",
                ids.join(", ")
            )))
        }
    }
}

fn show(output: Output, explanation: &Explanation) -> Result<()> {
    let paint = output.paint();
    for step in &explanation.steps {
        let name = format!("{:<STEP_WIDTH$}", step.step);
        let state = format!("{:<STATE_WIDTH$}", step.state.word());
        output.say(&format!("{} {state} {}", paint.dim(&name), step.says))?;
        for more in &step.more {
            output.say(&format!("{:1$}{more}", "", STEP_WIDTH + STATE_WIDTH + 2))?;
        }
    }
    Ok(output.say(&paint.bold(&explanation.verdict()))?)
}
