//! Endorsements of utility VMs as Confidential ACI has them: COSE_Sign1 (RFC 9052) under a chain of
//! its own, in the form of 2023 (payload in place). The hash-envelope form of 2025 is not made.

use std::convert::Infallible;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::ObjectIdentifier;
use minicbor::Encoder;
use minicbor::data::Tag;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::certificate::{
    COMMON_NAME, ORGANIZATION, attribute, authority_key_id, basic_constraints, extensions, key_usage, subject_key_id,
    tbs, validity,
};
use crate::encode::{bits, extension, oid, sequence, unsigned, utf8};
use crate::keys::EcKey;
use crate::pem::{self, Blocks};
use crate::root::certified_spki;
use crate::{SimulatorError, dates};

/// Feed of the utility VM of Confidential ACI (observed).
pub const UVM_FEED: &str = "ContainerPlat-AMD-UVM";

/// How the security version is written in the payload. Both occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndorsementForm {
    /// As a string of decimal digits.
    #[default]
    TextSvn,
    /// As a number.
    IntegerSvn,
}

/// Signs endorsements of utility VMs: a P-384 key under two authorities of its own.
pub struct UvmSigner {
    signed_at: SystemTime,
    key: EcKey,
    /// Leaf, intermediate, root.
    chain: [Vec<u8>; 3],
}

impl UvmSigner {
    /// A new signer; the leaf is valid for one year from `now`, the authorities for 25. The keys
    /// of the authorities are forgotten. Endorsements say they were signed at `now`.
    pub fn generate(now: SystemTime, rng: &mut dyn CryptoRng) -> Result<Self, SimulatorError> {
        let [root, intermediate, leaf] = [random_key(rng)?, random_key(rng)?, random_key(rng)?];
        let [(leaf_years, leaf_name), (ca_years, intermediate_name), (_, root_name)] = NAMES;
        let until = |years| dates::years_later(now, years).map(|later| (now, later));
        let root_der = Issue {
            subject: (root_name, &root),
            issuer: (root_name, &root),
            serial: 1,
            validity: until(ca_years)?,
            extensions: vec![subject_key_id(&root.id()), basic_constraints(None), key_usage(1, 0x06)],
        };
        let intermediate_der = Issue {
            subject: (intermediate_name, &intermediate),
            issuer: (root_name, &root),
            serial: 2,
            validity: until(ca_years)?,
            extensions: vec![
                subject_key_id(&intermediate.id()),
                authority_key_id(&root.id()),
                basic_constraints(Some(0)),
                key_usage(1, 0x06),
            ],
        };
        let leaf_der = Issue {
            subject: (leaf_name, &leaf),
            issuer: (intermediate_name, &intermediate),
            serial: 3,
            validity: until(leaf_years)?,
            extensions: vec![
                subject_key_id(&leaf.id()),
                authority_key_id(&intermediate.id()),
                // digitalSignature.
                key_usage(7, 0x80),
                extension(&EXTENDED_KEY_USAGE, false, &sequence(&[&oid(&UVM_EKU)])),
            ],
        };
        let chain = [leaf_der.certificate()?, intermediate_der.certificate()?, root_der.certificate()?];
        Ok(Self { signed_at: now, key: leaf, chain })
    }

    /// A signer that [`UvmSigner::to_pem`] wrote. The caller vouches for the text.
    pub fn from_pem(text: &str) -> Result<Self, SimulatorError> {
        let mut blocks = Blocks::new(text);
        let header = blocks.take(HEADER)?;
        let malformed = SimulatorError::MalformedHeader { len: header.len() };
        let secs = header.as_slice().try_into().map_err(|_| malformed)?;
        let key = EcKey::from_pkcs8(&blocks.take(pem::PRIVATE_KEY)?, 0)?;
        let mut certificate = || blocks.take(pem::CERTIFICATE).map(|der| der.to_vec());
        let chain = [certificate()?, certificate()?, certificate()?];
        blocks.finish()?;
        let [leaf, _, _] = &chain;
        if certified_spki(leaf, 0)? != key.spki() {
            return Err(SimulatorError::KeyMismatch { index: 0 });
        }
        Ok(Self { signed_at: dates::from_unix_secs(u64::from_be_bytes(secs))?, key, chain })
    }

    /// Everything that makes this signer. Secret.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SimulatorError> {
        let signed_at = dates::unix_secs(self.signed_at)?.to_be_bytes();
        let mut blocks = vec![pem::block(HEADER, &signed_at)?, pem::block(pem::PRIVATE_KEY, &self.key.to_pkcs8()?)?];
        for der in &self.chain {
            blocks.push(pem::block(pem::CERTIFICATE, der)?);
        }
        Ok(pem::join(&blocks))
    }

    /// Its did:x509 identifier, version 0: fingerprint of the root and the leaf's key usage.
    pub fn did(&self) -> String {
        let [_, _, root] = &self.chain;
        let fingerprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, root));
        format!("did:x509:0:sha256:{fingerprint}::eku:{UVM_EKU}")
    }

    /// An endorsement of `measurement` at security version `svn`, in the usual form.
    pub fn endorse(&self, measurement: [u8; 48], svn: u64, feed: &str) -> Result<Vec<u8>, SimulatorError> {
        self.endorse_as(EndorsementForm::TextSvn, measurement, svn, feed)
    }

    /// An endorsement in a form of choice.
    pub fn endorse_as(
        &self,
        form: EndorsementForm,
        measurement: [u8; 48],
        svn: u64,
        feed: &str,
    ) -> Result<Vec<u8>, SimulatorError> {
        let svn = match form {
            EndorsementForm::TextSvn => format!("\"{svn}\""),
            EndorsementForm::IntegerSvn => svn.to_string(),
        };
        let payload = format!(
            "{{\n  \"x-ms-sevsnpvm-guestsvn\": {svn},\n  \"x-ms-sevsnpvm-launchmeasurement\": \"{}\"\n}}",
            hex::encode(measurement)
        );
        self.sign(payload.as_bytes(), feed)
    }

    /// A COSE_Sign1 over any payload, authentic however odd it is.
    pub fn sign(&self, payload: &[u8], feed: &str) -> Result<Vec<u8>, SimulatorError> {
        let secs = dates::unix_secs(self.signed_at)?;
        let protected = self.protected(feed, secs).map_err(|_| SimulatorError::Encoding)?;
        let to_be_signed = sig_structure(&protected, payload).map_err(|_| SimulatorError::Encoding)?;
        let signature = self.key.sign(&to_be_signed)?;
        cose_sign1(&protected, payload, &signature).map_err(|_| SimulatorError::Encoding)
    }

    /// Protected header, its members in the order observed.
    fn protected(&self, feed: &str, signing_time: u64) -> Result<Vec<u8>, CborError> {
        let [leaf, _, _] = &self.chain;
        let mut out = Encoder::new(Vec::new());
        out.map(7)?.i64(ALG)?.i64(ES384)?.i64(CONTENT_TYPE)?.str("application/json")?;
        out.i64(X5CHAIN)?.array(3)?;
        for der in &self.chain {
            out.bytes(der)?;
        }
        out.i64(X5T)?.array(2)?.i64(COSE_SHA256)?.bytes(digest(&SHA256, leaf).as_ref())?;
        out.str("iss")?.str(&self.did())?.str("feed")?.str(feed)?;
        out.str("signingtime")?.tag(Tag::new(1))?.u64(signing_time)?;
        Ok(out.into_writer())
    }
}

type CborError = minicbor::encode::Error<Infallible>;

/// Sig_structure (RFC 9052, 4.4) without external data.
fn sig_structure(protected: &[u8], payload: &[u8]) -> Result<Vec<u8>, CborError> {
    let mut out = Encoder::new(Vec::new());
    out.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(payload)?;
    Ok(out.into_writer())
}

/// COSE_Sign1_Tagged (RFC 9052, 4.2).
fn cose_sign1(protected: &[u8], payload: &[u8], signature: &[u8]) -> Result<Vec<u8>, CborError> {
    let mut out = Encoder::new(Vec::new());
    out.tag(Tag::new(18))?.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(signature)?;
    Ok(out.into_writer())
}

/// A certificate to be issued.
struct Issue<'a> {
    subject: (&'a str, &'a EcKey),
    issuer: (&'a str, &'a EcKey),
    serial: u8,
    validity: (SystemTime, SystemTime),
    extensions: Vec<Vec<u8>>,
}

impl Issue<'_> {
    fn certificate(&self) -> Result<Vec<u8>, SimulatorError> {
        let algorithm = sequence(&[&oid(&ECDSA_WITH_SHA384)]);
        let tbs = tbs(&[
            &unsigned(&[self.serial]),
            &algorithm,
            &name(self.issuer.0),
            &validity(self.validity)?,
            &name(self.subject.0),
            &self.subject.1.spki(),
            &extensions(&self.extensions),
        ]);
        let signature = self.issuer.1.sign_der(&tbs)?;
        Ok(sequence(&[&tbs, &algorithm, &bits(0, &signature)]))
    }
}

fn name(common_name: &str) -> Vec<u8> {
    let organization = attribute(&ORGANIZATION, &utf8("Skerry simulator"));
    sequence(&[&organization, &attribute(&COMMON_NAME, &utf8(common_name))])
}

/// A scalar of 384 random bits is out of range once in 2^190.
fn random_key(rng: &mut dyn CryptoRng) -> Result<EcKey, SimulatorError> {
    let mut scalar = Zeroizing::new([0; 48]);
    rng.fill_bytes(scalar.as_mut_slice());
    EcKey::from_scalar(&scalar)
}

/// Years of validity and common names of leaf, intermediate and root.
const NAMES: [(u16, &str); 3] =
    [(1, "ContainerPlat"), (25, "Simulated Supply Chain Products CA"), (25, "Simulated Supply Chain Root CA")];

const HEADER: &str = "SKERRY SIMULATED UVM SIGNER";
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// Extended key usage of utility VM endorsements (observed).
const UVM_EKU: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.76.59.1.2");

// COSE header parameters (RFC 9052, 3.1; RFC 9360, 2) and algorithms (RFC 9053, 2.1; RFC 9054, 3.1).
const ALG: i64 = 1;
const CONTENT_TYPE: i64 = 3;
const X5CHAIN: i64 = 33;
const X5T: i64 = 34;
const ES384: i64 = -35;
const COSE_SHA256: i64 = -16;
