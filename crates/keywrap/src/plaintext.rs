//! Key data in the clear.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// Key data in the clear: PKCS#8 DER, or raw octets of a symmetric key.
///
/// Wiped when dropped, compared in constant time. It can be neither printed, nor cloned, nor serialised.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes key data over. The caller vouches that no other copy stays behind.
    pub fn new(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    /// The octets. Whoever asks answers for every copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Plaintext {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Plaintext {}
