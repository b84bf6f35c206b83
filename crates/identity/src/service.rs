//! A small token service: clients that prove themselves by a secret, and managed identities that the machine vouches for,
//! get tokens in the form of Entra's first version.
//!
//! Enough for development, tests and installations without an identity provider. Not here: users, consent, refresh, other
//! grants; the wire (`skerry-http`).

use std::collections::HashMap;
use std::time::SystemTime;

use aws_lc_rs::digest;
use skerry_jose::json::Object;
use skerry_jose::{JwkSet, ProtectedHeader, SigningError, SigningKey};
use subtle::ConstantTimeEq as _;

use crate::issuers::unix_secs;
use crate::limits::MINTED_LIFETIME_SECS;

/// SHA-256 of a client's secret, which is all that is kept of it. Secrets are random, of 128 bits at least: a digest that is
/// not stretched protects no others.
#[derive(Clone)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of this secret.
    pub fn of(secret: &str) -> SecretDigest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        SecretDigest(bytes)
    }

    /// A digest that configuration has.
    pub fn from_bytes(bytes: [u8; 32]) -> SecretDigest {
        SecretDigest(bytes)
    }

    fn matches(&self, other: &SecretDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Somebody whom tokens are made for.
#[derive(Clone)]
pub struct Client {
    id: String,
    object: String,
    secret: Option<SecretDigest>,
    resources: Vec<String>,
}

impl Client {
    /// A client that proves itself by a secret. Without resources it gets no token.
    pub fn with_secret(id: impl Into<String>, secret: SecretDigest) -> Client {
        Client { secret: Some(secret), ..Self::managed(id) }
    }

    /// A managed identity: whoever reaches the place that hands out its tokens has them.
    pub fn managed(id: impl Into<String>) -> Client {
        let id = id.into();
        Client { object: id.clone(), id, secret: None, resources: Vec::new() }
    }

    /// With another object id than its client id: `oid` and `sub` of its tokens.
    pub fn object(mut self, object: impl Into<String>) -> Client {
        self.object = object.into();
        self
    }

    /// May have tokens for this resource, which becomes their `aud` as it is written here.
    pub fn resource(mut self, resource: impl Into<String>) -> Client {
        self.resources.push(resource.into());
        self
    }
}

/// Makes tokens of one issuer and tenant.
pub struct TokenService {
    issuer: String,
    tenant: String,
    key: SigningKey,
    kid: String,
    header: ProtectedHeader,
    clients: HashMap<String, Client>,
    lifetime_secs: u64,
}

/// Why there is no token service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TokenServiceError {
    #[error("client {0} is named twice")]
    Twice(String),
}

impl TokenService {
    /// A service that signs with `key`, whose thumbprint (RFC 7638) is its key id. `issuer` and `tenant` become `iss` and
    /// `tid` as they are.
    pub fn new(
        issuer: impl Into<String>,
        tenant: impl Into<String>,
        key: SigningKey,
        clients: Vec<Client>,
    ) -> Result<TokenService, TokenServiceError> {
        let mut by_id = HashMap::new();
        for client in clients {
            if let Some(client) = by_id.insert(client.id.clone(), client) {
                return Err(TokenServiceError::Twice(client.id));
            }
        }
        let kid = key.public().thumbprint();
        let header = Object::new().with("typ", "JWT").with("alg", key.algorithm().name()).with("kid", kid.as_str());
        let header = ProtectedHeader::new(&header.to_json());
        let (issuer, tenant, lifetime_secs) = (issuer.into(), tenant.into(), MINTED_LIFETIME_SECS);
        Ok(TokenService { issuer, tenant, key, kid, header, clients: by_id, lifetime_secs })
    }

    /// With tokens that live so long.
    pub fn lifetime_secs(mut self, secs: u64) -> TokenService {
        self.lifetime_secs = secs;
        self
    }

    /// `iss` of the tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `tid` of the tokens.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The JWKS document: the key that tokens are signed with.
    pub fn jwks(&self) -> Object {
        let key = self.key.public().to_jwk();
        let key = key.with("alg", self.key.algorithm().name()).with("kid", self.kid.as_str()).with("use", "sig");
        Object::new().with("keys", vec![key])
    }

    /// The same keys for whoever believes this service in the same process.
    pub fn key_set(&self) -> Result<JwkSet, SigningError> {
        Ok(JwkSet::of(vec![self.key.verifying_key(&self.kid)?]))
    }

    /// A token for the client of this id, iff the secret is its own and it may have tokens for the resource. Nobody vouches
    /// for any of the three. An unknown client costs as much as a known one, and is refused alike.
    pub fn mint(&self, client_id: &str, secret: &str, resource: &str, now: SystemTime) -> Result<Minted, MintRefusal> {
        let client = self.clients.get(client_id).and_then(|client| Some((client, client.secret.as_ref()?)));
        let presented = SecretDigest::of(secret);
        let expected = client.map_or(&NOBODY, |(_, expected)| expected);
        match (presented.matches(expected), client) {
            (true, Some((client, _))) => self.mint_for(client, resource, now),
            _ => Err(MintRefusal::Client),
        }
    }

    /// A token for the managed identity of this id, iff it may have tokens for the resource. The caller vouches that who
    /// asks is the machine that has this identity. A client with a secret is no managed identity.
    pub fn mint_managed(&self, client_id: &str, resource: &str, now: SystemTime) -> Result<Minted, MintRefusal> {
        let client = self.clients.get(client_id).filter(|client| client.secret.is_none());
        self.mint_for(client.ok_or(MintRefusal::Client)?, resource, now)
    }

    fn mint_for(&self, client: &Client, resource: &str, now: SystemTime) -> Result<Minted, MintRefusal> {
        let asked = without_slash(resource);
        let resource = client.resources.iter().find(|own| without_slash(own) == asked).ok_or(MintRefusal::Resource)?;
        let not_before = unix_secs(now);
        let expires_on = not_before.saturating_add(self.lifetime_secs);
        let claims = Object::new()
            .with("aud", resource.as_str())
            .with("iss", self.issuer.as_str())
            .with("iat", not_before)
            .with("nbf", not_before)
            .with("exp", expires_on)
            .with("appid", client.id.as_str())
            .with("oid", client.object.as_str())
            .with("sub", client.object.as_str())
            .with("tid", self.tenant.as_str())
            .with("ver", "1.0");
        let access_token = self.header.sign(claims.to_json().as_bytes(), &self.key);
        let access_token = access_token.map_err(|_| MintRefusal::Unavailable)?;
        Ok(Minted { access_token, client_id: client.id.clone(), not_before, expires_on })
    }
}

/// An access token and what its holder is told of it. Times are seconds since the epoch. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub access_token: String,
    /// For whom it was made.
    pub client_id: String,
    /// From when it is good.
    pub not_before: u64,
    /// Until when it is good.
    pub expires_on: u64,
}

/// Why no token is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintRefusal {
    /// The client is unknown or its secret is wrong; which of the two is not said.
    #[error("the client is unknown or its secret is wrong")]
    Client,
    /// Tokens for this resource are not made here, or not for this client.
    #[error("no token is made for this resource")]
    Resource,
    /// A fault of the service.
    #[error("no token can be made now")]
    Unavailable,
}

/// Clients write a resource with or without its trailing slash (observed: `az` with, SDKs without).
fn without_slash(resource: &str) -> &str {
    resource.strip_suffix('/').unwrap_or(resource)
}

/// What an unknown client's secret is compared with. Nobody is let in by it: there is no client either.
const NOBODY: SecretDigest = SecretDigest([0; 32]);
