//! Vectors from disk, simulated roots made once per run, and DER surgery for certificates that no tool would make.

use std::{
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PSS_SHA384, RsaEncoding, RsaKeyPair},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde_json::Value;
use skerry_evidence::{
    anchors::Anchors,
    limits::Limits,
    snp::{
        self, ChainError, CrlPolicy, EndorsementError, Endorsements, Options, Report, ReportError, VerifiedReport,
        VerifiedVek,
    },
    x509::Budget,
};
use skerry_simulator::{Chip, ChipConfig, Generation, Root, TeeConfig, VlekConfig};

/// A moment at which simulated things are made: 2026-03-01T00:00:00Z.
pub(crate) const MADE: u64 = 1_772_323_200;
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const OPTIONAL_CRL: Options = Options { crl: CrlPolicy::IfPresent };
pub(crate) const REQUIRED_CRL: Options = Options { crl: CrlPolicy::Required };

pub(crate) fn made() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(MADE)
}

pub(crate) fn soon() -> SystemTime {
    made() + DAY
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

pub(crate) fn budget() -> Budget {
    Budget::from(&Limits::default())
}

/// RSA-4096 generation takes seconds, so each root is made once and shared; tests only read them.
pub(crate) fn milan() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| root(Generation::Milan))
}

/// Another root of the same generation and the same names.
pub(crate) fn other_milan() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| root(Generation::Milan))
}

pub(crate) fn turin() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(|| root(Generation::Turin))
}

fn root(generation: Generation) -> Root {
    Root::generate(generation, made(), &mut rng()).unwrap()
}

pub(crate) fn anchors() -> Anchors {
    Anchors::none().with_simulated(snp::Generation::Milan, milan().ark_spki_sha256().unwrap())
}

pub(crate) fn turin_anchors() -> Anchors {
    Anchors::none().with_simulated(snp::Generation::Turin, turin().ark_spki_sha256().unwrap())
}

pub(crate) fn milan_chip() -> Chip {
    milan().chip(ChipConfig::numbered(Generation::Milan, 1), made()).unwrap()
}

pub(crate) fn milan_vlek() -> Chip {
    milan().vlek(VlekConfig::recent(Generation::Milan), made()).unwrap()
}

pub(crate) fn endorsements(chip: &Chip) -> Endorsements {
    try_endorsements(chip).unwrap()
}

pub(crate) fn try_endorsements(chip: &Chip) -> Result<Endorsements, EndorsementError> {
    Endorsements::from_pem(chip.vek_chain_pem().unwrap().as_bytes(), &Limits::default())
}

pub(crate) fn verify(given: &Endorsements) -> Result<VerifiedVek, ChainError> {
    VerifiedVek::verify(given, &anchors(), &OPTIONAL_CRL, soon(), &mut budget())
}

pub(crate) fn simulated_vek(chip: &Chip) -> VerifiedVek {
    verify(&endorsements(chip)).unwrap()
}

/// What the verifier says of a report of `chip` with this configuration.
pub(crate) fn judge(chip: &Chip, config: TeeConfig) -> Result<VerifiedReport, ReportError> {
    let report = chip.boot(config, &mut rng()).report([0; 64]).unwrap();
    simulated_vek(chip).verify_report(Report::parse(&report).unwrap(), soon())
}

/// One entry of `snp/vectors.json`.
pub(crate) struct Vector {
    pub(crate) json: Value,
}

impl Vector {
    pub(crate) fn id(&self) -> &str {
        self.json["id"].as_str().unwrap()
    }

    pub(crate) fn report(&self) -> Vec<u8> {
        self.file("report").unwrap()
    }

    pub(crate) fn vek(&self) -> Option<Vec<u8>> {
        self.file("vek")
    }

    pub(crate) fn chain(&self) -> Vec<u8> {
        self.file("chain").unwrap()
    }

    pub(crate) fn endorsements(&self) -> Result<Endorsements, EndorsementError> {
        let (vek, chain, limits) = (self.vek().unwrap(), self.chain(), Limits::default());
        if vek.starts_with(b"-----") {
            return Endorsements::from_pem(&[vek, chain].concat(), &limits);
        }
        Endorsements::from_der_and_pem(&vek, &chain, &limits)
    }

    /// The middle of the VEK's validity, as the vectors' README has it.
    pub(crate) fn time(&self) -> SystemTime {
        let bound = |i: usize| instant(self.json["vek_validity"][i].as_str().unwrap());
        let (from, until) = (bound(0), bound(1));
        from + until.duration_since(from).unwrap() / 2
    }

    pub(crate) fn verified_vek(&self) -> Result<VerifiedVek, ChainError> {
        VerifiedVek::verify(&self.endorsements().unwrap(), &Anchors::amd(), &OPTIONAL_CRL, self.time(), &mut budget())
    }

    fn file(&self, field: &str) -> Option<Vec<u8>> {
        let name = self.json[field].as_str()?;
        Some(fs::read(vectors_dir().join("snp").join(name)).unwrap())
    }
}

/// `2026-02-05 01:04:33`, UTC.
fn instant(text: &str) -> SystemTime {
    let numbers: Vec<u16> = text.split(['-', ' ', ':']).map(|n| n.parse().unwrap()).collect();
    let small = |i: usize| u8::try_from(numbers[i]).unwrap();
    let date = der::DateTime::new(numbers[0], small(1), small(2), small(3), small(4), small(5)).unwrap();
    SystemTime::UNIX_EPOCH + date.unix_duration()
}

pub(crate) fn vectors_dir() -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors"));
    std::env::var_os("SKERRY_VECTORS").map_or_else(default, PathBuf::from)
}

/// The SNP vectors; `None`, and a word on stderr, where they are not on this machine.
pub(crate) fn vectors(test: &str) -> Option<Vec<Vector>> {
    let path = vectors_dir().join("snp/vectors.json");
    let Ok(text) = fs::read(&path) else {
        eprintln!("{test}: SKIPPED, no vectors at {}", path.display());
        return None;
    };
    let json: Value = serde_json::from_slice(&text).unwrap();
    Some(json["vectors"].as_array().unwrap().iter().map(|v| Vector { json: v.clone() }).collect())
}

pub(crate) fn vector(test: &str, id: &str) -> Option<Vector> {
    vectors(test)?.into_iter().find(|v| v.id() == id)
}

/// The encoded elements of a constructed DER value.
pub(crate) fn elements(der: &[u8]) -> Vec<Vec<u8>> {
    let (_, mut content, rest) = tlv(der);
    assert!(rest.is_empty());
    let mut out = Vec::new();
    while !content.is_empty() {
        let rest = tlv(content).2;
        out.push(content[..content.len() - rest.len()].to_vec());
        content = rest;
    }
    out
}

/// Tag, content and what follows.
fn tlv(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (head, len) = match usize::from(der[1]) {
        short @ 0..0x80 => (2, short),
        long => {
            let octets = long & 0x7f;
            (2 + octets, der[2..2 + octets].iter().fold(0, |len, b| len << 8 | usize::from(*b)))
        }
    };
    (der[0], &der[head..head + len], &der[head + len..])
}

pub(crate) fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match len {
        [0, short] if short < 0x80 => vec![tag, short],
        [0, short] => vec![tag, 0x81, short],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [head, content].concat()
}

pub(crate) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    wrap(0x30, &elements.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The private key of the `index`th authority (ARK, ASK, ASVK) of a simulated root, and a signature by it.
pub(crate) fn authority_key(root: &Root, index: usize) -> RsaKeyPair {
    let pem = root.to_pem().unwrap();
    let block = pem.split("-----BEGIN PRIVATE KEY-----").nth(index + 1).unwrap();
    let body: String = block.split("-----END").next().unwrap().split_whitespace().collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    RsaKeyPair::from_pkcs8(&der).unwrap()
}

/// Signs a certificate or list again after `change` has had its way with the elements of the signed part.
pub(crate) fn resign(der: &[u8], key: &RsaKeyPair, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    resign_with(der, |tbs| rsa_signature(key, &RSA_PSS_SHA384, tbs), change)
}

pub(crate) fn resign_with(
    der: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
    change: impl FnOnce(&mut Vec<Vec<u8>>),
) -> Vec<u8> {
    let outer = elements(der);
    let mut inner = elements(&outer[0]);
    change(&mut inner);
    let tbs = sequence(&inner);
    let signature = wrap(0x03, &[&[0], &sign(&tbs)]);
    let algorithm = inner[if inner[0][0] == 0xa0 { 2 } else { 1 }].clone();
    sequence(&[tbs, algorithm, signature])
}

pub(crate) fn rsa_signature(key: &RsaKeyPair, padding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// Adds an encoded extension to the last element, `[tag] SEQUENCE OF Extension`.
pub(crate) fn add_extension(inner: &mut [Vec<u8>], extension: &[u8]) {
    let last = inner.last_mut().unwrap();
    let tag = last[0];
    let mut all = elements(&elements(last)[0]);
    all.push(extension.to_vec());
    *last = wrap(tag, &[&sequence(&all)]);
}

/// Replaces bytes that occur exactly once.
pub(crate) fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let at: Vec<usize> = bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(i, _)| i).collect();
    assert_eq!(at.len(), 1, "{from:02x?}");
    bytes.splice(at[0]..at[0] + from.len(), to.iter().copied());
}

/// An extension under `2.5.29`.
pub(crate) fn extension(last_arc: u8, critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xFF] } else { &[] };
    wrap(0x30, &[&[0x06, 0x03, 0x55, 0x1D, last_arc], critical, &wrap(0x04, &[content])])
}

/// Replaces the extension under `2.5.29` with the same last arc.
pub(crate) fn set_extension(inner: &mut [Vec<u8>], last_arc: u8, extension: &[u8]) {
    let last = inner.last_mut().unwrap();
    let mut all = elements(&elements(last)[0]);
    let oid = [0x06, 0x03, 0x55, 0x1D, last_arc];
    let place = all.iter_mut().find(|e| e.windows(5).any(|w| w == oid)).unwrap();
    *place = extension.to_vec();
    *last = wrap(last[0], &[&sequence(&all)]);
}
