//! The row of `Rivers-{stage}` in which the control plane says how it is set, so that others can tell what it will do.

use aws_sdk_dynamodb::operation::get_item::GetItemError;
use event::route::RIVER;

use super::{Tables, text};
use crate::error::Error;

/// No river can have this name.
const ROW: &str = "#settings";
const SETTINGS: &str = "Settings";
const TOPIC_ARN: &str = "TopicArn";

/// How a control plane is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Its configuration, as JSON.
    pub(crate) settings: String,
    /// The SNS topic of the rapids.
    pub(crate) topic_arn: String,
}

impl Tables {
    /// Says how this control plane is set. Replicas have the same settings; the one that started last is right.
    pub(crate) async fn publish(&self, published: &Published) -> Result<(), Error> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.rivers)
            .key(RIVER, text(ROW))
            .update_expression("SET #settings = :settings, #topic = :topic")
            .expression_attribute_names("#settings", SETTINGS)
            .expression_attribute_names("#topic", TOPIC_ARN)
            .expression_attribute_values(":settings", text(&published.settings))
            .expression_attribute_values(":topic", text(&published.topic_arn));
        self.apply(update).await
    }

    /// What the control plane that started last said; none where none ever did.
    pub(crate) async fn published(&self) -> Result<Option<Published>, Error> {
        let get = self.dynamodb.get_item().table_name(&self.rivers).consistent_read(true);
        let found = match get.key(RIVER, text(ROW)).send().await {
            Ok(found) => found,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetItemError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::of_call("DynamoDB GetItem", &self.rivers, error)),
        };
        let word = |name: &str| found.item.as_ref()?.get(name)?.as_s().ok().cloned();
        let (settings, topic_arn) = (word(SETTINGS), word(TOPIC_ARN));
        Ok(settings.zip(topic_arn).map(|(settings, topic_arn)| Published { settings, topic_arn }))
    }
}
