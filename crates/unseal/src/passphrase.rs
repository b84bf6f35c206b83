//! The seal of a passphrase: Argon2id (RFC 9106), with parameters that are bounded on both sides.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::UnsealError;
use crate::file::{Kind, SealedRoot, Secret};
use crate::limits::{
    LANES, LANES_MAX, MEMORY_KIB_MAX, MEMORY_KIB_MIN, PASSES_MAX, PASSES_MIN, PASSPHRASE_BYTES_MAX,
    PASSPHRASE_BYTES_MIN,
};

/// A passphrase. No Debug, no Clone; wiped when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The octets as they were typed or read, without one line's end after them. The caller vouches that no copy stays behind.
    pub fn new(mut octets: Zeroizing<Vec<u8>>) -> Result<Passphrase, UnsealError> {
        let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
        let len = line.strip_suffix(b"\r").unwrap_or(line).len();
        if len == 0 || len > PASSPHRASE_BYTES_MAX {
            return Err(UnsealError::PassphraseLength { len, min: 1, max: PASSPHRASE_BYTES_MAX });
        }
        octets.truncate(len);
        Ok(Passphrase(octets))
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// A root sealed under it, with RFC 9106's second recommendation and a salt from `rng`.
    pub fn seal(&self, root: &Zeroizing<[u8; 32]>, rng: &mut dyn CryptoRng) -> Result<SealedRoot, UnsealError> {
        let len = self.0.len();
        if len < PASSPHRASE_BYTES_MIN {
            return Err(UnsealError::PassphraseLength { len, min: PASSPHRASE_BYTES_MIN, max: PASSPHRASE_BYTES_MAX });
        }
        let mut parameters = Parameters { memory_kib: MEMORY_KIB_MIN, passes: PASSES_MIN, lanes: LANES, salt: [0; 32] };
        rng.fill_bytes(&mut parameters.salt);
        let secret = parameters.secret(self)?;
        SealedRoot::seal(root, Kind::Passphrase(parameters), &secret, rng)
    }

    /// The root in this file, iff it was sealed under this passphrase and nothing was altered since.
    pub fn open(&self, sealed: &SealedRoot) -> Result<Zeroizing<[u8; 32]>, UnsealError> {
        let Kind::Passphrase(parameters) = sealed.kind() else {
            return Err(UnsealError::OtherKind { expected: "passphrase", found: sealed.kind().word() });
        };
        sealed.open(&parameters.secret(self)?)
    }
}

/// What Argon2id is to do: within the bounds of [`crate::limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 32],
}

impl Parameters {
    pub(crate) fn to_bytes(&self) -> [u8; LEN] {
        let mut octets = [0; LEN];
        let numbers = [self.memory_kib, self.passes, self.lanes].map(u32::to_be_bytes);
        let all = numbers.as_flattened().iter().chain(&self.salt);
        octets.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        octets
    }

    pub(crate) fn parse(octets: &[u8]) -> Result<Parameters, UnsealError> {
        let octets: &[u8; LEN] = octets.try_into().map_err(|_| UnsealError::Parameters { kind: 1 })?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, salt @ ..] = *octets;
        let [memory_kib, passes, lanes] = [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes);
        for (what, seen, min, max) in [
            ("KiB of memory", memory_kib, MEMORY_KIB_MIN, MEMORY_KIB_MAX),
            ("passes", passes, PASSES_MIN, PASSES_MAX),
            ("lanes", lanes, 1, LANES_MAX),
        ] {
            if !(min..=max).contains(&seen) {
                return Err(UnsealError::OutOfRange { what, seen, min, max });
            }
        }
        Ok(Parameters { memory_kib, passes, lanes, salt })
    }

    fn secret(&self, passphrase: &Passphrase) -> Result<Secret, UnsealError> {
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| UnsealError::Library)?;
        let mut memory = Memory::of(params.block_count()).ok_or(UnsealError::Memory { kib: self.memory_kib })?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut secret = Zeroizing::new([0; 32]);
        let hashed =
            argon2.hash_password_into_with_memory(&passphrase.0, &self.salt, secret.as_mut_slice(), &mut memory.0);
        hashed.map_err(|_| UnsealError::Library)?;
        Ok(Secret::new(secret))
    }
}

/// What Argon2id worked in, wiped after. Memory that cannot be had is an error and not an abort.
struct Memory(Vec<Block>);

impl Memory {
    fn of(blocks: usize) -> Option<Memory> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).ok()?;
        memory.resize(blocks, Block::default());
        Some(Memory(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|block| block.zeroize());
    }
}

const LEN: usize = 12 + 32;
