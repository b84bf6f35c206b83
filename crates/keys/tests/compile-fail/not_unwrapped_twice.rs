// A permit is spent by its unwrapping, and serves no release after it.
use rand_core::CryptoRng;
use skerry_audit::Recorded;
use skerry_keys::{ExportableKey, GuardingKey, Software, WrapAlgorithm, release, secure_unwrap};
use skerry_keywrap::Algorithm::RsaAesKeyWrap256;
use skerry_policy::permit::Permit;

fn twice(
    custody: &Software,
    key: GuardingKey<'_>,
    other: ExportableKey<'_>,
    permit: Permit,
    records: [Recorded; 2],
    rng: &mut dyn CryptoRng,
) {
    let [first, second] = records;
    let wrapped = (WrapAlgorithm::A256Kw, [0; 40].as_slice());
    let _ = secure_unwrap(custody, key, wrapped, permit, first, RsaAesKeyWrap256, rng);
    let _ = release(custody, other, permit, second, RsaAesKeyWrap256, rng);
}

fn main() {
    let _ = twice;
}
