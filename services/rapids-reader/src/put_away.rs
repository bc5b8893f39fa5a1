//! The quarantine, for the records of a batch.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use quarantine::Quarantine;
use tracing::warn;

use crate::cargo::Cargo;
use crate::metrics::{Metrics, Mode};
use crate::outcome::Outcome;
use crate::plan::Unfit;

/// Records put there at the same time for one shard.
const PUTS_MAX: usize = 8;

/// Puts records into the quarantine and counts them.
#[derive(Debug)]
pub(crate) struct PutAway {
    pub(crate) quarantine: Quarantine,
    pub(crate) metrics: Metrics,
}

impl PutAway {
    /// Puts away what is unfit; what does not get there is left. Gives the records that lie there.
    pub(crate) async fn put(
        &self,
        shard: &str,
        cargo: &Cargo<'_>,
        outcome: &mut Outcome,
    ) -> BTreeSet<usize> {
        let unfit = std::mem::take(&mut outcome.unfit);
        let puts = unfit.into_iter().map(async |unfit| {
            let put = self.put_one(shard, cargo, &unfit).await;
            (unfit, put)
        });
        let mut puts = stream::iter(puts).buffer_unordered(PUTS_MAX);
        let (mut done, mut told) = (BTreeSet::new(), BTreeMap::<_, (usize, Unfit)>::new());
        while let Some((unfit, put)) = puts.next().await {
            match put {
                Ok(()) => {
                    done.insert(unfit.index);
                    let river = unfit.instead_of.rivers.first().map(|river| river.name.clone());
                    told.entry((unfit.reason.kind, river)).or_insert((0, unfit)).0 += 1;
                }
                Err(error) => {
                    outcome.reason = chassis::explain(&error);
                    outcome.left.entry(unfit.index).or_default().add(unfit.instead_of);
                }
            }
        }
        for ((kind, river), (records, first)) in told {
            let sequence_number = cargo.record(first.index).position.to_string();
            let (river, reason) = (river.unwrap_or_default(), first.reason.text);
            warn!(shard, kind, river, records, sequence_number, reason, "quarantined records");
        }
        done
    }

    async fn put_one(
        &self,
        shard: &str,
        cargo: &Cargo<'_>,
        unfit: &Unfit,
    ) -> Result<(), quarantine::Error> {
        let Unfit { index, reason, instead_of } = unfit;
        let position = cargo.record(*index).position.to_string();
        // Too large is one for all of its rivers, which the reason names.
        let river = match &instead_of.rivers[..] {
            [river] => river.name.as_str(),
            _ => "",
        };
        let origin = [
            ("shard", shard),
            ("sequence_number", position.as_str()),
            ("partition_key", cargo.key(*index).unwrap_or_default()),
            ("river", river),
        ];
        self.quarantine.put(&cargo.record(*index).data, reason, &origin).await?;
        self.metrics.quarantined(reason.kind);
        self.metrics.routed_to_quarantine(Mode::Sns, usize::from(instead_of.sns));
        self.metrics.routed_to_quarantine(Mode::Direct, instead_of.rivers.len());
        Ok(())
    }
}
