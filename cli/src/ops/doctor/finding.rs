//! A finding, and how it is told.

use serde::Serialize;

use crate::output::Paint;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// Something does not work.
    Fail,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at.
    pub(super) what: String,
    /// How it is.
    pub(super) says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { level: Level::Ok, what: what.into(), says: says.into(), remedy: None }
    }

    pub(super) fn warn(
        what: impl Into<String>,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { level: Level::Warn, what: what.into(), says: says.into(), remedy }
    }

    pub(super) fn fail(
        what: impl Into<String>,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, ..Self::warn(what, says, remedy) }
    }

    /// What could not be looked at: no reason to believe that it is not well.
    pub(super) fn unseen(what: impl Into<String>, call: &str, error: &anyhow::Error) -> Self {
        let says = format!("could not be looked at: {}", chassis::explain(error.as_ref()));
        Self::warn(what, says, format!("let your role call {call}, or look by other means"))
    }

    /// For people.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let Self { level, what, says, remedy } = self;
        let word = match level {
            Level::Ok => paint.dim("ok  "),
            Level::Warn => "warn".to_owned(),
            Level::Fail => paint.bold("FAIL"),
        };
        let mut lines = vec![format!("{word}  {what}: {says}")];
        lines.extend(remedy.iter().map(|remedy| format!("      {remedy}")));
        lines
    }
}
