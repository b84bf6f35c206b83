//! Release answers: none is believed that the vault did not sign, and of those it signed only what answers the question.
//!
//! Without NUL an input is an answer. With one it is header, payload and signature before they are encoded, and the payload is
//! also signed under the root that the client trusts.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_fuzz::{now, parts};
use skerry_jose::json::Object;
use skerry_jose::{Algorithm, ProtectedHeader, SigningKey, b64};
use skerry_keywrap::Algorithm as WrapAlgorithm;
use skerry_vault::ca::Ca;

const ASKED: Asked<'static> = Asked {
    host: "vault.example",
    kid: "https://vault.example/keys/payments",
    nonce: Some("n"),
    algorithm: WrapAlgorithm::RsaAesKeyWrap256,
    token: "token",
    target_kid: "tee",
};
/// SHA-256 of `token`, as the seeds have it in their receipt.
const TOKEN_DIGEST: &str = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";

struct Vault {
    key: SigningKey,
    header: ProtectedHeader,
    roots: Roots,
}

static VAULT: LazyLock<Vault> = LazyLock::new(|| {
    let ca = Ca::generate("Fuzz", now()).expect("a root");
    let key = SigningKey::generate(Algorithm::Rs256).expect("a key");
    let chain = ca.issue(&key, &[ASKED.host], now()).expect("a chain");
    let chain: Vec<String> = chain.iter().map(b64::encode_standard).collect();
    let header = Object::new().with("alg", "RS256").with("x5c", chain);
    Vault { key, header: ProtectedHeader::new(&header.to_json()), roots: Roots::new(ca.root_der()).expect("a root") }
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        stranger(text);
    }
    if data.contains(&0) {
        let [header, payload, signature] = parts(data);
        stranger(&[header, payload, signature].map(b64::encode).join("."));
        signed(payload);
    }
});

fn stranger(answer: &str) {
    assert!(VerifiedRelease::verify(answer, &ASKED, &VAULT.roots, now()).is_err(), "believed without a signature");
}

fn signed(payload: &[u8]) {
    let answer = VAULT.header.sign(payload, &VAULT.key).expect("a signature");
    let Ok(release) = VerifiedRelease::verify(&answer, &ASKED, &VAULT.roots, now()) else { return };
    assert_eq!(hex::encode(release.receipt().token_digest), TOKEN_DIGEST);
    // Names of hosts and keys do not differ by case.
    let kid = release.kid().to_ascii_lowercase();
    assert!(kid == ASKED.kid || kid.starts_with("https://vault.example/keys/payments/"), "released another key: {kid}");
    let _ = (release.kty(), release.key_ops());
}
