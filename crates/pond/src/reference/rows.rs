//! Rows of a file, one after the other.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::marker::PhantomData;
use std::path::Path;
use std::{error, fmt};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _, de::DeserializeOwned};

/// Longest line. A row has to fit into an item of DynamoDB, 400 KB, however its text is escaped.
const LINE_MAX: usize = 1 << 20;
/// Longest sort key of DynamoDB, in bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const KEY_MAX: usize = 1024;

/// How rows are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One object: `{"Sally":"Platinum"}`.
    Object,
    /// A row a line: `{"key":"Sally","value":"Platinum"}`.
    Lines,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// From 1.
    pub(super) line: u64,
    pub(super) cause: String,
}

/// Keys that were read, and the lines that they were on.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<String, u64>);

impl Format {
    /// By the end of the name; none when it tells nothing.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::Object),
            "jsonl" => Some(Self::Lines),
            _ => None,
        }
    }
}

impl Keys {
    /// Refuses a key that DynamoDB would refuse, and one that came before: which of the two is meant?
    pub(super) fn check(&mut self, line: u64, key: &str) -> Result<(), String> {
        if key.is_empty() || key.len() > KEY_MAX {
            return Err(format!("a key has 1 to {KEY_MAX} bytes, and this has {}", key.len()));
        }
        match self.0.insert(key.to_owned(), line) {
            None => Ok(()),
            Some(first) => Err(format!("the key {key:?} is on line {first} already")),
        }
    }
}

/// Hands every row of the file to `take`, with its line, until `take` refuses one and says why.
pub(super) fn each<T: DeserializeOwned>(
    file: impl Read,
    format: Format,
    take: impl FnMut(u64, String, T) -> Result<(), String>,
) -> Result<(), Problem> {
    match format {
        Format::Object => object(BufReader::new(file), take),
        Format::Lines => lines(BufReader::new(file), take),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<T> {
    key: String,
    value: T,
}

fn lines<T: DeserializeOwned>(
    mut reader: impl io::BufRead,
    mut take: impl FnMut(u64, String, T) -> Result<(), String>,
) -> Result<(), Problem> {
    let mut text = Vec::new();
    for line in 1.. {
        let problem = |cause| Problem { line, cause };
        text.clear();
        let read = (&mut reader).take(LINE_MAX as u64 + 1).read_until(b'\n', &mut text);
        if read.map_err(|error| problem(error.to_string()))? == 0 {
            break;
        }
        if text.len() > LINE_MAX {
            return Err(problem(format!("the line has more than {LINE_MAX} bytes")));
        }
        if !text.trim_ascii().is_empty() {
            let row: Result<Line<T>, _> = serde_json::from_slice(&text);
            let row = row.map_err(|error| problem(words(&error)))?;
            take(line, row.key, row.value).map_err(problem)?;
        }
    }
    Ok(())
}

fn object<T: DeserializeOwned>(
    reader: impl Read,
    take: impl FnMut(u64, String, T) -> Result<(), String>,
) -> Result<(), Problem> {
    let (line, row, mut refused) = (Cell::new(1), Cell::new(1), None);
    let mut json = serde_json::Deserializer::from_reader(Counted { reader, line: &line });
    let rows = Rows { take, line: &line, row: &row, refused: &mut refused, of: PhantomData };
    let read = json.deserialize_map(rows).and_then(|()| json.end());
    match (read, refused) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(cause)) => Err(Problem { line: row.get(), cause }),
        // Where serde finds out about a value may be behind it.
        (Err(error), None) if error.is_data() => {
            Err(Problem { line: row.get(), cause: words(&error) })
        }
        (Err(error), None) => Err(Problem { line: error.line() as u64, cause: words(&error) }),
    }
}

/// What serde says, without the place: that is told in our own words.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(words, _)| words).to_owned()
}

/// Counts lines as they are read; serde reads byte by byte.
struct Counted<'a, R> {
    reader: R,
    line: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        let ends = into[..read].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.line.set(self.line.get() + ends);
        Ok(read)
    }
}

struct Rows<'a, T, F> {
    take: F,
    line: &'a Cell<u64>,
    /// The line that the row began on.
    row: &'a Cell<u64>,
    refused: &'a mut Option<String>,
    of: PhantomData<T>,
}

impl<'de, T, F> Visitor<'de> for Rows<'_, T, F>
where
    T: Deserialize<'de>,
    F: FnMut(u64, String, T) -> Result<(), String>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of values by key")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            self.row.set(self.line.get());
            let value = map.next_value()?;
            (self.take)(self.row.get(), key, value).map_err(|cause| {
                *self.refused = Some(cause);
                A::Error::custom("")
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause)
    }
}

impl error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Result<Vec<(u64, String, String)>, Problem>;

    fn read(format: Format, text: &str) -> Read {
        let (mut rows, mut keys) = (Vec::new(), Keys::default());
        let take = |line, key: String, value| {
            keys.check(line, &key)?;
            rows.push((line, key, value));
            Ok(())
        };
        match format {
            Format::Object => object(text.as_bytes(), take),
            Format::Lines => lines(text.as_bytes(), take),
        }?;
        Ok(rows)
    }

    fn row(line: u64, key: &str, value: &str) -> (u64, String, String) {
        (line, key.to_owned(), value.to_owned())
    }

    fn line_of(problem: Read) -> (u64, String) {
        let problem = problem.unwrap_err();
        (problem.line, problem.cause)
    }

    #[test]
    fn both_formats_hold_the_same_rows() {
        let object = "{\n\"Sally\": \"Platinum\",\n\"Harry\":\n\"Gold\"}\n";
        let rows = [row(2, "Sally", "Platinum"), row(3, "Harry", "Gold")];
        assert_eq!(read(Format::Object, object).unwrap(), rows);
        let lines = "\n{\"key\":\"Sally\",\"value\":\"Platinum\"}\r\n{\"value\":\"Gold\",\"key\":\"Harry\"}";
        assert_eq!(read(Format::Lines, lines).unwrap(), rows);
        assert_eq!(read(Format::Object, "{}").unwrap(), []);
        assert_eq!(read(Format::Lines, "").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_in_an_object_is_told_with_its_line() {
        let wrong = |text| line_of(read(Format::Object, text));
        assert_eq!(wrong("{\n\"a\":\n7\n}").1, "invalid type: integer `7`, expected a string");
        assert_eq!(wrong("{\n\"a\":\n7\n}").0, 2);
        assert_eq!(wrong("{\"a\":\"1\",\n\n\"a\":\"2\"\n\n}").0, 3);
        assert_eq!(wrong("{\"a\":\"1\",\n\n\"a\":\"2\"}").1, "the key \"a\" is on line 1 already");
        assert_eq!(wrong("{\"\":\"1\"}").1, "a key has 1 to 1024 bytes, and this has 0");
        assert_eq!(wrong("{\"a\":\"1\"}\n{}"), (2, "trailing characters".to_owned()));
        assert!(wrong("[]").1.contains("an object of values by key"));
        assert_eq!(wrong("{\"a\":\"1\",\n").0, 2);
    }

    #[test]
    fn what_is_wrong_in_lines_is_told_with_its_line() {
        let wrong = |text: &str| line_of(read(Format::Lines, text));
        let first = "{\"key\":\"a\",\"value\":\"1\"}\n";
        let second = |text: &str| wrong(&format!("{first}{text}\n{{}}"));
        assert_eq!(second("{\"key\":\"b\"}"), (2, "missing field `value`".to_owned()));
        assert_eq!(second(first.trim()), (2, "the key \"a\" is on line 1 already".to_owned()));
        assert_eq!(second("{\"key\":\"b\",\"value\":\"1\",\"tier\":\"\"}").0, 2);
        assert_eq!(second("\n\nnonsense").0, 4);
        assert_eq!(second(&" ".repeat(LINE_MAX + 1)).0, 2);
    }
}
