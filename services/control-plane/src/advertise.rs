//! Takes what a command says of a topic into the catalogue, or refuses it.

use event::Advert;
use event::names::Topic;

use crate::error::Error;
use crate::reconcile::Reconciler;
use crate::tables::Advertised;

/// Looks at a row that others change at the same time: two, where a shard of the control stream changes hands.
const LOOKS_MAX: u32 = 10;

impl Reconciler {
    /// Carries out the command at `place`, and says in how many steps.
    ///
    /// # Errors
    /// What the catalogue does not take, or what cannot be written down.
    pub(crate) async fn advertise(
        &self,
        topic: &Topic,
        advert: &Advert,
        place: &str,
    ) -> Result<usize, Error> {
        let tables = &self.hands.tables;
        if advert.is_plain() {
            tables.advertise(topic, self.now()).await?;
            return Ok(1);
        }
        for _ in 0..LOOKS_MAX {
            let seen = tables.advertised(topic).await?;
            match &seen {
                Some(Advertised { last_command: Some(last), .. }) if last.as_str() > place => {
                    return Ok(0);
                }
                Some(Advertised { last_command: Some(last), refused, .. }) if last == place => {
                    // Whether the refusal came into the quarantine before the crash, nobody knows.
                    return refused.as_ref().map_or(Ok(0), |why| Err(unfit(topic, why)));
                }
                _ => {}
            }
            let entry = seen.as_ref().map(|seen| seen.entry.clone()).unwrap_or_default();
            let is_written = match entry.with(advert) {
                Ok(entry) => {
                    tables.describe(topic, seen.as_ref(), &entry, place, self.now()).await?
                }
                Err(why) => {
                    let why = why.to_string();
                    let is_noted = match &seen {
                        Some(seen) => tables.refuse(topic, seen, &why, place, self.now()).await?,
                        None => true,
                    };
                    if is_noted {
                        return Err(unfit(topic, &why));
                    }
                    false
                }
            };
            if is_written {
                return Ok(1);
            }
        }
        let source = format!("its row changed {LOOKS_MAX} times meanwhile").into();
        Err(Error::Unavailable { call: "advertising", target: topic.to_string(), source })
    }
}

fn unfit(topic: &Topic, why: &str) -> Error {
    Error::Unfit { what: format!("advertise {topic}"), why: why.to_owned() }
}
