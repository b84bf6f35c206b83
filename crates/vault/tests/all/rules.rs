//! Azure's rules of exportable keys and their policies (AKV.SKR.1001 to 1020): every path by which a policy could come
//! to a key, and every state that the key can be in.

use skerry_policy::release::ParseErrorKind;
use skerry_vault::command::{AttributesInput, Changes, NewKey, PolicyInput};
use skerry_vault::decide::HsmBacking;
use skerry_vault::record::{Key, KeyHead};
use skerry_vault::{Refusal, VaultKind};

use crate::operations::*;
use crate::support::*;

/// What a cell comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Ok,
    /// A key or version that is called an HSM key, and one that is not.
    Hsm,
    Soft,
    Standard,
    HsmOnStandard,
    HsmInSoftware,
    SoftwareOct,
    ExportableSoftware,
    Fixed,
    WithoutPolicy,
    WithoutExportable,
    Immutable,
    OfNewVersion,
    OnVersion,
    Unreadable,
}

use Cell::*;

fn cell(result: Result<&Key, &Refusal>) -> Cell {
    match result {
        Result::Ok(_) => Ok,
        Err(Refusal::ExportableOnStandard) => Standard,
        Err(Refusal::HsmOnStandard) => HsmOnStandard,
        Err(Refusal::HsmInSoftware) => HsmInSoftware,
        Err(Refusal::SoftwareOct) => SoftwareOct,
        Err(Refusal::ExportableSoftware) => ExportableSoftware,
        Err(Refusal::ExportableFixed) => Fixed,
        Err(Refusal::ExportableWithoutPolicy) => WithoutPolicy,
        Err(Refusal::PolicyWithoutExportable) => WithoutExportable,
        Err(Refusal::PolicyImmutable) => Immutable,
        Err(Refusal::PolicyOfNewVersion) => OfNewVersion,
        Err(Refusal::PolicyOnVersion) => OnVersion,
        Err(Refusal::Policy(error)) if error.kind == ParseErrorKind::VersionMissing => Unreadable,
        Err(other) => panic!("{other:?}"),
    }
}

type Make<'a> = &'a dyn Fn(NewKey) -> Result<Key, Refusal>;

/// Both ways to make a key. What either makes is called an HSM key as the cell says; what is refused leaves no trace.
fn made_both_ways(scene: &Scene, new: &NewKey) -> [Cell; 2] {
    let create = |new: NewKey| scene.make_new(&new);
    let import = |new: NewKey| scene.import_key(new.clone(), brought(new.key_type));
    let ways: [(&str, Make<'_>); 2] = [("made", &create), ("brought", &import)];
    ways.map(|(way, make)| {
        let name = name(&format!("{way}-{}", scene.records().len()));
        let before = scene.records().len();
        let result = make(NewKey { name: name.clone(), ..new.clone() });
        let of = cell(result.as_ref());
        assert_eq!(scene.records().len() - before, if of == Ok { 2 } else { 0 });
        assert_eq!(scene.has(name.as_str()), of == Ok);
        match result {
            Result::Ok(key) if key.version.hsm => Hsm,
            Result::Ok(_) => Soft,
            Err(_) => of,
        }
    })
}

/// Which vault makes which kind of key (1001, 1006): its tier, whether an HSM key is asked for, who stands behind those,
/// and the same for keys that are brought in.
#[test]
fn kind_of_vault_by_kind_of_key() {
    let none = HsmBacking::default();
    let danger = none.danger().software_hsm();
    let types = [EC, OCT];
    // Of each type: plain software, plain HSM, exportable software, exportable HSM.
    let table = [
        (
            VaultKind::Standard,
            none,
            [[Soft, HsmOnStandard, Standard, Standard], [SoftwareOct, HsmOnStandard, Standard, Standard]],
        ),
        (
            VaultKind::Standard,
            danger,
            [[Soft, HsmOnStandard, Standard, Standard], [SoftwareOct, HsmOnStandard, Standard, Standard]],
        ),
        (
            VaultKind::Premium,
            none,
            [
                [Soft, HsmInSoftware, ExportableSoftware, HsmInSoftware],
                [SoftwareOct, HsmInSoftware, SoftwareOct, HsmInSoftware],
            ],
        ),
        (VaultKind::Premium, danger, [[Soft, Hsm, ExportableSoftware, Hsm], [SoftwareOct, Hsm, SoftwareOct, Hsm]]),
        (VaultKind::ManagedHsm, none, [[HsmInSoftware; 4]; 2]),
        (VaultKind::ManagedHsm, danger, [[Hsm; 4]; 2]),
    ];
    for (kind, hsm, expected) in table {
        let scene = Setup { kind, hsm, ..Setup::default() }.bare();
        for (key_type, expected) in types.into_iter().zip(expected) {
            let asked = [(false, false), (false, true), (true, false), (true, true)];
            for ((exportable, hsm), expected) in asked.into_iter().zip(expected) {
                let plain = CreateCommand { key_type, exportable, policy: None, ..create(KEY) };
                let command = if exportable { CreateCommand { policy: create(KEY).policy, ..plain } } else { plain };
                let seen = made_both_ways(&scene, &NewKey { hsm, ..command.to_new() });
                assert_eq!(seen, [expected; 2], "{kind:?} {hsm} {key_type:?} exportable: {exportable}");
            }
        }
    }
}

/// Asking for a software version of an HSM key: of a plain key it is one, an exportable key has none (1006), and a Managed
/// HSM makes an HSM key of it.
#[test]
fn software_version_of_an_hsm_key() {
    for (kind, plain, exportable) in
        [(VaultKind::Premium, Some(false), None), (VaultKind::ManagedHsm, Some(true), Some(true))]
    {
        let scene = Setup::of_kind(kind);
        scene.make(&CreateCommand { exportable: false, policy: None, ..create("plain") }).unwrap();
        for (key, expected) in [("plain", plain), (KEY, exportable)] {
            let bare = CreateCommand { policy: None, ..create(key) }.to_new();
            let new = NewKey { hsm: false, attributes: AttributesInput::default(), ..bare };
            for result in [scene.make_new(&new), scene.import_key(new.clone(), generator())] {
                let expected = expected.ok_or(Refusal::ExportableSoftware);
                assert_eq!(result.map(|key| key.version.hsm), expected, "{kind:?} {key}");
            }
        }
    }
}

/// What a request says of exportability and of a policy.
type Said = (Option<bool>, Option<(Which, Option<bool>)>);

/// What is said; what it comes to for a first version, a new version, an update, an update of a version.
type Row = (Said, Cell, [Cell; 3], [Cell; 3], [Cell; 3]);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Which {
    Same,
    Other,
    NotOne,
}

use Which::*;

/// The matrix: a first version; a new one, and an update, of a plain key, of one with a policy, and of one whose policy is
/// fixed; an update of a version that is named. New versions are made and brought in.
#[test]
fn every_policy_by_every_path() {
    let (yes, no) = (Some(true), Some(false));
    #[rustfmt::skip]
    let table: [Row; 16] = [
        // said                             first              new version: plain, policy, fixed              update: plain, policy, fixed               update of a version
        ((None, None),                      Ok,                [Ok, Ok, Ok],                                  [Ok, Ok, Ok],                              [Ok, Ok, Ok]),
        ((no, None),                        Ok,                [Ok, Fixed, Fixed],                            [Ok, Fixed, Fixed],                        [Ok, Fixed, Fixed]),
        ((yes, None),                       WithoutPolicy,     [Fixed, Ok, Ok],                               [Fixed, Ok, Ok],                           [Fixed, Ok, Ok]),
        ((None, Some((Same, None))),        WithoutExportable, [WithoutExportable, Ok, Immutable],            [WithoutExportable, Ok, Immutable],        [OnVersion; 3]),
        ((None, Some((Same, no))),          WithoutExportable, [WithoutExportable, Ok, Immutable],            [WithoutExportable, Ok, Immutable],        [OnVersion; 3]),
        ((None, Some((Same, yes))),         WithoutExportable, [WithoutExportable, OfNewVersion, Immutable],  [WithoutExportable, Ok, Immutable],        [OnVersion; 3]),
        ((None, Some((Other, None))),       WithoutExportable, [WithoutExportable, OfNewVersion, Immutable],  [WithoutExportable, Ok, Immutable],        [OnVersion; 3]),
        ((None, Some((NotOne, None))),      WithoutExportable, [WithoutExportable, Unreadable, Immutable],    [WithoutExportable, Unreadable, Immutable],[OnVersion; 3]),
        ((no, Some((Same, None))),          WithoutExportable, [WithoutExportable, Fixed, Fixed],             [WithoutExportable, Fixed, Immutable],     [OnVersion; 3]),
        ((no, Some((Other, yes))),          WithoutExportable, [WithoutExportable, Fixed, Fixed],             [WithoutExportable, Fixed, Immutable],     [OnVersion; 3]),
        ((yes, Some((Same, None))),         Ok,                [Fixed, Ok, Immutable],                        [Fixed, Ok, Immutable],                    [OnVersion; 3]),
        ((yes, Some((Same, no))),           Ok,                [Fixed, Ok, Immutable],                        [Fixed, Ok, Immutable],                    [OnVersion; 3]),
        ((yes, Some((Same, yes))),          Ok,                [Fixed, OfNewVersion, Immutable],              [Fixed, Ok, Immutable],                    [OnVersion; 3]),
        ((yes, Some((Other, None))),        Ok,                [Fixed, OfNewVersion, Immutable],              [Fixed, Ok, Immutable],                    [OnVersion; 3]),
        ((yes, Some((Other, yes))),         Ok,                [Fixed, OfNewVersion, Immutable],              [Fixed, Ok, Immutable],                    [OnVersion; 3]),
        ((yes, Some((NotOne, None))),       Unreadable,        [Fixed, Unreadable, Immutable],                [Fixed, Unreadable, Immutable],            [OnVersion; 3]),
    ];
    let scene = Setup::default().bare();
    for (said, first, version, update, update_of_version) in table {
        let new = NewKey { attributes: attributes(said), policy: input(said), ..create(KEY).to_new() };
        let expected = if first == Ok { Hsm } else { first };
        assert_eq!(made_both_ways(&scene, &new), [expected; 2], "{said:?}");
        for (at, base) in BASES.into_iter().enumerate() {
            let import = |new: &NewKey| scene.import_key(new.clone(), generator());
            new_version(&scene, base, &new, version[at], |new| scene.make_new(new));
            new_version(&scene, base, &new, version[at], import);
            updated(&scene, base, said, update[at], false);
            updated(&scene, base, said, update_of_version[at], true);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Base {
    Plain,
    Policy,
    Fixed,
}

const BASES: [Base; 3] = [Base::Plain, Base::Policy, Base::Fixed];

/// A key of this sort: the one from before while it is as it was made, since what is refused leaves it so.
fn base(scene: &Scene, base: Base) -> Key {
    let key = format!("base-{base:?}");
    if let Result::Ok(known) = scene.get(&key) {
        let untouched = (known.head.versions.len(), known.version.updated, known.head.generation);
        if untouched == (1, NOW, u64::from(base != Base::Plain)) {
            return known;
        }
        scene.delete(&key).unwrap();
        scene.purge(&key).unwrap();
    }
    let policy = create(KEY).policy.filter(|_| base != Base::Plain);
    let command =
        CreateCommand { exportable: policy.is_some(), policy, immutable: base == Base::Fixed, ..create(&key) };
    scene.make(&command).unwrap()
}

fn new_version(
    scene: &Scene,
    of: Base,
    new: &NewKey,
    expected: Cell,
    make: impl FnOnce(&NewKey) -> Result<Key, Refusal>,
) {
    let before = base(scene, of);
    let records = scene.records().len();
    let result = make(&NewKey { name: before.head.name.clone(), ..new.clone() });
    let what = format!("{of:?} {:?} {:?}", new.attributes.exportable, new.policy);
    assert_eq!(cell(result.as_ref()), expected, "a new version of {what}");
    match result {
        Err(_) => unchanged(scene, &before, records),
        // Nothing but that there is one more.
        Result::Ok(after) => {
            let head = KeyHead { versions: after.head.versions.clone(), ..(*before.head).clone() };
            assert_eq!((&*after.head, after.head.versions.len()), (&head, 2), "{what}");
        }
    }
}

fn updated(scene: &Scene, of: Base, said: Said, expected: Cell, version_named: bool) {
    let before = base(scene, of);
    let records = scene.records().len();
    let changes = Changes { attributes: attributes(said), policy: input(said), ..Changes::default() };
    let version = version_named.then_some(before.version.version);
    let result = scene.update_at(before.head.name.as_str(), version, &changes, NOW + 1);
    assert_eq!(cell(result.as_ref()), expected, "update of {of:?} {said:?}, of a version: {version_named}");
    let Result::Ok(after) = result else { return unchanged(scene, &before, records) };
    let Some((which, immutable)) = said.1 else { return assert_eq!(after.head, before.head) };
    let head = &after.head;
    assert_eq!((head.immutable, head.generation), (immutable == Some(true), before.head.generation + 1));
    assert_eq!(head.policy.as_ref().unwrap().source(), text_of(which).as_bytes());
    assert_eq!((head.id, head.exportable, &head.versions), (before.head.id, true, &before.head.versions));
}

fn unchanged(scene: &Scene, before: &Key, records: usize) {
    assert_eq!(scene.key(before.head.name.as_str()), *before);
    assert_eq!(scene.records().len(), records);
}

fn attributes(said: Said) -> AttributesInput {
    AttributesInput { exportable: said.0, ..AttributesInput::default() }
}

fn input(said: Said) -> Option<PolicyInput> {
    said.1.map(|(which, immutable)| PolicyInput { data: text_of(which).into_bytes(), immutable })
}

fn text_of(which: Which) -> String {
    match which {
        Same => policy(),
        Other => entry(ISSUER, r#"{"claim":"iss","exists":true}"#),
        NotOne => "{}".into(),
    }
}

/// Two paths by which nothing is said of a policy: a new version by rotation, and a restore after a purge. Each key keeps
/// its policy, its generation and whether it is fixed, of every sort.
#[test]
fn policies_stay_by_rotation_and_restore() {
    let scene = Setup::default().bare();
    for of in BASES {
        let before = base(&scene, of);
        let key = before.head.name.as_str();
        let rotated = scene.rotate(key).unwrap();
        let head = KeyHead { versions: rotated.head.versions.clone(), ..(*before.head).clone() };
        assert_eq!((&*rotated.head, rotated.head.versions.len()), (&head, 2), "{of:?}");
        let blob = scene.backup(key).unwrap();
        scene.remove(key);
        let restored = scene.restore(&blob).unwrap();
        let head = KeyHead { versions: restored.head.versions.clone(), ..(*rotated.head).clone() };
        assert_eq!((&*restored.head, restored.head.versions.len()), (&head, 2), "{of:?}");
        updated(&scene, Base::Fixed, (None, Some((Other, None))), Immutable, false);
    }
}

/// A vault that may no longer make a kind of key does not rotate it either.
#[test]
fn rotation_asks_what_the_vault_may_make() {
    let none = HsmBacking::default();
    let danger = none.danger().software_hsm();
    let scene = Scene::new();
    scene.make(&CreateCommand { exportable: false, policy: None, ..create("hsm") }).unwrap();
    let soft = CreateCommand { exportable: false, policy: None, ..create("soft") }.to_new();
    scene.make_new(&NewKey { hsm: false, ..soft }).unwrap();
    for (kind, hsm, expected) in [
        (VaultKind::Premium, danger, [Ok, Ok, Ok]),
        (VaultKind::Premium, none, [HsmInSoftware, HsmInSoftware, Ok]),
        (VaultKind::Standard, danger, [HsmOnStandard, HsmOnStandard, Ok]),
        (VaultKind::Standard, none, [HsmOnStandard, HsmOnStandard, Ok]),
    ] {
        let vault = Setup { kind, hsm, ..Setup::default() }.try_vault(&scene.installation).unwrap().0;
        for (key, expected) in [KEY, "hsm", "soft"].into_iter().zip(expected) {
            let grant = grant(skerry_identity::Permission::Rotate);
            let rotated = wait(vault.rotate(&context(&grant, "rotate-1", NOW), &name(key)));
            assert_eq!(cell(rotated.as_ref()), expected, "{kind:?} {key}");
        }
    }
}

/// The same policy in other words is the same policy: a new version may repeat it so, and the key keeps its own words.
#[test]
fn policy_in_other_words_is_the_same() {
    let scene = Scene::new();
    let spaced = policy().replace(',', " ,\n");
    let after = scene.create_under(KEY, &spaced).unwrap();
    assert_eq!(after.head.policy.as_ref().unwrap().source(), policy().as_bytes());
    assert_eq!(after.head.generation, 1);
    let stricter = policy().replace("sevsnpvm\"", "tdxvm\"");
    assert_eq!(scene.create_under(KEY, &stricter).err(), Some(Refusal::PolicyOfNewVersion), "the control");
}

/// Under a name whose key is deleted nothing is made, whatever is asked for, and that is the first thing said.
#[test]
fn name_of_a_deleted_key_comes_first() {
    let scene = Setup::default().bare();
    scene.create(KEY, EC);
    scene.delete(KEY).unwrap();
    let recoverable = Some(Refusal::DeletedButRecoverable { name: KEY.into() });
    for exportable in [None, Some(false), Some(true)] {
        for policy in [None, Some(Same), Some(Other), Some(NotOne)] {
            let said = (exportable, policy.map(|which| (which, None)));
            for hsm in [false, true] {
                let new = NewKey { hsm, attributes: attributes(said), policy: input(said), ..create(KEY).to_new() };
                assert_eq!(scene.make_new(&new).err(), recoverable, "{said:?}");
                assert_eq!(scene.import_key(new, generator()).err(), recoverable, "{said:?}");
            }
        }
    }
    scene.purge(KEY).unwrap();
    assert!(scene.make(&create(KEY)).is_ok());
}

/// A policy that was loosened and is fixed from then on is enforced as it stands then, and no more changed.
#[test]
fn mutable_policy_becomes_immutable() {
    let scene = Scene::new();
    let loose = PolicyInput { data: text_of(Other).into_bytes(), immutable: Some(true) };
    let other = token(&claims().with("x-ms-attestation-type", "tdxvm"));
    assert!(matches!(scene.release(&other), Err(Refusal::Denied(_))));
    let changes = Changes { policy: Some(loose), ..Changes::default() };
    let fixed = scene.update(KEY, &changes).unwrap();
    assert!(fixed.head.immutable && fixed.head.generation == 2);
    assert!(scene.release(&other).is_ok());
    assert_eq!(scene.update(KEY, &changes).err(), Some(Refusal::PolicyImmutable));
    assert_eq!(scene.key(KEY), fixed);
}
