//! `skerry openapi`: the document as docs/openapi.json has it.

use std::process::ExitCode;

use crate::edge;

pub(crate) fn run() -> ExitCode {
    match edge::say(skerry_http::openapi::published().trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => edge::fail(&error),
    }
}
