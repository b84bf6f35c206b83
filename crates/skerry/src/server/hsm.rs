//! The token, the root key that it seals, and keys that are moved to its newest root.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skerry_jose::json::{self, Object};
use skerry_keys::{Level, Token, TokenError};
use skerry_pkcs11::{RootId, RootSet, Settings};
use skerry_unseal::TokenSealError;
use skerry_vault::command::Context;
use skerry_vault::limits::TOKEN_TIME_MAX;
use skerry_vault::{HeldError, Rewrap, Vault, explained};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::edge::{self, Failure};
use crate::root::{self, Source};

/// A root key in the clear.
type Root = Zeroizing<[u8; 32]>;

/// The root key, and the token if it holds all keys. A token that only sealed the root is not needed any longer.
pub(crate) fn take(
    source: &Source,
    (custody, hsm): (Level, Option<Settings>),
    passphrase_file: Option<&Path>,
) -> Result<(Root, Option<Arc<Token>>), Failure> {
    match (source, hsm) {
        (Source::Token(sealed), Some(settings)) => {
            let token = open(settings)?;
            let root = sealed.open(&token).map_err(refuse_seal)?;
            Ok((root, (custody == Level::HsmStrict).then(|| Arc::new(token))))
        }
        (source, _) => Ok((root::take(source, passphrase_file)?, None)),
    }
}

/// Opens a token and tests it.
pub(crate) fn open(settings: Settings) -> Result<Token, Failure> {
    Token::open(settings).map_err(refuse)
}

/// Who must act: whoever configures, whoever attaches the token, or whoever has its backup.
pub(crate) fn refuse(error: TokenError) -> Failure {
    let integrity = matches!(
        error,
        TokenError::RootMissing { .. }
            | TokenError::OtherRoot { .. }
            | TokenError::RootExtractable { .. }
            | TokenError::RootUses { .. }
            | TokenError::RootTwice { .. }
            | TokenError::OtherSerial { .. }
    );
    let away = matches!(error, TokenError::Gone | TokenError::NoToken { .. });
    let error = anyhow::Error::new(error);
    match (integrity, away) {
        (true, _) => Failure::integrity(error),
        (_, true) => Failure::unavailable(error),
        _ => error.into(),
    }
}

pub(super) fn refuse_held(error: HeldError) -> Failure {
    match error {
        HeldError::Token(error) => refuse(error),
        error => Failure::unavailable(error.into()),
    }
}

pub(crate) fn refuse_seal(error: TokenSealError) -> Failure {
    match error {
        TokenSealError::Token(error) => refuse(error),
        error @ TokenSealError::Altered => Failure::integrity(anyhow::Error::new(error).context("server.root_key")),
        error => anyhow::Error::new(error).context("server.root_key").into(),
    }
}

/// Moves all keys of a server to the newest root of its token, when there is one that was not there before.
pub(crate) struct Moving {
    token: Arc<Token>,
    data: PathBuf,
    /// The root under which everything is known to be.
    done: Mutex<Option<RootId>>,
    /// Whether a thread asks the token.
    looking: Arc<AtomicBool>,
}

impl Moving {
    pub(crate) fn new(token: Arc<Token>, data: PathBuf) -> Moving {
        Moving { token, data, done: Mutex::new(None), looking: Arc::default() }
    }

    /// The root that keys are to be moved to; none if there is nothing to do.
    pub(crate) async fn due(&self) -> Result<Option<RootId>, String> {
        let roots = match self.roots().await {
            Ok(Ok(roots)) => roots,
            Ok(Err(error)) => return Err(format!("roots of the token cannot be looked for: {}", edge::chain(error))),
            Err(why) => return Err(format!("roots of the token cannot be looked for: {why}")),
        };
        let done = *self.done.lock().unwrap_or_else(PoisonError::into_inner);
        // With one root there is nothing that could be under another.
        Ok(roots.last().filter(|_| roots.len() > 1).map(|newest| newest.id).filter(|id| Some(*id) != done))
    }

    /// Asked on a thread of its own, which is left to itself when the token does not answer: until it comes back no other is sent, and
    /// nobody who ends waits for it.
    async fn roots(&self) -> Result<Result<Vec<RootSet>, TokenError>, &'static str> {
        const SILENT: &str = "the token does not answer";
        let (token, (answer, answered)) = (Arc::clone(&self.token), oneshot::channel());
        let looking = Arc::clone(&self.looking);
        if looking.swap(true, Ordering::AcqRel) {
            return Err(SILENT);
        }
        let look = move || {
            let roots = token.refresh_roots();
            looking.store(false, Ordering::Release);
            // Who asked may have gone.
            let _ = answer.send(roots);
        };
        if std::thread::Builder::new().name("roots".to_owned()).spawn(look).is_err() {
            self.looking.store(false, Ordering::Release);
            return Err("no thread can be started");
        }
        match timeout(TOKEN_TIME_MAX, answered).await {
            Ok(Ok(roots)) => Ok(roots),
            Ok(Err(_)) => Err("the thread that looked ended"),
            Err(_) => {
                self.token.note_silence();
                Err(SILENT)
            }
        }
    }

    /// One pass over all vaults; what went wrong.
    pub(crate) async fn pass<'a>(
        &self,
        root: RootId,
        vaults: impl Iterator<Item = (&'a String, &'a Arc<Vault>, Context<'a>)>,
        stop: &watch::Receiver<bool>,
    ) -> Vec<String> {
        let (mut failures, mut progress) = (Vec::new(), Progress { root, ..Progress::none() });
        let vaults: Vec<_> = vaults.collect();
        for (name, vault, context) in &vaults {
            match vault.count(context).await {
                Ok(keys) => progress.total = progress.total.saturating_add(keys),
                Err(refusal) => return vec![format!("vault {name}: {}", explained(&refusal))],
            }
        }
        let mut stopped = false;
        for (name, vault, context) in &vaults {
            let before = progress.clone();
            let moved = vault.rewrap(context, |so_far| {
                progress.keys = before.keys.saturating_add(so_far.keys);
                progress.moved = before.moved.saturating_add(so_far.moved);
                if progress.keys.is_multiple_of(KEYS_BETWEEN_NOTES) {
                    progress.write(&self.data);
                }
                stopped = *stop.borrow();
                if stopped { Rewrap::Stop } else { Rewrap::GoOn }
            });
            match moved.await {
                Ok(done) => {
                    let failed =
                        |(key, why): &(_, _)| format!("vault {name}: key {key} is not moved: {}", explained(why));
                    failures.extend(done.failed.iter().map(failed));
                }
                Err(refusal) => failures.push(format!("vault {name}: keys are not moved: {}", explained(&refusal))),
            }
        }
        progress.finished = failures.is_empty() && !stopped;
        progress.write(&self.data);
        if progress.finished {
            *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(root);
        }
        failures
    }
}

/// How far keys have been moved, in a file beside the store, for whoever asks. Nothing rests on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) root: RootId,
    pub(crate) total: u64,
    pub(crate) keys: u64,
    pub(crate) moved: u64,
    pub(crate) finished: bool,
}

impl Progress {
    fn none() -> Progress {
        Progress { root: RootId([0; 16]), total: 0, keys: 0, moved: 0, finished: false }
    }

    /// None of what cannot be read: it may be half written.
    pub(crate) fn read(data: &Path) -> Option<Progress> {
        let text = std::fs::read(data.join(PROGRESS)).ok()?;
        let value = json::parse(&text, &skerry_jose::limits::JSON).ok()?;
        let object = value.as_object()?;
        let number = |name: &str| object.get(name)?.as_u64();
        let mut root = [0; 16];
        hex::decode_to_slice(object.get("root")?.as_str()?, &mut root).ok()?;
        Some(Progress {
            root: RootId(root),
            total: number("total")?,
            keys: number("keys")?,
            moved: number("moved")?,
            finished: object.get("finished")?.as_bool()?,
        })
    }

    /// Whether a pass has not come to its end. One that has, and left keys that cannot be moved, is in no other rotation's way.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.finished && self.keys < self.total
    }

    pub(crate) fn to_object(&self) -> Object {
        Object::new()
            .with("root", self.root.to_string())
            .with("total", self.total)
            .with("keys", self.keys)
            .with("moved", self.moved)
            .with("finished", self.finished)
    }

    pub(crate) fn line(&self) -> String {
        let Progress { root, total, keys, moved, finished } = self;
        let state = if *finished { "all keys are under it" } else { "keys are being moved" };
        format!("root {root}: {state}; {keys} of {total} keys looked at, {moved} versions moved")
    }

    fn write(&self, data: &Path) {
        let beside = data.join(format!("{PROGRESS}.new"));
        let written = std::fs::write(&beside, self.to_object().to_json());
        // Only for show: a full disk is told of by what needs it.
        let _ = written.and_then(|()| std::fs::rename(&beside, data.join(PROGRESS)));
    }
}

const PROGRESS: &str = "hsm-rotation.json";
const KEYS_BETWEEN_NOTES: u64 = 16;
