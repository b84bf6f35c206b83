use crate::place::{MODULE, PIN, alone, settings};
use cryptoki::object::Attribute;
use skerry_pkcs11::{Ability, Curve, Fault, Hash, Kwp, Shape, Token, Use, Wrapping};

/// The self-test finds what SoftHSM2 does and does not: RFC 5649 under the other number, OAEP with SHA-1 alone.
#[test]
#[ignore = "needs softhsm2"]
fn finds_what_softhsm_does() {
    alone("probe::finds_what_softhsm_does", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        let found = token.capabilities();
        for (ability, found) in found.iter() {
            println!("{ability:?}: {found:?}");
        }
        assert_eq!(found.kwp(), Some(Kwp::Pad));
        let does = [
            Ability::GenerateAes,
            Ability::GenerateRsa,
            Ability::GenerateEc(Curve::P256),
            Ability::CreateSecret,
            Ability::Kwp,
            Ability::Unextractable,
            Ability::WrapOaep(Hash::Sha1),
            Ability::SignPkcs1,
            Ability::SignPss(Hash::Sha512),
            Ability::SignEc(Curve::P521),
            Ability::Gcm,
            Ability::Cbc,
        ];
        for ability in does {
            assert_eq!(found.demand(ability), Ok(()), "{ability:?}");
        }
        for ability in [
            Ability::KwpOdd,
            Ability::KwpPrivate,
            Ability::WrapOaep(Hash::Sha256),
            Ability::WrapOaep(Hash::Sha384),
            Ability::MlDsa,
        ] {
            assert_eq!(found.demand(ability), Err(Fault::Unsupported(ability)));
        }
    });
}

/// A token that gives something else than it says is found out by the self-test, thing by thing, and does what it does not lie about.
#[test]
#[ignore = "needs softhsm2"]
fn finds_what_is_a_lie() {
    alone("probe::finds_what_is_a_lie", |place| {
        place.init("one");
        let signs = [
            Ability::SignPkcs1,
            Ability::SignPss(Hash::Sha256),
            Ability::SignPss(Hash::Sha384),
            Ability::SignPss(Hash::Sha512),
            Ability::SignEc(Curve::P256),
            Ability::SignEc(Curve::P384),
            Ability::SignEc(Curve::P521),
            Ability::Hmac(Hash::Sha256),
            Ability::Hmac(Hash::Sha384),
            Ability::Hmac(Hash::Sha512),
        ];
        let encrypts = [Ability::Gcm, Ability::Cbc, Ability::CreateSecret];
        let decrypts = [Ability::Gcm, Ability::Cbc, Ability::DecryptPkcs1, Ability::DecryptOaep(Hash::Sha1)];
        let wraps = [Ability::WrapOaep(Hash::Sha1), Ability::Kw, Ability::Kwp];
        for (lie, finds, does) in [
            ("SIGN", signs.as_slice(), Ability::Gcm),
            ("ENCRYPT", &encrypts, Ability::SignPkcs1),
            ("DECRYPT", &decrypts, Ability::SignPkcs1),
            ("WRAPKEY", &wraps, Ability::Gcm),
            ("UNWRAPKEY", &[Ability::Unextractable], Ability::Kwp),
        ] {
            let token = Token::open(settings(place.liar(lie), "one", None, PIN)).unwrap();
            let found = token.capabilities();
            assert_eq!(found.demand(does), Ok(()), "{lie}");
            for ability in finds {
                assert_eq!(found.demand(*ability), Err(Fault::Unsupported(*ability)), "{lie}");
            }
        }
    });
}

/// A key does what was said when it came into the session, and nothing else; and is gone when nobody has it any more.
#[test]
#[ignore = "needs softhsm2"]
fn keys_do_what_they_may() {
    alone("probe::keys_do_what_they_may", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        let refused = |done: Result<(), Fault>| matches!(done, Err(Fault::Refused { .. }));
        token
            .run(|session| {
                let none = Use::default();
                let aes = |uses| session.generate_aes(32, uses);
                let gcm = |uses| aes(uses).and_then(|key| session.encrypt_gcm(&key, [1; 12], b"", b"text").map(drop));
                assert!(refused(gcm(none)) && gcm(Use { encrypt: true, ..none }).is_ok());
                let key = aes(Use { encrypt: true, ..none })?;
                let sealed = session.encrypt_gcm(&key, [1; 12], b"", b"text")?;
                assert!(refused(session.decrypt_gcm(&key, [1; 12], b"", &sealed).map(drop)));
                let carried = aes(Use { extractable: true, ..none })?;
                let under = |uses| aes(uses).and_then(|key| session.wrap(Wrapping::Kw, &key, &carried).map(drop));
                assert!(refused(under(none)) && under(Use { wrap: true, ..none }).is_ok());
                let wraps = aes(Use { wrap: true, ..none })?;
                let wrapped = session.wrap(Wrapping::Kw, &wraps, &carried)?;
                let back = session.unwrap((Wrapping::Kw, &wraps), &wrapped, Shape::Aes, none).map(drop);
                assert!(refused(back));
                assert!(refused(session.wrap(Wrapping::Kw, &wraps, &aes(none)?).map(drop)), "it stays");
                let sign = |uses| {
                    let (key, _) = session.generate_ec(Curve::P256, uses)?;
                    session.sign_ec(&key, Curve::P256, &[7; 32]).map(drop)
                };
                assert!(refused(sign(none)) && sign(Use { sign: true, ..none }).is_ok());
                let (rsa, _) = session.generate_rsa(2048, Use { sign: true, ..none })?;
                assert!(refused(session.decrypt_pkcs1(&rsa, &[1; 256]).map(drop)));
                // What may be read may, and nothing else.
                let given = |uses| session.create_secret(&[5; 32], Shape::Generic, uses);
                assert_eq!(session.value(&given(Use { readable: true, ..none })?).as_deref(), Ok(&vec![5; 32]));
                for uses in [none, Use { extractable: true, ..none }] {
                    assert_eq!(session.value(&given(uses)?).err(), Some(Fault::Malformed("value of a key")));
                }
                Ok(())
            })
            .unwrap();
        // With the module itself: sessions of one process see each other's keys.
        let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
        let session = library.open_rw_session(library.get_slots_with_token().unwrap()[0]).unwrap();
        let left = || session.find_objects(&[Attribute::Token(false)]).unwrap().len();
        assert_eq!(left(), 0);
        token
            .run(|session| {
                let _key = session.generate_aes(32, Use::default())?;
                assert_eq!(left(), 1, "the control");
                Ok(())
            })
            .unwrap();
        assert_eq!(left(), 0);
    });
}
