//! Encrypting, decrypting, wrapping and unwrapping with keys that stay here.
//!
//! RSA encrypts and wraps under the public half, which needs no custody; everything else opens the key. A given nonce is
//! never used for GCM: two texts under one nonce would give both away, and Azure's Managed HSM makes its own too.

use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_keys::{CipherError, EncryptAlgorithm, Encrypted, KeyType, Parameter, WrapAlgorithm};
use zeroize::Zeroizing;

use crate::command::{CipherCommand, Context, Named, Operation};
use crate::decide;
use crate::record::Key;
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::vault::Vault;

impl Vault {
    /// Encrypts a text.
    pub async fn encrypt(
        &self,
        context: &Context<'_>,
        command: &CipherCommand<'_, EncryptAlgorithm>,
    ) -> Result<(Key, Encrypted), Refusal> {
        let found = self.permitted(context, Permission::Encrypt, command.key, Operation::Encrypt).await?;
        absent(Parameter::Tag, command.tag)?;
        let noting = self.noting(context, Event::Encrypt, &found.key);
        let Owned { algorithm, text, iv, aad, .. } = Owned::of(command);
        if is_rsa(&found.key) {
            let version = Arc::clone(&found.key.version);
            let encrypt =
                move || skerry_keys::encrypt(&version.public, algorithm, &text, iv.as_deref(), aad.as_deref());
            let encrypted = self.public_work(found.key.version.key_type, encrypt).await;
            let encrypted = noting.end(encrypted.and_then(|encrypted| encrypted.map_err(Refusal::Cipher)))?;
            return Ok((found.key, encrypted));
        }
        let (iv, mut rng) = (iv.filter(|_| !algorithm.as_str().ends_with("GCM")), (context.randomness)());
        let encrypt = move |key: &skerry_keys::OpenedKey| {
            key.encrypt(algorithm, &text, iv.as_deref(), aad.as_deref(), &mut *rng).map_err(Refusal::Cipher)
        };
        noting.end(self.with_opened(found, command.text.len(), encrypt).await)
    }

    /// Decrypts a text. Whatever is wrong with it is one refusal.
    pub async fn decrypt(
        &self,
        context: &Context<'_>,
        command: &CipherCommand<'_, EncryptAlgorithm>,
    ) -> Result<(Key, Zeroizing<Vec<u8>>), Refusal> {
        let found = self.permitted(context, Permission::Decrypt, command.key, Operation::Decrypt).await?;
        let noting = self.noting(context, Event::Decrypt, &found.key);
        let Owned { algorithm, text, iv, aad, tag } = Owned::of(command);
        let decrypt = move |key: &skerry_keys::OpenedKey| {
            let decrypted = key.decrypt(algorithm, &text, iv.as_deref(), aad.as_deref(), tag.as_deref());
            decrypted.map_err(Refusal::Cipher)
        };
        noting.end(self.with_opened(found, command.text.len(), decrypt).await)
    }

    /// Wraps a key.
    pub async fn wrap(
        &self,
        context: &Context<'_>,
        command: &CipherCommand<'_, WrapAlgorithm>,
    ) -> Result<(Key, Vec<u8>), Refusal> {
        let found = self.permitted(context, Permission::WrapKey, command.key, Operation::WrapKey).await?;
        text_alone(command)?;
        let noting = self.noting(context, Event::WrapKey, &found.key);
        let Owned { algorithm, text, .. } = Owned::of(command);
        if is_rsa(&found.key) {
            let version = Arc::clone(&found.key.version);
            let wrap = move || skerry_keys::wrap(&version.public, algorithm, &text);
            let wrapped = self.public_work(found.key.version.key_type, wrap).await;
            let wrapped = noting.end(wrapped.and_then(|wrapped| wrapped.map_err(Refusal::Cipher)))?;
            return Ok((found.key, wrapped));
        }
        let wrap = move |key: &skerry_keys::OpenedKey| key.wrap(algorithm, &text).map_err(Refusal::Cipher);
        noting.end(self.with_opened(found, command.text.len(), wrap).await)
    }

    /// Unwraps a key. Whatever is wrong with it is one refusal.
    pub async fn unwrap(
        &self,
        context: &Context<'_>,
        command: &CipherCommand<'_, WrapAlgorithm>,
    ) -> Result<(Key, Zeroizing<Vec<u8>>), Refusal> {
        let found = self.permitted(context, Permission::UnwrapKey, command.key, Operation::UnwrapKey).await?;
        text_alone(command)?;
        let noting = self.noting(context, Event::UnwrapKey, &found.key);
        let Owned { algorithm, text, .. } = Owned::of(command);
        let unwrap = move |key: &skerry_keys::OpenedKey| key.unwrap(algorithm, &text).map_err(Refusal::Cipher);
        noting.end(self.with_opened(found, command.text.len(), unwrap).await)
    }

    /// The key, for a caller who may do this with a version that can be used so.
    pub(super) async fn permitted(
        &self,
        context: &Context<'_>,
        permission: Permission,
        key: Named<'_>,
        operation: Operation,
    ) -> Result<FoundKey, Refusal> {
        self.check(context, permission)?;
        let found = self.find(key).await?;
        decide::usable(&found.key, operation, unix_secs(context.now))?;
        self.spend_on(context, &found.key)?;
        Ok(found)
    }
}

/// A command's octets, for another thread; the text may be a secret.
struct Owned<A> {
    algorithm: A,
    text: Zeroizing<Vec<u8>>,
    iv: Option<Vec<u8>>,
    aad: Option<Vec<u8>>,
    tag: Option<Vec<u8>>,
}

impl<A: Copy> Owned<A> {
    fn of(command: &CipherCommand<'_, A>) -> Owned<A> {
        let owned = |octets: Option<&[u8]>| octets.map(<[u8]>::to_vec);
        Owned {
            algorithm: command.algorithm,
            text: Zeroizing::new(command.text.to_vec()),
            iv: owned(command.iv),
            aad: owned(command.aad),
            tag: owned(command.tag),
        }
    }
}

/// No way of wrapping has a use for more than the key: taken silently, it would be thought to count.
fn text_alone<A>(command: &CipherCommand<'_, A>) -> Result<(), Refusal> {
    absent(Parameter::Iv, command.iv)?;
    absent(Parameter::Aad, command.aad)?;
    absent(Parameter::Tag, command.tag)
}

fn absent(parameter: Parameter, octets: Option<&[u8]>) -> Result<(), Refusal> {
    match octets {
        Some(_) => Err(Refusal::Cipher(CipherError::Unexpected { parameter })),
        None => Ok(()),
    }
}

fn is_rsa(key: &Key) -> bool {
    matches!(key.version.key_type, KeyType::Rsa { .. })
}
