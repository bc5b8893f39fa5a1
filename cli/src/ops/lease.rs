//! `lease`: who reads which shard, and how far.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use kcl::lease::transition::Transition;
use kcl::{Checkpoint, Lease, Position, SequenceNumber};
use serde_json::json;

use super::leases::Leases;
use crate::args::ops;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// Counters of a lease move by one with every write, those of a busy one several times a second: this often a write
/// that meets another is tried again.
const TRIES: u32 = 5;

/// Does what is asked for.
pub(super) async fn run(session: &Session, command: ops::Lease) -> Result<()> {
    match command {
        ops::Lease::List { application } => {
            list(session, &Leases::of(session, &application.application)).await
        }
        ops::Lease::Release { shard, application } => {
            release(session, &Leases::of(session, &application.application), &shard).await
        }
        ops::Lease::Reset { shard, to, force, yes, application } => {
            let leases = Leases::of(session, &application.application);
            let to = place(&to).map_err(Failure::Usage)?;
            reset(session, &leases, &shard, Reset { to, force, yes }).await
        }
    }
}

async fn list(session: &Session, leases: &Leases<'_>) -> Result<()> {
    let found = leases.all().await?;
    let output = session.output;
    if output.json {
        let found: Vec<_> = found.iter().flatten().map(json).collect();
        return Ok(output.print(&json!({ "table": leases.table, "leases": found }))?);
    }
    let Some(found) = found else {
        let table = &leases.table;
        output
            .note(&format!("no leases: table {table} does not exist, its application has not run"));
        return Ok(());
    };
    let wide = |of: fn(&Lease) -> usize| found.iter().map(of).max().unwrap_or_default().max(5);
    let (shard, owner) = (wide(|it| it.key.len()), wide(|it| owner(it).len()));
    let head = format!("{:<shard$}  {:<owner$}  {:>9}  CHECKPOINT", "SHARD", "OWNER", "COUNTER");
    output.say(&output.paint().bold(&head))?;
    for lease in &found {
        let Lease { key, counter, .. } = lease;
        let line = format!(
            "{key:<shard$}  {:<owner$}  {counter:>9}  {}",
            self::owner(lease),
            lease.checkpoint
        );
        output.say(&line)?;
    }
    Ok(())
}

/// The owner; during a hand-over both.
fn owner(lease: &Lease) -> String {
    match (&lease.checkpoint_owner, &lease.owner) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (_, owner) => owner.clone().unwrap_or_else(|| "-".to_owned()),
    }
}

fn json(lease: &Lease) -> serde_json::Value {
    json!({
        "shard": lease.key,
        "owner": lease.owner,
        "checkpointOwner": lease.checkpoint_owner,
        "counter": lease.counter,
        "checkpoint": lease.checkpoint.to_string(),
        "parents": lease.parents,
        "children": lease.children,
        "ownerSwitches": lease.owner_switches,
    })
}

async fn release(session: &Session, leases: &Leases<'_>, shard: &str) -> Result<()> {
    let lease = leases.one(shard).await?;
    if let Some(under_way) = hand_over(&lease) {
        return Err(Failure::Usage(under_way));
    }
    let Some(owner) = lease.owner.clone() else {
        return Err(Failure::Usage(format!("nobody owns {shard}: there is nothing to release")));
    };
    evict(leases, lease).await?;
    session.output.note(&format!("{shard} released by {owner}"));
    Ok(())
}

/// Takes the lease from its owner, who writes at the same time; the lease afterwards.
async fn evict(leases: &Leases<'_>, mut lease: Lease) -> anyhow::Result<Lease> {
    let owner = lease.owner.clone();
    for _ in 1..TRIES {
        if let Ok(evicted) = leases.make(&Transition::Evict, &lease).await {
            return Ok(evicted);
        }
        lease = leases.one(&lease.key).await?;
        if lease.owner != owner || lease.checkpoint_owner.is_some() {
            anyhow::bail!(
                "{} changed hands in this moment: look with `rapids lease list`",
                lease.key
            );
        }
    }
    leases.make(&Transition::Evict, &lease).await
}

/// Two workers share a lease for a moment; what is done in that moment, one of them would undo.
fn hand_over(lease: &Lease) -> Option<String> {
    let from = lease.checkpoint_owner.as_ref()?;
    let to = lease.owner.as_deref().unwrap_or("nobody");
    Some(format!("{} is being handed over from {from} to {to}: wait until that is done", lease.key))
}

/// Where to, and how.
#[derive(Clone, Copy, Debug)]
struct Reset {
    to: Checkpoint,
    force: bool,
    yes: bool,
}

async fn reset(session: &Session, leases: &Leases<'_>, shard: &str, reset: Reset) -> Result<()> {
    let lease = leases.one(shard).await?;
    if let Some(refusal) = refusal(&lease, reset) {
        return Err(Failure::Usage(refusal));
    }
    let what = format!("{shard} is read on from {} instead of {}", reset.to, lease.checkpoint);
    if !reset.yes {
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(format!(
                "{what}, and nobody is there to confirm: say --yes"
            )));
        }
        session.output.note(&format!("{what}. Type `yes` to go on."));
        let mut line = String::new();
        io::stdin().read_line(&mut line).context("cannot read the answer")?;
        if line.trim() != "yes" {
            return Err(Failure::Usage("nothing was done".to_owned()));
        }
    }
    // Without an owner first: one of the Java library takes a counter that it does not know for its own, if the owner is.
    let mut lease = lease;
    for left in (0..TRIES).rev() {
        if lease.owner.is_some() {
            lease = evict(leases, lease).await?;
        }
        match leases.make(&Transition::Checkpoint(reset.to), &lease).await {
            Ok(_) => break,
            Err(error) if left == 0 || !reset.force => return Err(error.into()),
            // Another has taken it meanwhile.
            Err(_) => lease = leases.one(shard).await?,
        }
    }
    session.output.note(&what);
    Ok(())
}

/// Why it may not be reset.
fn refusal(lease: &Lease, reset: Reset) -> Option<String> {
    let shard = &lease.key;
    if let Some(under_way) = hand_over(lease) {
        return Some(under_way);
    }
    if let (Some(owner), false) = (&lease.owner, reset.force) {
        return Some(format!(
            "{owner} owns {shard}: stop it, or say --force and it loses the shard"
        ));
    }
    if reset.to == Checkpoint::Latest && lease.initial_at.is_some() {
        return Some(format!(
            "{shard} was begun at a time that is written down, and `latest` would begin there: give a sequence number"
        ));
    }
    None
}

fn place(word: &str) -> Result<Checkpoint, String> {
    match word {
        "trim-horizon" => Ok(Checkpoint::TrimHorizon),
        "latest" => Ok(Checkpoint::Latest),
        number => SequenceNumber::parse(number)
            // The records that were aggregated in that one are done as well.
            .map(|sequence| Checkpoint::At(Position { sequence, sub_sequence: u64::MAX }))
            .map_err(|_| format!("{number:?} is not trim-horizon, latest or a sequence number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_sentinel_or_a_sequence_number() {
        assert_eq!(place("trim-horizon"), Ok(Checkpoint::TrimHorizon));
        assert_eq!(place("latest"), Ok(Checkpoint::Latest));
        assert_eq!(place("42").unwrap().to_string(), "42");
        assert!(place("LATEST").unwrap_err().contains("sequence number"));
    }

    #[test]
    fn what_somebody_owns_is_reset_by_force_only() {
        let to = Checkpoint::TrimHorizon;
        let mut lease = Lease::new("shardId-000000000000", Checkpoint::Latest);
        let asked = |force| Reset { to, force, yes: true };
        assert_eq!(refusal(&lease, asked(false)), None);
        lease.owner = Some("me".to_owned());
        assert!(refusal(&lease, asked(false)).unwrap().contains("me owns"));
        assert_eq!(refusal(&lease, asked(true)), None);
        lease.initial_at = Some(1);
        let latest = Reset { to: Checkpoint::Latest, force: true, yes: true };
        assert!(refusal(&lease, latest).unwrap().contains("sequence number"));
        lease.checkpoint_owner = lease.owner.replace("other".to_owned());
        assert!(refusal(&lease, asked(true)).unwrap().contains("from me to other"));
    }
}
