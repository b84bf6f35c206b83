//! The vault's surface: placeholder.

mod headers;

use http::StatusCode;

use crate::{Reply, Request};

pub use headers::ServiceHeaders;

/// What a vault on the wire is made of.
pub struct Config {
    /// What goes out with every answer.
    pub headers: ServiceHeaders,
}

/// The vault on the wire.
pub struct Surface {
    pub(crate) headers: ServiceHeaders,
}

impl Surface {
    /// A vault made of these parts.
    pub fn new(config: Config) -> Surface {
        Surface { headers: config.headers }
    }

    /// Answers one request.
    pub async fn answer(&self, _: &mut Request) -> Reply {
        Reply::error(StatusCode::NOT_FOUND, "NotFound", "no vault is served here")
    }
}
