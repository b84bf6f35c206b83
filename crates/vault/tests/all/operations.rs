//! The operations of a vault as tests ask for them: each with a grant of its own, for names as text, now unless told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use skerry_identity::Permission;
use skerry_keys::{Curve, EncryptAlgorithm, Encrypted, ImportKey, KeyType, SignAlgorithm, WrapAlgorithm};
use skerry_policy::permit::Version;
use skerry_vault::command::{
    Changes, CipherCommand, ImportCommand, ListCommand, Named, NewKey, Randomness, SignCommand, VerifyCommand,
};
use skerry_vault::record::{Key, KeyName};
use skerry_vault::rotation::{RotationInput, RotationPolicy};
use skerry_vault::{Due, Listing, Refusal, Signature};
use zeroize::Zeroizing;

use crate::support::*;

/// The digest that tests sign.
pub(crate) const DIGEST: [u8; 32] = [0xd1; 32];

impl Scene {
    pub(crate) fn get_version(&self, key: &str, version: Version) -> Result<Key, Refusal> {
        let (grant, name) = (grant(Permission::Get), name(key));
        wait(self.vault.get(&context(&grant, "get-1", NOW), Named { name: &name, version: Some(version) }))
    }

    pub(crate) fn get_deleted(&self, key: &str) -> Result<Key, Refusal> {
        let grant = grant(Permission::Get);
        wait(self.vault.get_deleted(&context(&grant, "get-1", NOW), &name(key)))
    }

    pub(crate) fn make_at(&self, new: &NewKey, secs: u64) -> Result<Key, Refusal> {
        let grant = grant(Permission::Create);
        wait(self.vault.create(&context(&grant, "create-1", secs), new))
    }

    pub(crate) fn import_key(&self, new: NewKey, key: ImportKey) -> Result<Key, Refusal> {
        self.import_key_at(new, key, NOW)
    }

    pub(crate) fn import_key_at(&self, new: NewKey, key: ImportKey, secs: u64) -> Result<Key, Refusal> {
        let grant = grant(Permission::Import);
        wait(self.vault.import(&context(&grant, "import-1", secs), ImportCommand { new, key, padded: false }))
    }

    pub(crate) fn update_at(
        &self,
        key: &str,
        version: Option<Version>,
        changes: &Changes,
        secs: u64,
    ) -> Result<Key, Refusal> {
        let (grant, name) = (grant(Permission::Update), name(key));
        wait(self.vault.update(&context(&grant, "update-1", secs), Named { name: &name, version }, changes))
    }

    pub(crate) fn enable(&self, key: &str, enabled: bool) -> Result<Key, Refusal> {
        self.update(key, &enabled_is(enabled))
    }

    pub(crate) fn delete(&self, key: &str) -> Result<Key, Refusal> {
        self.delete_at(key, NOW)
    }

    pub(crate) fn delete_at(&self, key: &str, secs: u64) -> Result<Key, Refusal> {
        let grant = grant(Permission::Delete);
        wait(self.vault.delete(&context(&grant, "delete-1", secs), &name(key)))
    }

    pub(crate) fn recover(&self, key: &str) -> Result<Key, Refusal> {
        let grant = grant(Permission::Recover);
        wait(self.vault.recover(&context(&grant, "recover-1", NOW), &name(key)))
    }

    pub(crate) fn purge(&self, key: &str) -> Result<(), Refusal> {
        self.purge_at(key, NOW)
    }

    pub(crate) fn purge_at(&self, key: &str, secs: u64) -> Result<(), Refusal> {
        let grant = grant(Permission::Purge);
        wait(self.vault.purge(&context(&grant, "purge-1", secs), &name(key)))
    }

    pub(crate) fn purge_due_at(&self, key: &str, secs: u64) -> Result<(), Refusal> {
        let grant = grant(Permission::Purge);
        wait(self.vault.purge_due(&context(&grant, "purge-1", secs), &name(key)))
    }

    pub(crate) fn sweep(&self) -> Result<(), Refusal> {
        wait(self.vault.sweep(at(NOW), &randomness))
    }

    pub(crate) fn list(&self, command: &ListCommand<'_>) -> Result<Listing, Refusal> {
        let grant = grant(Permission::List);
        wait(self.vault.list(&context(&grant, "list-1", NOW), command))
    }

    pub(crate) fn list_deleted(&self, command: &ListCommand<'_>) -> Result<Listing, Refusal> {
        let grant = grant(Permission::List);
        wait(self.vault.list_deleted(&context(&grant, "list-1", NOW), command))
    }

    pub(crate) fn list_versions(&self, key: &str, command: &ListCommand<'_>) -> Result<Listing, Refusal> {
        let grant = grant(Permission::List);
        wait(self.vault.list_versions(&context(&grant, "list-1", NOW), &name(key), command))
    }

    /// Signs [`DIGEST`] with the newest version of a P-256 key.
    pub(crate) fn sign(&self, key: &str) -> Result<Signature, Refusal> {
        self.sign_at(key, None, SignAlgorithm::Es256, &DIGEST, NOW)
    }

    pub(crate) fn sign_at(
        &self,
        key: &str,
        version: Option<Version>,
        algorithm: SignAlgorithm,
        digest: &[u8],
        secs: u64,
    ) -> Result<Signature, Refusal> {
        let (grant, name) = (grant(Permission::Sign), name(key));
        let command = SignCommand { key: Named { name: &name, version }, algorithm, digest };
        wait(self.vault.sign(&context(&grant, "sign-1", secs), &command))
    }

    /// Checks a signature over [`DIGEST`] by the newest version of a P-256 key.
    pub(crate) fn check(&self, key: &str, signature: &[u8]) -> Result<bool, Refusal> {
        self.check_at(key, SignAlgorithm::Es256, &DIGEST, signature, NOW)
    }

    pub(crate) fn check_at(
        &self,
        key: &str,
        algorithm: SignAlgorithm,
        digest: &[u8],
        signature: &[u8],
        secs: u64,
    ) -> Result<bool, Refusal> {
        let (grant, name) = (grant(Permission::Verify), name(key));
        let command = VerifyCommand { key: Named { name: &name, version: None }, algorithm, digest, signature };
        wait(self.vault.verify(&context(&grant, "verify-1", secs), &command))
    }

    pub(crate) fn rotate(&self, key: &str) -> Result<Key, Refusal> {
        self.rotate_at(key, NOW)
    }

    pub(crate) fn rotate_at(&self, key: &str, secs: u64) -> Result<Key, Refusal> {
        let grant = grant(Permission::Rotate);
        wait(self.vault.rotate(&context(&grant, "rotate-1", secs), &name(key)))
    }

    pub(crate) fn rotation_policy(&self, key: &str) -> Result<RotationPolicy, Refusal> {
        let grant = grant(Permission::GetRotationPolicy);
        let found = wait(self.vault.rotation_policy(&context(&grant, "get-policy-1", NOW), &name(key)));
        found.map(|(_, policy)| policy)
    }

    pub(crate) fn set_rotation_policy(&self, key: &str, input: &RotationInput) -> Result<RotationPolicy, Refusal> {
        self.set_rotation_policy_at(key, input, NOW)
    }

    pub(crate) fn set_rotation_policy_at(
        &self,
        key: &str,
        input: &RotationInput,
        secs: u64,
    ) -> Result<RotationPolicy, Refusal> {
        let grant = grant(Permission::SetRotationPolicy);
        let set = wait(self.vault.set_rotation_policy(&context(&grant, "set-policy-1", secs), &name(key), input));
        set.map(|(_, policy)| policy)
    }

    /// Names of keys that are due to be rotated.
    pub(crate) fn due_for_rotation(&self, secs: u64) -> Result<Vec<String>, Refusal> {
        let grant = grant(Permission::Rotate);
        wait(self.vault.due_for_rotation(&context(&grant, "due-1", secs))).map(all_sound)
    }

    /// What damage keeps from being found due to be rotated.
    pub(crate) fn damaged_for_rotation(&self, secs: u64) -> Result<Due, Refusal> {
        let grant = grant(Permission::Rotate);
        wait(self.vault.due_for_rotation(&context(&grant, "due-1", secs)))
    }

    /// What damage keeps from being found due to be purged.
    pub(crate) fn damaged_for_purge(&self, secs: u64) -> Result<Due, Refusal> {
        let grant = grant(Permission::Purge);
        wait(self.vault.due_for_purge(&context(&grant, "due-1", secs)))
    }

    /// Names of deleted keys that are due to be purged.
    pub(crate) fn due_for_purge(&self, secs: u64) -> Result<Vec<String>, Refusal> {
        let grant = grant(Permission::Purge);
        wait(self.vault.due_for_purge(&context(&grant, "due-1", secs))).map(all_sound)
    }

    pub(crate) fn backup(&self, key: &str) -> Result<Vec<u8>, Refusal> {
        let grant = grant_in(self.vault.id(), Permission::Backup);
        wait(self.vault.backup(&context(&grant, "backup-1", NOW), &name(key)))
    }

    pub(crate) fn restore(&self, blob: &[u8]) -> Result<Key, Refusal> {
        let grant = grant_in(self.vault.id(), Permission::Restore);
        wait(self.vault.restore(&context(&grant, "restore-1", NOW), blob))
    }

    /// Deletes and purges.
    pub(crate) fn remove(&self, key: &str) {
        self.delete(key).unwrap();
        self.purge(key).unwrap();
    }

    pub(crate) fn encrypt_at(
        &self,
        key: &str,
        command: &Text<'_, EncryptAlgorithm>,
        secs: u64,
    ) -> Result<(Key, Encrypted), Refusal> {
        let (grant, name) = (grant(Permission::Encrypt), name(key));
        wait(self.vault.encrypt(&context(&grant, "encrypt-1", secs), &command.of(&name)))
    }

    pub(crate) fn decrypt_at(
        &self,
        key: &str,
        command: &Text<'_, EncryptAlgorithm>,
        secs: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let (grant, name) = (grant(Permission::Decrypt), name(key));
        let decrypted = wait(self.vault.decrypt(&context(&grant, "decrypt-1", secs), &command.of(&name)));
        decrypted.map(|(_, text)| text.to_vec())
    }

    pub(crate) fn wrap_at(
        &self,
        key: &str,
        command: &Text<'_, WrapAlgorithm>,
        secs: u64,
    ) -> Result<(Key, Vec<u8>), Refusal> {
        let (grant, name) = (grant(Permission::WrapKey), name(key));
        wait(self.vault.wrap(&context(&grant, "wrap-1", secs), &command.of(&name)))
    }

    pub(crate) fn unwrap_at(
        &self,
        key: &str,
        command: &Text<'_, WrapAlgorithm>,
        secs: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let (grant, name) = (grant(Permission::UnwrapKey), name(key));
        let unwrapped = wait(self.vault.unwrap(&context(&grant, "unwrap-1", secs), &command.of(&name)));
        unwrapped.map(|(_, text)| text.to_vec())
    }

    /// Event and verdict of every record since the vault was opened.
    pub(crate) fn story(&self) -> Vec<(String, String)> {
        let told = |record| (text(&record, "event").to_owned(), text(&record, "verdict").to_owned());
        self.records().into_iter().map(told).collect()
    }
}

/// Randomness that has something else happen, to its end, before it is drawn for the time `at`; counted from zero.
pub(crate) fn meanwhile(
    at: usize,
    something: impl Fn() + Send + Sync + 'static,
) -> impl Fn() -> Randomness + Send + Sync {
    let drawn = AtomicUsize::new(0);
    move || {
        if drawn.fetch_add(1, Ordering::SeqCst) == at {
            // An operation waits for its end on a thread of its own.
            thread::scope(|scope| scope.spawn(&something).join()).unwrap();
        }
        randomness()
    }
}

/// What a cipher is given, but for the key's name.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a, A> {
    pub(crate) algorithm: A,
    pub(crate) version: Option<Version>,
    pub(crate) text: &'a [u8],
    pub(crate) iv: Option<&'a [u8]>,
    pub(crate) aad: Option<&'a [u8]>,
    pub(crate) tag: Option<&'a [u8]>,
}

impl<'a, A: Copy> Text<'a, A> {
    pub(crate) fn new(algorithm: A, text: &'a [u8]) -> Text<'a, A> {
        Text { algorithm, version: None, text, iv: None, aad: None, tag: None }
    }

    fn of(&self, name: &'a KeyName) -> CipherCommand<'a, A> {
        let Text { algorithm, version, text, iv, aad, tag } = *self;
        CipherCommand { key: Named { name, version }, algorithm, text, iv, aad, tag }
    }
}

fn all_sound(due: Due) -> Vec<String> {
    assert_eq!(due.damaged, [], "nothing is damaged");
    due.keys.iter().map(ToString::to_string).collect()
}

/// A change of nothing but whether the version is enabled.
pub(crate) fn enabled_is(enabled: bool) -> Changes {
    let mut changes = Changes::default();
    changes.attributes.enabled = Some(enabled);
    changes
}

/// A key to bring in of P-256: the private scalar 1, whose point is the generator (SEC 2, 2.4.2).
pub(crate) fn generator() -> ImportKey {
    let octets = |text| hex::decode(text).unwrap();
    let mut d = Zeroizing::new(vec![0; 32]);
    d[31] = 1;
    ImportKey::Ec {
        curve: Curve::P256,
        d,
        x: octets("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        y: octets("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    }
}

/// What is brought in as a key of this type.
pub(crate) fn brought(key_type: KeyType) -> ImportKey {
    match key_type {
        KeyType::Oct { bits } => ImportKey::Oct { k: Zeroizing::new(vec![7; bits.bits() / 8]) },
        _ => generator(),
    }
}

/// `story` of so many changes that were made.
pub(crate) fn made(event: &str, times: usize) -> Vec<(String, String)> {
    let one = ["intended", "committed"].map(|verdict| (event.to_owned(), verdict.to_owned()));
    std::iter::repeat_n(one, times).flatten().collect()
}
