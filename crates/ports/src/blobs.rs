//! The content-addressed store for texts too large for an event.

use async_trait::async_trait;
use nightshift_domain::content::Digest;

use crate::log::StoreError;

/// Bytes under their SHA-256. Written before the event that refers to them; never changed.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores `bytes` under `digest`. Storing the same digest again is a no-op.
    ///
    /// # Errors
    /// The store did not take it.
    async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// Reads the bytes under `digest`; none when there are none.
    ///
    /// # Errors
    /// The store did not answer.
    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;
}

/// SHA-256 of bytes, as the store's key.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    Digest(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}
