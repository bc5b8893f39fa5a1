//! `flow`: who emits what, and who consumes it.

mod map;

use serde_json::json;

use self::map::Map;
use super::rows;
use crate::args::watch::Flow as Settings;
use crate::output::Progress;
use crate::session::Session;
use crate::tail::{Start, Tail};

/// Shows what the rapids and the subscriptions say.
pub(super) async fn run(session: &Session, settings: &Settings) -> anyhow::Result<()> {
    let start = Start::since(settings.since.before(session.now()?));
    let subscriptions = rows::subscriptions(session).await?;
    let kinesis = session.aws.kinesis.clone();
    let mut tail = Tail::open_at(kinesis, &session.names.rapids, start).await?;
    let (mut map, mut progress) = (Map::new(&subscriptions), Progress::new());
    loop {
        for record in tail.records().await? {
            match record.event {
                Ok(event) if !record.is_copy => map.add(&event),
                Ok(_) => {}
                Err(_) => map.unreadable += 1,
            }
        }
        progress.show(&format!("{} events read", map.events));
        if tail.is_caught_up() {
            break;
        }
    }
    drop(progress);
    let output = session.output;
    if settings.mermaid {
        return output.say(&map.mermaid());
    }
    if output.json {
        return output.print(&json!(map.json()));
    }
    map.lines(output.paint()).iter().try_for_each(|line| output.say(line))
}
