// A record is spent by its release.
use rand_core::CryptoRng;
use skerry_audit::Recorded;
use skerry_keys::{ExportableKey, Software, release};
use skerry_keywrap::Algorithm::RsaAesKeyWrap256;
use skerry_policy::permit::Permit;

fn twice(
    custody: &Software,
    keys: [ExportableKey<'_>; 2],
    permits: [Permit; 2],
    recorded: Recorded,
    rng: &mut dyn CryptoRng,
) {
    let [one, two] = keys;
    let [first, second] = permits;
    let _ = release(custody, one, first, recorded, RsaAesKeyWrap256, rng);
    let _ = release(custody, two, second, recorded, RsaAesKeyWrap256, rng);
}

fn main() {
    let _ = twice;
}
