//! Signing and verifying with keys that stay here.

use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_keys::{KeyType, MlDsaText, OpenedKey, SignError, VerifyError};

use crate::command::{Context, MlDsaCommand, Operation, SignCommand, VerifyCommand};
use crate::record::Key;
use crate::refusal::Refusal;
use crate::vault::Vault;

/// A signature and the version that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// The key, at the version that signed.
    pub key: Key,
    /// The signature; of EC keys R and S, each of the field's length.
    pub value: Vec<u8>,
}

impl Vault {
    /// Signs a digest.
    pub async fn sign(&self, context: &Context<'_>, command: &SignCommand<'_>) -> Result<Signature, Refusal> {
        let found = self.permitted(context, Permission::Sign, command.key, Operation::Sign).await?;
        let (algorithm, digest, mut rng) = (command.algorithm, command.digest.to_vec(), (context.randomness)());
        let sign = move |key: &OpenedKey| key.sign(algorithm, &digest, &mut *rng).map_err(Refusal::Sign);
        let noting = self.noting(context, Event::Sign, &found.key);
        let (key, value) = noting.end(self.with_opened(found, command.digest.len(), sign).await)?;
        Ok(Signature { key, value })
    }

    /// Signs as [`sign`](Self::sign) with an ML-DSA key, which may have a context beside its message, or a representative in
    /// its place.
    pub async fn sign_ml_dsa(&self, context: &Context<'_>, command: &MlDsaCommand<'_>) -> Result<Signature, Refusal> {
        let found = self.permitted(context, Permission::Sign, command.key, Operation::Sign).await?;
        let key_type = found.key.version.key_type;
        if let Some(algorithm) = command.algorithm.filter(|algorithm| !algorithm.fits(key_type)) {
            return Err(Refusal::Sign(SignError::Algorithm { algorithm, key_type }));
        }
        check_said(command, key_type)?;
        let text = OwnedText::of(&command.text);
        let octets = text.octets();
        let sign = move |key: &OpenedKey| key.sign_ml_dsa(&text.borrowed()).map_err(Refusal::Sign);
        let noting = self.noting(context, Event::Sign, &found.key);
        let (key, value) = noting.end(self.with_opened(found, octets, sign).await)?;
        Ok(Signature { key, value })
    }

    /// Whether a signature is one by [`sign_ml_dsa`](Self::sign_ml_dsa). A false one is an answer, not a refusal.
    pub async fn verify_ml_dsa(
        &self,
        context: &Context<'_>,
        command: &MlDsaCommand<'_>,
        signature: &[u8],
    ) -> Result<bool, Refusal> {
        let found = self.permitted(context, Permission::Verify, command.key, Operation::Verify).await?;
        let key_type = found.key.version.key_type;
        if let Some(algorithm) = command.algorithm.filter(|algorithm| !algorithm.fits(key_type)) {
            return Err(Refusal::Verify(VerifyError::Algorithm { algorithm, key_type: Some(key_type) }));
        }
        check_said(command, key_type)?;
        let (text, signature) = (OwnedText::of(&command.text), signature.to_vec());
        let noting = self.noting(context, Event::Verify, &found.key);
        let verify = move || skerry_keys::verify_ml_dsa(&found.key.version.public, &text.borrowed(), &signature);
        noting.end(self.work(verify).await.and_then(|holds| holds.map_err(Refusal::Verify)))
    }

    /// Whether a signature is one by this key over the digest. A false one is an answer, not a refusal.
    pub async fn verify(&self, context: &Context<'_>, command: &VerifyCommand<'_>) -> Result<bool, Refusal> {
        let found = self.permitted(context, Permission::Verify, command.key, Operation::Verify).await?;
        let (algorithm, digest, signature) = (command.algorithm, command.digest.to_vec(), command.signature.to_vec());
        let noting = self.noting(context, Event::Verify, &found.key);
        if let KeyType::Oct { .. } = found.key.version.key_type {
            let verify = move |key: &OpenedKey| key.verify(algorithm, &digest, &signature).map_err(Refusal::Verify);
            return Ok(noting.end(self.with_opened(found, command.digest.len(), verify).await)?.1);
        }
        let verify = move || skerry_keys::verify(&found.key.version.public, algorithm, &digest, &signature);
        noting.end(self.work(verify).await.and_then(|holds| holds.map_err(Refusal::Verify)))
    }
}

/// Only an ML-DSA key has one algorithm, so that it need not be said.
fn check_said(command: &MlDsaCommand<'_>, key_type: KeyType) -> Result<(), Refusal> {
    match (command.algorithm, command.text, key_type) {
        (_, _, KeyType::Akp { .. }) | (Some(_), ..) | (None, MlDsaText::Mu(_), _) => Ok(()),
        (None, MlDsaText::Message { .. }, _) => Err(Refusal::AlgorithmMissing),
    }
}

/// A text for another thread.
enum OwnedText {
    Message(Vec<u8>, Vec<u8>),
    Mu(Vec<u8>),
}

impl OwnedText {
    fn of(text: &MlDsaText<'_>) -> OwnedText {
        match *text {
            MlDsaText::Message { message, context } => OwnedText::Message(message.to_vec(), context.to_vec()),
            MlDsaText::Mu(mu) => OwnedText::Mu(mu.to_vec()),
        }
    }

    fn octets(&self) -> usize {
        match self {
            OwnedText::Message(message, _) => message.len(),
            OwnedText::Mu(mu) => mu.len(),
        }
    }

    fn borrowed(&self) -> MlDsaText<'_> {
        match self {
            OwnedText::Message(message, context) => MlDsaText::Message { message, context },
            OwnedText::Mu(mu) => MlDsaText::Mu(mu),
        }
    }
}
