//! Races for one key: many threads call one vault, and what they are answered could have been answered to one after another
//! by a naive vault. On a store in memory and on a file; half of the threads ask another server of the vault, which
//! remembers by itself what it read.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_core::Rng as _;
use skerry_policy::permit::{Denied, Version};
use skerry_store::{Options, Store};
use skerry_testkit::linear::{Event, Model, Verdict, check};
use skerry_vault::Refusal;
use skerry_vault::command::{Changes, PolicyInput, ReleaseCommand};
use skerry_vault::record::Key;
use skerry_vault::rotation::{Period, RotationInput};
use tempfile::TempDir;

use crate::support::*;

/// What is asked of the one key.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    Create,
    Get,
    Enable(bool),
    Tag(u8),
    /// One of two policies that no token meets both of.
    Policy(bool),
    /// One of two lifetimes of versions to come.
    Lifetime(bool),
    Sign,
    /// For a token that meets one of the policies.
    Release(bool),
    Rotate,
    Delete,
    Recover,
    Purge,
}

/// The essentials of an answer.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Key(Shown),
    /// A signature or a release, by this version.
    By(Version),
    Done,
    NotFound,
    NotDeleted,
    Recoverable,
    Disabled,
    Denied,
    /// The key has another policy than the new version would have.
    OtherPolicy,
    /// Given up, with nothing changed: allowed at any time.
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
struct Shown {
    version: Version,
    enabled: bool,
    tag: Option<u8>,
    expires: Option<u64>,
    other_policy: bool,
    generation: u64,
}

/// A vault of one name, as simple as can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Naive {
    Free,
    Live(One),
    Deleted(One),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct One {
    versions: Vec<(Version, bool, Option<u8>, Option<u64>)>,
    other_policy: bool,
    generation: u64,
    lifetime: Option<bool>,
}

impl One {
    fn with(mut self, version: Version, tag: Option<u8>, expires: Option<u64>) -> One {
        self.versions.push((version, true, tag, expires));
        self
    }

    fn shown(&self) -> Shown {
        let &(version, enabled, tag, expires) = self.versions.last().unwrap();
        Shown { version, enabled, tag, expires, other_policy: self.other_policy, generation: self.generation }
    }

    fn is_enabled(&self) -> bool {
        self.shown().enabled
    }
}

/// The naive vault, and a fault that may be in it.
struct Vault {
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A disabled key signs.
    DisabledSigns,
    /// Deleting says so and does nothing.
    DeleteIsLost,
    /// A new policy is good for the next release but one.
    PolicyIsLost,
}

impl Model for Vault {
    type State = Naive;
    type Call = Call;
    type Answer = Answer;

    fn step(&self, state: &Naive, call: &Call, answer: &Answer) -> Option<Naive> {
        if *answer == Answer::Nothing {
            return Some(state.clone());
        }
        let fresh = match answer {
            Answer::Key(shown) => shown.version,
            _ => Version([0; 16]),
        };
        let (next, expected) = self.answer(state, *call, fresh);
        (*answer == expected).then_some(next)
    }
}

impl Vault {
    /// The next state, and the answer; `fresh` is the version that would be made.
    fn answer(&self, state: &Naive, call: Call, fresh: Version) -> (Naive, Answer) {
        match state {
            Naive::Free => self.of_free(call, fresh),
            Naive::Live(one) => self.of_live(one, call, fresh),
            Naive::Deleted(one) => self.of_deleted(one, call),
        }
    }

    fn of_free(&self, call: Call, fresh: Version) -> (Naive, Answer) {
        match call {
            Call::Create => {
                let one = One { versions: vec![], other_policy: false, generation: 1, lifetime: None };
                shown(one.with(fresh, None, None))
            }
            Call::Recover | Call::Purge => (Naive::Free, Answer::NotDeleted),
            _ => (Naive::Free, Answer::NotFound),
        }
    }

    fn of_live(&self, one: &One, call: Call, fresh: Version) -> (Naive, Answer) {
        let mut next = one.clone();
        let newest = next.versions.last_mut().unwrap();
        let by = Answer::By(newest.0);
        match call {
            Call::Create if one.other_policy => (Naive::Live(next), Answer::OtherPolicy),
            Call::Create => shown(next.with(fresh, None, None)),
            Call::Enable(enabled) => {
                newest.1 = enabled;
                shown(next)
            }
            Call::Tag(tag) => {
                newest.2 = Some(tag);
                shown(next)
            }
            Call::Policy(other) => {
                next.other_policy = if self.fault == Fault::PolicyIsLost { one.other_policy } else { other };
                next.generation += 1;
                let mut answer = next.shown();
                answer.other_policy = other;
                (Naive::Live(next), Answer::Key(answer))
            }
            Call::Lifetime(long) => {
                next.lifetime = Some(long);
                (Naive::Live(next), Answer::Done)
            }
            Call::Delete if self.fault == Fault::DeleteIsLost => (Naive::Live(next), Answer::Key(one.shown())),
            Call::Delete => (Naive::Deleted(next), Answer::Key(one.shown())),
            Call::Recover | Call::Purge => (Naive::Live(next), Answer::NotDeleted),
            Call::Sign if self.fault == Fault::DisabledSigns => (Naive::Live(next), by),
            Call::Get | Call::Sign | Call::Release(_) | Call::Rotate if !one.is_enabled() => {
                (Naive::Live(next), Answer::Disabled)
            }
            Call::Get => shown(next),
            Call::Sign => (Naive::Live(next), by),
            Call::Release(other) => (Naive::Live(next), if other == one.other_policy { by } else { Answer::Denied }),
            Call::Rotate => {
                let (tag, expires) = (newest.2, one.lifetime.map(|long| NOW + lifetime_days(long) * 86_400));
                shown(next.with(fresh, tag, expires))
            }
        }
    }

    fn of_deleted(&self, one: &One, call: Call) -> (Naive, Answer) {
        let stays = Naive::Deleted(one.clone());
        match call {
            Call::Create => (stays, Answer::Recoverable),
            Call::Recover => shown(one.clone()),
            Call::Purge => (Naive::Free, Answer::Done),
            _ => (stays, Answer::NotFound),
        }
    }
}

fn shown(one: One) -> (Naive, Answer) {
    let answer = Answer::Key(one.shown());
    (Naive::Live(one), answer)
}

fn lifetime_days(long: bool) -> u64 {
    if long { 90 } else { 30 }
}

fn policy_of(other: bool) -> String {
    if other { entry(ISSUER, r#"{"claim":"which","equals":"other"}"#) } else { policy() }
}

/// A token that meets one of the policies and not the other.
fn token_for(other: bool) -> String {
    if other { token(&claims().with("x-ms-attestation-type", "tdxvm").with("which", "other")) } else { good_token() }
}

/// The vault's own answer.
fn take(scene: &Scene, call: Call, key: &str, tokens: &[String; 2]) -> Answer {
    match call {
        Call::Create => keyed(scene.make(&create(key))),
        Call::Get => keyed(scene.get(key)),
        Call::Enable(enabled) => keyed(scene.enable(key, enabled)),
        Call::Tag(tag) => {
            let tags = tags(&[("tag", &tag.to_string())]);
            keyed(scene.update(key, &Changes { tags: Some(tags), ..Changes::default() }))
        }
        Call::Policy(other) => {
            let policy = PolicyInput { data: policy_of(other).into_bytes(), immutable: None };
            keyed(scene.update(key, &Changes { policy: Some(policy), ..Changes::default() }))
        }
        Call::Lifetime(long) => {
            let lifetime = Period::parse(&format!("P{}D", lifetime_days(long))).unwrap();
            let input = RotationInput { lifetime: Some(lifetime), actions: vec![] };
            answered(scene.set_rotation_policy(key, &input), |_| Answer::Done)
        }
        Call::Sign => answered(scene.sign(key), |signature| Answer::By(signature.key.version.version)),
        Call::Release(other) => {
            let name = name(key);
            let command = ReleaseCommand { name: &name, ..command(&tokens[usize::from(other)]) };
            answered(scene.answer(&command), |answer| Answer::By(released_version(&answer.value)))
        }
        Call::Rotate => keyed(scene.rotate(key)),
        Call::Delete => keyed(scene.delete(key)),
        Call::Recover => keyed(scene.recover(key)),
        Call::Purge => answered(scene.purge(key), |()| Answer::Done),
    }
}

fn keyed(result: Result<Key, Refusal>) -> Answer {
    answered(result, |key| {
        let tag = key.version.tags.iter().next().map(|(_, value)| value.parse().unwrap());
        let source = key.head.policy.as_ref().unwrap().source();
        Answer::Key(Shown {
            version: key.version.version,
            enabled: key.version.enabled,
            tag,
            expires: key.version.expires,
            other_policy: source == policy_of(true).as_bytes(),
            generation: key.head.generation,
        })
    })
}

fn answered<T>(result: Result<T, Refusal>, good: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(answer) => good(answer),
        Err(Refusal::KeyNotFound { .. }) => Answer::NotFound,
        Err(Refusal::DeletedKeyNotFound { .. }) => Answer::NotDeleted,
        Err(Refusal::DeletedButRecoverable { .. }) => Answer::Recoverable,
        Err(Refusal::KeyDisabled { .. }) => Answer::Disabled,
        Err(Refusal::PolicyOfNewVersion) => Answer::OtherPolicy,
        Err(Refusal::Denied(Denied::Policy(_))) => Answer::Denied,
        Err(Refusal::Contended | Refusal::Busy) => Answer::Nothing,
        Err(other) => panic!("{other:?}"),
    }
}

fn released_version(jws: &str) -> Version {
    let payload = decoded(jws, 1);
    let kid = path(&payload, &["response", "key", "key", "kid"]).as_str().unwrap().to_owned();
    Version(hex::decode(kid.rsplit('/').next().unwrap()).unwrap().try_into().unwrap())
}

type History = Vec<Event<Call, Answer>>;

/// Lets every thread make its calls at once, and writes down what happened.
fn history(scenes: &[&Scene], key: &str, threads: &[Vec<Call>]) -> History {
    let tokens = [token_for(false), token_for(true)];
    let (clock, start) = (AtomicU64::new(0), Barrier::new(threads.len()));
    let tick = || clock.fetch_add(1, Ordering::SeqCst);
    let run = &|at: usize, calls: &[Call]| -> History {
        let scene = scenes[at % scenes.len()];
        start.wait();
        let timed = |&call: &Call| {
            let began = tick();
            let answer = take(scene, call, key, &tokens);
            Event { call, answer, began, ended: tick() }
        };
        calls.iter().map(timed).collect()
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            threads.iter().enumerate().map(|(at, calls)| scope.spawn(move || run(at, calls))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// A vault on a store in memory, and one on a file.
fn scenes() -> Vec<(Scene, Option<TempDir>)> {
    let folder = TempDir::new().unwrap();
    let file = Store::create(&folder.path().join("store"), &root(), Options::new(|_| {})).unwrap();
    vec![(Setup::default().bare(), None), (Setup { store: file, ..Setup::default() }.bare(), Some(folder))]
}

/// The races, each by what its threads call. The key is there before the race if it begins with another call than `Create`.
fn races() -> Vec<(&'static str, Vec<Vec<Call>>)> {
    use Call::*;
    let times = |calls: &[Call], times: usize| calls.repeat(times);
    vec![
        ("two who make one name", vec![times(&[Create, Get], 2); 3]),
        (
            "disabled and signed",
            vec![
                times(&[Enable(false), Enable(true)], 3),
                times(&[Sign], 6),
                times(&[Sign, Get], 3),
                times(&[Release(false)], 4),
            ],
        ),
        (
            "two updates",
            vec![
                vec![Tag(1), Enable(false), Tag(2), Enable(true)],
                vec![Tag(3), Tag(4), Enable(true), Tag(5)],
                times(&[Get], 5),
            ],
        ),
        (
            "deleted and released",
            vec![times(&[Delete, Recover], 3), times(&[Release(false)], 5), times(&[Release(false), Sign], 3)],
        ),
        (
            "rotated and changed",
            vec![
                times(&[Rotate], 4),
                vec![Policy(true), Lifetime(true), Policy(false), Lifetime(false)],
                times(&[Release(true), Release(false)], 3),
                times(&[Tag(1), Get], 3),
            ],
        ),
        (
            "purged and recovered",
            vec![vec![Delete, Purge, Delete, Purge], times(&[Recover], 4), times(&[Create, Get], 3), times(&[Sign], 4)],
        ),
    ]
}

/// Every race, again and again: the answers are those of a naive vault to one call after another.
#[test]
fn races_could_have_been_run_one_after_another() {
    for (scene, _folder) in &scenes() {
        for (race, threads) in &races() {
            let beside = scene.beside();
            for round in 0..ROUNDS {
                let key = format!("race-{}-{round}", race.replace(' ', "-"));
                let mut events = prelude(scene, &key, threads);
                let at = events.len();
                events.extend(history(&[scene, &beside], &key, threads).into_iter().map(|event| later(event, at)));
                assert_eq!(verdict(Fault::None, &events), Verdict::Linearizable, "{race}\n{}", told(&events));
            }
        }
    }
}

/// Random calls by every thread, from seeds: races that nobody thought of.
#[test]
fn random_races_could_have_been_run_one_after_another() {
    for (scene, _folder) in &scenes() {
        let beside = scene.beside();
        for seed in 0..ROUNDS {
            let threads: Vec<Vec<Call>> = (0..4).map(|thread| random_calls(seed * 4 + thread)).collect();
            let key = format!("random-{seed}");
            let events = history(&[scene, &beside], &key, &threads);
            assert_eq!(verdict(Fault::None, &events), Verdict::Linearizable, "{seed}\n{}", told(&events));
        }
    }
}

/// One thread alone is answered as the naive vault answers, call for call: the model is the vault, and not merely wide.
#[test]
fn one_after_another_is_the_model() {
    let scene = Setup::default().bare();
    for seed in 0..40 {
        let calls: Vec<Call> = (0..3).flat_map(|part| random_calls(1_000 + seed * 3 + part)).collect();
        let events = history(&[&scene], &format!("alone-{seed}"), &[calls]);
        let mut state = Naive::Free;
        for event in &events {
            assert_ne!(event.answer, Answer::Nothing);
            let next = Vault { fault: Fault::None }.step(&state, &event.call, &event.answer);
            state = next.unwrap_or_else(|| panic!("{event:?} in {state:?}"));
        }
    }
}

/// The controls: the same histories of the same vault are not those of a vault with a fault; and an answer that came too
/// late, or from before, is found out.
#[test]
fn faults_are_found_out() {
    use Call::*;
    let scene = Setup::default().bare();
    for (key, fault, calls) in [
        ("signs", Fault::DisabledSigns, vec![Create, Enable(false), Sign]),
        ("stays", Fault::DeleteIsLost, vec![Create, Delete, Get]),
        ("policy", Fault::PolicyIsLost, vec![Create, Policy(true), Release(true)]),
    ] {
        let events = history(&[&scene], key, &[calls]);
        assert_eq!(verdict(Fault::None, &events), Verdict::Linearizable, "{fault:?}");
        assert_eq!(verdict(fault, &events), Verdict::Not, "{fault:?}");
    }
    // What a cache that was not told would answer: the signature of before, after the key was disabled.
    let mut stale = history(&[&scene], "stale", &[vec![Create, Sign, Enable(false), Sign]]);
    assert_eq!(stale[3].answer, Answer::Disabled);
    stale[3].answer = stale[1].answer.clone();
    assert_eq!(verdict(Fault::None, &stale), Verdict::Not);
    // Beside the change it would have been an answer.
    stale[2].ended = stale[3].ended + 1;
    assert_eq!(verdict(Fault::None, &stale), Verdict::Linearizable);
    // Two changes of which one was lost.
    let mut lost = history(&[&scene], "lost", &[vec![Create, Policy(true), Policy(false), Get]]);
    let Answer::Key(shown) = &mut lost[3].answer else { panic!("{lost:?}") };
    shown.generation -= 1;
    assert_eq!(verdict(Fault::None, &lost), Verdict::Not);
}

/// A line for each call, in the order of their beginnings.
fn told(events: &[Event<Call, Answer>]) -> String {
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by_key(|event| event.began);
    let id = |version: &Version| hex::encode(&version.0[..2]);
    let line = |event: &Event<Call, Answer>| {
        let answer = match &event.answer {
            Answer::Key(shown) => format!(
                "{} enabled {} tag {:?} expires {:?} other {} generation {}",
                id(&shown.version),
                shown.enabled,
                shown.tag,
                shown.expires,
                shown.other_policy,
                shown.generation
            ),
            Answer::By(version) => format!("by {}", id(version)),
            other => format!("{other:?}"),
        };
        format!("{:3} to {:3} {:?}: {answer}", event.began, event.ended, event.call)
    };
    events.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn verdict(fault: Fault, events: &[Event<Call, Answer>]) -> Verdict {
    check(&Vault { fault }, &Naive::Free, events)
}

/// Makes the key that a race begins with.
fn prelude(scene: &Scene, key: &str, threads: &[Vec<Call>]) -> History {
    match threads[0][0] {
        Call::Create => Vec::new(),
        _ => history(&[scene], key, &[vec![Call::Create]]),
    }
}

fn later(event: Event<Call, Answer>, by: usize) -> Event<Call, Answer> {
    let by = 2 * u64::try_from(by).unwrap();
    Event { began: event.began + by, ended: event.ended + by, ..event }
}

fn random_calls(seed: u64) -> Vec<Call> {
    use Call::*;
    const CALLS: [Call; 20] = [
        Create,
        Create,
        Create,
        Get,
        Enable(false),
        Enable(true),
        Enable(true),
        Tag(1),
        Tag(2),
        Policy(false),
        Policy(true),
        Lifetime(true),
        Sign,
        Sign,
        Release(false),
        Release(true),
        Rotate,
        Delete,
        Recover,
        Purge,
    ];
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let mut pick = || CALLS[usize::try_from(random.next_u64() % 20).unwrap()];
    (0..8).map(|_| pick()).collect()
}

const ROUNDS: u64 = 6;
