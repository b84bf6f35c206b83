//! A release as one function of the library, `serde_json` and `base64`: no policy language, no log, no store, no cache.

use std::ops::Range;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use skerry_attestation_result::names;
use skerry_jose::{SigningKey, Unverified, VerifyingKey, json as strict};
use skerry_keywrap::{Algorithm as WrapAlgorithm, UnwrapKey};
use skerry_vault::record::Key;
use zeroize::Zeroizing;

use super::site::POLICY;
use super::site::{Actors, Site};
use super::token::{self, Token};
use super::{AUDIENCE, HOST, KEY, NONCE, TENANT, parsed, random, unix_secs};

/// Keys and inputs as the library takes them.
pub(crate) struct Straight {
    now: SystemTime,
    pub(crate) bearer: Token,
    bearer_issuer: VerifyingKey,
    bearer_key: ParsedPublicKey,
    token_key: ParsedPublicKey,
    token_kid: String,
    targets: Vec<OaepPublicEncryptingKey>,
    signing: RsaKeyPair,
    key: Key,
    sealed: Sealed,
    /// Header of every answer, encoded.
    header: String,
    /// What is signed in some answer.
    answer: String,
}

/// The key's sealed record, taken apart (layout: `skerry_keys::custody`).
struct Sealed {
    kek: Zeroizing<[u8; 32]>,
    salt: [u8; 32],
    nonce: [u8; 12],
    info: Vec<u8>,
    aad: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Straight {
    /// For the key of this site, and callers of this identity provider.
    pub(crate) fn new(
        actors: &Actors,
        principals: &SigningKey,
        workloads: &[UnwrapKey],
        site: &Site,
    ) -> anyhow::Result<Straight> {
        Ok(Straight {
            now: actors.now,
            bearer: token::bearer(principals, actors.now)?,
            bearer_issuer: principals.verifying_key("principals")?,
            bearer_key: parsed(principals.public())?,
            token_key: parsed(actors.attester.public())?,
            token_kid: actors.token_signer()?.kid().to_owned(),
            targets: workloads.iter().map(target).collect::<anyhow::Result<_>>()?,
            signing: RsaKeyPair::from_pkcs8(&actors.signing.to_pkcs8()?).map_err(|_| anyhow::anyhow!("key refused"))?,
            key: site.key.clone(),
            sealed: Sealed::of(site)?,
            header: String::new(),
            answer: String::new(),
        })
    }

    /// Takes from a real answer the header and what its signature covers, and sees to it that both ways release the same
    /// key to the TEE.
    pub(crate) fn settle(&mut self, workload: &UnwrapKey, token: &Token, answer: &str) -> anyhow::Result<()> {
        let (input, _) = answer.rsplit_once('.').context("no JWS")?;
        self.header = input.split_once('.').context("no JWS")?.0.to_owned();
        self.answer = input.to_owned();
        let by_hand = self.release(&token.text)?;
        ensure!(released(workload, answer)? == released(workload, &by_hand)?, "two ways, two keys");
        Ok(())
    }

    /// Octets of the parts.
    pub(crate) fn sizes(&self, token: Option<&Token>) -> String {
        let token = token.map_or(0, |token| token.text.len());
        let (bearer, key) = (self.bearer.text.len(), self.sealed.ciphertext.len() - TAG_LEN);
        let answer = self.answer.len() + SIGNATURE_CHARS;
        format!("bearer token {bearer} B, attestation token {token} B, key {key} B, answer {answer} B")
    }

    /// Verify, verify, unseal, OAEP, KWP, sign: calls of the library, and nothing between them.
    pub(crate) fn bare(&self, index: usize, token: Option<&Token>) -> anyhow::Result<()> {
        self.bearer.verify_sig(&self.bearer_key)?;
        if let Some(token) = token {
            token.verify_sig(&self.token_key)?;
        }
        let target = self.targets.get(index % self.targets.len()).context("no target")?;
        std::hint::black_box(wrap(target, &self.sealed.open()?)?);
        std::hint::black_box(sign(&self.signing, self.answer.as_bytes())?);
        Ok(())
    }

    /// Without the bearer token.
    pub(crate) fn release(&self, token: &str) -> anyhow::Result<String> {
        self.answer(&self.verified_claims(token)?)
    }

    /// The bearer token, read and verified; the same function in the straight line and in front of the pipeline.
    pub(crate) fn check_bearer(&self) -> anyhow::Result<()> {
        let claims =
            Unverified::parse(&self.bearer.text, &Default::default())?.verify(&self.bearer_issuer)?.into_claims();
        let text = |name| claims.get(name).and_then(strict::Value::as_str);
        ensure!(text("aud") == Some(AUDIENCE) && text("iss") == Some(TENANT), "bearer of another service");
        let exp = claims.get("exp").and_then(strict::Value::as_u64);
        ensure!(exp.is_some_and(|exp| exp > unix_secs(self.now)), "bearer expired");
        Ok(())
    }

    fn verified_claims(&self, token: &str) -> anyhow::Result<Value> {
        let (input, signature) = token.rsplit_once('.').context("no JWS")?;
        let (header, payload) = input.split_once('.').context("no JWS")?;
        let header: Value = serde_json::from_slice(&B64.decode(header)?)?;
        ensure!(header["alg"] == "RS256" && header["kid"] == *self.token_kid, "no key for this token");
        self.token_key.verify_sig(input.as_bytes(), &B64.decode(signature)?)?;
        let claims: Value = serde_json::from_slice(&B64.decode(payload)?)?;
        ensure!(claims["exp"].as_u64().is_some_and(|exp| exp > unix_secs(self.now)), "token expired");
        Ok(claims)
    }

    /// What follows the token's verification.
    pub(crate) fn answer(&self, claims: &Value) -> anyhow::Result<String> {
        ensure!(claims[names::ATTESTATION_TYPE] == "sevsnpvm", "another kind of TEE");
        ensure!(claims[names::snp::IS_DEBUGGABLE] == false, "a TEE that can be debugged");
        let keys = claims[names::RUNTIME]["keys"].as_array().context("no keys")?;
        let may_encrypt =
            |jwk: &&Value| jwk["key_ops"].as_array().is_some_and(|ops| ops.iter().any(|op| op == "encrypt"));
        let jwk = keys.iter().find(may_encrypt).context("no key for encryption")?;
        let octets = |name| anyhow::Ok(B64.decode(jwk[name].as_str().context("no such member")?)?);
        let target = oaep_key(&octets("n")?, &octets("e")?)?;
        let wrapped = wrap(&target, &self.sealed.open()?)?;
        self.signed(&self.payload(jwk["kid"].as_str().context("no kid")?, &wrapped)?.to_string())
    }

    fn payload(&self, target_kid: &str, wrapped: &[u8]) -> anyhow::Result<Value> {
        let version = &self.key.version;
        let skerry_keys::PublicKey::Rsa { n, e } = &version.public else { anyhow::bail!("no RSA key") };
        let (enc, url) = (WRAP.as_str(), format!("https://{HOST}/keys/{KEY}"));
        let header = json!({"kid": target_kid, "alg": "dir", "enc": enc});
        let key_hsm = json!({"schema_version": "1.0", "header": header, "ciphertext": B64.encode(wrapped)});
        Ok(json!({
            "request": {"api-version": "7.4", "enc": enc, "kid": url, "nonce": NONCE},
            "response": {"key": {
                "key": {
                    "kid": format!("{url}/{}", version.version),
                    "kty": "RSA-HSM",
                    "key_ops": version.key_ops.iter().map(|op| op.as_str()).collect::<Vec<_>>(),
                    "n": B64.encode(n),
                    "e": B64.encode(e),
                    "key_hsm": B64.encode(key_hsm.to_string()),
                },
                "attributes": {
                    "enabled": true, "created": version.created, "updated": version.updated,
                    "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90, "exportable": true,
                },
                "release_policy": {"data": B64.encode(POLICY)},
            }},
        }))
    }

    fn signed(&self, payload: &str) -> anyhow::Result<String> {
        let mut token = String::with_capacity(self.header.len() + payload.len() / 3 * 4 + SIGNATURE_CHARS + 6);
        token.push_str(&self.header);
        token.push('.');
        B64.encode_string(payload, &mut token);
        let signature = sign(&self.signing, token.as_bytes())?;
        token.push('.');
        B64.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl Sealed {
    fn of(site: &Site) -> anyhow::Result<Sealed> {
        let version = &site.key.version;
        let (head, ciphertext) = version.material.as_bytes().split_at_checked(61).context("no record")?;
        let part = |range: Range<usize>| head.get(range).context("no record");
        let place = [site.vault.id().as_bytes().as_slice(), site.key.head.id.as_bytes(), &version.version.0].concat();
        Ok(Sealed {
            kek: site.kek.0.clone(),
            salt: part(17..49)?.try_into()?,
            nonce: part(49..61)?.try_into()?,
            info: [b"skerry material key", place.as_slice()].concat(),
            aad: [&[1], site.kek.1.as_slice(), &place, &[1, 1, 1, 1, 0, 0]].concat(),
            ciphertext: ciphertext.to_vec(),
        })
    }

    fn open(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new([0; 32]);
        let secret = Salt::new(HKDF_SHA256, &self.salt).extract(self.kek.as_slice());
        secret.expand(&[&self.info], HKDF_SHA256)?.fill(key.as_mut_slice())?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?);
        let mut text = Zeroizing::new(self.ciphertext.clone());
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let len = key.open_in_place(nonce, Aad::from(&self.aad), &mut text)?.len();
        text.truncate(len);
        Ok(text)
    }
}

/// OAEP(target, K) || KWP(K, data).
fn wrap(target: &OaepPublicEncryptingKey, data: &[u8]) -> anyhow::Result<Vec<u8>> {
    let k = Zeroizing::new(random::<32>());
    let oaep_len = target.ciphertext_size();
    let mut wrapped = vec![0; oaep_len + data.len().next_multiple_of(8) + 8];
    let (oaep, kwp) = wrapped.split_at_mut(oaep_len);
    target.encrypt(&OAEP_SHA256_MGF1SHA256, k.as_slice(), oaep, None)?;
    AesKek::new(&AES_256, k.as_slice())?.wrap_with_padding(data, kwp)?;
    Ok(wrapped)
}

pub(crate) fn sign(key: &RsaKeyPair, message: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
    Ok(signature)
}

/// What the TEE holds in the end.
fn released(workload: &UnwrapKey, answer: &str) -> anyhow::Result<Vec<u8>> {
    let answer = Token::new(answer.to_owned())?.claims()?;
    let key_hsm = answer["response"]["key"]["key"]["key_hsm"].as_str().context("no key_hsm")?;
    let key_hsm: Value = serde_json::from_slice(&B64.decode(key_hsm)?)?;
    let wrapped = B64.decode(key_hsm["ciphertext"].as_str().context("no ciphertext")?)?;
    Ok(skerry_keywrap::unwrap(WRAP, workload, &wrapped)?.expose().to_vec())
}

fn target(workload: &UnwrapKey) -> anyhow::Result<OaepPublicEncryptingKey> {
    let (n, e) = workload.public_components();
    oaep_key(n, e)
}

fn oaep_key(n: &[u8], e: &[u8]) -> anyhow::Result<OaepPublicEncryptingKey> {
    let key: PublicEncryptingKey =
        PublicKeyComponents { n, e }.try_into().map_err(|_| anyhow::anyhow!("key refused"))?;
    Ok(OaepPublicEncryptingKey::new(key)?)
}

const TAG_LEN: usize = 16;
/// An RSA-2048 signature in base64url.
const SIGNATURE_CHARS: usize = 342;
pub(crate) const WRAP: WrapAlgorithm = WrapAlgorithm::RsaAesKeyWrap256;
