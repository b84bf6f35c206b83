//! TLS of a listener: versions 1.2 and 1.3 on aws-lc-rs, HTTP/2 offered before HTTP/1.1.
//!
//! One certificate per listener, whatever name the client asks for: a name that is not the certificate's fails at the
//! client, and one that is not ours gets 421 (see [`crate::names`]). No client certificates, no early data (RFC 8446, 8:
//! it can be replayed, and a release must not be).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Why there is no TLS configuration. No `Eq`, since rustls' error has none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TlsError {
    #[error("the certificate chain is empty")]
    NoCertificate,
    #[error("protocol versions")]
    Versions(#[source] rustls::Error),
    #[error("certificate or key")]
    Certificate(#[source] rustls::Error),
    #[error("key of session tickets")]
    Ticketer(#[source] rustls::Error),
}

/// A configuration that shows `chain_der` (leaf first) and proves possession of the leaf's key, given as PKCS#8.
///
/// Tickets are sealed under keys that rustls makes and rotates every six hours; they do not outlive the process.
pub fn server_config(chain_der: &[Vec<u8>], key_pkcs8_der: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    if chain_der.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let chain = chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key_pkcs8_der.to_vec()));
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]);
    let builder = builder.map_err(TlsError::Versions)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.ticketer = Ticketer::new().map_err(TlsError::Ticketer)?;
    Ok(Arc::new(config))
}

/// RFC 7301; the first that the client offers too is taken.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
