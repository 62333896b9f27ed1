//! The resources, one file each.

pub(crate) mod approvals;
pub(crate) mod front;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod metrics;
pub(crate) mod requests;
pub(crate) mod time;
pub(crate) mod v1;
