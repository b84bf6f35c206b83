//! Encrypting and decrypting, wrapping and unwrapping.
//!
//! What is sealed is printed as one JSON object, which opening reads again: algorithm, key, text, and what else the algorithm
//! needs. What is opened goes into a file that only its owner reads, or, if it is no key, to standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_client::vault::{CipherAnswer, KeyRef, ToCipher};
use skerry_jose::b64;
use skerry_jose::json::{self, Object, Value};
use zeroize::Zeroizing;

use super::show;
use crate::edge::{Failure, say};
use crate::remote::{Input, Output, Remote, Session};

#[derive(Args)]
pub(super) struct Seal {
    #[arg(value_name = "NAME[/VERSION]", value_parser = KeyRef::parse)]
    key: KeyRef,
    /// Encrypt: RSA-OAEP-256, RSA-OAEP, RSA1_5, A256GCM, A256CBC, A256CBCPAD, ...; wrap: RSA-OAEP-256, A256KW, ...
    #[arg(long, value_name = "ALGORITHM")]
    alg: String,
    /// The file; - is standard input
    #[arg(long = "in", value_name = "FILE")]
    input: Input,
    /// Initialisation vector in hexadecimal digits, for CBC
    #[arg(long, value_name = "HEX", value_parser = octets)]
    iv: Option<Octets>,
    /// Additional data in hexadecimal digits, for GCM
    #[arg(long, value_name = "HEX", value_parser = octets)]
    aad: Option<Octets>,
    /// File for what comes of it, JSON [default: printed]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
pub(super) struct Open {
    #[arg(value_name = "NAME[/VERSION]", value_parser = KeyRef::parse)]
    key: KeyRef,
    /// What was sealed, JSON; - is standard input
    #[arg(long = "in", value_name = "FILE")]
    input: Input,
    /// File for the text, readable by its owner only; - prints what was encrypted, but never a key
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone)]
struct Octets(Vec<u8>);

pub(super) fn encrypt(remote: &Remote, seal: &Seal) -> Result<(), Failure> {
    sealed(remote, seal, |session, text| session.run(session.vault.encrypt(&seal.key, text)))
}

pub(super) fn wrap(remote: &Remote, seal: &Seal) -> Result<(), Failure> {
    sealed(remote, seal, |session, text| session.run(session.vault.wrap(&seal.key, text)))
}

pub(super) fn decrypt(remote: &Remote, open: &Open) -> Result<(), Failure> {
    opened(remote, open, |session, text| session.run(session.vault.decrypt(&open.key, text)))
}

pub(super) fn unwrap(remote: &Remote, open: &Open) -> Result<(), Failure> {
    if open.out == Path::new("-") {
        return Err(anyhow!("a key is not printed: name a file with --out").into());
    }
    opened(remote, open, |session, text| session.run(session.vault.unwrap(&open.key, text)))
}

fn sealed(
    remote: &Remote,
    seal: &Seal,
    ask: impl Fn(&Session, &ToCipher) -> Result<CipherAnswer, Failure>,
) -> Result<(), Failure> {
    let out = seal.out.as_ref().map(|path| Output::new(path, seal.force));
    out.iter().try_for_each(Output::check)?;
    let text = ToCipher {
        alg: seal.alg.clone(),
        value: seal.input.read()?,
        iv: seal.iv.clone().map(|octets| octets.0),
        aad: seal.aad.clone().map(|octets| octets.0),
        tag: None,
    };
    let session = remote.open()?;
    let answer = ask(&session, &text)?;
    let mut object = Object::new()
        .with("kid", answer.kid.as_str())
        .with("alg", seal.alg.as_str())
        .with("value", b64::encode(answer.value.as_slice()));
    // A service repeats the additional data or not; without it nothing is opened again.
    for (name, octets) in [("iv", &answer.iv), ("tag", &answer.tag), ("aad", &answer.aad.or(text.aad.clone()))] {
        if let Some(octets) = octets {
            object.insert(name, b64::encode(octets));
        }
    }
    let Some(out) = out else { return Ok(say(&object.to_json())?) };
    out.write(format!("{}\n", object.to_json()).as_bytes())?;
    let path = out.display().to_string();
    let said = Object::new().with("kid", answer.kid.as_str()).with("alg", seal.alg.as_str()).with("out", path.as_str());
    Ok(show::done(session.json, &format!("sealed with {}, in {path}", answer.kid), said)?)
}

fn opened(
    remote: &Remote,
    open: &Open,
    ask: impl Fn(&Session, &ToCipher) -> Result<CipherAnswer, Failure>,
) -> Result<(), Failure> {
    let out = (open.out != Path::new("-")).then(|| Output::new(&open.out, open.force));
    out.iter().try_for_each(Output::check)?;
    let text = read(&open.input).context("what is to be opened")?;
    let session = remote.open()?;
    let answer = ask(&session, &text)?;
    let Some(out) = out else {
        let written = std::io::stdout().lock().write_all(&answer.value);
        return Ok(written.context("standard output")?);
    };
    out.write(&answer.value)?;
    let (path, bytes) = (out.display().to_string(), answer.value.len());
    let said = Object::new().with("kid", answer.kid.as_str()).with("out", path.as_str());
    let said = said.with("bytes", u64::try_from(bytes).unwrap_or(u64::MAX));
    Ok(show::done(session.json, &format!("opened with {}: {bytes} bytes are in {path}", answer.kid), said)?)
}

fn read(input: &Input) -> anyhow::Result<ToCipher> {
    let text = input.bounded(SEALED_BYTES_MAX)?;
    let limits = json::Limits { bytes_max: SEALED_BYTES_MAX, ..skerry_jose::limits::JSON };
    let value = json::parse(&text, &limits).map_err(|error| anyhow!("it is no JSON: {error}"))?;
    let object = value.into_object().ok_or_else(|| anyhow!("it is no JSON object"))?;
    let octets = |name: &'static str| {
        let text = object.get(name).map(|value| value.as_str().and_then(|text| b64::decode_lenient(text).ok()));
        text.map(|octets| octets.ok_or_else(|| anyhow!("its member {name} is not base64url"))).transpose()
    };
    Ok(ToCipher {
        alg: object.get("alg").and_then(Value::as_str).ok_or_else(|| anyhow!("it has no member alg"))?.to_owned(),
        value: Zeroizing::new(octets("value")?.ok_or_else(|| anyhow!("it has no member value"))?),
        iv: octets("iv")?,
        aad: octets("aad")?,
        tag: octets("tag")?,
    })
}

fn octets(text: &str) -> Result<Octets, String> {
    hex::decode(text).map(Octets).map_err(|error| error.to_string())
}

/// What a vault reads of a body (skerry-http).
const SEALED_BYTES_MAX: usize = 512 * 1024;
