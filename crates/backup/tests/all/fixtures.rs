//! Small backups, and the keys that open them.

use std::io::{Cursor, Write};
use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use skerry_audit::{End, Head};
use skerry_backup::{About, Backup, Part, ReadError, Recipient, RecoveryKey, Summary, WriteError, Writer};
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{Entry, Exported, OpId, Revision, Row, Settled};
use zeroize::Zeroizing;

/// A recovery key: what is kept in a safe, and what servers have.
pub(crate) struct Custodian {
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
}

impl Custodian {
    pub(crate) fn of(pkcs8: Vec<u8>, pair: &KeyPair, params: CertificateParams) -> Custodian {
        let certificate = params.self_signed(pair).unwrap().der().to_vec();
        Custodian { pkcs8, certificate }
    }

    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::from_der(&self.certificate).unwrap()
    }

    pub(crate) fn key(&self) -> RecoveryKey {
        RecoveryKey::from_pkcs8(&self.pkcs8).unwrap()
    }
}

pub(crate) fn rsa_pair() -> (Vec<u8>, KeyPair) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pkcs8 = pkcs8.as_ref().to_vec();
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &PKCS_RSA_SHA256).unwrap();
    (pkcs8, pair)
}

pub(crate) fn rsa() -> &'static Custodian {
    static KEY: OnceLock<Custodian> = OnceLock::new();
    KEY.get_or_init(|| {
        let (pkcs8, pair) = rsa_pair();
        Custodian::of(pkcs8, &pair, CertificateParams::default())
    })
}

pub(crate) fn p256() -> Custodian {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    Custodian::of(pair.serialize_der(), &pair, CertificateParams::default())
}

pub(crate) fn p384() -> Custodian {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    Custodian::of(pair.serialize_der(), &pair, CertificateParams::default())
}

pub(crate) const LOG: &[u8] = b"the octets of a log";

pub(crate) fn about(rows: usize, log: usize) -> About {
    let head = Head { log: [4; 16], records: 9, hash: [5; 32] };
    About {
        id: [1; 16],
        installation: [2; 16],
        kind: Kind::Serve,
        made: 1_800_000_000,
        revision: 77,
        rows: u64::try_from(rows).unwrap(),
        log: End { head, len: u64::try_from(log).unwrap() },
    }
}

pub(crate) fn root() -> Root {
    Root::new(Zeroizing::new([9; 32]))
}

pub(crate) fn row(key: &str, value: &[u8]) -> Exported {
    let entry = Entry { value: value.to_vec(), created: Revision(3), modified: Revision(5), version: 2 };
    Exported::Entry(Row { key: key.into(), entry })
}

/// Entries, then op ids of both kinds.
pub(crate) fn rows() -> Vec<Exported> {
    let op = |revision, settled| Exported::Op { revision: Revision(revision), op: OpId([8; 16]), settled };
    vec![row("a", b""), row("b", b"value"), op(76, Settled::Committed(Revision(76))), op(77, Settled::Aborted)]
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([6; 32])
}

/// Writes these rows and the log into whatever it is.
pub(crate) fn write<W: Write>(
    out: W,
    rows: &[Exported],
    recipients: &[Recipient],
    rng: &mut ChaCha20Rng,
) -> Result<(W, Summary), WriteError> {
    let mut writer = Writer::new(out, about(rows.len(), LOG.len()), recipients, &root(), rng)?;
    writer.rows(rows)?;
    writer.log(LOG)?;
    writer.finish()
}

/// The small backup.
pub(crate) fn small(recipients: &[Recipient]) -> Vec<u8> {
    write(Vec::new(), &rows(), recipients, &mut rng()).unwrap().0
}

/// All of a backup: its root, its rows, its log.
pub(crate) type All = ([u8; 32], Vec<Exported>, Vec<u8>, Summary);

pub(crate) fn read(file: &[u8], key: &RecoveryKey) -> Result<All, ReadError> {
    let mut backup = Backup::open(Cursor::new(file), |_| ())?;
    let mut contents = backup.unlock(key)?;
    let (mut rows, mut log) = (Vec::new(), Vec::new());
    while let Some(part) = contents.part()? {
        match part {
            Part::Rows(more) => rows.extend(more),
            Part::Log(more) => log.extend(more),
        }
    }
    assert_eq!(contents.part(), Ok(None));
    Ok((*contents.root().danger().octets(), rows, log, contents.summary().unwrap().clone()))
}
