//! A TPM's seal, against an emulator (swtpm) with a state and sockets of its own for each test: what opens, and what does not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skerry_testkit::seeded;
use skerry_unseal::tpm::{self, Device, Registers, TpmError};
use skerry_unseal::{Passphrase, SealedRoot, UnsealError};
use zeroize::Zeroizing;

use crate::{passphrase, root};

/// An emulated TPM that is running, on a state that outlives it.
struct Tpm {
    process: Child,
    socket: PathBuf,
}

impl Tpm {
    fn start(state: &Path) -> Tpm {
        let socket = state.join("tpm.sock");
        std::fs::remove_file(&socket).ok();
        let unix = |name: &str| format!("type=unixio,path={}", state.join(name).display());
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .args(["--server", &unix("tpm.sock"), "--ctrl", &unix("ctrl.sock")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tpm = Tpm { process, socket };
        let begun = Instant::now();
        while Device::open(&tpm.socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "swtpm does not listen");
            std::thread::yield_now();
        }
        tpm
    }

    fn device(&self) -> Device {
        Device::open(&self.socket).map_err(|error| error.to_string()).unwrap()
    }

    fn seal(&self, registers: &[u8], pin: Option<&Passphrase>) -> SealedRoot {
        let registers = Registers::of(registers).unwrap();
        tpm::seal(&mut self.device(), &root(7), registers, pin, &mut seeded(1)).unwrap()
    }

    fn open(&self, sealed: &SealedRoot, pin: Option<&Passphrase>) -> Result<Zeroizing<[u8; 32]>, UnsealError> {
        tpm::open(&mut self.device(), sealed, pin, &mut seeded(2))
    }

    /// TPM2_PCR_Extend, or any other command as octets; the code of the answer.
    fn raw(&self, command: &[u8]) -> u32 {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(command).unwrap();
        let mut head = [0; 10];
        stream.read_exact(&mut head).unwrap();
        u32::from_be_bytes(head[6..].try_into().unwrap())
    }

    fn extend(&self, register: u8) {
        let password = [0x40, 0, 0, 9, 0, 0, 1, 0, 0];
        let head = [0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, register, 0, 0, 0, 9];
        let digest = [[0, 0, 0, 1, 0, 0x0b].as_slice(), &[5; 32]].concat();
        assert_eq!(self.raw(&[head.as_slice(), &password, &digest].concat()), 0);
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn tpm_error(result: Result<Zeroizing<[u8; 32]>, UnsealError>) -> TpmError {
    match result {
        Err(UnsealError::Tpm(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// What was sealed comes out, again and again, from a file that was written and read, and after the TPM was reset.
#[test]
#[ignore = "needs swtpm"]
fn roots_come_out_again() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let sealed = tpm.seal(&[0, 7, 23], None);
    assert_eq!(sealed.kind().word(), "tpm");
    let sealed = SealedRoot::parse(&sealed.to_bytes()).unwrap();
    // More often than a TPM has places for sessions and objects: nothing is left behind.
    for _ in 0..5 {
        assert_eq!(tpm.open(&sealed, None).unwrap(), root(7));
    }
    drop(tpm);
    let tpm = Tpm::start(state.path());
    assert_eq!(tpm.open(&sealed, None).unwrap(), root(7));
}

/// Another TPM has another seed, and so has this one once it was cleared.
#[test]
#[ignore = "needs swtpm"]
fn other_tpms_refuse() {
    let (state, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (tpm, other) = (Tpm::start(state.path()), Tpm::start(elsewhere.path()));
    let sealed = tpm.seal(&[], None);
    assert_eq!(tpm_error(other.open(&sealed, None)), TpmError::OtherTpm);
    assert_eq!(tpm.open(&sealed, None).unwrap(), root(7));
    // TPM2_Clear with the lockout's empty password.
    assert_eq!(
        tpm.raw(&[0x80, 2, 0, 0, 0, 27, 0, 0, 1, 0x26, 0x40, 0, 0, 0x0a, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0]),
        0
    );
    assert_eq!(tpm_error(tpm.open(&sealed, None)), TpmError::OtherTpm);
}

/// A register that was chosen and is another now closes the seal; one that was not chosen does not.
#[test]
#[ignore = "needs swtpm"]
fn changed_registers_refuse() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let (bound, free) = (tpm.seal(&[7, 16], None), tpm.seal(&[], None));
    tpm.extend(8);
    assert_eq!(tpm.open(&bound, None).unwrap(), root(7));
    tpm.extend(16);
    assert_eq!(tpm_error(tpm.open(&bound, None)), TpmError::Pcr);
    assert_eq!(tpm.open(&free, None).unwrap(), root(7));
    // With a reset the registers are as they were.
    drop(tpm);
    assert_eq!(Tpm::start(state.path()).open(&bound, None).unwrap(), root(7));
}

/// A TPM that has no SHA-256 registers would take a policy over them and bind nothing: it is told apart before anything is sealed.
#[test]
#[ignore = "needs swtpm"]
fn registers_that_are_not_there_bind_nothing() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    // TPM2_PCR_Allocate by the platform: all of SHA-1, none of SHA-256; good from the next start on.
    let head = [0x80, 2, 0, 0, 0, 43, 0, 0, 1, 0x2b, 0x40, 0, 0, 0x0c, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0];
    let banks = [0, 0, 0, 2, 0, 4, 3, 0xff, 0xff, 0xff, 0, 0x0b, 3, 0, 0, 0];
    assert_eq!(tpm.raw(&[head.as_slice(), &banks].concat()), 0);
    drop(tpm);
    let tpm = Tpm::start(state.path());
    let seal = |registers: &[u8]| {
        let registers = Registers::of(registers).unwrap();
        tpm::seal(&mut tpm.device(), &root(7), registers, None, &mut seeded(1))
    };
    assert_eq!(seal(&[7]).err(), Some(UnsealError::Tpm(TpmError::Bank)));
    assert_eq!(seal(&[23]).err(), Some(UnsealError::Tpm(TpmError::Bank)));
    assert_eq!(tpm.open(&seal(&[]).unwrap(), None).unwrap(), root(7), "none is asked for");
}

/// A PIN is asked for by the TPM itself, which locks out who guesses; a seal without one is never locked.
#[test]
#[ignore = "needs swtpm"]
fn pins_are_guessed_slowly() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let (pin, wrong) = (passphrase("2468"), passphrase("1234"));
    let (sealed, without) = (tpm.seal(&[0], Some(&pin)), tpm.seal(&[0], None));
    assert_eq!(tpm.open(&sealed, Some(&pin)).unwrap(), root(7));
    assert_eq!(tpm_error(tpm.open(&sealed, None)), TpmError::Pin);
    let tries =
        (0..100).map(|_| tpm_error(tpm.open(&sealed, Some(&wrong)))).take_while(|error| *error == TpmError::Pin);
    let tries = tries.count();
    assert!((1..100).contains(&tries), "{tries} wrong PINs before the lockout");
    assert_eq!(tpm_error(tpm.open(&sealed, Some(&pin))), TpmError::Lockout);
    assert_eq!(tpm.open(&without, None).unwrap(), root(7));
    assert_eq!(tpm.open(&without, Some(&wrong)).unwrap(), root(7), "a PIN that nothing asks for");
}

/// Every octet of the file counts: whichever is altered, the TPM, the file's reader or the seal around the root refuses.
#[test]
#[ignore = "needs swtpm"]
fn altered_files_refuse() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let octets = tpm.seal(&[0, 7], None).to_bytes();
    let mut seen = Vec::new();
    for at in 0..octets.len() {
        let mut altered = octets.clone();
        altered[at] ^= 1;
        let error = SealedRoot::parse(&altered).and_then(|altered| tpm.open(&altered, None)).unwrap_err();
        if !seen.contains(&error) {
            seen.push(error);
        }
    }
    for expected in [
        UnsealError::Altered,
        UnsealError::Tpm(TpmError::OtherTpm),
        UnsealError::Tpm(TpmError::Altered),
        UnsealError::Tpm(TpmError::Pcr),
        UnsealError::Tpm(TpmError::Pin),
    ] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
}

/// What is not there, is no TPM, or has an owner's password is an error of its own.
#[test]
#[ignore = "needs swtpm"]
fn absent_tpms_are_told_apart() {
    let state = tempfile::tempdir().unwrap();
    let absent = Device::open(&state.path().join("none")).map(drop).unwrap_err();
    assert_eq!(absent, TpmError::Absent(ErrorKind::NotFound));
    let tpm = Tpm::start(state.path());
    let sealed = tpm.seal(&[], None);
    let error = passphrase("words that open nothing").open(&sealed).unwrap_err();
    assert_eq!(error, UnsealError::OtherKind { expected: "passphrase", found: "tpm" });
    // TPM2_HierarchyChangeAuth of the owner to "x".
    let change =
        [0x80, 2, 0, 0, 0, 30, 0, 0, 1, 0x29, 0x40, 0, 0, 1, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0, 0, 1, b'x'];
    assert_eq!(tpm.raw(&change), 0);
    assert_eq!(tpm_error(tpm.open(&sealed, None)), TpmError::Owner);
    let socket = tpm.socket.clone();
    drop(tpm);
    assert_eq!(Device::open(&socket).map(drop).unwrap_err(), TpmError::Absent(ErrorKind::ConnectionRefused));
}

/// What goes by between a caller and a TPM, and what is made of it.
fn between(
    tpm: &Tpm,
    name: &str,
    mut change: impl FnMut(&[u8], &mut Vec<u8>) + Send + 'static,
) -> (Device, std::thread::JoinHandle<()>) {
    let path = tpm.socket.with_file_name(name);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let socket = tpm.socket.clone();
    let relay = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut tpm = UnixStream::connect(socket).unwrap();
        while let Some(command) = message(&mut client) {
            tpm.write_all(&command).unwrap();
            let mut answer = message(&mut tpm).unwrap();
            change(&command, &mut answer);
            client.write_all(&answer).unwrap();
        }
    });
    (Device::open(&path).map_err(|error| error.to_string()).unwrap(), relay)
}

/// Nobody who listens on the bus sees the secret or what stands for the PIN, neither when it is sealed nor when it comes out.
#[test]
#[ignore = "needs swtpm"]
fn who_listens_learns_nothing() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let (sender, heard) = std::sync::mpsc::channel();
    let (mut device, relay) = between(&tpm, "between", move |command, answer| {
        sender.send([command, answer].concat()).unwrap();
    });
    let pin = passphrase("2468");
    let sealed = tpm::seal(&mut device, &root(7), Registers::of(&[0]).unwrap(), Some(&pin), &mut seeded(1)).unwrap();
    assert_eq!(tpm::open(&mut device, &sealed, Some(&pin), &mut seeded(2)).unwrap(), root(7));
    drop(device);
    relay.join().unwrap();
    let heard = heard.into_iter().collect::<Vec<_>>().concat();
    let is_heard = |octets: &[u8]| heard.windows(octets.len()).any(|window| window == octets);
    // The first octets of that randomness are the secret; the last of the file's parameters, which do go by, are the control.
    let mut secret = [0; 32];
    rand_core::Rng::fill_bytes(&mut seeded(1), &mut secret);
    let octets = sealed.to_bytes();
    assert!(is_heard(&octets[octets.len() - 60 - 32..octets.len() - 60]));
    let auth = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"skerry tpm pin:2468");
    for hidden in [secret.as_slice(), &secret[..16], &[7; 16], &auth.as_ref()[..16], b"2468"] {
        assert!(!is_heard(hidden));
    }
}

/// Who changes an octet of the answer that has the secret is noticed.
#[test]
#[ignore = "needs swtpm"]
fn who_changes_answers_is_noticed() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let pin = passphrase("2468");
    let sealed = tpm.seal(&[0], Some(&pin));
    // Of the size of the secret, the secret, the nonce, the attributes, the HMAC.
    for at in [15, 20, 60, 82, 100] {
        let (mut device, relay) = between(&tpm, &format!("between-{at}"), move |command, answer| {
            // TPM2_Unseal, once it is done.
            if command[6..10] == [0, 0, 1, 0x5e] && answer.len() > 10 {
                answer[at] ^= 1;
            }
        });
        let error = tpm_error(tpm::open(&mut device, &sealed, Some(&pin), &mut seeded(3)));
        assert_eq!(error, TpmError::NotAuthentic, "octet {at}");
        drop(device);
        relay.join().unwrap();
    }
    assert_eq!(tpm.open(&sealed, Some(&pin)).unwrap(), root(7));
}

/// An answer with an octet more, at this place.
fn longer(answer: &mut Vec<u8>, at: usize) {
    answer.insert(at, 0);
    let len = u32::try_from(answer.len()).unwrap().to_be_bytes();
    answer[2..6].copy_from_slice(&len);
}

/// Answers that are not of the form they have to be are refused, whoever made them so: those under no session, of which nothing but
/// their form is known, and one under a session, at the end of what the HMAC covers.
#[test]
#[ignore = "needs swtpm"]
fn malformed_answers_are_refused() {
    let state = tempfile::tempdir().unwrap();
    let sealed = Tpm::start(state.path()).seal(&[0], None);
    type Change = fn(&mut Vec<u8>);
    let behind: Change = |answer| longer(answer, answer.len());
    // Of a primary key's public area: another type, other attributes, an octet behind the point.
    let primary: [Change; 4] = [
        |answer| answer[10 + 4 + 4 + 2 + 1] ^= 1,
        |answer| answer[10 + 4 + 4 + 2 + 4] ^= 1,
        |answer| answer[10 + 4 + 4 + 2 + 2 + 2 + 4 + 2 + 3] ^= 1,
        |answer| {
            let public = usize::from(u16::from_be_bytes([answer[18], answer[19]]));
            longer(answer, 20 + public);
            answer[17] += 1;
            answer[19] += 1;
        },
    ];
    let mut cases = vec![(0x176, behind), (0x15e, behind)];
    cases.extend(primary.map(|change| (0x131, change)));
    for (number, (code, change)) in cases.into_iter().enumerate() {
        // Anew for each: a primary key that was not understood stays, where no kernel takes it away.
        let tpm = Tpm::start(state.path());
        let (mut device, relay) = between(&tpm, &format!("open-{number}"), move |command, answer| {
            if command[6..10] == u32::to_be_bytes(code) && answer.len() > 10 {
                change(answer);
            }
        });
        let error = tpm_error(tpm::open(&mut device, &sealed, None, &mut seeded(3)));
        assert_eq!(error, TpmError::Malformed, "case {number}");
        drop(device);
        relay.join().unwrap();
    }
    // While sealing: the digest of the policy is 32 octets, and all there is; so are the banks.
    let shorter: Change = |answer| {
        answer.pop();
        answer[5] -= 1;
        answer[11] -= 1;
    };
    for (number, (code, change)) in [(0x189, behind), (0x189, shorter), (0x17a, behind)].into_iter().enumerate() {
        // Anew for each: a primary key that was not understood stays, where no kernel takes it away.
        let tpm = Tpm::start(state.path());
        let (mut device, relay) = between(&tpm, &format!("seal-{number}"), move |command, answer| {
            if command[6..10] == u32::to_be_bytes(code) && answer.len() > 10 {
                change(answer);
            }
        });
        let error = tpm::seal(&mut device, &root(7), Registers::of(&[0]).unwrap(), None, &mut seeded(1)).unwrap_err();
        assert_eq!(error, UnsealError::Tpm(TpmError::Malformed), "case {number}");
        drop(device);
        relay.join().unwrap();
    }
}

/// Every command under a session, and every session, begins with octets that were never used before; and what is made while sealing
/// is not left in a TPM that has room for three.
#[test]
#[ignore = "needs swtpm"]
fn nonces_are_fresh_and_nothing_is_left() {
    let state = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(state.path());
    let (sender, heard) = std::sync::mpsc::channel();
    let (mut device, relay) = between(&tpm, "between", move |command, _| {
        let nonce = match command[6..10] {
            // TPM2_StartAuthSession, after two handles; TPM2_Create, Load, Unseal, after a handle, a size and the session.
            [0, 0, 1, 0x76] => &command[20..52],
            [0, 0, 1, 0x53 | 0x57 | 0x5e] => &command[24..56],
            _ => return,
        };
        sender.send(nonce.to_vec()).unwrap();
    });
    let mut rng = seeded(1);
    for _ in 0..5 {
        let sealed = tpm::seal(&mut device, &root(7), Registers::of(&[0]).unwrap(), None, &mut rng).unwrap();
        assert_eq!(tpm::open(&mut device, &sealed, None, &mut rng).unwrap(), root(7));
    }
    drop(device);
    relay.join().unwrap();
    let mut nonces: Vec<Vec<u8>> = heard.into_iter().collect();
    // Two sessions and a command to seal; two and two to open.
    assert_eq!(nonces.len(), 5 * (3 + 4));
    nonces.push(vec![0; 32]);
    nonces.sort();
    assert!(nonces.windows(2).all(|two| two[0] != two[1]));
}

/// What is no TPM is given a command like any other device, and says nothing.
#[test]
fn a_file_is_no_tpm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    std::fs::write(&path, b"").unwrap();
    let mut device = Device::open(&path).map_err(|error| error.to_string()).unwrap();
    let error = tpm::seal(&mut device, &root(7), Registers::default(), None, &mut seeded(1)).unwrap_err();
    assert_eq!(error, UnsealError::Tpm(TpmError::Malformed));
    assert_eq!(std::fs::read(&path).unwrap()[6..10], [0, 0, 1, 0x31], "TPM2_CreatePrimary");
}

fn message(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = [0; 10];
    stream.read_exact(&mut head).ok()?;
    let len = usize::try_from(u32::from_be_bytes(head[2..6].try_into().unwrap())).unwrap();
    let mut octets = head.to_vec();
    octets.resize(len, 0);
    stream.read_exact(&mut octets[10..]).ok()?;
    Some(octets)
}

/// Registers are PCR 0 to 23, as bits.
#[test]
fn registers_have_numbers() {
    assert_eq!(Registers::of(&[24]), Err(TpmError::Register(24)));
    assert_eq!(Registers::of(&[23, 0, 7, 7]).unwrap().numbers(), [0, 7, 23]);
    assert!(Registers::of(&[]).unwrap().is_empty());
}
