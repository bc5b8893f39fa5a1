//! The original's prompt, with editing, history and completion.

mod complete;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use self::complete::{Completion, LOOK_UP_MAX, Wanted};
use crate::failure::Result;
use crate::script::execute;
use crate::session::Session;
use crate::verbs::list;

/// The prompt of the original.
pub(crate) const PROMPT: &str = "cmd > ";
/// Lines that are remembered from one session to the next.
const HISTORY_MAX: usize = 1_000;

/// Reads and runs lines until `exit` or the end of input.
///
/// # Errors
/// When the terminal fails. A command that fails is told and does not end the session.
pub(crate) fn run(runtime: &Runtime, session: &Session) -> Result<()> {
    let look_up = |wanted| names(runtime, session, wanted);
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)
        .context("history")?
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build();
    let mut editor = Editor::<_, FileHistory>::with_config(config).context("no line editor")?;
    editor.set_helper(Some(Completion::new(look_up)));
    let history = history_file();
    if let Some(file) = &history {
        editor.load_history(file).ok(); // There is none the first time.
    }
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => match execute(runtime, session, &line) {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => session.output.note(&format!("error: {}", failure.line())),
            },
            // Ctrl-C gives up the line, not the session.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(anyhow::Error::new(error).context("reading a line").into()),
        }
    }
    if let Some(file) = &history {
        editor.save_history(file).ok(); // A session without memory is still a session.
    }
    Ok(())
}

/// Names to complete with. A person is waiting: what cannot be had soon is no help.
fn names(runtime: &Runtime, session: &Session, wanted: Wanted) -> Vec<String> {
    let found = runtime.block_on(async {
        let found = async {
            match wanted {
                Wanted::River => list::rivers(session).await,
                Wanted::Topic => list::topics(session).await,
            }
        };
        timeout(LOOK_UP_MAX, found).await
    });
    found.ok().and_then(|names| names.ok()).unwrap_or_default()
}

/// Where history is kept by the XDG rules; nowhere when that place cannot be made.
fn history_file() -> Option<PathBuf> {
    let given = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = given.or_else(|| env::home_dir().map(|home| home.join(".local/state")))?;
    let folder = state.join("rapids");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
