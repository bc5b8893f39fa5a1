//! Commands from standard input, one a line.

use std::io;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::args::{Line, parse_line};
use crate::failure::{Failure, Result};
use crate::repl::PROMPT;
use crate::session::Session;
use crate::verbs;

/// Runs every line, those after a failed one too: an event that could not be sent is no reason not to look.
///
/// # Errors
/// [`Failure::Script`] when a line failed, which has then been told with its number.
pub(crate) fn run(runtime: &Runtime, session: &Session, echo: bool) -> Result<()> {
    let mut failed = false;
    for (index, line) in io::stdin().lines().enumerate() {
        let line = line.with_context(|| format!("cannot read line {} of the script", index + 1))?;
        if echo {
            session.output.say(&format!("{PROMPT}{line}"))?;
        }
        match execute(runtime, session, &line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(failure) => {
                session.output.note(&format!("error: line {}: {}", index + 1, failure.line()));
                failed = true;
            }
        }
    }
    if failed { Err(Failure::Script) } else { Ok(()) }
}

/// Runs one line; false when it ends the session.
pub(crate) fn execute(runtime: &Runtime, session: &Session, line: &str) -> Result<bool> {
    match parse_line(line)? {
        Line::Nothing => Ok(true),
        Line::Exit => Ok(false),
        Line::Help(text) => {
            session.output.say(text.trim_end())?;
            Ok(true)
        }
        Line::Verb(verb) => runtime.block_on(verbs::run(session, verb)).map(|()| true),
    }
}
