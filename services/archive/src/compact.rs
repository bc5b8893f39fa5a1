//! Makes few files of many. The rows stay the same ones, so nobody who counts them sees a difference.
//!
//! Files of one partition and of about one size are put together once there are eight of them, so that a row is
//! rewritten as often as the logarithm of its hour's size says. When the hour is long over, two are enough.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parquet::errors::ParquetError;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::append::COMMIT_MAX;
use crate::entry::{Entry, File};
use crate::log::{Commit, Log};
use crate::partition::Partition;
use crate::row::{self, EVENT_ID, TIMESTAMP};
use crate::rows::{Rows, path_of};
use crate::state::State;
use crate::{Error, name};

/// A file of this size is left alone: a gain would be small, and the merge is done in memory.
const BYTES_FULL: u64 = 16 << 20;
/// Most bytes and rows in a merge. Decoded they are some ten times as many bytes.
const BYTES_MAX: u64 = 32 << 20;
const ROWS_MAX: u64 = 200_000;
/// Files of about one size in a merge, at least: while events of the hour are coming, and after.
const LEAST_NOW: usize = 8;
const LEAST_PAST: usize = 2;
/// How long after its end an hour counts as past: redeliveries and slow clocks are over by then.
const PAST_AFTER: SignedDuration = SignedDuration::from_mins(70);
/// Merges of one pass, so that a pass ends.
const JOBS_MAX: usize = 64;

/// Files of one partition that are to become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) partition: Partition,
    pub(crate) files: Vec<File>,
}

/// What there is to do.
pub(crate) fn plan(state: &State, now: Timestamp) -> Vec<Job> {
    let jobs = state.partitions().flat_map(|(partition, files)| {
        let least = if is_past(partition, now) { LEAST_PAST } else { LEAST_NOW };
        let mut alike: BTreeMap<u32, Vec<File>> = BTreeMap::new();
        for file in files.values().filter(|file| file.bytes < BYTES_FULL) {
            alike.entry(size_class(file)).or_default().push(file.clone());
        }
        let enough = move |files: &Vec<File>| files.len() >= least;
        let jobs = alike.into_values().filter(enough).map(fitting).filter(|files| files.len() > 1);
        jobs.map(|files| Job { partition: partition.clone(), files })
    });
    jobs.take(JOBS_MAX).collect()
}

/// Files within a factor of eight are alike.
fn size_class(file: &File) -> u32 {
    file.bytes.max(1).ilog2() / 3
}

/// As many as may be in one merge.
fn fitting(files: Vec<File>) -> Vec<File> {
    let (mut bytes, mut rows) = (0, 0);
    let fits = |file: &File| {
        bytes += file.bytes;
        rows += file.rows;
        bytes <= BYTES_MAX && rows <= ROWS_MAX
    };
    files.into_iter().take_while(fits).collect()
}

fn is_past(partition: &Partition, now: Timestamp) -> bool {
    let then = now.saturating_sub(PAST_AFTER).unwrap_or(Timestamp::MIN);
    let then = then.to_zoned(TimeZone::UTC).datetime();
    (partition.date, partition.hour) < (then.date(), then.hour())
}

/// Does merges.
#[derive(Clone, Debug)]
pub(crate) struct Compactor {
    pub(crate) log: Log,
    pub(crate) rows: Rows,
}

impl Compactor {
    /// Makes one file of a job's; false when one of them is not live any more, because another writer was faster.
    ///
    /// # Errors
    /// [`Error`]; the rows are in the old files or in the new one then, and never in both.
    pub(crate) async fn merge(
        &self,
        state: &mut State,
        job: Job,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut batches = Vec::new();
        for file in &job.files {
            batches.extend(self.rows.get(file).await?);
        }
        let path = job.partition.file(name());
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let place = path_of(&File { path: path.clone(), rows, bytes: 0 })?;
        // Sorting and encoding some hundred thousand rows would keep a thread from everything else.
        let merged = spawn_blocking(move || merge(&batches)).await;
        let merged = merged.map_err(|_| Error::CutOff(place.clone()))?;
        let merged = merged.map_err(Error::rows("written", &place))?;
        let from = job.files.into_iter().map(|file| file.path).collect();
        let commit = async {
            let file = self.rows.put(path, rows, merged).await?;
            self.replace(state, from, file, now).await
        };
        timeout(COMMIT_MAX, commit).await.map_err(|_| Error::TooLong(COMMIT_MAX.as_secs()))?
    }

    async fn replace(
        &self,
        state: &mut State,
        from: Vec<String>,
        to: File,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let entry = Entry::compact(name(), now, from, to);
        loop {
            self.log.refresh(state).await?;
            if !entry.remove.iter().all(|path| state.is_live(path)) {
                return Ok(false);
            }
            if self.log.commit(state, &entry).await? == Commit::Made {
                return Ok(true);
            }
        }
    }
}

/// All rows by time, then id, as one file.
fn merge(batches: &[RecordBatch]) -> Result<Bytes, ParquetError> {
    row::encode(&sorted(batches)?)
}

fn sorted(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let all = concat_batches(&row::schema(), batches)?;
    let by = |name: &str| {
        let missing = || ArrowError::SchemaError(format!("there is no column {name}"));
        let values = all.column_by_name(name).cloned().ok_or_else(missing)?;
        Ok::<_, ArrowError>(SortColumn { values, options: None })
    };
    let order = lexsort_to_indices(&[by(TIMESTAMP)?, by(EVENT_ID)?], None)?;
    take_record_batch(&all, &order)
}

#[cfg(test)]
mod tests;
