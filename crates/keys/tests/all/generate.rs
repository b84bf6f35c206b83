//! Generated keys, seen through a release: the right form, and a public half that matches.

use crate::fixtures::{binding, custody, material, rng};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use der::asn1::{AnyRef, BitStringRef, ContextSpecific, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader};
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::PublicKeyParts;
use skerry_keys::{Curve, CustodyError, KeyType, OctBits, PreparedKey, PublicKey, RsaBits};

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

#[test]
fn rsa_is_pkcs8_of_the_public_half() {
    // Another author's reader finds in the released PKCS#8 the modulus that was published, of exact size.
    for bits in RsaBits::ALL {
        let binding = binding(KeyType::Rsa { bits });
        let (public, sealed) = custody().generate(binding, &mut rng()).unwrap();
        let PublicKey::Rsa { n, e } = public else {
            panic!("no rsa key");
        };
        let key = rsa::PrivateKey::from_pkcs8_der(material(&sealed, &binding).expose()).unwrap();
        assert_eq!(n, &*key.n_bytes());
        assert_eq!(n.len() * 8, bits.bits());
        assert_eq!(e, [1, 0, 1]);
    }
}

#[test]
fn prepared_keys_are_placed_under_their_own_type_alone() {
    // What was made beforehand is released as what was published; under a binding of another size it is refused.
    let bits = RsaBits::B2048;
    let prepared = || PreparedKey::generate(bits).unwrap();
    let place = binding(KeyType::Rsa { bits });
    let (public, sealed) = custody().place(place, prepared(), &mut rng()).unwrap();
    let PublicKey::Rsa { n, .. } = public else {
        panic!("no rsa key");
    };
    let key = rsa::PrivateKey::from_pkcs8_der(material(&sealed, &place).expose()).unwrap();
    assert_eq!(n, &*key.n_bytes());
    for other in [KeyType::Rsa { bits: RsaBits::B3072 }, KeyType::Ec { curve: Curve::P256 }] {
        let refused = custody().place(binding(other), prepared(), &mut rng());
        assert_eq!(refused.err(), Some(CustodyError::OtherTerms));
    }
}

#[test]
fn ec_is_pkcs8_of_the_public_half() {
    // The released PKCS#8 opens in the library, names its curve, and has the public point inside (RFC 5915).
    let curves = [
        (Curve::P256, "1.2.840.10045.3.1.7", &ECDSA_P256_SHA256_FIXED_SIGNING),
        (Curve::P384, "1.3.132.0.34", &ECDSA_P384_SHA384_FIXED_SIGNING),
        (Curve::P521, "1.3.132.0.35", &ECDSA_P521_SHA512_FIXED_SIGNING),
        (Curve::P256K, "1.3.132.0.10", &ECDSA_P256K1_SHA256_FIXED_SIGNING),
    ];
    for (curve, oid, signing) in curves {
        let binding = binding(KeyType::Ec { curve });
        let (public, sealed) = custody().generate(binding, &mut rng()).unwrap();
        let PublicKey::Ec { curve: found, x, y } = public else {
            panic!("no ec key");
        };
        assert_eq!((found, x.len(), y.len()), (curve, curve.field_len(), curve.field_len()));
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        let released = material(&sealed, &binding);
        let pair = EcdsaKeyPair::from_pkcs8(signing, released.expose()).unwrap();
        assert_eq!(pair.public_key().as_ref(), point);
        let (found_oid, found_d_len, found_point) = ec_pkcs8(released.expose()).unwrap();
        assert_eq!(found_oid, ObjectIdentifier::new_unwrap(oid));
        assert_eq!(found_d_len, curve.field_len());
        assert_eq!(found_point, point);
    }
}

/// Curve, length of the scalar and public point of a PKCS#8 document, read by its structure alone.
fn ec_pkcs8(der: &[u8]) -> der::Result<(ObjectIdentifier, usize, Vec<u8>)> {
    let mut outer = SliceReader::new(AnyRef::from_der(der)?.value())?;
    assert_eq!(u8::decode(&mut outer)?, 0);
    let algorithm = AnyRef::decode(&mut outer)?;
    let private = <&OctetStringRef>::decode(&mut outer)?;
    assert!(outer.is_finished());
    let mut algorithm = SliceReader::new(algorithm.value())?;
    assert_eq!(ObjectIdentifier::decode(&mut algorithm)?, ID_EC_PUBLIC_KEY);
    let curve = ObjectIdentifier::decode(&mut algorithm)?;
    let mut inner = SliceReader::new(AnyRef::from_der(private.as_bytes())?.value())?;
    assert_eq!(u8::decode(&mut inner)?, 1);
    let d = <&OctetStringRef>::decode(&mut inner)?;
    let point = ContextSpecific::<BitStringRef<'_>>::decode_explicit(&mut inner, der::TagNumber(1))?;
    let point = point.unwrap().value.as_bytes().unwrap().to_vec();
    Ok((curve, d.as_bytes().len(), point))
}

#[test]
fn symmetric_is_raw_octets() {
    // A symmetric key leaves as its octets, as many as its type says, and publishes nothing.
    for bits in OctBits::ALL {
        let binding = binding(KeyType::Oct { bits });
        let (public, sealed) = custody().generate(binding, &mut rng()).unwrap();
        assert_eq!(public, PublicKey::Oct);
        assert_eq!(material(&sealed, &binding).expose().len() * 8, bits.bits());
    }
}

#[test]
fn sizes_are_a_closed_list() {
    // Only sizes on the list have a type.
    for bits in RsaBits::ALL {
        assert_eq!(RsaBits::from_bits(bits.bits()), Some(bits));
    }
    for bits in OctBits::ALL {
        assert_eq!(OctBits::from_bits(bits.bits()), Some(bits));
    }
    assert_eq!(RsaBits::from_bits(1024), None);
    assert_eq!(OctBits::from_bits(512), None);
}
