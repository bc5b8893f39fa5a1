//! What commands print: JSON on standard output, notes for people on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Longest JSON that a terminal shows in one line.
const LINE_MAX: usize = 100;

/// Characters of an id that people are shown.
const SHORT: usize = 8;

/// Who reads the output has seen enough, as `head` does.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub(crate) struct NobodyReads;

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
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(NobodyReads.into()),
            written => written.context("cannot write the output"),
        }
    }

    /// Tells a person something that no script should have to skip.
    pub(crate) fn note(self, text: &str) {
        eprintln!("{text}");
    }

    /// Whether to colour: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn colours(self) -> bool {
        self.terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
    }

    /// The colours of this output.
    pub(crate) fn paint(self) -> Paint {
        Paint(self.colours())
    }

    /// Whether answers are to be read rather than parsed.
    pub(crate) fn is_for_people(self) -> bool {
        !self.json
    }

    /// Columns of the terminal; none where there is no terminal to cut lines for.
    pub(crate) fn width(self) -> Option<usize> {
        let (columns, _) = terminal_size::terminal_size().filter(|_| self.terminal)?;
        Some(columns.0.into())
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("\x1b[2m", text)
    }

    /// What matters most.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("\x1b[1m", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("{code}{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The begin of an id, enough for people to tell ids apart.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

/// A text of at most `width` characters, with a mark where it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { kept } else { kept + "…" }
}

/// How far a long work is, on one line of standard error that is written again and again; silent where standard
/// error is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self { shown: false }
    }

    /// Shows it in place of what was shown before.
    pub(crate) fn show(&mut self, text: &str) {
        if io::stderr().is_terminal() {
            // A line of progress that cannot be written is no loss.
            write!(io::stderr().lock(), "\r\x1b[2K{text}").ok();
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            write!(io::stderr().lock(), "\r\x1b[2K").ok();
        }
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
    fn what_is_too_long_is_cut_with_a_mark() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut("größer", 0), "");
        assert_eq!(short("019ab2c4-aaaa"), "019ab2c4");
    }

    #[test]
    fn only_people_get_long_answers_in_several_lines() {
        let (short, long) = (json!(["ViewPage"]), json!(vec!["ViewPage"; 20]));
        assert_eq!(render(&short, true).unwrap(), r#"["ViewPage"]"#);
        assert_eq!(render(&long, false).unwrap().lines().count(), 1);
        assert_eq!(render(&long, true).unwrap().lines().count(), 22);
    }
}
