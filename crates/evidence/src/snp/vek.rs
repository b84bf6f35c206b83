//! Extensions of VCEK and VLEK certificates: which firmware, which chip, whose cloud.
//!
//! AMD 57230, 3.1 (VCEK) and AMD 58369 (VLEK) define them under 1.3.6.1.4.1.3704.1. Each may occur once; a certificate that
//! says a thing twice is refused when it is parsed ([`X509Error::DuplicateExtension`](crate::x509::X509Error)). hwID is the
//! bare bytes; a nested OCTET STRING, which some verifiers accept, was only ever seen in self-made certificates and is refused.

use der::{Decode, asn1::Ia5StringRef, asn1::ObjectIdentifier};

use super::{generation::Generation, tcb::TcbVersion};
use crate::x509::Certificate;

/// Which of the two endorsement keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VekKind {
    /// Versioned Chip Endorsement Key: derived from the chip's secrets and its TCB.
    Vcek,
    /// Versioned Loaded Endorsement Key: given to a cloud provider by AMD and loaded.
    Vlek,
}

/// Why the extensions of a VEK certificate were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VekError {
    /// An extension that this kind of certificate must have is missing.
    #[error("extension {oid} is missing")]
    Missing {
        /// Which.
        oid: ObjectIdentifier,
    },
    /// An extension that this kind or generation of certificate does not have is present.
    #[error("extension {oid} is out of place")]
    Unexpected {
        /// Which.
        oid: ObjectIdentifier,
    },
    /// The content is not what AMD 57230 says: INTEGER 0 to 255, IA5String, or bare bytes of the right length.
    #[error("extension {oid} is malformed")]
    Malformed {
        /// Which.
        oid: ObjectIdentifier,
    },
    /// A reserved SPL is not zero, so it means something unknown.
    #[error("reserved spl {oid} is not zero")]
    ReservedSpl {
        /// Which.
        oid: ObjectIdentifier,
    },
    /// The product name belongs to another generation than the root, or to none.
    #[error("product name does not belong to the generation of the root")]
    Product,
    /// The key is not an uncompressed point on P-384.
    #[error("public key is not an uncompressed p-384 point")]
    Key,
}

/// What a VEK certificate says about chip and firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VekExtensions {
    pub(crate) tcb: TcbVersion,
    pub(crate) holder: Holder,
}

/// Whom the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// hwID of the chip.
    Chip(Vec<u8>),
    /// csp_id of the cloud provider.
    Provider(String),
}

impl VekExtensions {
    /// Reads the extensions of a certificate of `kind` under a root of `generation`.
    pub(crate) fn read(cert: &Certificate, kind: VekKind, generation: Generation) -> Result<Self, VekError> {
        let _struct_version = integer(cert, STRUCT_VERSION)?;
        if Generation::from_product_name(&ia5(cert, PRODUCT_NAME)?) != Some(generation) {
            return Err(VekError::Product);
        }
        refuse_reserved_spls(cert)?;
        Ok(Self { tcb: tcb(cert, generation)?, holder: holder(cert, kind, generation)? })
    }
}

fn tcb(cert: &Certificate, generation: Generation) -> Result<TcbVersion, VekError> {
    let fmc = match generation {
        Generation::Turin => Some(integer(cert, FMC_SPL)?),
        Generation::Milan | Generation::Genoa => absent(cert, FMC_SPL).map(|()| None)?,
    };
    Ok(TcbVersion {
        fmc,
        bootloader: integer(cert, BOOTLOADER_SPL)?,
        tee: integer(cert, TEE_SPL)?,
        snp: integer(cert, SNP_SPL)?,
        microcode: integer(cert, MICROCODE_SPL)?,
    })
}

fn holder(cert: &Certificate, kind: VekKind, generation: Generation) -> Result<Holder, VekError> {
    match kind {
        VekKind::Vcek => absent(cert, CSP_ID).and_then(|()| hw_id(cert, generation)).map(Holder::Chip),
        VekKind::Vlek => absent(cert, HW_ID).and_then(|()| ia5(cert, CSP_ID)).map(Holder::Provider),
    }
}

fn hw_id(cert: &Certificate, generation: Generation) -> Result<Vec<u8>, VekError> {
    let id = required(cert, HW_ID)?;
    let fits = id.len() == generation.chip_id_bytes();
    fits.then(|| id.to_vec()).ok_or(VekError::Malformed { oid: HW_ID })
}

fn refuse_reserved_spls(cert: &Certificate) -> Result<(), VekError> {
    let set = |oid: &ObjectIdentifier| cert.extension(*oid).is_some_and(|_| integer(cert, *oid) != Ok(0));
    RESERVED_SPLS.into_iter().find(set).map_or(Ok(()), |oid| Err(VekError::ReservedSpl { oid }))
}

fn required(cert: &Certificate, oid: ObjectIdentifier) -> Result<&[u8], VekError> {
    cert.extension(oid).ok_or(VekError::Missing { oid })
}

fn absent(cert: &Certificate, oid: ObjectIdentifier) -> Result<(), VekError> {
    cert.extension(oid).map_or(Ok(()), |_| Err(VekError::Unexpected { oid }))
}

fn integer(cert: &Certificate, oid: ObjectIdentifier) -> Result<u8, VekError> {
    u8::from_der(required(cert, oid)?).map_err(|_| VekError::Malformed { oid })
}

fn ia5(cert: &Certificate, oid: ObjectIdentifier) -> Result<String, VekError> {
    let string = Ia5StringRef::from_der(required(cert, oid)?).map_err(|_| VekError::Malformed { oid })?;
    Ok(string.as_str().to_owned())
}

const fn amd(arcs: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(arcs)
}

const STRUCT_VERSION: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.1");
const PRODUCT_NAME: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER_SPL: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.3.1");
const TEE_SPL: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.3.2");
const SNP_SPL: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.3.3");
const RESERVED_SPLS: [ObjectIdentifier; 4] = [
    amd("1.3.6.1.4.1.3704.1.3.4"),
    amd("1.3.6.1.4.1.3704.1.3.5"),
    amd("1.3.6.1.4.1.3704.1.3.6"),
    amd("1.3.6.1.4.1.3704.1.3.7"),
];
const MICROCODE_SPL: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.3.8");
const FMC_SPL: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.3.9");
const HW_ID: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.4");
const CSP_ID: ObjectIdentifier = amd("1.3.6.1.4.1.3704.1.5");

/// Every extension above: known, hence allowed to be critical.
pub(crate) const KNOWN: [ObjectIdentifier; 13] = [
    STRUCT_VERSION,
    PRODUCT_NAME,
    BOOTLOADER_SPL,
    TEE_SPL,
    SNP_SPL,
    RESERVED_SPLS[0],
    RESERVED_SPLS[1],
    RESERVED_SPLS[2],
    RESERVED_SPLS[3],
    MICROCODE_SPL,
    FMC_SPL,
    HW_ID,
    CSP_ID,
];
