//! `apply`: gives the commands that make a stage what a file says, and waits until they are carried out.

use event::control::{Command, place};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cost::plural;
use super::diff::{self, Stage, line};
use super::file::File;
use super::state;
use crate::args::manage::Apply;
use crate::catalogue::{self, rows};
use crate::failure::{Failure, Result};
use crate::output::Progress;
use crate::session::Session;
use crate::verbs::control;
use crate::watch::rows::experiments;

/// Applies the file.
pub(super) async fn run(session: &Session, settings: &Apply) -> Result<()> {
    let file = File::read(&settings.file, &session.names.stage)?;
    let commands = changes(session, &file, settings.prune).await?;
    let output = session.output;
    if settings.dry_run {
        return Ok(say(session, &commands, &[])?);
    }
    // All of them at once: each is waited for afterwards, and the control plane has the time of the first for all.
    let mut progress = Progress::new();
    let mut places = Vec::new();
    for (nth, command) in commands.iter().enumerate() {
        progress.show(&format!("{nth} of {} commands given", commands.len()));
        places.push(place(&control::put(session, command).await?, 0));
    }
    let mut outcomes = Vec::new();
    if let Some(limit) = settings.patience.limit() {
        let give_up = Instant::now() + limit;
        for (nth, command) in commands.iter().enumerate() {
            progress.show(&format!("{nth} of {} commands carried out", commands.len()));
            let left = give_up.saturating_duration_since(Instant::now());
            let waited = match command {
                Command::Advertise(advert) if !advert.is_plain() => {
                    catalogue::wait(session, advert, &places[nth], left).await
                }
                _ => control::wait(session, command, left).await,
            };
            outcomes.push(waited.err().map(|error| chassis::explain(error.as_ref())));
        }
    }
    drop(progress);
    say(session, &commands, &outcomes)?;
    let failed = outcomes.iter().flatten().count();
    if failed > 0 {
        let of = plural(commands.len(), "command");
        let said = format!(
            "{failed} of {of} could not be carried out, see above: `rapids apply` can be given again"
        );
        return Err(Failure::Failed(anyhow::anyhow!(said)));
    }
    if !output.json && commands.is_empty() {
        output.note("the stage is what the file says");
    }
    Ok(())
}

/// The commands that the file comes to.
///
/// # Errors
/// [`Failure::Usage`], where it says of topics what the control plane would refuse; what AWS fails with.
pub(super) async fn changes(session: &Session, file: &File, prune: bool) -> Result<Vec<Command>> {
    let stage = look(session).await?;
    let unfit = diff::unfit(&stage, file);
    if !unfit.is_empty() {
        return Err(Failure::Usage(format!("the file is refused: {}", unfit.join("; "))));
    }
    Ok(diff::commands(&stage, file, prune))
}

/// What the stage is.
async fn look(session: &Session) -> anyhow::Result<Stage> {
    let topics = rows::topics(session).await?;
    Ok(Stage {
        rivers: state::wanted(session).await?,
        topics: topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect(),
        experiments: experiments(session).await?,
    })
}

fn say(session: &Session, commands: &[Command], outcomes: &[Option<String>]) -> anyhow::Result<()> {
    let output = session.output;
    let outcome = |nth: usize| outcomes.get(nth).and_then(Option::as_ref);
    if output.json {
        let said = commands.iter().enumerate().map(|(nth, command)| {
            let mut said = json!(command);
            said["failed"] = json!(outcome(nth));
            said
        });
        return output.print(&json!({ "commands": said.collect::<Vec<Value>>() }));
    }
    for (nth, command) in commands.iter().enumerate() {
        output.say(&line(command))?;
        if let Some(failed) = outcome(nth) {
            output.say(&format!("  failed: {failed}"))?;
        }
    }
    Ok(())
}
