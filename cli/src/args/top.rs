//! The grammar of `rapids top`.

use std::time::Duration;

use clap::Args;

/// Settings of `top`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Top {
    /// Where figures come from: each daemon's /metrics, or a Prometheus that has them (its /federate is asked)
    #[arg(
        long,
        env = "RAPIDS_METRICS",
        value_name = "URL",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) metrics: Vec<String>,
    /// Of a Prometheus that has several stages: the namespace of one
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Time between two looks
    #[arg(long, default_value = "2s", value_parser = chassis::duration::parse)]
    pub(crate) every: Duration,
    /// Show one picture, after two looks, and end
    #[arg(long)]
    pub(crate) once: bool,
}
