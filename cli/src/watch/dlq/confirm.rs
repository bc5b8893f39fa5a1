//! Whether somebody is there, and means it.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;

/// Whether a person sits at both ends.
pub(super) fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether the next line of standard input is `word`.
pub(super) fn is_typed(word: &str) -> anyhow::Result<bool> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the answer")?;
    Ok(line.trim() == word)
}
