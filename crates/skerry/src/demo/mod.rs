//! `skerry demo`: the whole story, over HTTPS, against a server of its own. A key is released to a simulated TEE, and six
//! others do not get it.
//!
//! The server is that of `skerry dev`, in this process, on ports that are free and in a folder that goes when it ends. Every
//! refusal is compared with the exact one it must be, and has a control: the same attempt without the fault, which must end
//! in a release. Anything else makes the demo fail.

mod attempts;
mod scene;
mod show;

use std::process::ExitCode;

use clap::Args;

use crate::edge;

/// Release a key to a simulated TEE, and see who does not get it
#[derive(Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of lines and tables
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let shown = show::Shown::new(options.json);
    match play(shown) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(edge::REFUSED),
        Err(failure) => failure.report(),
    }
}

/// Plays the story; whether all went as it must.
fn play(mut shown: show::Shown) -> Result<bool, edge::Failure> {
    let scene = scene::Scene::set(&mut shown)?;
    attempts::release_once(&scene, &mut shown)?;
    let refusals = attempts::refusals(&scene)?;
    scene.close()?;
    Ok(shown.finish(&refusals)?)
}
