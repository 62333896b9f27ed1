//! The wire: the messages of the Durable Task protocol and of Placet's own calls, generated from `proto/`.
//!
//! Only messages live here, so that the core can name them without linking tonic; the server's stubs are
//! in `placet-scheduler`, the client's in `placet-sdk`. `cargo xtask codegen` writes all of them.

/// Microsoft's protocol: `proto/durabletask/orchestrator_service.proto`.
#[rustfmt::skip]
#[allow(clippy::all, missing_docs, unused_qualifications, clippy::allow_attributes, reason = "generated")]
pub mod durabletask {
    include!("generated/durabletask.rs");
}

/// Placet's own calls.
pub mod placet {
    /// Version 1: `proto/placet/v1/placet.proto`.
    #[rustfmt::skip]
    #[allow(clippy::all, missing_docs, unused_qualifications, clippy::allow_attributes, reason = "generated")]
    pub mod v1 {
        include!("generated/placet.v1.rs");
    }
}

/// The encoded `FileDescriptorSet` of both files and of what they import, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor.bin");

#[cfg(test)]
mod tests;

/// What is published as this kind is an entry of the record, written once at the end of its chain: its body is an
/// [`placet::v1::EntryParts`], its key says nothing.
pub const ENTRIES: &str = "entry";

/// Bytes before each part of an entry that say nothing: they keep others from guessing the rest by its hash.
pub const SALT_BYTES: usize = 16;
