//! An issuer's metadata (OpenID Connect Discovery 1.0, 3 and 4.3): where its keys are, if it is who we take it for.
//!
//! Only `issuer` and `jwks_uri` are read. The one must be the issuer that configuration names, the other must stay with
//! the server that was asked, or go where configuration says keys are. Nothing is fetched here.

use skerry_jose::json::{self, Object};
use skerry_jose::limits::JSON;

use crate::limits::METADATA_BYTES_MAX;
use crate::url::{Origin, Url, UrlError};

/// An issuer that publishes its keys by metadata, as configuration knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    issuer: Url,
    metadata: Url,
    keys: Origin,
}

impl Oidc {
    /// The issuer of this URL, with metadata at `<issuer>/.well-known/openid-configuration` and keys at the same origin.
    /// Configuration vouches for the URL.
    pub fn new(issuer: Url) -> Result<Oidc, UrlError> {
        if issuer.has_query() {
            return Err(UrlError::Query);
        }
        let metadata = issuer.joined(WELL_KNOWN)?;
        let keys = metadata.origin().clone();
        Ok(Oidc { issuer, metadata, keys })
    }

    /// With metadata, and so keys, elsewhere: those of `https://sts.windows.net/<tenant>/` are at
    /// `https://login.microsoftonline.com/<tenant>/.well-known/openid-configuration`.
    pub fn metadata_at(mut self, url: Url) -> Oidc {
        self.keys = url.origin().clone();
        self.metadata = url;
        self
    }

    /// With keys at another origin than the metadata.
    pub fn keys_on(mut self, origin: Origin) -> Oidc {
        self.keys = origin;
        self
    }

    /// The issuer.
    pub fn issuer(&self) -> &Url {
        &self.issuer
    }

    /// Where its metadata is.
    pub fn metadata(&self) -> &Url {
        &self.metadata
    }

    /// Where its keys are, iff the document says it is this issuer's (one trailing slash apart) and names a place at the
    /// origin that is meant to have them. The bytes may come from anyone.
    pub fn keys_url(&self, document: &[u8]) -> Result<Url, MetadataError> {
        let limits = json::Limits { bytes_max: METADATA_BYTES_MAX, ..JSON };
        let document = json::parse(document, &limits).map_err(MetadataError::Json)?;
        let document = document.as_object().ok_or(MetadataError::NotAnObject)?;
        let issuer = url(document, "issuer")?;
        if !issuer.same_issuer(&self.issuer) {
            return Err(MetadataError::Issuer { expected: self.issuer.to_string(), found: issuer.to_string() });
        }
        let keys = url(document, "jwks_uri")?;
        if *keys.origin() != self.keys {
            return Err(MetadataError::KeysOrigin { expected: self.keys.clone(), found: keys.origin().clone() });
        }
        Ok(keys)
    }
}

/// Why an issuer's metadata is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum MetadataError {
    #[error("metadata is not acceptable JSON")]
    Json(#[source] json::Error),
    #[error("metadata is not a JSON object")]
    NotAnObject,
    #[error("metadata member {0} is missing")]
    Missing(&'static str),
    #[error("metadata member {0} has the wrong JSON type")]
    WrongType(&'static str),
    #[error("metadata member {name}")]
    Url { name: &'static str, source: UrlError },
    #[error("metadata is of issuer {found}, not {expected}")]
    Issuer { expected: String, found: String },
    #[error("metadata has keys at {found}, not {expected}")]
    KeysOrigin { expected: Origin, found: Origin },
}

fn url(document: &Object, name: &'static str) -> Result<Url, MetadataError> {
    let value = document.get(name).ok_or(MetadataError::Missing(name))?;
    let text = value.as_str().ok_or(MetadataError::WrongType(name))?;
    Url::parse(text).map_err(|source| MetadataError::Url { name, source })
}

/// OpenID Connect Discovery 1.0, 4.1: a trailing slash of the issuer is dropped first.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
