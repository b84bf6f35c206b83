//! On what terms a token holds a key: under which of its roots, and for which algorithms.

use crate::fixtures::{binding, custody, rng};
use crate::place::{MODULE, alone};
use cryptoki::object::Attribute;
use skerry_keys::{Binding, CipherError, KeyType, OctBits, RsaBits, Strict, WrapAlgorithm};
use std::sync::Arc;
use zeroize::Zeroizing;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const OCT: KeyType = KeyType::Oct { bits: OctBits::B256 };

/// A key that stays is wrapped under the root for those, one that may leave under the other: with one of the roots gone, its keys
/// are gone, and the others are not.
#[test]
#[ignore = "needs softhsm2"]
fn keys_that_stay_have_a_root_of_their_own() {
    alone("strict_terms::keys_that_stay_have_a_root_of_their_own", |place| {
        for (gone, stays_still) in [("skerry stays 1", false), ("skerry leaves 1", true)] {
            let label = if stays_still { "leaves" } else { "stays" };
            place.init(label);
            let token = place.open(label).unwrap();
            token.make_first_roots(&mut rng()).unwrap();
            let kek = (Zeroizing::new([0x66; 32]), [0xdd; 16]);
            let custody = Strict::new(Arc::new(token), kek, *custody().kek_id());
            let leaves = binding(OCT);
            let stays = Binding { exportable: false, ..leaves };
            let [of_leaving, of_staying] =
                [leaves, stays].map(|binding| custody.generate(binding, &mut rng()).unwrap().1);
            assert!(custody.check(&of_leaving, &leaves).is_ok() && custody.check(&of_staying, &stays).is_ok());
            let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
            let slots = library.get_slots_with_token().unwrap();
            let right = |slot: &&cryptoki::slot::Slot| library.get_token_info(**slot).unwrap().label() == label;
            let session = library.open_rw_session(*slots.iter().find(right).unwrap()).unwrap();
            let [root] = session.find_objects(&[Attribute::Label(gone.into())]).unwrap()[..] else {
                panic!("one root")
            };
            session.destroy_object(root).unwrap();
            // The one that is there first: a token that lacks a root is closed from then on.
            let (there, lost) = match stays_still {
                true => ((&of_staying, &stays), (&of_leaving, &leaves)),
                false => ((&of_leaving, &leaves), (&of_staying, &stays)),
            };
            assert!(custody.check(there.0, there.1).is_ok(), "{gone} is not its root");
            assert!(custody.check(lost.0, lost.1).is_err(), "{gone} is its root");
        }
    });
}

/// A key that nobody has seen is wrapped by what is good enough for it, also where the token would do the other.
#[test]
#[ignore = "needs softhsm2"]
fn unfit_algorithms_are_refused_before_the_token_is_asked() {
    alone("strict_terms::unfit_algorithms_are_refused_before_the_token_is_asked", |place| {
        place.init("one");
        let token = place.open("one").unwrap();
        token.make_first_roots(&mut rng()).unwrap();
        let custody = Strict::new(Arc::new(token), (Zeroizing::new([0x66; 32]), [0xdd; 16]), *custody().kek_id());
        let public = custody.generate(binding(RSA), &mut rng()).unwrap().0;
        for algorithm in [WrapAlgorithm::RsaOaep, WrapAlgorithm::Rsa15] {
            let refused = CipherError::Algorithm { algorithm: algorithm.as_str(), key_type: Some(RSA) };
            assert_eq!(custody.secure_wrap(&public, algorithm).err(), Some(refused));
        }
    });
}
