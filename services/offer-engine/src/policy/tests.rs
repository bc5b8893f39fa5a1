use proptest::prelude::*;
use serde_json::json;

use super::*;

const LIMITS: Limits = Limits { top: 3, per_offerer: 2 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn offer(id: &str, offerer: &str, specificity: usize, value: i64) -> Offer {
    Offer {
        offer_id: id.into(),
        offerer: offerer.into(),
        slot: "rental".into(),
        basis: String::new(),
        specificity,
        title: id.to_uppercase(),
        price: json!({"amount": "1", "currency": "USD"}),
        value,
        likelihood: 0.5,
        expires_at: None,
        supersedes: Vec::new(),
    }
}

fn chosen(offers: Vec<Offer>) -> Choice {
    choose(offers, at(100), LIMITS)
}

fn ids(choice: &Choice) -> Vec<&str> {
    choice.selected.iter().map(|selected| &*selected.offer.offer_id).collect()
}

fn reason<'a>(choice: &'a Choice, id: &str) -> &'a Reason {
    &choice.rejected.iter().find(|rejected| rejected.offer.offer_id == id).unwrap().reason
}

#[test]
fn what_fits_best_supersedes_what_the_same_offerer_said_before() {
    let choice = chosen(vec![
        offer("baseline", "location", 1, 9_000),
        offer("segment", "location", 2, 5_000),
        offer("combined", "location", 3, 2_000),
        offer("brand", "brand", 1, 800),
    ]);
    assert_eq!(ids(&choice), ["combined", "brand"]);
    let by = || Reason::Superseded { by: "combined".into() };
    assert_eq!((reason(&choice, "baseline"), reason(&choice, "segment")), (&by(), &by()));
}

#[test]
fn an_expired_offer_neither_wins_nor_supersedes() {
    let mut best = offer("best", "location", 3, 9_000);
    best.expires_at = Some(at(100));
    let choice = chosen(vec![best, offer("baseline", "location", 1, 10)]);
    assert_eq!(ids(&choice), ["baseline"]);
    assert_eq!(reason(&choice, "best"), &Reason::Expired);
}

#[test]
fn an_offerer_takes_back_its_own_offers_and_nobody_elses() {
    let mut greedy = offer("greedy", "brand", 1, 100);
    greedy.supersedes = vec!["own".into(), "theirs".into()];
    let choice =
        chosen(vec![offer("own", "brand", 1, 900), offer("theirs", "location", 1, 900), greedy]);
    assert_eq!(ids(&choice), ["theirs", "greedy"]);
    let mut a = offer("a", "brand", 1, 1);
    let mut b = offer("b", "brand", 1, 2);
    (a.supersedes, b.supersedes) = (vec!["b".into()], vec!["a".into()]);
    assert_eq!(ids(&chosen(vec![a, b])), ["a"]);
}

#[test]
fn no_offerer_has_more_than_its_share_and_the_selection_no_more_than_its_length() {
    let mut offers: Vec<_> =
        (1..=3).map(|n| offer(&format!("l{n}"), "location", 1, 900 + n)).collect();
    offers.extend((1..=2).map(|n| offer(&format!("b{n}"), "brand", 1, n)));
    let choice = chosen(offers);
    assert_eq!(ids(&choice), ["l3", "l2", "b2"]);
    assert_eq!(reason(&choice, "l1"), &Reason::Capped);
    assert_eq!(reason(&choice, "b1"), &Reason::Outranked);
}

#[test]
fn no_offers_is_a_choice_too() {
    assert_eq!(chosen(Vec::new()), Choice::default());
}

prop_compose! {
    fn any_offer()(
        id in "[a-f]", offerer in 0..3usize, specificity in 1..4usize, value in 0..4i64,
        expires in prop::option::of(98..103i64), supersedes in prop::collection::vec("[a-f]", 0..3),
    ) -> Offer {
        let offerer = ["brand", "location", "other"][offerer];
        Offer { expires_at: expires.map(at), supersedes, ..offer(&id, offerer, specificity, value) }
    }
}

/// Offers of one id are copies of each other.
fn any_offers() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec(any_offer(), 0..8).prop_map(|offers| {
        let mut by_id = BTreeMap::new();
        for offer in &offers {
            by_id.entry(offer.offer_id.clone()).or_insert_with(|| offer.clone());
        }
        offers.iter().map(|offer| by_id[&offer.offer_id].clone()).collect()
    })
}

proptest! {
    #[test]
    fn the_order_in_which_offers_came_changes_nothing(
        offers in any_offers(), seed in any::<u64>(),
    ) {
        let mut shuffled = offers.clone();
        // A small generator of its own: sorting by a keyed hash of the position.
        let mut order: Vec<usize> = (0..shuffled.len()).collect();
        order.sort_by_key(|n| (*n as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        shuffled = order.into_iter().map(|n| shuffled[n].clone()).collect();
        prop_assert_eq!(chosen(offers), chosen(shuffled));
    }

    #[test]
    fn every_offer_is_selected_or_rejected_with_a_reason(offers in any_offers()) {
        let count = offers.len();
        let choice = chosen(offers);
        prop_assert_eq!(choice.selected.len() + choice.rejected.len(), count);
        prop_assert!(choice.selected.len() <= LIMITS.top);
        for pair in choice.selected.windows(2) {
            prop_assert_eq!(better_first(&pair[0], &pair[1]), Ordering::Less);
        }
    }
}
