//! What a vault says of keys, member for member as recorded from Azure Key Vault and from Managed HSM.
//!
//! A key vault's answers have their members in Azure's order; a Managed HSM's have everything sorted. In the payload of a
//! release the vault's form has `kty` RSA-HSM, `e` as four octets, and no content type in the policy; the Managed HSM's has
//! `kty` without -HSM, and the content type. Both get our receipt, which foreign clients ignore. Members without a value
//! are absent.

use skerry_jose::b64;
use skerry_jose::json::Object;
use skerry_keys::{Curve, KeyType, Level, OctBits, PublicKey, ReleasedKey};
use skerry_keywrap::Algorithm;
use skerry_policy::permit::VaultFloor;

use crate::decide::Rules;
use crate::entries::sha256;
use crate::floor::FloorSettings;
use crate::record::{Key, KeyHead, KeyVersion, Origin};
use crate::release::ReleaseCommand;
use crate::rotation::{Action, RotationPolicy, Trigger};
use crate::signer::VaultKind;
use crate::vault::KeyAttestation;
use uuid::Uuid;

/// The payload of the release JWS.
pub fn release_payload(rules: &Rules, host: &str, request: Object, key: &Key, released: &ReleasedKey) -> Object {
    let inner = Object::new()
        .with("key", released_jwk(rules.kind, host, key, released))
        .with("attributes", attributes(rules, key))
        .with("release_policy", release_policy(rules.kind, &key.head, false));
    let mut payload = Object::new()
        .with("request", request)
        .with("response", Object::new().with("key", inner))
        .with("x-skerry-receipt", receipt(released));
    sort_if_managed_hsm(rules.kind, &mut payload);
    payload
}

/// A key with its public half, as most operations answer: `{key, attributes, tags, release_policy}`.
pub fn key_bundle(rules: &Rules, host: &str, key: &Key) -> Object {
    let mut bundle = Object::new();
    fill_bundle(&mut bundle, rules, host, key);
    sort_if_managed_hsm(rules.kind, &mut bundle);
    bundle
}

/// A key with what is stated of it: the bundle, with `attributes.attestation`.
pub fn attested_key_bundle(rules: &Rules, host: &str, key: &Key, attestation: &KeyAttestation) -> Object {
    let KeyAttestation { certificates, private, public } = attestation;
    let mut stated = Object::new()
        .with("certificatePemFile", b64::encode(certificates))
        .with("privateKeyAttestation", b64::encode(private));
    if let Some(public) = public {
        stated.insert("publicKeyAttestation", b64::encode(public));
    }
    let mut bundle = Object::new();
    fill_bundle(&mut bundle, rules, host, key);
    bundle.insert(
        "attributes",
        all_attributes(rules, key).with("attestation", stated.with("version", STATEMENT_VERSION)),
    );
    sort_if_managed_hsm(rules.kind, &mut bundle);
    bundle
}

/// What this service states of a key, as far as software can: who holds it and since when. That a token holds it is its word too:
/// no certificate of a token's vendor is behind it.
///
/// `public` is whether it is about the public half, which it then has in it.
pub fn key_statement(rules: &Rules, (host, vault): (&str, Uuid), key: &Key, public: bool, now: u64) -> Object {
    let (head, version) = (&key.head, &key.version);
    let mut statement = Object::new()
        .with("iss", format!("https://{host}"))
        .with("iat", now)
        .with("half", if public { "public" } else { "private" })
        .with("kid", version_url(host, key))
        .with("vault", vault.to_string())
        .with("key_id", head.id.to_string())
        .with("key_version", version.version.to_string())
        .with("kty", family(&version.public))
        .with("created", version.created)
        .with("origin", origin(version.origin))
        .with("custody", rules.hsm.level().as_str())
        .with("exportable", head.exportable)
        .with("policy_immutable", head.immutable);
    if let Some(policy) = &head.policy {
        statement.insert("policy_digest", b64::encode(policy.digest().0));
    }
    if let KeyType::Oct { bits } = version.key_type {
        return statement.with("key_size", key_bits(bits));
    }
    let jwk = public_jwk(&version.public);
    statement.insert("jkt", b64::encode(sha256(&[jwk.to_json().as_bytes()])));
    if public { statement.with("jwk", jwk) } else { statement }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Generated => "generated",
        Origin::Imported | Origin::ImportedPadded => "imported",
        Origin::Unknown => "unknown",
    }
}

/// The public half with the members that a thumbprint is over, in its order (RFC 7638, 3.2; RFC 9964, 6), and names of curves
/// as in RFC 7518 and RFC 8812.
fn public_jwk(public: &PublicKey) -> Object {
    match public {
        PublicKey::Rsa { n, e } => Object::new().with("e", b64::encode(e)).with("kty", "RSA").with("n", b64::encode(n)),
        PublicKey::Ec { curve, x, y } => Object::new()
            .with("crv", if *curve == Curve::P256K { "secp256k1" } else { crv(*curve) })
            .with("kty", "EC")
            .with("x", b64::encode(x))
            .with("y", b64::encode(y)),
        PublicKey::Akp { set, key } => {
            Object::new().with("alg", set.as_str()).with("kty", "AKP").with("pub", b64::encode(key))
        }
        PublicKey::Oct => Object::new(),
    }
}

/// What a TEE gets of a secure unwrap: the envelope that a release has its key in.
pub fn unwrapped(released: &ReleasedKey) -> String {
    key_hsm(released).to_json()
}

/// A deleted key: where it is recovered from and until when, then the bundle.
pub fn deleted_key_bundle(rules: &Rules, host: &str, key: &Key) -> Object {
    let mut bundle = deletion(host, &key.head);
    fill_bundle(&mut bundle, rules, host, key);
    sort_if_managed_hsm(rules.kind, &mut bundle);
    bundle
}

/// A row of a list of keys, which names the key without a version.
pub fn key_item(rules: &Rules, host: &str, key: &Key) -> Object {
    item(rules, Object::new(), key_url(host, &key.head), key)
}

/// A row of a list of versions.
pub fn version_item(rules: &Rules, host: &str, key: &Key) -> Object {
    item(rules, Object::new(), version_url(host, key), key)
}

/// A row of a list of deleted keys.
pub fn deleted_key_item(rules: &Rules, host: &str, key: &Key) -> Object {
    item(rules, deletion(host, &key.head), key_url(host, &key.head), key)
}

/// A rotation policy: `{id, lifetimeActions, attributes}`.
pub fn rotation_policy(rules: &Rules, host: &str, head: &KeyHead, policy: &RotationPolicy) -> Object {
    let action = |(action, trigger): &(Action, Trigger)| {
        let (name, period) = match trigger {
            Trigger::AfterCreate(period) => ("timeAfterCreate", period),
            Trigger::BeforeExpiry(period) => ("timeBeforeExpiry", period),
        };
        let kind = match action {
            Action::Rotate => "Rotate",
            Action::Notify => "Notify",
        };
        Object::new()
            .with("trigger", Object::new().with(name, period.as_str()))
            .with("action", Object::new().with("type", kind))
    };
    let mut attributes = Object::new();
    if let Some(lifetime) = &policy.lifetime {
        attributes.insert("expiryTime", lifetime.as_str());
    }
    for (name, time) in [("created", policy.created), ("updated", policy.updated)] {
        if let Some(time) = time {
            attributes.insert(name, time);
        }
    }
    let mut object = Object::new()
        .with("id", format!("{}/rotationpolicy", key_url(host, head)))
        .with("lifetimeActions", policy.actions.iter().map(action).collect::<Vec<_>>())
        .with("attributes", attributes);
    sort_if_managed_hsm(rules.kind, &mut object);
    object
}

/// What a vault demands of every release: what is set, and beside it what configuration says, which nobody here can change.
pub fn floor(floor: &FloorSettings, configured: &VaultFloor) -> Object {
    let mut object = Object::new().with("generation", floor.generation).with("min_iat", floor.min_iat);
    if let Some(secs) = floor.token_age_max_secs {
        object.insert("token_age_max_secs", secs);
    }
    if let Some(policy) = &floor.policy {
        object.insert("policy", Object::new().with("data", b64::encode(policy.canonical())));
    }
    if floor.generation > 0 {
        object.insert("updated", floor.updated);
    }
    let mut own = Object::new().with("simulated", configured.accepts_simulated());
    if let Some(secs) = configured.oldest_token_secs() {
        own.insert("token_age_max_secs", secs);
    }
    object.with("configured", own)
}

/// `https://host/keys/name`.
pub fn key_url(host: &str, head: &KeyHead) -> String {
    format!("https://{host}/keys/{}", head.name)
}

/// `https://host/keys/name/version`: the key's `kid`.
pub fn version_url(host: &str, key: &Key) -> String {
    format!("{}/{}", key_url(host, &key.head), key.version.version)
}

fn fill_bundle(bundle: &mut Object, rules: &Rules, host: &str, key: &Key) {
    bundle.insert("key", jwk(rules.kind, host, key));
    bundle.insert("attributes", all_attributes(rules, key));
    insert_tags(bundle, &key.version);
    if key.head.policy.is_some() {
        bundle.insert("release_policy", release_policy(rules.kind, &key.head, true));
    }
}

fn item(rules: &Rules, mut item: Object, kid: String, key: &Key) -> Object {
    item.insert("kid", kid);
    item.insert("attributes", all_attributes(rules, key));
    insert_tags(&mut item, &key.version);
    sort_if_managed_hsm(rules.kind, &mut item);
    item
}

fn deletion(host: &str, head: &KeyHead) -> Object {
    let object = Object::new().with("recoveryId", format!("https://{host}/deletedkeys/{}", head.name));
    match head.deletion {
        Some(deletion) => object.with("deletedDate", deletion.deleted).with("scheduledPurgeDate", deletion.purge),
        None => object,
    }
}

fn insert_tags(object: &mut Object, version: &KeyVersion) {
    if !version.tags.is_empty() {
        let tags = version.tags.iter().fold(Object::new(), |tags, (name, value)| tags.with(name, value));
        object.insert("tags", tags);
    }
}

fn sort_if_managed_hsm(kind: VaultKind, object: &mut Object) {
    if kind == VaultKind::ManagedHsm {
        object.sort();
    }
}

/// The request as addressed, which its answer repeats: with a version only if one was asked for (recorded).
pub fn release_request(command: &ReleaseCommand<'_>, algorithm: Algorithm) -> Object {
    let version = command.version.map(|version| format!("/{version}")).unwrap_or_default();
    let mut request = Object::new()
        .with("api-version", command.api_version)
        .with("enc", algorithm.as_str())
        .with("kid", format!("https://{}/keys/{}{version}", command.host, command.name));
    if let Some(nonce) = command.nonce {
        request.insert("nonce", nonce);
    }
    request
}

fn jwk(kind: VaultKind, host: &str, key: &Key) -> Object {
    let key_ops: Vec<&str> = key.version.key_ops.iter().map(|op| op.as_str()).collect();
    let family = family(&key.version.public);
    let kty = if key.version.hsm { format!("{family}-HSM") } else { family.to_owned() };
    let mut jwk = Object::new().with("kid", version_url(host, key)).with("kty", kty).with("key_ops", key_ops);
    match &key.version.public {
        PublicKey::Rsa { n, e } => {
            jwk.insert("n", modulus(key.version.origin, n));
            jwk.insert("e", exponent(kind, key.version.hsm, e));
        }
        PublicKey::Ec { curve, x, y } => {
            jwk.insert("crv", crv(*curve));
            jwk.insert("x", b64::encode(x));
            jwk.insert("y", b64::encode(y));
        }
        PublicKey::Oct => {}
        PublicKey::Akp { set, key } => {
            jwk.insert("alg", set.as_str());
            jwk.insert("pub", b64::encode(key));
        }
    }
    jwk
}

/// A Managed HSM's released key has lost its -HSM (recorded).
fn released_jwk(kind: VaultKind, host: &str, key: &Key, released: &ReleasedKey) -> Object {
    let mut jwk = jwk(kind, host, key);
    if kind == VaultKind::ManagedHsm {
        jwk.insert("kty", family(&key.version.public));
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

/// The members that answers but releases have. A symmetric key's size shows here, since nothing else of it does.
fn all_attributes(rules: &Rules, key: &Key) -> Object {
    let attributes = attributes(rules, key).with("hsmPlatform", hsm_platform(rules.hsm.level()));
    let attributes = match rules.hsm.level() {
        // What "0" says already.
        Level::Software => attributes,
        level => attributes.with(CUSTODY, level.as_str()),
    };
    match key.version.key_type {
        KeyType::Oct { bits } => attributes.with("key_size", key_bits(bits)),
        KeyType::Rsa { .. } | KeyType::Ec { .. } | KeyType::Akp { .. } => attributes,
    }
}

/// Azure's names: "0" is software, "1" an HSM of whatever certificate ("2" says FIPS 140-3 level 3, which nobody here knows). A root
/// from a token keeps no key out of this process.
fn hsm_platform(level: Level) -> &'static str {
    match level {
        Level::Software | Level::HsmRoot => "0",
        Level::HsmStrict => "1",
    }
}

fn key_bits(bits: OctBits) -> u64 {
    u64::try_from(bits.bits()).unwrap_or_default()
}

/// The members that a release and every other answer have.
fn attributes(rules: &Rules, key: &Key) -> Object {
    let version = &key.version;
    let mut attributes = Object::new().with("enabled", version.enabled);
    for (name, time) in [("nbf", version.not_before), ("exp", version.expires)] {
        if let Some(time) = time {
            attributes.insert(name, time);
        }
    }
    let mut attributes = attributes
        .with("created", version.created)
        .with("updated", version.updated)
        .with("recoveryLevel", recovery_level(rules))
        .with("recoverableDays", u64::from(rules.retention_days));
    // Recorded: absent on keys that are not.
    if key.head.exportable {
        attributes.insert("exportable", true);
    }
    if key.head.min_iat > 0 {
        attributes.insert(MIN_IAT, key.head.min_iat);
    }
    attributes
}

/// Azure's name for how a deleted key can go for good (key-vault spec 6).
fn recovery_level(rules: &Rules) -> &'static str {
    match (rules.retention_days < FULL_RETENTION_DAYS, rules.purge_protection) {
        (false, false) => "Recoverable+Purgeable",
        (false, true) => "Recoverable",
        (true, false) => "CustomizedRecoverable+Purgeable",
        (true, true) => "CustomizedRecoverable",
    }
}

/// A key's answers always have the content type, a vault's releases do not (recorded).
fn release_policy(kind: VaultKind, head: &KeyHead, of_key: bool) -> Object {
    let Some(policy) = &head.policy else { return Object::new() };
    let data = match kind {
        VaultKind::Standard | VaultKind::Premium => policy.canonical(),
        VaultKind::ManagedHsm => policy.canonical_hsm(),
    };
    let mut release_policy = Object::new();
    if of_key || kind == VaultKind::ManagedHsm {
        release_policy.insert("contentType", "application/json; charset=utf-8");
    }
    release_policy.insert("data", b64::encode(data));
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

fn family(key: &PublicKey) -> &'static str {
    match key {
        PublicKey::Rsa { .. } => "RSA",
        PublicKey::Ec { .. } => "EC",
        PublicKey::Oct => "oct",
        PublicKey::Akp { .. } => "AKP",
    }
}

/// As it came, which is with a leading zero octet from clients that print integers as ASN.1 does (recorded).
fn modulus(origin: Origin, n: &[u8]) -> String {
    match origin {
        Origin::ImportedPadded => b64::encode([&[0], n].concat()),
        Origin::Generated | Origin::Imported | Origin::Unknown => b64::encode(n),
    }
}

/// Azure Key Vault writes the exponent of RSA-HSM keys as four octets, `AAEAAQ` (recorded 2019 and 2021).
fn exponent(kind: VaultKind, hsm: bool, e: &[u8]) -> String {
    match (kind, hsm) {
        (VaultKind::Premium, true) => b64::encode([vec![0; 4_usize.saturating_sub(e.len())].as_slice(), e].concat()),
        _ => b64::encode(e),
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

/// Our own attribute: the earliest attestation token that is good for the key, in seconds since the epoch.
pub const MIN_IAT: &str = "x-skerry-min-iat";
/// Of our statements about keys.
const STATEMENT_VERSION: &str = "skerry-1";
/// Our own attribute: where the key is held, if not in this process under a root key of its own.
pub const CUSTODY: &str = "x-skerry-custody";
/// Fewer days than these are "customized".
const FULL_RETENTION_DAYS: u32 = 90;
