//! The transaction that collects a solution, and what its refusals mean.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure as OnFailure,
    TransactWriteItem,
};
use serde::{Serialize, de::DeserializeOwned};

use super::state::OPEN;
use super::{Collected, SOLUTION, WINDOW, Windows};
use crate::{Error, item};

/// What a try to collect came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Done(Collected),
    TooLate,
    Conflict,
}

impl<S: Serialize + DeserializeOwned> Windows<S> {
    /// Puts a solution into a window, if there is such a window and it is open.
    pub(super) async fn try_collect(
        &self,
        pk: &str,
        id: &str,
        solution: &str,
    ) -> Result<Attempt, Error> {
        let action = "collecting a solution";
        let build = |error: BuildError| self.failed(action, error);
        let put = Put::builder()
            .table_name(&*self.0.table)
            .set_item(Some(self.solution(pk, &format!("{SOLUTION}{id}"), solution)))
            .condition_expression("attribute_not_exists(pk)");
        let open = ConditionCheck::builder()
            .table_name(&*self.0.table)
            .set_key(Some(item::key(pk, WINDOW)))
            .condition_expression("#state = :open")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":open", item::text(OPEN))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let put = TransactWriteItem::builder().put(put.build().map_err(build)?).build();
        let open = TransactWriteItem::builder().condition_check(open.build().map_err(build)?);
        let call = self.0.client.transact_write_items().transact_items(put);
        let Err(error) = call.transact_items(open.build()).send().await else {
            return Ok(Attempt::Done(Collected::Added));
        };
        let cancelled = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                refused(cancelled.cancellation_reasons())
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                Some(Attempt::Conflict)
            }
            _ => None,
        };
        cancelled.ok_or_else(|| Error::aws(&self.0.table, action, error))
    }
}

/// What the reasons for a cancelled collection say: the first is of the solution, the second of the window. None
/// when it was something else than the two conditions or a conflict.
pub(super) fn refused(reasons: &[CancellationReason]) -> Option<Attempt> {
    let [solution, window] = reasons else { return None };
    let failed = |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    if failed(solution) {
        return Some(Attempt::Done(Collected::Duplicate));
    }
    if failed(window) {
        let exists = window.item().is_some_and(|item| !item.is_empty());
        return Some(if exists { Attempt::TooLate } else { Attempt::Done(Collected::NoWindow) });
    }
    let conflict = |reason: &CancellationReason| reason.code() == Some("TransactionConflict");
    (conflict(solution) || conflict(window)).then_some(Attempt::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::state::CLOSING;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    #[test]
    fn the_reasons_of_a_refusal_are_told_apart() {
        let (none, failed, conflict) =
            (reason("None"), reason("ConditionalCheckFailed"), reason("TransactionConflict"));
        let closed = CancellationReason::builder().code("ConditionalCheckFailed");
        let closed = closed.item("state", item::text(CLOSING)).build();
        let of = |solution: &CancellationReason, window: &CancellationReason| {
            refused(&[solution.clone(), window.clone()])
        };
        assert_eq!(of(&failed, &none), Some(Attempt::Done(Collected::Duplicate)));
        assert_eq!(of(&failed, &closed), Some(Attempt::Done(Collected::Duplicate)));
        assert_eq!(of(&none, &failed), Some(Attempt::Done(Collected::NoWindow)));
        assert_eq!(of(&none, &closed), Some(Attempt::TooLate));
        assert_eq!(of(&none, &conflict), Some(Attempt::Conflict));
        assert_eq!(of(&reason("ValidationError"), &none), None);
        assert_eq!(refused(&[]), None);
    }
}
