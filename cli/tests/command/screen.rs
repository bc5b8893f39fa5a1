//! Sessions in a shell: `scripts/NAME.sh` is what somebody types, `scripts/NAME.screen` what is on the screen afterwards,
//! with ids and times masked.
//!
//! `$1` is the id of the first event that the session sent, and so on; a line `until TEXT: COMMAND` gives the command
//! again and again until its answer has the text.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

use crate::support::{rapids_at, run};

/// Answers that are waited for: half a minute, far longer than anything here takes.
const LOOKS_MAX: u32 = 300;
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Where the scripts are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// Runs each line of a script as a command of its own, in the folder of the scripts, and compares.
pub(crate) fn play(name: &str, endpoint: &str) {
    let script = fs::read_to_string(folder().join(format!("{name}.sh"))).unwrap();
    let mut session = Session { endpoint, ids: Vec::new(), screen: String::new() };
    for line in script.lines() {
        match line.strip_prefix("until ") {
            Some(line) => session.until(line),
            None => session.once(line),
        }
    }
    let seen = session.screen;
    let expected = fs::read_to_string(folder().join(format!("{name}.screen"))).unwrap();
    assert!(seen == expected, "{name}.screen differs from what was seen:\n{seen}");
}

struct Session<'a> {
    endpoint: &'a str,
    /// Of the events that were sent.
    ids: Vec<String>,
    screen: String,
}

impl Session<'_> {
    fn once(&mut self, line: &str) {
        let answer = self.answer(line);
        self.show(line, &answer);
    }

    fn until(&mut self, line: &str) {
        let (text, line) = line.split_once(": ").unwrap();
        for _ in 0..LOOKS_MAX {
            let answer = self.answer(line);
            if answer.contains(text) {
                return self.show(line, &answer);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        panic!("{line}: in vain for {text:?}");
    }

    /// Both streams and the exit code, if it is not 0.
    fn answer(&self, line: &str) -> String {
        let mut line = line.strip_prefix("rapids ").unwrap().to_owned();
        for (nth, id) in self.ids.iter().enumerate() {
            line = line.replace(&format!("${}", nth + 1), id);
        }
        let mut command = rapids_at(self.endpoint);
        command.args(line.split_whitespace()).current_dir(folder());
        let (out, err, code) = run(&mut command);
        let code = if code == 0 { String::new() } else { format!("[{code}]\n") };
        out + &err + &code
    }

    fn show(&mut self, line: &str, answer: &str) {
        let sent = answer.lines().filter_map(|line| line.strip_prefix("sent "));
        self.ids.extend(sent.map(str::to_owned));
        writeln!(self.screen, "$ {line}").unwrap();
        for line in answer.lines() {
            writeln!(self.screen, "{}", mask(line, &self.ids)).unwrap();
        }
    }
}

/// Nobody knows an id, or the time, before.
fn mask(line: &str, ids: &[String]) -> String {
    let mut line = line.to_owned();
    for (nth, id) in ids.iter().enumerate() {
        line = line.replace(id, &format!("<{}>", nth + 1));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:.+<>".contains(c);
    let mut masked = String::new();
    let mut rest = line.as_str();
    while let Some(begin) = rest.find(is_word) {
        let (before, from) = rest.split_at(begin);
        let (word, after) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
        masked += before;
        // Times since, in columns as wide as they are long; counts of what nobody counts.
        let since = after.starts_with(" ms");
        if since {
            masked.truncate(masked.trim_end().len());
        }
        let count = after.starts_with(" times")
            || (masked.ends_with(" of ") && after.starts_with(" events"));
        let hide = varies(word) || since || count || after.starts_with(" s ago");
        masked += if hide { "…" } else { word };
        rest = after;
    }
    masked + rest
}

/// An id or its begin, a time of day or a date with one, a time since.
fn varies(word: &str) -> bool {
    let digits = |c: char| c.is_ascii_digit();
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<_> = word.split('-').collect();
    let is_id = parts.iter().all(|part| hex(part))
        && match parts[..] {
            [short] => short.len() == 8 && short.contains(digits),
            [a, b, c, d, e] => [a, b, c, d, e].map(str::len) == [8, 4, 4, 4, 12],
            _ => false,
        };
    let is_time = word.matches(':').count() == 2 && word.contains(digits);
    is_id || is_time || (word.starts_with('+') && word.contains(digits))
}

#[test]
fn ids_and_times_are_masked_and_nothing_else() {
    let id = "01a20a16-d2bd-779e-a089-ef6a7a30dbf7";
    assert_eq!(mask(&format!("sent {id}"), &[id.to_owned()]), "sent <1>");
    assert_eq!(mask(&format!("event {id} of 01a20a16"), &[]), "event … of …");
    assert_eq!(mask("20:25:55.111  A, 2026-11-23T20:25:55Z; 3 s ago", &[]), "…  A, …; … s ago");
    assert_eq!(
        mask("river r1: 12 of 256 bytes, deadbeef", &[]),
        "river r1: 12 of 256 bytes, deadbeef"
    );
}
