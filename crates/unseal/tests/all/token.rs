use crate::place::{alone, rng};
use skerry_pkcs11::{RootId, TokenError};
use skerry_unseal::{TokenSeal, TokenSealError};

/// What a token sealed it opens, under older roots too; no octet of it can change, and no other token opens it.
#[test]
#[ignore = "needs softhsm2"]
fn sealed_by_a_token() {
    alone("token::sealed_by_a_token", |place| {
        place.init("one");
        place.init("two");
        let token = place.open("one").unwrap();
        assert_eq!(TokenSeal::seal(&token, &[7; 32], &mut rng()), Err(TokenSealError::Token(TokenError::NoRoot)));
        let first = token.make_first_roots(&mut rng()).unwrap();
        let sealed = TokenSeal::seal(&token, &[7; 32], &mut rng()).unwrap();
        assert_eq!(sealed.root(), first.id);
        let bytes = sealed.to_bytes();
        assert_eq!(TokenSeal::parse(&bytes), Ok(sealed.clone()));
        assert_eq!(sealed.open(&token).map(|secret| *secret), Ok([7; 32]));
        let opened = |bytes: &[u8]| TokenSeal::parse(bytes).and_then(|sealed| sealed.open(&token)).err();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let expected = match at {
                0..8 => TokenSealError::NotASeal,
                8..24 => {
                    let id = RootId(*altered[8..].first_chunk().unwrap());
                    TokenSealError::Token(TokenError::RootMissing { id })
                }
                24 => TokenSealError::UnknownFormat { format: 0 },
                _ => TokenSealError::Altered,
            };
            assert_eq!(opened(&altered), Some(expected), "octet {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(opened(&bytes[..len]), Some(TokenSealError::Length { len }));
        }
        let len = bytes.len() + 1;
        assert_eq!(opened(&[bytes.as_slice(), &[0]].concat()), Some(TokenSealError::Length { len }));
        let mut seed = rng();
        rand_chacha::rand_core::Rng::fill_bytes(&mut seed, &mut [0; 64]);
        let second = token.make_next_roots(&mut seed).unwrap();
        assert_eq!(sealed.open(&token).map(|secret| *secret), Ok([7; 32]));
        assert_eq!(TokenSeal::seal(&token, &[7; 32], &mut rng()).unwrap().root(), second.id);
        let again = [TokenSeal::seal(&token, &[7; 32], &mut seed), TokenSeal::seal(&token, &[7; 32], &mut seed)];
        let [one, two] = again.map(|sealed| sealed.unwrap().to_bytes());
        assert!(one[..25] == two[..25] && one[25..37] != two[25..37], "an iv of its own for each");
        let other = place.open("two").unwrap();
        let missing = TokenSealError::Token(TokenError::RootMissing { id: first.id });
        assert_eq!(sealed.open(&other).err(), Some(missing));
    });
}
