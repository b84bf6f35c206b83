//! The seal of a TPM 2.0: a secret that this TPM alone gives, in this state of the machine, and where wanted for a PIN.
//!
//! The secret lies in a sealed data object under the TPM's own storage key (ECC P-256, the owner's hierarchy, made anew each time
//! from the TPM's seed). Its policy is PolicyPCR over the chosen registers, then PolicyAuthValue, with an empty value where there is
//! no PIN. Commands and answers go in salted sessions, the secret encrypted in both directions, so that who listens on the bus
//! learns nothing; and the storage key's name is noted in the file, so that who sits in between cannot put his own in its place when
//! the root is taken out.
//!
//! Not here: TPMs whose owner hierarchy has an authorization, NV storage, sealing to registers as they will be.

mod device;
mod error;
mod object;
mod session;
mod wire;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use device::Device;
pub use error::TpmError;
pub use object::{Object, Registers};

use crate::error::UnsealError;
use crate::file::{Kind, SealedRoot, Secret};
use crate::passphrase::Passphrase;
use session::{CONTINUE, DECRYPT, ENCRYPT, Opening, Session, digest};
use wire::{Reader, Writer, command, response};

/// A root sealed by the TPM at this device, to its registers as they are now, and to a PIN if there is one.
pub fn seal(
    device: &mut Device,
    root: &Zeroizing<[u8; 32]>,
    registers: Registers,
    pin: Option<&Passphrase>,
    rng: &mut dyn CryptoRng,
) -> Result<SealedRoot, UnsealError> {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(secret.as_mut_slice());
    let object = Tpm { device, rng: &mut *rng }.create(&secret, registers, pin)?;
    SealedRoot::seal(root, Kind::Tpm(object), &Secret::new(secret), rng)
}

/// The root in this file, iff this is the TPM that sealed it, its registers are what they were, the PIN is right, and nothing was
/// altered since.
pub fn open(
    device: &mut Device,
    sealed: &SealedRoot,
    pin: Option<&Passphrase>,
    rng: &mut dyn CryptoRng,
) -> Result<Zeroizing<[u8; 32]>, UnsealError> {
    let Kind::Tpm(object) = sealed.kind() else {
        return Err(UnsealError::OtherKind { expected: "tpm", found: sealed.kind().word() });
    };
    if object.has_pin() && pin.is_none() {
        // Without trying, since a try counts.
        return Err(UnsealError::Tpm(TpmError::Pin));
    }
    let secret = Tpm { device, rng }.unseal(object, pin.filter(|_| object.has_pin()))?;
    sealed.open(&Secret::new(secret))
}

/// Reads an answer as this crate does, and does nothing with it: for fuzzing.
#[doc(hidden)]
pub fn read_answer(octets: &[u8]) -> Result<(), TpmError> {
    let (tag, body) = response(octets)?;
    let _ = Primary::read(body);
    let _ = session_of(body);
    parts(tag, body, true).map(drop)
}

struct Tpm<'a> {
    device: &'a mut Device,
    rng: &'a mut dyn CryptoRng,
}

/// The TPM's storage key, while it is loaded.
struct Primary {
    handle: u32,
    name: Vec<u8>,
    x: [u8; 32],
    y: [u8; 32],
}

impl Tpm<'_> {
    fn create(
        mut self,
        secret: &Zeroizing<[u8; 32]>,
        registers: Registers,
        pin: Option<&Passphrase>,
    ) -> Result<Object, TpmError> {
        let primary = self.primary()?;
        let made = self.create_under(&primary, secret, registers, pin);
        self.flush(primary.handle);
        made
    }

    fn create_under(
        &mut self,
        primary: &Primary,
        secret: &Zeroizing<[u8; 32]>,
        registers: Registers,
        pin: Option<&Passphrase>,
    ) -> Result<Object, TpmError> {
        self.has(registers)?;
        let trial = self.session(primary, TRIAL)?;
        let policy = self.policy(&trial, registers).and_then(|()| self.policy_digest(&trial));
        self.flush(trial.handle);
        let (policy, auth) = (policy?, auth_of(pin));
        // Fixed to this TPM; opened by policy alone; without a PIN there is nothing to guess, so nothing to lock out for.
        let attributes = FIXED | if pin.is_some() { 0 } else { NO_DA };
        let public =
            Writer::default().u16(KEYEDHASH).u16(SHA_256).u32(attributes).sized(&policy).u16(NULL).u16(0).done();
        let sensitive = Zeroizing::new(Writer::default().sized(&auth).sized(secret.as_slice()).done());
        let mut parameters = Zeroizing::new(Writer::default().sized(&sensitive).sized(&public).u16(0).u32(0).done());
        let mut session = self.session(primary, HMAC)?;
        let handles = [(primary.handle, primary.name.as_slice())];
        let answer = self.run(CREATE, &handles, &mut parameters, &mut session, &[], DECRYPT, false);
        self.flush(session.handle);
        let (_, answer) = answer?;
        let mut reader = Reader::new(&answer);
        let (private, public) = (reader.sized()?.to_vec(), reader.sized()?.to_vec());
        Object::new(&primary.name, pin.is_some(), registers, public, private)
    }

    fn unseal(mut self, object: &Object, pin: Option<&Passphrase>) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        let primary = self.primary()?;
        let opened = if primary.name == object.parent() {
            self.unseal_under(&primary, object, pin)
        } else {
            Err(TpmError::OtherTpm)
        };
        self.flush(primary.handle);
        opened
    }

    fn unseal_under(
        &mut self,
        primary: &Primary,
        object: &Object,
        pin: Option<&Passphrase>,
    ) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        let mut session = self.session(primary, HMAC)?;
        let mut parameters = Writer::default().sized(object.private()).sized(object.public()).done();
        let handles = [(primary.handle, primary.name.as_slice())];
        let loaded = self.run(LOAD, &handles, &mut parameters, &mut session, &[], 0, true);
        self.flush(session.handle);
        let (handle, _) = loaded?;
        let handle = handle.ok_or(TpmError::Malformed)?;
        let opened = self.unseal_loaded(primary, handle, object, pin);
        self.flush(handle);
        opened
    }

    fn unseal_loaded(
        &mut self,
        primary: &Primary,
        handle: u32,
        object: &Object,
        pin: Option<&Passphrase>,
    ) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        let mut session = self.session(primary, POLICY)?;
        let name = name_of(object.public());
        let answer = self
            .policy(&session, object.registers())
            .and_then(|()| self.run(UNSEAL, &[(handle, &name)], &mut [], &mut session, &auth_of(pin), ENCRYPT, false));
        self.flush(session.handle);
        let (_, answer) = answer?;
        let mut reader = Reader::new(&answer);
        let data = reader.sized()?;
        reader.end()?;
        let mut secret = Zeroizing::new([0; 32]);
        if data.len() != secret.len() {
            return Err(TpmError::Malformed);
        }
        secret.copy_from_slice(data);
        Ok(secret)
    }

    /// The storage key, made from the TPM's seed: the same every time, until the TPM is cleared.
    fn primary(&mut self) -> Result<Primary, TpmError> {
        let password = Writer::default().u32(PASSWORD).u16(0).u8(CONTINUE).u16(0).done();
        let template = Writer::default().u16(ECC).u16(SHA_256).u32(STORAGE_KEY).u16(0);
        let template = template.u16(AES).u16(128).u16(CFB).u16(NULL).u16(P256).u16(NULL).u16(0).u16(0).done();
        let body = Writer::default()
            .u32(OWNER)
            .u32(u32::try_from(password.len()).map_err(|_| TpmError::Malformed)?)
            .raw(&password)
            .sized(&Writer::default().u16(0).u16(0).done())
            .sized(&template)
            .u16(0)
            .u32(0)
            .done();
        let answer = self.device.transmit(&command(SESSIONS, CREATE_PRIMARY, &body))?;
        let (_, body) = response(&answer).map_err(|error| match error {
            TpmError::Pin => TpmError::Owner,
            error => error,
        })?;
        Primary::read(body)
    }

    fn session(&mut self, primary: &Primary, kind: u8) -> Result<Session, TpmError> {
        let opening = Opening::new(&primary.x, &primary.y, self.rng)?;
        let body = Writer::default()
            .u32(primary.handle)
            .u32(NO_HANDLE)
            .sized(&opening.nonce)
            .sized(&opening.secret)
            .u8(kind)
            .u16(AES)
            .u16(128)
            .u16(CFB)
            .u16(SHA_256)
            .done();
        let answer = self.device.transmit(&command(NO_SESSIONS, START_AUTH_SESSION, &body))?;
        let (handle, nonce) = session_of(response(&answer)?.1)?;
        Ok(opening.session(handle, nonce))
    }

    /// Registers that are not there PolicyPCR passes over, and a policy over none of them binds to nothing (Part 3, 23.7).
    fn has(&mut self, registers: Registers) -> Result<(), TpmError> {
        let body = Writer::default().u32(CAP_PCRS).u32(0).u32(1).done();
        let there = Registers::allocated(&self.plain(GET_CAPABILITY, &body)?)?;
        if registers.is_within(there) { Ok(()) } else { Err(TpmError::Bank) }
    }

    /// What the object's policy asks for, in its order.
    fn policy(&mut self, session: &Session, registers: Registers) -> Result<(), TpmError> {
        if !registers.is_empty() {
            let body = Writer::default().u32(session.handle).u16(0).raw(&registers.selection()).done();
            self.plain(POLICY_PCR, &body)?;
        }
        self.plain(POLICY_AUTH_VALUE, &session.handle.to_be_bytes()).map(drop)
    }

    fn policy_digest(&mut self, session: &Session) -> Result<Vec<u8>, TpmError> {
        let body = self.plain(POLICY_GET_DIGEST, &session.handle.to_be_bytes())?;
        let mut reader = Reader::new(&body);
        let policy = reader.sized()?.to_vec();
        reader.end()?;
        if policy.len() == 32 { Ok(policy) } else { Err(TpmError::Malformed) }
    }

    /// A command without sessions.
    fn plain(&mut self, code: u32, body: &[u8]) -> Result<Vec<u8>, TpmError> {
        let answer = self.device.transmit(&command(NO_SESSIONS, code, body))?;
        response(&answer).map(|(_, body)| body.to_vec())
    }

    /// A command under a session: the handle of the answer, if it has one, and its parameters.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of one command, and a struct of them would be used once"
    )]
    fn run(
        &mut self,
        code: u32,
        handles: &[(u32, &[u8])],
        parameters: &mut [u8],
        session: &mut Session,
        auth: &[u8],
        encrypted: u8,
        has_handle: bool,
    ) -> Result<(Option<u32>, Zeroizing<Vec<u8>>), TpmError> {
        let attributes = CONTINUE | encrypted;
        let names: Vec<&[u8]> = handles.iter().map(|(_, name)| *name).collect();
        let area = session.authorize(code, &names, parameters, auth, attributes, self.rng)?;
        let body = handles.iter().fold(Writer::default(), |writer, (handle, _)| writer.u32(*handle));
        let len = u32::try_from(area.len()).map_err(|_| TpmError::Malformed)?;
        let body = body.u32(len).raw(&area).raw(parameters).done();
        let answer = self.device.transmit(&command(SESSIONS, code, &body))?;
        let (tag, body) = response(&answer)?;
        let (handle, parameters, area) = parts(tag, body, has_handle)?;
        Ok((handle, session.verify(code, parameters, area, auth, attributes)?))
    }

    /// What cannot be flushed is gone with the device's resource manager, or with the next reset.
    fn flush(&mut self, handle: u32) {
        let _ = self.plain(FLUSH_CONTEXT, &handle.to_be_bytes());
    }
}

impl Primary {
    fn read(body: &[u8]) -> Result<Primary, TpmError> {
        let (handle, parameters, _) = parts(SESSIONS, body, true)?;
        let public = Reader::new(parameters).sized()?;
        let mut reader = Reader::new(public);
        let expected = [ECC, SHA_256];
        if [reader.u16()?, reader.u16()?] != expected || reader.u32()? != STORAGE_KEY || !reader.sized()?.is_empty() {
            return Err(TpmError::Malformed);
        }
        for expected in [AES, 128, CFB, NULL, P256, NULL] {
            if reader.u16()? != expected {
                return Err(TpmError::Malformed);
            }
        }
        let (x, y) = (coordinate(reader.sized()?)?, coordinate(reader.sized()?)?);
        reader.end()?;
        Ok(Primary { handle: handle.ok_or(TpmError::Malformed)?, name: name_of(public), x, y })
    }
}

/// Some TPMs leave zeros in front away.
fn coordinate(octets: &[u8]) -> Result<[u8; 32], TpmError> {
    let mut all = [0; 32];
    let at = all.len().checked_sub(octets.len()).ok_or(TpmError::Malformed)?;
    all.get_mut(at..).ok_or(TpmError::Malformed)?.copy_from_slice(octets);
    Ok(all)
}

fn session_of(body: &[u8]) -> Result<(u32, &[u8]), TpmError> {
    let mut reader = Reader::new(body);
    let (handle, nonce) = (reader.u32()?, reader.sized()?);
    reader.end()?;
    Ok((handle, nonce))
}

type Parts<'a> = (Option<u32>, &'a [u8], &'a [u8]);

/// Handle, parameters and authorization area of an answer under a session.
fn parts(tag: u16, body: &[u8], has_handle: bool) -> Result<Parts<'_>, TpmError> {
    if tag != SESSIONS {
        return Err(TpmError::Malformed);
    }
    let mut reader = Reader::new(body);
    let handle = if has_handle { Some(reader.u32()?) } else { None };
    let len = usize::try_from(reader.u32()?).map_err(|_| TpmError::Malformed)?;
    Ok((handle, reader.take(len)?, reader.rest()))
}

/// Part 1, 16: the algorithm, and the digest of the public area.
fn name_of(public: &[u8]) -> Vec<u8> {
    [SHA_256.to_be_bytes().as_slice(), &digest(&[public])].concat()
}

/// A PIN of any length as an authorization value, which has at most 32 octets, and which the TPM keeps without trailing zeros.
fn auth_of(pin: Option<&Passphrase>) -> Zeroizing<Vec<u8>> {
    let Some(pin) = pin else { return Zeroizing::new(Vec::new()) };
    let whole = Zeroizing::new(digest(&[b"skerry tpm pin:", pin.octets()]));
    let len = whole.iter().rposition(|octet| *octet != 0).map_or(0, |last| last.saturating_add(1));
    Zeroizing::new(whole.iter().take(len).copied().collect())
}

// Part 2, 6: constants.
const CAP_PCRS: u32 = 5;
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const CREATE_PRIMARY: u32 = 0x131;
const CREATE: u32 = 0x153;
const LOAD: u32 = 0x157;
const UNSEAL: u32 = 0x15e;
const FLUSH_CONTEXT: u32 = 0x165;
const POLICY_AUTH_VALUE: u32 = 0x16b;
const START_AUTH_SESSION: u32 = 0x176;
const GET_CAPABILITY: u32 = 0x17a;
const POLICY_PCR: u32 = 0x17f;
const POLICY_GET_DIGEST: u32 = 0x189;
const OWNER: u32 = 0x4000_0001;
const NO_HANDLE: u32 = 0x4000_0007;
const PASSWORD: u32 = 0x4000_0009;
const HMAC: u8 = 0;
const POLICY: u8 = 1;
const TRIAL: u8 = 3;
const AES: u16 = 0x0006;
const KEYEDHASH: u16 = 0x0008;
const SHA_256: u16 = 0x000b;
const NULL: u16 = 0x0010;
const ECC: u16 = 0x0023;
const CFB: u16 = 0x0043;
const P256: u16 = 0x0003;
/// fixedTPM, fixedParent.
const FIXED: u32 = 1 << 1 | 1 << 4;
const NO_DA: u32 = 1 << 10;
/// TCG's template of a storage root key: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt.
const STORAGE_KEY: u32 = FIXED | 1 << 5 | 1 << 6 | NO_DA | 1 << 16 | 1 << 17;
