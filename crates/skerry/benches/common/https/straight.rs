//! Each operation as one function: its cryptography, its parsing, its printing.
//!
//! A bearer token that was verified before is known by its digest, as in the server; a chain of a processor too.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use skerry_attestation_result::names::snp;
use skerry_evidence::snp::Report;
use skerry_jose::SigningKey;
use skerry_vault::record::Key;

use super::operation::Kind;
use crate::common::site::{Actors, POLICY};
use crate::common::snp::signatures;
use crate::common::straight::{Straight, sign};
use crate::common::token::Token;
use crate::common::{HOST, random, unix_secs};

/// What the functions work on.
pub(crate) struct ByHand {
    now: u64,
    bearer: String,
    bearer_digest: Vec<u8>,
    release: Straight,
    bodies: Vec<String>,
    key: Key,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ciphers: Ciphers,
    sign: String,
    attest: Attest,
    /// Beside the store and the log on disk.
    synced: File,
}

/// Keys for texts, and one that was wrapped.
struct Ciphers {
    private: OaepPrivateDecryptingKey,
    public: OaepPublicEncryptingKey,
    aes: LessSafeKey,
    wrapped: Vec<u8>,
}

impl Ciphers {
    fn new() -> anyhow::Result<Ciphers> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
        let public = OaepPublicEncryptingKey::new(private.public_key())?;
        let aes = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &random::<32>())?);
        let mut ciphers =
            Ciphers { private: OaepPrivateDecryptingKey::new(private)?, public, aes, wrapped: Vec::new() };
        ciphers.wrapped = ciphers.wrap()?;
        Ok(ciphers)
    }

    fn wrap(&self) -> anyhow::Result<Vec<u8>> {
        let mut wrapped = vec![0; self.public.ciphertext_size()];
        self.public.encrypt(&OAEP_SHA256_MGF1SHA256, &TEXT, &mut wrapped, None)?;
        Ok(wrapped)
    }

    fn unwrap(&self) -> anyhow::Result<Vec<u8>> {
        let mut text = vec![0; self.private.min_output_size()];
        Ok(self.private.decrypt(&OAEP_SHA256_MGF1SHA256, &self.wrapped, &mut text, None)?.to_vec())
    }

    fn encrypt(&self) -> anyhow::Result<Vec<u8>> {
        let mut text = TEXT.to_vec();
        let nonce = Nonce::assume_unique_for_key(random());
        self.aes.seal_in_place_append_tag(nonce, Aad::empty(), &mut text)?;
        Ok(text)
    }
}

/// Of one processor, whose chain was verified before.
struct Attest {
    body: String,
    chain_digest: Vec<u8>,
    vek: ParsedPublicKey,
    signing: RsaKeyPair,
    header: String,
    /// Claims of a real answer, of which those that depend on the request are made anew.
    claims: Value,
}

impl ByHand {
    pub(crate) fn new(
        actors: &Actors,
        release: Straight,
        tokens: &[Token],
        key: Key,
        (evidence, attest, token): (&skerry_simulator::Evidence, String, &str),
        folder: &Path,
    ) -> anyhow::Result<ByHand> {
        let bearer = release.bearer.text.clone();
        let [.., report] = signatures(evidence)?;
        let rejected = |_| anyhow::anyhow!("key refused");
        let signing = |key: &SigningKey| RsaKeyPair::from_pkcs8(&key.to_pkcs8()?).map_err(rejected);
        Ok(ByHand {
            now: unix_secs(actors.now),
            bearer_digest: sha256(bearer.as_bytes()),
            bearer,
            bodies: tokens.iter().map(|token| release_body(&token.text)).collect(),
            release,
            key,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048)?,
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            ciphers: Ciphers::new()?,
            sign: sign_body("RS256"),
            attest: Attest {
                body: attest,
                chain_digest: sha256(evidence.vek_chain_pem.as_bytes()),
                vek: report.key.context("a report has a key of its own")?,
                signing: signing(&actors.attester)?,
                header: token.split('.').next().context("no JWS")?.to_owned(),
                claims: Token::new(token.to_owned())?.claims()?,
            },
            synced: tempfile::tempfile_in(folder)?,
        })
    }

    pub(crate) fn bearer(&self) -> &str {
        &self.bearer
    }

    /// Octets of what a release is made of.
    pub(crate) fn sizes(&self, token: Option<&Token>) -> String {
        self.release.sizes(token)
    }

    pub(crate) fn run(&self, kind: Kind, index: usize, synced: bool) -> anyhow::Result<String> {
        if synced {
            (&self.synced).write_all(&[b' '; RECORD_LEN])?;
            self.synced.sync_data()?;
        }
        match kind {
            Kind::Release => self.release(index),
            Kind::Get => self.get(),
            Kind::SignRsa => self.sign(|digest| self.sign_rsa(digest)),
            Kind::SignEc => self.sign(|digest| self.sign_ec(digest)),
            Kind::Attest => self.attest.run(self.now),
            // No straight line is written for these: their base is the cryptography alone.
            Kind::List | Kind::Wrap | Kind::Unwrap | Kind::Encrypt | Kind::CreateRsa | Kind::CreateEc => {
                self.bare(kind).map(|()| String::new())
            }
        }
    }

    /// The cryptography of an operation on prepared inputs, and nothing else. Looking up needs none.
    pub(crate) fn bare(&self, kind: Kind) -> anyhow::Result<()> {
        let digest = || Digest::import_less_safe(&TEXT, &SHA256);
        match kind {
            Kind::Get | Kind::List | Kind::Release | Kind::Attest => {}
            Kind::SignRsa => drop(black_box(self.sign_rsa(&digest()?)?)),
            Kind::SignEc => drop(black_box(self.sign_ec(&digest()?)?)),
            Kind::Wrap => drop(black_box(self.ciphers.wrap()?)),
            Kind::Unwrap => drop(black_box(self.ciphers.unwrap()?)),
            Kind::Encrypt => drop(black_box(self.ciphers.encrypt()?)),
            Kind::CreateRsa => drop(black_box(RsaKeyPair::generate(KeySize::Rsa2048)?)),
            Kind::CreateEc => drop(black_box(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?)),
        }
        Ok(())
    }

    fn sign_rsa(&self, digest: &Digest) -> anyhow::Result<Vec<u8>> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign_digest(&RSA_PKCS1_SHA256, digest, &mut signature)?;
        Ok(signature)
    }

    fn sign_ec(&self, digest: &Digest) -> anyhow::Result<Vec<u8>> {
        Ok(self.ec.sign_digest(digest)?.as_ref().to_vec())
    }

    /// A token that was verified before.
    fn check_bearer(&self) -> anyhow::Result<()> {
        ensure!(sha256(self.bearer.as_bytes()) == self.bearer_digest, "an unknown bearer");
        Ok(())
    }

    fn release(&self, index: usize) -> anyhow::Result<String> {
        self.check_bearer()?;
        let body = self.bodies.get(index % self.bodies.len()).context("no token")?;
        let body: Value = serde_json::from_str(body)?;
        let value = self.release.release(body["target"].as_str().context("no target")?)?;
        Ok(json!({"value": value}).to_string())
    }

    fn get(&self) -> anyhow::Result<String> {
        self.check_bearer()?;
        let version = &self.key.version;
        let skerry_keys::PublicKey::Rsa { n, e } = &version.public else { anyhow::bail!("no RSA key") };
        let bundle = json!({
            "key": {
                "kid": format!("https://{HOST}/keys/{}/{}", self.key.head.name, version.version),
                "kty": "RSA-HSM",
                "key_ops": version.key_ops.iter().map(|op| op.as_str()).collect::<Vec<_>>(),
                "n": B64.encode(n),
                "e": B64.encode(e),
            },
            "attributes": {
                "enabled": true, "created": version.created, "updated": version.updated,
                "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90, "exportable": true, "hsmPlatform": "0",
            },
            "release_policy": {
                "contentType": "application/json; charset=utf-8", "data": B64.encode(POLICY),
            },
        });
        Ok(bundle.to_string())
    }

    fn sign(&self, sign: impl Fn(&Digest) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<String> {
        self.check_bearer()?;
        let body: Value = serde_json::from_str(&self.sign)?;
        ensure!(body["alg"].is_string(), "no algorithm");
        let digest = B64.decode(body["value"].as_str().context("no digest")?)?;
        let digest = Digest::import_less_safe(&digest, &SHA256)?;
        let kid = format!("https://{HOST}/keys/{}/{}", self.key.head.name, self.key.version.version);
        Ok(json!({"kid": kid, "value": B64.encode(sign(&digest)?)}).to_string())
    }
}

impl Attest {
    fn run(&self, now: u64) -> anyhow::Result<String> {
        let body: Value = serde_json::from_str(&self.body)?;
        let octets = |value: &Value| anyhow::Ok(B64.decode(value.as_str().context("no such member")?)?);
        let evidence: Value = serde_json::from_slice(&octets(&body["report"])?)?;
        ensure!(sha256(&octets(&evidence["VcekCertChain"])?) == self.chain_digest, "an unknown chain");
        let report = Report::parse(&octets(&evidence["SnpReport"])?)?;
        let number = |little_endian: &[u8]| little_endian.iter().rev().copied().collect::<Vec<u8>>();
        let signature = [number(report.signature_r()), number(report.signature_s())].concat();
        self.vek.verify_sig(report.signed(), &signature)?;
        let runtime = octets(&body["runtimeData"]["data"])?;
        ensure!(report.report_data().starts_with(&sha256(&runtime)), "another runtime data");
        let mut claims = self.claims.clone();
        for (name, octets) in [
            (snp::REPORT_DATA, report.report_data().as_slice()),
            (snp::LAUNCH_MEASUREMENT, report.measurement()),
            (snp::HOST_DATA, report.host_data()),
            (snp::ID_KEY_DIGEST, report.id_key_digest()),
            (snp::AUTHOR_KEY_DIGEST, report.author_key_digest()),
            (snp::REPORT_ID, report.report_id()),
        ] {
            claims[name] = hex::encode(octets).into();
        }
        claims["x-ms-runtime"] = serde_json::from_slice(&runtime)?;
        claims["jti"] = hex::encode(random::<32>()).into();
        for (name, time) in [("iat", now), ("nbf", now), ("exp", now + 28_800)] {
            claims[name] = time.into();
        }
        let input = format!("{}.{}", self.header, B64.encode(claims.to_string()));
        let token = format!("{input}.{}", B64.encode(sign(&self.signing, input.as_bytes())?));
        Ok(json!({"token": token}).to_string())
    }
}

/// The body of a release request, as SDKs send it.
pub(crate) fn release_body(token: &str) -> String {
    let (enc, nonce) = (crate::common::straight::WRAP.as_str(), crate::common::NONCE);
    json!({"target": token, "nonce": nonce, "enc": enc}).to_string()
}

/// The body of a request to sign some digest.
pub(crate) fn sign_body(algorithm: &str) -> String {
    text_body(algorithm, TEXT)
}

/// The body of a request to do something with a digest, a key or a text.
pub(crate) fn text_body(algorithm: &str, text: [u8; 32]) -> String {
    json!({"alg": algorithm, "value": B64.encode(text)}).to_string()
}

/// What is signed, wrapped and encrypted: as long as a digest and as a key.
pub(crate) const TEXT: [u8; 32] = [0x5a; 32];

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest(&SHA256, octets).as_ref().to_vec()
}

/// Octets of a release in the log.
const RECORD_LEN: usize = 814;
