//! A token in another process, that is killed and started again.

use crate::place::{MODULE, PIN, Place, alone, rng, settings};
use skerry_pkcs11::{Fault, Token, TokenError, Use};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// `p11-kit server` in front of SoftHSM, ended when dropped.
struct Server(Child);

impl Server {
    fn start(place: &Place) -> Server {
        let socket = place.path().join("p11.sock");
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new("p11-kit");
        command.args(["server", "--foreground", "--provider", MODULE, "--name"]).arg(&socket).arg("pkcs11:");
        // It serves each connection from a process of its own: they end together.
        let child = command.process_group(0).stdout(Stdio::null()).spawn().unwrap();
        let server = Server(child);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            std::thread::yield_now();
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let killed = Command::new("kill").args(["-KILL", "--"]).arg(format!("-{}", self.0.id())).status();
        assert!(killed.unwrap().success());
        let _ = self.0.wait();
    }
}

/// Debian's place of it, whatever the machine.
fn client() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| folder.join("pkcs11/p11-kit-client.so")).find(|path| path.exists()).unwrap()
}

fn probe(token: &Token) -> Result<usize, Fault> {
    token.run(|session| session.generate_aes(32, Use::default()).map(|_| session.roots().len()))
}

/// The call that meets a token that went away is told so, and the next one after it is back is served; roots are found again.
#[test]
#[ignore = "needs softhsm2"]
fn after_it_went_away() {
    alone("comes_back::after_it_went_away", |place| {
        place.init("one");
        let server = Server::start(place);
        let token = Token::open(settings(client(), "one", None, PIN)).unwrap();
        for (ability, found) in token.capabilities().iter() {
            println!("{ability:?}: {found:?}");
        }
        token.make_first_roots(&mut rng()).unwrap();
        assert_eq!(probe(&token), Ok(1));
        drop(server);
        assert_eq!(probe(&token), Err(Fault::Gone));
        assert_eq!(probe(&token), Err(Fault::Gone), "it is looked for and not there");
        let _server = Server::start(place);
        assert_eq!(probe(&token), Ok(1));
        assert_eq!(probe(&token), Ok(1));
    });
}

/// Another token of the same label in its place is not taken for it, by its serial; nor is one whose roots are others.
#[test]
#[ignore = "needs softhsm2"]
fn another_in_its_place() {
    alone("comes_back::another_in_its_place", |place| {
        place.init("one");
        let server = Server::start(place);
        let token = Token::open(settings(client(), "one", None, PIN)).unwrap();
        token.make_first_roots(&mut rng()).unwrap();
        assert_eq!(probe(&token), Ok(1));
        drop(server);
        let (tokens, aside) = (place.path().join("tokens"), place.path().join("aside"));
        std::fs::rename(&tokens, &aside).unwrap();
        std::fs::create_dir(&tokens).unwrap();
        place.init("one");
        let server = Server::start(place);
        assert_eq!(probe(&token), Err(Fault::Gone));
        assert_eq!(probe(&token), Err(Fault::Gone));
        assert!(matches!(token.why_closed(), Some(TokenError::OtherSerial { .. })), "{:?}", token.why_closed());
        drop(server);
        std::fs::remove_dir_all(&tokens).unwrap();
        std::fs::rename(&aside, &tokens).unwrap();
        let _server = Server::start(place);
        assert_eq!(probe(&token), Ok(1));
    });
}

/// A root that was put in another's place, with its name and id, is noticed by what the old one wrapped.
#[test]
#[ignore = "needs softhsm2"]
fn another_root_in_its_place() {
    alone("comes_back::another_root_in_its_place", |place| {
        place.init("one");
        let token = Token::open(settings(place.relay(), "one", None, PIN)).unwrap();
        let root = token.make_first_roots(&mut rng()).unwrap();
        assert_eq!(probe(&token), Ok(1));
        end_relay();
        assert_eq!([probe(&token), probe(&token)], [Err(Fault::Gone), Ok(1)], "the control: the same roots");
        end_relay();
        exchange("skerry leaves 1");
        assert_eq!([probe(&token), probe(&token)], [Err(Fault::Gone); 2]);
        assert_eq!(token.why_closed(), Some(TokenError::OtherRoot { id: root.id }));
    });
}

/// A PIN that is refused when the token comes back is not tried again.
#[test]
#[ignore = "needs softhsm2"]
fn pin_that_was_changed_meanwhile() {
    alone("comes_back::pin_that_was_changed_meanwhile", |place| {
        place.init("one");
        let server = Server::start(place);
        let token = Token::open(settings(client(), "one", None, PIN)).unwrap();
        assert_eq!(probe(&token), Ok(0));
        drop(server);
        change_pin(PIN, "another");
        let _server = Server::start(place);
        assert_eq!([probe(&token), probe(&token)], [Err(Fault::Gone); 2]);
        assert_eq!(token.why_closed(), Some(TokenError::PinWrong));
        change_pin("another", PIN);
        assert_eq!(probe(&token), Err(Fault::Gone), "by then it would be right");
        assert_eq!(token.why_closed(), Some(TokenError::PinWrong));
    });
}

fn exchange(label: &str) {
    use cryptoki::object::{Attribute, AttributeType};
    by_hand(PIN, |session| {
        let [old] = session.find_objects(&[Attribute::Label(label.into())]).unwrap()[..] else { panic!("one root") };
        use AttributeType::{Decrypt, Encrypt, Id, Unwrap, Wrap};
        let kept = [Id, Wrap, Unwrap, Encrypt, Decrypt];
        let mut template = session.get_attributes(old, &kept).unwrap();
        template.extend([Attribute::Label(label.into()), Attribute::Token(true), Attribute::ValueLen(32.into())]);
        template.extend([Attribute::Sensitive(true), Attribute::Extractable(false)]);
        session.destroy_object(old).unwrap();
        session.generate_key(&cryptoki::mechanism::Mechanism::AesKeyGen, &template).unwrap();
    });
}

/// Ends the process that has the token: the one child of this one.
fn end_relay() {
    let own = std::process::id().to_string();
    assert!(Command::new("pkill").args(["-KILL", "-P", &own, "relay-server"]).status().unwrap().success());
}

fn change_pin(from: &str, to: &str) {
    let pin = |text: &str| cryptoki::types::AuthPin::new(text.into());
    by_hand(from, |session| session.set_pin(&pin(from), &pin(to)).unwrap());
}

/// With the module itself, which this process has not open otherwise.
fn by_hand(pin: &str, job: impl FnOnce(&cryptoki::session::Session)) {
    let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
    let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
    library.initialize(cryptoki::context::CInitializeArgs::new(flags)).unwrap();
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    let session = library.open_rw_session(slot).unwrap();
    let pin = cryptoki::types::AuthPin::new(pin.into());
    session.login(cryptoki::session::UserType::User, Some(&pin)).unwrap();
    job(&session);
    drop(session);
    library.finalize().unwrap();
}
