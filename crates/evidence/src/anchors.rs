//! Roots that evidence may chain to, and what a root says about where evidence came from.
//!
//! AMD's roots are compiled in by the hash of their public key. Whatever is added at run time is simulated: there is no
//! way to add a real one, so a configuration mistake cannot turn a test root into hardware.

use crate::snp::Generation;

/// Where evidence came from, as told by the anchor that ended its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// A root compiled into this crate: a vendor's hardware.
    Real,
    /// A root added at run time: software that plays a TEE.
    Simulated,
}

impl Provenance {
    /// Of two chains in one piece of evidence the worse decides: simulated unless both are real.
    pub fn worst(a: Self, b: Self) -> Self {
        match (a, b) {
            (Self::Real, Self::Real) => Self::Real,
            _ => Self::Simulated,
        }
    }
}

/// A set of AMD Root Keys (AMD 57230, 3: ARK), by generation and SHA-256 of their SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchors {
    anchors: Vec<Anchor>,
}

impl Anchors {
    /// AMD's roots as compiled in.
    pub fn amd() -> Self {
        Self { anchors: AMD.to_vec() }
    }

    /// No root at all: nothing verifies.
    pub fn none() -> Self {
        Self { anchors: Vec::new() }
    }

    /// Adds a root for `generation`; what chains to it is [`Provenance::Simulated`], even where the key is one of AMD's.
    #[must_use]
    pub fn with_simulated(mut self, generation: Generation, spki_sha256: [u8; 32]) -> Self {
        self.anchors.push(Anchor {
            generation,
            spki_sha256,
            issuer: generation.ark_name(),
            provenance: Provenance::Simulated,
        });
        self
    }

    /// The anchor for this key, iff there is one with this name; the worst provenance where there are several.
    pub(crate) fn find(&self, spki_sha256: &[u8; 32], issuer: &str) -> Option<Anchor> {
        let named = |a: &&Anchor| a.spki_sha256 == *spki_sha256 && a.issuer == issuer;
        self.anchors
            .iter()
            .filter(named)
            .copied()
            .reduce(|a, b| Anchor { provenance: Provenance::worst(a.provenance, b.provenance), ..a })
    }
}

/// One root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) generation: Generation,
    pub(crate) spki_sha256: [u8; 32],
    pub(crate) issuer: &'static str,
    pub(crate) provenance: Provenance,
}

const fn amd(generation: Generation, spki_sha256: [u8; 32]) -> Anchor {
    Anchor { generation, spki_sha256, issuer: generation.ark_name(), provenance: Provenance::Real }
}

/// SHA-256 of the SubjectPublicKeyInfo of the ARKs at https://kdsintf.amd.com/vcek/v1/{Milan,Genoa,Turin}/cert_chain.
const AMD: [Anchor; 3] = [
    amd(
        Generation::Milan,
        [
            0x9f, 0x05, 0x6b, 0xee, 0x44, 0x37, 0x7e, 0x29, 0x30, 0x8c, 0xb5, 0xff, 0xa8, 0x95, 0xbd, 0xfb, 0x62, 0xd1,
            0x88, 0x81, 0xfa, 0x6b, 0xed, 0x8d, 0x6f, 0x07, 0x5b, 0x02, 0x04, 0x08, 0x9c, 0xb9,
        ],
    ),
    amd(
        Generation::Genoa,
        [
            0x42, 0x9a, 0x69, 0xc9, 0x42, 0x2a, 0xa2, 0x58, 0xee, 0x4d, 0x8d, 0xb5, 0xfc, 0xda, 0x9c, 0x64, 0x70, 0xef,
            0x15, 0xf8, 0xcd, 0x5a, 0x9c, 0xeb, 0xd6, 0xcb, 0xc7, 0xd9, 0x0b, 0x86, 0x38, 0x31,
        ],
    ),
    amd(
        Generation::Turin,
        [
            0x4f, 0x12, 0x54, 0x10, 0x56, 0x3a, 0x2a, 0xb9, 0xa5, 0x03, 0x56, 0xf9, 0x24, 0x3f, 0x6f, 0xe0, 0xb6, 0xf7,
            0x3d, 0xe9, 0x86, 0x03, 0xf5, 0x3f, 0x90, 0x33, 0x9c, 0x70, 0xe9, 0xd7, 0xad, 0x08,
        ],
    ),
];
