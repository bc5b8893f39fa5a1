//! `rapids top`: how a stage is, live, from what its daemons show at `/metrics`.

mod exposition;
mod figures;
mod picture;
mod source;

use std::collections::VecDeque;
use std::io::{Write as _, stdout};
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::args::top::Top;
use crate::output::Output;
use crate::signals::Signals;
use figures::{Figures, Reading};
use source::Source;

/// Shortest time between two looks: rates over less would only flicker.
const EVERY_LEAST: Duration = Duration::from_millis(100);
/// Rates are over so much time: what is told per minute would jump about over the time between two looks.
const WINDOW: Duration = Duration::from_secs(30);
/// Into the other screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the first line; what is behind the end of a line; what is below the last one.
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K\r\n";
const BELOW: &str = "\x1b[J";

/// Shows pictures until Ctrl-C, or one.
///
/// # Errors
/// Sources that cannot be read as such, and that none of them answers where one picture is wanted.
pub(crate) async fn run(settings: &Top, output: Output) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let sources = settings.metrics.iter().map(|url| Source::parse(url));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let every = settings.every.max(EVERY_LEAST);
    let live = output.terminal && !settings.once && !output.json;
    let _screen = live.then(Screen::enter);
    let namespace = settings.namespace.as_deref();
    let first = look(&sources, namespace).await?;
    if let (Some(namespace), true, true) =
        (namespace, first.processes.is_empty(), first.down.is_empty())
    {
        bail!(
            "no source shows anything of namespace {namespace}: without --namespace, the only one is shown, or all are named"
        );
    }
    let mut looks = Looks::from(first);
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = signals.next() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let figures = looks.add(look(&sources, namespace).await?);
        let now = looks.last();
        if live {
            draw(&picture::lines(&figures, output.paint()));
        } else if output.json {
            output.print(&figures)?;
        } else {
            output.say(&picture::lines(&figures, output.paint()).join("\n"))?;
        }
        if settings.once || (!live && !output.json) {
            if let (true, Some((source, why))) =
                (now.processes.is_empty(), now.down.first_key_value())
            {
                bail!("no source of figures answers; {source}: {why}");
            }
            return Ok(());
        }
    }
}

/// What was seen within the window, the oldest first.
struct Looks(VecDeque<Reading>);

impl Looks {
    fn from(first: Reading) -> Self {
        Self(VecDeque::from([first]))
    }

    /// One more look, and the figures by it.
    fn add(&mut self, now: Reading) -> Figures {
        while self.0.get(1).is_some_and(|second| now.at.duration_since(second.at) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        figures::of(&self.0[0], self.last())
    }

    fn last(&self) -> &Reading {
        &self.0[self.0.len() - 1]
    }
}

async fn look(sources: &[Source], namespace: Option<&str>) -> anyhow::Result<Reading> {
    let at = Instant::now();
    let answers = join_all(sources.iter().map(Source::read)).await;
    let mut reading = Reading::new(at, Timestamp::now());
    for (source, answer) in sources.iter().zip(answers) {
        reading.add(source.name(), answer.and_then(|text| exposition::parse(&text)));
    }
    reading.of_namespace(namespace).map_err(|several| {
        let several = several.join(", ");
        anyhow!("there are several namespaces, {several}: choose one by --namespace")
    })
}

/// As much of the picture as there is room for.
fn draw(lines: &[String]) {
    let rows = terminal_size::terminal_size().map_or(24, |(_, rows)| usize::from(rows.0));
    let mut text = HOME.to_owned();
    for line in lines.iter().take(rows.saturating_sub(1)) {
        text.push_str(line);
        text.push_str(END_OF_LINE);
    }
    text.push_str(BELOW);
    show(&text);
}

/// A terminal that is gone ends the command by its signal.
fn show(text: &str) {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// The other screen of the terminal, until dropped.
struct Screen;

impl Screen {
    fn enter() -> Self {
        show(ENTER);
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        show(LEAVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_the_window_however_often_one_looks() {
        let start = Instant::now();
        let look = |s: u64| Reading::new(start + Duration::from_secs(s), Timestamp::UNIX_EPOCH);
        let mut looks = Looks::from(look(0));
        for s in 1..100 {
            looks.add(look(s));
            let over = looks.last().at.duration_since(looks.0[0].at);
            assert_eq!(over, Duration::from_secs(s).min(WINDOW));
        }
    }
}
