//! `dlq show`: messages and why they are there.

use super::home::DeadLetters;
use super::pass::Pass;
use crate::args::watch::Only;
use crate::session::Session;

/// Shows at most `max`, and puts all back.
pub(super) async fn run(
    session: &Session,
    letters: &DeadLetters,
    max: u64,
    only: &Only,
) -> anyhow::Result<()> {
    let queue = letters.open(session).await?;
    let mut pass = Pass::new(session, &queue)?;
    let shown = show(session, &mut pass, max, only).await;
    let incomplete = pass.finish().await;
    let shown = shown?;
    if session.output.is_for_people() {
        let home = letters.home(session);
        session.output.note(&format!("{shown} shown and put back; they belong to {home}"));
        if incomplete > 0 {
            session.output.note(&format!("{incomplete} parts lack their others"));
        }
    }
    Ok(())
}

async fn show(
    session: &Session,
    pass: &mut Pass<'_>,
    max: u64,
    only: &Only,
) -> anyhow::Result<u64> {
    let output = session.output;
    let mut shown = 0;
    while let Some(parcels) = pass.next().await? {
        for parcel in parcels.iter().filter(|parcel| only.takes(parcel)) {
            if output.json {
                output.say(&parcel.json().to_string())?;
            } else {
                parcel.lines().iter().try_for_each(|line| output.say(line))?;
            }
            shown += 1;
            if shown == max {
                return Ok(shown);
            }
        }
    }
    Ok(shown)
}
