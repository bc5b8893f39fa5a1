//! One-shot commands that fail: one line, and an exit code that tells a refusal from a failure.

use std::io;
use std::process::{Command, Stdio};

use crate::support::{Up, rapids, rapids_at, run};

/// Nothing listens there: the port is reserved (tcpmux) and needs a privilege to be bound.
const NOWHERE: &str = "http://127.0.0.1:1";

/// Runs a command that fails; its one line on standard error without `error: `.
fn failure(command: &mut Command, expected: i32) -> String {
    let (stdout, stderr, code) = run(command);
    assert_eq!((stdout.as_str(), code), ("", expected), "{stderr}");
    let line = stderr.strip_suffix('\n').unwrap_or(&stderr);
    assert!(!line.contains('\n'), "more than one line: {stderr}");
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[test]
fn a_missing_stream_is_told_with_the_next_step() {
    let (_up, endpoint) = Up::with("none");
    let mut send = rapids_at(&endpoint);
    send.args(["--rapids", "Nowhere", "send", "ViewPage", "TheSource"]);
    let line = failure(&mut send, 1);
    assert!(line.starts_with("stream Nowhere does not exist: "), "{line}");
    assert!(line.contains("rapids bootstrap"), "{line}");

    let mut advertise = rapids_at(&endpoint);
    advertise.args(["--stage", "other", "advertise", "ViewPage"]);
    let line = failure(&mut advertise, 1);
    assert!(line.starts_with("stream Control-other does not exist: "), "{line}");

    let line = failure(rapids_at(&endpoint).args(["--stage", "other", "topics"]), 1);
    assert!(line.starts_with("table Topics-other does not exist: "), "{line}");
}

#[test]
fn bootstrap_makes_a_stage_and_can_be_repeated() {
    let (_up, endpoint) = Up::with("none");
    let bootstrap = || run(rapids_at(&endpoint).args(["--stage", "other", "bootstrap"]));
    let first = bootstrap();
    assert_eq!(first.2, 0, "{}", first.1);
    for name in ["Rapids-other", "Control-other-dlq", "Subscriptions-other", "Topics-other"] {
        assert!(first.0.contains(name), "{}", first.0);
    }
    assert_eq!(bootstrap(), first);
    let topics = run(rapids_at(&endpoint).args(["--stage", "other", "topics"]));
    assert_eq!(topics, ("[]\n".to_owned(), String::new(), 0));
}

#[test]
fn an_unreachable_endpoint_is_named() {
    for verb in [&["topics"][..], &["send", "ViewPage", "TheSource"], &["readfrom", "r1"]] {
        let line = failure(rapids_at(NOWHERE).args(verb), 1);
        assert!(line.contains(NOWHERE) && line.contains("refused"), "{line}");
    }
}

#[test]
fn a_missing_region_is_told() {
    let line = failure(rapids().arg("topics"), 1);
    assert!(line.contains("AWS_REGION"), "{line}");
}

#[test]
fn a_message_that_could_not_be_printed_stays_in_the_river() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader");
    for command in [&["subscribe", "r1", "ViewPage"][..], &["send", "ViewPage", "TheSource"]] {
        let (_, stderr, code) = run(rapids_at(&endpoint).args(command));
        assert_eq!(code, 0, "{stderr}");
    }
    let (reader, closed) = io::pipe().unwrap();
    drop(reader);
    let mut read = rapids_at(&endpoint);
    read.args(["readfrom", "r1", "--wait", "20"]).stdout(closed).stderr(Stdio::null());
    // Who has seen enough is no failure.
    assert_eq!(read.status().unwrap().code(), Some(0));

    let (stdout, stderr, code) = run(rapids_at(&endpoint).args(["readfrom", "r1"]));
    assert!(stdout.contains("TheSource"), "{stdout}{stderr}");
    assert_eq!(code, 0);
}

#[test]
fn a_refused_command_line_is_told_before_anything_is_done() {
    for (arguments, part) in [
        (&["--stage", "", "topics"][..], "stage \"\" is refused"),
        (&["--stage", "dev-eu", "topics"], "letters and digits"),
        (&["send", "ViewPage", "TheSource", "{\"name\":}"], "line 1 column 9"),
        (&["subscribe", "r 1", "ViewPage"], "river \"r 1\" is refused"),
        (&["subscribe", "r1", "View Page"], "topic \"View Page\" is refused"),
        (&["readfrom", "Rapids"], "river \"Rapids\" is refused"),
        (&["subscribe", "r1"], "<TOPIC>"),
        (&["fly"], "fly"),
        (&["up", "--embedded-services", "locations"], "offer-engine"),
        (&["--rapids", "Mine", "demo"], "--stage"),
    ] {
        // Whoever tried to do it would be told that nobody is there.
        let line = failure(rapids_at(NOWHERE).args(arguments), 64);
        assert!(line.contains(part), "{line}");
    }
}
