//! Files of rows in the store.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::Error;
use crate::entry::File;
use crate::row::EVENT_ID;

/// Files of rows, read and written.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    store: Arc<dyn ObjectStore>,
}

impl Rows {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Writes a file. It is nobody's until an entry of the log adds it.
    pub(crate) async fn put(&self, path: String, rows: u64, bytes: Bytes) -> Result<File, Error> {
        let file = File { path, rows, bytes: bytes.len() as u64 };
        let path = path_of(&file)?;
        self.store.put(&path, bytes.into()).await.map_err(Error::store("write", &path))?;
        Ok(file)
    }

    /// Calls `each` with the id of every row; reads nothing but that column.
    pub(crate) async fn ids(&self, file: &File, mut each: impl FnMut(&str)) -> Result<(), Error> {
        let path = path_of(file)?;
        let failed = || Error::rows("read", &path);
        let store = Arc::clone(&self.store);
        let object = Object { store, path: path.clone(), bytes: file.bytes };
        let reader = ParquetRecordBatchStreamBuilder::new(object).await.map_err(failed())?;
        let column = ProjectionMask::columns(reader.parquet_schema(), [EVENT_ID]);
        let mut batches = reader.with_projection(column).build().map_err(failed())?;
        while let Some(batch) = batches.try_next().await.map_err(failed())? {
            batch.column(0).as_string::<i32>().iter().flatten().for_each(&mut each);
        }
        Ok(())
    }

    /// Reads a file.
    pub(crate) async fn get(&self, file: &File) -> Result<Vec<RecordBatch>, Error> {
        let path = path_of(file)?;
        let got = self.store.get(&path).await.map_err(Error::store("read", &path))?;
        let bytes = got.bytes().await.map_err(Error::store("read", &path))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes);
        let reader = reader.and_then(ParquetRecordBatchReaderBuilder::build);
        let batches = reader.map_err(Error::rows("read", &path))?.collect::<Result<_, _>>();
        batches.map_err(Error::rows("read", &path))
    }

    /// Deletes a file; one that is gone is well.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("delete", path)(error)),
        }
    }
}

/// The path of a file.
pub(crate) fn path_of(file: &File) -> Result<Path, Error> {
    let invalid = |error: object_store::path::Error| Error::Log {
        path: Path::from(file.path.as_str()),
        reason: error.to_string(),
    };
    file.location().map_err(invalid)
}

/// A file as Parquet reads it in parts.
struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.store.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}
