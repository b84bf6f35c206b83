//! A release in strict custody against the bare calls of PKCS#11 that it is made of, with SoftHSM2 in this process:
//! `cargo bench -p skerry-keys --bench custody`. The aim is 0.85 of their rate.
//!
//! Both unwrap the key, take the TEE's key in, make K, wrap twice and destroy all three; the release also checks its permit and
//! record, opens our seal and looks at what it gets. Permits and records are made before, since they wait for a disk. The two take
//! turns, so that a noisy machine is noisy for both.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic)] // reason: a bench

#[allow(dead_code)] // reason: the tests use all of it
#[path = "../tests/all/fixtures.rs"]
mod fixtures;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType as InKeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use fixtures::{audit, binding, permit_for, rng, tee};
use skerry_audit::Event;
use skerry_keys::{ExportableKey, KeyType, OctBits, RsaBits, Strict, release};
use skerry_keywrap::Algorithm;
use skerry_pkcs11::{Pin, Settings, Token};
use zeroize::Zeroizing;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "1234";
const FOLDER: &str = "SKERRY_BENCH_TOKENS";
const ROUNDS: usize = 5;
const PER_ROUND: usize = 100;

fn main() {
    if std::env::var_os(FOLDER).is_some() {
        return measure();
    }
    // `cargo test --benches` needs no token.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    // The module reads its configuration from the environment.
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let run = |mut command: Command| {
        assert!(command.env("SOFTHSM2_CONF", &conf).env(FOLDER, folder.path()).status().unwrap().success());
    };
    let mut init = Command::new("softhsm2-util");
    init.args(["--init-token", "--free", "--label", "bench", "--pin", PIN, "--so-pin", PIN]);
    run(init);
    run(Command::new(std::env::current_exe().unwrap()));
}

fn measure() {
    let pin = Pin::new(Zeroizing::new(PIN.to_owned()));
    let token = Token::open(Settings::new(MODULE.into(), "bench".to_owned(), None, pin)).unwrap();
    token.make_first_roots(&mut rng()).unwrap();
    let held = Strict::new(Arc::new(token), (Zeroizing::new([1; 32]), [2; 16]), [0; 16]);
    for key_type in [KeyType::Oct { bits: OctBits::B256 }, KeyType::Rsa { bits: RsaBits::B2048 }] {
        let binding = binding(key_type);
        let (_, sealed) = held.generate(binding, &mut rng()).unwrap();
        let bare = Bare::new(key_type);
        let mut ratios: Vec<(f64, f64, f64)> = Vec::new();
        for _ in 0..ROUNDS {
            let log = audit();
            let ready: Vec<_> = (0..PER_ROUND)
                .map(|_| {
                    let permit = permit_for(binding.key);
                    let recorded = log.record(Event::Release, permit.digest());
                    (permit, recorded)
                })
                .collect();
            let begun = Instant::now();
            for (permit, recorded) in ready {
                let key = ExportableKey::new(&sealed, &binding).unwrap();
                release(&held, key, permit, recorded, Algorithm::CkmRsaAesKeyWrap, &mut rng()).unwrap();
            }
            let ours = begun.elapsed();
            let begun = Instant::now();
            for _ in 0..PER_ROUND {
                bare.release();
            }
            let theirs = begun.elapsed();
            ratios.push((theirs.as_secs_f64() / ours.as_secs_f64(), rate(ours), rate(theirs)));
        }
        ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (ratio, ours, theirs) = ratios[ROUNDS / 2];
        println!("{key_type:?}: release {ours:.0}/s, bare calls {theirs:.0}/s, ratio {ratio:.2} (median of {ROUNDS})");
    }
}

fn rate(time: Duration) -> f64 {
    u32::try_from(PER_ROUND).map_or(0.0, f64::from) / time.as_secs_f64()
}

/// The calls, and nothing else.
struct Bare {
    session: Session,
    root: ObjectHandle,
    wrapped: Vec<u8>,
    key_type: KeyType,
}

impl Bare {
    fn new(key_type: KeyType) -> Bare {
        let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
        let session = library.open_rw_session(library.get_slots_with_initialized_token().unwrap()[0]).unwrap();
        let root = session.find_objects(&[Attribute::Label(b"skerry leaves 1".to_vec())]).unwrap()[0];
        let extractable = [Attribute::Token(false), Attribute::Extractable(true), Attribute::Sensitive(true)];
        let key = match key_type {
            KeyType::Rsa { .. } => {
                let public = [Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])];
                session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &extractable).unwrap().1
            }
            _ => {
                let template = [extractable.as_slice(), &[Attribute::ValueLen(32.into())]].concat();
                session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
            }
        };
        let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, root, key).unwrap();
        Bare { session, root, wrapped, key_type }
    }

    fn release(&self) {
        let (class, kind) = match self.key_type {
            KeyType::Rsa { .. } => (ObjectClass::PRIVATE_KEY, InKeyType::RSA),
            _ => (ObjectClass::SECRET_KEY, InKeyType::AES),
        };
        let kept = [Attribute::Token(false), Attribute::Extractable(true), Attribute::Sensitive(true)];
        let template = [kept.as_slice(), &[Attribute::Class(class), Attribute::KeyType(kind)]].concat();
        let key = self.session.unwrap_key(&Mechanism::AesKeyWrapPad, self.root, &self.wrapped, &template).unwrap();
        let (n, e) = tee().public_components();
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(InKeyType::RSA),
            Attribute::Token(false),
            Attribute::Wrap(true),
            Attribute::Modulus(n.to_vec()),
            Attribute::PublicExponent(e.to_vec()),
        ];
        let target = self.session.create_object(&template).unwrap();
        let template = [kept.as_slice(), &[Attribute::ValueLen(32.into()), Attribute::Wrap(true)]].concat();
        let k = self.session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
        let oaep = PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, PkcsOaepSource::empty());
        let first = self.session.wrap_key(&Mechanism::RsaPkcsOaep(oaep), target, k).unwrap();
        let second = self.session.wrap_key(&Mechanism::AesKeyWrapPad, k, key).unwrap();
        assert!(!first.is_empty() && !second.is_empty());
        for object in [key, target, k] {
            self.session.destroy_object(object).unwrap();
        }
    }
}
