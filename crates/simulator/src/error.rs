//! What can go wrong while making evidence.

use thiserror::Error;

/// Why the simulator could not make or load something.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimulatorError {
    /// The cryptographic library could not generate a key.
    #[error("key generation failed")]
    KeyGeneration,
    /// The cryptographic library could not sign.
    #[error("signing failed")]
    Signing,
    /// A stored private key is not one.
    #[error("private key {index} rejected")]
    KeyRejected {
        /// Position among the private keys of the file, from 0.
        index: usize,
    },
    /// A private key could not be written out.
    #[error("private key export failed")]
    KeyExport,
    /// A stored certificate does not carry the public key of the stored private key.
    #[error("certificate {index} has another key")]
    KeyMismatch {
        /// Position among the certificates of the file, from 0.
        index: usize,
    },
    /// The text is not PEM, or PEM of another kind than expected.
    #[error("malformed pem: block {index}")]
    MalformedPem {
        /// Position of the block that was wrong or missing, from 0.
        index: usize,
    },
    /// A stored certificate does not parse.
    #[error("malformed certificate {index}")]
    MalformedCertificate {
        /// Position among the certificates of the file, from 0.
        index: usize,
    },
    /// The header of a stored root has another length or an unknown generation.
    #[error("malformed root header of {len} bytes")]
    MalformedHeader {
        /// Length found.
        len: usize,
    },
    /// A time that X.509 cannot express (before 1970 or after 9999).
    #[error("time not representable")]
    TimeOutOfRange,
    /// A CBOR item could not be written.
    #[error("cbor encoding failed")]
    Encoding,
}
