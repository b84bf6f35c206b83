//! Who asks: a bearer token that is there, or somebody who can get one.
//!
//! A client's secret goes to an authority that configuration names, never to whichever a vault's challenge does.

use bytes::Bytes;
use http::{HeaderValue, Method};
use skerry_jose::json::{self, Value};
use zeroize::Zeroizing;

use super::challenge::Challenge;
use super::metadata::MetadataService;
use crate::http::{Answer, Client, Content, Endpoint, HttpError, Sent};
use crate::limits::{ANSWER, ANSWER_BYTES_MAX, BEARER_BYTES_MAX};

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A text that no header takes, an empty one, or one that is too long.
    #[error("what should be a bearer token is none: 1 to {BEARER_BYTES_MAX} visible characters")]
    NotAToken,
    /// The challenge names an authority to which the secret does not go.
    #[error("the vault wants a token of {authority}, and the client's secret is not for that authority")]
    Authority {
        /// Host and port of the authority.
        authority: String,
    },
    /// Whoever gives tokens was not reached.
    #[error("nobody gives a token")]
    Http(#[source] HttpError),
    /// Whoever gives tokens said no.
    #[error("no token is given: status {status} {code}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// Its code (RFC 6749, 5.2).
        code: String,
        /// Its sentence.
        message: String,
    },
    /// 200, and no bearer token in it.
    #[error("the answer of the token service has no bearer token")]
    Answer,
}

/// A secret text. It is wiped when dropped, and has no Debug.
pub struct Secret(Zeroizing<String>);

/// Authorities to which a client's secret may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities(Vec<Endpoint>);

/// As whom a vault is asked.
pub enum Credential {
    /// With this bearer token, whoever gave it.
    Token(Secret),
    /// As a client that gets tokens for its secret (RFC 6749, 4.4).
    Client {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Secret,
        /// Where the secret may go.
        authorities: Authorities,
    },
    /// As this machine.
    Machine(MetadataService),
}

impl Secret {
    /// A client's secret.
    pub fn new(text: Zeroizing<String>) -> Secret {
        Secret(text)
    }

    /// A bearer token: visible ASCII, one to 24 KiB of it.
    pub fn bearer(text: Zeroizing<String>) -> Result<Secret, CredentialError> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        match visible && (1..=BEARER_BYTES_MAX).contains(&text.len()) {
            true => Ok(Secret(text)),
            false => Err(CredentialError::NotAToken),
        }
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    fn copy(&self) -> Secret {
        Secret(self.0.clone())
    }
}

impl Authorities {
    /// This one authority, which configuration vouches for. What is behind its host and port makes no difference.
    pub fn of(authority: Endpoint) -> Authorities {
        Authorities(vec![authority])
    }

    /// Microsoft's, of all its clouds.
    pub fn microsoft() -> Authorities {
        let hosts = MICROSOFT.iter().filter_map(|host| Endpoint::parse(&format!("https://{host}")).ok());
        Authorities(hosts.collect())
    }
}

impl Credential {
    /// A token for what the challenge asks.
    pub(super) async fn token(&self, client: &Client, challenge: &Challenge) -> Result<Secret, CredentialError> {
        match self {
            Credential::Token(token) => Ok(token.copy()),
            Credential::Client { id, secret, authorities } => {
                let authority = challenge.authority();
                if !authorities.0.iter().any(|own| own.same_origin(authority)) {
                    return Err(CredentialError::Authority { authority: authority.authority().to_owned() });
                }
                let content = Content { media: FORM, bytes: form(id, secret, challenge.resource()) };
                // Without discovery, as the SDK for Rust does it.
                let path = format!("/{}/oauth2/v2.0/token", challenge.tenant());
                let (method, max) = (Method::POST, ANSWER_BYTES_MAX);
                let sent = Sent { method, path: &path, bearer: None, content: Some(content), answer_bytes_max: max };
                token(&client.send(authority, sent).await.map_err(CredentialError::Http)?)
            }
            Credential::Machine(service) => {
                token(&service.ask(challenge.resource()).await.map_err(CredentialError::Http)?)
            }
        }
    }
}

fn token(answer: &Answer) -> Result<Secret, CredentialError> {
    let object = json::parse(&answer.body, &ANSWER).ok().and_then(Value::into_object).unwrap_or_default();
    let text = |name| object.get(name).and_then(Value::as_str);
    if !answer.status.is_success() {
        let text = |name| text(name).unwrap_or_default().to_owned();
        let status = answer.status.as_u16();
        return Err(CredentialError::Refused { status, code: text("error"), message: text("error_description") });
    }
    let bearer = text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"));
    let token = text("access_token").filter(|_| bearer).ok_or(CredentialError::Answer)?;
    Secret::bearer(Zeroizing::new(token.to_owned())).map_err(|_| CredentialError::Answer)
}

/// RFC 6749, 4.4.2, with the scope as Microsoft's authorities spell it.
fn form(id: &str, secret: &Secret, resource: &str) -> Bytes {
    let (id, secret) = (form_value(id), Zeroizing::new(form_value(&secret.0)));
    let scope = form_value(&format!("{resource}/.default"));
    let form = format!("grant_type=client_credentials&client_id={id}&scope={scope}&client_secret={}", secret.as_str());
    Bytes::from_owner(Zeroizing::new(form.into_bytes()))
}

/// A value of a form (WHATWG URL, 5.2), with every octet escaped that is not plain.
pub(super) fn form_value(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Public, its older name, US government, China (Microsoft Learn, "National clouds").
const MICROSOFT: [&str; 4] =
    ["login.microsoftonline.com", "login.windows.net", "login.microsoftonline.us", "login.partner.microsoftonline.cn"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    /// What would break out of a header or a form does not.
    #[test]
    fn odd_texts_do_not_break_out() {
        for bad in ["", "a b", "a\nb", "\u{e9}", &"x".repeat(BEARER_BYTES_MAX + 1)] {
            let refused = Secret::bearer(Zeroizing::new(bad.to_owned())).map(drop);
            assert_eq!(refused, Err(CredentialError::NotAToken), "{bad:?}");
        }
        assert!(Secret::bearer(Zeroizing::new("x".repeat(BEARER_BYTES_MAX))).is_ok());
        let secret = Secret::new(Zeroizing::new("a&b=c+d \u{e9}".to_owned()));
        let expected = "grant_type=client_credentials&client_id=i%26d&scope=https%3A%2F%2Fv.example%2F.default\
                        &client_secret=a%26b%3Dc%2Bd%20%C3%A9";
        assert_eq!(form("i&d", &secret, "https://v.example"), expected.as_bytes());
    }

    /// Hosts of Microsoft's, and no other by default.
    #[test]
    fn microsoft_s_authorities_are_known() {
        let known = |url: &str| {
            let authority = Endpoint::parse(url).unwrap();
            Authorities::microsoft().0.iter().any(|own| own.same_origin(&authority))
        };
        assert_eq!(Authorities::microsoft().0.len(), MICROSOFT.len());
        assert!(known("https://login.microsoftonline.com") && known("https://LOGIN.windows.net:443"));
        assert!(!known("https://login.microsoftonline.com:8443") && !known("https://login.evil.example"));
    }
}
