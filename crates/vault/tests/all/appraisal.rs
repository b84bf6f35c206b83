//! Appraisal policies that callers set: kept, put on record, and used from the moment that they are acknowledged; and
//! documents that somebody signed.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use skerry_identity::Principal;
use skerry_jose::json::Object;
use skerry_jose::{Algorithm, SigningKey, b64};
use skerry_policy::attestation::{DocumentError, EvidenceType, PolicyDocument, Trust};
use skerry_store::stamp::Kind;
use skerry_store::{At, Check, Fault, Faults, Op, OpId, Outcome, Store, Txn};
use skerry_vault::appraisal::{AppraisalPolicies, Author, PolicyRefusal};
use skerry_vault::limits::ATTEMPTS_MAX;
use skerry_vault::{Installation, Refusal};
use tempfile::TempDir;

use crate::support::*;

const PERMIT: &str = "version=1.0;authorizationrules{=>permit();};";
const DENY: &str = "version=1.0;authorizationrules{=>deny();};";
const SNP: EvidenceType = EvidenceType::SevSnpVm;

fn installation(store: &Store, folder: &Path) -> Arc<Installation> {
    let limits = skerry_audit::Limits::default();
    let opening = Installation::open(store.clone(), root(), Kind::Serve, folder, limits, at(NOW), &randomness);
    Arc::new(wait(opening).unwrap().0)
}

/// An installation's policies, and its log.
struct Site {
    policies: AppraisalPolicies,
    store: Store,
    folder: TempDir,
    started: usize,
}

fn site() -> Site {
    site_on(Store::memory(), Trust::Callers)
}

fn site_on(store: Store, trust: Trust) -> Site {
    let folder = TempDir::new().unwrap();
    let policies = AppraisalPolicies::new(installation(&store, folder.path()), trust);
    let started = read_records(folder.path()).len();
    Site { policies, store, folder, started }
}

impl Site {
    fn set(&self, kind: EvidenceType, document: &str) -> Result<Arc<PolicyDocument>, PolicyRefusal> {
        let caller = caller();
        wait(self.policies.set(&author(&caller), kind, document))
    }

    fn reset(&self, kind: EvidenceType, document: &str) -> Result<(), PolicyRefusal> {
        let caller = caller();
        wait(self.policies.reset(&author(&caller), kind, document))
    }

    /// The document that is set.
    fn is(&self, kind: EvidenceType) -> Option<String> {
        wait(self.policies.set_for(kind)).unwrap().map(|set| set.text().to_owned())
    }

    fn records(&self) -> Vec<Object> {
        read_records(self.folder.path()).into_iter().skip(self.started).collect()
    }
}

fn caller() -> Principal {
    Principal::new("https://login.example", "alice")
}

fn author(principal: &Principal) -> Author<'_> {
    Author { principal, request_id: "r-1", now: at(NOW), randomness: &randomness }
}

fn payload(text: &str) -> String {
    b64::encode(Object::new().with("AttestationPolicy", b64::encode(text)).to_json())
}

fn unsigned(text: &str) -> String {
    format!("{UNSIGNED}.{}.", payload(text))
}

/// `{"alg":"none"}`.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0";

/// What is set is what is used next, for its own type and no other, until it is set anew or reset.
#[test]
fn policies_are_set_and_reset() {
    let site = site();
    assert_eq!(site.is(SNP), None);
    for kind in EvidenceType::ALL {
        for text in [PERMIT, DENY] {
            let document = unsigned(text);
            assert_eq!(site.set(kind, &document).unwrap().text(), document);
            assert_eq!(site.is(kind), Some(document));
        }
    }
    let reset = format!("{UNSIGNED}..");
    assert_eq!(site.reset(EvidenceType::Tpm, &reset), Ok(()));
    assert_eq!((site.is(EvidenceType::Tpm), site.is(SNP)), (None, Some(unsigned(DENY))));
    let records = site.records().len();
    assert_eq!(site.reset(EvidenceType::Tpm, &reset), Ok(()), "nothing to reset");
    assert_eq!(site.records().len(), records, "and so nothing on record");
}

/// What was set is there after a restart, and is not judged anew by who may sign since.
#[test]
fn policies_outlive_the_process() {
    let Site { policies, store, folder, .. } = {
        let site = site();
        site.set(SNP, &unsigned(DENY)).unwrap();
        site
    };
    drop(policies);
    let trust = Trust::signers(&[rsa().certificate.clone()]).unwrap();
    let again = AppraisalPolicies::new(installation(&store, folder.path()), trust);
    assert_eq!(wait(again.set_for(SNP)).unwrap().unwrap().policy().text(), DENY);
}

/// Intent and outcome are on record with who, what and the policy's digest; what is refused is not, and changes nothing.
#[test]
fn changes_are_on_record() {
    let site = site();
    site.set(SNP, &unsigned(PERMIT)).unwrap();
    site.reset(SNP, &format!("{UNSIGNED}..")).unwrap();
    let records = site.records();
    let said: Vec<_> = records.iter().map(|record| (text(record, "event"), text(record, "verdict"))).collect();
    let (intended, committed) = (("authority-changed", "intended"), ("authority-changed", "committed"));
    assert_eq!(said, [intended, committed, intended, committed]);
    for record in &records {
        assert_eq!((text(record, "who"), text(record, "request")), ("https://login.example alice", "r-1"));
    }
    assert_eq!(text(&records[0], "subject"), text(&records[1], "subject"));
    assert_ne!(text(&records[0], "subject"), text(&records[2], "subject"));
    let digest = hex_of(site.set(SNP, &unsigned(PERMIT)).unwrap().policy().hash());
    assert_eq!(text(&records[0], "policy"), digest);
    let document = sha256_hex(&unsigned(PERMIT));
    assert_eq!(text(&records[0], "explanation"), format!("appraisal policy of SevSnpVm set by document {document}"));
    assert_eq!(text(&records[2], "explanation"), "appraisal policy of SevSnpVm reset");
    let before = site.records().len();
    let refused = site.set(SNP, &unsigned("version=1.0;")).unwrap_err();
    assert!(matches!(refused, PolicyRefusal::Document(DocumentError::Policy(_))));
    assert_eq!(site.reset(SNP, &unsigned(PERMIT)), Err(PolicyRefusal::Document(DocumentError::ResetPayload)));
    assert_eq!((site.records().len(), site.is(SNP)), (before, Some(unsigned(PERMIT))));
}

fn hex_of(base64url: &str) -> String {
    hex::encode(b64::decode(base64url).unwrap())
}

fn sha256_hex(text: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

/// A commit that was lost is tried again, one whose answer was lost is found out; none is set that the caller does not learn of.
#[test]
fn uncertain_commits_are_settled() {
    for fault in [Fault::Lost, Fault::Unanswered] {
        let faults = Faults::default();
        let site = site_on(Store::memory_with(faults.clone()), Trust::Callers);
        faults.then(fault);
        site.set(SNP, &unsigned(DENY)).unwrap();
        assert_eq!(site.is(SNP), Some(unsigned(DENY)), "{fault:?}");
        for _ in 0..ATTEMPTS_MAX {
            faults.then(Fault::Lost);
        }
        assert_eq!(site.set(SNP, &unsigned(PERMIT)).unwrap_err(), PolicyRefusal::Vault(Refusal::Contended));
        assert_eq!(site.is(SNP), Some(unsigned(DENY)), "{fault:?}");
    }
}

/// A record that was altered, or put in the place of another type, gives neither a policy nor the default.
#[test]
fn altered_records_are_refused() {
    let site = site();
    site.set(SNP, &unsigned(DENY)).unwrap();
    let at = |kind: EvidenceType| [b"a/p/", kind.name().as_bytes()].concat();
    let row = wait(site.store.get(&at(SNP), At::Linearizable)).unwrap().unwrap();
    let mut altered = row.value.clone();
    altered[100] ^= 1;
    for (op, kind, value) in [(1, SNP, altered), (2, EvidenceType::TdxVm, row.value)] {
        let op = OpId([op; 16]);
        let txn = Txn { op, checks: Vec::<Check>::new(), ops: vec![Op::Put(at(kind), value)] };
        assert!(matches!(wait(site.store.commit(&txn)).unwrap(), Outcome::Committed(_)));
        let refused = wait(site.policies.set_for(kind)).unwrap_err();
        assert!(matches!(refused, Refusal::Corrupted(_)), "{refused:?}");
        assert!(matches!(site.set(kind, &unsigned(PERMIT)).unwrap_err(), PolicyRefusal::Vault(Refusal::Corrupted(_))));
    }
}

/// A key that signs documents, and its certificate.
struct Signs {
    key: SigningKey,
    certificate: Vec<u8>,
}

fn made() -> Signs {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key.to_pkcs8().unwrap().as_slice().into(), &PKCS_RSA_SHA256);
    let certificate = CertificateParams::default().self_signed(&pair.unwrap()).unwrap();
    Signs { key, certificate: certificate.der().to_vec() }
}

fn rsa() -> &'static Signs {
    static SIGNS: OnceLock<Signs> = OnceLock::new();
    SIGNS.get_or_init(made)
}

fn other() -> &'static Signs {
    static SIGNS: OnceLock<Signs> = OnceLock::new();
    SIGNS.get_or_init(made)
}

impl Signs {
    fn x5c(&self) -> String {
        format!(r#"["{}"]"#, b64::encode_standard(&self.certificate))
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{payload}", b64::encode(header));
        let signature = self.key.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", b64::encode(signature))
    }
}

/// Documents in the forms that clients send are verified, and say who signed them (recorded forms).
#[test]
fn signed_documents_say_who_signed() {
    let site = site();
    let x5c = rsa().x5c();
    let escaped = x5c.replace('+', "\\u002B");
    for header in [
        format!(r#"{{"alg": "RSA256", "jwk": {{"x5c": {x5c}}}}}"#),
        format!(r#"{{"alg":"RS256","x5c":{x5c}}}"#),
        format!(r#"{{"alg":"RSA256","x5c":{escaped}}}"#),
        format!(r#"{{"typ":"JWT","alg":"RS256","jwk":{{"kty":"RSA","x5c":{x5c}}}}}"#),
    ] {
        let document = rsa().sign(&header, &payload(PERMIT));
        let set = site.set(SNP, &document).unwrap();
        let signer = set.signer().unwrap();
        assert_eq!(signer.key(), rsa().key.public());
        assert_eq!(signer.claim().to_json(), format!(r#"{{"kty":"RSA","x5c":{x5c}}}"#));
        assert_eq!(signer.result().to_json(), format!(r#"{{"alg":"RS256","kty":"RSA","use":"sig","x5c":{x5c}}}"#));
        assert_eq!(site.is(SNP), Some(document));
        assert_eq!(site.reset(SNP, &rsa().sign(&header, "")), Ok(()));
    }
}

/// A signature that does not hold refuses, also where nobody has to sign.
#[test]
fn signatures_have_to_hold() {
    let site = site();
    let header = format!(r#"{{"alg":"RS256","x5c":{}}}"#, rsa().x5c());
    let good = rsa().sign(&header, &payload(PERMIT));
    let refused = |document: &str| match site.set(SNP, document) {
        Err(PolicyRefusal::Document(error)) => error,
        other => panic!("{other:?}"),
    };
    let (input, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{input}.")), DocumentError::Signature);
    assert_eq!(refused(&other().sign(&header, &payload(PERMIT))), DocumentError::Signature);
    let (head, _) = input.split_once('.').unwrap();
    assert_eq!(refused(&format!("{head}.{}.{signature}", payload(DENY))), DocumentError::Signature);
    let spelt = b64::encode(format!("{header} "));
    assert_eq!(refused(&format!("{spelt}.{}.{signature}", payload(PERMIT))), DocumentError::Signature);
    let mut octets = b64::decode(signature).unwrap();
    for at in 0..octets.len() {
        octets[at] ^= 1;
        assert_eq!(refused(&format!("{input}.{}", b64::encode(&octets))), DocumentError::Signature, "{at}");
        octets[at] ^= 1;
    }
    let none = format!("{UNSIGNED}.{}.{signature}", payload(PERMIT));
    assert_eq!(refused(&none), DocumentError::UnsignedWithSignature);
    let jwk = other().key.public().to_jwk();
    let n = jwk.get("n").unwrap().to_json();
    let mixed = format!(r#"{{"alg":"RS256","jwk":{{"kty":"RSA","n":{n},"e":"AQAB","x5c":{}}}}}"#, rsa().x5c());
    assert!(matches!(refused(&rsa().sign(&mixed, &payload(PERMIT))), DocumentError::Certificate(_)));
    let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let ec = CertificateParams::default().self_signed(&ec).unwrap().der().to_vec();
    let header = format!(r#"{{"alg":"RS256","x5c":["{}"]}}"#, b64::encode_standard(&ec));
    assert!(matches!(refused(&rsa().sign(&header, &payload(PERMIT))), DocumentError::Certificate(_)));
    assert!(matches!(Trust::signers(&[ec]), Err(DocumentError::Certificate(_))));
    let header = format!(r#"{{"alg":"PS256","x5c":{}}}"#, rsa().x5c());
    assert_eq!(refused(&rsa().sign(&header, &payload(PERMIT))), DocumentError::Algorithm("PS256".into()));
    assert_eq!(site.is(SNP), None);
    assert_eq!(site.records().len(), 0);
}

/// Where there are signers, theirs are taken and no others, to set and to reset alike.
#[test]
fn signers_alone_may_sign() {
    let site = site_on(Store::memory(), Trust::signers(&[rsa().certificate.clone()]).unwrap());
    let of = |signs: &Signs, payload: &str| signs.sign(&format!(r#"{{"alg":"RS256","x5c":{}}}"#, signs.x5c()), payload);
    let refused = |error| Err(PolicyRefusal::Document(error));
    assert_eq!(site.set(SNP, &unsigned(PERMIT)).map(drop), refused(DocumentError::Unsigned));
    assert_eq!(site.set(SNP, &of(other(), &payload(PERMIT))).map(drop), refused(DocumentError::UnknownSigner));
    let impostor = other().sign(&format!(r#"{{"alg":"RS256","x5c":{}}}"#, rsa().x5c()), &payload(PERMIT));
    assert_eq!(site.set(SNP, &impostor).map(drop), refused(DocumentError::Signature));
    assert_eq!(site.is(SNP), None);
    assert!(site.set(SNP, &of(rsa(), &payload(DENY))).is_ok());
    assert_eq!(site.reset(SNP, &format!("{UNSIGNED}..")), refused(DocumentError::Unsigned));
    assert_eq!(site.reset(SNP, &of(other(), "")), refused(DocumentError::UnknownSigner));
    assert!(site.is(SNP).is_some());
    assert_eq!(site.reset(SNP, &of(rsa(), "")), Ok(()));
    assert_eq!(site.is(SNP), None);
}
