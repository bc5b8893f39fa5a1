//! Dead-letter queues of a stage, and where their messages came from.

use anyhow::Context as _;
use event::names::{DEAD_LETTER_SUFFIX, River, Stage};

use crate::failure::Result;
use crate::session::Session;
use crate::watch::queue::Queue;

/// Where messages of a dead-letter queue belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// The rapids: the reader could not carry them.
    Rapids,
    /// The control stream: the control plane refused them.
    Control,
    /// A river: its service could not handle them, or SNS not deliver.
    River(River),
}

/// A dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetters {
    pub(super) queue: String,
    pub(super) home: Home,
}

impl DeadLetters {
    /// Those of the rapids.
    pub(super) fn of_rapids(stage: &Stage) -> Self {
        Self { queue: stage.rapids_quarantine(), home: Home::Rapids }
    }

    /// Those of the control stream.
    pub(super) fn of_control(stage: &Stage) -> Self {
        Self { queue: stage.control_quarantine(), home: Home::Control }
    }

    /// Those of a river.
    pub(super) fn of_river(river: River) -> Self {
        Self { queue: river.dead_letter_queue(), home: Home::River(river) }
    }

    /// Reads a word: a river, the name of a dead-letter queue, `rapids` or `control`.
    ///
    /// # Errors
    /// When it is none of them.
    pub(super) fn parse(word: &str, stage: &Stage) -> Result<Self> {
        for platform in [Self::of_rapids(stage), Self::of_control(stage)] {
            let name = platform.queue.split('-').next().unwrap_or_default();
            if word == platform.queue || word.eq_ignore_ascii_case(name) {
                return Ok(platform);
            }
        }
        // A river may end in `-dlq` itself, but not in the stage and that.
        let suffix = format!("-{stage}{DEAD_LETTER_SUFFIX}");
        let river = word.strip_suffix(&suffix).unwrap_or(word);
        Ok(Self::of_river(River::parse(river, stage)?))
    }

    /// The queue itself.
    ///
    /// # Errors
    /// When it does not exist, or what SQS refuses.
    pub(super) async fn open(&self, session: &Session) -> anyhow::Result<Queue> {
        let stage = &session.names.stage;
        let found = Queue::find(session, &self.queue).await?;
        found.with_context(|| {
            format!(
                "there is no queue {} in stage {stage}: `rapids dlq list` shows those that there are",
                self.queue
            )
        })
    }

    /// Where its messages belong, for people.
    pub(super) fn home(&self, session: &Session) -> String {
        match &self.home {
            Home::Rapids => format!("stream {}", session.names.rapids),
            Home::Control => format!("stream {}", session.names.control),
            Home::River(river) => format!("river {river}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_by_its_river_or_by_its_own_name() {
        let stage = Stage::parse("dev").unwrap();
        let parse = |word: &str| DeadLetters::parse(word, &stage);
        let river = parse("offer-engine").unwrap();
        assert_eq!(river.queue, "offer-engine-dev-dlq");
        assert_eq!(parse("offer-engine-dev-dlq").unwrap(), river);
        for word in ["rapids", "Rapids", "Rapids-dev-dlq"] {
            assert_eq!(parse(word).unwrap(), DeadLetters::of_rapids(&stage));
        }
        assert_eq!(parse("control").unwrap().queue, "Control-dev-dlq");
        assert!(parse("a b").is_err() && parse("").is_err());
    }
}
