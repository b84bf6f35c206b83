//! A token that is logged in to, its pool of sessions, and how it comes back.
//!
//! One login serves all sessions of a process (PKCS#11 v2.40 base, 5.6). A session is used by one caller at a time; there are at
//! most so many, and who finds none free waits for a while. When a call meets a token that is away, its caller is told
//! [`Fault::Gone`], and so is everybody until the module was closed and opened again, which the next caller tries, at most once in
//! a while. What is found then has to be the token that was there: the same serial, and roots that still open what they wrapped.
//!
//! What the module itself does not answer cannot be cut off: a thread that called it stays there as long as the module does. Who waits
//! for that thread can go away, and [notes](Token::note_silence) it, until some call comes back.

use crate::capabilities::Capabilities;
use crate::error::{Fault, TokenError};
use crate::limits::{RETRY_INTERVAL, SESSION_WAIT_MAX, SESSIONS_MAX};
use crate::object::{Shape, Use};
use crate::probe;
use crate::root::{Purpose, RootId, RootSet, Roots};
use crate::session::Session;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use rand_core::CryptoRng;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The user PIN of a token. No Debug; wiped when dropped.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// A PIN as it was read. The caller vouches that nobody else can read where it is from.
    pub fn new(text: Zeroizing<String>) -> Pin {
        Pin(text)
    }

    fn auth(&self) -> AuthPin {
        AuthPin::new(self.0.as_str().into())
    }
}

/// Which token, and how it is used.
pub struct Settings {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// Its serial; without one any token of the label will do at the start, and from then on only that.
    pub serial: Option<String>,
    /// The user PIN.
    pub pin: Pin,
    /// Sessions at the most.
    pub sessions_max: usize,
    /// How long a caller waits for one.
    pub session_wait: Duration,
    /// How often at the most a token that is away is looked for.
    pub retry_interval: Duration,
}

impl Settings {
    /// With the limits of [`crate::limits`].
    pub fn new(module: PathBuf, label: String, serial: Option<String>, pin: Pin) -> Settings {
        let (sessions_max, session_wait, retry_interval) = (SESSIONS_MAX, SESSION_WAIT_MAX, RETRY_INTERVAL);
        Settings { module, label, serial, pin, sessions_max, session_wait, retry_interval }
    }
}

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is what its name says
pub struct Identity {
    pub label: String,
    pub serial: String,
    pub manufacturer: String,
    pub model: String,
    pub firmware: String,
}

/// A token. Threads share it.
pub struct Token {
    settings: Settings,
    library: Pkcs11,
    identity: Identity,
    capabilities: Capabilities,
    state: RwLock<State>,
    /// The connection that was found dead, by its number.
    dead: AtomicU64,
    /// Whether somebody gave up waiting, and no call has come back since.
    silent: AtomicBool,
    idle: Mutex<Idle>,
    freed: Condvar,
    witnesses: Mutex<Vec<Witness>>,
}

struct State {
    /// None after an attempt to open it again that failed.
    open: Option<Connection>,
    number: u64,
    tried: Option<Instant>,
    /// Why the last attempt failed.
    why: Option<TokenError>,
}

struct Connection {
    slot: Slot,
    roots: Mutex<Arc<Roots>>,
    /// Keeps the login while the pool is empty.
    main: Mutex<cryptoki::session::Session>,
}

impl Connection {
    fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.roots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn main(&self) -> MutexGuard<'_, cryptoki::session::Session> {
        self.main.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Idle {
    sessions: Vec<(u64, cryptoki::session::Session)>,
    out: usize,
}

/// A key that a root has wrapped: only the same root opens it.
struct Witness {
    root: RootId,
    purpose: Purpose,
    wrapped: Vec<u8>,
}

impl Token {
    /// Opens a token, logs in, and tests what it does. The PIN is tried once.
    pub fn open(settings: Settings) -> Result<Token, TokenError> {
        if !settings.module.exists() {
            return Err(TokenError::ModuleMissing { path: settings.module });
        }
        let library = Pkcs11::new(&settings.module)
            .map_err(|error| TokenError::Module { path: settings.module.clone(), reason: error.to_string() })?;
        let (connection, identity) = connect(&library, &settings, settings.serial.as_deref())?;
        let session = library.open_rw_session(connection.slot).map_err(Fault::from)?;
        let capabilities = probe::probe(&session)?;
        let token = Token {
            settings,
            library,
            identity,
            capabilities,
            state: RwLock::new(State { open: Some(connection), number: 1, tried: None, why: None }),
            dead: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            idle: Mutex::default(),
            freed: Condvar::new(),
            witnesses: Mutex::default(),
        };
        token.run(|session| token.note_witnesses(session))?;
        Ok(token)
    }

    /// What the token says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the token does.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Why the token could not be opened again, while it is away. After a PIN that was refused no attempt is made.
    pub fn why_closed(&self) -> Option<TokenError> {
        self.state.try_read().ok().and_then(|state| state.why.clone())
    }

    /// At most so many callers work at once.
    pub fn sessions_max(&self) -> usize {
        self.settings.sessions_max
    }

    /// Notes that a call was not answered in time.
    pub fn note_silence(&self) {
        self.silent.store(true, Ordering::Release);
    }

    /// Whether a call was not answered in time, and none has come back since.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// Has a job done in a session of its own. Anything that the job made there is gone when it ends.
    pub fn run<T>(&self, job: impl FnOnce(&Session<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        self.ensure_open()?;
        let state = self.state.try_read().map_err(|_| Fault::Gone)?;
        let connection = state.open.as_ref().ok_or(Fault::Gone)?;
        if self.dead.load(Ordering::Acquire) == state.number {
            return Err(Fault::Gone);
        }
        let (place, raw) = Place::take(self, state.number, connection)?;
        let roots = connection.roots();
        let session = Session::new(&raw, &roots, &self.capabilities, self.capabilities.kwp);
        let result = job(&session);
        self.silent.store(false, Ordering::Release);
        let whole = !session.is_tainted();
        match &result {
            Err(Fault::Gone) => {
                self.dead.fetch_max(state.number, Ordering::AcqRel);
            }
            _ if whole => place.keep(raw),
            // Closing the session destroys what is left in it.
            _ => {}
        }
        result
    }

    /// The roots that are there, oldest first, looked up anew: another process may have made some.
    pub fn refresh_roots(&self) -> Result<Vec<RootSet>, TokenError> {
        self.ensure_open()?;
        let sets = {
            let state = self.state.try_read().map_err(|_| TokenError::Gone)?;
            let connection = state.open.as_ref().ok_or(TokenError::Gone)?;
            let found = Arc::new(Roots::find(&connection.main())?);
            *connection.roots.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
            found.sets().to_vec()
        };
        self.run(|session| self.note_witnesses(session))?;
        Ok(sets)
    }

    /// Makes the first roots. Refused where there are some.
    pub fn make_first_roots(&self, rng: &mut dyn CryptoRng) -> Result<RootSet, TokenError> {
        match self.refresh_roots()?.last() {
            Some(set) => Err(TokenError::RootThere { id: set.id }),
            None => self.make_roots(rng),
        }
    }

    /// Makes roots beside those that are there, which are the current ones from then on.
    pub fn make_next_roots(&self, rng: &mut dyn CryptoRng) -> Result<RootSet, TokenError> {
        match self.refresh_roots()?.last() {
            Some(_) => self.make_roots(rng),
            None => Err(TokenError::NoRoot),
        }
    }

    fn make_roots(&self, rng: &mut dyn CryptoRng) -> Result<RootSet, TokenError> {
        let made = {
            let state = self.state.try_read().map_err(|_| TokenError::Gone)?;
            let connection = state.open.as_ref().ok_or(TokenError::Gone)?;
            connection.roots().make(&connection.main(), rng)?
        };
        self.refresh_roots()?;
        Ok(made)
    }

    /// The roots before the current one, oldest first, also those that were not made or destroyed to the end.
    pub fn older_roots(&self) -> Result<Vec<RootSet>, TokenError> {
        self.refresh_roots()?;
        let state = self.state.try_read().map_err(|_| TokenError::Gone)?;
        Ok(state.open.as_ref().ok_or(TokenError::Gone)?.roots().older())
    }

    /// Destroys a set of roots for good, and sees that it is gone. Refused unless it is older than the current one. The caller vouches
    /// that nothing is wrapped under it which anybody needs.
    pub fn destroy_root(&self, id: RootId) -> Result<(), TokenError> {
        if !self.older_roots()?.iter().any(|set| set.id == id) {
            return Err(TokenError::NotOlder { id });
        }
        self.witnesses().retain(|witness| witness.root != id);
        {
            let state = self.state.try_read().map_err(|_| TokenError::Gone)?;
            let connection = state.open.as_ref().ok_or(TokenError::Gone)?;
            connection.roots().destroy(&connection.main(), id)?;
        }
        match self.older_roots()?.iter().any(|set| set.id == id) {
            true => Err(Fault::Malformed("token without a root that it destroyed").into()),
            false => Ok(()),
        }
    }

    /// Opens the token again if it was found dead.
    fn ensure_open(&self) -> Result<(), Fault> {
        {
            let state = self.state.try_read().map_err(|_| Fault::Gone)?;
            if state.open.is_some() && self.dead.load(Ordering::Acquire) < state.number {
                return Ok(());
            }
        }
        // Others who are still at work with the dead token end soon; whoever comes after opens it.
        let mut state = self.state.try_write().map_err(|_| Fault::Gone)?;
        if state.open.is_some() && self.dead.load(Ordering::Acquire) < state.number {
            return Ok(());
        }
        let barred = state.why.as_ref().is_some_and(TokenError::is_of_the_pin);
        if barred || state.tried.is_some_and(|tried| tried.elapsed() < self.settings.retry_interval) {
            return Err(Fault::Gone);
        }
        state.tried = Some(Instant::now());
        self.idle().sessions.clear();
        state.open = None;
        // A module that is closed forgets its login and its sessions, and connects anew when it is opened.
        let _ = self.library.clone().finalize();
        match self.reopened() {
            Ok(connection) => {
                state.number = state.number.saturating_add(1);
                state.open = Some(connection);
                state.tried = None;
                state.why = None;
                Ok(())
            }
            Err(error) => {
                state.why = Some(error);
                Err(Fault::Gone)
            }
        }
    }

    fn reopened(&self) -> Result<Connection, TokenError> {
        let (connection, _) = connect(&self.library, &self.settings, Some(&self.identity.serial))?;
        let raw = self.library.open_rw_session(connection.slot).map_err(Fault::from)?;
        let roots = connection.roots();
        let session = Session::new(&raw, &roots, &self.capabilities, self.capabilities.kwp);
        for witness in self.witnesses().iter() {
            witness.check(&session)?;
        }
        Ok(connection)
    }

    fn note_witnesses(&self, session: &Session<'_>) -> Result<(), Fault> {
        let mut witnesses = self.witnesses();
        for set in session.roots() {
            for purpose in [Purpose::Stays, Purpose::Leaves] {
                let known = |witness: &Witness| (witness.root, witness.purpose) == (set.id, purpose);
                if self.capabilities.kwp.is_some() && !witnesses.iter().any(known) {
                    witnesses.push(Witness::make(session, set.id, purpose)?);
                }
            }
        }
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn witnesses(&self) -> MutexGuard<'_, Vec<Witness>> {
        self.witnesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness {
    fn make(session: &Session<'_>, root: RootId, purpose: Purpose) -> Result<Witness, Fault> {
        let key = session.generate_aes(32, Use { extractable: true, ..Use::default() })?;
        let wrapped = session.wrap_under_root(root, purpose, &key)?;
        Ok(Witness { root, purpose, wrapped })
    }

    fn check(&self, session: &Session<'_>) -> Result<(), TokenError> {
        let under = (self.root, self.purpose);
        match session.unwrap_under_root(under, &self.wrapped, Shape::Aes, Use::default()) {
            Ok(key) => {
                drop(key);
                Ok(())
            }
            Err(Fault::Invalid { .. }) => Err(TokenError::OtherRoot { id: self.root }),
            Err(fault) => Err(fault.into()),
        }
    }
}

/// A place in the pool: it is free again when this is dropped.
struct Place<'t> {
    token: &'t Token,
    number: u64,
}

impl<'t> Place<'t> {
    /// A place, and a session in it: one that is idle, or a new one.
    fn take(
        token: &'t Token,
        number: u64,
        connection: &Connection,
    ) -> Result<(Place<'t>, cryptoki::session::Session), Fault> {
        let until = Instant::now().checked_add(token.settings.session_wait);
        let mut idle = token.idle();
        while idle.out >= token.settings.sessions_max {
            let left = until.and_then(|until| until.checked_duration_since(Instant::now())).ok_or(Fault::Busy)?;
            idle = token.freed.wait_timeout(idle, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        idle.out = idle.out.saturating_add(1);
        let place = Place { token, number };
        let kept = std::iter::from_fn(|| idle.sessions.pop()).find(|(of, _)| *of == number);
        drop(idle);
        if let Some((_, session)) = kept {
            return Ok((place, session));
        }
        match token.library.open_rw_session(connection.slot).map_err(Fault::from) {
            Ok(session) => Ok((place, session)),
            Err(fault) => {
                if fault == Fault::Gone {
                    token.dead.fetch_max(number, Ordering::AcqRel);
                }
                Err(fault)
            }
        }
    }

    /// Keeps the session for the next.
    fn keep(self, session: cryptoki::session::Session) {
        self.token.idle().sessions.push((self.number, session));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut idle = self.token.idle();
        idle.out = idle.out.saturating_sub(1);
        drop(idle);
        self.token.freed.notify_one();
    }
}

fn connect(library: &Pkcs11, settings: &Settings, serial: Option<&str>) -> Result<(Connection, Identity), TokenError> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(Fault::from(error).into()),
    }
    let (slot, info) = find(library, &settings.label, serial)?;
    check_pin_state(&info, &settings.label)?;
    let main = library.open_rw_session(slot).map_err(Fault::from)?;
    log_in(&main, &settings.pin)?;
    let roots = Mutex::new(Arc::new(Roots::find(&main)?));
    let identity = Identity {
        label: info.label().to_owned(),
        serial: info.serial_number().to_owned(),
        manufacturer: info.manufacturer_id().to_owned(),
        model: info.model().to_owned(),
        firmware: info.firmware_version().to_string(),
    };
    Ok((Connection { slot, roots, main: Mutex::new(main) }, identity))
}

fn find(library: &Pkcs11, label: &str, serial: Option<&str>) -> Result<(Slot, TokenInfo), TokenError> {
    let (mut found, mut labels) = (Vec::new(), Vec::new());
    for slot in library.get_slots_with_token().map_err(Fault::from)? {
        // A token that is taken out while they are looked at is none.
        let Ok(info) = library.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        labels.push(info.label().to_owned());
        if info.label() == label {
            found.push((slot, info));
        }
    }
    let right = |(_, info): &(Slot, TokenInfo)| serial.is_none_or(|serial| info.serial_number() == serial);
    let serials: Vec<String> = found.iter().map(|(_, info)| info.serial_number().to_owned()).collect();
    let mut matching: Vec<_> = found.into_iter().filter(right).collect();
    match (matching.pop(), matching.is_empty(), serials.into_iter().next(), serial) {
        (Some(one), true, _, _) => Ok(one),
        (Some(one), false, _, _) => {
            matching.push(one);
            let serials = matching.iter().map(|(_, info)| info.serial_number().to_owned()).collect();
            Err(TokenError::Ambiguous { label: label.to_owned(), serials })
        }
        (None, _, Some(found), Some(expected)) => {
            Err(TokenError::OtherSerial { label: label.to_owned(), expected: expected.to_owned(), found })
        }
        (None, ..) => Err(TokenError::NoToken { label: label.to_owned(), found: labels }),
    }
}

/// What the token says of its PIN, before an attempt is spent.
fn check_pin_state(info: &TokenInfo, label: &str) -> Result<(), TokenError> {
    if !info.user_pin_initialized() {
        return Err(TokenError::NotInitialised { label: label.to_owned() });
    }
    if info.protected_authentication_path() {
        return Err(TokenError::PinPad);
    }
    if info.user_pin_locked() {
        return Err(TokenError::PinLocked);
    }
    if info.user_pin_final_try() {
        return Err(TokenError::PinLastTry);
    }
    if info.user_pin_to_be_changed() {
        return Err(TokenError::PinExpired);
    }
    Ok(())
}

fn log_in(session: &cryptoki::session::Session, pin: &Pin) -> Result<(), TokenError> {
    match session.login(UserType::User, Some(&pin.auth())) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(code, function)) => Err(match code {
            RvError::PinIncorrect => TokenError::PinWrong,
            RvError::PinLocked => TokenError::PinLocked,
            RvError::PinExpired => TokenError::PinExpired,
            RvError::PinInvalid | RvError::PinLenRange => TokenError::PinForm,

            code => Fault::from(Error::Pkcs11(code, function)).into(),
        }),
        Err(error) => Err(Fault::from(error).into()),
    }
}
