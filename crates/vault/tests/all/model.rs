//! A vault against a naive model of one: random sequences of operations have the same answers.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use skerry_keys::{SignAlgorithm, SignError};
use skerry_policy::permit::{Denied, Version};
use skerry_policy::release::Explanation;
use skerry_vault::Refusal;
use skerry_vault::backup::BackupError;
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
    Sign {
        name: usize,
        version: Option<Index>,
    },
    /// For a token of the measurement that one of the policies asks for, or for another.
    Release {
        name: usize,
        other: bool,
    },
    Rotate {
        name: usize,
    },
    Backup {
        name: usize,
    },
    /// From one of the backups that were ever made.
    Restore {
        from: Index,
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
        2 => (name(), option::of(any::<Index>())).prop_map(|(name, version)| Step::Sign { name, version }),
        2 => (name(), any::<bool>()).prop_map(|(name, other)| Step::Release { name, other }),
        1 => name().prop_map(|name| Step::Rotate { name }),
        2 => name().prop_map(|name| Step::Backup { name }),
        2 => any::<Index>().prop_map(|from| Step::Restore { from }),
    ]
}

/// One of two policies: the usual one, or another.
fn policy_of(other: bool) -> String {
    if other { entry(ISSUER, r#"{"claim":"iss","exists":true}"#) } else { policy() }
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// What outlives the name: a number of the model's own.
    id: usize,
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
    /// Keys that were made, so far.
    made: usize,
    backups: Vec<Entry>,
    /// The policy generation and whether it was fixed, of keys that were purged.
    purged: BTreeMap<usize, (u64, bool)>,
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
                    id: self.made,
                    name,
                    immutable: immutable && policy.is_some(),
                    policy,
                    generation,
                    versions: vec![],
                    deleted: None,
                };
                self.made += 1;
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
                let entry = self.deleted(NAMES[name])?.clone();
                self.purged.insert(entry.id, (entry.generation, entry.immutable));
                self.entries.remove(&NAMES[name].to_lowercase());
                Ok(None)
            }
            Step::Sign { name, version } => {
                let version = version.map(|index| self.any_id(index));
                let entry = self.live(NAMES[name])?;
                let at = at_version(entry, version)?;
                let one = entry.enabled(at, Operation::Sign)?;
                match one.oct {
                    true => Err(Refusal::Sign(SignError::Algorithm { algorithm: SignAlgorithm::Es256, key_type: OCT })),
                    false => Ok(Some((entry.clone(), at))),
                }
            }
            Step::Release { name, other } => {
                let entry = self.live(NAMES[name])?;
                let at = entry.versions.len() - 1;
                entry.enabled(at, Operation::Release)?;
                let policy = entry.policy.as_ref();
                let policy = policy.ok_or_else(|| Refusal::NotExportable { name: entry.name.into() })?;
                match other && *policy == policy_of(false) {
                    true => Err(denied()),
                    false => Ok(Some((entry.clone(), at))),
                }
            }
            Step::Rotate { name } => {
                let entry = self.live(NAMES[name])?;
                let one = entry.enabled(entry.versions.len() - 1, Operation::Rotate)?.clone();
                let id = made.unwrap_or(Version([0; 16]));
                entry.versions.push(One { id, enabled: true, created: now, updated: now, ..one });
                let answer = (entry.clone(), entry.versions.len() - 1);
                self.ids.push(id);
                Ok(Some(answer))
            }
            Step::Backup { name } => {
                let entry = self.live(NAMES[name])?.clone();
                self.backups.push(entry);
                Ok(None)
            }
            Step::Restore { from } => {
                let Some(entry) = (!self.backups.is_empty()).then(|| from.get(&self.backups).clone()) else {
                    return Err(nothing_to_restore());
                };
                if let Some(taken) = self.entries.get(&entry.name.to_lowercase()) {
                    let name = taken.name.into();
                    return Err(match taken.deleted {
                        Some(_) => Refusal::DeletedButRecoverable { name },
                        None => Refusal::NameTaken { name },
                    });
                }
                let (found, known) = (entry.generation, self.purged.get(&entry.id).copied());
                match known {
                    Some((known, _)) if found < known => {
                        return Err(Refusal::Backup(BackupError::OlderGeneration { found, known }));
                    }
                    Some((_, true)) if !entry.immutable => return Err(Refusal::Backup(BackupError::PolicyLoosened)),
                    _ => {}
                }
                self.entries.insert(entry.name.to_lowercase(), entry.clone());
                let at = entry.versions.len() - 1;
                Ok(Some((entry, at)))
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

impl Entry {
    fn enabled(&self, at: usize, operation: Operation) -> Result<&One, Refusal> {
        let one = &self.versions[at];
        let disabled = || Refusal::KeyDisabled { name: self.name.into(), operation };
        one.enabled.then_some(one).ok_or_else(disabled)
    }
}

/// A denial by the policy, whatever it says besides.
fn denied() -> Refusal {
    Refusal::Denied(Denied::Policy(Box::new(Explanation { issuer: String::new(), entries: vec![] })))
}

fn nothing_to_restore() -> Refusal {
    Refusal::Backup(BackupError::NotABackup)
}

fn is_same(refusal: &Refusal, expected: &Refusal) -> bool {
    match (refusal, expected) {
        (Refusal::Denied(Denied::Policy(_)), Refusal::Denied(Denied::Policy(_))) => true,
        (refusal, expected) => refusal == expected,
    }
}

fn at_version(entry: &Entry, version: Option<Version>) -> Result<usize, Refusal> {
    let Some(version) = version else { return Ok(entry.versions.len() - 1) };
    let missing = || Refusal::VersionNotFound { name: entry.name.into(), version: version.to_string() };
    entry.versions.iter().position(|one| one.id == version).ok_or_else(missing)
}

/// The vault's own way to take the same step.
fn take(
    scene: &Scene,
    step: &Step,
    model: &Model,
    backups: &mut Vec<Vec<u8>>,
    now: u64,
) -> Result<Option<Key>, Refusal> {
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
        Step::Sign { name, version } => {
            let version = version.map(|index| model.any_id(index));
            let signed = scene.sign_at(NAMES[name], version, SignAlgorithm::Es256, &DIGEST, now)?;
            Ok(Some(signed.key))
        }
        Step::Release { name, other } => {
            let token = if other { token(&claims().with("x-ms-attestation-type", "tdxvm")) } else { good_token() };
            let released = scene.release_key(NAMES[name], &token)?;
            let payload = decoded(&released.value, 1);
            let kid = path(&payload, &["response", "key", "key", "kid"]).as_str().unwrap().to_owned();
            let key = scene.get(NAMES[name])?;
            assert!(kid.ends_with(&key.version.version.to_string()), "{kid}");
            Ok(Some(key))
        }
        Step::Rotate { name } => scene.rotate_at(NAMES[name], now).map(Some),
        Step::Backup { name } => {
            backups.push(scene.backup(NAMES[name])?);
            Ok(None)
        }
        Step::Restore { .. } if backups.is_empty() => Err(nothing_to_restore()),
        Step::Restore { from } => scene.restore(from.get::<Vec<u8>>(backups)).map(Some),
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
    fn vault_is_the_model(steps in vec(step(), 1..40)) {
        let (scene, mut model, mut backups) = (Setup::default().bare(), Model::default(), Vec::new());
        let mut changes = 0;
        for (step, now) in steps.iter().zip(NOW..) {
            let answer = take(&scene, step, &model, &mut backups, now);
            let made = answer.as_ref().ok().and_then(Option::as_ref).map(|key| key.version.version);
            let expected = model.step(step, now, made);
            match (&answer, &expected) {
                (Ok(Some(key)), Ok(Some((entry, at)))) => assert_same(key, entry, *at),
                (Ok(None), Ok(None)) => {}
                (Err(refusal), Err(expected)) => prop_assert!(is_same(refusal, expected), "{:?}: {:?}, and not {:?}", step, refusal, expected),
                _ => prop_assert!(false, "{:?}: {:?}, and not {:?}", step, answer, expected),
            }
            let is_change = !matches!(step, Step::Get { .. } | Step::Sign { .. } | Step::Release { .. } | Step::Backup { .. });
            changes += usize::from(answer.is_ok() && is_change);
        }
        assert_same_lists(&scene, &model);
        let of_change = |verdict: &String| ["intended", "committed", "aborted"].contains(&verdict.as_str());
        let verdicts: Vec<String> = scene.story().into_iter().map(|(_, verdict)| verdict).filter(of_change).collect();
        prop_assert_eq!(verdicts, ["intended", "committed"].repeat(changes));
    }
}
