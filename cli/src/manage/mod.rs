//! Commands about the desired state of a stage: what it is, how far AWS has come with it, and how to change it.

mod apply;
pub(crate) mod cost;
mod diff;
mod file;
pub(crate) mod plan;
mod rivers;
pub(crate) mod state;
mod status;

use event::control::Command;

use crate::args::manage::{Manage, Rivers};
use crate::failure::Result;
use crate::session::Session;
use crate::verbs::control;

/// Does what is asked for.
///
/// # Errors
/// Refusals before anything was done, and whatever AWS fails with.
pub(crate) async fn run(session: &Session, command: Manage) -> Result<()> {
    match command {
        Manage::Status => Ok(status::run(session).await?),
        Manage::Plan(settings) => plan::run(session, &settings).await,
        Manage::Apply(settings) => apply::run(session, &settings).await,
        Manage::Rivers { command: None | Some(Rivers::List) } => Ok(rivers::list(session).await?),
        Manage::Rivers { command: Some(Rivers::Show { river }) } => {
            rivers::show(session, &river).await
        }
        Manage::Rivers { command: Some(Rivers::Route { river, way, patience }) } => {
            rivers::known(session, &river).await?;
            let command = Command::Route { river, routing: way.into() };
            control::run(session, &command, patience.limit()).await
        }
        Manage::Rivers { command: Some(Rivers::Remove { river, discard, patience }) } => {
            rivers::known(session, &river).await?;
            let command = Command::RemoveRiver { river, discard };
            control::run(session, &command, patience.limit()).await
        }
    }
}
