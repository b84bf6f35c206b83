//! Signing and verifying files. What is sent is a digest, which is made here; where an algorithm signs messages as they are
//! (ML-DSA), the file is sent.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use aws_lc_rs::digest::{self, Digest};
use clap::Args;
use skerry_client::vault::KeyRef;
use skerry_jose::b64;
use skerry_jose::json::Object;

use super::show;
use crate::edge::Failure;
use crate::remote::{Input, Output, Remote};

#[derive(Args)]
pub(super) struct Sign {
    #[arg(value_name = "NAME[/VERSION]", value_parser = KeyRef::parse)]
    key: KeyRef,
    #[command(flatten)]
    what: What,
    /// File for the signature as it is [default: printed as base64url]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
pub(super) struct Verify {
    #[arg(value_name = "NAME[/VERSION]", value_parser = KeyRef::parse)]
    key: KeyRef,
    #[command(flatten)]
    what: What,
    /// File with the signature, as it is
    #[arg(long, value_name = "FILE", conflicts_with = "signature")]
    signature_file: Option<PathBuf>,
    /// The signature as base64url
    #[arg(long, value_name = "TEXT", required_unless_present = "signature_file")]
    signature: Option<String>,
}

/// What is signed, and how.
#[derive(Args)]
struct What {
    /// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, ES256K, HS256, HS384, HS512, ML-DSA-44, -65, -87
    #[arg(long, value_name = "ALGORITHM")]
    alg: String,
    /// The file; - is standard input
    #[arg(long = "in", value_name = "FILE", required_unless_present = "digest", conflicts_with = "digest")]
    input: Option<Input>,
    /// Its digest, in hexadecimal digits
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

pub(super) fn sign(remote: &Remote, sign: &Sign) -> Result<(), Failure> {
    let out = sign.out.as_ref().map(|path| Output::new(path, sign.force));
    out.iter().try_for_each(Output::check)?;
    let digest = sign.what.digest()?;
    let session = remote.open()?;
    let (kid, signature) = session.run(session.vault.sign(&sign.key, &sign.what.alg, &digest))?;
    let text = b64::encode(&signature);
    let object = Object::new().with("kid", kid.as_str()).with("alg", sign.what.alg.as_str());
    let Some(out) = out else {
        return Ok(show::done(session.json, &text, object.with("signature", text.as_str()))?);
    };
    out.write(&signature)?;
    let path = out.display().to_string();
    let words = format!("signed with {kid}: {} bytes are in {path}", signature.len());
    Ok(show::done(session.json, &words, object.with("out", path))?)
}

pub(super) fn verify(remote: &Remote, verify: &Verify) -> Result<(), Failure> {
    let signature = verify.signature()?;
    let digest = verify.what.digest()?;
    let session = remote.open()?;
    let holds = session.run(session.vault.verify(&verify.key, &verify.what.alg, &digest, &signature))?;
    let words = if holds { "the signature holds" } else { "the signature does NOT hold" };
    show::done(session.json, words, Object::new().with("holds", holds))?;
    if holds { Ok(()) } else { Err(Failure::refused(anyhow!("the vault says that this key did not sign this"))) }
}

impl Verify {
    fn signature(&self) -> anyhow::Result<Vec<u8>> {
        match (&self.signature, &self.signature_file) {
            (Some(text), _) => b64::decode_lenient(text).map_err(|_| anyhow!("--signature is not base64url")),
            (None, Some(path)) => Ok(std::fs::read(path).with_context(|| path.display().to_string())?),
            (None, None) => bail!("no signature is given"),
        }
    }
}

impl What {
    /// What the vault gets.
    fn digest(&self) -> anyhow::Result<Vec<u8>> {
        let (_, hash) = HASHES
            .iter()
            .find(|(alg, _)| *alg == self.alg)
            .ok_or_else(|| anyhow!("{:?} is no algorithm of signatures: see skerry key sign --help", self.alg))?;
        match (hash, &self.digest, &self.input) {
            (_, Some(text), _) => {
                let octets = hex::decode(text).context("--digest")?;
                match hash.is_none_or(|hash| octets.len() == hash.output_len()) {
                    true => Ok(octets),
                    false => bail!("--digest has {} octets, which is not what {} signs", octets.len(), self.alg),
                }
            }
            (Some(hash), None, Some(input)) => Ok(hashed(hash, input)?.as_ref().to_vec()),
            (None, None, Some(input)) => Ok(input.read()?.to_vec()),
            (_, None, None) => bail!("nothing to sign is given"),
        }
    }
}

fn hashed(hash: &'static digest::Algorithm, input: &Input) -> anyhow::Result<Digest> {
    let mut context = digest::Context::new(hash);
    input.each(|piece| context.update(piece))?;
    Ok(context.finish())
}

type Hash = Option<&'static digest::Algorithm>;

/// RFC 7518, 3.1; RFC 8812; FIPS 204, whose messages are not hashed first.
const HASHES: [(&str, Hash); 16] = [
    ("RS256", Some(&digest::SHA256)),
    ("RS384", Some(&digest::SHA384)),
    ("RS512", Some(&digest::SHA512)),
    ("PS256", Some(&digest::SHA256)),
    ("PS384", Some(&digest::SHA384)),
    ("PS512", Some(&digest::SHA512)),
    ("ES256", Some(&digest::SHA256)),
    ("ES384", Some(&digest::SHA384)),
    ("ES512", Some(&digest::SHA512)),
    ("ES256K", Some(&digest::SHA256)),
    ("HS256", Some(&digest::SHA256)),
    ("HS384", Some(&digest::SHA384)),
    ("HS512", Some(&digest::SHA512)),
    ("ML-DSA-44", None),
    ("ML-DSA-65", None),
    ("ML-DSA-87", None),
];
