//! `rapids query` is a program of its own, `rapids-query`: with DataFusion in it, this one would be four times as large.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::anyhow;

/// The program.
const PROGRAM: &str = "rapids-query";

/// Becomes the program, with the same environment and terminal; returns only to say why it could not.
pub(crate) fn run(arguments: &[OsString], json: bool) -> anyhow::Error {
    let program = std::env::current_exe().ok().and_then(|this| beside(&this));
    // Where it is not beside this one, it is looked for in PATH.
    let mut command = Command::new(program.unwrap_or_else(|| PathBuf::from(PROGRAM)));
    // The words of every command, in those of the program.
    let format: &[&str] = if json { &["--format", "json"] } else { &[] };
    let error = command.args(format).args(arguments).exec();
    match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "{PROGRAM} is neither beside this program nor in PATH: `cargo build -p {PROGRAM}` makes it, \
             a program of its own because of its size"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot run {PROGRAM}")),
    }
}

fn beside(this: &Path) -> Option<PathBuf> {
    let program = this.with_file_name(PROGRAM);
    program.is_file().then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_program_beside_this_one_path_decides() {
        assert_eq!(beside(Path::new("/nowhere/rapids")), None);
    }
}
