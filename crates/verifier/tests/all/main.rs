//! Evidence that gets a token, and every way not to get one.

mod recorded;
mod refusals;
mod support;
mod wire;
