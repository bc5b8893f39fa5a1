//! STS: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>.

use local_aws::{ACCOUNT, LocalAws};

#[tokio::test]
async fn the_caller_is_the_root_of_the_account() {
    let sts = aws_sdk_sts::Client::new(&LocalAws::new().sdk_config());
    let caller = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(caller.account.as_deref(), Some(ACCOUNT));
    assert_eq!(caller.arn, Some(format!("arn:aws:iam::{ACCOUNT}:root")));
}

#[tokio::test]
async fn other_operations_are_refused_by_name() {
    let sts = aws_sdk_sts::Client::new(&LocalAws::new().sdk_config());
    let error = sts.get_session_token().send().await.unwrap_err();
    let message = aws_sdk_sts::error::DisplayErrorContext(&error).to_string();
    assert!(message.contains("GetSessionToken"), "{message}");
}
