//! The life of a daemon, from its command line to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::arguments::{Arguments, Verb};
use crate::config::{self, Loaded, Problems, Settings, Sources};
use crate::warnings::Warning;
use crate::{
    Embedded, Kit, Service, VERSION, aws_config, duration, embed, explain, health, telemetry,
};

/// Exit code for a wrong command line or configuration (`EX_USAGE` of sysexits.h): a restart cannot help.
pub(crate) const USAGE_ERROR: u8 = 64;

/// The whole of a daemon's `main`.
///
/// Configuration (exit 64, every problem told) → logs → AWS clients → admin server → build (exit 1, one line) →
/// run → the first of SIGTERM, SIGINT and the end of the run → not ready → stop → at most `shutdown.grace` →
/// exit 0, or 1 when the run failed or did not end in time. A second signal exits at once.
#[must_use]
pub fn run<S: Service>(name: &'static str) -> ExitCode {
    let settings = config::keys_help(&config::defaults::<S::Config>());
    let arguments = match Arguments::parse(name, settings, std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(told) => return told,
    };
    let sources = Sources::of_this_process(arguments.config);
    let Loaded { settings, tree } = match sources.and_then(|sources| config::load(&sources)) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(name, &problems),
    };
    match arguments.verb {
        Verb::Run => live::<S>(name, settings),
        Verb::Health => health::check(settings.admin.address),
        Verb::PrintConfig => {
            print!("{}", config::effective(&tree));
            ExitCode::SUCCESS
        }
    }
}

fn refuse(name: &str, problems: &Problems) -> ExitCode {
    let count = problems.len();
    let plural = if count == 1 { "" } else { "s" };
    eprintln!(
        "error: {name} cannot start, its configuration has {count} problem{plural}:\n{problems}"
    );
    ExitCode::from(USAGE_ERROR)
}

fn live<S: Service>(name: &'static str, settings: Settings<S::Config>) -> ExitCode {
    let warnings = telemetry::start(&settings.log);
    let runtime = match runtime::Builder::new_multi_thread().enable_all().thread_name(name).build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let code = runtime.block_on(serve::<S>(name, settings, warnings));
    // What did not settle within the grace period is not waited for here either.
    runtime.shutdown_background();
    code
}

async fn serve<S: Service>(
    name: &'static str,
    settings: Settings<S::Config>,
    warnings: Receiver<Warning>,
) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let Settings { admin, shutdown, service: config, log: _ } = settings;
    let stop = CancellationToken::new();
    let start = async {
        let kit = Kit::new(name, aws_config().await).with_warnings(warnings);
        info!(
            service.name = name,
            service.version = VERSION,
            service.instance = kit.instance(),
            "starting"
        );
        embed::<S>(kit, config, Some(admin.address), stop.clone()).await
    };
    let embedded = tokio::select! {
        biased;
        signal = signals.next() => {
            info!(signal, "stopped before the start was over");
            return ExitCode::SUCCESS;
        }
        started = start => match started {
            Ok(embedded) => embedded,
            Err(error) => return fail(error.as_ref()),
        },
    };
    info!(admin.address = embedded.admin_address().map(tracing::field::display), "started");
    until_the_end(embedded, signals, stop, shutdown.grace).await
}

async fn until_the_end(
    embedded: Embedded,
    mut signals: Signals,
    stop: CancellationToken,
    grace: Duration,
) -> ExitCode {
    let readiness = embedded.readiness().clone();
    let mut end = std::pin::pin!(embedded.join());
    tokio::select! {
        biased;
        signal = signals.next() => {
            info!(signal, grace = duration::to_text(grace), "stopping");
            readiness.stop();
            stop.cancel();
        }
        ended = &mut end => return tell(ended),
    }
    tokio::select! {
        biased;
        ended = &mut end => tell(ended),
        signal = signals.next() => {
            warn!(signal, "told to stop again: exiting with work unsettled");
            ExitCode::FAILURE
        }
        () = sleep(grace) => {
            let grace = duration::to_text(grace);
            error!(grace, "work was not settled within shutdown.grace: exiting without it");
            ExitCode::FAILURE
        }
    }
}

fn tell(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(error = explain(error.as_ref()), "stopped with an error");
            ExitCode::FAILURE
        }
    }
}

/// One plain line, in whatever format the logs are: it is read by the person who just started the process.
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {}", explain(error));
    ExitCode::FAILURE
}

/// SIGTERM from an orchestrator, SIGINT from a keyboard; they mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one, and says which it is.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
