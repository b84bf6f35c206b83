//! A vault against a naive model of one: random sequences of operations have the same answers.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use skerry_policy::permit::Version;
use skerry_vault::Refusal;
use skerry_vault::command::{AttributesInput, Changes, ListCommand, NewKey, Operation, PolicyInput, Tags};
use skerry_vault::record::Key;

use crate::operations::*;
use crate::support::*;

/// Two spellings of one name, and another name.
const NAMES: [&str; 3] = ["a", "A", "b"];

#[derive(Debug, Clone)]
enum Step {
    /// Made or brought in.
    Add {
        name: usize,
        import: bool,
        oct: bool,
        policy: Option<bool>,
        immutable: bool,
        enabled: Option<bool>,
        tag: Option<u8>,
    },
    /// Of the newest version, or one of those that the model ever had.
    Update {
        name: usize,
        version: Option<Index>,
        enabled: Option<bool>,
        tag: Option<u8>,
        policy: Option<(bool, bool)>,
    },
    Delete {
        name: usize,
    },
    Recover {
        name: usize,
    },
    Purge {
        name: usize,
    },
    Get {
        name: usize,
        version: Option<Index>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let add = (
        name(),
        any::<bool>(),
        any::<bool>(),
        option::of(any::<bool>()),
        any::<bool>(),
        option::of(any::<bool>()),
        option::of(0..3_u8),
    );
    let add = add.prop_map(|(name, import, oct, policy, immutable, enabled, tag)| Step::Add {
        name,
        import,
        oct,
        policy,
        immutable,
        enabled,
        tag,
    });
    let policy = option::weighted(0.3, any::<(bool, bool)>());
    let update = (name(), option::of(any::<Index>()), option::of(any::<bool>()), option::of(0..3_u8), policy);
    let update =
        update.prop_map(|(name, version, enabled, tag, policy)| Step::Update { name, version, enabled, tag, policy });
    prop_oneof![
        4 => add,
        3 => update,
        2 => name().prop_map(|name| Step::Delete { name }),
        2 => name().prop_map(|name| Step::Recover { name }),
        1 => name().prop_map(|name| Step::Purge { name }),
        2 => (name(), option::of(any::<Index>())).prop_map(|(name, version)| Step::Get { name, version }),
    ]
}

/// One of two policies: the usual one, or another.
fn policy_of(other: bool) -> String {
    if other { entry(ISSUER, r#"{"claim":"iss","exists":true}"#) } else { policy() }
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: &'static str,
    policy: Option<String>,
    immutable: bool,
    generation: u64,
    versions: Vec<One>,
    deleted: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
struct One {
    id: Version,
    oct: bool,
    enabled: bool,
    tag: Option<u8>,
    created: u64,
    updated: u64,
}

/// What is under each name without case; and the ids of all versions that ever were, which only the vault can choose.
#[derive(Default)]
struct Model {
    entries: BTreeMap<String, Entry>,
    ids: Vec<Version>,
}

impl Model {
    fn live(&mut self, name: &str) -> Result<&mut Entry, Refusal> {
        let entry = self.entries.get_mut(&name.to_lowercase()).filter(|entry| entry.deleted.is_none());
        entry.ok_or_else(|| Refusal::KeyNotFound { name: name.into() })
    }

    fn deleted(&mut self, name: &str) -> Result<&mut Entry, Refusal> {
        let entry = self.entries.get_mut(&name.to_lowercase()).filter(|entry| entry.deleted.is_some());
        entry.ok_or_else(|| Refusal::DeletedKeyNotFound { name: name.into() })
    }

    fn any_id(&self, index: Index) -> Version {
        if self.ids.is_empty() { Version([0; 16]) } else { *index.get(&self.ids) }
    }

    /// What a step comes to: the key, and which of its versions is shown. `made` is the version that the vault made, if it did.
    fn step(&mut self, step: &Step, now: u64, made: Option<Version>) -> Result<Option<(Entry, usize)>, Refusal> {
        match step.clone() {
            Step::Add { name, oct, policy, immutable, enabled, tag, .. } => {
                let name = NAMES[name];
                let policy = policy.map(policy_of);
                self.may_add(name, policy.as_deref(), immutable)?;
                let id = made.unwrap_or(Version([0; 16]));
                let one = One { id, oct, enabled: enabled.unwrap_or(true), tag, created: now, updated: now };
                let generation = u64::from(policy.is_some());
                let fresh = Entry {
                    name,
                    immutable: immutable && policy.is_some(),
                    policy,
                    generation,
                    versions: vec![],
                    deleted: None,
                };
                let entry = self.entries.entry(name.to_lowercase()).or_insert(fresh);
                entry.versions.push(one);
                self.ids.push(id);
                Ok(Some((entry.clone(), entry.versions.len() - 1)))
            }
            Step::Update { name, version, enabled, tag, policy } => {
                let version = version.map(|index| self.any_id(index));
                let entry = self.live(NAMES[name])?;
                let at = at_version(entry, version)?;
                if policy.is_some() && version.is_some() {
                    return Err(Refusal::PolicyOnVersion);
                }
                if let Some((other, immutable)) = policy {
                    if entry.immutable {
                        return Err(Refusal::PolicyImmutable);
                    }
                    if entry.policy.is_none() {
                        return Err(Refusal::PolicyWithoutExportable);
                    }
                    (entry.policy, entry.immutable) = (Some(policy_of(other)), immutable);
                    entry.generation += 1;
                }
                let one = &mut entry.versions[at];
                (one.enabled, one.tag, one.updated) = (enabled.unwrap_or(one.enabled), tag.or(one.tag), now);
                Ok(Some((entry.clone(), at)))
            }
            Step::Delete { name } => {
                let entry = self.live(NAMES[name])?;
                entry.deleted = Some(now);
                Ok(Some((entry.clone(), entry.versions.len() - 1)))
            }
            Step::Recover { name } => {
                let entry = self.deleted(NAMES[name])?;
                entry.deleted = None;
                Ok(Some((entry.clone(), entry.versions.len() - 1)))
            }
            Step::Purge { name } => {
                self.deleted(NAMES[name])?;
                self.entries.remove(&NAMES[name].to_lowercase());
                Ok(None)
            }
            Step::Get { name, version } => {
                let version = version.map(|index| self.any_id(index));
                let entry = self.live(NAMES[name])?;
                let at = at_version(entry, version)?;
                if !entry.versions[at].enabled {
                    return Err(Refusal::KeyDisabled { name: entry.name.into(), operation: Operation::Get });
                }
                Ok(Some((entry.clone(), at)))
            }
        }
    }

    fn may_add(&self, name: &str, policy: Option<&str>, immutable: bool) -> Result<(), Refusal> {
        let Some(entry) = self.entries.get(&name.to_lowercase()) else { return Ok(()) };
        if entry.deleted.is_some() {
            return Err(Refusal::DeletedButRecoverable { name: entry.name.into() });
        }
        match (policy, &entry.policy) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Refusal::ExportableFixed),
            (Some(_), Some(_)) if entry.immutable => Err(Refusal::PolicyImmutable),
            (Some(new), Some(own)) if new != own || immutable => Err(Refusal::PolicyOfNewVersion),
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

fn at_version(entry: &Entry, version: Option<Version>) -> Result<usize, Refusal> {
    let Some(version) = version else { return Ok(entry.versions.len() - 1) };
    let missing = || Refusal::VersionNotFound { name: entry.name.into(), version: version.to_string() };
    entry.versions.iter().position(|one| one.id == version).ok_or_else(missing)
}

/// The vault's own way to take the same step.
fn take(scene: &Scene, step: &Step, model: &Model, now: u64) -> Result<Option<Key>, Refusal> {
    match step.clone() {
        Step::Add { name, import, oct, policy, immutable, enabled, tag } => {
            let attributes =
                AttributesInput { enabled, exportable: policy.map(|_| true), ..AttributesInput::default() };
            let policy =
                policy.map(|other| PolicyInput { data: policy_of(other).into_bytes(), immutable: Some(immutable) });
            let key_type = if oct { OCT } else { EC };
            let new = NewKey { key_type, attributes, policy, tags: tag.map(tags), ..create(NAMES[name]).to_new() };
            let result =
                if import { scene.import_key_at(new, brought(key_type), now) } else { scene.make_at(&new, now) };
            result.map(Some)
        }
        Step::Update { name, version, enabled, tag, policy } => {
            let policy = policy.map(|(other, immutable)| PolicyInput {
                data: policy_of(other).into_bytes(),
                immutable: Some(immutable),
            });
            let attributes = AttributesInput { enabled, ..AttributesInput::default() };
            let changes = Changes { attributes, policy, tags: tag.map(tags), ..Changes::default() };
            scene.update_at(NAMES[name], version.map(|index| model.any_id(index)), &changes, now).map(Some)
        }
        Step::Delete { name } => scene.delete_at(NAMES[name], now).map(Some),
        Step::Recover { name } => scene.recover(NAMES[name]).map(Some),
        Step::Purge { name } => scene.purge_at(NAMES[name], now).map(|()| None),
        Step::Get { name, version: None } => scene.get(NAMES[name]).map(Some),
        Step::Get { name, version: Some(index) } => scene.get_version(NAMES[name], model.any_id(index)).map(Some),
    }
}

fn tags(tag: u8) -> Tags {
    Tags::new(vec![("tag".into(), tag.to_string())]).unwrap()
}

fn assert_same(key: &Key, entry: &Entry, at: usize) {
    let (head, version, one) = (&key.head, &key.version, &entry.versions[at]);
    assert_eq!(head.name.as_str(), entry.name);
    assert_eq!(
        (head.exportable, head.immutable, head.generation),
        (entry.policy.is_some(), entry.immutable, entry.generation)
    );
    assert_eq!(head.policy.as_ref().map(|policy| policy.source()), entry.policy.as_ref().map(String::as_bytes));
    assert_eq!(head.deletion.map(|deletion| deletion.deleted), entry.deleted);
    let ids = |versions: &[One]| versions.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(head.versions.iter().map(|of| of.version).collect::<Vec<_>>(), ids(&entry.versions));
    assert_eq!(
        (version.version, version.enabled, version.created, version.updated),
        (one.id, one.enabled, one.created, one.updated)
    );
    assert_eq!(
        (version.key_type, &version.tags),
        (if one.oct { OCT } else { EC }, &one.tag.map(tags).unwrap_or_default())
    );
}

/// Live and deleted keys in order, and every version of the live ones by id.
fn assert_same_lists(scene: &Scene, model: &Model) {
    let all = ListCommand::default();
    for (deleted, rows) in [(false, scene.list(&all).unwrap().rows), (true, scene.list_deleted(&all).unwrap().rows)] {
        let entries: Vec<&Entry> = model.entries.values().filter(|entry| entry.deleted.is_some() == deleted).collect();
        assert_eq!(rows.len(), entries.len());
        for (key, entry) in rows.iter().zip(entries) {
            assert_same(key, entry, entry.versions.len() - 1);
            if !deleted {
                let mut sorted: Vec<usize> = (0..entry.versions.len()).collect();
                sorted.sort_by_key(|at| entry.versions[*at].id.0);
                let versions = scene.list_versions(entry.name, &all).unwrap().rows;
                assert_eq!(versions.len(), sorted.len());
                versions.iter().zip(sorted).for_each(|(key, at)| assert_same(key, entry, at));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order, the vault answers what the model does, and lists what it has; and what is on record
    /// is one intent and one outcome for each change that was made.
    #[test]
    fn vault_is_the_model(steps in vec(step(), 1..30)) {
        let (scene, mut model) = (Setup::default().bare(), Model::default());
        let mut changes = 0;
        for (step, now) in steps.iter().zip(NOW..) {
            let answer = take(&scene, step, &model, now);
            let made = answer.as_ref().ok().and_then(Option::as_ref).map(|key| key.version.version);
            let expected = model.step(step, now, made);
            match (&answer, &expected) {
                (Ok(Some(key)), Ok(Some((entry, at)))) => assert_same(key, entry, *at),
                (Ok(None), Ok(None)) => {}
                (Err(refusal), Err(expected)) => prop_assert_eq!(refusal, expected, "{:?}", step),
                _ => prop_assert!(false, "{:?}: {:?}, and not {:?}", step, answer, expected),
            }
            changes += usize::from(answer.is_ok() && !matches!(step, Step::Get { .. }));
        }
        assert_same_lists(&scene, &model);
        let verdicts: Vec<String> = scene.story().into_iter().map(|(_, verdict)| verdict).collect();
        prop_assert_eq!(verdicts, ["intended", "committed"].repeat(changes));
    }
}
