//! Each rule of keys by each path to one: made, made anew, brought in, brought in over one, changed, changed at a version,
//! restored, restored from an older backup, rotated, recovered. What a path cannot say it leaves as it was.

use skerry_identity::Permission;
use skerry_keys::KeyType;
use skerry_policy::permit::Version;
use skerry_policy::release::ParseErrorKind;
use skerry_vault::backup::BackupError;
use skerry_vault::command::{AttributesInput, Changes, ImportCommand, KeyOp, Named, NewKey, PolicyInput};
use skerry_vault::decide::HsmBacking;
use skerry_vault::record::Key;
use skerry_vault::{Refusal, Vault, VaultKind};

use crate::operations::*;
use crate::support::*;

/// The ways to a key, in the order of the table's cells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Path {
    Create,
    CreateAgain,
    Import,
    ImportOver,
    Patch,
    PatchVersion,
    Restore,
    RestoreOlder,
    Rotate,
    Recover,
}

const PATHS: [Path; 10] = [
    Path::Create,
    Path::CreateAgain,
    Path::Import,
    Path::ImportOver,
    Path::Patch,
    Path::PatchVersion,
    Path::Restore,
    Path::RestoreOlder,
    Path::Rotate,
    Path::Recover,
];

/// What a cell comes to: a key that has what was said, a key as it was, or the one refusal.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Said,
    Kept,
    /// AKV.SKR.1001, 1003 to 1006, 1016, 1020, and a policy that is none.
    R1001,
    R1003,
    R1004,
    R1005,
    R1006,
    R1016,
    R1020,
    Unreadable,
    OfNewVersion,
    HsmOnStandard,
    HsmInSoftware,
    SoftwareOct,
    Older,
    IatLowered,
    IatInFuture,
    IatOnVersion,
    IatOfPlain,
    BackupIatLowered,
}

use Cell::*;

fn refusal(refusal: &Refusal) -> Cell {
    match refusal {
        Refusal::ExportableOnStandard => R1001,
        Refusal::ExportableFixed => R1003,
        Refusal::ExportableWithoutPolicy => R1004,
        Refusal::PolicyWithoutExportable => R1005,
        Refusal::ExportableSoftware => R1006,
        Refusal::PolicyOnVersion => R1016,
        Refusal::PolicyImmutable => R1020,
        Refusal::Policy(error) if error.kind == ParseErrorKind::VersionMissing => Unreadable,
        Refusal::PolicyOfNewVersion => OfNewVersion,
        Refusal::HsmOnStandard => HsmOnStandard,
        Refusal::HsmInSoftware => HsmInSoftware,
        Refusal::SoftwareOct => SoftwareOct,
        Refusal::Backup(BackupError::OlderGeneration { found: 1, known: 2 }) => Older,
        Refusal::MinIatLowered { known: IAT_KNOWN, .. } => IatLowered,
        Refusal::MinIatInFuture { .. } => IatInFuture,
        Refusal::MinIatOnVersion => IatOnVersion,
        Refusal::MinIatWithoutExportable => IatOfPlain,
        Refusal::Backup(BackupError::MinIatLowered { found: 0, known: IAT_KNOWN }) => BackupIatLowered,
        other => panic!("{other:?}"),
    }
}

/// Which key there is before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Base {
    /// An HSM key that stays, which verifies and nothing else.
    Plain,
    /// An exportable one under a policy.
    Policy,
    /// One whose policy is fixed.
    Fixed,
    /// One that was revoked once, at [`IAT_KNOWN`].
    Revoked,
}

/// What is said, as far as a path can say it.
#[derive(Debug, Clone, Copy)]
struct Saying {
    key_type: KeyType,
    hsm: bool,
    exportable: Option<bool>,
    policy: Option<&'static str>,
    key_ops: Option<&'static [KeyOp]>,
    min_iat: Option<u64>,
}

const NOTHING: Saying =
    Saying { key_type: EC, hsm: true, exportable: None, policy: None, key_ops: None, min_iat: None };
const IAT_KNOWN: u64 = NOW - 5;
const NOT_ONE: &str = "{}";
const SAME: &str = "same";
const OTHER: &str =
    r#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"iss","exists":true}]}]}"#;

fn text_of(policy: &str) -> Vec<u8> {
    if policy == SAME { crate::support::policy().into_bytes() } else { policy.as_bytes().to_vec() }
}

impl Saying {
    fn policy(&self) -> Option<PolicyInput> {
        self.policy.map(|text| PolicyInput { data: text_of(text), immutable: None })
    }

    fn attributes(&self) -> AttributesInput {
        AttributesInput { exportable: self.exportable, ..AttributesInput::default() }
    }

    fn new_key(&self, key: &str) -> NewKey {
        let key_ops = self.key_ops.map(<[KeyOp]>::to_vec);
        let (attributes, policy) = (self.attributes(), self.policy());
        NewKey { key_type: self.key_type, hsm: self.hsm, key_ops, attributes, policy, ..create(key).to_new() }
    }

    fn changes(&self) -> Changes {
        Changes {
            key_ops: self.key_ops.map(<[KeyOp]>::to_vec),
            attributes: self.attributes(),
            policy: self.policy(),
            min_iat: self.min_iat,
            tags: None,
        }
    }
}

/// One rule: the vault in which the path is taken, what there is, what is said, and what each path comes to.
type Rule = (&'static str, VaultKind, bool, Base, Saying, [Cell; 10]);

/// The table. Paths: create, create again, import, import over, patch, patch of a version, restore, restore of an older
/// backup, rotate, recover.
#[rustfmt::skip]
const RULES: [Rule; 16] = [
    ("1001: exportable on standard", VaultKind::Standard, true, Base::Policy,
        Saying { exportable: Some(true), policy: Some(SAME), ..NOTHING },
        [R1001, R1001, R1001, R1001, Said, R1016, R1001, R1001, HsmOnStandard, Kept]),
    ("1003: a plain key becomes exportable", VaultKind::Premium, true, Base::Plain,
        Saying { exportable: Some(true), policy: Some(SAME), ..NOTHING },
        [Said, R1003, Said, R1003, R1003, R1016, Kept, Kept, Kept, Kept]),
    ("1003: an exportable key becomes plain", VaultKind::Premium, true, Base::Policy,
        Saying { exportable: Some(false), ..NOTHING },
        [Said, R1003, Said, R1003, R1003, R1003, Kept, Older, Kept, Kept]),
    ("1004: exportable without a policy", VaultKind::Premium, true, Base::Plain,
        Saying { exportable: Some(true), ..NOTHING },
        [R1004, R1003, R1004, R1003, R1003, R1003, Kept, Kept, Kept, Kept]),
    ("1005: a policy of a plain key", VaultKind::Premium, true, Base::Plain,
        Saying { policy: Some(SAME), ..NOTHING },
        [R1005, R1005, R1005, R1005, R1005, R1016, Kept, Kept, Kept, Kept]),
    ("1006: exportable in software", VaultKind::Premium, true, Base::Policy,
        Saying { hsm: false, exportable: Some(true), policy: Some(SAME), ..NOTHING },
        [R1006, R1006, R1006, R1006, Said, R1016, Kept, Older, Kept, Kept]),
    ("1006: a software version of an exportable key", VaultKind::Premium, true, Base::Policy,
        Saying { hsm: false, ..NOTHING },
        [Said, R1006, Said, R1006, Kept, Kept, Kept, Older, Kept, Kept]),
    ("1016: another policy", VaultKind::Premium, true, Base::Policy,
        Saying { policy: Some(OTHER), ..NOTHING },
        [R1005, OfNewVersion, R1005, OfNewVersion, Said, R1016, Kept, Older, Kept, Kept]),
    ("1020: a policy that is fixed", VaultKind::Premium, true, Base::Fixed,
        Saying { exportable: Some(true), policy: Some(SAME), ..NOTHING },
        [Said, R1020, Said, R1020, R1020, R1016, Kept, Kept, Kept, Kept]),
    ("a policy that is none", VaultKind::Premium, true, Base::Policy,
        Saying { exportable: Some(true), policy: Some(NOT_ONE), ..NOTHING },
        [Unreadable, Unreadable, Unreadable, Unreadable, Unreadable, R1016, Kept, Older, Kept, Kept]),
    ("an HSM key on standard", VaultKind::Standard, true, Base::Plain, NOTHING,
        [HsmOnStandard, HsmOnStandard, HsmOnStandard, HsmOnStandard, Kept, Kept, HsmOnStandard, HsmOnStandard, HsmOnStandard, Kept]),
    ("an HSM key behind which nobody stands", VaultKind::Premium, false, Base::Plain, NOTHING,
        [HsmInSoftware, HsmInSoftware, HsmInSoftware, HsmInSoftware, Kept, Kept, HsmInSoftware, HsmInSoftware, HsmInSoftware, Kept]),
    ("a symmetric key in software", VaultKind::Premium, true, Base::Plain,
        Saying { hsm: false, key_type: OCT, ..NOTHING },
        [SoftwareOct, SoftwareOct, SoftwareOct, SoftwareOct, Kept, Kept, Kept, Kept, Kept, Kept]),
    ("operations", VaultKind::Premium, true, Base::Plain,
        Saying { key_ops: Some(&[KeyOp::Sign]), ..NOTHING },
        [Said, Said, Said, Said, Said, Said, Kept, Kept, Kept, Kept]),
    ("an earliest token before the earliest", VaultKind::Premium, true, Base::Revoked,
        Saying { min_iat: Some(IAT_KNOWN - 1), ..NOTHING },
        [Said, Said, Said, Said, IatLowered, IatOnVersion, Kept, BackupIatLowered, Kept, Kept]),
    ("an earliest token to come, of a key that stays", VaultKind::Premium, true, Base::Policy,
        Saying { min_iat: Some(NOW + 1), ..NOTHING },
        [Said, Said, Said, Said, IatInFuture, IatOnVersion, Kept, Older, Kept, Kept]),
];

/// Each rule by each path. What is refused changes nothing.
#[test]
fn every_rule_by_every_path() {
    for rule in &RULES {
        let (_, kind, backed, base, saying, cells) = *rule;
        for (path, expected) in PATHS.into_iter().zip(cells) {
            check(rule.0, Ground::of(kind, backed, base), path, saying, expected);
        }
    }
}

/// A key that never leaves has no earliest token, by the one path that could say so.
#[test]
fn earliest_tokens_of_plain_keys() {
    for (path, expected) in [(Path::Patch, IatOfPlain), (Path::PatchVersion, IatOnVersion), (Path::Rotate, Kept)] {
        let saying = Saying { min_iat: Some(NOW), ..NOTHING };
        check("min_iat", Ground::of(VaultKind::Premium, true, Base::Plain), path, saying, expected);
    }
}

/// A premium vault in which the key is, and one of the same installation in which the path is taken.
struct Ground {
    scene: Scene,
    vault: Vault,
    base: Base,
}

impl Ground {
    fn of(kind: VaultKind, backed: bool, base: Base) -> Ground {
        let scene = Setup::default().bare();
        let none = HsmBacking::default();
        let hsm = if backed { none.danger().software_hsm() } else { none };
        let vault = Setup { kind, hsm, ..Setup::default() }.try_vault(&scene.installation).unwrap().0;
        Ground { scene, vault, base }
    }

    /// The key, and a backup of it as it was before it was last changed.
    fn make(&self) -> (Key, Vec<u8>) {
        let exportable = self.base != Base::Plain;
        let policy = create(KEY).policy.filter(|_| exportable);
        let immutable = self.base == Base::Fixed;
        let key_ops = vec![KeyOp::Verify];
        let command = CreateCommand { exportable, policy, immutable, key_ops, ..create(KEY) };
        let key = self.scene.make(&command).unwrap();
        let backup = self.scene.backup(KEY).unwrap();
        let changes = Changes { min_iat: Some(IAT_KNOWN), ..Changes::default() };
        match self.base {
            Base::Revoked => (self.scene.update(KEY, &changes).unwrap(), backup),
            _ => (key, backup),
        }
    }

    /// Restores, after the name was freed.
    fn restored(&self, blob: &[u8]) -> Result<Key, Refusal> {
        self.scene.remove(KEY);
        let grant = grant(Permission::Restore);
        wait(self.vault.restore(&context(&grant, "restore-1", NOW), blob))
    }

    fn take(&self, path: Path, key: &Key, older: &[u8], saying: Saying) -> Result<Key, Refusal> {
        let name = &key.head.name;
        let changes = saying.changes();
        match path {
            Path::Create => self.made("new", saying),
            Path::CreateAgain => self.made(KEY, saying),
            Path::Import => self.brought("new", saying),
            Path::ImportOver => self.brought(KEY, saying),
            Path::Patch => self.changed(Named { name, version: None }, &changes),
            Path::PatchVersion => self.changed(Named { name, version: Some(key.version.version) }, &changes),
            Path::Restore => self.restored(&self.scene.backup(KEY).unwrap()),
            Path::RestoreOlder => {
                // What is exportable and not fixed gets another policy after the backup.
                if matches!(self.base, Base::Policy) {
                    let policy = PolicyInput { data: text_of(OTHER), immutable: None };
                    self.scene.update(KEY, &Changes { policy: Some(policy), ..Changes::default() }).unwrap();
                }
                self.restored(older)
            }
            Path::Rotate => {
                let grant = grant(Permission::Rotate);
                wait(self.vault.rotate(&context(&grant, "rotate-1", NOW), name))
            }
            Path::Recover => {
                self.scene.delete(KEY).unwrap();
                let grant = grant(Permission::Recover);
                wait(self.vault.recover(&context(&grant, "recover-1", NOW), name))
            }
        }
    }

    fn made(&self, key: &str, saying: Saying) -> Result<Key, Refusal> {
        let grant = grant(Permission::Create);
        wait(self.vault.create(&context(&grant, "create-1", NOW), &saying.new_key(key)))
    }

    fn brought(&self, key: &str, saying: Saying) -> Result<Key, Refusal> {
        let grant = grant(Permission::Import);
        let command = ImportCommand { new: saying.new_key(key), key: brought(saying.key_type), padded: false };
        wait(self.vault.import(&context(&grant, "import-1", NOW), command))
    }

    fn changed(&self, key: Named<'_>, changes: &Changes) -> Result<Key, Refusal> {
        let grant = grant(Permission::Update);
        wait(self.vault.update(&context(&grant, "update-1", NOW), key, changes))
    }
}

fn check(rule: &str, ground: Ground, path: Path, saying: Saying, expected: Cell) {
    let (before, older) = ground.make();
    let result = ground.take(path, &before, &older, saying);
    let what = format!("{rule}, {path:?}");
    match (&result, expected) {
        (Ok(after), Said) => assert_said(&before, after, path, saying, &what),
        (Ok(after), Kept) => assert_kept(&before, after, path, &what),
        (Ok(_), _) => panic!("{what}: a key, and not {expected:?}"),
        (Err(found), _) => {
            assert_eq!(refusal(found), expected, "{what}");
            assert_unchanged(&ground, &before, path, &what);
        }
    }
}

/// The key has what was said, and is otherwise as it was where it was there before.
fn assert_said(before: &Key, after: &Key, path: Path, saying: Saying, what: &str) {
    let first = matches!(path, Path::Create | Path::Import);
    let (head, version) = (&after.head, &after.version);
    let exportable = saying.exportable.unwrap_or(!first && before.head.exportable);
    assert_eq!((head.exportable, version.hsm), (exportable, saying.hsm || path == Path::Patch), "{what}");
    let said = saying.policy.map(text_of);
    let kept = before.head.policy.as_ref().filter(|_| !first).map(|policy| policy.source().to_vec());
    assert_eq!(head.policy.as_ref().map(|policy| policy.source().to_vec()), said.or(kept), "{what}");
    let defaults = KeyOp::defaults(version.key_type);
    let ops = if path == Path::Patch { &before.version.key_ops } else { defaults };
    assert_eq!(version.key_ops, saying.key_ops.unwrap_or(ops), "{what}");
    assert_eq!(head.min_iat, if first { 0 } else { before.head.min_iat }, "{what}");
    let versions = if first { 1 } else { before.head.versions.len() + usize::from(is_a_version(path)) };
    assert_eq!((head.versions.len(), head.deletion), (versions, None), "{what}");
}

/// The key is as it was, but for a version more where the path makes one.
fn assert_kept(before: &Key, after: &Key, path: Path, what: &str) {
    let mut head = (*before.head).clone();
    if is_a_version(path) {
        head.versions.push(*after.head.versions.last().unwrap());
    } else {
        assert_eq!(after.version.version, before.version.version, "{what}");
    }
    // A restored key is sealed anew, under an id of its own.
    if matches!(path, Path::Restore | Path::RestoreOlder) {
        (head.id, head.versions) = (after.head.id, after.head.versions.clone());
        let versions = |key: &Key| key.head.versions.iter().map(|one| one.version).collect::<Vec<Version>>();
        assert_eq!(versions(before), versions(after), "{what}");
    }
    assert_eq!(*after.head, head, "{what}");
    let what_it_is =
        |key: &Key| (key.version.hsm, key.version.key_type, key.version.key_ops.clone(), key.version.enabled);
    assert_eq!(what_it_is(before), what_it_is(after), "{what}");
}

fn is_a_version(path: Path) -> bool {
    matches!(path, Path::CreateAgain | Path::ImportOver | Path::Rotate)
}

fn assert_unchanged(ground: &Ground, before: &Key, path: Path, what: &str) {
    let scene = &ground.scene;
    assert!(!scene.has("new"), "{what}");
    match path {
        Path::Restore | Path::RestoreOlder => assert!(!scene.has(KEY), "{what}"),
        _ => assert_eq!(scene.get(KEY), Ok(before.clone()), "{what}"),
    }
}
