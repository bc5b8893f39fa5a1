//! The commands that look at what flows, and put right what got stuck.

use std::process::Stdio;

use serde_json::Value;

use crate::screen::play;
use crate::support::{Up, rapids_at, run};

#[test]
fn what_flows_is_shown_traced_explained_and_sent_again() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader,segmentation");
    play("watch", &endpoint);
}

#[test]
fn who_emits_and_who_consumes_is_told_from_what_was_seen() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader");
    play("flow", &endpoint);
}

#[test]
fn what_got_stuck_is_listed_shown_redriven_and_purged() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader,offer-engine");
    play("stuck", &endpoint);
}

#[test]
fn machines_are_told_the_same() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader,segmentation");
    let ask = |line: &str| {
        let (out, err, code) = run(rapids_at(&endpoint).args(line.split_whitespace()));
        assert_eq!(code, 0, "{line}: {err}");
        out
    };
    let one = |line: &str| serde_json::from_str::<Value>(&ask(line)).unwrap();
    let id = one(r#"send --json ViewPage web {"name":"Sally"}"#)["eventId"].to_string();
    let id = id.trim_matches('"');
    let traced = one(&format!("trace --json --wait 5 {id}"));
    assert_eq!(traced.to_string().matches("eventType").count(), 2, "{traced}");
    let explained = one(&format!("explain --json segmentation {id}"));
    assert_eq!(explained["delivered"], true);
    let tailed = ask("tail --json --no-follow --since 1h --type ViewPage");
    assert_eq!(serde_json::from_str::<Value>(&tailed).unwrap()["eventId"], id);
    let flow = one("flow --json --since 1h");
    assert!(flow.to_string().contains("CustomerSegmented"), "{flow}");
    assert_eq!(one("dlq list --json segmentation")["queues"][0]["messages"], 0);
}

#[test]
fn who_has_seen_enough_ends_a_command_without_a_word() {
    let (_up, endpoint) = Up::with("none");
    let (_, err, code) = run(rapids_at(&endpoint).args(["send", "A", "test"]));
    assert_eq!(code, 0, "{err}");
    let mut tail = rapids_at(&endpoint);
    tail.args(["tail", "--since", "1h", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    // As `head -0` does.
    drop(tail.stdout.take());
    let ended = tail.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert!(ended.status.success());
}
