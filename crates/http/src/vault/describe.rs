//! What the vault's routes take and answer, for the OpenAPI document. Each operation has to be described: a new one does not
//! compile until it is.

use skerry_jose::json::Object;
use skerry_keys::{EncryptAlgorithm, SignAlgorithm, WrapAlgorithm};
use skerry_keywrap::Algorithm;
use skerry_vault::command::KeyOp;
use skerry_vault::limits::{NAME_CHARS_MAX, NONCE_BYTES_MAX, PAGE_ROWS_MAX};
use skerry_vault::wire::MIN_IAT;

use crate::openapi::{
    Described, Row, Schema, array, flag, integer, object, octets, one_of, or_null, parameter, reference, required,
    text, texts_by_name,
};
use crate::vault::route::{self, Operation};
use crate::vault::wire::PROOF;
use crate::vault::{api_version, refusal, wire};

/// Every operation at every path.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (path, operations) in route::all() {
        for (method, operation) in operations {
            let versioned = path.contains("{key-version}");
            rows.push((path.clone(), method.as_str().to_ascii_lowercase(), described(*operation, versioned)));
        }
    }
    rows
}

fn described(operation: Operation, versioned: bool) -> Described {
    let (summary, body, answer) = words(operation);
    let id = format!("{operation:?}");
    let success = match operation {
        Operation::Purge => Some((204, None)),
        _ => Some((200, answer)),
    };
    let list = matches!(operation, Operation::List | Operation::ListVersions | Operation::ListDeleted);
    Described {
        id: if versioned { format!("{id}Version") } else { id },
        summary,
        body,
        success,
        parameters: if list { &["api-version", "maxresults", "skiptoken"] } else { &["api-version"] },
        error: "VaultError",
        authorized: true,
    }
}

/// What it does, takes and answers.
fn words(operation: Operation) -> (&'static str, Option<&'static str>, Option<&'static str>) {
    let (key, deleted) = (Some("KeyBundle"), Some("DeletedKeyBundle"));
    let (cipher, result) = (Some("KeyOperation"), Some("KeyOperationResult"));
    match operation {
        Operation::Create => ("Make a key, or a new version of one", Some("KeyCreate"), key),
        Operation::Import => ("Bring in a key", Some("KeyImport"), key),
        Operation::Get => ("Show a key", None, key),
        Operation::Update => ("Change what can be changed of a key", Some("KeyUpdate"), key),
        Operation::Delete => ("Delete a key, which can be recovered", None, deleted),
        Operation::List => ("List keys", None, Some("KeyList")),
        Operation::ListVersions => ("List versions of a key", None, Some("KeyList")),
        Operation::GetDeleted => ("Show a deleted key", None, deleted),
        Operation::ListDeleted => ("List deleted keys", None, Some("DeletedKeyList")),
        Operation::Recover => ("Recover a deleted key", None, key),
        Operation::Purge => ("Remove a deleted key for good", None, None),
        Operation::Encrypt => ("Encrypt", cipher, result),
        Operation::Decrypt => ("Decrypt", cipher, result),
        Operation::WrapKey => ("Wrap a key", Some("KeyWrap"), result),
        Operation::UnwrapKey => ("Unwrap a key", Some("KeyWrap"), result),
        Operation::Sign => ("Sign a digest", Some("KeySign"), result),
        Operation::Verify => ("Verify a signature", Some("KeyVerify"), Some("KeyVerifyResult")),
        Operation::Release => ("Release a key to a TEE", Some("KeyRelease"), Some("KeyReleaseResult")),
        Operation::Rotate => ("Make a new version like the newest", None, key),
        Operation::GetRotationPolicy => ("Show the rotation policy", None, Some("KeyRotationPolicy")),
        Operation::SetRotationPolicy => {
            ("Set the rotation policy", Some("RotationPolicyInput"), Some("KeyRotationPolicy"))
        }
        Operation::Backup => ("Back a key up", None, Some("Octets")),
        Operation::Restore => ("Restore a key from a backup", Some("Octets"), key),
        Operation::Random => ("Random octets, of a Managed HSM", Some("RandomRequest"), Some("Octets")),
        Operation::GetFloor => ("Show what the vault demands of every release", None, Some("Floor")),
        Operation::SetFloor => ("Set what the vault demands of every release", Some("FloorChanges"), Some("Floor")),
        Operation::SecureWrapKey => {
            ("Make a key that only TEEs see, wrapped; of a Managed HSM", Some("KeySecureWrap"), Some("KeySecureResult"))
        }
        Operation::SecureUnwrapKey => {
            ("Unwrap such a key to a TEE; of a Managed HSM", Some("KeySecureUnwrap"), Some("KeySecureResult"))
        }
        Operation::Attestation => ("Show a key with signed statements about it", None, key),
    }
}

/// Parameters by their names among the components.
pub(crate) fn parameters() -> Vec<(&'static str, Object)> {
    let name = text().like("^[0-9a-zA-Z-]+$").within(1, NAME_CHARS_MAX, "Length");
    vec![
        ("api-version", parameter("api-version", "query", true, one_of(api_version::KNOWN))),
        ("key-name", parameter("key-name", "path", true, name)),
        ("key-version", parameter("key-version", "path", true, text().like("^[0-9a-fA-F]{32}$"))),
        ("maxresults", parameter("maxresults", "query", false, integer().within(1, PAGE_ROWS_MAX, "imum"))),
        ("skiptoken", parameter("$skiptoken", "query", false, text())),
    ]
}

/// Every schema of the vault's bodies.
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    let mut all = of_requests();
    all.extend(of_answers());
    all
}

fn of_requests() -> Vec<(&'static str, Schema)> {
    let types = || one_of(wire::TYPES.iter().map(|(name, ..)| *name));
    let curves = || one_of(wire::CURVES.iter().map(|(name, _)| *name));
    let ops = || array(one_of(KeyOp::ALL.map(KeyOp::as_str)));
    let attributes = || {
        object([
            ("enabled", flag()),
            ("nbf", integer().of("seconds since the epoch")),
            ("exp", integer().of("seconds since the epoch")),
            ("exportable", flag()),
        ])
    };
    let policy = || {
        let policy = object([
            ("contentType", text()),
            ("data", octets().of("the policy, UTF-8 JSON")),
            ("immutable", flag().of("fixed for good")),
        ]);
        required(policy, &["data"])
    };
    let private = wire::PRIVATE.iter().map(|name| (*name, octets()));
    let wrapped = ("key_hsm", octets().of("a key transfer blob, in place of the private members"));
    let jwk = [("kty", types()), ("crv", curves()), ("key_ops", ops())].into_iter().chain(private).chain([wrapped]);
    let update = object([
        ("key_ops", ops()),
        ("attributes", with_min_iat(attributes())),
        ("tags", texts_by_name()),
        ("release_policy", policy()),
    ]);
    let create = object([
        ("kty", types()),
        ("key_size", integer()),
        ("public_exponent", integer()),
        ("crv", curves()),
        ("alg", text().of("of AKP keys: the parameter set")),
        ("key_ops", ops()),
        ("attributes", attributes()),
        ("tags", texts_by_name()),
        ("release_policy", policy()),
    ]);
    let import = object([
        ("Hsm", flag()),
        ("key", required(object(jwk), &["kty"])),
        ("attributes", attributes()),
        ("tags", texts_by_name()),
        ("release_policy", policy()),
    ]);
    let cipher = |algorithms: Schema| {
        let members =
            [("alg", algorithms), ("value", octets()), ("iv", octets()), ("aad", octets()), ("tag", octets())];
        required(object(members), &["alg", "value"])
    };
    let sign_algorithms = || one_of(SignAlgorithm::ALL.map(SignAlgorithm::as_str));
    let ml_dsa = || {
        [
            ("context", octets().of("of ML-DSA keys: up to 255 octets that the signature is bound to")),
            ("external_mu", octets().of("of ML-DSA keys: 64 octets in place of alg, the text and context")),
        ]
    };
    let sign = [("alg", sign_algorithms()), ("value", octets().of("the digest; of ML-DSA keys the text"))];
    let verify = [
        ("alg", sign_algorithms()),
        ("digest", octets().of("of ML-DSA keys the text")),
        ("value", octets().of("the signature")),
    ];
    let secure = || one_of(WrapAlgorithm::ALL.into_iter().filter(|one| one.is_secure()).map(WrapAlgorithm::as_str));
    let unwrap = object([
        ("alg", secure()),
        ("value", octets()),
        ("target", text().within(1, usize::MAX, "Length").of("the attestation token")),
        ("applicationTrustedIssuer", text().of("has to be the token's issuer")),
        (PROOF, one_of(["inclusion"])),
    ]);
    let release = object([
        ("target", text().of("the attestation token, which is not empty")),
        ("nonce", text().within(0, NONCE_BYTES_MAX, "Length").of("echoed in the answer")),
        ("enc", one_of(Algorithm::ALL.map(Algorithm::as_str))),
        (PROOF, one_of(["inclusion"])),
    ]);
    vec![
        ("KeyCreate", required(create, &["kty"])),
        ("KeyImport", required(import, &["key"])),
        ("KeyUpdate", update),
        ("KeyOperation", cipher(one_of(EncryptAlgorithm::ALL.map(EncryptAlgorithm::as_str)))),
        ("KeyWrap", cipher(one_of(WrapAlgorithm::ALL.map(WrapAlgorithm::as_str)))),
        ("KeySign", object(sign.into_iter().chain(ml_dsa()))),
        ("KeyVerify", required(object(verify.into_iter().chain(ml_dsa())), &["value"])),
        ("KeySecureWrap", required(object([("alg", secure())]), &["alg"])),
        ("KeySecureUnwrap", required(unwrap, &["alg", "value", "target"])),
        ("KeyRelease", required(release, &["target"])),
        (
            "RotationPolicyInput",
            object([("lifetimeActions", lifetime_actions()), ("attributes", object([("expiryTime", text())]))]),
        ),
        ("FloorChanges", object([("min_iat", integer().of("only ever raised"))].into_iter().chain(demands()))),
        (
            "RandomRequest",
            required(object([("count", integer().within(1, wire::RANDOM_BYTES_MAX, "imum"))]), &["count"]),
        ),
    ]
}

/// What the vault demands of every release, as requests and answers have it.
fn demands() -> [(&'static str, Schema); 2] {
    let policy = required(object([("data", octets().of("a release policy, UTF-8 JSON"))]), &["data"]);
    [
        ("token_age_max_secs", or_null(integer().of("the oldest attestation token that is good"))),
        ("policy", or_null(policy)),
    ]
}

fn with_min_iat(attributes: Schema) -> Schema {
    let mut attributes = attributes.into_object();
    if let Some(properties) = attributes.get_mut("properties").and_then(|properties| properties.as_object_mut()) {
        properties
            .insert(MIN_IAT, integer().of("the earliest attestation token that is good for the key").into_object());
    }
    Schema::from(attributes)
}

fn lifetime_actions() -> Schema {
    let trigger = object([("timeAfterCreate", text().of("ISO 8601")), ("timeBeforeExpiry", text().of("ISO 8601"))]);
    let action = object([("trigger", trigger), ("action", object([("type", text().of("Rotate or Notify"))]))]);
    array(required(action, &["trigger", "action"]))
}

fn of_answers() -> Vec<(&'static str, Schema)> {
    let jwk = object([
        ("kid", text()),
        ("kty", one_of(wire::TYPES.iter().map(|(name, ..)| *name))),
        ("key_ops", array(one_of(KeyOp::ALL.map(KeyOp::as_str)))),
        ("n", octets()),
        ("e", octets()),
        ("crv", one_of(wire::CURVES.iter().map(|(name, _)| *name))),
        ("x", octets()),
        ("y", octets()),
        ("alg", text()),
        ("pub", octets()),
    ]);
    let attestation = object([
        ("certificatePemFile", octets()),
        ("privateKeyAttestation", octets()),
        ("publicKeyAttestation", octets()),
        ("version", text()),
    ]);
    let attributes = object([
        ("enabled", flag()),
        ("nbf", integer()),
        ("exp", integer()),
        ("created", integer()),
        ("updated", integer()),
        ("recoveryLevel", text()),
        ("recoverableDays", integer()),
        ("exportable", flag()),
        ("hsmPlatform", text()),
        (MIN_IAT, integer()),
        ("key_size", integer().of("of symmetric keys")),
        ("attestation", attestation),
    ]);
    let policy = object([("contentType", text()), ("data", octets()), ("immutable", flag())]);
    let deletion = || [("recoveryId", text()), ("deletedDate", integer()), ("scheduledPurgeDate", integer())];
    let bundle = || {
        [
            ("key", reference("JsonWebKey")),
            ("attributes", reference("KeyAttributes")),
            ("tags", texts_by_name()),
            ("release_policy", reference("KeyReleasePolicy")),
        ]
    };
    let item = || [("kid", text()), ("attributes", reference("KeyAttributes")), ("tags", texts_by_name())];
    let page = |item: &str| {
        let members = [("value", array(reference(item))), ("nextLink", or_null(text()))];
        required(object(members), &["value", "nextLink"])
    };
    let result = [("kid", text()), ("value", octets()), ("iv", octets()), ("tag", octets()), ("aad", octets())];
    let rotation = object([("expiryTime", text()), ("created", integer()), ("updated", integer())]);
    let rotation = [("id", text()), ("lifetimeActions", lifetime_actions()), ("attributes", rotation)];
    vec![
        ("JsonWebKey", required(jwk, &["kid", "kty", "key_ops"])),
        (
            "KeyAttributes",
            required(attributes, &["enabled", "created", "updated", "recoveryLevel", "recoverableDays", "hsmPlatform"]),
        ),
        ("KeyReleasePolicy", required(policy, &["contentType", "data"])),
        ("KeyBundle", required(object(bundle()), &["key", "attributes"])),
        (
            "DeletedKeyBundle",
            required(
                object(deletion().into_iter().chain(bundle())),
                &["recoveryId", "deletedDate", "scheduledPurgeDate", "key", "attributes"],
            ),
        ),
        ("KeyItem", required(object(item()), &["kid", "attributes"])),
        (
            "DeletedKeyItem",
            required(
                object(deletion().into_iter().chain(item())),
                &["recoveryId", "deletedDate", "scheduledPurgeDate", "kid", "attributes"],
            ),
        ),
        ("KeyList", page("KeyItem")),
        ("DeletedKeyList", page("DeletedKeyItem")),
        ("KeyOperationResult", required(object(result), &["kid", "value"])),
        (
            "KeySecureResult",
            required(
                object([
                    ("kid", text()),
                    ("alg", text()),
                    ("value", octets()),
                    (PROOF, text().of("of an unwrapping, that it is in the audit log, if that was asked for")),
                ]),
                &["kid", "alg", "value"],
            ),
        ),
        ("KeyVerifyResult", required(object([("value", flag())]), &["value"])),
        (
            "KeyReleaseResult",
            required(
                object([
                    ("value", text().of("a JWS in compact form")),
                    (PROOF, text().of("that it is in the audit log (C2SP tlog-proof), if that was asked for")),
                ]),
                &["value"],
            ),
        ),
        ("KeyRotationPolicy", required(object(rotation), &["id", "lifetimeActions", "attributes"])),
        ("Octets", required(object([("value", octets())]), &["value"])),
        ("Floor", floor()),
        ("VaultError", error()),
    ]
}

fn floor() -> Schema {
    let configured = object([("simulated", flag()), ("token_age_max_secs", integer())]);
    let own = [("generation", integer()), ("min_iat", integer()), ("updated", integer()), ("configured", configured)];
    required(object(own.into_iter().chain(demands())), &["generation", "min_iat", "configured"])
}

fn error() -> Schema {
    let inner = required(object([("code", one_of(refusal::INNER_CODES))]), &["code"]);
    let error = object([("code", one_of(refusal::CODES)), ("message", text()), ("innererror", inner)]);
    required(object([("error", required(error, &["code", "message"]))]), &["error"])
}
