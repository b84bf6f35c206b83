//! The payload of a release answer, member for member as recorded from Azure Key Vault and from Managed HSM.
//!
//! The vault's form has its members in Azure's order, `kty` RSA-HSM, `e` as four octets, and no content type in the
//! policy; the Managed HSM's has everything sorted, `kty` without -HSM, and the content type. Both get our receipt, which
//! foreign clients ignore.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use skerry_keys::{Curve, PublicKey, ReleasedKey};

use crate::record::{KeyHead, KeyVersion};
use crate::release::ReleaseCommand;
use crate::signer::VaultKind;

/// The payload of the release JWS.
pub fn release_payload(
    kind: VaultKind,
    command: &ReleaseCommand<'_>,
    head: &KeyHead,
    version: &KeyVersion,
    released: &ReleasedKey,
) -> Object {
    let key = Object::new()
        .with("key", jwk(kind, command.host, head, version, released))
        .with("attributes", attributes(version))
        .with("release_policy", release_policy(kind, head));
    let mut payload = Object::new()
        .with("request", request(command, released))
        .with("response", Object::new().with("key", key))
        .with("x-skerry-receipt", receipt(released));
    if kind == VaultKind::ManagedHsm {
        payload.sort();
    }
    payload
}

/// `https://host/keys/name`.
pub fn key_url(host: &str, head: &KeyHead) -> String {
    format!("https://{host}/keys/{}", head.name)
}

/// The request as addressed: with a version only if one was asked for (recorded).
fn request(command: &ReleaseCommand<'_>, released: &ReleasedKey) -> Object {
    let version = command.version.map(|version| format!("/{version}")).unwrap_or_default();
    let mut request = Object::new()
        .with("api-version", command.api_version)
        .with("enc", released.algorithm().as_str())
        .with("kid", format!("https://{}/keys/{}{version}", command.host, command.name));
    if let Some(nonce) = command.nonce {
        request.insert("nonce", nonce);
    }
    request
}

fn jwk(kind: VaultKind, host: &str, head: &KeyHead, version: &KeyVersion, released: &ReleasedKey) -> Object {
    let key_ops: Vec<&str> = version.key_ops.iter().map(String::as_str).collect();
    let mut jwk = Object::new()
        .with("kid", format!("{}/{}", key_url(host, head), version.version))
        .with("kty", kty(kind, &version.public))
        .with("key_ops", key_ops);
    match &version.public {
        PublicKey::Rsa { n, e } => {
            jwk.insert("n", b64::encode(n));
            jwk.insert("e", exponent(kind, e));
        }
        PublicKey::Ec { curve, x, y } => {
            jwk.insert("crv", crv(*curve));
            jwk.insert("x", b64::encode(x));
            jwk.insert("y", b64::encode(y));
        }
        PublicKey::Oct => {}
    }
    jwk.with("key_hsm", b64::encode(key_hsm(released).to_json()))
}

/// The envelope of the wrapped key, the same as BYOK's (key-vault spec 3.2).
fn key_hsm(released: &ReleasedKey) -> Object {
    let header =
        Object::new().with("kid", released.target_kid()).with("alg", "dir").with("enc", released.algorithm().as_str());
    Object::new()
        .with("schema_version", "1.0")
        .with("header", header)
        .with("ciphertext", b64::encode(released.ciphertext()))
}

fn attributes(version: &KeyVersion) -> Object {
    Object::new()
        .with("enabled", version.enabled)
        .with("created", version.created)
        .with("updated", version.updated)
        .with("recoveryLevel", "Recoverable+Purgeable")
        .with("recoverableDays", RETENTION_DAYS)
        .with("exportable", true)
}

fn release_policy(kind: VaultKind, head: &KeyHead) -> Object {
    let Some(policy) = &head.policy else { return Object::new() };
    let mut release_policy = match kind {
        VaultKind::Vault => Object::new().with("data", b64::encode(policy.canonical())),
        VaultKind::ManagedHsm => Object::new()
            .with("contentType", "application/json; charset=utf-8")
            .with("data", b64::encode(policy.canonical_hsm())),
    };
    if head.immutable {
        release_policy.insert("immutable", true);
    }
    release_policy
}

/// What our own client insists on (DESIGN: the release JWS carries a receipt).
fn receipt(released: &ReleasedKey) -> Object {
    let permit = released.permit();
    let leaf = released.leaf();
    Object::new()
        .with("token_digest", b64::encode(permit.token_digest()))
        .with("policy_digest", b64::encode(permit.policy_digest()))
        .with("policy_generation", permit.generation())
        .with("target_thumbprint", permit.target().thumbprint())
        .with("audit_index", leaf.index())
        .with("audit_leaf", b64::encode(leaf.hash()))
}

fn kty(kind: VaultKind, key: &PublicKey) -> Value {
    let (vault, managed_hsm) = match key {
        PublicKey::Rsa { .. } => ("RSA-HSM", "RSA"),
        PublicKey::Ec { .. } => ("EC-HSM", "EC"),
        PublicKey::Oct => ("oct-HSM", "oct"),
    };
    match kind {
        VaultKind::Vault => vault.into(),
        VaultKind::ManagedHsm => managed_hsm.into(),
    }
}

/// Azure Key Vault writes the exponent of RSA-HSM keys as four octets, `AAEAAQ` (recorded 2019 and 2021).
fn exponent(kind: VaultKind, e: &[u8]) -> String {
    match kind {
        VaultKind::Vault => b64::encode([vec![0; 4_usize.saturating_sub(e.len())].as_slice(), e].concat()),
        VaultKind::ManagedHsm => b64::encode(e),
    }
}

fn crv(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::P256K => "P-256K",
    }
}

/// Days a deleted key can be recovered; configurable when vaults are stored.
const RETENTION_DAYS: u64 = 90;
