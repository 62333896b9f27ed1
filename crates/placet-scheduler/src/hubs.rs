//! The task hubs that exist: made by first use, within measure.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use placet_core::ids::Hub;

/// Hubs made by first use, at most: a client that invents names must not fill the store with them.
const HUBS_MAX: usize = 1_000;

/// Why a hub's name is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// It is no name.
    #[error("taskhub: {0:?} is not a hub's name: 3 to 64 letters, digits, '-', '_' or '.'")]
    Invalid(String),
    /// There are too many already.
    #[error("taskhub: there are {HUBS_MAX} hubs already; delete one, or create this one with CreateTaskHub")]
    TooMany,
}

/// The hub of this name.
///
/// # Errors
/// If it is no name for a hub.
pub fn hub_of(name: &str) -> Result<Hub, HubError> {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if letters && (3..=64).contains(&name.len()) { Ok(Hub::new(name)) } else { Err(HubError::Invalid(name.into())) }
}

/// The hubs known to this process.
#[derive(Debug, Default)]
pub(crate) struct Hubs(Mutex<BTreeSet<Hub>>);

impl Hubs {
    pub(crate) fn new(known: impl IntoIterator<Item = Hub>) -> Hubs {
        Hubs(Mutex::new(known.into_iter().collect()))
    }

    /// Whether it is known.
    ///
    /// # Errors
    /// If it is not, and there is no room for it.
    pub(crate) fn admits(&self, hub: &Hub) -> Result<bool, HubError> {
        let known = self.lock();
        let is_known = known.contains(hub);
        if is_known || known.len() < HUBS_MAX { Ok(is_known) } else { Err(HubError::TooMany) }
    }

    /// Notes that a hub is in the store.
    pub(crate) fn is_there(&self, hub: Hub) {
        self.lock().insert(hub);
    }

    /// Notes that a hub is to be deleted. Whether it was known.
    pub(crate) fn forget(&self, hub: &Hub) -> bool {
        self.lock().remove(hub)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Hub>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_names_compare_without_case_and_have_a_shape() {
        assert_eq!(hub_of("My-Hub_1.x"), Ok(Hub::new("my-hub_1.x")));
        for name in ["", "ab", "a b c", "häb", &"x".repeat(65)] {
            assert_eq!(hub_of(name), Err(HubError::Invalid(name.into())));
        }
    }
}
