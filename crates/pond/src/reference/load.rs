//! A collection filled from a file.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::rows::{self, Format, Keys, Problem};
use super::{JSON, Reference, batch};
use crate::{Error, item};

/// Requests under way at once: enough to hide the way to DynamoDB, few enough not to be the load.
const REQUESTS_MAX: usize = 4;
/// Largest value, as JSON, in bytes: an item has at most 400 KB with its names and its key.
const VALUE_MAX: usize = 396 * 1024;

/// A file did not become a collection.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its name does not tell what is in it.
    #[error(
        "{file}: the name of a file with reference data ends in .json (an object of values by key) or .jsonl (a \
         line {{\"key\":…,\"value\":…}} for each row); name it so"
    )]
    Format {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be read.
    #[error("{file} cannot be read; check that it exists and that this process may read it")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A row is wrong. None was written.
    #[error(
        "{file} line {line}: {cause}; no row was written: correct this one and load the file again"
    )]
    Row {
        /// The file.
        file: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        cause: String,
    },
    /// A row is wrong that was right when the rows were checked. Those before it may be written.
    #[error(
        "{file} line {line}: {cause}; the file was changed while it was read, and some rows are written: load it \
         again when it is complete"
    )]
    Changed {
        /// The file.
        file: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        cause: String,
    },
    /// The table did not take the rows. Some may be written; loading the file again is harmless.
    #[error("{file} could not be loaded; some rows may be written: load it again")]
    Pond {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        source: Error,
    },
}

/// Why a file was not read to its end.
enum Stop {
    Io(io::Error),
    Wrong(Problem),
    Changed(Problem),
}

impl Reference {
    /// Puts the rows of a file in the place of whatever is at their keys, and returns how many there are. Other keys
    /// stay as they are. Loading it twice is the same as once.
    ///
    /// A file whose name ends in `.json` is one object, `{"Sally":"Platinum"}`; one in `.jsonl` has a line
    /// `{"key":"Sally","value":"Platinum"}` for each row. All rows are read and checked before the first is written:
    /// that the value is a `T`, that `check` has nothing against it, that no key comes twice. Of the rows, only the
    /// keys are held in memory.
    ///
    /// # Errors
    /// [`LoadError`], with file, line, cause and what to do.
    pub async fn load<T, F>(&self, path: &Path, check: F) -> Result<usize, LoadError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(&str, &T) -> Result<(), String> + Send + 'static,
    {
        let format = Format::of(path).ok_or_else(|| LoadError::Format { file: path.into() })?;
        let (batches, written) = mpsc::channel(1);
        let (pk, file) = (self.pk(), path.to_owned());
        let reading = spawn_blocking(move || read(&file, format, &pk, check, &batches));
        let writing = self.write_all(written).await;
        let read = reading.await.unwrap_or_else(|panic| Err(Stop::Io(broken(panic))));
        let file = path.to_owned();
        if let Err(source) = writing {
            return Err(LoadError::Pond { file, source });
        }
        read.map_err(|stop| match stop {
            Stop::Io(source) => LoadError::Unreadable { file, source },
            Stop::Wrong(Problem { line, cause }) => LoadError::Row { file, line, cause },
            Stop::Changed(Problem { line, cause }) => LoadError::Changed { file, line, cause },
        })
    }

    /// Writes what comes, until no more does or something goes wrong.
    async fn write_all(&self, mut batches: mpsc::Receiver<Vec<WriteRequest>>) -> Result<(), Error> {
        let mut requests = JoinSet::new();
        while let Some(batch) = batches.recv().await {
            if requests.len() >= REQUESTS_MAX {
                self.one_done(&mut requests).await?;
            }
            requests.spawn(batch::write(self.pond.clone(), batch));
        }
        while !requests.is_empty() {
            self.one_done(&mut requests).await?;
        }
        Ok(())
    }

    async fn one_done(&self, requests: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
        let table = || self.pond.table.to_string();
        match requests.join_next().await {
            Some(Err(panic)) => Err(Error::Aws {
                table: table(),
                action: "writing rows",
                source: broken(panic).into(),
            }),
            Some(Ok(done)) => done,
            None => Ok(()),
        }
    }
}

fn broken(panic: JoinError) -> io::Error {
    io::Error::other(panic)
}

/// Goes through the file twice: checks all rows, then hands them on in batches.
fn read<T: Serialize + DeserializeOwned>(
    path: &Path,
    format: Format,
    pk: &str,
    check: impl Fn(&str, &T) -> Result<(), String>,
    batches: &mpsc::Sender<Vec<WriteRequest>>,
) -> Result<usize, Stop> {
    // Opened once: whoever replaces the file while it is read, replaces another.
    let mut file = File::open(path).map_err(Stop::Io)?;
    let rows = pass(&file, format, &check, |_, _| Ok(())).map_err(Stop::Wrong)?;
    file.rewind().map_err(Stop::Io)?;
    let mut batch = Vec::new();
    pass(&file, format, &check, |key, json| {
        batch.push(put(pk, &key, json)?);
        if batch.len() == batch::ROWS_MAX { hand_on(batches, &mut batch) } else { Ok(()) }
    })
    .map_err(Stop::Changed)?;
    if !batch.is_empty() {
        let nobody = |cause| Stop::Changed(Problem { line: 0, cause });
        hand_on(batches, &mut batch).map_err(nobody)?;
    }
    Ok(rows)
}

/// Checks each row and hands it on as JSON. The number of rows.
fn pass<T: Serialize + DeserializeOwned>(
    file: &File,
    format: Format,
    check: impl Fn(&str, &T) -> Result<(), String>,
    mut take: impl FnMut(String, String) -> Result<(), String>,
) -> Result<usize, Problem> {
    let (mut keys, mut rows) = (Keys::default(), 0);
    rows::each(file, format, |line, key, value: T| {
        keys.check(line, &key)?;
        check(&key, &value)?;
        let json = serde_json::to_string(&value).map_err(|error| error.to_string())?;
        if json.len() > VALUE_MAX {
            return Err(format!("the value has {} bytes, more than {VALUE_MAX}", json.len()));
        }
        rows += 1;
        take(key, json)
    })?;
    Ok(rows)
}

fn put(pk: &str, key: &str, json: String) -> Result<WriteRequest, String> {
    let put = PutRequest::builder().set_item(Some(item::key(pk, key)));
    let put = put.item(JSON, item::text(json)).build().map_err(|error| error.to_string())?;
    Ok(WriteRequest::builder().put_request(put).build())
}

/// An error only when nobody writes any more: what went wrong is told there.
fn hand_on(
    batches: &mpsc::Sender<Vec<WriteRequest>>,
    batch: &mut Vec<WriteRequest>,
) -> Result<(), String> {
    let sent = batches.blocking_send(std::mem::take(batch));
    sent.map_err(|_| "the table takes no rows".to_owned())
}
