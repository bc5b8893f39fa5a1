//! The commands that look after the machinery.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::screen::play;
use crate::support::{Up, rapids, rapids_at, run};

#[test]
fn a_stage_that_nobody_made_is_sick_and_says_of_what() {
    let (_up, endpoint) = Up::with("none");
    play("doctor_nobody", &endpoint);
}

#[test]
fn a_stage_in_order_is_well_and_a_river_without_service_is_told() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader,segmentation");
    play("doctor", &endpoint);
}

#[test]
fn what_was_changed_by_hand_is_found() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader");
    let (_, err, code) = run(rapids_at(&endpoint).args(["subscribe", "r1", "ViewPage"]));
    assert_eq!(code, 0, "{err}");
    delete_queue(&endpoint, "r1-dev");
    let (out, _, code) = run(rapids_at(&endpoint).args(["doctor", "--json"]));
    let found: Value = serde_json::from_str(&out).unwrap();
    let of_river = |finding: &&Value| finding["what"] == "river r1";
    let river = found["findings"].as_array().unwrap().iter().find(of_river).unwrap();
    assert_eq!((river["level"].as_str(), code), (Some("warn"), 0), "{out}");
    assert!(river["says"].as_str().unwrap().contains("create queue r1-dev"), "{river}");
    let (out, ..) = run(rapids_at(&endpoint).args(["plan"]));
    assert!(out.contains("create queue r1-dev"), "{out}");
}

#[test]
fn a_probe_passes_where_everybody_answers_and_names_the_stage_of_who_does_not() {
    let (_up, endpoint) = Up::with("all");
    let (out, err, code) = run(rapids_at(&endpoint).args(["probe", "--json"]));
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((verdict["passed"].as_bool(), code), (Some(true), 0), "{out}{err}");
    assert_eq!(verdict["reached"].as_array().unwrap().len(), 8, "{out}");
    let (out, err, code) =
        run(rapids_at(&endpoint).args(["probe", "--customer", "probe-nobody", "--wait", "4"]));
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("  baseline_location"), "{out}");
    assert!(
        out.contains(r#"FAILED    segment_event: segment is "None", not "RoadWarrior""#),
        "{out}"
    );
    assert!(out.contains("FAILED    combined_offer: it did not come"), "{out}");
    assert!(err.contains("rapids trace "), "{err}");
}

#[test]
fn top_says_that_a_namespace_is_not_there() {
    let mut up = Up::start(&["--json", "--embedded-services", "segmentation"]);
    let ready: Value = serde_json::from_str(&up.line()).unwrap();
    let metrics = format!("{}/metrics", ready["admin"]["segmentation"].as_str().unwrap());
    let top = ["top", "--once", "--every", "100ms", "--metrics", metrics.as_str()];
    let (out, err, code) = run(rapids().args(top));
    assert!(code == 0 && out.contains("segmentation"), "{out}{err}");
    let (out, err, code) = run(rapids().args(top).args(["--namespace", "nowhere"]));
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("namespace nowhere"), "{err}");
}

#[test]
fn a_probe_of_a_stage_that_nobody_made_says_so() {
    let (_up, endpoint) = Up::with("none");
    let (out, err, code) = run(rapids_at(&endpoint).args(["probe", "--stage", "other"]));
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.contains("Rapids-other") && err.contains("rapids bootstrap"), "{err}");
}

/// As somebody does in the console of AWS.
fn delete_queue(endpoint: &str, name: &str) {
    let address = endpoint.strip_prefix("http://").unwrap();
    let body = format!(r#"{{"QueueUrl":"{endpoint}/000000000000/{name}"}}"#);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.DeleteQueue\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn leases_are_listed_released_and_reset() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader");
    let ask = |line: &str, expected: i32| {
        let (out, err, code) = run(rapids_at(&endpoint).args(line.split_whitespace()));
        assert_eq!(code, expected, "{line}: {out}{err}");
        out + &err
    };
    let listed = |line: &str| -> Vec<Value> {
        let listed: Value = serde_json::from_str(&ask(line, 0)).unwrap();
        listed["leases"].as_array().unwrap().clone()
    };
    // The reader has them a moment after it is ready.
    let leases = (0..100).map(|_| listed("lease list --json"));
    let leases = leases.into_iter().find(|leases| leases.len() == 4).unwrap();
    assert!(leases.iter().all(|lease| lease["checkpoint"] == "TRIM_HORIZON"), "{leases:?}");
    assert_eq!(listed("lease list --json --application control-plane").len(), 1);
    assert!(ask("lease list", 0).contains("shardId-000000000003"));
    assert!(ask("lease list --application nobody", 0).contains("nobody-dev does not exist"));

    let shard = "shardId-000000000001";
    let refused = ask(&format!("lease reset {shard} --to trim-horizon --yes"), 64);
    assert!(refused.contains("say --force"), "{refused}");
    let refused = ask(&format!("lease reset {shard} --to trim-horizon --force"), 64);
    assert!(refused.contains("say --yes"), "{refused}");
    assert!(ask(&format!("lease reset {shard} --to noon"), 64).contains("trim-horizon"));
    assert!(ask("lease release shardId-9", 1).contains("rapids lease list"));
    assert!(ask(&format!("lease release {shard}"), 0).contains("released by"));
    // Whoever has it next reads on: nothing of the shard is lost.
    ask(&format!("lease reset {shard} --to 42 --force --yes"), 0);
    let of_shard = |leases: Vec<Value>| leases.into_iter().find(|it| it["shard"] == shard).unwrap();
    assert_eq!(of_shard(listed("lease list --json"))["checkpoint"], "42");
}
