//! Who calls: the challenge of a request without a good token, and the principal of one with it.

use http::header::HeaderValue;
use skerry_identity::{Issuers, Principal};

use crate::names::Host;
use crate::request::Request;
use crate::vault::refusal::Refused;

/// Why a configuration makes no vault on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum ConfigError {
    #[error("{0:?} is not https://host[:port]/tenant without blanks, quotes, comma or equals sign")]
    Authorization(String),
    #[error("{0:?} is no host name in lower case")]
    HostName(String),
}

/// `https://host/tenant` as SDKs can read it: they split the challenge at commas and equals signs and take the first segment
/// of the path for the tenant (observed).
pub(super) fn check_authorization(text: &str) -> Result<(), ConfigError> {
    let refused = || ConfigError::Authorization(text.to_owned());
    let (host, tenant) = text.strip_prefix("https://").and_then(|rest| rest.split_once('/')).ok_or_else(refused)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b'=' | b'?' | b'#' | b'@');
    let good = !host.is_empty() && !tenant.is_empty() && !tenant.contains('/') && text.bytes().all(plain);
    if good { Ok(()) } else { Err(refused()) }
}

/// What tokens for this host are for: the host without the label that names the vault, as SDKs demand, which refuse
/// challenges whose resource is not a domain of the host (observed). A host that names no vault is its own resource.
pub(super) fn resource(host: &Host) -> String {
    let domain = host.resource().and_then(|label| host.name().strip_prefix(label)?.strip_prefix('.'));
    let port = host.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("https://{}{port}", domain.unwrap_or(host.name()))
}

/// A comma and a blank between the parts, which one SDK needs (observed).
pub(super) fn challenge(authorization: &str, resource: &str) -> HeaderValue {
    let challenge = format!(r#"Bearer authorization="{authorization}", resource="{resource}""#);
    // Infallible: the one was checked, the other is made of a host's letters.
    HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// The caller, whose token is for `resource` or one of `others`; a slash at the end makes no difference.
pub(super) async fn authenticate(
    issuers: &Issuers,
    request: &Request,
    resource: &str,
    others: &[String],
    now: std::time::SystemTime,
) -> Result<Principal, Refused> {
    let bearer = request.bearer().ok_or(Refused::NoToken)?;
    let slashed = format!("{resource}/");
    let audiences: Vec<&str> =
        [resource, slashed.as_str()].into_iter().chain(others.iter().map(String::as_str)).collect();
    issuers.authenticate(bearer, &audiences, now).await.map_err(Refused::Unauthorized)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SDKs can read, and what they cannot.
    #[test]
    fn authorization_is_one_segment_behind_a_host() {
        for good in ["https://login.test/tenant", "https://localhost:8444/6f1e9b0a-0000", "https://[::1]:1/adfs"] {
            assert_eq!(check_authorization(good), Ok(()));
        }
        for bad in [
            "",
            "http://login.test/tenant",
            "https://login.test",
            "https://login.test/",
            "https:///tenant",
            "https://login.test/a/b",
            "https://login.test/tenant/",
            "https://login.test/a b",
            "https://login.test/a,b",
            "https://login.test/a=b",
            "https://login.test/a\"b",
            "https://login.test/\u{e9}",
            "https://user@login.test/tenant",
        ] {
            assert_eq!(check_authorization(bad), Err(ConfigError::Authorization(bad.to_owned())), "{bad}");
        }
    }
}
