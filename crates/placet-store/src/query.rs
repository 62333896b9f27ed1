//! What a list or a look-up may ask of a store: typed, and rendered by each store in its own dialect.

use std::sync::Arc;

use bytes::Bytes;
use placet_core::ids::{Hub, InstanceKey};
use placet_core::rows::InstanceRow;

/// A question that needs no decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// The task hubs that exist, by name.
    Hubs,
    /// One published row.
    Published {
        /// The hub.
        hub: Hub,
        /// The projection.
        kind: Arc<str>,
        /// The row's key.
        key: Arc<str>,
    },
    /// The row of one instance, without what hangs on it.
    Instance(InstanceKey),
}

/// Its answer, variant by variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Query::Hubs`].
    Hubs(Vec<Hub>),
    /// To [`Query::Published`].
    Published(Option<Bytes>),
    /// To [`Query::Instance`].
    Instance(Option<Box<InstanceRow>>),
}
