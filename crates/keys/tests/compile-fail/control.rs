// The right way: each proof once, from its maker; secrets exposed by name.
use rand_core::CryptoRng;
use skerry_attestation_result::{Authority, TrustedResult};
use skerry_audit::{Entry, Log, Recorded};
use skerry_evidence::evidence::VerifiedEvidence;
use skerry_keys::{Binding, ExportableKey, ReleasedKey, SealedMaterial, Software, release};
use skerry_keywrap::{Algorithm, Plaintext};
use skerry_policy::permit::{Permit, Terms, permit};
use std::time::SystemTime;

fn all_the_way(
    custody: &Software,
    sealed: &SealedMaterial,
    binding: &Binding,
    authority: &Authority,
    token: &str,
    terms: &Terms<'_>,
    log: &Log,
    entry: &Entry,
    now: SystemTime,
    rng: &mut dyn CryptoRng,
) -> Option<ReleasedKey> {
    let result: TrustedResult = authority.verify(token, now).ok()?;
    let permit: Permit = permit(terms, &result, now).ok()?;
    let recorded: Recorded = log.record(entry).ok()?;
    let key = ExportableKey::new(sealed, binding).ok()?;
    release(custody, key, permit, recorded, Algorithm::RsaAesKeyWrap256, rng).ok()
}

fn length(plaintext: &Plaintext) -> usize {
    plaintext.expose().len()
}

fn takes(_: &VerifiedEvidence) {}

fn main() {
    let _ = (all_the_way, length, takes);
}
