//! The records of a batch, read once.

use event::{Event, Header, Malformed};
use kcl::{PartitionKey, Record};
use river::Experiments;

use crate::pack;

/// The records of a batch by their indexes, each with its header.
#[derive(Debug)]
pub(crate) struct Cargo<'a> {
    records: &'a [Record],
    headers: Vec<Result<Header<'a>, Malformed>>,
    /// What SNS and SQS count of each; 0 for what is malformed.
    sizes: Vec<usize>,
}

impl<'a> Cargo<'a> {
    /// Reads the headers, with the arms that experiments give the events. What is no whole event gets none.
    pub(crate) fn read(records: &'a [Record], experiments: &Experiments) -> Self {
        let headers: Vec<_> = records.iter().map(|record| header(record, experiments)).collect();
        let size = |header: &Result<Header<'_>, _>| header.as_ref().map_or(0, pack::size);
        Self { records, sizes: headers.iter().map(size).collect(), headers }
    }

    pub(crate) fn record(&self, index: usize) -> &'a Record {
        &self.records[index]
    }

    /// Every record in order, with its header or what is wrong with it.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (usize, &Result<Header<'a>, Malformed>)> {
        self.headers.iter().enumerate()
    }

    pub(crate) fn header(&self, index: usize) -> Option<&Header<'a>> {
        self.headers[index].as_ref().ok()
    }

    pub(crate) fn size(&self, index: usize) -> usize {
        self.sizes[index]
    }

    pub(crate) fn key(&self, index: usize) -> Option<&'a str> {
        self.records[index].partition_key.as_ref().map(PartitionKey::as_str)
    }
}

fn header<'a>(record: &'a Record, experiments: &Experiments) -> Result<Header<'a>, Malformed> {
    let mut header = Header::parse(&record.data)?;
    let arms = experiments.assign(&header.event_type, || Event::parse(&record.data).ok());
    header.experiments.extend(arms.into_iter().map(|(name, arm)| (name.into(), arm.into())));
    Ok(header)
}
