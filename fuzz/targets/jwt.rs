//! Tokens: none is believed that the authority did not sign, and of those it signed only what has its times.
//!
//! Without NUL an input is a token. With one it is header, payload and signature before they are encoded, and the payload is
//! also signed with the authority's key, so that what lies behind the signature is reached.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_attestation_result::limits::{LIFETIME_MAX_SECS, SKEW_SECS, TokenLimits};
use skerry_attestation_result::{Authority, ClaimedToken, IssuerUrl};
use skerry_fuzz::{now, parts};
use skerry_jose::{Algorithm, JwkSet, ProtectedHeader, SigningKey, Unverified, b64};

struct Issuer {
    key: SigningKey,
    authority: Authority,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    let keys = JwkSet::of(vec![key.verifying_key("k").expect("its public half")]);
    let issuer = IssuerUrl::parse("https://attest.example").expect("an issuer");
    Issuer { key, authority: Authority::with_keys(issuer, keys) }
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

fn stranger(token: &str) {
    let limits = TokenLimits::default();
    let unverified = Unverified::parse(token, &limits.jws);
    let claimed = ClaimedToken::parse(token, &limits);
    if let Ok(unverified) = &unverified {
        let header = unverified.header();
        assert_eq!(Algorithm::parse(header.algorithm().name()), Some(header.algorithm()));
        assert_eq!(header.members().get("alg").and_then(|alg| alg.as_str()), Some(header.algorithm().name()));
    }
    assert!(unverified.is_ok() || claimed.is_err());
    assert!(ISSUER.authority.verify(token, now()).is_err(), "believed without a signature");
}

fn signed(payload: &[u8]) {
    let header = ProtectedHeader::new(r#"{"alg":"ES256","kid":"k"}"#);
    let token = header.sign(payload, &ISSUER.key).expect("a signature");
    let Ok(result) = ISSUER.authority.verify(&token, now()) else { return };
    let secs = now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let (iat, exp) = (result.issued_at(), result.expires_at());
    assert!(iat < exp && exp - iat <= LIFETIME_MAX_SECS && exp + SKEW_SECS > secs && iat <= secs + SKEW_SECS);
    assert_eq!(result.issuer(), ISSUER.authority.issuer());
    assert_eq!(result.claims().get("iat").and_then(|iat| iat.as_u64()), Some(iat));
    if let Ok(target) = result.target() {
        assert!(!target.thumbprint().is_empty());
    }
}
