//! The token service on the wire: as much of Microsoft Entra's as clients with a secret use (observed: MSAL, Azure SDKs).
//!
//! Discovery, keys, and the client credentials grant (RFC 6749, 4.4) with the secret in the form. Which clients there are
//! and what their tokens say is decided by the function given. Not here: any other grant, instance discovery, sign-in.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, StatusCode};
use skerry_attestation_result::unix_secs;
use skerry_identity::{MintRefusal, Minted};
use skerry_jose::json::Object;
use zeroize::{Zeroize as _, Zeroizing};

use crate::limits::{FORM_BYTES_MAX, FORM_FIELDS_MAX};
use crate::machine::Machine;
use crate::oauth::{self, invalid_request};
use crate::openapi;
use crate::operation::{self, Operation};
use crate::pool::Pool;
use crate::reply::Reply;
use crate::request::Request;
use crate::route;
use crate::target;

/// What a client presents. Nobody vouches for any of it.
pub struct ClientCredentials {
    /// The client.
    pub client_id: String,
    /// Its secret, wiped when dropped.
    pub secret: Zeroizing<String>,
    /// What the token is for: the resource, or the scope without its `/.default`.
    pub resource: String,
}

/// Makes a token for a client that proves itself.
pub type Mint = dyn Fn(&ClientCredentials, SystemTime) -> Result<Minted, MintRefusal> + Send + Sync;

/// What a token service is made of.
pub struct Config {
    /// First segments of paths that are this tenant: its id, and what else clients call it (`adfs` is one such).
    pub tenants: Vec<String>,
    /// `iss` of the tokens.
    pub issuer: String,
    /// The JWKS of the keys that tokens are signed with now.
    pub keys: Box<dyn Fn() -> Object + Send + Sync>,
    /// Makes tokens.
    pub mint: Arc<Mint>,
    /// Where tokens are signed.
    pub pool: Arc<Pool>,
    /// The clock.
    pub machine: Machine,
}

/// The token service.
pub struct Surface {
    config: Config,
}

impl Surface {
    /// A service made of these parts.
    pub fn new(config: Config) -> Surface {
        Surface { config }
    }

    /// Answers one request.
    pub async fn answer(&self, request: &mut Request) -> Reply {
        self.respond(request).await.unwrap_or_else(|refusal| refusal)
    }

    async fn respond(&self, request: &mut Request) -> Result<Reply, Reply> {
        if request.segments() == [DESCRIPTION] {
            request.is_for(operation::DESCRIPTION);
            route::allow(request.method(), route::READ).map_err(route::NotAllowed::into_reply)?;
            return Ok(Reply::json(StatusCode::OK, &openapi::document()));
        }
        let (tenant, route) = split(request.segments()).ok_or_else(oauth::not_found)?;
        request.is_for(route.counted());
        route::allow(request.method(), route.methods()).map_err(route::NotAllowed::into_reply)?;
        if !self.config.tenants.iter().any(|own| own.eq_ignore_ascii_case(tenant)) {
            return Err(oauth::refuse(StatusCode::BAD_REQUEST, "invalid_tenant", "the tenant is not known here"));
        }
        match route {
            Route::Discovery(version) => {
                let base = format!("{}/{tenant}", request.origin());
                Ok(Reply::json(StatusCode::OK, &discovery(&base, &self.config.issuer, version)))
            }
            Route::Keys => Ok(Reply::json(StatusCode::OK, &(self.config.keys)())),
            Route::Token(version) => self.token(request, version).await,
        }
    }

    async fn token(&self, request: &mut Request, version: Version) -> Result<Reply, Reply> {
        let body = request.body(FORM_BYTES_MAX).await.map_err(|error| oauth::refuse_body(&error))?;
        let credentials = credentials(body)?;
        let resource = credentials.resource.clone();
        let (mint, now) = (Arc::clone(&self.config.mint), self.config.machine.now());
        let minted = self.config.pool.run(move || mint(&credentials, now)).await.map_err(oauth::refuse_pool)?;
        let minted = minted.map_err(|refusal| oauth::refuse_mint(refusal, version.resource_error()))?;
        Ok(oauth::token(&version.members(minted, resource, now)))
    }
}

/// The path of the OpenAPI document of the vaults and the attestation service: here, where nobody's protocol has the name.
const DESCRIPTION: &str = "openapi.json";

/// The endpoints of Entra come in two versions, with and without `v2.0` in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Discovery(Version),
    Keys,
    Token(Version),
}

impl Route {
    fn counted(self) -> Operation {
        match self {
            Route::Discovery(_) => operation::DISCOVERY,
            Route::Keys => operation::IDENTITY_KEYS,
            Route::Token(_) => operation::TOKEN,
        }
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Route::Discovery(_) | Route::Keys => route::READ,
            Route::Token(_) => &[Method::POST],
        }
    }
}

impl Version {
    fn resource_error(self) -> &'static str {
        match self {
            Version::One => "invalid_resource",
            Version::Two => "invalid_scope",
        }
    }

    /// Numbers are text in the first version (recorded).
    fn members(self, minted: Minted, resource: String, now: SystemTime) -> Object {
        let expires_in = minted.expires_on.saturating_sub(unix_secs(now));
        let members = Object::new().with("token_type", "Bearer");
        let members = match self {
            Version::Two => members.with("expires_in", expires_in).with("ext_expires_in", expires_in),
            Version::One => members
                .with("expires_in", expires_in.to_string())
                .with("ext_expires_in", expires_in.to_string())
                .with("expires_on", minted.expires_on.to_string())
                .with("not_before", minted.not_before.to_string())
                .with("resource", resource),
        };
        members.with("access_token", minted.access_token)
    }
}

fn split(segments: &[String]) -> Option<(&str, Route)> {
    let (tenant, rest) = segments.split_first()?;
    let rest: Vec<_> = rest.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let route = match rest.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["v2.0", ".well-known", "openid-configuration"] => Route::Discovery(Version::Two),
        [".well-known", "openid-configuration"] => Route::Discovery(Version::One),
        ["discovery", "v2.0", "keys"] | ["discovery", "keys"] => Route::Keys,
        ["oauth2", "v2.0", "token"] => Route::Token(Version::Two),
        ["oauth2", "token"] => Route::Token(Version::One),
        _ => return None,
    };
    Some((tenant, route))
}

/// OpenID Connect Discovery 1.0, 3. Clients follow the token endpoint, so it is at the name they came by.
fn discovery(base: &str, issuer: &str, version: Version) -> Object {
    let part = if version == Version::Two { "/v2.0" } else { "" };
    Object::new()
        .with("token_endpoint", format!("{base}/oauth2{part}/token"))
        .with("token_endpoint_auth_methods_supported", vec!["client_secret_post"])
        .with("jwks_uri", format!("{base}/discovery{part}/keys"))
        .with("response_types_supported", vec!["token"])
        .with("subject_types_supported", vec!["pairwise"])
        .with("id_token_signing_alg_values_supported", vec!["RS256"])
        .with("issuer", issuer)
        // Nobody signs in here, but MSAL insists on the members (observed).
        .with("authorization_endpoint", format!("{base}/oauth2{part}/authorize"))
        .with("device_authorization_endpoint", format!("{base}/oauth2{part}/devicecode"))
}

/// Reads the form. What holds the secret is wiped as far as it is ours: hyper's buffers are not.
fn credentials(body: Bytes) -> Result<ClientCredentials, Reply> {
    let form = fields(&body);
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
    let form = form?;
    let field = |name: &str| {
        let value = target::single(&form, name).map_err(|_| invalid_request(&format!("{name} came more than once")))?;
        Ok(value.filter(|value| !value.is_empty()))
    };
    let required = |name: &str| field(name)?.ok_or_else(|| invalid_request(&format!("{name} is missing")));
    if required("grant_type")? != "client_credentials" {
        let text = "only client_credentials is supported";
        return Err(oauth::refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", text));
    }
    let resource = resource(field("scope")?, field("resource")?)?;
    let secret = Zeroizing::new(required("client_secret")?.to_owned());
    Ok(ClientCredentials { client_id: required("client_id")?.to_owned(), secret, resource })
}

fn fields(body: &Bytes) -> Result<Zeroizing<Vec<(String, String)>>, Reply> {
    let text = std::str::from_utf8(body).map_err(|_| invalid_request("the form is not utf-8"))?;
    let fields = target::parameters(text, FORM_FIELDS_MAX).map_err(|_| invalid_request("the form is malformed"))?;
    Ok(Zeroizing::new(fields))
}

/// One resource, named the one way or the other.
fn resource(scope: Option<&str>, resource: Option<&str>) -> Result<String, Reply> {
    match (scope, resource) {
        (Some(scope), None) => of_scope(scope).map(str::to_owned).ok_or_else(|| {
            oauth::refuse(StatusCode::BAD_REQUEST, "invalid_scope", "the scope is not one resource and /.default")
        }),
        (None, Some(resource)) => Ok(resource.to_owned()),
        _ => Err(invalid_request("one of scope and resource is needed")),
    }
}

/// MSAL for Go asks for an identity and a refresh token besides, of which a client with a secret gets neither (read).
fn of_scope(scope: &str) -> Option<&str> {
    let mut scopes = scope.split(' ').filter(|scope| !matches!(*scope, "" | "openid" | "offline_access" | "profile"));
    let resource = scopes.next()?.strip_suffix("/.default")?;
    scopes.next().is_none().then_some(resource).filter(|resource| !resource.is_empty())
}
