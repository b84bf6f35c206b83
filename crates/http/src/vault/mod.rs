//! The vault's surface: placeholder.

use http::StatusCode;

use crate::{Reply, Request};

/// The vault on the wire.
pub struct Surface;

impl Surface {
    /// Answers one request.
    pub async fn answer(&self, _: &mut Request) -> Reply {
        Reply::error(StatusCode::NOT_FOUND, "NotFound", "no vault is served here")
    }
}
