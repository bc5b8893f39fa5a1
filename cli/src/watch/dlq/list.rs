//! `dlq list`: how much got stuck where.

use event::names::River;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::home::DeadLetters;
use super::pass::Pass;
use crate::failure::Result;
use crate::session::Session;
use crate::verbs::list::rivers;
use crate::watch::queue::{Count, Queue};

/// A queue, and what is in it.
struct Listed {
    letters: DeadLetters,
    count: Count,
    oldest: Option<Timestamp>,
}

/// Lists them.
pub(super) async fn run(session: &Session, river: Option<&str>) -> Result<()> {
    let stage = &session.names.stage;
    let all = match river {
        Some(word) => vec![DeadLetters::parse(word, stage)?],
        None => {
            let rivers = rivers(session).await?;
            // What other hands wrote into the table and SQS would refuse has no queue.
            let rivers = rivers.iter().filter_map(|river| River::parse(river, stage).ok());
            let platform = [DeadLetters::of_rapids(stage), DeadLetters::of_control(stage)];
            platform.into_iter().chain(rivers.map(DeadLetters::of_river)).collect()
        }
    };
    let mut listed = Vec::new();
    for letters in all {
        if river.is_some() {
            letters.open(session).await?;
        }
        listed.extend(look(session, letters).await?);
    }
    let output = session.output;
    if output.json {
        let queues: Value = listed.iter().map(Listed::json).collect();
        return Ok(output.print(&json!({ "queues": queues }))?);
    }
    let width = listed.iter().map(|it| it.letters.queue.len()).max().unwrap_or_default();
    let head = format!("{:<width$}  {:>8}  {:>7}  OLDEST", "QUEUE", "MESSAGES", "HIDDEN");
    output.say(&output.paint().bold(&head))?;
    for it in &listed {
        let oldest = it.oldest.map_or_else(|| "-".to_owned(), |at| format!("{at:.3}"));
        let (queue, Count { visible, hidden }) = (&it.letters.queue, it.count);
        output.say(&format!("{queue:<width$}  {visible:>8}  {hidden:>7}  {oldest}"))?;
    }
    Ok(())
}

/// None where there is no such queue.
async fn look(session: &Session, letters: DeadLetters) -> anyhow::Result<Option<Listed>> {
    let Some(queue) = Queue::find(session, &letters.queue).await? else { return Ok(None) };
    let count = queue.count(session).await?;
    let mut oldest = None;
    if count.visible > 0 {
        let mut pass = Pass::new(session, &queue)?;
        let parcels = pass.next().await;
        pass.finish().await;
        oldest = parcels?.iter().flatten().filter_map(super::letter::Parcel::sent).min();
    }
    Ok(Some(Listed { letters, count, oldest }))
}

impl Listed {
    fn json(&self) -> Value {
        json!({
            "queue": self.letters.queue,
            "messages": self.count.visible,
            "hidden": self.count.hidden,
            "oldest": self.oldest.map(|at| format!("{at:.3}")),
        })
    }
}
