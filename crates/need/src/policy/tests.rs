use proptest::prelude::*;

use super::*;

const RANKED: Policy = Policy::Ranked { top: 3, per_source: 2 };
const ALL: [Policy; 5] = [RANKED, Policy::Best, Policy::First, Policy::Quorum(2), Policy::All];

#[derive(Clone, Debug, PartialEq)]
struct Thing {
    id: String,
    source: String,
    specificity: usize,
    score: f64,
    expires_at: Option<Timestamp>,
    supersedes: Vec<String>,
}

impl Candidate for Thing {
    fn id(&self) -> &str {
        &self.id
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn specificity(&self) -> usize {
        self.specificity
    }

    fn score(&self) -> f64 {
        self.score
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    fn supersedes(&self) -> &[String] {
        &self.supersedes
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn thing(id: &str, source: &str, specificity: usize, score: u32) -> Thing {
    Thing {
        id: id.into(),
        source: source.into(),
        specificity,
        score: f64::from(score),
        expires_at: None,
        supersedes: Vec::new(),
    }
}

/// They come a second after each other.
fn come(things: Vec<Thing>) -> Vec<Solution<Thing>> {
    let come = things.into_iter().zip(0..);
    come.map(|(value, second)| Solution { value, at: at(second), late: false }).collect()
}

fn chosen(policy: Policy, things: Vec<Thing>) -> Choice<Thing> {
    policy.choose(come(things), at(100))
}

fn ids(choice: &Choice<Thing>) -> Vec<&str> {
    choice.selected.iter().map(|selected| &*selected.solution.id).collect()
}

fn reason<'a>(choice: &'a Choice<Thing>, id: &str) -> &'a Reason {
    &choice.rejected.iter().find(|rejected| rejected.solution.id == id).unwrap().reason
}

#[test]
fn what_fits_best_supersedes_what_the_same_source_said_before() {
    let choice = chosen(
        RANKED,
        vec![
            thing("baseline", "location", 1, 9_000),
            thing("segment", "location", 2, 5_000),
            thing("combined", "location", 3, 2_000),
            thing("brand", "brand", 1, 800),
        ],
    );
    assert_eq!(ids(&choice), ["combined", "brand"]);
    let by = || Reason::Superseded { by: "combined".into() };
    assert_eq!((reason(&choice, "baseline"), reason(&choice, "segment")), (&by(), &by()));
}

#[test]
fn an_expired_solution_neither_wins_nor_supersedes() {
    for policy in [RANKED, Policy::Best, Policy::First, Policy::All] {
        let mut best = thing("best", "location", 3, 9_000);
        best.expires_at = Some(at(100));
        let choice = chosen(policy, vec![best, thing("baseline", "location", 1, 10)]);
        assert_eq!(ids(&choice), ["baseline"], "{policy:?}");
        assert_eq!(reason(&choice, "best"), &Reason::Expired);
    }
}

#[test]
fn a_source_takes_back_its_own_solutions_and_nobody_elses() {
    let mut greedy = thing("greedy", "brand", 1, 100);
    greedy.supersedes = vec!["own".into(), "another".into(), "theirs".into()];
    let (own, another) = (thing("own", "brand", 1, 900), thing("another", "brand", 3, 900));
    let theirs = thing("theirs", "location", 1, 900);
    let choice = chosen(RANKED, vec![own, another, theirs, greedy]);
    assert_eq!(ids(&choice), ["theirs", "greedy"]);
    let by = Reason::Superseded { by: "greedy".into() };
    assert_eq!((reason(&choice, "own"), reason(&choice, "another")), (&by, &by));
}

#[test]
fn of_solutions_that_replace_each_other_one_is_left() {
    let replacing = |id: &str, other: &str| Thing {
        supersedes: vec![other.into()],
        ..thing(id, "brand", 1, 1)
    };
    assert_eq!(ids(&chosen(RANKED, vec![replacing("a", "b"), replacing("b", "a")])), ["a"]);
    let circle = vec![replacing("a", "b"), replacing("b", "c"), replacing("c", "a")];
    assert_eq!(ids(&chosen(RANKED, circle)), ["a"]);
    let chain = vec![thing("a", "brand", 1, 1), replacing("b", "a"), replacing("c", "b")];
    assert_eq!(ids(&chosen(RANKED, chain)), ["c"]);
    assert_eq!(ids(&chosen(RANKED, vec![replacing("a", "a")])), ["a"]);
}

#[test]
fn no_source_has_more_than_its_share_and_the_choice_no_more_than_its_length() {
    let mut things: Vec<_> = [("l1", 901), ("l2", 902), ("l3", 903)]
        .map(|(id, score)| thing(id, "location", 1, score))
        .into();
    things.extend([("b1", 1), ("b2", 2)].map(|(id, score)| thing(id, "brand", 1, score)));
    let choice = chosen(RANKED, things);
    assert_eq!(ids(&choice), ["l3", "l2", "b2"]);
    assert_eq!(reason(&choice, "l1"), &Reason::Capped);
    assert_eq!(reason(&choice, "b1"), &Reason::Outranked);
}

#[test]
fn the_other_policies_do_what_they_are_called() {
    let things = || vec![thing("b", "x", 1, 5), thing("c", "y", 1, 9), thing("a", "x", 2, 7)];
    let ids_of = |policy| chosen(policy, things()).selected.into_iter().map(|it| it.solution.id);
    let ids_of = |policy| ids_of(policy).collect::<Vec<_>>();
    assert_eq!(ids_of(Policy::First), ["b"]);
    assert_eq!(ids_of(Policy::Best), ["c"]);
    assert_eq!(ids_of(Policy::Quorum(2)), ["b", "c"]);
    assert_eq!(ids_of(Policy::Quorum(4)), <[&str; 0]>::default());
    assert_eq!(ids_of(Policy::All), ["c", "a", "b"]);
    assert_eq!(reason(&chosen(Policy::First, things()), "c"), &Reason::Overtaken);
    assert_eq!(reason(&chosen(Policy::Quorum(4), things()), "c"), &Reason::Alone);
}

#[test]
fn first_and_quorum_know_when_enough_has_come() {
    let two = come(vec![thing("a", "x", 1, 1), thing("b", "x", 1, 1)]);
    for policy in ALL {
        assert_eq!(policy.completes(), policy.is_complete(&two), "{policy:?}");
        assert!(!policy.is_complete::<Thing>(&[]));
    }
    assert!(!Policy::Quorum(3).is_complete(&two));
}

#[test]
fn nothing_is_a_choice_too() {
    for policy in ALL {
        let choice = chosen(policy, Vec::new());
        assert!(choice.selected.is_empty() && choice.rejected.is_empty());
    }
}

prop_compose! {
    fn any_thing()(
        id in "[a-f]", source in 0..3usize, specificity in 1..4usize, score in 0..4u32,
        expires in prop::option::of(98..103i64), supersedes in prop::collection::vec("[a-f]", 0..3),
        second in 0..4i64, late in any::<bool>(),
    ) -> Solution<Thing> {
        let source = ["brand", "location", "other"][source];
        let value = Thing {
            expires_at: expires.map(at), supersedes, ..thing(&id, source, specificity, score)
        };
        Solution { value, at: at(second), late }
    }
}

/// Those of one id are copies of each other.
fn any_things() -> impl Strategy<Value = Vec<Solution<Thing>>> {
    prop::collection::vec(any_thing(), 0..8).prop_map(|things| {
        let mut by_id = BTreeMap::new();
        for thing in &things {
            by_id.entry(thing.value.id.clone()).or_insert_with(|| thing.clone());
        }
        things.iter().map(|thing| by_id[&thing.value.id].clone()).collect()
    })
}

proptest! {
    #[test]
    fn the_order_in_which_solutions_are_read_changes_nothing(
        things in any_things(), seed in any::<u64>(),
    ) {
        // A small generator of its own: sorting by a keyed hash of the position.
        let mut order: Vec<usize> = (0..things.len()).collect();
        order.sort_by_key(|n| (*n as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        let shuffled: Vec<_> = order.into_iter().map(|n| things[n].clone()).collect();
        for policy in ALL {
            prop_assert_eq!(policy.choose(things.clone(), at(100)), policy.choose(shuffled.clone(), at(100)));
        }
    }

    #[test]
    fn every_solution_is_chosen_or_rejected_with_a_reason(things in any_things()) {
        for policy in ALL {
            let choice = policy.choose(things.clone(), at(100));
            prop_assert_eq!(choice.selected.len() + choice.rejected.len(), things.len());
        }
        let standing = things.iter().any(|it| it.value.expires_at.is_none());
        let choice = RANKED.choose(things, at(100));
        prop_assert!(choice.selected.len() <= 3 && (!standing || !choice.selected.is_empty()));
        for pair in choice.selected.windows(2) {
            prop_assert_eq!(better_first(&pair[0], &pair[1]), Ordering::Less);
        }
    }
}
