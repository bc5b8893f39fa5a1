//! `dlq`: what got stuck, why, and back with it.

mod confirm;
mod edit;
mod home;
mod letter;
mod list;
mod only;
mod pass;
mod purge;
mod redrive;
mod show;

use self::home::DeadLetters;
use crate::args::watch::Dlq;
use crate::failure::Result;
use crate::session::Session;

/// Does what is asked for.
pub(super) async fn run(session: &Session, command: Dlq) -> Result<()> {
    let stage = &session.names.stage;
    match command {
        Dlq::List { river } => list::run(session, river.as_deref()).await,
        Dlq::Show { queue, max, only } => {
            let letters = DeadLetters::parse(&queue, stage)?;
            Ok(show::run(session, &letters, max, &only).await?)
        }
        Dlq::Redrive { queue, only, rate, dry_run, edit } => {
            let letters = DeadLetters::parse(&queue, stage)?;
            let how = redrive::How { rate, dry_run, edit };
            redrive::run(session, &letters, &only, how).await
        }
        Dlq::Purge { queue, only, yes } => {
            let letters = DeadLetters::parse(&queue, stage)?;
            purge::run(session, &letters, &only, yes).await
        }
    }
}
