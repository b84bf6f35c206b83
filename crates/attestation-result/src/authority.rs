//! When a Relying Party may believe a token: an attestation authority and what its keys signed.
//!
//! An [`Authority`] is an issuer and the keys that configuration, or the verifier in the same process, vouches for. Which
//! authority a token is checked against is chosen by its `iss`; only keys of that very authority are tried, so a token of
//! one can never stand for another. Fetching keys is `skerry-sources`'.

use std::time::SystemTime;

use aws_lc_rs::digest;
use skerry_jose::json::{Object, Value};
use skerry_jose::{JwkSet, JwsError, KeyLookupError, SigningError, Unverified};

use crate::issuer::{IssuerUrl, IssuerUrlError};
use crate::limits::TokenLimits;
use crate::names;
use crate::result::Provenance;
use crate::target::{TargetKey, TargetKeyError};
use crate::token::{TokenSigner, unix_secs};

/// Why a token is not believed. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TokenError {
    #[error("no token")]
    Empty,
    #[error(transparent)]
    Jws(#[from] JwsError),
    #[error("header has no kid")]
    NoKid,
    #[error(transparent)]
    Key(#[from] KeyLookupError),
    #[error("claim {0} is missing")]
    Missing(&'static str),
    #[error("claim {0} has the wrong JSON type")]
    WrongType(&'static str),
    #[error("claim iss")]
    IssuerForm(#[source] IssuerUrlError),
    #[error("issuer {seen} is not {expected}")]
    Issuer { expected: String, seen: String },
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
    #[error("issued at {iat}, before the authority's earliest, {min_iat}")]
    Revoked { iat: u64, min_iat: u64 },
    #[error("audience is not {expected}")]
    Audience { expected: String },
}

/// An issuer whose tokens are believed, with its keys.
#[derive(Debug, Clone)]
pub struct Authority {
    issuer: IssuerUrl,
    keys: JwkSet,
    limits: TokenLimits,
    min_iat: u64,
    audience: Option<String>,
}

impl Authority {
    /// An authority whose keys configuration vouches for.
    pub fn with_keys(issuer: IssuerUrl, keys: JwkSet) -> Authority {
        Authority { issuer, keys, limits: TokenLimits::default(), min_iat: 0, audience: None }
    }

    /// The verifier in this process: its keys are asked for directly, nothing is fetched.
    pub fn built_in(signer: &TokenSigner) -> Result<Authority, SigningError> {
        Ok(Self::with_keys(signer.issuer().clone(), signer.key_set()?))
    }

    /// The same authority once its keys are others.
    pub fn with_other_keys(&self, keys: JwkSet) -> Authority {
        Authority { keys, ..self.clone() }
    }

    /// With other limits on tokens.
    pub fn limits(mut self, limits: TokenLimits) -> Authority {
        self.limits = limits;
        self
    }

    /// Believes no token issued before this time (seconds since the epoch). Raising it revokes.
    pub fn min_iat(mut self, min_iat: u64) -> Authority {
        self.min_iat = min_iat;
        self
    }

    /// Demands that `aud` names this. Attestation tokens of Azure have no audience, so by default none is demanded.
    pub fn audience(mut self, audience: &str) -> Authority {
        self.audience = Some(audience.to_owned());
        self
    }

    /// The issuer.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Believes `token` iff one of this authority's keys signed it, `iss` is this authority, and `now` is within its times.
    /// `now` is the caller's clock.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<TrustedResult, TokenError> {
        self.verify_claimed(ClaimedToken::parse(token, &self.limits)?, now)
    }

    /// As [`verify`](Self::verify), for a token that was parsed to find its authority.
    pub fn verify_claimed(&self, token: ClaimedToken<'_>, now: SystemTime) -> Result<TrustedResult, TokenError> {
        let ClaimedToken { digest, len, issuer: seen, unverified } = token;
        let max = self.limits.jws.token_bytes_max;
        if len > max {
            return Err(JwsError::TooLarge { len, max }.into());
        }
        if seen != self.issuer {
            return Err(TokenError::Issuer { expected: self.issuer.to_string(), seen: seen.to_string() });
        }
        let kid = unverified.header().kid().ok_or(TokenError::NoKid)?;
        let key = self.keys.find(kid, unverified.header().algorithm())?;
        let claims = unverified.verify(key)?.into_claims();
        let times = self.check_times(&claims, unix_secs(now))?;
        self.check_audience(&claims)?;
        Ok(TrustedResult {
            issuer: self.issuer.clone(),
            provenance: provenance(&claims)?,
            target: TargetKey::select(&claims),
            claims,
            iat: times.iat,
            exp: times.exp,
            digest,
        })
    }

    fn check_times(&self, claims: &Object, now: u64) -> Result<Times, TokenError> {
        let skew = self.limits.skew_secs;
        let exp = time(claims, "exp")?.ok_or(TokenError::Missing("exp"))?;
        let iat = time(claims, "iat")?.ok_or(TokenError::Missing("iat"))?;
        if exp.saturating_add(skew) <= now {
            return Err(TokenError::Expired { exp, now });
        }
        if let Some(nbf) = time(claims, "nbf")?.filter(|nbf| *nbf > now.saturating_add(skew)) {
            return Err(TokenError::NotYetValid { nbf, now });
        }
        if iat > now.saturating_add(skew) {
            return Err(TokenError::IssuedInFuture { iat, now });
        }
        let lifetime_secs =
            exp.checked_sub(iat).filter(|secs| *secs > 0).ok_or(TokenError::EmptyLifetime { iat, exp })?;
        if lifetime_secs > self.limits.lifetime_max_secs {
            return Err(TokenError::Lifetime { lifetime_secs, max_secs: self.limits.lifetime_max_secs });
        }
        if iat < self.min_iat {
            return Err(TokenError::Revoked { iat, min_iat: self.min_iat });
        }
        Ok(Times { iat, exp })
    }

    fn check_audience(&self, claims: &Object) -> Result<(), TokenError> {
        let Some(expected) = &self.audience else { return Ok(()) };
        let named = match claims.get("aud").ok_or(TokenError::Missing("aud"))? {
            Value::String(one) => one == expected,
            Value::Array(several) => several.iter().any(|one| one.as_str() == Some(expected)),
            _ => return Err(TokenError::WrongType("aud")),
        };
        named.then_some(()).ok_or_else(|| TokenError::Audience { expected: expected.clone() })
    }
}

/// A token's compact form and its SHA-256, which belong together because they are made together: whoever looks a token up by
/// digest need not pay for it twice. Nobody vouches for the text.
#[derive(Debug, Clone, Copy)]
pub struct TokenText<'a> {
    text: &'a str,
    digest: [u8; 32],
}

impl TokenText<'_> {
    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl<'a> From<&'a str> for TokenText<'a> {
    fn from(text: &'a str) -> TokenText<'a> {
        TokenText { text, digest: sha256(text) }
    }
}

/// A token that was parsed and that nobody vouches for: good for finding the authority it claims to come from.
#[derive(Debug)]
pub struct ClaimedToken<'a> {
    digest: [u8; 32],
    len: usize,
    issuer: IssuerUrl,
    unverified: Unverified<'a>,
}

impl<'a> ClaimedToken<'a> {
    /// Reads the form and the claimed issuer.
    pub fn parse(token: impl Into<TokenText<'a>>, limits: &TokenLimits) -> Result<ClaimedToken<'a>, TokenError> {
        let TokenText { text, digest } = token.into();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        let unverified = Unverified::parse(text, &limits.jws)?;
        let issuer = issuer(unverified.claims_nobody_vouches_for())?;
        Ok(ClaimedToken { digest, len: text.len(), issuer, unverified })
    }

    /// The issuer, as the token claims.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Which key signed it, as the token claims.
    pub fn kid(&self) -> Option<&str> {
        self.unverified.header().kid()
    }
}

/// A token that was verified for one authority, with `iat` and `exp` present. Made by [`Authority::verify`] alone.
#[derive(Debug)]
pub struct TrustedResult {
    issuer: IssuerUrl,
    claims: Object,
    provenance: Provenance,
    target: Result<TargetKey, TargetKeyError>,
    iat: u64,
    exp: u64,
    digest: [u8; 32],
}

impl TrustedResult {
    /// The authority that vouches for the claims.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Every claim of the token.
    pub fn claims(&self) -> &Object {
        &self.claims
    }

    /// Real or simulated hardware, as the authority says.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// The key to release to, or why there is none.
    pub fn target(&self) -> Result<&TargetKey, &TargetKeyError> {
        self.target.as_ref()
    }

    /// When the token was issued, in seconds since the epoch.
    pub fn issued_at(&self) -> u64 {
        self.iat
    }

    /// When it ends, in seconds since the epoch: no verdict drawn from it may be kept longer.
    pub fn expires_at(&self) -> u64 {
        self.exp
    }

    /// SHA-256 of the token's compact form.
    pub fn token_digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

struct Times {
    iat: u64,
    exp: u64,
}

fn issuer(claims: &Object) -> Result<IssuerUrl, TokenError> {
    let iss = claims.get("iss").ok_or(TokenError::Missing("iss"))?;
    IssuerUrl::parse(iss.as_str().ok_or(TokenError::WrongType("iss"))?).map_err(TokenError::IssuerForm)
}

/// A NumericDate as a canonical integer; anything else is refused, never taken as absent.
fn time(claims: &Object, name: &'static str) -> Result<Option<u64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => number.as_u64().map(Some).ok_or(TokenError::WrongType(name)),
        Some(_) => Err(TokenError::WrongType(name)),
    }
}

fn provenance(claims: &Object) -> Result<Provenance, TokenError> {
    match claims.get(names::SIMULATED) {
        None | Some(Value::Bool(false)) => Ok(Provenance::Real),
        Some(Value::Bool(true)) => Ok(Provenance::Simulated),
        Some(_) => Err(TokenError::WrongType(names::SIMULATED)),
    }
}

fn sha256(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}
