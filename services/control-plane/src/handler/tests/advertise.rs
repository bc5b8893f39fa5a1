//! Crashes while a topic is described: what was refused is in the quarantine, and what came again undoes nothing.

use super::*;
use crate::tables::Advertised;

const FIRST: &str = r#"{"command":"advertise","commandArgs":{"topic":"A","owner":"web","schema":{"type":["string","null"]}}}"#;
const NARROWER: &str =
    r#"{"command":"advertise","commandArgs":{"topic":"A","schema":{"type":"string"}}}"#;
const WIDER: &str = r#"{"command":"advertise","commandArgs":{"topic":"A","owner":"shop","schema":{"type":["string","integer"]}}}"#;
const FORCED: &str = r#"{"command":"advertise","commandArgs":{"topic":"A","force":true,"schema":{"type":"integer"}}}"#;

async fn advertised(handler: &Handler) -> Advertised {
    let topic = event::names::Topic::parse("A").unwrap();
    handler.reconciler.hands.tables.advertised(&topic).await.unwrap().unwrap()
}

async fn settle(handler: &Handler, batch: &Batch) {
    handler.process(batch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commands_that_come_again_undo_nothing_and_are_not_refused_by_what_they_led_to() {
    let world = World::breaking(Moment::Before, true).await;
    let handler = world.handler().await.unwrap();
    let all = batch(&[FIRST, NARROWER, FORCED]);
    settle(&handler, &all).await;
    let after = advertised(&handler).await;
    assert_eq!(after.entry.schema, Some(serde_json::json!({"type": "integer"})));
    settle(&handler, &all).await;
    assert_eq!(advertised(&handler).await, after);
    assert!(world.quarantined().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_in_the_row_and_in_the_quarantine_whenever_the_process_dies() {
    for moment in [Moment::Before, Moment::After] {
        for call in 1.. {
            let world = World::breaking(moment, true).await;
            let handler = world.handler().await.unwrap();
            world.breaks_at(call);
            let batch = batch(&[FIRST, WIDER]);
            let first = handler.process(&batch).await;
            if !world.is_broken() {
                assert!(call > 4, "only {call} calls were broken");
                break;
            }
            assert!(first.is_err(), "call {call} broke and nobody noticed");
            world.heals();
            let handler = world.handler().await.unwrap();
            settle(&handler, &batch).await;
            let after = advertised(&handler).await;
            assert_eq!(after.entry.owner.as_deref(), Some("web"), "call {call}, {moment:?}");
            assert!(after.refused.is_some(), "call {call}, {moment:?}");
            // Once, or once more where the answer of the quarantine was lost.
            let letters = world.quarantined().await;
            assert!(!letters.is_empty() && letters.len() <= 2, "call {call}, {moment:?}");
            assert!(letters.iter().all(|letter| letter == WIDER), "call {call}, {moment:?}");
        }
    }
}
