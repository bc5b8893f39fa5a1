//! What was measured, as tables.

use serde_json::Value;

/// A section's title, and its columns: title, field, decimals.
struct Section {
    name: &'static str,
    title: &'static str,
    columns: &'static [(&'static str, &'static str, usize)],
}

const SECTIONS: [Section; 5] = [
    Section {
        name: "throughput",
        title: "Throughput",
        columns: &[
            ("Records", "load", 0),
            ("Way", "way", 0),
            ("records/s", "records_per_s", 0),
            ("MB/s", "mb_per_s", 0),
            ("cores busy", "cores", 2),
            ("CPU s per million records", "cpu_s_per_million", 2),
            ("CPU s per GB", "cpu_s_per_gb", 2),
        ],
    },
    Section {
        name: "reads",
        title: "Reads, each of which takes 15 ms",
        columns: &[
            ("Shards", "shards", 0),
            ("byte budget MB", "budget_mb", 0),
            ("reads/s", "reads_per_s", 0),
            ("allowed", "reads_per_s_allowed", 0),
            ("s between two reads of a shard", "interval_s", 2),
        ],
    },
    Section {
        name: "idle",
        title: "At rest",
        columns: &[
            ("Shards", "shards", 0),
            ("MB before", "rss_before_mb", 1),
            ("MB resident", "rss_mb", 1),
            ("peak MB", "rss_peak_mb", 1),
            ("cores busy", "cores", 3),
            ("s until all are held", "all_held_after_s", 1),
        ],
    },
    Section {
        name: "backlog",
        title: "With a backlog",
        columns: &[
            ("Shards", "shards", 0),
            ("bytes of a record", "record_bytes", 0),
            ("byte budget MB", "budget_mb", 0),
            ("most in flight MB", "most_in_flight_mb", 1),
            ("MB resident", "rss_mb", 1),
            ("peak MB", "rss_peak_mb", 1),
        ],
    },
    Section {
        name: "times",
        title: "Times",
        columns: &[
            ("", "what", 0),
            ("samples", "samples", 0),
            ("p50 ms", "p50_ms", 0),
            ("p95 ms", "p95_ms", 0),
            ("max ms", "max_ms", 0),
        ],
    },
];

/// Every section that has lines, as a table in Markdown.
pub(crate) fn tables(lines: &[Value]) -> String {
    let mut text = String::new();
    for section in &SECTIONS {
        let of_it = lines.iter().filter(|line| line["section"] == section.name);
        let rows: Vec<_> = of_it.map(|line| section.row(line)).collect();
        if rows.is_empty() {
            continue;
        }
        let titles: Vec<_> = section.columns.iter().map(|(title, ..)| *title).collect();
        let rule = "|---".repeat(titles.len());
        let (title, head) = (section.title, titles.join(" | "));
        text += &format!("\n## {title}\n\n| {head} |\n{rule}|\n{}\n", rows.join("\n"));
    }
    text
}

impl Section {
    fn row(&self, line: &Value) -> String {
        let cells = self.columns.iter().map(|(_, field, decimals)| match &line[*field] {
            Value::String(text) => text.clone(),
            Value::Number(number) => {
                number.as_f64().map_or_else(String::new, |number| format!("{number:.decimals$}"))
            }
            _ => "-".to_owned(),
        });
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    }
}
