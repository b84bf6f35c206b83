//! Identity providers, and what makes a bearer token of theirs a principal.
//!
//! The provider is chosen by `iss`, compared byte for byte with what configuration says; only keys of that provider are
//! tried, so a token of one never stands for another. What the header says of keys is not looked at. Keys come from
//! `skerry-sources`; the clock is the caller's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use skerry_jose::json::{Object, Value};
use skerry_jose::{JwkSet, JwsError, KeyLookupError, Unverified};
use skerry_sources::{KeySet, SourceError};

use crate::limits::{BEARER, LIFETIME_MAX_SECS, SKEW_SECS, SUBJECT_BYTES_MAX};
use crate::principal::Principal;
use crate::verified::{Digest, Proven, Times, VerifiedTokens};

/// An identity provider, as configuration vouches for it.
#[derive(Clone)]
pub struct Provider {
    issuers: Vec<String>,
    keys: KeySet,
    tenant: Option<String>,
    subject: SubjectClaim,
    lifetime_max_secs: u64,
}

/// Which claim names a caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SubjectClaim {
    /// `oid` where there is one, else `sub`: Entra's way, whose `sub` differs from client to client.
    #[default]
    OidOrSub,
    /// `sub`: for providers that let others than themselves put an `oid` into a token.
    Sub,
}

impl Provider {
    /// The provider whose `iss` is this text, signing with these keys. The text is also the issuer of its principals.
    pub fn new(issuer: impl Into<String>, keys: KeySet) -> Provider {
        let (subject, lifetime_max_secs) = (SubjectClaim::default(), LIFETIME_MAX_SECS);
        Provider { issuers: vec![issuer.into()], keys, tenant: None, subject, lifetime_max_secs }
    }

    /// The same provider also writes its `iss` so: `https://login.microsoftonline.com/<tenant>/v2.0` beside
    /// `https://sts.windows.net/<tenant>/`.
    pub fn also(mut self, issuer: impl Into<String>) -> Provider {
        self.issuers.push(issuer.into());
        self
    }

    /// Demands that `tid` is this text.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Provider {
        self.tenant = Some(tenant.into());
        self
    }

    /// Names callers by this claim.
    pub fn subject(mut self, claim: SubjectClaim) -> Provider {
        self.subject = claim;
        self
    }

    /// Believes no token that lives longer.
    pub fn lifetime_max_secs(mut self, secs: u64) -> Provider {
        self.lifetime_max_secs = secs;
        self
    }
}

/// All identity providers of an installation.
pub struct Issuers {
    providers: Vec<Provider>,
    by_issuer: HashMap<String, usize>,
    verified: VerifiedTokens,
}

/// Why providers cannot stand beside each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum IssuersError {
    #[error("a provider has no issuer")]
    Empty,
    #[error("issuer {0} is named twice")]
    Twice(String),
}

impl Issuers {
    /// These providers, each spelling of an issuer belonging to one.
    pub fn new(providers: Vec<Provider>) -> Result<Issuers, IssuersError> {
        let mut by_issuer = HashMap::new();
        for (at, issuer) in spellings(&providers) {
            if issuer.is_empty() {
                return Err(IssuersError::Empty);
            }
            if by_issuer.insert(issuer.to_owned(), at).is_some() {
                return Err(IssuersError::Twice(issuer.to_owned()));
            }
        }
        Ok(Issuers { providers, by_issuer, verified: VerifiedTokens::default() })
    }

    /// Every spelling of every issuer, in the order of configuration. None of them may be an attestation authority's.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        spellings(&self.providers).map(|(_, issuer)| issuer)
    }

    /// How principals of the issuer with this spelling name it, for configuration that speaks of principals.
    pub fn first_spelling(&self, issuer: &str) -> Option<&str> {
        let provider = self.providers.get(*self.by_issuer.get(issuer)?)?;
        provider.issuers.first().map(String::as_str)
    }

    /// Who the caller is, iff a provider's key signed the token, it is for one of `audiences`, and `now` is within its
    /// times. `bearer` is the token alone, and nobody vouches for it; the caller vouches for the rest.
    pub async fn authenticate(
        &self,
        bearer: &str,
        audiences: &[&str],
        now: SystemTime,
    ) -> Result<Principal, Unauthorized> {
        let digest = sha256(bearer)?;
        if let Some(proven) = self.still_proven(&digest, now).await {
            return proven.principal_for(audiences, now);
        }
        let proven = self.prove(bearer, now).await?;
        let principal = proven.principal_for(audiences, now)?;
        self.verified.keep(digest, proven);
        Ok(principal)
    }

    /// The proof of a token that was verified before, iff its issuer's keys are still those it was verified by.
    async fn still_proven(&self, digest: &Digest, now: SystemTime) -> Option<Arc<Proven>> {
        let proven = self.verified.find(digest)?;
        let provider = self.providers.get(proven.provider)?;
        let keys = provider.keys.with_kid(Some(&proven.kid), now).await.ok()?;
        Arc::ptr_eq(&keys, &proven.keys).then_some(proven)
    }

    async fn prove(&self, bearer: &str, now: SystemTime) -> Result<Proven, Unauthorized> {
        let unverified = Unverified::parse(bearer, &BEARER).map_err(Unauthorized::Malformed)?;
        let issuer = text(unverified.claims_nobody_vouches_for(), "iss")?;
        let issuer = issuer.ok_or(Unauthorized::Missing("iss"))?.to_owned();
        let at = *self.by_issuer.get(&issuer).ok_or_else(|| self.unknown(&issuer))?;
        let provider = self.providers.get(at).ok_or_else(|| self.unknown(&issuer))?;
        let refused = |fault| Unauthorized::Key { header: header(bearer), fault };
        let kid = unverified.header().kid().ok_or_else(|| refused(KeyFault::NoKid))?.to_owned();
        let keys = provider.keys.with_kid(Some(&kid), now).await;
        let keys = keys.map_err(|source| Unauthorized::Unavailable { issuer, source })?;
        let claims = verify(unverified, &kid, &keys).map_err(refused)?;
        check_tenant(&claims, provider.tenant.as_deref())?;
        let name = provider.issuers.first().map(String::as_str).unwrap_or_default();
        let principal = Principal::new(name, subject(&claims, provider.subject)?);
        let (audiences, times) = (audiences(&claims)?, times(&claims)?);
        check_lifetime(&times, provider.lifetime_max_secs)?;
        Ok(Proven { provider: at, kid, keys, principal, audiences, times })
    }

    fn unknown(&self, found: &str) -> Unauthorized {
        let expected = self.issuers().map(str::to_owned).collect();
        Unauthorized::UnknownIssuer { expected, found: found.to_owned() }
    }
}

impl Proven {
    /// What changes from request to request: the time, and what is asked for.
    fn principal_for(&self, audiences: &[&str], now: SystemTime) -> Result<Principal, Unauthorized> {
        check_times(&self.times, unix_secs(now))?;
        check_audience(&self.audiences, audiences)?;
        Ok(self.principal.clone())
    }
}

/// Why a caller is not authenticated. Times are seconds since the epoch. No `Eq`, since rustls' error has none.
///
/// What was found in the token is a stranger's text, of at most as many bytes as the token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum Unauthorized {
    #[error("bearer token")]
    Malformed(#[source] JwsError),
    #[error("claim {0} is missing")]
    Missing(&'static str),
    #[error("claim {0} has the wrong JSON type")]
    WrongType(&'static str),
    /// Azure's AKV10032.
    #[error("issuer is {found:?}, not one of {expected:?}")]
    UnknownIssuer { expected: Vec<String>, found: String },
    /// Azure's AKV10046; `header` is the encoded one.
    #[error("token under header {header} is not signed by a key of its issuer")]
    Key {
        header: String,
        #[source]
        fault: KeyFault,
    },
    #[error("tenant is {found:?}, not {expected}")]
    Tenant { expected: String, found: String },
    #[error("claim {0} is no subject: 1 to {SUBJECT_BYTES_MAX} printable ASCII characters without blanks")]
    Subject(&'static str),
    /// Azure's AKV10022.
    #[error("audience is {found:?}, not one of {expected:?}")]
    Audience { expected: Vec<String>, found: Vec<String> },
    #[error("expired at {exp}, now {now}")]
    Expired { exp: u64, now: u64 },
    #[error("not valid before {nbf}, now {now}")]
    NotYetValid { nbf: u64, now: u64 },
    #[error("issued at {iat}, which is later than now, {now}")]
    IssuedInFuture { iat: u64, now: u64 },
    #[error("expires at {exp}, not after it was issued, {iat}")]
    EmptyLifetime { iat: u64, exp: u64 },
    #[error("lives {lifetime_secs} s, more than {max_secs} s")]
    Lifetime { lifetime_secs: u64, max_secs: u64 },
    /// Nobody's fault but ours or the provider's.
    #[error("keys of {issuer} are not available")]
    Unavailable { issuer: String, source: SourceError },
}

/// Why no key of the issuer stands behind a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum KeyFault {
    #[error("header has no kid")]
    NoKid,
    #[error(transparent)]
    Lookup(#[from] KeyLookupError),
    #[error(transparent)]
    Signature(#[from] JwsError),
}

fn spellings(providers: &[Provider]) -> impl Iterator<Item = (usize, &str)> {
    providers.iter().enumerate().flat_map(|(at, provider)| provider.issuers.iter().map(move |one| (at, one.as_str())))
}

fn verify(unverified: Unverified<'_>, kid: &str, keys: &JwkSet) -> Result<Object, KeyFault> {
    let key = keys.find(kid, unverified.header().algorithm())?;
    Ok(unverified.verify(key)?.into_claims())
}

fn check_tenant(claims: &Object, tenant: Option<&str>) -> Result<(), Unauthorized> {
    let Some(expected) = tenant else { return Ok(()) };
    let found = text(claims, "tid")?.ok_or(Unauthorized::Missing("tid"))?;
    if found == expected {
        return Ok(());
    }
    Err(Unauthorized::Tenant { expected: expected.to_owned(), found: found.to_owned() })
}

/// An `oid` that is no subject is refused, never passed over for `sub`.
fn subject(claims: &Object, claim: SubjectClaim) -> Result<&str, Unauthorized> {
    let oid = if claim == SubjectClaim::OidOrSub { text(claims, "oid")? } else { None };
    let (name, subject) = match oid {
        Some(oid) => ("oid", oid),
        None => ("sub", text(claims, "sub")?.ok_or(Unauthorized::Missing("sub"))?),
    };
    let fits = (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(subject) } else { Err(Unauthorized::Subject(name)) }
}

/// RFC 7519, 4.1.3: a string or an array of strings.
fn audiences(claims: &Object) -> Result<Vec<String>, Unauthorized> {
    let wrong = || Unauthorized::WrongType("aud");
    match claims.get("aud").ok_or(Unauthorized::Missing("aud"))? {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(several) => several.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}

fn check_audience(found: &[String], expected: &[&str]) -> Result<(), Unauthorized> {
    if found.iter().any(|found| expected.contains(&found.as_str())) {
        return Ok(());
    }
    let expected = expected.iter().map(|one| (*one).to_owned()).collect();
    Err(Unauthorized::Audience { expected, found: found.to_vec() })
}

/// `iat` is demanded (RFC 9068, 2.2): without it a lifetime cannot be bounded.
fn times(claims: &Object) -> Result<Times, Unauthorized> {
    let required = |name| time(claims, name)?.ok_or(Unauthorized::Missing(name));
    Ok(Times { exp: required("exp")?, iat: required("iat")?, nbf: time(claims, "nbf")? })
}

fn check_times(times: &Times, now: u64) -> Result<(), Unauthorized> {
    let Times { iat, nbf, exp } = *times;
    if exp.saturating_add(SKEW_SECS) <= now {
        return Err(Unauthorized::Expired { exp, now });
    }
    if let Some(nbf) = nbf.filter(|nbf| *nbf > now.saturating_add(SKEW_SECS)) {
        return Err(Unauthorized::NotYetValid { nbf, now });
    }
    if iat > now.saturating_add(SKEW_SECS) {
        return Err(Unauthorized::IssuedInFuture { iat, now });
    }
    Ok(())
}

fn check_lifetime(times: &Times, max_secs: u64) -> Result<(), Unauthorized> {
    let Times { iat, exp, .. } = *times;
    let lifetime_secs = exp.checked_sub(iat).filter(|secs| *secs > 0);
    let lifetime_secs = lifetime_secs.ok_or(Unauthorized::EmptyLifetime { iat, exp })?;
    if lifetime_secs > max_secs {
        return Err(Unauthorized::Lifetime { lifetime_secs, max_secs });
    }
    Ok(())
}

/// A NumericDate as a canonical integer; anything else is refused, never taken as absent.
fn time(claims: &Object, name: &'static str) -> Result<Option<u64>, Unauthorized> {
    claims.get(name).map(|value| value.as_u64().ok_or(Unauthorized::WrongType(name))).transpose()
}

fn text<'a>(claims: &'a Object, name: &'static str) -> Result<Option<&'a str>, Unauthorized> {
    claims.get(name).map(|value| value.as_str().ok_or(Unauthorized::WrongType(name))).transpose()
}

/// The first part of the compact form.
fn header(bearer: &str) -> String {
    bearer.split('.').next().unwrap_or_default().to_owned()
}

/// Seconds since the epoch (RFC 7519, 2, NumericDate); times before it count as the epoch itself.
pub(crate) fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Of a token that is not too long to be one.
fn sha256(bearer: &str) -> Result<Digest, Unauthorized> {
    let (len, max) = (bearer.len(), BEARER.token_bytes_max);
    if len > max {
        return Err(Unauthorized::Malformed(JwsError::TooLarge { len, max }));
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, bearer.as_bytes()).as_ref());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use skerry_jose::{Algorithm, SigningKey};

    use super::*;
    use crate::limits::VERIFIED_MAX;
    use crate::service::{Client, TokenService};

    const RESOURCE: &str = "https://vault.example";

    fn proven(provider: usize, keys: Arc<JwkSet>, subject: &str) -> Proven {
        let times = Times { iat: 0, nbf: None, exp: 1_000 };
        let (principal, audiences) = (Principal::new("i", subject), vec![RESOURCE.to_owned()]);
        Proven { provider, kid: "k".into(), keys, principal, audiences, times }
    }

    /// A kept proof answers in the token's stead, but only by the very keys it was made with.
    #[tokio::test]
    async fn kept_proof_is_used_while_keys_are_the_same() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let client = Client::managed("alice").resource(RESOURCE);
        let service = TokenService::new("i", "t", key, vec![client]).unwrap();
        let keys = KeySet::fixed(service.key_set().unwrap());
        let current = keys.with_kid(None, UNIX_EPOCH).await.unwrap();
        let issuers = Issuers::new(vec![Provider::new("i", keys)]).unwrap();
        let token = service.mint_managed("alice", RESOURCE, UNIX_EPOCH).ok().unwrap().access_token;
        let digest = sha256(&token).unwrap();
        let who = async || issuers.authenticate(&token, &[RESOURCE], UNIX_EPOCH).await.unwrap().subject().to_owned();

        assert_eq!(who().await, "alice");
        assert!(issuers.verified.find(&digest).is_some());
        issuers.verified.keep(digest, proven(0, Arc::clone(&current), "kept"));
        assert_eq!(who().await, "kept");
        issuers.verified.keep(digest, proven(0, Arc::new(JwkSet::default()), "of other keys"));
        assert_eq!(who().await, "alice");
    }

    /// The oldest proof makes room for the newest; one that is kept again takes no second place.
    #[test]
    fn proofs_are_bounded() {
        let (tokens, keys) = (VerifiedTokens::default(), Arc::new(JwkSet::default()));
        let digest = |at: usize| sha256(&at.to_string()).unwrap();
        for at in 0..VERIFIED_MAX {
            tokens.keep(digest(at), proven(0, Arc::clone(&keys), "s"));
            tokens.keep(digest(at), proven(0, Arc::clone(&keys), "s"));
        }
        assert!(tokens.find(&digest(0)).is_some());
        tokens.keep(digest(VERIFIED_MAX), proven(0, keys, "s"));
        assert!(tokens.find(&digest(0)).is_none());
        assert!(tokens.find(&digest(1)).is_some());
        assert!(tokens.find(&digest(VERIFIED_MAX)).is_some());
    }
}
