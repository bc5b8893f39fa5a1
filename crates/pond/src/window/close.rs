//! Closing a window, and amending what was chosen.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use event::Event;
use serde::{Serialize, de::DeserializeOwned};

use super::state::{CLOSING, Closed, EMITTED, LateStep, OPEN, Step};
use super::{
    ATTEMPTS_MAX, Closing, Frozen, LATE, Lateness, Opening, SOLUTION, WINDOW, When, WindowId,
    Windows,
};
use crate::{Error, item};

/// What a write requires of a window.
#[derive(Clone, Copy, Debug)]
struct Is<'a> {
    state: &'a str,
    /// Of which choice, and whether that is on the rapids.
    choice: Option<(u32, bool)>,
}

impl<S: Serialize + DeserializeOwned> Windows<S> {
    /// Brings a window as far as it can be brought now: closes it `when` it is to be closed, and lets `choose` decide,
    /// unless that is done already. `choose` has to be a function of what it is given.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`], [`Error::Contended`].
    pub async fn close(
        &self,
        id: &WindowId,
        when: When,
        choose: impl Fn(&Frozen<S>) -> Event,
    ) -> Result<Closing, Error> {
        let now = self.0.now();
        for attempt in 0..ATTEMPTS_MAX {
            let Some(window) = self.read(id).await? else { return Ok(Closing::NoWindow) };
            let written = match window.step(now, when) {
                Step::Freeze { reason } => {
                    let sets = [
                        ("state", item::text(CLOSING)),
                        ("closed_at", item::text(now.to_string())),
                        ("reason", item::text(reason.as_str())),
                    ];
                    self.write(id, Is { state: OPEN, choice: None }, sets).await?
                }
                Step::Choose(closed) => {
                    let frozen = self.frozen(id, window.opening, closed, 1).await?;
                    let sets = [
                        ("state", item::text(EMITTED)),
                        ("event", item::text(choose(&frozen).to_json())),
                        ("revision", item::number(1)),
                    ];
                    self.write(id, Is { state: CLOSING, choice: None }, sets).await?
                }
                step => return Ok(told(step, window.opening)),
            };
            if !written {
                self.pause(attempt).await;
            }
        }
        Err(self.contended(id.pk()))
    }

    /// Lets `choose` decide again, with what came too late, after this choice: none if that stands. It is asked only
    /// while the window is not longer closed than `lateness` says, and not more often. Whoever has brought something
    /// too late calls this until nothing is left to emit; before that, it must not let its event go.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`], [`Error::Contended`].
    pub async fn amend(
        &self,
        id: &WindowId,
        lateness: Lateness,
        choose: impl Fn(&Frozen<S>, &Event) -> Option<Event>,
    ) -> Result<Closing, Error> {
        for attempt in 0..ATTEMPTS_MAX {
            let Some(window) = self.read(id).await? else { return Ok(Closing::NoWindow) };
            let (closed, current, revision) = match window.late_step(self.0.now(), lateness) {
                LateStep::Nothing => return Ok(Closing::Sent),
                LateStep::First(step) => return Ok(told(step, window.opening)),
                LateStep::Amend { closed, current, revision } => (closed, current, revision),
            };
            let mut frozen = self.frozen(id, window.opening, closed, revision + 1).await?;
            let mut late = self.kept(id, LATE).await?;
            late.retain(|late| late.at.duration_since(closed.at) <= lateness.within);
            frozen.solutions.append(&mut late);
            let Some(event) = choose(&frozen, &current) else { return Ok(Closing::Sent) };
            let sets = [
                ("event", item::text(event.to_json())),
                ("revision", item::number(revision + 1)),
                ("sent", AttributeValue::Bool(false)),
            ];
            let out = Is { state: EMITTED, choice: Some((revision, true)) };
            if !self.write(id, out, sets).await? {
                self.pause(attempt).await;
            }
        }
        Err(self.contended(id.pk()))
    }

    /// Notes that the choice of this revision is on the rapids.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`], [`Error::Contended`].
    pub async fn sent(&self, id: &WindowId, revision: u32) -> Result<(), Error> {
        for attempt in 0..ATTEMPTS_MAX {
            let sent = [("sent", AttributeValue::Bool(true))];
            let unsent = Is { state: EMITTED, choice: Some((revision, false)) };
            if self.write(id, unsent, sent).await? {
                return Ok(());
            }
            let window = self.read(id).await?;
            if window.is_none_or(|window| window.is_sent(revision)) {
                return Ok(());
            }
            self.pause(attempt).await;
        }
        Err(self.contended(id.pk()))
    }

    async fn frozen(
        &self,
        id: &WindowId,
        opening: Opening,
        closed: Closed,
        revision: u32,
    ) -> Result<Frozen<S>, Error> {
        let solutions = self.kept(id, SOLUTION).await?;
        let Closed { at: closed_at, reason } = closed;
        Ok(Frozen { opening, closed_at, reason, revision, solutions })
    }

    /// Sets attributes of a window. False if it is not what it should be, or a transaction on it is under way.
    async fn write<const N: usize>(
        &self,
        id: &WindowId,
        is: Is<'_>,
        sets: [(&str, AttributeValue); N],
    ) -> Result<bool, Error> {
        let mut condition = "#state = :is_state".to_owned();
        let mut update = self.0.client.update_item().table_name(&*self.0.table);
        update = update
            .set_key(Some(item::key(&id.pk(), WINDOW)))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":is_state", item::text(is.state));
        if let Some((revision, sent)) = is.choice {
            condition.push_str(" AND revision = :is_revision AND ");
            condition.push_str(match sent {
                true => "sent = :is_sent",
                false => "(attribute_not_exists(sent) OR sent = :is_sent)",
            });
            update = update
                .expression_attribute_values(":is_revision", item::number(revision))
                .expression_attribute_values(":is_sent", AttributeValue::Bool(sent));
        }
        let mut expressions = Vec::with_capacity(N);
        for (attribute, value) in sets {
            expressions.push(format!("#{attribute} = :{attribute}"));
            update = update
                .expression_attribute_names(format!("#{attribute}"), attribute)
                .expression_attribute_values(format!(":{attribute}"), value);
        }
        let update = update.update_expression(format!("SET {}", expressions.join(", ")));
        let Err(error) = update.condition_expression(condition).send().await else {
            return Ok(true);
        };
        match error.as_service_error() {
            Some(
                UpdateItemError::ConditionalCheckFailedException(_)
                | UpdateItemError::TransactionConflictException(_),
            ) => Ok(false),
            _ => Err(Error::aws(&self.0.table, "moving a window", error)),
        }
    }
}

/// What a step that writes nothing says of the window.
fn told(step: Step, opening: Opening) -> Closing {
    match step {
        Step::Publish { event, revision } => {
            Closing::Emit { event, revision, opening: Box::new(opening) }
        }
        Step::Nothing => Closing::Sent,
        // Others are closing it: not yet, but soon.
        Step::Wait { .. } | Step::Freeze { .. } | Step::Choose(_) => {
            Closing::NotYet { due: opening.due }
        }
    }
}
