// A permit is spent by its release.
use rand_core::CryptoRng;
use skerry_audit::Recorded;
use skerry_keys::{ExportableKey, Software, release};
use skerry_keywrap::Algorithm::RsaAesKeyWrap256;
use skerry_policy::permit::Permit;

fn twice(
    custody: &Software,
    keys: [ExportableKey<'_>; 2],
    permit: Permit,
    records: [Recorded; 2],
    rng: &mut dyn CryptoRng,
) {
    let [one, two] = keys;
    let [first, second] = records;
    let _ = release(custody, one, permit, first, RsaAesKeyWrap256, rng);
    let _ = release(custody, two, permit, second, RsaAesKeyWrap256, rng);
}

fn main() {
    let _ = twice;
}
