//! Scripts: commands in, text out. `scripts/NAME.txt` is what somebody types, `scripts/NAME.out` what is on the
//! screen afterwards, with ids, times and signatures masked.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::{fs, process};

use crate::support::{Up, rapids_at};

/// What differs from run to run: the text before it, and the text after it.
const VARYING: [(&str, &str); 8] = [
    (r#""MessageId":""#, r#"""#),
    (r#""Timestamp":""#, r#"""#),
    (r#""Signature":""#, r#"""#),
    (r#""SigningCertURL":""#, r#"""#),
    (r#""UnsubscribeURL":""#, r#"""#),
    (r#"\"timestamp\":\""#, r#"\""#),
    (r#"\"eventId\":\""#, r#"\""#),
    ("sent ", "\n"),
];

#[test]
fn the_session_of_the_original_gives_the_answers_shown_there() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader");
    assert_eq!(play("session", &endpoint), 0);
}

#[test]
fn each_refused_line_is_told_and_the_others_are_done() {
    let (_up, endpoint) = Up::with("none");
    assert_eq!(play("refusals", &endpoint), 1);
}

#[test]
fn without_a_control_plane_commands_wait_on_their_stream() {
    let (_up, endpoint) = Up::with("none");
    assert_eq!(play("unapplied", &endpoint), 1);
}

#[test]
fn topics_are_described_and_what_breaks_consumers_is_refused() {
    let (_up, endpoint) = Up::with("control-plane");
    assert_eq!(play("advertise", &endpoint), 1);
}

/// Runs a script, compares what was on the screen, and gives the exit code.
fn play(name: &str, endpoint: &str) -> i32 {
    let file = |ending| {
        let name = format!("tests/scripts/{name}.{ending}");
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
    };
    let script = fs::File::open(file("txt")).unwrap();
    let expected = fs::read_to_string(file("out")).unwrap();

    // One pipe for both streams, as on a screen.
    let (mut screen, stdout) = io::pipe().unwrap();
    let stderr = stdout.try_clone().unwrap();
    let mut child = {
        let mut command = rapids_at(endpoint);
        command.arg("--echo").stdin(script).stdout(stdout).stderr(stderr);
        command.spawn().unwrap()
        // The ends of the pipe that the command holds are closed here.
    };
    let mut seen = String::new();
    screen.read_to_string(&mut seen).unwrap();
    let status: process::ExitStatus = child.wait().unwrap();

    let seen = mask(seen);
    assert!(seen == expected, "{name}.out differs from what was seen:\n{seen}");
    status.code().unwrap()
}

fn mask(mut text: String) -> String {
    for (before, after) in VARYING {
        let mut pieces = text.split(before);
        let mut masked = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let rest = piece.find(after).map_or("", |end| &piece[end..]);
            masked = masked + before + "…" + rest;
        }
        text = masked;
    }
    text
}
