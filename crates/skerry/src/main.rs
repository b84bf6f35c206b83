//! The command line of Skerry: wiring and words, nothing decidable.
//!
//! Exit codes: 0 ok, 1 refused, 2 usage, 3 unavailable, 4 integrity.

mod audit;
mod backup;
mod config;
mod demo;
mod dev;
mod edge;
mod evidence;
mod hsm;
mod key;
mod machine;
mod node;
mod openapi;
mod pem;
mod policy;
mod remote;
mod root;
mod serve;
mod server;
mod simulate;
mod store;
mod unseal;
mod vault;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Self-hosted Secure Key Release.
#[derive(Parser)]
#[command(name = "skerry", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read the audit log, check it, or prove what is in it
    #[command(subcommand)]
    Audit(audit::Command),
    Backup(backup::Options),
    Demo(demo::Options),
    Dev(dev::Options),
    /// Look at evidence of a TEE, or verify it
    #[command(subcommand)]
    Evidence(evidence::Command),
    #[command(subcommand)]
    Hsm(hsm::Command),
    Key(key::Options),
    /// Show the servers of an installation, and take off what is left of one that does not come back
    #[command(subcommand)]
    Node(node::Command),
    /// Print the OpenAPI document of the vaults and the attestation service
    Openapi,
    /// Check a release policy, or explain what it says of a token
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Root(root::Command),
    Restore(backup::RestoreOptions),
    Serve(serve::Options),
    Simulate(simulate::Options),
    /// Move what is stored to another engine
    #[command(subcommand)]
    Store(store::Command),
    Unseal(unseal::Options),
    Vault(vault::Options),
    Verify(verify::Options),
    VerifyBackup(backup::VerifyOptions),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Audit(command) => audit::run(&command),
        Command::Backup(options) => backup::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Dev(options) => dev::run(&options),
        Command::Hsm(command) => hsm::run(command),
        Command::Key(options) => key::run(&options),
        Command::Node(command) => node::run(&command),
        Command::Openapi => openapi::run(),
        Command::Policy(command) => policy::run(&command),
        Command::Evidence(command) => evidence::run(command),
        Command::Root(command) => root::run(command),
        Command::Restore(options) => backup::run_restore(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Store(command) => store::run(&command),
        Command::Unseal(options) => unseal::run(&options),
        Command::Vault(options) => vault::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::VerifyBackup(options) => backup::run_verify(&options),
    }
}
