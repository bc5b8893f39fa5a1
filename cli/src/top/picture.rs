//! The picture as text.

use crate::output::Paint;

use super::figures::{Figures, Offers};

/// Between two columns.
const GAP: &str = "  ";

/// All lines, the most important first: whoever has few rows loses what is last.
pub(super) fn lines(figures: &Figures, paint: Paint) -> Vec<String> {
    let mut lines = vec![offers(figures.offers.as_ref(), paint)];
    for (source, why) in &figures.down {
        lines.push(format!("{} {source}: {why}", paint.bold("down")));
    }
    let services = figures.services.iter().map(|it| {
        let check = if it.ill > 0 { format!("{} ill", it.ill) } else { "well".to_owned() };
        vec![
            it.service.clone(),
            it.version.clone(),
            it.processes.to_string(),
            check,
            rate(it.handled_per_second),
            rate(it.failed_per_second),
            count(Some(it.quarantined)),
            count(Some(it.in_flight)),
            seconds(it.handle_seconds_p95),
        ]
    });
    let heads = [
        "SERVICE",
        "VERSION",
        "UP",
        "SELF-CHECK",
        "HANDLED/S",
        "FAILED/S",
        "QUARANTINED",
        "IN FLIGHT",
        "P95",
    ];
    lines.extend(table(&heads, services.collect(), paint));
    let rivers = figures.rivers.iter().map(|it| {
        vec![
            it.river.clone(),
            count(it.visible),
            count(it.in_flight),
            count(it.delayed),
            count(it.dead),
            rate(it.settled_per_second),
            seconds(it.queue_seconds_p95),
        ]
    });
    let heads =
        ["RIVER", "WAITING", "IN FLIGHT", "DELAYED", "DEAD LETTERS", "SETTLED/S", "WAITED P95"];
    lines.extend(table(&heads, rivers.collect(), paint));
    let shards = figures.shards.iter().map(|it| {
        vec![
            it.shard.clone(),
            it.service.clone(),
            it.process.clone(),
            seconds(Some(it.behind_seconds)),
            seconds(it.checkpoint_age_seconds),
        ]
    });
    let heads = ["SHARD", "READ BY", "AT", "BEHIND", "CHECKPOINT AGE"];
    lines.extend(table(&heads, shards.collect(), paint));
    lines
}

fn offers(offers: Option<&Offers>, paint: Paint) -> String {
    let Some(it) = offers else {
        return paint.dim("no monitor among the sources: nothing is known of offers, probes and what waits in rivers");
    };
    let covered = it.covered.map_or("-".to_owned(), |ratio| format!("{:.1} %", 100.0 * ratio));
    let probe = match it.probe_age_seconds {
        Some(age) => format!("last passed {age:.0} s ago"),
        None => "none passed yet".to_owned(),
    };
    format!(
        "{} {:.0}/min   {} {:.0}/min   {} {covered}   {} {}   {} {:.0} of {:.0}, {probe}   {} {:.0}",
        paint.bold("views"),
        it.views_per_minute,
        paint.bold("selections"),
        it.selections_per_minute,
        paint.bold("covered"),
        paint.bold("time to offer p95"),
        seconds(it.seconds_p95),
        paint.bold("probes"),
        it.probes_passed,
        it.probes_passed + it.probes_failed,
        paint.bold("events missing"),
        it.events_missing,
    )
}

/// A table with a line before it; nothing where it has no rows. The first column is text, numbers stand to the right.
fn table(heads: &[&str], rows: Vec<Vec<String>>, paint: Paint) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default().max(heads[column].len())
    };
    let widths: Vec<_> = (0..heads.len()).map(width).collect();
    let is_number = |column: usize| {
        rows.iter().all(|row| row[column].starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    };
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    let heads: Vec<_> = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut lines = vec![String::new(), paint.dim(&line(&heads))];
    lines.extend(rows.iter().map(|row| line(row)));
    lines
}

fn rate(per_second: f64) -> String {
    if per_second >= 100.0 { format!("{per_second:.0}") } else { format!("{per_second:.1}") }
}

fn count(count: Option<f64>) -> String {
    count.map_or("-".to_owned(), |count| format!("{count:.0}"))
}

fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", 1_000.0 * seconds),
        Some(seconds) if seconds < 120.0 => format!("{seconds:.1} s"),
        Some(seconds) => format!("{:.0} min", seconds / 60.0),
    }
}
