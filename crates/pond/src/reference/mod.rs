//! Small tables of things that somebody else knows: customer to segment, customer to tier.

mod batch;
mod load;
mod rows;

use serde::{Serialize, de::DeserializeOwned};

pub use self::load::LoadError;

use crate::{Error, Pond, item};

const JSON: &str = "json";

/// A collection of JSON values by key.
#[derive(Clone, Debug)]
pub struct Reference {
    pond: Pond,
    collection: &'static str,
}

impl Reference {
    /// The collection of this name; it is empty until something is put there.
    #[must_use]
    pub fn new(pond: &Pond, collection: &'static str) -> Self {
        Self { pond: pond.clone(), collection }
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// [`Error::Aws`], or [`Error::Unreadable`] when it is no `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let pk = self.pk();
        let Some(item) = self.pond.get(&pk, key).await? else { return Ok(None) };
        let value = item::text_of(&item, JSON).and_then(|json| serde_json::from_str(json).ok());
        value.map(Some).ok_or_else(|| self.pond.unreadable(&format!("{pk} {key}"), JSON))
    }

    /// Puts a value in the place of whatever is at `key`.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn put(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.write(key, value, None).await
    }

    /// Puts a value where nothing is at `key`: for rows that come with a service, and may since have been changed.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn seed(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.write(key, value, Some("attribute_not_exists(pk)")).await
    }

    async fn write(
        &self,
        key: &str,
        value: &impl Serialize,
        condition: Option<&str>,
    ) -> Result<(), Error> {
        let action = "writing reference data";
        let json = serde_json::to_string(value).map_err(|error| Error::Aws {
            table: self.pond.table.to_string(),
            action,
            source: error.into(),
        })?;
        let put = self.pond.client.put_item().table_name(&*self.pond.table);
        let put = put.set_item(Some(item::key(&self.pk(), key))).item(JSON, item::text(json));
        match put.set_condition_expression(condition.map(str::to_owned)).send().await {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Err(Error::aws(&self.pond.table, action, error))
            }
            _ => Ok(()),
        }
    }

    fn pk(&self) -> String {
        format!("REFERENCE#{}", self.collection)
    }
}
