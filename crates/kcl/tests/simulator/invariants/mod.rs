//! What must hold of every history. Each invariant is one function; each is shown a history that breaks it.

mod leases;
mod records;

use crate::history::{Entry, Numbered, Place, Row, What, Who};
pub(crate) use records::Owed;

/// An invariant: what is wrong with a history, if anything.
pub(crate) type Invariant = fn(&[Entry]) -> Result<(), String>;

/// All of them, by name.
pub(crate) const ALL: [(&str, Invariant); 12] = [
    ("everything settles", leases::everything_settles),
    ("nothing is lost", records::nothing_is_lost),
    ("the order of a key is kept", records::the_order_of_a_key_is_kept),
    (
        "a checkpoint passes only what was accepted",
        records::a_checkpoint_passes_only_what_was_accepted,
    ),
    ("a checkpoint never moves back", leases::a_checkpoint_never_moves_back),
    ("children wait for their parents", records::children_wait_for_their_parents),
    ("only the owner saves places", leases::only_the_owner_saves_places),
    ("the counter grows with every change", leases::the_counter_grows_with_every_change),
    ("nothing begins without a lease", leases::nothing_begins_without_a_lease),
    ("no two work on a shard at once", leases::no_two_work_on_a_shard_at_once),
    ("a fence is never used again", leases::a_fence_is_never_used_again),
    ("leases are released at the end", leases::leases_are_released_at_the_end),
];

/// How many records were accepted more than once.
pub(crate) fn duplicates(history: &[Entry]) -> usize {
    records::duplicates(history)
}

/// How long after the last fault everything had come right.
pub(crate) fn settling_ms(history: &[Entry]) -> Option<u64> {
    let at =
        |what: &What| history.iter().find(|entry| entry.what == *what).map(|entry| entry.at_ms);
    Some(at(&What::Settled)? - at(&What::Calm)?)
}

/// What is wrong with a history. In a gentle run nothing may come twice.
pub(crate) fn broken(history: &[Entry], gentle: bool) -> Vec<String> {
    let complain = |(name, holds): &(&str, Invariant)| {
        let complaint = holds(history).err()?;
        Some(format!("{name}: {complaint}"))
    };
    let mut broken: Vec<_> = ALL.iter().filter_map(complain).collect();
    if let Err(complaint) = leases::every_shard_is_owned_in_time(history, gentle) {
        broken.push(format!("every shard is owned in time: {complaint}"));
    }
    let duplicates = duplicates(history);
    if gentle && duplicates > 0 {
        broken.push(format!("nothing comes twice without need: {duplicates} records did"));
    }
    broken
}

/// Histories made by hand.
#[cfg(test)]
mod made {
    use crate::history::{Done, Mark};

    use super::*;

    pub(super) const A: Who = Who { worker: 0, life: 1 };
    pub(super) const B: Who = Who { worker: 1, life: 1 };

    pub(super) fn history(whats: Vec<What>) -> Vec<Entry> {
        let entry = |(at, what)| Entry { at_ms: at as u64, what };
        whats.into_iter().enumerate().map(entry).collect()
    }

    pub(super) fn record(number: u64) -> Numbered {
        Numbered { number, key: 1, place: place(number) }
    }

    pub(super) fn place(number: u64) -> Place {
        Place::new(&number.to_string(), 0)
    }

    pub(super) fn put(shard: &str, number: u64) -> What {
        What::Put { shard: shard.into(), record: record(number) }
    }

    pub(super) fn begun(who: Who, call: u64, shard: &str, numbers: &[u64], local_ms: u64) -> What {
        let records = numbers.iter().copied().map(record).collect();
        What::Begun { who, call, shard: shard.into(), fence: 1, records, local_ms }
    }

    pub(super) fn done(who: Who, call: u64, shard: &str, done: Done) -> What {
        What::Done { who, call, shard: shard.into(), done }
    }

    pub(super) fn accepted(who: Who, call: u64, shard: &str, numbers: &[u64]) -> What {
        let records = numbers.iter().copied().map(record).collect();
        done(who, call, shard, Done::Accepted(records))
    }

    pub(super) fn row(owner: Option<Who>, counter: u64, mark: Mark) -> Row {
        let owner = owner.map(Who::name);
        let (parents, children) = Default::default();
        Row { owner, checkpoint_owner: None, counter, mark, parents, children }
    }

    pub(super) fn wrote(who: Who, shard: &str, before: Option<Row>, after: Option<Row>) -> What {
        What::Row { who, shard: shard.into(), before, after, sent_ms: 0 }
    }
}
