//! One call of a vault: the body read and taken apart, one function, the answer put together.

use std::time::SystemTime;

use http::StatusCode;
use skerry_identity::Grant;
use skerry_jose::b64;
use skerry_jose::json::Object;
use skerry_keys::WrapAlgorithm;
use skerry_policy::permit::Version;
use skerry_vault::command::{Context, Named, ReleaseCommand, SignCommand, VerifyCommand};
use skerry_vault::decide::Rules;
use skerry_vault::floor::FloorSettings;
use skerry_vault::record::{Key, KeyName};
use skerry_vault::rotation::RotationPolicy;
use skerry_vault::{Refusal, UnwrapAnswer, Vault, VaultKind, wire as answers};

use zeroize::Zeroizing;

use crate::limits::{RESTORE_BODY_BYTES_MAX, VAULT_BODY_BYTES_MAX};
use crate::machine::Machine;
use crate::reply::Reply;
use crate::request::Request;
use crate::vault::page::PageAsked;
use crate::vault::refusal::Refused;
use crate::vault::route::Operation;
use crate::vault::wire::{self, Members};

/// A call that is permitted.
pub(super) struct Call<'a> {
    pub(super) vault: &'a Vault,
    pub(super) grant: Grant,
    pub(super) name: Option<KeyName>,
    pub(super) version: Option<Version>,
    pub(super) api_version: String,
    pub(super) now: SystemTime,
    pub(super) machine: &'a Machine,
}

/// How an answer writes a key.
type Write = fn(&Rules, &str, &Key) -> Object;

impl Call<'_> {
    pub(super) async fn answer(self, operation: Operation, request: &mut Request) -> Result<Reply, Refused> {
        let id = request.id().to_string();
        let context =
            Context { grant: &self.grant, request_id: &id, now: self.now, randomness: self.machine.randomizer() };
        match operation {
            Operation::Create => self.create(&context, request).await,
            Operation::Import => self.import(&context, request).await,
            Operation::Update => self.update(&context, request).await,
            Operation::Encrypt => self.encrypt(&context, request).await,
            Operation::Decrypt | Operation::WrapKey | Operation::UnwrapKey => {
                self.cipher(operation, &context, request).await
            }
            Operation::Sign => self.sign(&context, request).await,
            Operation::Verify => self.verify(&context, request).await,
            Operation::Release => self.release(&context, request).await,
            Operation::List | Operation::ListVersions | Operation::ListDeleted => {
                self.list(&context, operation, request).await
            }
            Operation::Get => self.key(request, answers::key_bundle, self.vault.get(&context, self.named()?).await),
            Operation::GetDeleted => {
                let found = self.vault.get_deleted(&context, self.name()?).await;
                self.key(request, answers::deleted_key_bundle, found)
            }
            Operation::Delete => {
                let deleted = self.vault.delete(&context, self.name()?).await;
                self.key(request, answers::deleted_key_bundle, deleted)
            }
            Operation::Recover => {
                let recovered = self.vault.recover(&context, self.name()?).await;
                self.key(request, answers::key_bundle, recovered)
            }
            Operation::Rotate => {
                let rotated = self.vault.rotate(&context, self.name()?).await;
                self.key(request, answers::key_bundle, rotated)
            }
            Operation::GetRotationPolicy => {
                let found = self.vault.rotation_policy(&context, self.name()?).await;
                self.rotation_policy(request, found)
            }
            Operation::SetRotationPolicy => {
                let input = wire::rotation_policy(&members(request).await?)?;
                let set = self.vault.set_rotation_policy(&context, self.name()?, &input).await;
                self.rotation_policy(request, set)
            }
            Operation::Backup => {
                let blob = self.vault.backup(&context, self.name()?).await.map_err(|refusal| self.refused(refusal))?;
                Ok(ok(&Object::new().with("value", b64::encode(blob))))
            }
            Operation::Restore => {
                let blob = wire::restore(&members_within(request, RESTORE_BODY_BYTES_MAX).await?)?;
                let restored = self.vault.restore(&context, &blob).await;
                self.key(request, answers::key_bundle, restored)
            }
            Operation::Random => self.random(request).await,
            Operation::GetFloor => self.floor(self.vault.floor(&context).await),
            Operation::SetFloor => {
                let changes = wire::floor(&members(request).await?)?;
                self.floor(self.vault.set_floor(&context, &changes).await)
            }
            Operation::Purge => {
                self.vault.purge(&context, self.name()?).await.map_err(|refusal| self.refused(refusal))?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            Operation::SecureWrapKey => self.secure_wrap(&context, request).await,
            Operation::SecureUnwrapKey => self.secure_unwrap(&context, request).await,
            Operation::Attestation => {
                let host = request.host().authority();
                let stated = self.vault.attestation(&context, self.named()?, &host).await;
                let (key, stated) = stated.map_err(|refusal| self.refused(refusal))?;
                Ok(ok(&answers::attested_key_bundle(self.vault.rules(), &host, &key, &stated)))
            }
        }
    }

    /// Secure wrapping is of a Managed HSM alone.
    async fn secure_wrap(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        self.managed_hsm_alone("secureWrapKey")?;
        let algorithm = wire::secure_wrap(&members(request).await?)?;
        let wrapped = self.vault.secure_wrap(context, self.named()?, algorithm).await;
        let (key, wrapped) = wrapped.map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&self.with_alg(request, &key, algorithm, &wrapped)))
    }

    async fn secure_unwrap(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        self.managed_hsm_alone("secureUnwrapKey")?;
        let members = members(request).await?;
        let to_unwrap = wire::secure_unwrap(&members)?;
        let unwrapped = self.vault.secure_unwrap(context, &to_unwrap.command(self.named()?)).await;
        let UnwrapAnswer { key, envelope, proof } = unwrapped.map_err(|refusal| self.refused(refusal))?;
        let mut answer = self.with_alg(request, &key, to_unwrap.algorithm, envelope.as_bytes());
        if let Some(proof) = proof {
            answer.insert(wire::PROOF, proof);
        }
        Ok(ok(&answer))
    }

    /// `SecureKeyOperationResult`, sorted as all answers of a Managed HSM.
    fn with_alg(&self, request: &Request, key: &Key, algorithm: WrapAlgorithm, value: &[u8]) -> Object {
        let kid = answers::version_url(&request.host().authority(), key);
        Object::new().with("alg", algorithm.as_str()).with("kid", kid).with("value", b64::encode(value))
    }

    fn managed_hsm_alone(&self, operation: &'static str) -> Result<(), Refused> {
        match self.vault.rules().kind {
            VaultKind::ManagedHsm => Ok(()),
            VaultKind::Standard | VaultKind::Premium => Err(Refused::Absent { operation }),
        }
    }

    async fn create(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let new = wire::create(self.name()?.clone(), &members(request).await?)?;
        self.key(request, answers::key_bundle, self.vault.create(context, &new).await)
    }

    async fn import(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let (name, members) = (self.name()?.clone(), secret_members(request).await?);
        let imported = match wire::import(name, &request.host().authority(), members)? {
            wire::ToImport::Clear(command) => self.vault.import(context, command).await,
            wire::ToImport::Wrapped(command) => self.vault.import_wrapped(context, command).await,
        };
        self.key(request, answers::key_bundle, imported)
    }

    async fn update(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let changes = wire::update(&members(request).await?)?;
        self.key(request, answers::key_bundle, self.vault.update(context, self.named()?, &changes).await)
    }

    async fn encrypt(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let to_encrypt = wire::encrypt(&secret_members(request).await?)?;
        let encrypted = self.vault.encrypt(context, &to_encrypt.command(self.named()?)).await;
        let (key, encrypted) = encrypted.map_err(|refusal| self.refused(refusal))?;
        let mut answer = self.with_kid(request, &key, &encrypted.ciphertext);
        let aad = to_encrypt.aad.filter(|_| encrypted.tag.is_some());
        for (name, octets) in [("iv", encrypted.iv), ("tag", encrypted.tag), ("aad", aad)] {
            if let Some(octets) = octets {
                answer.insert(name, b64::encode(octets));
            }
        }
        if self.vault.rules().kind == VaultKind::ManagedHsm {
            answer.sort();
        }
        Ok(ok(&answer))
    }

    async fn cipher(&self, of: Operation, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let (members, named) = (secret_members(request).await?, self.named()?);
        let (key, text) = match of {
            Operation::Decrypt => self.vault.decrypt(context, &wire::encrypt(&members)?.command(named)).await,
            Operation::UnwrapKey => self.vault.unwrap(context, &wire::wrap(&members)?.command(named)).await,
            _ => {
                let wrapped = self.vault.wrap(context, &wire::wrap(&members)?.command(named)).await;
                wrapped.map(|(key, wrapped)| (key, Zeroizing::new(wrapped)))
            }
        }
        .map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&self.with_kid(request, &key, &text)))
    }

    fn with_kid(&self, request: &Request, key: &Key, value: &[u8]) -> Object {
        let kid = answers::version_url(&request.host().authority(), key);
        Object::new().with("kid", kid).with("value", b64::encode(value))
    }

    async fn sign(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let (to_sign, key) = (wire::sign(&members(request).await?)?, self.named()?);
        let signature = match to_sign.digest() {
            Some((algorithm, digest)) => self.vault.sign(context, &SignCommand { key, algorithm, digest }).await,
            None => self.vault.sign_ml_dsa(context, &to_sign.ml_dsa(key)).await,
        }
        .map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&self.with_kid(request, &signature.key, &signature.value)))
    }

    async fn verify(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let wire::ToVerify { text, signature } = wire::verify(&members(request).await?)?;
        let (key, signature) = (self.named()?, signature.as_slice());
        let verified = match text.digest() {
            Some((algorithm, digest)) => {
                self.vault.verify(context, &VerifyCommand { key, algorithm, digest, signature }).await
            }
            None => self.vault.verify_ml_dsa(context, &text.ml_dsa(key), signature).await,
        }
        .map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&Object::new().with("value", verified)))
    }

    async fn release(&self, context: &Context<'_>, request: &mut Request) -> Result<Reply, Refused> {
        let members = members(request).await?;
        let wire::ToRelease { target, nonce, enc, proof } = wire::release(&members)?;
        let host = request.host().authority();
        let (name, api_version) = (self.name()?, self.api_version.as_str());
        let command =
            ReleaseCommand { name, version: self.version, target, nonce, enc, api_version, host: &host, proof };
        let released = self.vault.release(context, &command).await.map_err(|refusal| self.refused(refusal))?;
        let mut answer = Object::new().with("value", released.value);
        if let Some(proof) = released.proof {
            answer.insert(wire::PROOF, proof);
        }
        Ok(ok(&answer))
    }

    async fn list(&self, context: &Context<'_>, of: Operation, request: &Request) -> Result<Reply, Refused> {
        let page = PageAsked::of(request, &self.api_version)?;
        let (listing, write): (_, Write) = match of {
            Operation::ListVersions => {
                (self.vault.list_versions(context, self.name()?, &page.command()).await, answers::version_item)
            }
            Operation::ListDeleted => {
                (self.vault.list_deleted(context, &page.command()).await, answers::deleted_key_item)
            }
            _ => (self.vault.list(context, &page.command()).await, answers::key_item),
        };
        let listing = listing.map_err(|refusal| self.refused(refusal))?;
        let (rules, host) = (self.vault.rules(), request.host().authority());
        Ok(ok(&page.answer(rules.kind, &listing, |key| write(rules, &host, key))))
    }

    fn rotation_policy(
        &self,
        request: &Request,
        found: Result<(Key, RotationPolicy), Refusal>,
    ) -> Result<Reply, Refused> {
        let (key, policy) = found.map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&answers::rotation_policy(self.vault.rules(), &request.host().authority(), &key.head, &policy)))
    }

    fn floor(&self, floor: Result<FloorSettings, Refusal>) -> Result<Reply, Refused> {
        let floor = floor.map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&answers::floor(&floor, self.vault.configured_floor())))
    }

    /// Random octets, which a Managed HSM alone gives.
    async fn random(&self, request: &mut Request) -> Result<Reply, Refused> {
        self.managed_hsm_alone("random bytes")?;
        let mut octets = vec![0; wire::random(&members(request).await?)?];
        self.machine.randomness().fill_bytes(&mut octets);
        Ok(ok(&Object::new().with("value", b64::encode(octets))))
    }

    fn key(&self, request: &Request, write: Write, key: Result<Key, Refusal>) -> Result<Reply, Refused> {
        let key = key.map_err(|refusal| self.refused(refusal))?;
        Ok(ok(&write(self.vault.rules(), &request.host().authority(), &key)))
    }

    fn refused(&self, refusal: Refusal) -> Refused {
        Refused::Vault { refusal, may_read: self.grant.may_read() }
    }

    /// Routes to operations on a key have a name; without one nothing is there.
    fn name(&self) -> Result<&KeyName, Refused> {
        self.name.as_ref().ok_or(Refused::NoRoute)
    }

    fn named(&self) -> Result<Named<'_>, Refused> {
        Ok(Named { name: self.name()?, version: self.version })
    }
}

async fn members(request: &mut Request) -> Result<Members, Refused> {
    members_within(request, VAULT_BODY_BYTES_MAX).await
}

async fn members_within(request: &mut Request, bytes_max: usize) -> Result<Members, Refused> {
    let body = request.body(bytes_max).await.map_err(Refused::Body)?;
    Ok(Members::parse(&body)?)
}

/// Members of a body that may hold a secret, which is wiped as far as it is ours.
async fn secret_members(request: &mut Request) -> Result<Members, Refused> {
    let body = request.body(VAULT_BODY_BYTES_MAX).await.map_err(Refused::Body)?;
    let members = Members::parse(&body);
    wire::wipe(body);
    Ok(members?)
}

fn ok(object: &Object) -> Reply {
    Reply::json(StatusCode::OK, object)
}
