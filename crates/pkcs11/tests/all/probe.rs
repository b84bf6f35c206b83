use crate::place::alone;
use skerry_pkcs11::{Ability, Curve, Fault, Hash, Kwp};

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
