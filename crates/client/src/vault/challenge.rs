//! The challenge of a vault (RFC 6750, 3): whose tokens it takes, and for what.
//!
//! `Bearer authorization="https://login/tenant", resource="https://vault.example"`, in the spellings that Azure's services
//! and SDKs have for it. A vault may ask for tokens for its own domain only: the host has to end with the resource's, as the
//! SDKs demand, or be it. So a server that is not the vault it seems to be gets no token that is good elsewhere.

use std::net::IpAddr;

use http::HeaderValue;

use crate::http::Endpoint;
use crate::limits::CHALLENGE_BYTES_MAX;

/// Why a challenge is not answered with a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum ChallengeError {
    #[error("a request without a token was answered with status {status}, not with a challenge: is this a vault?")]
    Status { status: u16 },
    #[error("the answer has no challenge for a bearer token, or more than one")]
    None,
    #[error("the challenge cannot be read")]
    Malformed,
    #[error("the challenge does not say {0}")]
    Missing(&'static str),
    #[error("the challenge says {0} twice")]
    Twice(&'static str),
    #[error("{name} {found:?} of the challenge is no https URL of that kind")]
    Url { name: &'static str, found: String },
    #[error("the challenge asks for a token for {resource}, which is no domain of {vault}")]
    Domain { resource: String, vault: String },
}

/// Whose tokens a vault takes, and for what, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    authority: Endpoint,
    tenant: String,
    resource: String,
    domain: Endpoint,
}

impl Challenge {
    /// Reads the challenge among the `WWW-Authenticate` headers of an answer.
    pub(super) fn of<'a>(
        status: u16,
        headers: impl Iterator<Item = &'a HeaderValue>,
    ) -> Result<Challenge, ChallengeError> {
        if status != 401 {
            return Err(ChallengeError::Status { status });
        }
        let bearer = |value: &'a HeaderValue| value.to_str().ok().and_then(parameters_of_bearer);
        let mut challenges = headers.filter_map(bearer);
        match (challenges.next(), challenges.next()) {
            (Some(parameters), None) => Challenge::parse(parameters),
            _ => Err(ChallengeError::None),
        }
    }

    /// Reads what follows `Bearer`. Nobody vouches for it: whether it may be answered says [`check`](Self::check).
    pub fn parse(parameters: &str) -> Result<Challenge, ChallengeError> {
        if parameters.len() > CHALLENGE_BYTES_MAX {
            return Err(ChallengeError::Malformed);
        }
        let parameters = pairs(parameters).ok_or(ChallengeError::Malformed)?;
        let authorization = one(&parameters, "authorization", &AUTHORIZATION)?;
        let authorization = authorization.ok_or(ChallengeError::Missing("authorization"))?;
        let (authority, tenant) = authority(&authorization)?;
        // A scope is preferred where there are both (observed: azure-keyvault-keys for Python).
        let scope = one(&parameters, "scope", &["scope"])?;
        let scope = scope.map(|scope| scope.strip_suffix("/.default").unwrap_or(&scope).to_owned());
        let resource = scope.or(one(&parameters, "resource", &["resource"])?);
        let resource = resource.ok_or(ChallengeError::Missing("resource"))?;
        let refused = || ChallengeError::Url { name: "resource", found: resource.clone() };
        let domain = Endpoint::parse(&resource).map_err(|_| refused())?;
        // Nothing but an origin, with a slash at most: what is not looked at would go to the authority too.
        let origin = resource.strip_suffix('/').unwrap_or(&resource);
        if origin.len() != "https://".len().saturating_add(domain.authority().len()) {
            return Err(refused());
        }
        Ok(Challenge { authority, tenant, resource, domain })
    }

    /// Accepts iff the resource is the vault's own host or a domain that its name is in; an address is in none. A port in the
    /// resource has to be the vault's; one that is not there matches any, as in the SDKs for JavaScript and Rust.
    pub fn check(&self, vault: &Endpoint) -> Result<(), ChallengeError> {
        let (host, domain) = (vault.host().to_ascii_lowercase(), self.domain.host().to_ascii_lowercase());
        let is_name = host.parse::<IpAddr>().is_err();
        let below = host.strip_suffix(&domain).is_some_and(|label| label.ends_with('.'));
        let within = host == domain || (is_name && below);
        let has_port = self.domain.authority().ends_with(&format!(":{}", self.domain.port()));
        match within && (!has_port || self.domain.port() == vault.port()) {
            true => Ok(()),
            false => {
                Err(ChallengeError::Domain { resource: self.resource.clone(), vault: vault.authority().to_owned() })
            }
        }
    }

    /// Where tokens come from, without the tenant.
    pub fn authority(&self) -> &Endpoint {
        &self.authority
    }

    /// The tenant, as the authority knows it.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// What tokens are for.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

fn parameters_of_bearer(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(rest)
}

/// `https://host[:port]/tenant`.
fn authority(text: &str) -> Result<(Endpoint, String), ChallengeError> {
    let refused = || ChallengeError::Url { name: "authorization", found: text.to_owned() };
    let url = Endpoint::parse(text).map_err(|_| refused())?;
    let tenant = url.prefix().strip_prefix('/').unwrap_or_default().to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if tenant.is_empty() || tenant.starts_with('.') || !tenant.bytes().all(plain) {
        return Err(refused());
    }
    let origin = Endpoint::parse(&format!("https://{}", url.authority())).map_err(|_| refused())?;
    Ok((origin, tenant))
}

/// The one value that goes by any of these names.
fn one(
    parameters: &[(String, String)],
    name: &'static str,
    spellings: &[&str],
) -> Result<Option<String>, ChallengeError> {
    let is_it = |own: &str| spellings.iter().any(|spelling| own.eq_ignore_ascii_case(spelling));
    let mut values = parameters.iter().filter(|(own, _)| is_it(own)).map(|(_, value)| value.clone());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(ChallengeError::Twice(name)),
    }
}

/// `name="value"` or `name=value`, between commas, blanks or both.
fn pairs(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if text.is_empty() {
            return Some(pairs);
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            // No URL has a quote in it, so that an escaped one is not looked for.
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find([',', ' ']).unwrap_or(rest.len())),
        };
        if name.is_empty() || value.contains('\\') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        pairs.push((name.to_owned(), value.to_owned()));
        text = rest;
    }
}

/// Names that Azure's services have had for it (key-vault spec 4.1).
const AUTHORIZATION: [&str; 3] = ["authorization", "authorization_uri", "authorization_url"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    fn challenge(header: &str) -> Result<Challenge, ChallengeError> {
        let header = HeaderValue::from_str(header).unwrap();
        Challenge::of(401, [header].iter())
    }

    /// The spellings that were seen, each read as what it says.
    #[test]
    fn spellings_of_services_are_read() {
        let azure =
            r#"Bearer authorization="https://login.microsoftonline.com/t-1", resource="https://vault.azure.net""#;
        let read = challenge(azure).unwrap();
        assert_eq!(read.authority().authority(), "login.microsoftonline.com");
        assert_eq!((read.tenant(), read.resource()), ("t-1", "https://vault.azure.net"));
        for header in [
            r#"bearer authorization_uri="https://login.microsoftonline.com/t-1",resource="https://vault.azure.net""#,
            r#"Bearer authorization="https://login.microsoftonline.com/t-1" scope="https://vault.azure.net/.default""#,
            r#"Bearer resource="https://other.azure.net", authorization="https://login.microsoftonline.com/t-1", scope="https://vault.azure.net/.default", error=invalid_token"#,
        ] {
            assert_eq!(challenge(header).unwrap().resource(), "https://vault.azure.net", "{header}");
            assert_eq!(challenge(header).unwrap().authority(), read.authority(), "{header}");
        }
    }

    /// What cannot be read in one way is not answered.
    #[test]
    fn unclear_challenges_are_refused() {
        use ChallengeError as E;
        let url = |name, found: &str| E::Url { name, found: found.to_owned() };
        for (header, expected) in [
            ("Basic realm=\"x\"", E::None),
            ("Bearer", E::None),
            ("Bearer resource=\"https://a\"", E::Missing("authorization")),
            ("Bearer authorization=\"https://a/t\"", E::Missing("resource")),
            ("Bearer authorization=\"https://a/t\", authorization_uri=\"https://b/t\"", E::Twice("authorization")),
            ("Bearer authorization=\"https://a/t", E::Malformed),
            ("Bearer authorization", E::Malformed),
            ("Bearer authorization=\"a\\\"", E::Malformed),
            ("Bearer authorization=\"http://a/t\", resource=\"https://a\"", url("authorization", "http://a/t")),
            ("Bearer authorization=\"https://a/t/u\", resource=\"https://a\"", url("authorization", "https://a/t/u")),
            ("Bearer authorization=\"https://a\", resource=\"https://a\"", url("authorization", "https://a")),
            ("Bearer authorization=\"https://a/..\", resource=\"https://a\"", url("authorization", "https://a/..")),
            ("Bearer authorization=\"https://a/t\", resource=\"a\"", url("resource", "a")),
            ("Bearer authorization=\"https://a/t\", resource=\"https://a/b\"", url("resource", "https://a/b")),
            ("Bearer authorization=\"https://a/t\", resource=\"https://a//\"", url("resource", "https://a//")),
        ] {
            assert_eq!(challenge(header), Err(expected), "{header}");
        }
        let long = format!("Bearer x=\"{}\"", "x".repeat(CHALLENGE_BYTES_MAX));
        assert_eq!(challenge(&long), Err(E::Malformed));
        let twice = [HeaderValue::from_static("Bearer a=b"), HeaderValue::from_static("Bearer a=b")];
        assert_eq!(Challenge::of(401, twice.iter()), Err(E::None));
        assert_eq!(Challenge::of(200, twice.iter()), Err(E::Status { status: 200 }));
    }

    /// A vault's tokens are for its own domain: label by label, and port by port where there is one.
    #[test]
    fn resources_are_domains_of_the_vault() {
        for (vault, resource, holds) in [
            ("https://kv.vault.azure.net", "https://vault.azure.net", true),
            ("https://KV.Vault.Azure.Net:443", "https://vault.azure.net", true),
            ("https://kv.vault.localhost:8443", "https://vault.localhost:8443", true),
            ("https://kv.vault.localhost:8443", "https://vault.localhost", true),
            ("https://kv.vault.localhost:8443", "https://vault.localhost:9443", false),
            ("https://kv.vault.localhost:8443", "https://vault.localhost:9443/", false),
            ("https://kv.vault.localhost:8443", "https://vault.localhost:8443/", true),
            ("https://localhost:8443", "https://localhost:8443", true),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443", true),
            ("https://[::1]:8443", "https://[::1]", true),
            ("https://127.0.0.1:8443", "https://127.0.0.2:8443", false),
            ("https://kv.vault.azure.net", "https://management.azure.com", false),
            ("https://kv.evil.example", "https://vault.azure.net", false),
            ("https://evilvault.azure.net", "https://vault.azure.net", false),
            ("https://vault.azure.net.evil.example", "https://vault.azure.net", false),
            ("https://vault.azure.net", "https://kv.vault.azure.net", false),
        ] {
            let header = format!("Bearer authorization=\"https://a/t\", resource=\"{resource}\"");
            let vault = Endpoint::parse(vault).unwrap();
            let refused = ChallengeError::Domain { resource: resource.into(), vault: vault.authority().into() };
            let expected = if holds { Ok(()) } else { Err(refused) };
            assert_eq!(challenge(&header).unwrap().check(&vault), expected, "{} {resource}", vault.authority());
        }
    }
}
