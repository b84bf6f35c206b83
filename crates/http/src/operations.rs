//! What operators' tools ask: health, and what the program adds to the table of paths.
//!
//! A listener of its own, over plain HTTP, so that a probe needs no certificate and is answered while the services are
//! flooded. It answers to every Host, since supervisors address it by whatever they know: nothing that it says depends on the
//! Host, and nothing in it is secret. Whoever reaches it may read all of it, so it belongs where operators alone do.

use std::sync::Arc;

use http::StatusCode;

use crate::health::Health;
use crate::operation;
use crate::reply::Reply;
use crate::request::Request;
use crate::route;

/// Answers a GET. It is called on the connection's thread, so it neither waits nor computes for long.
pub type Answer = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// The operations surface of one server.
pub struct Surface {
    health: Arc<Health>,
    routes: Vec<(&'static str, Answer)>,
}

impl Surface {
    /// Health alone.
    pub fn new(health: Arc<Health>) -> Surface {
        Surface { health, routes: Vec::new() }
    }

    /// With one more path, of one segment: `metrics` is `/metrics`.
    #[must_use]
    pub fn route(
        mut self,
        segment: &'static str,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Surface {
        self.routes.push((segment, Box::new(answer)));
        self
    }

    /// Answers one request.
    pub fn answer(&self, request: &Request) -> Reply {
        self.respond(request).unwrap_or_else(|refusal| refusal)
    }

    fn respond(&self, request: &Request) -> Result<Reply, Reply> {
        if let Some(reply) = self.health.answer(request) {
            return Ok(reply);
        }
        let of_table = |one: &String| self.routes.iter().find(|(segment, _)| segment == one);
        let found = match request.segments() {
            [one] => of_table(one),
            _ => None,
        };
        if found.is_none() && !Health::is_probe(request) {
            return Err(Reply::error(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this path"));
        }
        route::allow(request.method(), route::READ).map_err(route::NotAllowed::into_reply)?;
        request.is_for(operation::TOOL);
        // Infallible: a probe that may be read was answered above.
        found.map(|(_, answer)| answer(request)).ok_or_else(|| Reply::empty(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
