//! Which certificates backups are sealed to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, PKCS_ED25519, date_time_ymd};
use skerry_backup::{Recipient, RecipientError, RecoveryKey, RecoveryKeyError, Warning, WriteError};

use crate::fixtures::*;

fn refusal(certificate: &[u8]) -> Option<RecipientError> {
    Recipient::from_der(certificate).err()
}

/// A key that is too weak, of another kind, or meant for something else, is refused, each by its name.
#[test]
fn unfit_certificates_are_refused() {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let other = Custodian::of(Vec::new(), &pair, CertificateParams::default());
    assert_eq!(refusal(&other.certificate), Some(RecipientError::KeyType));
    assert_eq!(refusal(b"no certificate"), Some(RecipientError::NotACertificate));
    assert_eq!(refusal(&[]), Some(RecipientError::NotACertificate));
    let (pkcs8, pair) = rsa_pair();
    for (usages, refused) in [
        (vec![KeyUsagePurpose::DigitalSignature], Some(RecipientError::KeyUsage { needed: "keyEncipherment" })),
        (vec![KeyUsagePurpose::KeyEncipherment], None),
    ] {
        let mut params = CertificateParams::default();
        params.key_usages = usages;
        assert_eq!(refusal(&Custodian::of(pkcs8.clone(), &pair, params).certificate), refused);
    }
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let signs = Custodian::of(Vec::new(), &pair, params);
    assert_eq!(refusal(&signs.certificate), Some(RecipientError::KeyUsage { needed: "keyAgreement" }));
}

/// A certificate with something large in it is none: it is read for its key.
#[test]
fn large_certificates_are_refused() {
    let of = |len: usize| {
        let mut params = CertificateParams::default();
        params.custom_extensions.push(rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![0; len]));
        let pair = KeyPair::generate().unwrap();
        Custodian::of(Vec::new(), &pair, params).certificate
    };
    let (small, large) = (of(15 * 1024), of(16 * 1024));
    assert!(small.len() < 16 * 1024 && large.len() > 16 * 1024);
    assert_eq!([refusal(&small), refusal(&large)], [None, Some(RecipientError::NotACertificate)]);
}

/// 1024 bits, a certificate that openssl made: too few, and how many is said.
#[test]
fn weak_keys_are_refused() {
    let der = der::pem::decode_vec(WEAK.as_bytes()).unwrap().1;
    assert_eq!(refusal(&der), Some(RecipientError::RsaBits { bits: 1024 }));
}

/// That its time is over is told and stops nothing: the key opens as before.
#[test]
fn expired_certificates_are_told_of() {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    let pair = KeyPair::generate().unwrap();
    let old = Custodian::of(pair.serialize_der(), &pair, params);
    let at = |secs| UNIX_EPOCH + Duration::from_secs(secs);
    let (begin, end) = (978_307_200, 1_009_843_200);
    assert_eq!(old.recipient().warning(SystemTime::now()), Some(Warning::Expired { not_after: end }));
    assert_eq!(old.recipient().warning(at(end)), None);
    assert_eq!(old.recipient().warning(at(begin)), None);
    assert_eq!(old.recipient().warning(at(begin - 1)), Some(Warning::NotYet { not_before: begin }));
    assert!(read(&small(&[old.recipient()]), &old.key()).is_ok());
}

/// None, more than there may be, and one key twice.
#[test]
fn sets_of_recipients_are_checked() {
    let refused = |recipients: &[Recipient]| write(Vec::new(), &rows(), recipients, &mut rng()).err();
    assert_eq!(refused(&[]), Some(WriteError::NoRecipient));
    assert_eq!(refused(&[rsa().recipient(), rsa().recipient()]), Some(WriteError::RecipientTwice));
    let many: Vec<_> = (0..17).map(|_| p256().recipient()).collect();
    assert_eq!(refused(&many), Some(WriteError::TooManyRecipients { count: 17 }));
    assert_eq!(refused(&many[..16]), None);
}

/// What is no private key, and one of another kind, is not taken for one.
#[test]
fn other_files_are_no_recovery_keys() {
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_der();
    for octets in [b"".as_slice(), b"no key", &rsa().certificate, &ed25519] {
        assert_eq!(RecoveryKey::from_pkcs8(octets).err(), Some(RecoveryKeyError::NotAKey));
    }
}

/// A point that is written short, off the curve, or not there at all: a backup to it could be opened by nobody.
#[test]
fn points_have_one_spelling() {
    let short = der::pem::decode_vec(COMPRESSED.as_bytes()).unwrap().1;
    assert_eq!(refusal(&short), Some(RecipientError::Point));
    let whole = p256().certificate;
    assert_eq!(refusal(&whole), None, "the control");
    // The point follows its curve's identifier, and the head of a bit string with 66 octets.
    let head = [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 3, 66, 0, 4];
    let at = whole.windows(head.len()).position(|octets| octets == head).unwrap() + head.len();
    for (from, to) in [(at - 1, at), (at, at + 1), (at + 63, at + 64), (at, at + 64)] {
        let mut altered = whole.clone();
        altered[from..to].fill(7);
        assert_eq!(refusal(&altered), Some(RecipientError::Point), "{from}");
    }
}

/// `openssl ec -conv_form compressed`, then `openssl req -x509 -new`.
const COMPRESSED: &str = include_str!("compressed.pem");

/// `openssl req -x509 -newkey rsa:1024 -nodes -keyout /dev/null -subj /CN=weak -days 3650`
const WEAK: &str = include_str!("weak.pem");
