//! What commands print: JSON on standard output, notes for people on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Longest JSON that a terminal shows in one line.
const LINE_MAX: usize = 100;

/// Where and how a command answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Machine-readable answers were asked for.
    pub(crate) json: bool,
    /// A person reads standard output.
    pub(crate) terminal: bool,
}

impl Output {
    /// The output of this process.
    pub(crate) fn of_this_process(json: bool) -> Self {
        Self { json, terminal: io::stdout().is_terminal() }
    }

    /// Prints a value as JSON and makes sure that it is out.
    ///
    /// # Errors
    /// When nobody takes it, such as a pipe that is closed.
    pub(crate) fn print(self, value: &impl Serialize) -> anyhow::Result<()> {
        self.say(&render(value, self.terminal && !self.json)?)
    }

    /// Prints a line of text and makes sure that it is out.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn say(self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write the output")
    }

    /// Tells a person something that no script should have to skip.
    pub(crate) fn note(self, text: &str) {
        eprintln!("{text}");
    }

    /// Whether to colour: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn colours(self) -> bool {
        self.terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
    }
}

/// One line, or for people several if it is long.
fn render(value: &impl Serialize, for_people: bool) -> anyhow::Result<String> {
    let line = serde_json::to_string(value)?;
    if for_people && line.len() > LINE_MAX {
        return Ok(serde_json::to_string_pretty(value)?);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_people_get_long_answers_in_several_lines() {
        let (short, long) = (json!(["ViewPage"]), json!(vec!["ViewPage"; 20]));
        assert_eq!(render(&short, true).unwrap(), r#"["ViewPage"]"#);
        assert_eq!(render(&long, false).unwrap().lines().count(), 1);
        assert_eq!(render(&long, true).unwrap().lines().count(), 22);
    }
}
