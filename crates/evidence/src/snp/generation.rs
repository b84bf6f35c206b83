//! Processor generations: which CPUIDs belong to each, and the names AMD gives each generation's authorities.

use super::report::CpuId;

/// A processor generation with certificates of its own (AMD 57230, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004: Genoa, Bergamo, Siena.
    Genoa,
    /// EPYC 9005.
    Turin,
}

/// A processor this crate has no root for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unsupported processor, family {:#04x} model {:#04x}", cpu_id.family, cpu_id.model)]
pub struct UnsupportedProcessor {
    /// As the report says.
    pub cpu_id: CpuId,
}

impl Generation {
    /// Every generation.
    pub const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// The generation of a processor by combined family and model.
    pub fn from_cpu_id(cpu_id: CpuId) -> Result<Self, UnsupportedProcessor> {
        let holds = |row: &&(u8, u8, u8, Self)| row.0 == cpu_id.family && (row.1..=row.2).contains(&cpu_id.model);
        MODELS.iter().find(holds).map(|row| row.3).ok_or(UnsupportedProcessor { cpu_id })
    }

    /// Product name as in KDS addresses (AMD 57230, 4).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// The generation a product-name extension means: the name, or the name, `-` and a stepping such as `B0`.
    pub fn from_product_name(product: &str) -> Option<Self> {
        let (base, stepping) = product.split_once('-').map_or((product, None), |(b, s)| (b, Some(s)));
        let stepping_fits = stepping.is_none_or(|s| s.len() == 2 && s.bytes().all(|b| b.is_ascii_alphanumeric()));
        Self::ALL.into_iter().find(|g| g.name() == base && stepping_fits)
    }

    /// Common name of the AMD Root Key.
    pub const fn ark_name(self) -> &'static str {
        match self {
            Self::Milan => "ARK-Milan",
            Self::Genoa => "ARK-Genoa",
            Self::Turin => "ARK-Turin",
        }
    }

    /// Common name of the AMD SEV Key, which issues VCEKs.
    pub const fn ask_name(self) -> &'static str {
        match self {
            Self::Milan => "SEV-Milan",
            Self::Genoa => "SEV-Genoa",
            Self::Turin => "SEV-Turin",
        }
    }

    /// Common name of the AMD SEV VLEK Key, which issues VLEKs.
    pub const fn asvk_name(self) -> &'static str {
        match self {
            Self::Milan => "SEV-VLEK-Milan",
            Self::Genoa => "SEV-VLEK-Genoa",
            Self::Turin => "SEV-VLEK-Turin",
        }
    }

    /// Significant bytes of CHIP_ID and of the hwID extension (AMD 57230, 3.1).
    pub const fn chip_id_bytes(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }
}

/// Combined family, first and last model, generation. AMD 56860, ATTESTATION_REPORT, CPUID_FAM_ID and CPUID_MOD_ID.
const MODELS: [(u8, u8, u8, Generation); 4] = [
    (0x19, 0x00, 0x0F, Generation::Milan),
    (0x19, 0x10, 0x1F, Generation::Genoa),
    (0x19, 0xA0, 0xAF, Generation::Genoa),
    (0x1A, 0x00, 0x11, Generation::Turin),
];
