//! Certificates in the shapes AMD's key distribution service gives (observed: 20 real ones).
//!
//! Authorities carry the identifiers and usages of RFC 5280; endorsement keys carry AMD's
//! extensions (AMD 57230, 3) and nothing else, with serial number 0. [`Oddities`] makes
//! certificates that are authentic and wrong in one way, for tests of verifiers.

use std::time::SystemTime;

use der::asn1::ObjectIdentifier;

use crate::encode::{bits, extension, ia5, octets, oid, printable, sequence, tlv, unsigned, utf8};
use crate::keys::RsaKey;
use crate::{Generation, SimulatorError, Tcb, VekKind, dates, generation};

/// How RSASSA-PSS parameters are written. Both occur in the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PssParameters {
    /// The default trailerField left out, as endorsement keys issued since about 2023 have it.
    #[default]
    Short,
    /// An explicit trailerField of 1 (not strict DER), as authorities and older keys have it.
    WithTrailer,
}

/// Who issues an endorsement key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VekIssuer {
    /// AMD root key; issues no endorsement keys in reality.
    Ark,
    /// AMD SEV key, issuer of VCEKs.
    Ask,
    /// AMD SEV-VLEK key, issuer of VLEKs.
    Asvk,
}

impl VekIssuer {
    /// The issuer that keys of this kind have.
    pub const fn of(kind: VekKind) -> Self {
        match kind {
            VekKind::Vcek => Self::Ask,
            VekKind::Vlek => Self::Asvk,
        }
    }

    /// Its common name.
    pub const fn common_name(self, generation: Generation) -> &'static str {
        match self {
            Self::Ark => generation.ark_name(),
            Self::Ask => generation.ask_name(),
            Self::Asvk => generation.asvk_name(),
        }
    }
}

/// An extension of an endorsement key, under 1.3.6.1.4.1.3704.1 (AMD 57230, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VekExtension {
    /// `.1`, version of the set of extensions.
    StructVersion,
    /// `.2`, product name.
    Product,
    /// `.3.1`, boot loader level.
    BlSpl,
    /// `.3.2`, TEE level.
    TeeSpl,
    /// `.3.3`, SNP firmware level.
    SnpSpl,
    /// `.3.4`, reserved; absent on Turin.
    Spl4,
    /// `.3.5`, reserved.
    Spl5,
    /// `.3.6`, reserved.
    Spl6,
    /// `.3.7`, reserved.
    Spl7,
    /// `.3.8`, microcode level.
    UcodeSpl,
    /// `.3.9`, FMC level; Turin only.
    FmcSpl,
    /// `.4`, hardware id; VCEK only.
    HwId,
    /// `.5`, cloud provider; VLEK only.
    CspId,
}

impl VekExtension {
    /// Its object identifier.
    pub const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::StructVersion => "1.3.6.1.4.1.3704.1.1",
            Self::Product => "1.3.6.1.4.1.3704.1.2",
            Self::BlSpl => "1.3.6.1.4.1.3704.1.3.1",
            Self::TeeSpl => "1.3.6.1.4.1.3704.1.3.2",
            Self::SnpSpl => "1.3.6.1.4.1.3704.1.3.3",
            Self::Spl4 => "1.3.6.1.4.1.3704.1.3.4",
            Self::Spl5 => "1.3.6.1.4.1.3704.1.3.5",
            Self::Spl6 => "1.3.6.1.4.1.3704.1.3.6",
            Self::Spl7 => "1.3.6.1.4.1.3704.1.3.7",
            Self::UcodeSpl => "1.3.6.1.4.1.3704.1.3.8",
            Self::FmcSpl => "1.3.6.1.4.1.3704.1.3.9",
            Self::HwId => "1.3.6.1.4.1.3704.1.4",
            Self::CspId => "1.3.6.1.4.1.3704.1.5",
        })
    }
}

/// What is wrong with an endorsement key certificate; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Another product name.
    pub product: Option<String>,
    /// Security patch levels other than the chip's.
    pub tcb: Option<Tcb>,
    /// Another hardware id (raw bytes of the extension).
    pub hw_id: Option<Vec<u8>>,
    /// Another issuer: it signs and is named.
    pub issuer: Option<VekIssuer>,
    /// Other common names of the subject, in order; empty leaves none.
    pub common_names: Option<Vec<String>>,
    /// Other bounds of validity.
    pub validity: Option<(SystemTime, SystemTime)>,
    /// Another serial number.
    pub serial: Option<u32>,
    /// Extensions left out.
    pub missing: Vec<VekExtension>,
    /// Extensions written twice, with the same value.
    pub duplicated: Vec<VekExtension>,
    /// Extensions with another value (contents of the OCTET STRING), or added.
    pub replaced: Vec<(VekExtension, Vec<u8>)>,
    /// True adds a critical extension nobody knows.
    pub unknown_critical: bool,
    /// How the signature algorithm is written.
    pub pss: PssParameters,
}

/// What a VEK certificate says, before oddities.
pub(crate) struct VekSubject<'a> {
    pub(crate) generation: Generation,
    pub(crate) kind: VekKind,
    pub(crate) spki: &'a [u8],
    pub(crate) tcb: Tcb,
    pub(crate) hw_id: &'a [u8],
    pub(crate) csp_id: &'a str,
    pub(crate) validity: (SystemTime, SystemTime),
}

/// What an authority's certificate says.
pub(crate) struct AuthoritySubject<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) issuer_name: &'a str,
    pub(crate) serial: u32,
    pub(crate) validity: (SystemTime, SystemTime),
    pub(crate) crl_url: &'a str,
}

/// Certificate of an authority; `subject` equal to `issuer` makes the root.
pub(crate) fn authority(
    what: &AuthoritySubject<'_>,
    subject: &RsaKey,
    issuer: &RsaKey,
) -> Result<Vec<u8>, SimulatorError> {
    let is_root = what.common_name == what.issuer_name;
    let tbs = tbs(&[
        &unsigned(&what.serial.to_be_bytes()),
        &pss(PssParameters::WithTrailer),
        &name(&[what.issuer_name]),
        &validity(what.validity)?,
        &name(&[what.common_name]),
        &subject.spki()?,
        &extensions(&authority_extensions(what, is_root, subject, issuer)),
    ]);
    signed(&tbs, PssParameters::WithTrailer, issuer)
}

/// Certificate of a VCEK or VLEK.
pub(crate) fn vek(
    what: &VekSubject<'_>,
    odd: &Oddities,
    issuer_name: &str,
    issuer: &RsaKey,
) -> Result<Vec<u8>, SimulatorError> {
    let usual = vec![common_name(what.kind).to_owned()];
    let names = odd.common_names.as_ref().unwrap_or(&usual);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tbs = tbs(&[
        &unsigned(&odd.serial.unwrap_or(0).to_be_bytes()),
        &pss(odd.pss),
        &name(&[issuer_name]),
        &validity(odd.validity.unwrap_or(what.validity))?,
        &name(&names),
        what.spki,
        &extensions(&vek_extensions(what, odd)),
    ]);
    signed(&tbs, odd.pss, issuer)
}

/// Name with AMD's fixed attributes and these common names.
pub(crate) fn name(common_names: &[&str]) -> Vec<u8> {
    let mut parts = vec![
        attribute(&ORGANIZATIONAL_UNIT, &utf8("Engineering")),
        attribute(&COUNTRY, &printable("US")),
        attribute(&LOCALITY, &utf8("Santa Clara")),
        attribute(&STATE, &utf8("CA")),
        attribute(&ORGANIZATION, &utf8("Advanced Micro Devices")),
    ];
    parts.extend(common_names.iter().map(|cn| attribute(&COMMON_NAME, &utf8(cn))));
    sequence(&[&parts.concat()])
}

/// A relative distinguished name of one attribute.
pub(crate) fn attribute(id: &ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    tlv(0x31, &sequence(&[&oid(id), value]))
}

/// TBSCertificate of version 3 from its members after the version.
pub(crate) fn tbs(members: &[&[u8]]) -> Vec<u8> {
    let version = tlv(0xa0, &unsigned(&[2]));
    sequence(&[&version, &members.concat()])
}

/// The extensions member of a TBSCertificate.
pub(crate) fn extensions(list: &[Vec<u8>]) -> Vec<u8> {
    tlv(0xa3, &sequence(&[&list.concat()]))
}

/// Validity (RFC 5280, 4.1.2.5).
pub(crate) fn validity((not_before, not_after): (SystemTime, SystemTime)) -> Result<Vec<u8>, SimulatorError> {
    Ok(sequence(&[&dates::time(not_before)?, &dates::time(not_after)?]))
}

/// AlgorithmIdentifier of RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt 48 (RFC 4055, 3.1).
pub(crate) fn pss(parameters: PssParameters) -> Vec<u8> {
    let sha384 = sequence(&[&oid(&SHA384), &[0x05, 0x00]]);
    let mgf1 = sequence(&[&oid(&MGF1), &sha384]);
    let trailer = match parameters {
        PssParameters::Short => Vec::new(),
        PssParameters::WithTrailer => tlv(0xa3, &unsigned(&[1])),
    };
    let members = [tlv(0xa0, &sha384), tlv(0xa1, &mgf1), tlv(0xa2, &unsigned(&[48])), trailer];
    sequence(&[&oid(&RSASSA_PSS), &sequence(&[&members.concat()])])
}

/// A signed structure: what is signed, the algorithm, the signature.
pub(crate) fn signed(tbs: &[u8], parameters: PssParameters, issuer: &RsaKey) -> Result<Vec<u8>, SimulatorError> {
    Ok(sequence(&[tbs, &pss(parameters), &bits(0, &issuer.sign(tbs)?)]))
}

/// AuthorityKeyIdentifier extension.
pub(crate) fn authority_key_id(id: &[u8]) -> Vec<u8> {
    extension(&AUTHORITY_KEY_ID, false, &sequence(&[&tlv(0x80, id)]))
}

/// SubjectKeyIdentifier extension.
pub(crate) fn subject_key_id(id: &[u8]) -> Vec<u8> {
    extension(&SUBJECT_KEY_ID, false, &octets(id))
}

/// Critical BasicConstraints of an authority.
pub(crate) fn basic_constraints(path_len: Option<u8>) -> Vec<u8> {
    let path_len = path_len.map(|len| unsigned(&[len])).unwrap_or_default();
    extension(&BASIC_CONSTRAINTS, true, &sequence(&[&[0x01, 0x01, 0xff], &path_len]))
}

/// Critical KeyUsage; `unused` bits at the end of the one byte.
pub(crate) fn key_usage(unused: u8, usages: u8) -> Vec<u8> {
    extension(&KEY_USAGE, true, &bits(unused, &[usages]))
}

fn authority_extensions(what: &AuthoritySubject<'_>, is_root: bool, subject: &RsaKey, issuer: &RsaKey) -> Vec<Vec<u8>> {
    let points = extension(&CRL_DISTRIBUTION_POINTS, false, &distribution_point(what.crl_url));
    let subject_id = subject_key_id(&subject.id());
    if is_root {
        // keyCertSign and cRLSign.
        return vec![key_usage(1, 0x06), subject_id, basic_constraints(None), points];
    }
    let issuer_id = authority_key_id(&issuer.id());
    // keyCertSign alone.
    vec![subject_id, issuer_id, basic_constraints(Some(0)), key_usage(2, 0x04), points]
}

fn distribution_point(url: &str) -> Vec<u8> {
    let full_name = tlv(0xa0, &tlv(0x86, url.as_bytes()));
    sequence(&[&sequence(&[&tlv(0xa0, &full_name)])])
}

fn vek_extensions(what: &VekSubject<'_>, odd: &Oddities) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    for (id, value) in odd_values(what, odd) {
        let copies = if odd.duplicated.contains(&id) { 2 } else { 1 };
        list.extend(vec![extension(&id.oid(), false, &value); copies]);
    }
    if odd.unknown_critical {
        list.push(extension(&UNKNOWN, true, &[0x05, 0x00]));
    }
    list
}

fn odd_values(what: &VekSubject<'_>, odd: &Oddities) -> Vec<(VekExtension, Vec<u8>)> {
    let mut values = vek_values(what, odd);
    values.retain(|(id, _)| !odd.missing.contains(id));
    for (id, value) in &odd.replaced {
        values.retain(|(other, _)| other != id);
        values.push((*id, value.clone()));
    }
    values
}

/// The values in the order real certificates have them.
fn vek_values(what: &VekSubject<'_>, odd: &Oddities) -> Vec<(VekExtension, Vec<u8>)> {
    use VekExtension as E;
    let tcb = odd.tcb.unwrap_or(what.tcb);
    let levels = match what.generation {
        Generation::Turin => TURIN_LEVELS.as_slice(),
        Generation::Milan | Generation::Genoa => LEVELS.as_slice(),
    };
    let product = odd.product.as_deref().unwrap_or(product(what.kind, what.generation));
    let version = u8::from(what.generation == Generation::Turin);
    let mut values = vec![(E::StructVersion, unsigned(&[version])), (E::Product, ia5(product))];
    values.extend(levels.iter().map(|(id, level)| (*id, unsigned(&[level(&tcb)]))));
    values.push(match what.kind {
        VekKind::Vcek => (E::HwId, odd.hw_id.clone().unwrap_or_else(|| what.hw_id.to_vec())),
        VekKind::Vlek => (E::CspId, ia5(what.csp_id)),
    });
    values
}

const fn product(kind: VekKind, generation: Generation) -> &'static str {
    match kind {
        VekKind::Vcek => generation::vcek_product(generation),
        VekKind::Vlek => generation.name(),
    }
}

/// Common name of an endorsement key.
pub(crate) const fn common_name(kind: VekKind) -> &'static str {
    match kind {
        VekKind::Vcek => "SEV-VCEK",
        VekKind::Vlek => "SEV-VLEK",
    }
}

type Level = fn(&Tcb) -> u8;

const LEVELS: [(VekExtension, Level); 8] = [
    (VekExtension::BlSpl, |tcb| tcb.bootloader),
    (VekExtension::TeeSpl, |tcb| tcb.tee),
    (VekExtension::Spl4, |_| 0),
    (VekExtension::Spl5, |_| 0),
    (VekExtension::Spl6, |_| 0),
    (VekExtension::Spl7, |_| 0),
    (VekExtension::SnpSpl, |tcb| tcb.snp),
    (VekExtension::UcodeSpl, |tcb| tcb.microcode),
];

const TURIN_LEVELS: [(VekExtension, Level); 8] = [
    (VekExtension::FmcSpl, |tcb| tcb.fmc),
    (VekExtension::BlSpl, |tcb| tcb.bootloader),
    (VekExtension::TeeSpl, |tcb| tcb.tee),
    (VekExtension::SnpSpl, |tcb| tcb.snp),
    (VekExtension::Spl5, |_| 0),
    (VekExtension::Spl6, |_| 0),
    (VekExtension::Spl7, |_| 0),
    (VekExtension::UcodeSpl, |tcb| tcb.microcode),
];

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
const STATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.8");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
/// In the arc for UUIDs (X.667), so that it can mean nothing to anybody.
const UNKNOWN: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.25.1848115937");

#[cfg(test)]
mod tests {
    use super::*;

    /// Both spellings of the PSS parameters are those of real certificates.
    #[test]
    fn pss_parameters_end_as_real_ones_do() {
        assert!(pss(PssParameters::Short).ends_with(&[0xa2, 0x03, 0x02, 0x01, 0x30]));
        assert_eq!(pss(PssParameters::Short).len(), 67);
        let trailer = [0xa2, 0x03, 0x02, 0x01, 0x30, 0xa3, 0x03, 0x02, 0x01, 0x01];
        assert!(pss(PssParameters::WithTrailer).ends_with(&trailer));
        assert_eq!(pss(PssParameters::WithTrailer).len(), 72);
    }
}
