//! Tokens of callers and of TEEs, as large as real ones.

use std::ops::Range;
use std::time::SystemTime;

use anyhow::Context as _;
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use skerry_attestation_result::{AttestationResult, Provenance, TokenSigner, names};
use skerry_evidence::snp::{Generation, Report};
use skerry_jose::json as strict;
use skerry_jose::{ProtectedHeader, SigningKey};
use skerry_keywrap::UnwrapKey;
use skerry_simulator::Evidence;

use super::{AUDIENCE, CALLER, TENANT, object, random, unix_secs};

/// A signed token, and its parts as the library takes them.
pub(crate) struct Token {
    pub(crate) text: String,
    input: Range<usize>,
    signature: Vec<u8>,
}

impl Token {
    pub(crate) fn new(text: String) -> anyhow::Result<Token> {
        let (input, signature) = text.rsplit_once('.').context("no JWS")?;
        Ok(Token { input: 0..input.len(), signature: B64.decode(signature)?, text })
    }

    pub(crate) fn verify_sig(&self, key: &ParsedPublicKey) -> anyhow::Result<()> {
        let input = self.text.get(self.input.clone()).context("no JWS")?;
        Ok(key.verify_sig(input.as_bytes(), &self.signature)?)
    }

    pub(crate) fn claims(&self) -> anyhow::Result<Value> {
        let payload = self.text.split('.').nth(1).context("no JWS")?;
        Ok(serde_json::from_slice(&B64.decode(payload)?)?)
    }
}

/// Tokens that differ in id and in key, signed on two threads.
pub(crate) fn tokens(
    signer: &TokenSigner,
    evidence: &Evidence,
    workloads: &[UnwrapKey],
    count: usize,
    now: SystemTime,
) -> anyhow::Result<Vec<Token>> {
    let claims =
        workloads.iter().map(|workload| token_claims(evidence, workload)).collect::<anyhow::Result<Vec<_>>>()?;
    let result = |claims| AttestationResult::assertion(signer.issuer().clone(), claims, Provenance::Real, now);
    let results: Vec<_> = claims.into_iter().map(result).collect();
    let token = |(_, result)| Token::new(signer.sign(result, random())?.into_string());
    let half = |parity| (0..count).zip(results.iter().cycle()).filter(move |(index, _)| index % 2 == parity);
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1).map(token).collect::<anyhow::Result<Vec<_>>>());
        (half(0).map(token).collect::<anyhow::Result<Vec<_>>>(), odd.join())
    });
    // The order does not matter to anyone who asks for distinct tokens; the first is for the first workload.
    Ok([even?, odd.map_err(|_| anyhow::anyhow!("a thread died"))??].into_iter().flatten().collect())
}

/// What a confidential VM's token says: report, VM configuration, two keys of the TEE, and a key release client's payload.
fn token_claims(evidence: &Evidence, workload: &UnwrapKey) -> anyhow::Result<strict::Object> {
    let report = Report::parse(&evidence.report)?;
    let mut claims = skerry_verifier::claims::of_snp(&report, Generation::Milan);
    let (n, e) = workload.public_components();
    let key = |kid, op| json!({"kid": kid, "kty": "RSA", "e": B64.encode(e), "n": B64.encode(n), "key_ops": [op]});
    let platform = json!({
        "keys": [key("HCLAkPub", "sign"), key("HCLEkPub", "decrypt")],
        "user-data": "00".repeat(64),
        "vm-configuration": vm_configuration(),
    });
    let runtime = json!({
        "client-payload": {"nonce": B64.encode([7; 32]), "claims": B64.encode([9; 768])},
        "keys": [key("TpmSigningKey", "sign"), key("TpmEphemeralEncryptionKey", "encrypt")],
        "user-data": "a5".repeat(64),
        "vm-configuration": vm_configuration(),
    });
    claims.insert(names::COMPLIANCE_STATUS, "azure-compliant-cvm");
    claims.insert(names::POLICY_HASH, B64.encode([3; 32]));
    claims.insert("x-ms-isolation-tee", object(&json!({"x-ms-runtime": platform}))?);
    claims.insert(names::RUNTIME, object(&runtime)?);
    Ok(claims)
}

fn vm_configuration() -> Value {
    json!({
        "console-enabled": true, "current-time": 1_763_000_000_u64, "secure-boot": true, "tpm-enabled": true,
        "tpm-persisted": true, "root-cert-thumbprint": B64.encode([5; 32]),
        "vmUniqueId": "5c0d7b62-8f1e-4d0b-9a59-6c1f6f3c8f0e",
    })
}

/// A managed identity's access token, as Entra makes them.
pub(crate) fn bearer(key: &SigningKey, now: SystemTime) -> anyhow::Result<Token> {
    let now = unix_secs(now);
    let id = CALLER;
    let resource =
        format!("/subscriptions/{id}/resourcegroups/confidential/providers/Microsoft.Compute/virtualMachines/tee-7");
    let claims = json!({
        "aud": AUDIENCE, "iss": TENANT, "iat": now, "nbf": now, "exp": now + 86_400, "aio": B64.encode([1; 48]),
        "appid": id, "appidacr": "2", "groups": [id, id, id], "idp": TENANT, "idtyp": "app", "oid": id,
        "rh": B64.encode([2; 48]), "sub": id, "tid": id, "uti": B64.encode([3; 16]), "ver": "1.0", "xms_ftd": B64.encode([4; 48]),
        "xms_idrel": "7 20", "xms_mirid": resource, "xms_az_rid": resource, "xms_rd": B64.encode([5; 64]),
    });
    let header = json!({"typ": "JWT", "alg": "RS256", "x5t": B64.encode([6; 20]), "kid": "principals"});
    Token::new(ProtectedHeader::new(&header.to_string()).sign(claims.to_string().as_bytes(), key)?)
}
