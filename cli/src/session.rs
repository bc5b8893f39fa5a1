//! What the verbs work with: a stage, its streams, AWS, and somewhere to answer.

use std::time::SystemTime;

use anyhow::Context as _;
use aws_types::SdkConfig;
use chassis::Clock;
use event::names::Stage;
use jiff::Timestamp;

use crate::args::Options;
use crate::client::Aws;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// The stage of those who name none, as in the original.
pub(crate) const DEFAULT_STAGE: &str = "dev";

/// Names of what a session talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The deployment.
    pub(crate) stage: Stage,
    /// The stream with every event.
    pub(crate) rapids: String,
    /// The stream of control commands.
    pub(crate) control: String,
}

/// One user of one stage.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) names: Names,
    pub(crate) aws: Aws,
    pub(crate) output: Output,
    pub(crate) clock: Clock,
}

impl Names {
    /// The names that `options` give, with the stage's for those left out.
    ///
    /// # Errors
    /// [`Failure::Usage`], for a name that is refused.
    pub(crate) fn of(options: &Options) -> Result<Self> {
        let stage = Stage::parse(options.stage.as_deref().unwrap_or(DEFAULT_STAGE))?;
        let rapids = stream("--rapids", options.rapids.as_deref(), stage.rapids())?;
        let control =
            stream("--control-stream", options.control_stream.as_deref(), stage.control())?;
        Ok(Self { stage, rapids, control })
    }

    /// The stage alone, for those who start daemons: daemons name their streams after it.
    ///
    /// # Errors
    /// [`Failure::Usage`], also when a stream is named.
    pub(crate) fn of_the_stage(options: &Options) -> Result<Self> {
        if options.rapids.is_some() || options.control_stream.is_some() {
            let refusal = "the streams of embedded daemons are named after the stage: \
                           use --stage instead of --rapids and --control-stream";
            return Err(Failure::Usage(refusal.to_owned()));
        }
        Self::of(options)
    }
}

/// Kinesis refuses the same, but only once it is reached
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html>).
fn stream(option: &str, given: Option<&str>, default: String) -> Result<String> {
    let Some(name) = given else { return Ok(default) };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !(1..=128).contains(&name.len()) || !name.bytes().all(legal) {
        return Err(Failure::Usage(format!(
            "stream {name:?} of {option} is refused: a stream is 1 to 128 letters, digits, hyphens, \
             underscores and full stops (Kinesis)"
        )));
    }
    Ok(name.to_owned())
}

impl Session {
    /// A session on the AWS of the environment.
    ///
    /// # Errors
    /// A refused name, or no region.
    pub(crate) async fn open(options: &Options, output: Output) -> Result<Self> {
        let names = Names::of(options)?;
        let aws = Aws::of_the_environment().await?;
        Ok(Self { names, aws, output, clock: Clock::system() })
    }

    /// A session on an embedded AWS.
    pub(crate) fn embedded(names: Names, config: &SdkConfig, output: Output) -> Self {
        Self { names, aws: Aws::new(config), output, clock: Clock::system() }
    }

    /// The time now, as events carry it.
    pub(crate) fn now(&self) -> anyhow::Result<Timestamp> {
        timestamp(self.clock.now())
    }
}

fn timestamp(at: SystemTime) -> anyhow::Result<Timestamp> {
    Timestamp::try_from(at).context("the machine's clock is set to a time that no event can have")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(options: Options) -> Result<Names> {
        Names::of(&options)
    }

    #[test]
    fn streams_are_named_after_the_stage_unless_given() {
        let names = named(Options::default()).unwrap();
        assert_eq!((names.rapids.as_str(), names.control.as_str()), ("Rapids-dev", "Control-dev"));
        let given = Options {
            stage: Some("prod".into()),
            rapids: Some("Mine".into()),
            ..Options::default()
        };
        let names = named(given).unwrap();
        assert_eq!((names.rapids.as_str(), names.control.as_str()), ("Mine", "Control-prod"));
    }

    #[test]
    fn a_refused_name_is_a_usage_error_that_says_which() {
        let empty = || Some(String::new());
        for (options, name) in [
            (Options { stage: empty(), ..Options::default() }, "stage \"\""),
            (Options { rapids: empty(), ..Options::default() }, "--rapids"),
            (Options { control_stream: Some("a b".into()), ..Options::default() }, "a b"),
        ] {
            let failure = named(options).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
            assert!(failure.line().contains(name), "{}", failure.line());
        }
    }

    #[test]
    fn embedded_daemons_name_their_own_streams() {
        let options = Options { rapids: Some("Mine".into()), ..Options::default() };
        assert!(Names::of_the_stage(&options).unwrap_err().line().contains("--stage"));
    }
}
