//! The keys that hubs sign with: each hub has its own, in the store, sealed by a master key that is not in the store.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use placet_core::ids::Hub;

const NONCE_BYTES: usize = 24;

/// What seals the keys of all hubs. Whoever has it and the store can sign in their names.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// What a hub signs with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HubKey {
    pub(super) seed: [u8; 32],
    /// Whether no checkpoint was signed with it as yet: the first one is to be found missing by nobody.
    pub(super) is_fresh: bool,
}

impl fmt::Debug for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubKey").field("is_fresh", &self.is_fresh).finish_non_exhaustive()
    }
}

/// What a key is sealed for.
fn associated(hub: &Hub, is_fresh: bool) -> Vec<u8> {
    [hub.as_str(), if is_fresh { "\0fresh" } else { "" }].concat().into_bytes()
}

/// Why a hub cannot sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It was sealed with another master key.
    #[error(
        "the key of hub {0} was sealed with another master key: put back the file `master.key` that belongs to this data, or \
         begin with a new key, which nobody knows yet: placet audit checkpoint --anew"
    )]
    OtherMaster(Hub),
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    NoChance,
}

impl MasterKey {
    /// The master key of these bytes.
    pub fn new(bytes: [u8; 32]) -> MasterKey {
        MasterKey(bytes)
    }

    /// A new one.
    ///
    /// # Errors
    /// [`KeyError::NoChance`]
    pub fn random() -> Result<MasterKey, KeyError> {
        chance().map(MasterKey)
    }

    /// Its bytes, to be kept where nobody else reads them.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A new key of a hub, as it is to be stored.
    pub(super) fn new_key(&self, hub: &Hub) -> Result<(HubKey, Vec<u8>), KeyError> {
        let key = HubKey { seed: chance()?, is_fresh: true };
        let sealed = self.seal(hub, &key)?;
        Ok((key, sealed))
    }

    /// A key of a hub as it is to be stored.
    pub(super) fn seal(&self, hub: &Hub, key: &HubKey) -> Result<Vec<u8>, KeyError> {
        let nonce: [u8; NONCE_BYTES] = chance()?;
        let aad = associated(hub, key.is_fresh);
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), Payload { msg: &key.seed, aad: &aad });
        let sealed = sealed.map_err(|_| KeyError::OtherMaster(hub.clone()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// The key of a hub that is stored so.
    pub(super) fn open(&self, hub: &Hub, stored: &[u8]) -> Result<HubKey, KeyError> {
        let open = |is_fresh| {
            let (nonce, sealed) = stored.split_at_checked(NONCE_BYTES)?;
            let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
            let of_hub = Payload { msg: sealed, aad: &associated(hub, is_fresh) };
            let seed = self.cipher().decrypt(&XNonce::from(nonce), of_hub).ok()?.try_into().ok()?;
            Some(HubKey { seed, is_fresh })
        };
        open(false).or_else(|| open(true)).ok_or_else(|| KeyError::OtherMaster(hub.clone()))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

fn chance<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::NoChance)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_hubs_and_opens_with_its_master_key_alone() {
        let (master, hub) = (MasterKey::new([1; 32]), Hub::new("default"));
        let (key, stored) = master.new_key(&hub).unwrap();
        assert_eq!(master.open(&hub, &stored).unwrap(), key);
        let used = HubKey { is_fresh: false, ..key.clone() };
        assert_eq!(master.open(&hub, &master.seal(&hub, &used).unwrap()).unwrap(), used);
        assert!(MasterKey::new([2; 32]).open(&hub, &stored).is_err());
        assert!(master.open(&Hub::new("other"), &stored).is_err());
        assert!(master.open(&hub, &stored[..30]).is_err());
        assert!(!stored.windows(8).any(|part| key.seed.starts_with(part)), "it is sealed");
        assert_eq!(format!("{master:?}"), "MasterKey(…)");
    }
}
