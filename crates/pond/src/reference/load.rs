//! A collection filled from a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::rows::{self, Format, Keys, Problem};
use super::{JSON, Reference, batch};
use crate::{Error, item};

/// Requests under way at once: enough to hide the way to DynamoDB, few enough not to be the load.
const REQUESTS_MAX: usize = 4;
/// Largest file, in bytes: its rows are in memory before the first is written. 100,000 rows of 600 bytes fit.
const FILE_MAX: u64 = 64 << 20;
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
}

/// A key, and its value as JSON.
type Row = (String, String);

impl Reference {
    /// Puts the rows of a file in the place of whatever is at their keys, and returns how many there are. Other keys
    /// stay as they are. Loading it twice is the same as once.
    ///
    /// A file whose name ends in `.json` is one object, `{"Sally":"Platinum"}`; one in `.jsonl` has a line
    /// `{"key":"Sally","value":"Platinum"}` for each row. All rows are read and checked before the first is written:
    /// that the value is a `T`, that `check` has nothing against it, that no key comes twice. They are in memory then,
    /// which is why a file has at most 64 MiB.
    ///
    /// # Errors
    /// [`LoadError`], with file, line, cause and what to do.
    pub async fn load<T, F>(&self, path: &Path, check: F) -> Result<usize, LoadError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(&str, &T) -> Result<(), String> + Send + 'static,
    {
        let format = Format::of(path).ok_or_else(|| LoadError::Format { file: path.into() })?;
        let file = path.to_owned();
        let reading = spawn_blocking(move || read(&file, format, check));
        let read = reading.await.unwrap_or_else(|panic| Err(Stop::Io(broken(panic))));
        let file = path.to_owned();
        let rows = match read {
            Ok(rows) => rows,
            Err(Stop::Io(source)) => return Err(LoadError::Unreadable { file, source }),
            Err(Stop::Wrong(Problem { line, cause })) => {
                return Err(LoadError::Row { file, line, cause });
            }
        };
        let count = rows.len();
        self.write_all(rows).await.map_err(|source| LoadError::Pond { file, source })?;
        Ok(count)
    }

    async fn write_all(&self, rows: Vec<Row>) -> Result<(), Error> {
        let (pk, mut requests) = (self.pk(), JoinSet::new());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            if requests.len() >= REQUESTS_MAX {
                self.one_done(&mut requests).await?;
            }
            let batch = rows.by_ref().take(batch::ROWS_MAX).map(|row| self.put_request(&pk, row));
            let batch = batch.collect::<Result<_, _>>()?;
            requests.spawn(batch::write(self.pond.clone(), batch));
        }
        while !requests.is_empty() {
            self.one_done(&mut requests).await?;
        }
        Ok(())
    }

    fn put_request(&self, pk: &str, (key, json): Row) -> Result<WriteRequest, Error> {
        let put = PutRequest::builder().set_item(Some(item::key(pk, &key)));
        let put = put.item(JSON, item::text(json)).build().map_err(|error| Error::Aws {
            table: self.pond.table.to_string(),
            action: "writing rows",
            source: error.into(),
        })?;
        Ok(WriteRequest::builder().put_request(put).build())
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

/// Reads all rows, and checks each.
fn read<T: Serialize + DeserializeOwned>(
    path: &Path,
    format: Format,
    check: impl Fn(&str, &T) -> Result<(), String>,
) -> Result<Vec<Row>, Stop> {
    let file = File::open(path).map_err(Stop::Io)?;
    let size = file.metadata().map_err(Stop::Io)?.len();
    if size > FILE_MAX {
        let cause = format!("the file has {size} bytes, more than {FILE_MAX}; split it");
        return Err(Stop::Io(io::Error::new(io::ErrorKind::FileTooLarge, cause)));
    }
    let (mut keys, mut rows) = (Keys::default(), Vec::new());
    rows::each(file.take(FILE_MAX), format, |line, key, value: T| {
        keys.check(line, &key)?;
        check(&key, &value)?;
        let json = serde_json::to_string(&value).map_err(|error| error.to_string())?;
        if json.len() > VALUE_MAX {
            return Err(format!("the value has {} bytes, more than {VALUE_MAX}", json.len()));
        }
        rows.push((key, json));
        Ok(())
    })
    .map_err(Stop::Wrong)?;
    Ok(rows)
}
