//! The task hubs that exist: made by first use, within measure, unless that is forbidden.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use placet_core::ids::Hub;

/// Hubs made by first use, at most: a client that invents names must not fill the store with them.
const HUBS_MAX: usize = 1_000;

/// The hub of a call that names none: plain clients send no header.
pub(crate) const HUB_DEFAULT: &str = "default";

/// Why a hub's name is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// It is no name.
    #[error("taskhub: {0:?} is not a hub's name: 3 to 64 letters, digits, '-', '_' or '.'")]
    Invalid(String),
    /// It names no hub, and none is made by being used.
    #[error(
        "taskhub: there is no task hub {0:?} here; name it when the server starts, or create it with CreateTaskHub"
    )]
    Unknown(String),
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
#[derive(Debug)]
pub(crate) struct Hubs {
    known: Mutex<BTreeSet<Hub>>,
    /// Whether any is made by its first use.
    are_dynamic: bool,
}

impl Hubs {
    pub(crate) fn new(known: impl IntoIterator<Item = Hub>, are_dynamic: bool) -> Hubs {
        Hubs { known: Mutex::new(known.into_iter().collect()), are_dynamic }
    }

    /// The hub of this name, if there is one or its first use would make it.
    ///
    /// # Errors
    /// If it is no name, or there is none.
    pub(crate) fn named(&self, name: &str) -> Result<Hub, HubError> {
        let hub = hub_of(name)?;
        if self.are_dynamic || self.lock().contains(&hub) { Ok(hub) } else { Err(HubError::Unknown(name.into())) }
    }

    /// Whether it is known.
    ///
    /// # Errors
    /// If it is not, and there is no room for it, or none is made by being used.
    pub(crate) fn admits(&self, hub: &Hub) -> Result<bool, HubError> {
        let known = self.lock();
        let is_known = known.contains(hub);
        if !is_known && !self.are_dynamic {
            return Err(HubError::Unknown(hub.to_string()));
        }
        if is_known || known.len() < HUBS_MAX { Ok(is_known) } else { Err(HubError::TooMany) }
    }

    /// Those that are known.
    pub(crate) fn all(&self) -> BTreeSet<Hub> {
        self.lock().clone()
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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn a_hub_that_is_not_there_is_made_by_its_use_only_where_that_is_allowed() {
        let (open, closed) = (Hubs::new([Hub::new("a-hub")], true), Hubs::new([Hub::new("a-hub")], false));
        let unknown = || Err(HubError::Unknown("B-hub".into()));
        assert_eq!((open.named("A-HUB"), open.named("B-hub")), (Ok(Hub::new("a-hub")), Ok(Hub::new("b-hub"))));
        assert_eq!((closed.named("A-HUB"), closed.named("B-hub")), (Ok(Hub::new("a-hub")), unknown()));
        assert_eq!(closed.admits(&Hub::new("b-hub")), Err(HubError::Unknown("b-hub".into())));
        closed.is_there(Hub::new("b-hub"));
        assert_eq!(closed.admits(&Hub::new("b-hub")), Ok(true), "it was created");
    }
}
