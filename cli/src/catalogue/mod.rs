//! The catalogue of topics: what their events look like, whom to ask, who listens, and what is odd about that.

mod advertise;
mod asyncapi;
mod census;
mod report;
pub(crate) mod rows;

use std::collections::BTreeSet;

use self::report::Report;
use crate::args::catalogue::{Catalogue, Format};
use crate::failure::Result;
use crate::output::Progress;
use crate::session::Session;
use crate::tail::{Start, Tail};
use crate::watch::rows::subscriptions;

pub(crate) use self::advertise::{run as advertise, wait};

/// Prints what the settings ask for.
///
/// # Errors
/// Whatever AWS fails with.
pub(crate) async fn run(session: &Session, settings: &Catalogue) -> Result<()> {
    let output = session.output;
    if let Some(format) = settings.asyncapi {
        let (topics, subscriptions) = (rows::topics(session).await?, subscriptions(session).await?);
        let document = asyncapi::document(&session.names.stage, &topics, &subscriptions);
        match format {
            Format::Yaml if !output.json => output.say(&asyncapi::yaml(&document))?,
            Format::Yaml | Format::Json => output.print(&document)?,
        }
        return Ok(());
    }
    let seen = match settings.since {
        Some(since) => Some(seen(session, Start::since(since.before(session.now()?))).await?),
        None => None,
    };
    Ok(details(session, seen).await?)
}

/// Prints every topic with what is said of it, and what is odd.
///
/// # Errors
/// Whatever AWS fails with.
pub(crate) async fn details(
    session: &Session,
    seen: Option<BTreeSet<String>>,
) -> anyhow::Result<()> {
    let report = Report {
        topics: rows::topics(session).await?,
        subscriptions: subscriptions(session).await?,
        census: census::take(session).await?,
        seen,
    };
    let output = session.output;
    if output.json {
        return output.print(&report.json());
    }
    report.lines(output.paint()).iter().try_for_each(|line| output.say(line))
}

/// The types of the events that came since then.
async fn seen(session: &Session, start: Start) -> anyhow::Result<BTreeSet<String>> {
    let kinesis = session.aws.kinesis.clone();
    let mut tail = Tail::open_at(kinesis, &session.names.rapids, start).await?;
    let (mut types, mut events, mut progress) = (BTreeSet::new(), 0_u64, Progress::new());
    loop {
        let read = tail.records().await?;
        for event in read.into_iter().filter_map(|record| record.event.ok()) {
            events += 1;
            types.insert(event.event_type);
        }
        progress.show(&format!("{events} events read"));
        if tail.is_caught_up() {
            return Ok(types);
        }
    }
}
