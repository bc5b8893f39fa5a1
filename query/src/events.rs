//! The table of all events: exactly the files that are live by the log as it was when the table was opened.

use std::sync::Arc;

use archive::{File, Partition, State};
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use crate::prune;

/// Live files, and where they are.
#[derive(Debug)]
pub(crate) struct Events {
    files: Vec<(Partition, File)>,
    store: ObjectStoreUrl,
    schema: SchemaRef,
}

impl Events {
    /// The table as of a state.
    pub(crate) fn of(state: &State, store: ObjectStoreUrl) -> Self {
        let of_log = state.files().map(|(partition, file)| (partition.clone(), file.clone()));
        Self { files: of_log.collect(), store, schema: archive::schema() }
    }

    /// Files that may have rows which `filter` lets through.
    pub(crate) fn files_for(&self, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<Vec<&File>> {
        let keep = match filter {
            Some(filter) => {
                let predicate = PruningPredicateBuilder::new()
                    .with_file_schema(self.schema())
                    .try_build(Arc::clone(filter))?;
                predicate.prune(&prune::Files(&self.files))?
            }
            None => vec![true; self.files.len()],
        };
        let kept = self.files.iter().zip(keep).filter(|(_, keep)| *keep);
        Ok(kept.map(|((_, file), _)| file).collect())
    }
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A filter decides over files and parts of them, and is applied to the rows as well.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = DFSchema::try_from(self.schema())?;
        let filter = conjunction(filters.to_vec());
        let filter = filter.map(|filter| session.create_physical_expr(filter, &schema));
        let filter = filter.transpose()?;
        let files = self.files_for(filter.as_ref())?;

        let mut statistics = Statistics::new_unknown(&self.schema);
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
        let mut source = ParquetSource::new(self.schema());
        if let Some(filter) = filter {
            source = source.with_predicate(filter);
        }
        let files = files.into_iter().map(partitioned).collect::<Result<_>>()?;
        let groups =
            FileGroup::new(files).split_files(session.config_options().execution.target_partitions);
        let scan = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

/// A file as DataFusion wants it, its path as it is: `PartitionedFile::new` would encode it once more.
fn partitioned(file: &File) -> Result<PartitionedFile> {
    let location = file.location().map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok(PartitionedFile::new_from_meta(ObjectMeta {
        location,
        last_modified: Default::default(),
        size: file.bytes,
        e_tag: None,
        version: None,
    }))
}
