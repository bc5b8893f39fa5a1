//! `rapids top`: how a stage is, live, from what its daemons show at `/metrics`.

mod exposition;
mod figures;
mod picture;
mod source;

use std::io::{Write as _, stdout};
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::args::top::Top;
use crate::output::Output;
use crate::signals::Signals;
use figures::Reading;
use source::Source;

/// Shortest time between two looks: rates over less would only flicker.
const EVERY_LEAST: Duration = Duration::from_millis(100);
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
    let mut before = look(&sources).await;
    let mut ticks = interval_at(before.at + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = signals.next() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let now = look(&sources).await;
        let figures = figures::of(&before, &now);
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
        before = now;
    }
}

async fn look(sources: &[Source]) -> Reading {
    let at = Instant::now();
    let answers = join_all(sources.iter().map(Source::read)).await;
    let mut reading = Reading::new(at, Timestamp::now());
    for (source, answer) in sources.iter().zip(answers) {
        reading.add(source.name(), answer.and_then(|text| exposition::parse(&text)));
    }
    reading
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
