//! Releasing keys: believed, decided, on record, carried out, in that order.

use std::sync::Arc;

use skerry_attestation_result::{TokenText, TrustedResult};
use skerry_audit::{Entry, Event, Recorded};
use skerry_identity::Permission;
use skerry_keys::{ExportableKey, ReleaseError};
use skerry_keywrap::Algorithm;
use skerry_policy::permit::{Permit, VaultFloor};

use crate::command::{Context, Named, ReleaseCommand};
use crate::entries;
use crate::meter::Custody;
use crate::record::Key;
use crate::refusal::Refusal;
use crate::release::{self, Circumstances};
use crate::throttle::Load;
use crate::tokens;
use crate::vault::Vault;
use crate::wire;

/// A release that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseAnswer {
    /// The release JWS, compact form.
    pub value: String,
    /// The proof that it is in the audit log, as text (C2SP tlog-proof), if it was asked for.
    pub proof: Option<String>,
}

/// A release that is decided and not on record yet.
#[doc(hidden)]
pub struct Decided {
    key: Key,
    permit: Permit,
    result: Arc<TrustedResult>,
    algorithm: Algorithm,
}

impl Decided {
    /// What is to be put on record of it.
    pub fn entry(&self, context: &Context<'_>) -> Entry {
        entries::permitted(context, &self.permit, &self.result)
    }
}

impl Vault {
    /// Releases a key to the TEE that `command.target` attests, or says why not. A denial is on record before it is
    /// answered, and so is a release before the material is touched.
    pub async fn release(&self, context: &Context<'_>, command: &ReleaseCommand<'_>) -> Result<ReleaseAnswer, Refusal> {
        let decided = self.decided_or_denied(context, command).await?;
        let entry = decided.entry(context);
        let carry_out = self.carrying_out(context, command, decided);
        let released = match self.installation.held() {
            None => self.installation.record_then(entry, &self.pools.work, carry_out).await?,
            Some(held) => {
                let recorded = self.record(entry).await?;
                held.run(move || carry_out(recorded)).await?
            }
        };
        self.counted(released)
    }

    /// The first half of [`release`](Self::release): all before the record, and the whole of a denial.
    ///
    /// For a bench, which puts releases on record before its clock runs. For nothing else: a decision that is kept outlives
    /// what was decided on. clippy.toml forbids both halves.
    #[doc(hidden)]
    pub async fn danger_decide(&self, context: &Context<'_>, command: &ReleaseCommand<'_>) -> Result<Decided, Refusal> {
        self.decided_or_denied(context, command).await
    }

    async fn decided_or_denied(&self, context: &Context<'_>, command: &ReleaseCommand<'_>) -> Result<Decided, Refusal> {
        self.check(context, Permission::Release)?;
        release::check_form(command)?;
        let (found, floor) = self.find_under_floor(Named { name: command.name, version: command.version }).await?;
        let key = found.key;
        self.spend(context, Load::Make { hsm: key.version.hsm })?;
        let mut believed = None;
        match self.decided(context, command, (&key, &floor), &mut believed).await {
            Ok((permit, result)) => {
                let algorithm = command.enc.unwrap_or(Algorithm::CkmRsaAesKeyWrap);
                // What cannot be done is not put on record as done.
                self.custody.check_release(algorithm).map_err(Refusal::Release)?;
                Ok(Decided { key, permit, result, algorithm })
            }
            Err(refusal) if refusal.is_denial() => {
                self.meter.denied(&refusal);
                let of = key.binding(self.id).key;
                let (head, believed) = (&key.head, believed.as_deref());
                let event = Event::ReleaseDenied;
                let entry = || entries::denied((context, event), head, of, command.target, believed, &refusal);
                self.record_denial(context, entry).await?;
                Err(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The permit and what it rests on. `believed` is the token's result as soon as it is believed.
    async fn decided(
        &self,
        context: &Context<'_>,
        command: &ReleaseCommand<'_>,
        (key, floor): (&Key, &VaultFloor),
        believed: &mut Option<Arc<TrustedResult>>,
    ) -> Result<(Permit, Arc<TrustedResult>), Refusal> {
        release::releasable(key)?;
        self.permit(context, command.target, (key, floor), believed).await
    }

    /// The permit for a key that may be asked for: the clock is good, the token is believed, the terms of the key hold.
    pub(super) async fn permit(
        &self,
        context: &Context<'_>,
        token: &str,
        (key, floor): (&Key, &VaultFloor),
        believed: &mut Option<Arc<TrustedResult>>,
    ) -> Result<(Permit, Arc<TrustedResult>), Refusal> {
        self.installation.check_clock(context.now)?;
        let result = self.trusted(context, token).await?;
        *believed = Some(Arc::clone(&result));
        let circumstances = Circumstances { vault: self.id, floor, result: &result, now: context.now };
        let permit = release::decide(key, &circumstances)?;
        Ok((permit, result))
    }

    /// The token as believed for the authority that it claims to come from.
    async fn trusted(&self, context: &Context<'_>, token: &str) -> Result<Arc<TrustedResult>, Refusal> {
        let (token, now) = (TokenText::from(token), context.now);
        let digest = *token.digest();
        if let Some(kept) = self.tokens.find(&digest, now) {
            let authority = self.authorities.find(kept.result.issuer())?.current(None, now).await?;
            if Arc::ptr_eq(&authority, &kept.authority) {
                return Ok(kept.result);
            }
        }
        let claimed = release::claimed(token)?;
        let authority = self.authorities.find(claimed.issuer())?.current(claimed.kid(), now).await?;
        let result = authority.verify_claimed(claimed, now).map_err(Refusal::Token)?;
        let entry = tokens::Entry::new(result, authority, now);
        let result = Arc::clone(&entry.result);
        self.tokens.keep(digest, entry);
        Ok(result)
    }

    /// The second half: all after the record, which must be in this vault's log. That it is of this permit, and that it is
    /// durable, is asked where material leaves, as ever.
    #[doc(hidden)]
    pub async fn danger_carry_out(
        &self,
        context: &Context<'_>,
        command: &ReleaseCommand<'_>,
        decided: Decided,
        recorded: Recorded,
    ) -> Result<ReleaseAnswer, Refusal> {
        let own = self.installation.log().head().map_err(Refusal::Audit)?.log;
        if *recorded.leaf().log() != own {
            return Err(Refusal::Release(ReleaseError::NotRecorded));
        }
        let carry_out = self.carrying_out(context, command, decided);
        let released = self.key_work(move || carry_out(recorded)).await?;
        self.counted(released)
    }

    /// What is done with the material once its release is on record.
    fn carrying_out(
        &self,
        context: &Context<'_>,
        command: &ReleaseCommand<'_>,
        decided: Decided,
    ) -> impl FnOnce(Recorded) -> Result<ReleaseAnswer, Refusal> + Send + use<> {
        let Decided { key, permit, algorithm, .. } = decided;
        let binding = key.binding(self.id);
        let (custody, mut rng) = (Arc::clone(&self.custody), (context.randomness)());
        let of = Arc::clone(&key.version);
        let (rules, signer) = (self.rules, Arc::clone(&self.signer));
        let (host, request) = (command.host.to_owned(), wire::release_request(command, algorithm));
        // Not held: the log's thread may be the last to have this, and is what an installation waits for when it ends.
        let (installation, with_proof) = (Arc::downgrade(&self.installation), command.proof);
        move |recorded| {
            let (entry, leaf) = (with_proof.then(|| recorded.entry_octets()), recorded.leaf());
            let exportable = ExportableKey::new(&of.material, &binding).map_err(Refusal::Release)?;
            let released = skerry_keys::release(&*custody, exportable, permit, recorded, algorithm, &mut *rng)
                .map_err(Refusal::Release)?;
            let payload = wire::release_payload(&rules, &host, request, &key, &released);
            let value = signer.sign(rules.kind, &payload.to_json()).map_err(|_| Refusal::Signing)?;
            let proof = |entry| installation.upgrade().ok_or(Refusal::Failed)?.proof(&leaf, entry);
            let proof = entry.map(proof).transpose()?;
            Ok(ReleaseAnswer { value, proof })
        }
    }

    fn counted(&self, released: Result<ReleaseAnswer, Refusal>) -> Result<ReleaseAnswer, Refusal> {
        self.meter.custody(Custody::Release, &released);
        if released.is_ok() {
            self.meter.released();
        }
        released
    }
}
