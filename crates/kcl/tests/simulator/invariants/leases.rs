//! Of the leases: who writes them, how they change, what is done under them.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Entry, Mark, Row, Standstill, What, Who, millis};
use crate::worker::FAILOVER;

/// Once the faults have stopped, everything is processed and owned in time, and SIGTERM ends every process.
pub(super) fn everything_settles(history: &[Entry]) -> Result<(), String> {
    history.iter().try_for_each(|entry| match &entry.what {
        What::Unsettled(what) => Err(what.clone()),
        _ => Ok(()),
    })
}

/// A checkpoint only grows, a row goes away only when its shard is processed to its end, and does not come back.
pub(super) fn a_checkpoint_never_moves_back(history: &[Entry]) -> Result<(), String> {
    let mut marks: BTreeMap<&str, &Mark> = BTreeMap::new();
    for entry in history {
        let What::Row { shard, after, .. } = &entry.what else { continue };
        let before = marks.get(shard.as_str()).copied();
        let holds = match after {
            Some(after) => before.is_none_or(|before| after.mark >= *before),
            None => before.is_none_or(|before| *before == Mark::End),
        };
        if !holds {
            return Err(format!("{entry}"));
        }
        marks.extend(after.iter().map(|after| (shard.as_str(), &after.mark)));
    }
    Ok(())
}

/// Every write that changes who holds a lease or its checkpoint moves the counter up, and none moves it down:
/// it is what all other writers rely on. Asking for a lease changes only who is next.
pub(super) fn the_counter_grows_with_every_change(history: &[Entry]) -> Result<(), String> {
    for entry in history {
        let What::Row { before: Some(before), after: Some(after), .. } = &entry.what else {
            continue;
        };
        let changed = before.holder() != after.holder() || before.mark != after.mark;
        if after.counter < before.counter || (changed && after.counter == before.counter) {
            return Err(format!("{entry}"));
        }
    }
    Ok(())
}

/// Only who holds a lease moves its checkpoint, and of two lives of a worker only the younger, once that has
/// written the row.
pub(super) fn only_the_owner_saves_places(history: &[Entry]) -> Result<(), String> {
    let mut youngest: BTreeMap<(&str, u8), u16> = BTreeMap::new();
    for entry in history {
        let What::Row { who, shard, before: Some(before), after: Some(after), .. } = &entry.what
        else {
            continue;
        };
        let moved = before.mark != after.mark;
        if moved && before.holder() != Some(&who.name()) {
            return Err(format!("{who} does not hold {shard}: {entry}"));
        }
        let holds = after.holder() == Some(&who.name());
        let life = youngest.entry((shard, who.worker)).or_insert(who.life);
        if (moved || holds) && who.life < *life {
            return Err(format!("a younger life than {who} has written {shard}: {entry}"));
        }
        *life = who.life.max(*life);
    }
    Ok(())
}

/// What each worker may still believe of its leases.
#[derive(Default)]
struct Claims<'a> {
    /// Whether leases may be taken from workers that live.
    taking: bool,
    rows: BTreeMap<&'a str, &'a Row>,
    /// The last write that left a worker the lease: when it was sent, by the worker's own clock, and when it
    /// was made, by the world's.
    renewed: BTreeMap<(&'a str, Who), (u64, u64)>,
    /// Workers that cannot know as yet that they lost it: their clock stood still, or it was taken from them.
    excused: BTreeSet<(&'a str, Who)>,
}

impl<'a> Claims<'a> {
    fn follow(&mut self, entry: &'a Entry) {
        match &entry.what {
            What::Scenario { taking, .. } => self.taking = *taking,
            What::Row { who, shard, after, sent_ms, .. } => {
                self.written(*who, shard, after.as_ref(), (*sent_ms, entry.at_ms));
            }
            What::Stands(who, Standstill::Suspended, _) => {
                let its = self.renewed.keys().filter(|(_, of)| of == who);
                self.excused.extend(its.copied());
            }
            _ => {}
        }
    }

    fn written(&mut self, who: Who, shard: &'a str, after: Option<&'a Row>, at: (u64, u64)) {
        match after {
            Some(after) => self.rows.insert(shard, after),
            None => self.rows.remove(shard),
        };
        if after.is_none_or(|after| after.holder() != Some(&who.name())) {
            return;
        }
        if self.taking {
            let fresh = |at_ms: u64| at.1.saturating_sub(at_ms) < millis(FAILOVER);
            let others = self
                .renewed
                .iter()
                .filter(|((of, other), (_, at_ms))| *of == shard && *other != who && fresh(*at_ms));
            self.excused.extend(others.map(|(claim, _)| *claim));
        }
        self.renewed.insert((shard, who), at);
        self.excused.remove(&(shard, who));
    }

    fn holder(&self, shard: &str) -> Option<&'a str> {
        self.rows.get(shard).and_then(|row| row.holder())
    }
}

/// The processor is called only under a lease that the worker, by its own clock, may still count on, and that
/// is in fact its own, unless it cannot know better.
pub(super) fn nothing_begins_without_a_lease(history: &[Entry]) -> Result<(), String> {
    let mut claims = Claims::default();
    for entry in history {
        claims.follow(entry);
        let What::Begun { who, shard, local_ms, .. } = &entry.what else { continue };
        let claim = (shard.as_str(), *who);
        let Some((since, _)) = claims.renewed.get(&claim) else {
            return Err(format!("{who} never had {shard}: {entry}"));
        };
        if local_ms - since > millis(FAILOVER) {
            return Err(format!("{} ms without a renewal: {entry}", local_ms - since));
        }
        let holder = claims.holder(shard);
        let has_ended = claims.rows.get(shard.as_str()).is_some_and(|row| row.mark == Mark::End);
        if has_ended && holder == Some(&who.name()) {
            return Err(format!("{shard} has ended: {entry}"));
        }
        if holder != Some(&who.name()) && !claims.excused.contains(&claim) {
            return Err(format!("{holder:?} holds {shard}: {entry}"));
        }
    }
    Ok(())
}

/// While a call of the processor runs, nobody else begins one for the same shard; a process that does not run
/// at that moment, or that cannot know better, is not at fault.
pub(super) fn no_two_work_on_a_shard_at_once(history: &[Entry]) -> Result<(), String> {
    let mut claims = Claims::default();
    let mut open: BTreeMap<&str, BTreeSet<(Who, u64)>> = BTreeMap::new();
    let mut standing = BTreeSet::new();
    for entry in history {
        claims.follow(entry);
        match &entry.what {
            What::Stands(who, ..) => {
                standing.insert(*who);
            }
            What::Resumes(who) => {
                standing.remove(who);
            }
            What::Begun { who, call, shard, .. } => {
                let open = open.entry(shard).or_default();
                let mut others = open.iter().filter(|(other, _)| {
                    let excused = claims.excused.contains(&(shard.as_str(), *other));
                    other != who && !standing.contains(other) && !excused
                });
                let excused = claims.excused.contains(&(shard.as_str(), *who));
                if let Some((other, _)) = others.next().filter(|_| !excused) {
                    return Err(format!("{other} still works: {entry}"));
                }
                open.insert((*who, *call));
            }
            What::Done { who, call, shard, .. } => {
                open.entry(shard).or_default().remove(&(*who, *call));
            }
            What::Died(who, _) => {
                open.values_mut().for_each(|open| open.retain(|(other, _)| other != who));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every time that a worker gets a lease, its fence is greater than any that was used for the shard before. A
/// worker that cannot know that it lost the lease may still use the lower one.
pub(super) fn a_fence_is_never_used_again(history: &[Entry]) -> Result<(), String> {
    let mut claims = Claims::default();
    let mut fences: BTreeMap<&str, BTreeMap<u64, Who>> = BTreeMap::new();
    for entry in history {
        claims.follow(entry);
        let What::Begun { who, shard, fence, .. } = &entry.what else { continue };
        let used = fences.entry(shard).or_default();
        let excused = claims.excused.contains(&(shard.as_str(), *who));
        let later = used.range(fence..).find(|(_, by)| *by != who).filter(|_| !excused);
        if let Some((used, by)) = later {
            return Err(format!("{by} had fence {used}: {entry}"));
        }
        used.entry(*fence).or_insert(*who);
    }
    Ok(())
}

/// Longest time in which a shard that can be read has no owner that lives, after the last fault: a failover, the
/// pauses between looks, requests on their way.
const UNOWNED_MAX_MS: u64 = 8_000;
/// The same where nothing ever fails: nobody has to wait for a failover.
const UNOWNED_GENTLY_MAX_MS: u64 = 2_500;

/// Who owns what, and since when nobody does.
#[derive(Default)]
struct Cover<'a> {
    parents: BTreeMap<&'a str, &'a [String]>,
    rows: BTreeMap<&'a str, Option<&'a Row>>,
    alive: BTreeMap<String, Who>,
    unowned_since: BTreeMap<&'a str, u64>,
}

impl<'a> Cover<'a> {
    fn follow(&mut self, entry: &'a Entry) {
        match &entry.what {
            What::Shard { id, parents } => {
                self.parents.insert(id, parents);
            }
            What::Row { shard, after, .. } => {
                self.rows.insert(shard, after.as_ref());
            }
            What::Born(who) => {
                self.alive.insert(who.name(), *who);
            }
            What::Died(who, _) => {
                self.alive.retain(|_, alive| alive != who);
            }
            _ => return,
        }
        for &shard in self.parents.keys() {
            if self.is_cared_for(shard) {
                self.unowned_since.remove(shard);
            } else {
                self.unowned_since.entry(shard).or_insert(entry.at_ms);
            }
        }
    }

    /// Whether it is done, has an owner that lives, or must wait for a parent, or for any worker.
    fn is_cared_for(&self, shard: &str) -> bool {
        if self.alive.is_empty() {
            return true;
        }
        let owner = match self.rows.get(shard) {
            Some(None) => return true,
            Some(Some(row)) if row.mark == Mark::End => return true,
            Some(Some(row)) => row.holder(),
            None => None,
        };
        let mut parents = self.parents.get(shard).copied().unwrap_or_default().iter();
        owner.is_some_and(|owner| self.alive.contains_key(owner))
            || parents.any(|parent| !self.is_done(parent))
    }

    fn is_done(&self, shard: &str) -> bool {
        let row = self.rows.get(shard);
        row.is_some_and(|row| row.is_none_or(|row| row.mark == Mark::End))
    }
}

/// Every part of the key space has an owner that lives, within a bound: all the time in a gentle run, else from
/// the last fault on.
pub(super) fn every_shard_is_owned_in_time(history: &[Entry], gentle: bool) -> Result<(), String> {
    let (mut cover, mut counts_from) = (Cover::default(), gentle.then_some(0));
    let most = if gentle { UNOWNED_GENTLY_MAX_MS } else { UNOWNED_MAX_MS };
    for entry in history {
        if entry.what == What::Calm && !gentle {
            counts_from = Some(entry.at_ms);
        }
        if let (Some(from), false) = (counts_from, matches!(entry.what, What::Told(_))) {
            let late = cover
                .unowned_since
                .iter()
                .find(|(_, since)| entry.at_ms.saturating_sub((**since).max(from)) > most);
            if let Some((shard, since)) = late {
                return Err(format!("{shard} has no owner since {since} ms: {entry}"));
            }
        }
        cover.follow(entry);
    }
    Ok(())
}

/// After SIGTERM to all, nothing failing, no lease has an owner.
pub(super) fn leases_are_released_at_the_end(history: &[Entry]) -> Result<(), String> {
    history.iter().try_for_each(|entry| match &entry.what {
        What::Over { owned } if !owned.is_empty() => Err(format!("{owned:?} still have owners")),
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::history::{Death, Done};

    const LATE: u64 = 3_001;

    fn changed(who: Who, before: Row, after: Row) -> Vec<Entry> {
        let made = wrote(who, "s", None, Some(before.clone()));
        history(vec![made, wrote(who, "s", Some(before), Some(after))])
    }

    #[test]
    fn what_does_not_settle_is_told() {
        let stuck = vec![What::Unsettled("stuck".into())];
        assert_eq!(everything_settles(&history(stuck)), Err("stuck".into()));
    }

    #[test]
    fn a_checkpoint_that_moves_back_is_found_and_so_is_a_row_that_goes_too_early() {
        let at = |place| row(Some(A), 1, place);
        let (two, three) = (Mark::At(place(2)), Mark::At(place(3)));
        assert!(
            a_checkpoint_never_moves_back(&changed(A, at(three.clone()), at(two.clone()))).is_err()
        );
        assert!(
            a_checkpoint_never_moves_back(&changed(A, at(Mark::End), at(three.clone()))).is_err()
        );
        assert!(
            a_checkpoint_never_moves_back(&changed(A, at(two.clone()), at(Mark::Start))).is_err()
        );
        assert_eq!(a_checkpoint_never_moves_back(&changed(A, at(two.clone()), at(three))), Ok(()));
        let made = |mark| wrote(A, "s", None, Some(at(mark)));
        let gone = |mark: Mark| vec![made(mark.clone()), wrote(A, "s", Some(at(mark)), None)];
        assert!(a_checkpoint_never_moves_back(&history(gone(two))).is_err());
        assert_eq!(a_checkpoint_never_moves_back(&history(gone(Mark::End))), Ok(()));
        let again = [gone(Mark::End), vec![made(Mark::Start)]].concat();
        assert!(a_checkpoint_never_moves_back(&history(again)).is_err(), "it came back");
    }

    #[test]
    fn a_counter_that_stands_still_under_a_change_is_found() {
        let counts = |before, after, mark| {
            let (before, after) = (row(Some(A), before, Mark::Start), row(Some(A), after, mark));
            the_counter_grows_with_every_change(&changed(A, before, after))
        };
        assert!(counts(1, 1, Mark::End).is_err());
        assert!(counts(2, 1, Mark::Start).is_err());
        assert_eq!(counts(1, 1, Mark::Start), Ok(()), "a note of children leaves the counter");
        assert_eq!(counts(1, 2, Mark::End), Ok(()));
        let asked = Row { checkpoint_owner: Some(A.name()), ..row(Some(B), 1, Mark::Start) };
        let held = row(Some(A), 1, Mark::Start);
        let ask = changed(B, held.clone(), asked.clone());
        assert_eq!(the_counter_grows_with_every_change(&ask), Ok(()));
        let given = Row { checkpoint_owner: None, ..asked.clone() };
        assert!(the_counter_grows_with_every_change(&changed(A, asked, given)).is_err());
    }

    #[test]
    fn a_place_saved_by_a_stranger_or_by_an_older_life_is_found() {
        let at = |who, number| row(Some(who), number, Mark::At(place(number)));
        assert!(only_the_owner_saves_places(&changed(B, at(A, 1), at(A, 2))).is_err());
        assert_eq!(only_the_owner_saves_places(&changed(A, at(A, 1), at(A, 2))), Ok(()));
        let younger = Who { life: 2, ..A };
        let write = |who, from| wrote(who, "s", Some(at(A, from)), Some(at(A, from + 1)));
        let both = history(vec![write(A, 1), write(younger, 2), write(A, 3)]);
        assert!(only_the_owner_saves_places(&both).is_err());
        let handing_over = |number| Row { checkpoint_owner: Some(A.name()), ..at(B, number) };
        let last = changed(A, handing_over(1), handing_over(2));
        assert_eq!(only_the_owner_saves_places(&last), Ok(()), "in a hand-over it still may");
    }

    #[test]
    fn work_without_a_lease_is_found() {
        let take = |who| wrote(who, "s", None, Some(row(Some(who), 1, Mark::Start)));
        let begins = |local_ms| begun(A, 0, "s", &[1], local_ms);
        let holds = |whats| nothing_begins_without_a_lease(&history(whats));
        assert!(holds(vec![begins(0)]).is_err(), "never had it");
        assert_eq!(holds(vec![take(A), begins(LATE - 1)]), Ok(()));
        assert!(holds(vec![take(A), begins(LATE)]).is_err(), "did not renew it");
        let ended = wrote(A, "s", None, Some(row(Some(A), 1, Mark::End)));
        assert!(holds(vec![ended, begins(0)]).is_err(), "there is nothing to work on");
        assert!(holds(vec![take(A), take(B), begins(1)]).is_err(), "somebody else has it");
        let frozen = What::Stands(A, Standstill::Suspended, 9_000);
        assert_eq!(holds(vec![take(A), frozen.clone(), take(B), begins(1)]), Ok(()));
        let knew = vec![take(A), frozen, take(A), take(B), begins(1)];
        assert!(holds(knew).is_err(), "it has written since it stood still");
        let taking = What::Scenario { name: "", taking: true, latest: false };
        assert_eq!(holds(vec![taking, take(A), take(B), begins(1)]), Ok(()), "it was taken away");
    }

    #[test]
    fn two_calls_at_once_are_found() {
        let (a, b) = (begun(A, 0, "s", &[1], 0), begun(B, 0, "s", &[1], 0));
        let holds = |whats| no_two_work_on_a_shard_at_once(&history(whats));
        assert!(holds(vec![a.clone(), b.clone()]).is_err());
        assert_eq!(holds(vec![a.clone(), begun(B, 0, "t", &[1], 0)]), Ok(()));
        assert_eq!(holds(vec![a.clone(), done(A, 0, "s", Done::Dropped), b.clone()]), Ok(()));
        assert_eq!(holds(vec![a.clone(), What::Died(A, Death::Killed), b.clone()]), Ok(()));
        let stopped = What::Stands(A, Standstill::Stopped, 9_000);
        assert_eq!(holds(vec![a.clone(), stopped.clone(), b.clone()]), Ok(()));
        assert!(holds(vec![a, stopped, What::Resumes(A), b]).is_err());
    }

    #[test]
    fn a_fence_that_does_not_rise_is_found() {
        let begins = |who, fence| match begun(who, 0, "s", &[1], 0) {
            What::Begun { who, call, shard, records, local_ms, .. } => {
                What::Begun { who, call, shard, fence, records, local_ms }
            }
            other => other,
        };
        let holds = |fences: [u64; 2]| {
            a_fence_is_never_used_again(&history(vec![begins(A, fences[0]), begins(B, fences[1])]))
        };
        assert!(holds([2, 2]).is_err());
        assert!(holds([2, 1]).is_err());
        assert_eq!(holds([1, 2]), Ok(()));
    }

    #[test]
    fn a_shard_that_nobody_owns_for_long_is_found() {
        let at = |entries: Vec<(u64, What)>| -> Vec<Entry> {
            entries.into_iter().map(|(at_ms, what)| Entry { at_ms, what }).collect()
        };
        let shard = |id: &str, parents| (0, What::Shard { id: id.into(), parents });
        let take = |at_ms, id| (at_ms, wrote(A, id, None, Some(row(Some(A), 1, Mark::Start))));
        let end = UNOWNED_MAX_MS + 2;
        let holds = |entries, gentle| every_shard_is_owned_in_time(&at(entries), gentle);
        let born = (0, What::Born(A));
        assert!(holds(vec![born.clone(), shard("s", vec![]), take(end, "s")], true).is_err());
        assert_eq!(holds(vec![born.clone(), shard("s", vec![]), take(9, "s")], true), Ok(()));
        let died = (1, What::Died(A, Death::Killed));
        let other = (0, What::Born(B));
        let left =
            vec![other, born.clone(), shard("s", vec![]), take(0, "s"), died, take(end, "s")];
        assert!(holds(left.clone(), true).is_err());
        assert_eq!(holds(left, false), Ok(()), "only from the calm on");
        let waits = vec![born, shard("s", vec![]), take(0, "s"), shard("c", vec!["s".into()])];
        assert_eq!(holds([waits, vec![take(end, "c")]].concat(), true), Ok(()));
    }

    #[test]
    fn a_lease_that_is_left_behind_is_found() {
        let over = |owned| leases_are_released_at_the_end(&history(vec![What::Over { owned }]));
        assert!(over(vec!["s".into()]).is_err());
        assert_eq!(over(vec![]), Ok(()));
    }
}
