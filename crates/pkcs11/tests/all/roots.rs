use crate::place::{MODULE, alone, rng};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use skerry_pkcs11::{Fault, Purpose, RootId, Shape, TokenError, Use};

/// Roots are made once, found again, and newer ones stand beside them; what an older one wrapped opens still.
#[test]
#[ignore = "needs softhsm2"]
fn made_once_and_rotated() {
    alone("roots::made_once_and_rotated", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        assert_eq!(token.make_next_roots(&mut rng()), Err(TokenError::NoRoot));
        let first = token.make_first_roots(&mut rng()).unwrap();
        assert_eq!(token.make_first_roots(&mut rng()), Err(TokenError::RootThere { id: first.id }));
        let wrapped = token.run(|session| {
            let key = session.generate_aes(32, Use { extractable: true, ..Use::default() })?;
            session.wrap_under_root(first.id, Purpose::Leaves, &key)
        });
        let wrapped = wrapped.unwrap();
        let mut seed = rng();
        rand_chacha::rand_core::Rng::fill_bytes(&mut seed, &mut [0; 64]);
        let second = token.make_next_roots(&mut seed).unwrap();
        assert_eq!((first.generation, second.generation), (1, 2));
        assert_eq!(token.refresh_roots().unwrap(), [first, second]);
        let opened = |root, purpose| {
            let unwrap = |session: &skerry_pkcs11::Session<'_>| {
                session.unwrap_under_root((root, purpose), &wrapped, Shape::Aes, Use::default()).map(drop)
            };
            token.run(unwrap)
        };
        assert_eq!(opened(first.id, Purpose::Leaves), Ok(()));
        for (root, purpose) in [(second.id, Purpose::Leaves), (first.id, Purpose::Stays)] {
            assert!(matches!(opened(root, purpose), Err(Fault::Invalid { .. })), "{:?}", opened(root, purpose));
        }
        let unknown = RootId([9; 16]);
        assert_eq!(opened(unknown, Purpose::Leaves), Err(Fault::NoRoot(unknown)));
    });
}

/// An older set goes for good, also what a cut has left of one; the current one stays, and so does what is being made.
#[test]
#[ignore = "needs softhsm2"]
fn older_ones_are_destroyed() {
    alone("roots::older_ones_are_destroyed", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        let mut seed = rng();
        let first = token.make_first_roots(&mut seed).unwrap();
        assert_eq!(token.older_roots(), Ok(Vec::new()));
        let second = token.make_next_roots(&mut seed).unwrap();
        let third = token.make_next_roots(&mut seed).unwrap();
        assert_eq!(token.older_roots(), Ok(vec![first, second]));
        for stays in [third.id, RootId([9; 16])] {
            assert_eq!(token.destroy_root(stays), Err(TokenError::NotOlder { id: stays }));
        }
        let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
        let session = library.open_rw_session(library.get_slots_with_token().unwrap()[0]).unwrap();
        let found = |label: &str| session.find_objects(&[Attribute::Label(label.as_bytes().to_vec())]).unwrap();
        session.destroy_object(found("skerry stays 2")[0]).unwrap();
        let template = [
            Attribute::Token(true),
            Attribute::ValueLen(32.into()),
            Attribute::Label(b"skerry seal 4".to_vec()),
            Attribute::Id(vec![4; 16]),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
        assert_eq!(token.older_roots(), Ok(vec![first, second]));
        token.destroy_root(second.id).unwrap();
        assert_eq!(token.refresh_roots(), Ok(vec![first, third]));
        token.destroy_root(first.id).unwrap();
        assert_eq!((token.refresh_roots(), token.older_roots()), (Ok(vec![third]), Ok(Vec::new())));
        for generation in 1..=2 {
            for word in ["seal", "stays", "leaves"] {
                assert_eq!(found(&format!("skerry {word} {generation}")), []);
            }
        }
        assert_eq!((found("skerry seal 3").len(), found("skerry seal 4").len()), (1, 1));
        let sealed = token.run(|session| session.seal(first.id, [0; 12], b"", b"text"));
        assert_eq!(sealed, Err(Fault::NoRoot(first.id)));
    });
}

/// Roots cannot be read, wrapped or used for another purpose, and what stays is not wrapped again.
#[test]
#[ignore = "needs softhsm2"]
fn roots_stay() {
    alone("roots::roots_stay", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        let root = token.make_first_roots(&mut rng()).unwrap().id;
        token
            .run(|session| {
                let key = session.generate_aes(32, Use { extractable: true, ..Use::default() })?;
                let wrapped = session.wrap_under_root(root, Purpose::Stays, &key)?;
                let stays = session.unwrap_under_root((root, Purpose::Stays), &wrapped, Shape::Aes, Use::default())?;
                assert!(matches!(session.wrap_under_root(root, Purpose::Stays, &stays), Err(Fault::Refused { .. })));
                assert_eq!(session.value(&stays).err(), Some(Fault::Malformed("value of a key")));
                assert!(matches!(session.seal(root, [0; 12], b"", b"text"), Ok(sealed) if sealed.len() == 20));
                Ok(())
            })
            .unwrap();
        // The same with the module itself, which knows nothing of us.
        let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
        let session = library.open_rw_session(library.get_slots_with_token().unwrap()[0]).unwrap();
        let roots = session.find_objects(&[Attribute::Token(true), Attribute::Id(root.0.to_vec())]).unwrap();
        assert_eq!(roots.len(), 3);
        for one in &roots {
            assert_eq!(session.get_attributes(*one, &[AttributeType::Value]).unwrap(), []);
            for other in &roots {
                for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
                    assert!(session.wrap_key(&mechanism, *other, *one).is_err());
                }
            }
        }
        let label = |name: &str| session.find_objects(&[Attribute::Label(name.as_bytes().to_vec())]).unwrap()[0];
        assert!(session.encrypt(&Mechanism::AesCbc([0; 16]), label("skerry leaves 1"), &[0; 16]).is_err());
        assert!(session.encrypt(&Mechanism::AesCbc([0; 16]), label("skerry seal 1"), &[0; 16]).is_ok(), "the control");
    });
}

/// A root that could be read out is refused, whoever made it; a set that a crash left incomplete is none. So is one that does more
/// than its one thing, is no AES key, or is there twice.
#[test]
#[ignore = "needs softhsm2"]
fn roots_of_others_are_refused() {
    alone("roots::roots_of_others_are_refused", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
        let session = library.open_rw_session(library.get_slots_with_token().unwrap()[0]).unwrap();
        let id = RootId([1; 16]);
        let template = |label: &str, extractable, seals: bool, wraps: bool| {
            [
                Attribute::Token(true),
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Id(vec![1; 16]),
                Attribute::Sensitive(true),
                Attribute::Extractable(extractable),
                Attribute::Encrypt(seals),
                Attribute::Decrypt(seals),
                Attribute::Wrap(wraps),
                Attribute::Unwrap(wraps),
            ]
        };
        let generated = |template: &[Attribute]| {
            let template = [template, &[Attribute::ValueLen(32.into())]].concat();
            session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
        };
        let make = |label: &str, extractable| {
            let seals = label.contains("seal");
            generated(&template(label, extractable, seals, !seals))
        };
        for label in ["skerry seal 1", "skerry leaves 1", "skerry stays 01", "skerry other 1", "skerry stays 0"] {
            make(label, false);
        }
        assert_eq!(token.refresh_roots(), Ok(Vec::new()), "one of the three is missing");
        let whole = make("skerry stays 1", false);
        assert_eq!(token.refresh_roots().map(|sets| sets.len()), Ok(1), "the control");
        let refused = |made| {
            let found = token.refresh_roots();
            session.destroy_object(made).unwrap();
            found.unwrap_err()
        };
        let twice = TokenError::RootTwice { id };
        assert_eq!(refused(make("skerry stays 1", false)), twice);
        assert_eq!(refused(make("skerry stays 2", false)), twice, "of two rotations");
        session.destroy_object(whole).unwrap();
        // One that decrypts what it wraps, one that wraps what it decrypts, and what each of the four would do alone.
        for (label, seals, wraps) in [
            ("skerry stays 1", true, true),
            ("skerry stays 1", true, false),
            ("skerry stays 1", false, false),
            ("skerry seal 2", true, true),
            ("skerry seal 2", false, true),
        ] {
            let made = generated(&template(label, false, seals, wraps));
            assert_eq!(refused(made), TokenError::RootUses { id }, "{label} {seals} {wraps}");
        }
        for at in 5..9 {
            let mut odd = template("skerry stays 1", false, false, true);
            odd[at] = match &odd[at] {
                Attribute::Encrypt(_) => Attribute::Encrypt(true),
                Attribute::Decrypt(_) => Attribute::Decrypt(true),
                Attribute::Wrap(_) => Attribute::Wrap(false),
                _ => Attribute::Unwrap(false),
            };
            assert_eq!(refused(generated(&odd)), TokenError::RootUses { id }, "attribute {at}");
        }
        let mut other = template("skerry stays 1", false, false, true).to_vec();
        other.extend([Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::GENERIC_SECRET)]);
        other.push(Attribute::Value(vec![5; 32]));
        assert_eq!(refused(session.create_object(&other).unwrap()), TokenError::RootUses { id });
        let mut shown = template("skerry stays 1", false, false, true);
        shown[3] = Attribute::Sensitive(false);
        assert_eq!(refused(generated(&shown)), TokenError::RootExtractable { id });
        make("skerry stays 1", true);
        assert_eq!(token.refresh_roots(), Err(TokenError::RootExtractable { id }));
        assert_eq!(place.open("one").err(), Some(TokenError::RootExtractable { id }));
    });
}
