//! Processor generations and their trusted computing bases.

pub use skerry_evidence::snp::Generation;

/// The product name extension of a VCEK (observed in real certificates).
pub(crate) const fn vcek_product(generation: Generation) -> &'static str {
    match generation {
        Generation::Milan => "Milan-B0",
        Generation::Genoa | Generation::Turin => generation.name(),
    }
}

/// CPUID family, model and stepping as reports carry them (observed in real reports).
pub(crate) const fn cpuid(generation: Generation) -> [u8; 3] {
    match generation {
        Generation::Milan => [0x19, 0x01, 0x01],
        Generation::Genoa => [0x19, 0x11, 0x01],
        Generation::Turin => [0x1a, 0x02, 0x01],
    }
}

/// The report version that firmware gives today (observed: Confidential ACI, 2026).
pub(crate) const fn report_version(generation: Generation) -> u32 {
    match generation {
        Generation::Milan | Generation::Genoa => 3,
        Generation::Turin => 5,
    }
}

/// Serial numbers of ARK, ASK and ASVK (observed in real certificates).
pub(crate) const fn serials(generation: Generation) -> [u32; 3] {
    match generation {
        Generation::Milan => [0x10000, 0x10001, 0x10101],
        Generation::Genoa => [0x20000, 0x20002, 0x20101],
        Generation::Turin => [0x30000, 0x30001, 0x30101],
    }
}

/// TCB_VERSION (AMD 56860): security patch levels of the firmware components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tcb {
    /// First mutable code; Turin only, not encoded for older generations.
    pub fmc: u8,
    /// Boot loader.
    pub bootloader: u8,
    /// Trusted execution environment of the security processor.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

impl Tcb {
    /// A level seen on real machines of that generation in 2026.
    pub const fn recent(generation: Generation) -> Self {
        match generation {
            Generation::Milan => Self { fmc: 0, bootloader: 4, tee: 0, snp: 24, microcode: 219 },
            Generation::Genoa => Self { fmc: 0, bootloader: 10, tee: 0, snp: 23, microcode: 84 },
            Generation::Turin => Self { fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 81 },
        }
    }

    /// The eight bytes as reports carry them; Turin has an order of its own.
    pub const fn to_bytes(self, generation: Generation) -> [u8; 8] {
        let Self { fmc, bootloader, tee, snp, microcode } = self;
        match generation {
            Generation::Milan | Generation::Genoa => [bootloader, tee, 0, 0, 0, 0, snp, microcode],
            Generation::Turin => [fmc, bootloader, tee, snp, 0, 0, 0, microcode],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recent levels encode to bytes seen in real reports.
    #[test]
    fn tcb_order_is_that_of_the_generation() {
        let cases = [
            (Generation::Milan, [4, 0, 0, 0, 0, 0, 24, 219]),
            (Generation::Genoa, [10, 0, 0, 0, 0, 0, 23, 84]),
            (Generation::Turin, [1, 1, 1, 4, 0, 0, 0, 81]),
        ];
        for (generation, bytes) in cases {
            assert_eq!(Tcb::recent(generation).to_bytes(generation), bytes);
        }
    }
}
