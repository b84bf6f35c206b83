//! The bytes of records: what is written is read as it was, and nothing else is read.

use std::sync::{Arc, OnceLock};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use skerry_keys::{KeyType, PublicKey, SealedMaterial};
use skerry_policy::permit::Version;
use skerry_vault::command::{KeyOp, Tags};
use skerry_vault::floor::FloorSettings;
use skerry_vault::limits::{NAME_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX};
use skerry_vault::record::{Corrupted, Deletion, KeyHead, KeyName, KeyPolicy, KeyVersion, Origin, VersionRef};
use skerry_vault::rotation::{Action, Period, RotationPolicy, Trigger};
use skerry_vault::stored::{
    Tombstone, decode_floor, decode_head, decode_rotation, decode_tombstone, decode_version, encode_floor, encode_head,
    encode_rotation, encode_tombstone, encode_version,
};
use uuid::Uuid;

use crate::support::*;

/// Every integer from zero to the largest, those where its length changes above all.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..30_u64, Just(u64::MAX), Just(u64::from(u32::MAX)), Just(255), Just(65_536)]
}

fn head() -> impl Strategy<Value = KeyHead> {
    let name = proptest::string::string_regex(&format!("[0-9a-zA-Z-]{{1,{NAME_CHARS_MAX}}}")).unwrap();
    let versions = vec((any::<[u8; 16]>(), any::<[u8; 32]>()), 1..6);
    let deletion = option::of((number(), number()));
    let fields = (any::<[u8; 16]>(), name, any::<bool>(), any::<bool>(), number(), number(), versions, deletion);
    fields.prop_map(|(id, name, exportable, immutable, generation, min_iat, versions, deletion)| KeyHead {
        id: Uuid::from_bytes(id),
        name: KeyName::parse(&name).unwrap(),
        exportable,
        immutable: immutable && exportable,
        policy: exportable.then(|| KeyPolicy::parse(policy().replace(',', " , ").as_bytes()).unwrap()),
        generation,
        min_iat,
        versions: versions
            .into_iter()
            .map(|(version, material)| VersionRef { version: Version(version), material })
            .collect(),
        deletion: deletion.map(|(deleted, purge)| Deletion { deleted, purge }),
    })
}

/// Public halves as custody makes them, one of each type.
fn publics() -> &'static [(KeyType, PublicKey, SealedMaterial)] {
    static PUBLICS: OnceLock<Vec<(KeyType, PublicKey, SealedMaterial)>> = OnceLock::new();
    PUBLICS.get_or_init(|| {
        let key = skerry_policy::permit::KeyRef { vault: VAULT_ID, key: VAULT_ID, version: Version([1; 16]) };
        let make = |key_type| {
            let binding = skerry_keys::Binding { key, key_type, exportable: true };
            let (public, material) = custody().generate(binding, &mut *randomness()).unwrap();
            (key_type, public, material)
        };
        let few = |key_type: &KeyType| !matches!(key_type, KeyType::Rsa { bits } if bits.bits() > 2048);
        KeyType::ALL.into_iter().filter(few).map(make).collect()
    })
}

fn version() -> impl Strategy<Value = KeyVersion> {
    let text = || proptest::string::string_regex(&format!("(?s).{{0,{TAG_CHARS_MAX}}}")).unwrap();
    let tags = vec(text(), 0..TAGS_MAX);
    let ops = vec(0..KeyOp::ALL.len(), 0..12);
    let which = 0..publics().len();
    let times = (option::of(number()), option::of(number()), number(), number());
    let fields = (any::<[u8; 16]>(), any::<bool>(), any::<bool>(), times, which, ops, tags);
    fields.prop_map(|(id, hsm, enabled, (not_before, expires, created, updated), which, ops, tags)| {
        let (key_type, public, material) = publics()[which].clone();
        let tags = tags.into_iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect();
        KeyVersion {
            version: Version(id),
            hsm,
            enabled,
            not_before,
            expires,
            created,
            updated,
            key_type,
            public,
            key_ops: ops.into_iter().map(|index| KeyOp::ALL[index]).collect(),
            tags: Tags::new(tags).unwrap(),
            material,
            origin: [Origin::Generated, Origin::Imported, Origin::ImportedPadded, Origin::Unknown][which % 4],
        }
    })
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    (any::<[u8; 16]>(), number(), any::<bool>(), number(), number()).prop_map(
        |(id, generation, immutable, min_iat, purged)| Tombstone {
            id: Uuid::from_bytes(id),
            generation,
            immutable,
            min_iat,
            purged,
        },
    )
}

fn period() -> impl Strategy<Value = Period> {
    let text = prop_oneof![
        (1..=1_200_u32).prop_map(|months| format!("P{months}M")),
        (1..=100_u32, 0..12_u32, 0..6_u32, 0..=100_u32)
            .prop_map(|(years, months, weeks, days)| format!("P{}Y{months}M{weeks}W0{days}D", years.min(98))),
        (1..=36_525_u32).prop_map(|days| format!("P{days}D")),
    ];
    text.prop_map(|text| Period::parse(&text).unwrap())
}

fn rotation() -> impl Strategy<Value = RotationPolicy> {
    let trigger = (any::<bool>(), period()).prop_map(|(after, period)| match after {
        true => Trigger::AfterCreate(period),
        false => Trigger::BeforeExpiry(period),
    });
    let action = prop_oneof![Just(Action::Rotate), Just(Action::Notify)];
    let fields = (option::of(period()), vec((action, trigger), 0..3), option::of(number()), option::of(number()));
    fields.prop_map(|(lifetime, actions, created, updated)| RotationPolicy { lifetime, actions, created, updated })
}

fn floor() -> impl Strategy<Value = FloorSettings> {
    let fields = (number(), number(), option::of(number()), any::<bool>(), number());
    fields.prop_map(|(generation, min_iat, token_age_max_secs, policy, updated)| FloorSettings {
        generation,
        min_iat,
        token_age_max_secs,
        policy: policy.then(|| Arc::new(KeyPolicy::parse(crate::support::policy().as_bytes()).unwrap())),
        updated,
    })
}

/// What reads a record of one kind, and writes it again.
type Spelt = fn(&[u8]) -> Result<Vec<u8>, Corrupted>;

const KINDS: [Spelt; 5] = [
    |bytes| decode_head(bytes).map(|head| encode_head(&head)),
    |bytes| decode_version(bytes).map(|version| encode_version(&version).unwrap()),
    |bytes| decode_tombstone(bytes).map(|tombstone| encode_tombstone(&tombstone)),
    |bytes| decode_rotation(bytes).map(|policy| encode_rotation(&policy)),
    |bytes| decode_floor(bytes).map(|floor| encode_floor(&floor)),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written is read as it was.
    #[test]
    fn written_is_read(
        head in head(),
        version in version(),
        tombstone in tombstone(),
        rotation in rotation(),
        floor in floor(),
    ) {
        prop_assert_eq!(decode_floor(&encode_floor(&floor)), Ok(floor));
        prop_assert_eq!(decode_rotation(&encode_rotation(&rotation)), Ok(rotation));
        prop_assert_eq!(decode_head(&encode_head(&head)), Ok(head));
        prop_assert_eq!(decode_version(&encode_version(&version).unwrap()), Ok(version));
        prop_assert_eq!(decode_tombstone(&encode_tombstone(&tombstone)), Ok(tombstone));
    }

    /// A record that is cut, goes on, or is of another kind is none.
    #[test]
    fn only_whole_records_are_read(
        head in head(),
        version in version(),
        tombstone in tombstone(),
        rotation in rotation(),
        floor in floor(),
    ) {
        let records = [
            encode_head(&head),
            encode_version(&version).unwrap(),
            encode_tombstone(&tombstone),
            encode_rotation(&rotation),
            encode_floor(&floor),
        ];
        for (of, record) in records.iter().enumerate() {
            for (kind, spelt) in KINDS.into_iter().enumerate() {
                prop_assert_eq!(spelt(record).is_ok(), of == kind);
            }
            for len in (0..record.len()).step_by(7).chain([record.len() - 1]) {
                prop_assert!(KINDS[of](&record[..len]).is_err());
            }
            let more = [record.as_slice(), &[0xf6]].concat();
            prop_assert_eq!(KINDS[of](&more).unwrap_err(), Corrupted::Form("there is more than one record"));
        }
    }

    /// Arbitrary bytes, and records of which one octet is altered, are judged without panic; what is read has one spelling.
    #[test]
    fn what_is_read_has_one_spelling(
        bytes in vec(any::<u8>(), 0..200),
        head in head(),
        version in version(),
        tombstone in tombstone(),
        rotation in rotation(),
        floor in floor(),
        place in any::<prop::sample::Index>(),
        by in 1..=255_u8,
    ) {
        let mut altered = [
            bytes,
            encode_head(&head),
            encode_version(&version).unwrap(),
            encode_tombstone(&tombstone),
            encode_rotation(&rotation),
            encode_floor(&floor),
        ];
        for record in altered.iter_mut().filter(|record| !record.is_empty()) {
            let at = place.index(record.len());
            record[at] ^= by;
        }
        for record in &altered {
            for spelt in KINDS {
                if let Ok(again) = spelt(record) {
                    prop_assert_eq!(&again, record);
                }
            }
        }
    }
}

/// A number that is spelt longer than it need be is no number of a record, so a record has one spelling.
#[test]
fn longer_spellings_are_refused() {
    let tombstone = Tombstone { id: VAULT_ID, generation: 1, immutable: true, min_iat: 0, purged: NOW };
    let bytes = encode_tombstone(&tombstone);
    assert_eq!((bytes[0], bytes[1], bytes[19]), (0x86, 1, 1), "six fields, the format, the generation");
    let form = Corrupted::Form("a field is not in its shortest form");
    for (at, longer) in [(0, &[0x98, 6][..]), (1, &[0x18, 1]), (19, &[0x18, 1]), (19, &[0x19, 0, 1])] {
        let spelt = [&bytes[..at], longer, &bytes[at + 1..]].concat();
        assert_eq!(decode_tombstone(&spelt), Err(form.clone()), "{at}");
    }
    assert_eq!(decode_tombstone(&bytes), Ok(tombstone));
}

/// A head without versions, or without the policy that it needs, is none, though each field is one. A key that stays may have
/// a policy: it says who unwraps with it.
#[test]
fn heads_that_contradict_themselves() {
    let scene = Scene::new();
    let plain = scene.make(&CreateCommand { exportable: false, policy: None, ..create("plain") }).unwrap();
    let good = scene.key(KEY);
    let odd = |key: &skerry_vault::record::Key, edit: fn(&mut KeyHead)| {
        decode_head(&encode_head(&edited(key, |head, _| edit(head)).head)).map(drop)
    };
    assert_eq!(odd(&good, |head| head.versions.clear()), Err(Corrupted::Form("a key has no version")));
    let policy = Err(Corrupted::Form("an exportable key, or one whose policy is fixed, has no policy"));
    assert_eq!(odd(&good, |head| head.policy = None), policy);
    assert_eq!(odd(&good, |head| head.exportable = false), Ok(()), "one that wraps securely");
    assert_eq!(odd(&plain, |head| head.exportable = true), policy);
    assert_eq!(odd(&plain, |head| head.immutable = true), policy);
    assert_eq!((odd(&good, |_| {}), odd(&plain, |_| {})), (Ok(()), Ok(())), "the control");
}

/// A version whose public half is of another type than the key is none.
#[test]
fn versions_that_contradict_themselves() {
    let scene = Setup::default().bare();
    let (ec, oct) = (scene.create("ec", EC), scene.create("oct", OCT));
    let p384 = scene.create("p384", KeyType::Ec { curve: skerry_keys::Curve::P384 });
    for (of, other) in [(&ec, &oct), (&oct, &ec), (&ec, &p384), (&p384, &ec)] {
        let odd = edited(of, |_, version| version.public = other.version.public.clone());
        let bytes = encode_version(&odd.version).unwrap();
        assert_eq!(decode_version(&bytes), Err(Corrupted::Form("the public key is of another type")));
        assert!(decode_version(&encode_version(&of.version).unwrap()).is_ok());
    }
}
