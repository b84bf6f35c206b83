//! Certificate revocation lists, version 2 (RFC 5280, 5), as the root key signs them.

use std::time::SystemTime;

use der::asn1::ObjectIdentifier;

use crate::certificate::{PssParameters, authority_key_id, name, pss, signed};
use crate::encode::{extension, sequence, tlv, unsigned};
use crate::keys::RsaKey;
use crate::{SimulatorError, dates};

/// What a list says.
pub(crate) struct List<'a> {
    pub(crate) issuer_name: &'a str,
    pub(crate) revoked_serials: &'a [u32],
    pub(crate) this_update: SystemTime,
    pub(crate) next_update: SystemTime,
}

/// The list, signed with `issuer`.
pub(crate) fn make(list: &List<'_>, issuer: &RsaKey) -> Result<Vec<u8>, SimulatorError> {
    let number = extension(&CRL_NUMBER, false, &unsigned(&[1]));
    let tbs = sequence(&[
        &unsigned(&[1]),
        &pss(PssParameters::WithTrailer),
        &name(&[list.issuer_name]),
        &dates::time(list.this_update)?,
        &dates::time(list.next_update)?,
        &revoked(list)?,
        &tlv(0xa0, &sequence(&[&authority_key_id(&issuer.id()), &number])),
    ]);
    signed(&tbs, PssParameters::WithTrailer, issuer)
}

/// revokedCertificates, which is left out rather than empty (RFC 5280, 5.1.2.6).
fn revoked(list: &List<'_>) -> Result<Vec<u8>, SimulatorError> {
    if list.revoked_serials.is_empty() {
        return Ok(Vec::new());
    }
    let date = dates::time(list.this_update)?;
    let entry = |serial: &u32| sequence(&[&unsigned(&serial.to_be_bytes()), &date]);
    let entries: Vec<u8> = list.revoked_serials.iter().flat_map(entry).collect();
    Ok(sequence(&[&entries]))
}

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
