//! A message in somebody's editor.

use std::io::{Read as _, Seek as _, Write as _};

use anyhow::{Context as _, anyhow};
use tokio::process::Command;

use super::letter::Parcel;
use crate::notification::Body;

/// Where neither `VISUAL` nor `EDITOR` is set.
const EDITOR: &str = "vi";

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Edited {
    /// To be sent.
    Send(Vec<u8>),
    /// To be left where it is.
    Leave,
}

/// Opens the text of a message, out of its notification, and gives what was made of it.
pub(super) async fn edit(parcel: &Parcel) -> anyhow::Result<Edited> {
    let text = parcel.published().with_context(|| format!("message {} is no text", parcel.id()))?;
    let shown = pretty(&text);
    let mut file = tempfile::Builder::new().prefix("rapids-").suffix(".json").tempfile()?;
    file.write_all(shown.as_bytes())
        .and_then(|()| file.flush())
        .context("writing for the editor")?;
    let editor =
        ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|it| !it.is_empty());
    let editor = editor.map_or_else(|| EDITOR.to_owned(), |it| it.to_string_lossy().into_owned());
    let words = shell_words::split(&editor).with_context(|| format!("editor {editor:?}"))?;
    let (program, arguments) = words.split_first().context("the editor has no name")?;
    let status = Command::new(program).args(arguments).arg(file.path()).status().await;
    let status = status.with_context(|| format!("cannot run {program}: set EDITOR"))?;
    if !status.success() {
        return Err(anyhow!("{program} failed ({status}): the message lies where it was"));
    }
    // Editors replace files rather than write into them.
    let mut edited = String::new();
    let mut file = std::fs::File::open(file.path()).context("reading what was edited")?;
    file.rewind()
        .and_then(|()| file.read_to_string(&mut edited))
        .context("reading what was edited")?;
    Ok(outcome(parcel, &shown, &edited))
}

fn pretty(text: &str) -> String {
    let json = serde_json::from_str::<serde_json::Value>(text);
    json.and_then(|json| serde_json::to_string_pretty(&json)).unwrap_or_else(|_| text.to_owned())
}

fn outcome(parcel: &Parcel, shown: &str, edited: &str) -> Edited {
    if edited.trim().is_empty() {
        return Edited::Leave;
    }
    if edited.trim_end() == shown.trim_end() {
        return Edited::Send(parcel.bytes.clone());
    }
    let json = serde_json::from_str::<serde_json::Value>(edited);
    let text = json.map_or_else(|_| edited.trim_end().to_owned(), |json| json.to_string());
    match serde_json::from_slice(&parcel.bytes) {
        Ok(Body::Notification(mut notification)) => {
            notification.message = text;
            // Texts: nothing in it can fail to be written.
            Edited::Send(serde_json::to_vec(&notification).unwrap_or_default())
        }
        _ => Edited::Send(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn an_empty_file_leaves_the_message_and_an_unchanged_one_sends_it_as_it_was() {
        let parcel = Parcel::of(letter("{ \"a\": 1 }", &[]));
        assert_eq!(outcome(&parcel, "{}", " \n"), Edited::Leave);
        let shown = pretty("{ \"a\": 1 }");
        assert_eq!(
            outcome(&parcel, &shown, &(shown.clone() + "\n")),
            Edited::Send(b"{ \"a\": 1 }".into())
        );
        assert_eq!(outcome(&parcel, &shown, "{\"a\": 2}\n"), Edited::Send(b"{\"a\":2}".into()));
    }

    #[test]
    fn what_lay_in_a_notification_is_put_back_into_it() {
        let wrapped = json!({
            "Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": "{}", "Timestamp": "t",
        });
        let parcel = Parcel::of(letter(&wrapped.to_string(), &[]));
        let Edited::Send(bytes) = outcome(&parcel, "{}", "{\"a\":1}") else { panic!() };
        let wrapped: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (&wrapped["Message"], &wrapped["MessageId"]),
            (&json!("{\"a\":1}"), &json!("m"))
        );
    }
}
