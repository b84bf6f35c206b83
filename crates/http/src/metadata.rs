//! Instance metadata as a virtual machine of Azure sees it at 169.254.169.254: a token for its managed identity, and a
//! little about the machine.
//!
//! Whoever reaches it gets a token, so what a browser or a forwarding proxy can be made to send is refused: the header
//! `Metadata: true` is demanded, `X-Forwarded-For` is refused, and the listener's [`Names`](crate::Names) are addresses
//! of its own, against DNS rebinding. It is meant for loopback.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use http::header::HeaderName;
use skerry_attestation_result::unix_secs;
use skerry_identity::{MintRefusal, Minted};
use skerry_jose::json::Object;

use crate::machine::Machine;
use crate::oauth::{self, invalid_request};
use crate::operation;
use crate::pool::Pool;
use crate::reply::Reply;
use crate::request::Request;
use crate::route;

/// Makes a token of the machine's identity for a resource.
pub type Mint = dyn Fn(&str, SystemTime) -> Result<Minted, MintRefusal> + Send + Sync;

/// What instance metadata is made of.
pub struct Config {
    /// Makes tokens.
    pub mint: Arc<Mint>,
    /// What `/metadata/instance` says.
    pub instance: Object,
    /// Where tokens are signed.
    pub pool: Arc<Pool>,
    /// The clock.
    pub machine: Machine,
}

/// The metadata service of one machine.
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

    async fn respond(&self, request: &Request) -> Result<Reply, Reply> {
        check_is_local(request)?;
        let segments: Vec<_> = request.segments().iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let is_token = match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            // One SDK ends the path with a slash (observed).
            ["metadata", "identity", "oauth2", "token"] | ["metadata", "identity", "oauth2", "token", ""] => true,
            ["metadata", "instance"] => false,
            _ => return Err(oauth::not_found()),
        };
        request.is_for(if is_token { operation::MANAGED_TOKEN } else { operation::INSTANCE });
        route::allow(request.method(), route::READ).map_err(route::NotAllowed::into_reply)?;
        check_api_version(request)?;
        if is_token { self.token(request).await } else { Ok(Reply::json(StatusCode::OK, &self.config.instance)) }
    }

    async fn token(&self, request: &Request) -> Result<Reply, Reply> {
        let resource = parameter(request, "resource")?.to_owned();
        let client = client(request)?;
        let (mint, now) = (Arc::clone(&self.config.mint), self.config.machine.now());
        let asked = resource.clone();
        let minted = self.config.pool.run(move || mint(&asked, now)).await.map_err(oauth::refuse_pool)?;
        let minted = minted.map_err(|refusal| oauth::refuse_mint(refusal, "invalid_resource"))?;
        if client.is_some_and(|client| !client.eq_ignore_ascii_case(&minted.client_id)) {
            return Err(other_identity());
        }
        Ok(oauth::token(&members(minted, resource, now)))
    }
}

/// Numbers are text here (recorded).
fn members(minted: Minted, resource: String, now: SystemTime) -> Object {
    Object::new()
        .with("access_token", minted.access_token)
        .with("client_id", minted.client_id)
        .with("expires_in", minted.expires_on.saturating_sub(unix_secs(now)).to_string())
        .with("expires_on", minted.expires_on.to_string())
        .with("not_before", minted.not_before.to_string())
        .with("resource", resource)
        .with("token_type", "Bearer")
}

fn check_is_local(request: &Request) -> Result<(), Reply> {
    if request.headers().contains_key(FORWARDED_FOR) {
        return Err(invalid_request("forwarded requests are not answered"));
    }
    match request.header(&METADATA) {
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(()),
        _ => Err(invalid_request("required metadata header not specified")),
    }
}

/// Versions are dates, and what is served is the same from the first on.
fn check_api_version(request: &Request) -> Result<(), Reply> {
    let version = parameter(request, "api-version")?;
    if is_date(version) && version >= API_VERSION_MIN {
        return Ok(());
    }
    Err(invalid_request(&format!("api-version is no date from {API_VERSION_MIN} on")))
}

fn is_date(text: &str) -> bool {
    let shape = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(shape)
}

/// The identity that is asked for; none for the machine's only one. By another name than its client id it is not known.
fn client(request: &Request) -> Result<Option<String>, Reply> {
    for name in ["object_id", "mi_res_id", "msi_res_id"] {
        if request.query(name) != Ok(None) {
            return Err(other_identity());
        }
    }
    let client = request.query("client_id").map_err(|error| invalid_request(&format!("client_id: {error}")))?;
    Ok(client.map(str::to_owned))
}

fn other_identity() -> Reply {
    invalid_request("Identity not found")
}

fn parameter<'a>(request: &'a Request, name: &str) -> Result<&'a str, Reply> {
    let value = request.query(name).map_err(|error| invalid_request(&format!("{name}: {error}")))?;
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid_request(&format!("query parameter {name} is missing")))
}

const METADATA: HeaderName = HeaderName::from_static("metadata");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const API_VERSION_MIN: &str = "2018-02-01";
