//! `trace`: a conversation as a tree.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use event::{Event, EventId};
use jiff::Timestamp;
use tokio::time::Instant;

use super::forest::{Forest, Stop};
use crate::args::watch::Trace as Settings;
use crate::failure::{Failure, Result};
use crate::output::{Progress, cut};
use crate::session::Session;
use crate::tail::{Start, Tail};
use crate::tree::Tree;

/// Conversations that are named when an id is not unique.
const NAMED_MAX: usize = 5;
/// Characters of a payload beside its event.
const PAYLOAD_MAX: usize = 60;

/// What is looked for, and found.
#[derive(Debug, Default)]
struct Search {
    /// An id, or the begin of one.
    id: String,
    /// Conversations that have it.
    found: BTreeSet<EventId>,
    /// Of them, those that have it in full.
    exact: BTreeSet<EventId>,
    events: Vec<Event>,
    /// Conversations that were passed over before they were known to be meant.
    passed_by: bool,
}

/// Shows the conversation that has the id.
pub(super) async fn run(session: &Session, settings: &Settings) -> Result<()> {
    let since = settings.since.before(session.now()?);
    let until = Instant::now() + Duration::from_secs(settings.wait.into());
    let mut search = Search::of(&settings.id, false);
    search.read(session, since, until).await?;
    let conversation = search.conversation()?;
    if search.passed_by {
        // Its first events went by before it was known to be meant.
        search = Search::of(conversation.as_str(), true);
        search.read(session, since, until).await?;
    }
    let mut forest = Forest::default();
    let its = search.events.into_iter().filter(|event| *event.correlation() == conversation);
    its.for_each(|event| forest.add(event));
    let output = session.output;
    if settings.mermaid {
        output.say(&forest.mermaid())?;
    } else if output.json {
        let tree = serde_json::json!({ "correlationId": conversation, "events": forest.json() });
        output.print(&tree)?;
    } else {
        output.say(&format!("conversation {conversation}, {} events", forest.len()))?;
        lines(&forest, output.colours()).iter().try_for_each(|line| output.say(line))?;
    }
    Ok(())
}

impl Search {
    fn of(id: &str, is_known: bool) -> Self {
        let mut search = Self { id: id.to_owned(), ..Self::default() };
        if is_known {
            search.found.insert(id.into());
        }
        search
    }

    /// Reads the rapids from `since` until their end, and then as long as time is left.
    async fn read(
        &mut self,
        session: &Session,
        since: Option<Timestamp>,
        until: Instant,
    ) -> anyhow::Result<()> {
        let (kinesis, rapids) = (session.aws.kinesis.clone(), &session.names.rapids);
        let mut tail = Tail::open_at(kinesis, rapids, Start::since(since)).await?;
        let (mut progress, mut read) = (Progress::new(), 0);
        loop {
            for record in tail.records().await? {
                read += 1;
                if let Ok(event) = record.event {
                    self.look_at(event);
                }
            }
            progress.show(&format!("{read} records read, {} events found", self.events.len()));
            if tail.is_caught_up() && Instant::now() >= until {
                return Ok(());
            }
        }
    }

    fn look_at(&mut self, event: Event) {
        let conversation = event.correlation();
        let is_new = !self.found.contains(conversation);
        let ids = [&event.event_id, conversation];
        if ids.iter().any(|id| id.as_str() == self.id) {
            self.exact.insert(conversation.clone());
        }
        if ids.iter().any(|id| id.as_str().starts_with(&self.id)) {
            self.found.insert(conversation.clone());
            // By the id of an event that is not its first: those before it are gone by.
            self.passed_by |= is_new && *conversation != event.event_id;
        } else if is_new {
            return;
        }
        self.events.push(event);
    }

    /// The one conversation that is meant.
    fn conversation(&self) -> Result<EventId> {
        let meant = if self.exact.is_empty() { &self.found } else { &self.exact };
        let mut meant = meant.iter();
        match (meant.next(), meant.next()) {
            (None, _) => Err(anyhow!(
                "no event with id {} is on the rapids: look further back with --since, or wait for it with --wait",
                self.id
            )
            .into()),
            (Some(only), None) => Ok(only.clone()),
            (Some(_), Some(_)) => {
                let all = self.found.iter().take(NAMED_MAX).map(EventId::as_str);
                Err(Failure::Usage(format!(
                    "{} conversations have an event whose id begins with {}: give more of it; the first are {}",
                    self.found.len(),
                    self.id,
                    all.collect::<Vec<_>>().join(", ")
                )))
            }
        }
    }
}

/// The tree, line by line.
fn lines(forest: &Forest, colours: bool) -> Vec<String> {
    let mut tree = Tree::new(colours, summary);
    let mut lines = Vec::new();
    for stop in forest.walk() {
        match stop {
            Stop::Missing(id) => lines.push(tree.add_missing(id)),
            Stop::Node(node) => {
                let copies = match node.copies {
                    1 => String::new(),
                    copies => format!("  (x{copies})"),
                };
                lines.extend(tree.add(&node.event).into_iter().map(|line| line + &copies));
            }
        }
    }
    lines.extend(tree.rest());
    lines
}

fn summary(event: &Event) -> String {
    let hops = event.hops;
    let payload = cut(&event.payload.to_string(), PAYLOAD_MAX);
    format!("hops {hops}  {payload}")
}

#[cfg(test)]
mod tests;
