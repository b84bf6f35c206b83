use crate::place::{MODULE, PIN, alone, settings};
use skerry_pkcs11::{Fault, Token, TokenError};

/// What is wrong with a configuration or a token is told apart, each by an error that says what to do.
#[test]
#[ignore = "needs softhsm2"]
fn each_fault_is_its_own() {
    alone("opening::each_fault_is_its_own", |place| {
        place.init("one");
        let refused = |settings| Token::open(settings).err();
        let missing = place.path().join("none.so");
        assert_eq!(
            refused(settings(missing.clone(), "one", None, PIN)),
            Some(TokenError::ModuleMissing { path: missing })
        );
        let text = place.path().join("text.so");
        std::fs::write(&text, "no module").unwrap();
        assert!(matches!(refused(settings(text, "one", None, PIN)), Some(TokenError::Module { .. })));
        let found = vec!["one".to_owned()];
        let none = TokenError::NoToken { label: "two".to_owned(), found };
        assert_eq!(refused(settings(MODULE.into(), "two", None, PIN)), Some(none));
        let found = place.open("one").unwrap().identity().serial.clone();
        let (label, expected) = ("one".to_owned(), "1234".to_owned());
        let other = TokenError::OtherSerial { label, expected, found: found.clone() };
        assert_eq!(refused(settings(MODULE.into(), "one", Some("1234"), PIN)), Some(other));
        assert!(Token::open(settings(MODULE.into(), "one", Some(&found), PIN)).is_ok());
    });
}

/// A wrong PIN is tried once, said to be wrong, and the right one is good after. (A process is logged in once for all, so this
/// one tries the wrong one first.)
#[test]
#[ignore = "needs softhsm2"]
fn wrong_pin() {
    alone("opening::wrong_pin", |place| {
        place.init("one");
        let refused = |pin| Token::open(settings(MODULE.into(), "one", None, pin)).err();
        assert_eq!(refused("not it"), Some(TokenError::PinWrong));
        assert_eq!(refused("1"), Some(TokenError::PinWrong));
        assert_eq!(refused(PIN), None);
    });
}

/// Of two tokens with one label the serial has to be said.
#[test]
#[ignore = "needs softhsm2"]
fn two_of_one_label() {
    alone("opening::two_of_one_label", |place| {
        place.init("one");
        let first = place.open("one").unwrap().identity().serial.clone();
        place.init("one");
        // The module, which was closed with the token that used it, looks for tokens when it is opened.
        assert!(matches!(place.open("one"), Err(TokenError::Ambiguous { serials, .. }) if serials.len() == 2));
        let chosen = Token::open(settings(MODULE.into(), "one", Some(&first), PIN)).unwrap();
        assert_eq!(chosen.identity().serial, first);
    });
}

/// A token without a user PIN is not initialised, whatever is said of its label.
#[test]
#[ignore = "needs softhsm2"]
fn token_without_a_pin() {
    alone("opening::token_without_a_pin", |place| {
        let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
        let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
        library.initialize(cryptoki::context::CInitializeArgs::new(flags)).unwrap();
        let slot = library.get_slots_with_token().unwrap()[0];
        library.init_token(slot, &cryptoki::types::AuthPin::new("officer".into()), "one").unwrap();
        library.finalize().unwrap();
        assert_eq!(place.open("one").err(), Some(TokenError::NotInitialised { label: "one".to_owned() }));
    });
}

/// Sessions are as many as there may be: who finds none is refused after a while, and served when one is free again.
#[test]
#[ignore = "needs softhsm2"]
fn sessions_are_bounded() {
    alone("opening::sessions_are_bounded", |place| {
        place.init("one");
        let token = Token::open(skerry_pkcs11::Settings { sessions_max: 2, ..place.settings("one") }).unwrap();
        let inner = token.run(|_| token.run(|_| Ok(token.run(|_| Ok(())))));
        assert_eq!(inner, Ok(Err(Fault::Busy)));
        assert_eq!(token.run(|_| Ok(())), Ok(()));
    });
}
