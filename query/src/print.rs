//! Answers a statement.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use futures_util::TryStreamExt as _;

use crate::args::Format;

/// Runs one statement that reads, and writes its rows.
///
/// # Errors
/// What is wrong with the statement, or why its rows could not be had or written.
pub(crate) async fn run(
    session: &SessionContext,
    sql: &str,
    format: Format,
    to: &mut impl Write,
) -> anyhow::Result<()> {
    // The archive is written by `archive` alone.
    let reading =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let planned = session.sql_with_options(sql, reading).await.map_err(told)?;
    let rows = planned.execute_stream().await.map_err(told)?;
    let written = match format {
        Format::Table => table(rows, to).await,
        Format::Json => json(rows, to).await,
        Format::Csv => csv(rows, to).await,
    };
    match written {
        // `| head` has seen enough.
        Err(error) if is_closed(&error) => Ok(()),
        written => written,
    }
}

/// What DataFusion says, without its own stack.
fn told(error: DataFusionError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.strip_backtrace()).context("the statement cannot be answered")
}

fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |io: &io::Error| io.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|link| {
        link.downcast_ref().is_some_and(closed) || link.to_string().contains("Broken pipe")
    })
}

async fn table(rows: SendableRecordBatchStream, to: &mut impl Write) -> anyhow::Result<()> {
    let schema = rows.schema();
    let rows: Vec<RecordBatch> = rows.try_collect().await.map_err(told)?;
    writeln!(to, "{}", pretty_format_batches_with_schema(schema, &rows)?).context("writing rows")
}

async fn json(mut rows: SendableRecordBatchStream, to: &mut impl Write) -> anyhow::Result<()> {
    let mut writer = LineDelimitedWriter::new(to);
    while let Some(batch) = rows.try_next().await.map_err(told)? {
        writer.write(&batch).context("writing rows")?;
    }
    writer.finish().context("writing rows")
}

async fn csv(mut rows: SendableRecordBatchStream, to: &mut impl Write) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new().with_header(true).build(to);
    // Of no rows the header is written too.
    writer.write(&RecordBatch::new_empty(rows.schema())).context("writing rows")?;
    while let Some(batch) = rows.try_next().await.map_err(told)? {
        writer.write(&batch).context("writing rows")?;
    }
    Ok(())
}
