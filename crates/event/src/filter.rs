//! SNS filter policies.
