//! The `api-version` of a request: one of those that clients send. What is served is the same in all.

use crate::request::Request;
use crate::vault::refusal::Refused;

/// The version, as sent; the answer to a release repeats it.
pub(super) fn of(request: &Request) -> Result<String, Refused> {
    let version = request.query("api-version").map_err(|_| Refused::ParameterTwice("api-version"))?;
    match version {
        None => Err(Refused::ApiVersionMissing),
        Some(version) if KNOWN.contains(&version) => Ok(version.to_owned()),
        Some(version) => Err(Refused::ApiVersion { found: version.to_owned() }),
    }
}

/// What a client is advised to use. Tools look for the last `digit.digit` of the refusal, so it is not a date (observed).
pub(super) const NEWEST: &str = "7.6";

/// Azure's, from the first that deletes softly (key-vault spec 1).
pub(super) const KNOWN: [&str; 22] = [
    "2016-10-01",
    "7.0-preview",
    "7.0",
    "7.1-preview",
    "7.1",
    "7.2-preview",
    "7.2",
    "7.3-preview",
    "7.3",
    "7.4-preview.1",
    "7.4",
    "7.5-preview.1",
    "7.5",
    "7.6-preview.2",
    "7.6",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-01-01-preview",
    "2026-03-01-preview",
    "2026-04-01",
    "2026-05-01-preview",
    "2026-07-01-preview",
];
