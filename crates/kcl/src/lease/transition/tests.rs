use super::*;

fn lease() -> Lease {
    Lease {
        owner: Some("a".into()),
        counter: 4,
        ..Lease::new("shardId-000000000000", Checkpoint::TrimHorizon)
    }
}

fn asked() -> Lease {
    Transition::Ask { worker: "b".into() }.apply(&lease())
}

const RENEW: Transition = Transition::Renew { throughput: None };

#[test]
fn a_renewal_is_refused_once_the_counter_moved_or_a_hand_over_began() {
    let write = RENEW.write(&lease());
    assert_eq!(
        write.condition,
        "leaseCounter = :seenCounter AND attribute_not_exists(checkpointOwner)"
    );
    assert_eq!(write.update, "SET leaseCounter = :leaseCounter");
    assert_eq!(write.values[":seenCounter"], AttributeValue::N("4".into()));
    assert_eq!(write.values[":leaseCounter"], AttributeValue::N("5".into()));
}

#[test]
fn a_holder_that_knows_of_the_hand_over_goes_on_renewing() {
    let write = RENEW.write(&asked());
    assert_eq!(write.condition, "leaseCounter = :seenCounter");
    assert_eq!(write.update, "SET leaseCounter = :leaseCounter");
}

#[test]
fn a_renewal_tells_the_throughput_in_six_decimals() {
    let write = Transition::Renew { throughput: Some(1.234_567_89) }.write(&lease());
    assert_eq!(write.values[":throughputKBps"], AttributeValue::N("1.234568".into()));
}

#[test]
fn taking_counts_a_switch_only_when_another_owner_is_replaced() {
    let take = Transition::Take { worker: "b".into() };
    assert_eq!(take.apply(&lease()).owner_switches, 1);
    assert_eq!(take.apply(&Lease { owner: None, ..lease() }).owner_switches, 0);
    assert_eq!(take.apply(&Lease { owner: Some("b".into()), ..lease() }).owner_switches, 0);
}

#[test]
fn asking_leaves_the_counter_alone_so_that_the_holder_can_go_on() {
    let write = Transition::Ask { worker: "b".into() }.write(&lease());
    assert_eq!(
        write.condition,
        "leaseOwner = :seenOwner AND attribute_not_exists(checkpointOwner)"
    );
    assert_eq!(write.update, "SET checkpointOwner = :checkpointOwner, leaseOwner = :leaseOwner");
    assert_eq!(write.values[":checkpointOwner"], AttributeValue::S("a".into()));
    assert_eq!(write.values[":leaseOwner"], AttributeValue::S("b".into()));
    assert_eq!(asked().holder(), Some("a"));
    assert_eq!(asked().counter, lease().counter);
}

#[test]
fn handing_over_makes_the_next_owner_the_holder() {
    let write = Transition::HandOver.write(&asked());
    assert_eq!(
        write.condition,
        "leaseCounter = :seenCounter AND leaseOwner = :seenOwner AND checkpointOwner = :seenCheckpointOwner"
    );
    assert_eq!(
        write.update,
        "SET leaseCounter = :leaseCounter, ownerSwitchesSinceCheckpoint = :ownerSwitchesSinceCheckpoint \
         REMOVE checkpointOwner"
    );
    let after = Transition::HandOver.apply(&asked());
    assert_eq!((after.holder(), after.counter, after.owner_switches), (Some("b"), 5, 1));
}

#[test]
fn a_checkpoint_clears_switches_and_pending_state() {
    let checkpoint = Checkpoint::parse("77", 0).unwrap();
    let write = Transition::Checkpoint(checkpoint).write(&Lease { owner_switches: 3, ..lease() });
    assert_eq!(
        write.update,
        "SET checkpoint = :checkpoint, checkpointSubSequenceNumber = :checkpointSubSequenceNumber, \
         leaseCounter = :leaseCounter, ownerSwitchesSinceCheckpoint = :ownerSwitchesSinceCheckpoint \
         REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState"
    );
    assert_eq!(write.values[":ownerSwitchesSinceCheckpoint"], AttributeValue::N("0".into()));
}

#[test]
fn giving_up_removes_the_owner_and_moves_the_counter() {
    let write = Transition::Evict.write(&lease());
    assert_eq!(write.update, "SET leaseCounter = :leaseCounter REMOVE leaseOwner");
    assert_eq!(Transition::Evict.apply(&lease()).owner, None);
}

#[test]
fn a_time_is_pinned_once() {
    let write = Transition::Pin(17).write(&lease());
    assert_eq!(
        write.condition,
        "attribute_exists(leaseKey) AND attribute_not_exists(initialTimestampMillis)"
    );
    assert_eq!(write.update, "SET initialTimestampMillis = :initialTimestampMillis");
}

#[test]
fn a_lease_is_deleted_only_as_it_was_seen() {
    let write = Transition::Delete.write(&lease());
    assert_eq!(
        (write.condition.as_str(), write.update.as_str()),
        ("leaseCounter = :seenCounter", "")
    );
}

#[test]
fn only_our_own_write_is_taken_for_ours() {
    for seen in [lease(), asked()] {
        for transition in [
            RENEW,
            Transition::Take { worker: "b".into() },
            Transition::Checkpoint(Checkpoint::ShardEnd),
        ] {
            let after = transition.apply(&seen);
            assert!(transition.has_happened(&seen, &after), "{transition:?}");
            let other = Lease { owner: Some("c".into()), checkpoint_owner: None, ..after.clone() };
            assert!(!transition.has_happened(&seen, &other), "{transition:?}");
            let later = Lease { counter: after.counter + 1, ..after };
            assert!(!transition.has_happened(&seen, &later), "{transition:?}");
        }
    }
    let evicted = Transition::Evict.apply(&lease());
    assert!(Transition::Evict.has_happened(&lease(), &evicted));
}

#[test]
fn a_renewal_whose_reply_was_lost_is_recognised_although_a_hand_over_was_asked_for_since() {
    let renewed = RENEW.apply(&lease());
    let current = Transition::Ask { worker: "b".into() }.apply(&renewed);
    assert!(RENEW.has_happened(&lease(), &current));
}

#[test]
fn a_wish_that_is_taken_back_leaves_the_lease_as_it_was() {
    let write = Transition::Withdraw.write(&asked());
    assert_eq!(
        write.condition,
        "leaseOwner = :seenOwner AND checkpointOwner = :seenCheckpointOwner"
    );
    assert_eq!(write.update, "SET leaseOwner = :leaseOwner REMOVE checkpointOwner");
    assert_eq!(write.values[":leaseOwner"], AttributeValue::S("a".into()));
    assert_eq!(Transition::Withdraw.apply(&asked()), lease());
    assert!(Transition::Withdraw.has_happened(&asked(), &lease()));
}

#[test]
fn a_hand_over_is_not_taken_for_our_own_taking_of_the_lease() {
    let next = asked().owner.unwrap();
    let handed_over = Transition::HandOver.apply(&asked());
    assert!(!Transition::Take { worker: next }.has_happened(&asked(), &handed_over));
}
