//! A need, its solutions for a while, and one choice among them.
//!
//! The window of a need is one item, each of its solutions another. The protocol, in which any process may do any
//! step and may die after it:
//!
//! - **open**: put the window if there is none. Its opener must have made sure before that somebody will close
//!   it, with a timer that survives the process. One that finds no window must be kept until no opener can be on its
//!   way any more;
//! - **collect**: put the solution and require that the window is OPEN, in one transaction. Only then is the
//!   solution's event let go;
//! - **close**: OPEN → CLOSING when due. From here on no transaction can add a solution, so the solutions that a
//!   consistent query finds are all there will ever be. The choice is a function of them, and is written down
//!   with CLOSING → EMITTED: the first to write decides, and everybody publishes what is written;
//! - **sent**: noted after the choice is on the rapids;
//! - **amend**: a solution that comes too late is kept beside the window, and may lead to another choice while it is
//!   fresh. That is written over the last one, which must be on the rapids, under the next revision: again the first
//!   to write decides, and everybody publishes what is written.
//!
//! The two obvious short cuts lose or duplicate: reading the solutions before the window is closed misses one that
//! comes in between; publishing before the choice is written lets two processes publish two choices. `protocol` goes
//! through every order of steps, crashes and copies, and shows that both fail and this one does not.

mod close;
mod collect;
#[cfg(test)]
mod protocol;
mod state;

use std::marker::PhantomData;
use std::time::Duration;

use event::Event;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;

use self::collect::Attempt;
pub use self::state::{CloseReason, Frozen, Lateness, Opening, Solution, When, WindowId};
use self::state::{OPEN, Window};
use crate::item::{self, Item};
use crate::table::LONGER_THAN_ANY_MESSAGE;
use crate::{Error, Pond};

/// Sort key of the window's own item.
const WINDOW: &str = "WINDOW";
/// Sort keys of solutions in time start with this.
const SOLUTION: &str = "SOLUTION#";
/// Sort keys of solutions too late start with this.
const LATE: &str = "LATE#";
/// Attempts while others write the same window. A conversation is small: more than this many at once is a fault.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// The windows of a service, for solutions of the type `S`.
#[derive(Clone, Debug)]
pub struct Windows<S>(Pond, PhantomData<fn() -> S>);

/// What became of a solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// It is in the window, and in the choice.
    Added,
    /// It was there already.
    Duplicate,
    /// The window was closed. The solution is kept beside it; `first` tells a new one from a copy.
    Late {
        /// Whether it came for the first time.
        first: bool,
    },
    /// There is no such window: nothing was written.
    NoWindow,
}

/// How far a window is.
#[derive(Clone, Debug, PartialEq)]
pub enum Closing {
    /// There is no such window.
    NoWindow,
    /// It has time until then.
    NotYet {
        /// When it is to be closed.
        due: jiff::Timestamp,
    },
    /// The choice stands, and is to be published. Then call [`Windows::sent`].
    Emit {
        /// What was chosen, as the first process to choose wrote it down.
        event: Box<Event>,
        /// 1 for the first choice, more for amendments.
        revision: u32,
        /// How the window opened.
        opening: Box<Opening>,
    },
    /// All is done.
    Sent,
}

impl<S: Serialize + DeserializeOwned> Windows<S> {
    /// The windows in `pond`.
    #[must_use]
    pub fn new(pond: &Pond) -> Self {
        Self(pond.clone(), PhantomData)
    }

    /// Whether there is such a window, open or not.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`].
    pub async fn is_known(&self, id: &WindowId) -> Result<bool, Error> {
        Ok(self.read(id).await?.is_some())
    }

    /// Opens a window, if there is none; false if there was one. Call it only when a timer is set that survives
    /// this process: an open window that nobody knows of would never be closed.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn open(&self, id: &WindowId, opening: &Opening) -> Result<bool, Error> {
        let mut item = item::key(&id.pk(), WINDOW);
        item.extend([
            ("state".to_owned(), item::text(OPEN)),
            ("opened_at".to_owned(), item::text(opening.opened_at.to_string())),
            ("due".to_owned(), item::text(opening.due.to_string())),
            ("cause".to_owned(), item::text(opening.cause.to_json())),
        ]);
        self.put_if_absent(item, "opening a window").await
    }

    /// Collects a solution, which has to be the same for the same `solution_id`.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Contended`].
    pub async fn collect(
        &self,
        id: &WindowId,
        solution_id: &str,
        solution: &S,
    ) -> Result<Collected, Error> {
        let pk = id.pk();
        let solution = serde_json::to_string(solution);
        let solution = &solution.map_err(|error| self.failed("writing a solution", error))?;
        for attempt in 0..ATTEMPTS_MAX {
            match self.try_collect(&pk, solution_id, solution).await? {
                Attempt::Done(collected) => return Ok(collected),
                Attempt::TooLate => {
                    let item = self.solution(&pk, &format!("{LATE}{solution_id}"), solution);
                    let first = self.put_if_absent(item, "keeping a late solution").await?;
                    return Ok(Collected::Late { first });
                }
                Attempt::Conflict => self.pause(attempt).await,
            }
        }
        Err(self.contended(pk))
    }

    /// What is in the window so far, in the order of ids; what came too late is not.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`].
    pub async fn solutions(&self, id: &WindowId) -> Result<Vec<Solution<S>>, Error> {
        self.kept(id, SOLUTION).await
    }

    async fn read(&self, id: &WindowId) -> Result<Option<Window>, Error> {
        let pk = id.pk();
        let Some(item) = self.0.get(&pk, WINDOW).await? else { return Ok(None) };
        let window = Window::from_item(&item);
        window.map(Some).map_err(|attribute| self.0.unreadable(&pk, attribute))
    }

    fn solution(&self, pk: &str, sk: &str, solution: &str) -> Item {
        let mut item = item::key(pk, sk);
        item.insert("solution".to_owned(), item::text(solution));
        item.insert("at".to_owned(), item::text(self.0.now().to_string()));
        item.insert(item::TTL.to_owned(), self.0.expiry(LONGER_THAN_ANY_MESSAGE));
        item
    }

    /// The solutions whose sort keys begin with `prefix`.
    async fn kept(&self, id: &WindowId, prefix: &str) -> Result<Vec<Solution<S>>, Error> {
        let pk = id.pk();
        let query = self.0.client.query().table_name(&*self.0.table).consistent_read(true);
        let query = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", item::text(&pk))
            .expression_attribute_values(":prefix", item::text(prefix));
        let mut items = query.into_paginator().items().send();
        let mut solutions = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|e| Error::aws(&self.0.table, "reading solutions", e))?;
            let value = item::text_of(&item, "solution");
            let value = value.and_then(|json| serde_json::from_str(json).ok());
            let at = item::text_of(&item, "at").and_then(|at| at.parse().ok());
            let unreadable = |attribute: &str| self.0.unreadable(&pk, attribute);
            solutions.push(Solution {
                value: value.ok_or_else(|| unreadable("solution"))?,
                at: at.ok_or_else(|| unreadable("at"))?,
                late: prefix == LATE,
            });
        }
        Ok(solutions)
    }

    async fn put_if_absent(&self, mut item: Item, action: &'static str) -> Result<bool, Error> {
        item.insert(item::TTL.to_owned(), self.0.expiry(LONGER_THAN_ANY_MESSAGE));
        let put = self.0.client.put_item().table_name(&*self.0.table).set_item(Some(item));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::aws(&self.0.table, action, error)),
        }
    }

    async fn pause(&self, attempt: u32) {
        sleep(PAUSE.mul_f64(fastrand::f64() * f64::from(attempt + 1))).await;
    }

    fn failed(
        &self,
        action: &'static str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error::Aws { table: self.0.table.to_string(), action, source: error.into() }
    }

    fn contended(&self, item: String) -> Error {
        Error::Contended { table: self.0.table.to_string(), item }
    }
}
