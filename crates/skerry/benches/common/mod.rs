//! What the benches share: cases and their table, and everything that a release or an appraisal needs.

#![allow(dead_code)] // each bench takes a part of it
#![allow(clippy::indexing_slicing)] // serde_json's values, which answer null for what is not there

pub(crate) mod measure;
pub(crate) mod rate;
pub(crate) mod site;
pub(crate) mod snp;
pub(crate) mod straight;
pub(crate) mod token;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rand_core::{CryptoRng, Rng as _};
use serde_json::Value;
use skerry_jose::json as strict;
use skerry_jose::{Algorithm, PublicKey, SigningKey};

/// Does `work` for each item; says how many there were.
pub(crate) fn each<T, R>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> anyhow::Result<R>,
) -> anyhow::Result<usize> {
    items.into_iter().try_fold(0, |count, item| {
        std::hint::black_box(work(item)?);
        Ok(count + 1)
    })
}

pub(crate) fn rng() -> impl CryptoRng + Send {
    UnwrapErr(SysRng)
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    rng().fill_bytes(&mut octets);
    octets
}

pub(crate) fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(crate) fn rs256() -> anyhow::Result<SigningKey> {
    Ok(SigningKey::generate(Algorithm::Rs256)?)
}

/// The same key once more.
pub(crate) fn copy(key: &SigningKey) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_pkcs8(key.algorithm(), &key.to_pkcs8()?)?)
}

/// An RSA key as the library takes it.
pub(crate) fn parsed(key: &PublicKey) -> anyhow::Result<ParsedPublicKey> {
    let PublicKey::Rsa(key) = key else { anyhow::bail!("no RSA key") };
    let components = PublicKeyComponents { n: key.modulus(), e: key.exponent() };
    Ok(components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?)
}

/// A JSON object as our own reader has it.
pub(crate) fn object(value: &Value) -> anyhow::Result<strict::Object> {
    let value = strict::parse(value.to_string().as_bytes(), &skerry_jose::limits::JSON)?;
    value.into_object().context("no object")
}

pub(crate) const HOST: &str = "vault.localhost";
pub(crate) const KEY: &str = "payments";
pub(crate) const NONCE: &str = "4f1c7a52d0e94d7bb6f2";
pub(crate) const ISSUER: &str = "https://attest.localhost";
pub(crate) const TENANT: &str = "https://sts.localhost/3f0a1c9e-52f4-4b6d-8f9c-1b6d2f7e4a10/";
pub(crate) const CALLER: &str = "3f0a1c9e-52f4-4b6d-8f9c-1b6d2f7e4a10";
pub(crate) const AUDIENCE: &str = "https://vault.localhost";
pub(crate) const MEASUREMENT: [u8; 48] = [0xab; 48];
