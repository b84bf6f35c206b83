//! One simulated root for the whole binary, one TEE on it, and a fixed now.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use skerry_attestation_result::{AttestationToken, IssuerUrl, TokenSigner};
use skerry_evidence::snp::Generation;
use skerry_evidence::uvm::TrustList;
use skerry_jose::json::{self, Object};
use skerry_jose::{Algorithm, SigningKey, b64, limits};
use skerry_simulator::{Chip, ChipConfig, Root, TeeConfig, UVM_FEED, UvmSigner};
use skerry_verifier::wire::{Data, SnpRequest};
use skerry_verifier::{AttestError, Verifier, VerifierConfig};

pub(crate) const ISSUER: &str = "https://attest.example";
pub(crate) const RUNTIME: &[u8] = br#"{"keys":[],"b":{"z":1,"a":2}}"#;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

pub(crate) fn root() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| Root::generate(Generation::Milan, now(), &mut rng()).unwrap())
}

pub(crate) fn other_root() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| Root::generate(Generation::Milan, now(), &mut rng()).unwrap())
}

pub(crate) fn uvm() -> &'static UvmSigner {
    static SIGNER: OnceLock<UvmSigner> = OnceLock::new();
    SIGNER.get_or_init(|| UvmSigner::generate(now(), &mut rng()).unwrap())
}

pub(crate) fn chip(root: &Root) -> Chip {
    root.chip(ChipConfig::numbered(Generation::Milan, 1), now()).unwrap()
}

/// What a TEE of this configuration sends to be attested with `RUNTIME`.
pub(crate) fn request(config: TeeConfig) -> SnpRequest {
    request_of(&chip(root()), config)
}

pub(crate) fn request_of(chip: &Chip, config: TeeConfig) -> SnpRequest {
    let evidence = chip.boot(config, &mut rng()).attest(RUNTIME).unwrap();
    SnpRequest {
        report: evidence.report.to_vec(),
        chain_pem: evidence.vek_chain_pem.into_bytes(),
        uvm: Vec::new(),
        runtime_data: Some(Data::json(RUNTIME).unwrap()),
        init_data: None,
        nonce: None,
    }
}

pub(crate) fn config() -> VerifierConfig {
    let root = (Generation::Milan, root().ark_spki_sha256().unwrap());
    VerifierConfig::simulated(&[root], TrustList::none().with_simulated(&uvm().did(), UVM_FEED, 10))
}

pub(crate) fn verifier(config: VerifierConfig) -> Verifier {
    Verifier::new(config, signer(ISSUER))
}

pub(crate) fn signer(issuer: &str) -> TokenSigner {
    TokenSigner::new(IssuerUrl::parse(issuer).unwrap(), SigningKey::generate(Algorithm::Rs256).unwrap())
}

pub(crate) fn attest(config: VerifierConfig, request: &SnpRequest) -> Result<Object, AttestError> {
    verifier(config).attest(request, now(), &mut rng()).map(|token| claims(&token))
}

pub(crate) fn claims(token: &AttestationToken) -> Object {
    json::parse(payload(token).as_bytes(), &limits::JSON).unwrap().into_object().unwrap()
}

pub(crate) fn payload(token: &AttestationToken) -> String {
    String::from_utf8(b64::decode(token.as_str().split('.').nth(1).unwrap()).unwrap()).unwrap()
}
