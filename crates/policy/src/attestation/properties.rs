//! What a policy may set besides claims, by `issueproperty` (attestation specification, 3.5).

use super::EvidenceType;
use super::syntax::Section;

/// The type of a property's value, iff this section has the property for this type of evidence.
pub(super) fn value_type(section: Section, kind: EvidenceType, name: &str) -> Option<&'static str> {
    let row = PROPERTIES.iter().find(|row| row.0 == section && row.2.contains(&kind) && row.1 == name);
    row.map(|row| row.3)
}

const ENCLAVES: &[EvidenceType] = &[EvidenceType::SgxEnclave, EvidenceType::OpenEnclave];
const TPM: &[EvidenceType] = &[EvidenceType::Tpm];

/// None of them is of a type of evidence that is attested here, so none has an effect yet.
const PROPERTIES: [(Section, &str, &[EvidenceType], &str); 5] = [
    (Section::Configuration, "x-ms-sgx-tcbidentifier", ENCLAVES, "String"),
    (Section::Configuration, "require_valid_aik_cert", TPM, "Boolean"),
    (Section::Configuration, "required_pcr_mask", TPM, "Integer"),
    (Section::Issuance, "report_validity_in_minutes", TPM, "Integer"),
    (Section::Issuance, "omit_x5c", TPM, "Boolean"),
];
